/* tacit verify --agents: jobs are replayed by agents, and the coordinator compares. */
#include <stdlib.h>
#include <string.h>
#include "core/env/clock.h"
#include "core/env/process.h"
#include "ops/cli/format.h"
#include "ops/cli/progress.h"
#include "ops/cli/upload.h"
#include "ops/cli/verify.h"

#define BATCH 500
#define PAGE 500
#define PAGE_BYTES_MAX (16u << 20)
#define POLL_MS 1000

struct asking {
    struct cli *cli;
    const struct verify_options *o;
    struct msg_verified *out;
    uint64_t *replays; /* owned, sorted once all are asked for */
    uint64_t count, capacity, ended;
    struct msg_job_id batch[BATCH];
    uint32_t batch_count;
    struct arena page;
    uint32_t difference_capacity;
    struct progress progress;
    struct upload trying;
    struct msg_replays answer;
};

static int add(struct asking *x, uint64_t replay, struct err *e)
{
    if (x->count == x->capacity) {
        uint64_t capacity = x->capacity ? 2 * x->capacity : 256;
        uint64_t *grown = reallocarray(x->replays, capacity, sizeof *grown);
        if (!grown)
            return err_set(e, ERR_NO_MEMORY, "no memory for the replays asked for");
        x->replays = grown;
        x->capacity = capacity;
    }
    x->replays[x->count++] = replay;
    return 0;
}

static const char *copy(struct arena *a, const char *s)
{
    return s ? arena_strndup(a, s, strlen(s)) : NULL;
}

/* --- asking ----------------------------------------------------------------------------------- */

static void skip(struct asking *x, const char *why)
{
    if (x->out->skipped++ == 0)
        x->out->skipped_why = copy(&x->cli->arena, why);
}

/* Asked again, it answers with the replays that are open already. */
static int ask_once(void *arg, struct err *e)
{
    struct asking *x = arg;
    struct msg_verify v = {x->batch, x->batch_count};
    arena_reset(&x->page);
    x->answer = (struct msg_replays){0};
    const char *path = arena_printf(&x->page, "/v1/runs/%s/verify", x->o->run);
    return path ? client_call(x->cli->client, "POST", path, &message_verify, &v, &message_replays,
                              &x->answer, &x->page, 0, e)
                : err_set(e, ERR_NO_MEMORY, "no memory for a path");
}

static int ask_batch(struct asking *x, struct err *e)
{
    if (x->batch_count == 0)
        return 0;
    int rc = upload_persist(&x->trying, ask_once, x, e);
    for (uint32_t i = 0; !rc && i < x->answer.replay_count; i++) {
        const struct msg_replay *r = &x->answer.replays[i];
        if (r->replay)
            rc = add(x, r->replay, e);
        else
            skip(x, r->reason);
    }
    x->batch_count = 0;
    return rc;
}

static int ask_one(void *arg, uint64_t job, double seconds, struct err *e)
{
    struct asking *x = arg;
    (void)seconds;
    x->batch[x->batch_count++].job = job;
    return x->batch_count == BATCH ? ask_batch(x, e) : 0;
}

static int by_number(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* --- waiting ---------------------------------------------------------------------------------- */

static int add_difference(struct asking *x, const struct msg_replay *r, struct err *e)
{
    struct arena *a = &x->cli->arena;
    struct msg_difference *d = verify_difference_new(x->cli, x->out, &x->difference_capacity, e);
    if (!d)
        return ERR_NO_MEMORY;
    struct msg_grant g = {.kind = r->kind,
                          .target = r->target,
                          .index = r->index,
                          .round = r->round,
                          .chunk = r->chunk,
                          .part = r->part,
                          .step_first = r->step_first,
                          .step_last = r->step_last,
                          .final = r->final};
    *d = (struct msg_difference){.job = r->job,
                                 .words = made_job_words(a, &g),
                                 .agent = copy(a, r->doer),
                                 .by = copy(a, r->agent),
                                 .verdict = "differs",
                                 .target = r->target,
                                 .index = r->index,
                                 .step_first = r->step_first,
                                 .step_last = r->step_last,
                                 .role = r->role,
                                 .blob_index = r->blob_index,
                                 .published = r->published,
                                 .replayed = r->found};
    return 0;
}

/* Takes those that have ended, in their order, up to the first that has not. */
static int take_page(struct asking *x, const struct msg_replay *list, uint32_t count, bool *open,
                     struct err *e)
{
    int rc = 0;
    *open = false;
    for (uint32_t i = 0; !rc && i < count && x->ended < x->count; i++) {
        const struct msg_replay *r = &list[i];
        if (r->replay != x->replays[x->ended])
            continue; /* another verify's */
        *open = r->state == JOB_WAITING || r->state == JOB_LEASED;
        if (*open)
            return 0;
        x->ended++;
        if (!r->verdict)
            skip(x, r->reason ? r->reason : "its replay was given up");
        else
            x->out->replayed++;
        if (r->verdict && strcmp(r->verdict, "differs") == 0)
            rc = add_difference(x, r, e);
    }
    return rc;
}

static int look(struct asking *x, bool *open, struct err *e)
{
    struct msg_replay *list;
    uint32_t count;
    arena_reset(&x->page);
    const char *path = arena_printf(&x->page, "/v1/runs/%s/replays?limit=%d&after=%llu", x->o->run,
                                    PAGE, (unsigned long long)(x->replays[x->ended] - 1));
    int rc = path ? client_get_array(x->cli->client, path, &message_replay, (void **)&list, &count,
                                     &x->page, e)
                  : err_set(e, ERR_NO_MEMORY, "no memory for a path");
    if (!rc && (count == 0 || list[0].replay != x->replays[x->ended]))
        rc = err_set(e, ERR_CONFLICT, "replay %llu is gone",
                     (unsigned long long)x->replays[x->ended]);
    return rc ? rc : take_page(x, list, count, open, e);
}

static int wait_for_all(struct asking *x, struct err *e)
{
    while (x->ended < x->count) {
        bool open = false;
        int rc = look(x, &open, e);
        if (rc && !cli_may_mend(rc)) /* a coordinator that is away comes back */
            return rc;
        progress_update(&x->progress, "replayed by agents", x->ended, x->count, "jobs");
        if ((rc || open) && env_stop_wait_ms(POLL_MS))
            return err_set(e, ERR_STOPPED, "no longer waiting; agents go on replaying");
    }
    return 0;
}

int verify_by_agents(struct cli *cli, const struct verify_options *o, struct msg_verified *out,
                     struct err *e)
{
    struct asking *x = calloc(1, sizeof *x);
    double began = env_monotonic_s();
    *out = (struct msg_verified){.run = o->run, .all = o->all, .agents = true, .seed = o->seed};
    if (!x)
        return err_set(e, ERR_NO_MEMORY, "no memory to ask for replays");
    x->cli = cli;
    x->o = o;
    x->out = out;
    arena_init(&x->page, PAGE_BYTES_MAX);
    progress_init(&x->progress);
    x->trying = (struct upload){.cli = cli, .progress = &x->progress};
    int rc = o->all ? verify_stored(cli, o->run, out, e) : 0;
    if (!rc)
        rc = verify_picked(cli, o, &out->jobs, ask_one, x, e);
    if (!rc)
        rc = ask_batch(x, e);
    if (x->count > 1)
        qsort(x->replays, x->count, sizeof *x->replays, by_number);
    if (!rc)
        rc = wait_for_all(x, e);
    progress_finish(&x->progress);
    out->seconds = env_monotonic_s() - began;
    arena_free(&x->page);
    free(x->replays);
    free(x);
    return rc;
}
