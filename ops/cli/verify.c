#include "ops/cli/verify.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include "core/base/rng.h"
#include "core/env/clock.h"
#include "core/env/process.h"
#include "core/env/thread.h"
#include "ops/cli/folder.h"
#include "ops/cli/made.h"
#include "ops/cli/progress.h"
#include "ops/cli/scrub_wait.h"

#define PAGE 500
#define PAGE_BYTES_MAX (8u << 20)
#define OUTCOME_BYTES_MAX (64u << 20)
#define SCRUB_BYTES_MAX (8u << 20)
#define TICK_MS 200
#define SECONDS_UNIT "s of work" /* that jobs took their doers */

/* --- a run's results, page by page ------------------------------------------------------------ */

struct page {
    struct cli *cli;
    const char *path;
    struct arena arena;
    struct msg_result *rows;
    uint32_t count;
};

static int page_once(void *arg, struct err *e)
{
    struct page *p = arg;
    return client_get_array(p->cli->client, p->path, &message_result, (void **)&p->rows, &p->count,
                            &p->arena, e);
}

int verify_each(struct cli *cli, const char *run, verify_each_fn *each, void *arg, struct err *e)
{
    struct page p = {.cli = cli};
    uint64_t after = 0;
    int rc = 0;
    arena_init(&p.arena, PAGE_BYTES_MAX);
    do {
        arena_reset(&p.arena);
        p.path = arena_printf(&p.arena, "/v1/runs/%s/results?limit=%d&after=%llu", run, PAGE,
                              (unsigned long long)after);
        rc = p.path ? page_once(&p, e) : err_set(e, ERR_NO_MEMORY, "no memory for a path");
        for (uint32_t i = 0; !rc && i < p.count; i++) {
            after = p.rows[i].job;
            rc = each(arg, &p.rows[i], e);
        }
    } while (!rc && p.count > 0);
    arena_free(&p.arena);
    return rc;
}

bool verify_is_link(int kind)
{
    return kind == JOB_TRAIN || kind == JOB_TRAIN_ROUTER;
}

/* --- which of them ---------------------------------------------------------------------------- */

struct pick {
    uint64_t order, job; /* order: the smallest are taken */
    double seconds;
};

struct picks {
    const struct verify_options *o;
    struct pick *items; /* not all: a heap whose top has the largest order */
    uint64_t count, jobs;
    double seconds;
};

static double seconds_of(const struct msg_result *r)
{
    return r->seconds > 0 ? r->seconds : 0;
}

static void sift_down(struct pick *p, uint64_t count)
{
    for (uint64_t i = 0, child; (child = 2 * i + 1) < count; i = child) {
        if (child + 1 < count && p[child + 1].order > p[child].order)
            child++;
        if (p[child].order <= p[i].order)
            return;
        struct pick x = p[i];
        p[i] = p[child];
        p[child] = x;
    }
}

static void sift_up(struct pick *p, uint64_t i)
{
    for (; i > 0 && p[(i - 1) / 2].order < p[i].order; i = (i - 1) / 2) {
        struct pick x = p[i];
        p[i] = p[(i - 1) / 2];
        p[(i - 1) / 2] = x;
    }
}

static int pick_one(void *arg, const struct msg_result *r, struct err *e)
{
    struct picks *p = arg;
    (void)e;
    p->jobs += replay_can(r->kind);
    if (p->o->all) {
        p->count += replay_can(r->kind);
        p->seconds += replay_can(r->kind) ? seconds_of(r) : 0;
        return 0;
    }
    struct pick x = {rng_u64(p->o->seed, RNG_VERIFY, r->job, 0), r->job, seconds_of(r)};
    if (!verify_is_link(r->kind))
        return 0;
    if (p->count < p->o->links) {
        p->items[p->count] = x;
        sift_up(p->items, p->count++);
    } else if (x.order < p->items[0].order) {
        p->items[0] = x;
        sift_down(p->items, p->count);
    }
    return 0;
}

static int by_job(const void *a, const void *b)
{
    const struct pick *x = a, *y = b;
    return x->job < y->job ? -1 : x->job > y->job;
}

static int pick(struct cli *cli, struct picks *p, struct err *e)
{
    p->items = p->o->all ? NULL : calloc(p->o->links, sizeof *p->items);
    if (!p->o->all && !p->items)
        return err_set(e, ERR_NO_MEMORY, "no memory to pick links");
    int rc = verify_each(cli, p->o->run, pick_one, p, e);
    if (rc || p->o->all)
        return rc;
    qsort(p->items, p->count, sizeof *p->items, by_job);
    for (uint64_t i = 0; i < p->count; i++)
        p->seconds += p->items[i].seconds;
    return 0;
}

struct taking {
    verify_take_fn *take;
    void *arg;
};

static int take_each(void *arg, const struct msg_result *r, struct err *e)
{
    struct taking *t = arg;
    bool agents = r->kind != JOB_ASSIGN && r->kind != JOB_REPORT;
    return agents ? t->take(t->arg, r->job, seconds_of(r), e) : 0;
}

int verify_picked(struct cli *cli, const struct verify_options *o, uint64_t *jobs,
                  verify_take_fn *take, void *arg, struct err *e)
{
    struct picks p = {.o = o};
    struct taking t = {take, arg};
    int rc = pick(cli, &p, e);
    *jobs = p.jobs;
    if (!rc && o->all)
        rc = verify_each(cli, o->run, take_each, &t, e);
    for (uint64_t i = 0; !rc && !o->all && i < p.count; i++)
        rc = take(arg, p.items[i].job, p.items[i].seconds, e);
    free(p.items);
    return rc;
}

/* A replay of it that agreed keeps a checkpoint from being dropped. What is not told is no harm. */
static void tell_verified(struct cli *cli, uint64_t job)
{
    struct err ignored = {0};
    struct arena a;
    struct msg_empty empty;
    arena_init(&a, 1u << 16);
    const char *path = arena_printf(&a, "/v1/jobs/%llu/verified", (unsigned long long)job);
    if (path)
        (void)!client_call(cli->client, "POST", path, NULL, NULL, &message_empty, &empty, &a, 0,
                           &ignored);
    arena_free(&a);
}

/* --- replaying -------------------------------------------------------------------------------- */

struct verification {
    struct cli *cli;
    struct replayer *replayer;
    struct arena arena; /* of one job */
    struct msg_verified *out;
    uint32_t capacity;
    struct progress progress; /* the ticker's while it runs */
    double total;
    _Atomic double done, current; /* seconds that jobs took their doers */
    atomic_bool finished;
};

/* A thread of its own, since a replay keeps the other one. */
static void ticker(void *arg)
{
    struct verification *v = arg;
    struct job_progress *p = replayer_progress(v->replayer);
    while (!atomic_load(&v->finished)) {
        double step = (double)atomic_load(&p->step), total = (double)atomic_load(&p->total);
        double part = total > 0 && step < total ? step / total : 0;
        double done = atomic_load(&v->done) + part * atomic_load(&v->current);
        progress_update(&v->progress, "replaying", (uint64_t)done, (uint64_t)v->total + 1,
                        SECONDS_UNIT);
        env_sleep_ms(TICK_MS);
    }
    progress_finish(&v->progress);
}

void verify_difference_of(struct cli *cli, const struct replay_outcome *o, struct msg_difference *d)
{
    static const char *const verdicts[] = {
        [REPLAY_DIFFERS] = "differs",
        [REPLAY_BAD_INPUT] = "bad-input",
        [REPLAY_BAD_OUTPUT] = "bad-output",
    };
    struct arena *a = &cli->arena;
    const struct msg_grant *g = o->made.grant;
    *d = (struct msg_difference){
        .job = g->job,
        .words = made_job_words(a, g),
        .agent = o->made.agent ? arena_strndup(a, o->made.agent, strlen(o->made.agent)) : NULL,
        .verdict = verdicts[o->verdict],
        .target = g->target,
        .index = g->index,
        .step_first = g->step_first,
        .step_last = g->step_last,
        .role = o->published.role,
        .blob_index = o->published.index,
        .published = *made_name(&o->published),
        .blob = o->published.digest,
        .source_job = o->source.grant ? o->source.grant->job : 0,
        .why = o->why ? arena_strndup(a, o->why, strlen(o->why)) : NULL};
    if (o->verdict == REPLAY_DIFFERS)
        d->replayed = *made_name(&o->replayed);
    for (uint32_t i = 0; i < g->input_count; i++)
        if (g->inputs[i].role == ROLE_STATE)
            d->start = g->inputs[i].content;
}

struct msg_difference *verify_difference_new(struct cli *cli, struct msg_verified *out,
                                             uint32_t *capacity, struct err *e)
{
    if (out->difference_count == *capacity) {
        uint32_t more = *capacity ? 2 * *capacity : 8;
        struct msg_difference *grown = arena_alloc_array(&cli->arena, more, sizeof *grown);
        if (!grown) {
            (void)err_set(e, ERR_NO_MEMORY, "no memory for what differs");
            return NULL;
        }
        for (uint32_t i = 0; i < out->difference_count; i++)
            grown[i] = out->differences[i];
        out->differences = grown;
        *capacity = more;
    }
    return &out->differences[out->difference_count++];
}

static int add_difference(struct verification *v, const struct replay_outcome *o, struct err *e)
{
    struct msg_verified *out = v->out;
    for (uint32_t i = 0; i < out->difference_count; i++) /* on the way to several jobs */
        if (out->differences[i].job == o->made.grant->job)
            return 0;
    struct msg_difference *d = verify_difference_new(v->cli, out, &v->capacity, e);
    if (!d)
        return ERR_NO_MEMORY;
    verify_difference_of(v->cli, o, d);
    return 0;
}

static int verify_one(struct verification *v, uint64_t job, bool link, double seconds,
                      struct err *e)
{
    struct replay_outcome o;
    arena_reset(&v->arena);
    atomic_store(&v->current, seconds);
    int rc = replay_job(v->replayer, job, &v->arena, &o, e);
    if (rc)
        return rc;
    atomic_store(&v->current, 0);
    atomic_store(&v->done, atomic_load(&v->done) + seconds);
    v->out->replayed++;
    v->out->recalled += o.recalled;
    v->out->remade += o.remade;
    if (o.verdict != REPLAY_AGREES)
        return add_difference(v, &o, e);
    if (link && !o.recalled)
        tell_verified(v->cli, job);
    return 0;
}

static int verify_each_one(void *arg, const struct msg_result *r, struct err *e)
{
    return replay_can(r->kind) ? verify_one(arg, r->job, verify_is_link(r->kind), seconds_of(r), e)
                               : 0;
}

static int replay_picked(struct verification *v, const struct picks *p, struct err *e)
{
    struct env_thread thread;
    int rc = env_thread_start(&thread, ticker, v, "the thread that shows progress", e);
    if (rc)
        return rc;
    if (p->o->all)
        rc = verify_each(v->cli, p->o->run, verify_each_one, v, e);
    for (uint64_t i = 0; !rc && !p->o->all && i < p->count; i++)
        rc = verify_one(v, p->items[i].job, true, p->items[i].seconds, e);
    atomic_store(&v->finished, true);
    env_thread_join(&thread);
    return rc;
}

/* --- the store -------------------------------------------------------------------------------- */

/* What computes it anew, or NULL. */
static const char *repair_of(struct arena *a, const char *run, const struct msg_grant *g)
{
    const char *target = job_target_words[g->target];
    bool numbered = g->target == TARGET_EXPERT || g->target == TARGET_ROUTER;
    const char *model =
        numbered ? arena_printf(a, "%s:%llu", target, (unsigned long long)g->index) : target;
    switch (g->kind) {
    case JOB_TRAIN:
    case JOB_TRAIN_ROUTER:
        return arena_printf(a, "tacit rollback %s %s --to-good  has it computed anew", run, model);
    case JOB_EVAL:
        return arena_printf(
            a, "tacit rollback %s %s --to STEP  of a step before has it computed anew", run, model);
    case JOB_REPORT:
        return arena_printf(a, "tacit rollback %s MODEL --to STEP  of any model has it made anew",
                            run);
    default:
        return arena_printf(a,
                            "tacit rollback %s MODEL --to STEP  of a model trained on what came of "
                            "it has it computed anew",
                            run);
    }
}

static int take_bad(struct cli *cli, const char *run, const struct msg_scrub_bad *b,
                    struct msg_bad_blob *out, struct err *e)
{
    struct arena *a = &cli->arena;
    char hex[DIGEST_HEX + 1];
    struct msg_made m = {0};
    *out = (struct msg_bad_blob){.digest = b->digest,
                                 .why = b->problem ? arena_printf(a, "%s", b->problem) : NULL,
                                 .words = b->named ? arena_printf(a, "%s", b->named) : NULL};
    int rc = made_of_digits(cli->client, digest_to_hex(&b->digest, hex), a, &m, e);
    if (rc == ERR_NOT_FOUND || rc == ERR_CONFLICT) /* undone meanwhile */
        return 0;
    if (rc)
        return rc;
    bool by_job = m.what == MADE_BY_JOB && m.run && strcmp(m.run, run) == 0;
    for (uint32_t i = 0; by_job && i < m.output_count; i++)
        if (digest_equal(&m.outputs[i].digest, &b->digest)) {
            out->job = m.grant->job;
            out->role = m.outputs[i].role;
            out->index = m.outputs[i].index;
            out->words = arena_printf(a, "%s of %s, by %s", blob_role_words[out->role],
                                      made_job_words(a, m.grant), made_doer(a, &m));
            out->repair = repair_of(a, run, m.grant);
            break;
        }
    return 0;
}

int verify_stored(struct cli *cli, const char *run, struct msg_verified *v, struct err *e)
{
    struct msg_scrub m = {0};
    struct arena arena;
    arena_init(&arena, SCRUB_BYTES_MAX);
    int rc = scrub_follow(cli, run, &arena, &m, e);
    if (!rc) {
        v->blobs = m.blobs;
        v->bytes = m.bytes;
        v->bad_total = m.bad_total;
        v->bad = arena_alloc_array(&cli->arena, m.bad_count + 1, sizeof *v->bad);
        if (!v->bad)
            rc = err_set(e, ERR_NO_MEMORY, "no memory for a list of damaged blobs");
    }
    for (uint32_t i = 0; !rc && i < m.bad_count; i++)
        rc = take_bad(cli, run, &m.bad[i], &v->bad[v->bad_count++], e);
    arena_free(&arena);
    return rc;
}

/* --- all of it -------------------------------------------------------------------------------- */

int verify_open(struct cli *cli, const char *work, uint64_t threads, struct verify_store **store,
                struct replayer **r, struct err *e)
{
    const char *dir = work;
    int rc = work ? 0 : folder_cache(&cli->arena, &dir, e);
    *store = NULL;
    *r = NULL;
    if (!rc && !work && !(dir = arena_printf(&cli->arena, "%s/verify", dir)))
        rc = err_set(e, ERR_NO_MEMORY, "no memory for a path");
    if (!rc)
        rc = verify_store_open(store, cli, dir, e);
    return rc ? rc : replayer_create(r, cli, *store, threads ? (int)threads : env_cpu_count(), e);
}

int verify_here(struct cli *cli, const struct verify_options *o, struct msg_verified *out,
                struct err *e)
{
    struct verify_store *store;
    struct verification v = {.cli = cli, .out = out};
    struct picks p = {.o = o};
    double began = env_monotonic_s();
    *out = (struct msg_verified){.run = o->run, .all = o->all, .seed = o->seed};
    arena_init(&v.arena, OUTCOME_BYTES_MAX);
    progress_init(&v.progress);
    int rc = verify_open(cli, o->work, o->threads, &store, &v.replayer, e);
    if (!rc)
        rc = pick(cli, &p, e);
    out->jobs = p.jobs;
    if (!rc && o->all)
        rc = verify_stored(cli, o->run, out, e);
    v.total = p.seconds;
    if (!rc)
        rc = replay_picked(&v, &p, e);
    out->seconds = env_monotonic_s() - began;
    free(p.items);
    arena_free(&v.arena);
    replayer_destroy(v.replayer);
    verify_store_close(store);
    return rc;
}
