/* tacit rollback: what a wrong or damaged checkpoint has led to is undone, and computed anew. */
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include "core/base/text.h"
#include "ops/cli/format.h"
#include "ops/cli/made.h"
#include "ops/cli/verify.h"

#define CALL_MS (30 * 60 * 1000) /* the coordinator reads what is to be undone */
#define OUTCOME_BYTES_MAX (64u << 20)
#define TO_NONE UINT64_MAX

enum {
    ROLLBACK_TO = OPTION_FIRST,
    ROLLBACK_GOOD,
    ROLLBACK_DRY_RUN,
    ROLLBACK_THREADS,
    ROLLBACK_WORK
};

struct rollback_input {
    uint64_t to, threads;
    bool to_good, dry_run;
    const char *work;
};

static int set_rollback(void *input, int key, const char *arg, struct err *e)
{
    struct rollback_input *in = input;
    switch (key) {
    case ROLLBACK_TO:
        return cli_u64("--to", arg, 0, INT64_MAX, &in->to, e);
    case ROLLBACK_GOOD:
        in->to_good = true;
        return 0;
    case ROLLBACK_THREADS:
        return cli_u64("--threads", arg, 1, 1024, &in->threads, e);
    case ROLLBACK_WORK:
        in->work = arg;
        return 0;
    default:
        in->dry_run = true;
        return 0;
    }
}

/* "expert:2", "router:0", "dense", "dense-flops". */
static int parse_model(const char *word, struct msg_rollback *m, struct err *e)
{
    size_t len = strcspn(word, ":");
    for (int t = TARGET_ROUTER; job_target_words[t]; t++) {
        bool numbered = t == TARGET_EXPERT || t == TARGET_ROUTER;
        if (strlen(job_target_words[t]) != len || strncmp(job_target_words[t], word, len) != 0 ||
            numbered != (word[len] == ':'))
            continue;
        m->target = t;
        if (!numbered || text_to_u64(word + len + 1, &m->index))
            return 0;
    }
    return err_set(e, ERR_INVALID,
                   "'%s' is no model: expert:N, router:N, dense and dense-flops are", word);
}

/* --- the last good step, by what replays say -------------------------------------------------- */

struct damage {
    uint64_t total, matched; /* blobs; matched: that links of the model have given */
};

struct search {
    struct cli *cli;
    struct replayer *replayer;
    struct arena arena; /* of one job */
    const struct msg_rollback *model;
    const struct msg_verified *store; /* damaged blobs */
    uint64_t matched;                 /* of them that links of the model have given */
    uint64_t good;                    /* TO_NONE: nothing is wrong */
};

static bool is_of_model(const struct msg_rollback *m, int kind, int target, uint64_t index)
{
    return verify_is_link(kind) && target == m->target && index == m->index;
}

static void found(struct search *s, uint64_t step)
{
    if (step < s->good)
        s->good = step;
}

static uint64_t start_of(int kind, uint64_t round, uint64_t step_first)
{
    return kind == JOB_TRAIN_ROUTER ? round : step_first;
}

static void found_by(struct search *s, const struct msg_grant *g)
{
    if (g && is_of_model(s->model, g->kind, g->target, g->index))
        found(s, start_of(g->kind, g->round, g->step_first));
}

/* How many of the damaged blobs the job has given. */
static int count_damaged(struct search *s, uint64_t job, uint64_t *count, struct err *e)
{
    struct msg_made m;
    *count = 0;
    if (s->store->bad_count == 0)
        return 0;
    arena_reset(&s->arena);
    int rc = made_of_job(s->cli->client, job, &s->arena, &m, e);
    for (uint32_t i = 0; !rc && i < m.output_count; i++)
        for (uint32_t k = 0; k < s->store->bad_count; k++)
            *count += digest_equal(&m.outputs[i].digest, &s->store->bad[k].digest);
    return rc;
}

static int look_at(void *arg, const struct msg_result *r, struct err *e)
{
    struct search *s = arg;
    struct replay_outcome o;
    if (!is_of_model(s->model, r->kind, r->target, r->index))
        return 0;
    uint64_t start = start_of(r->kind, r->round, r->step_first);
    uint64_t damaged;
    int rc = count_damaged(s, r->job, &damaged, e);
    if (rc)
        return rc;
    s->matched += damaged;
    if (damaged)
        found(s, start);
    if (s->good <= start) /* what follows is undone, whatever it is */
        return 0;
    arena_reset(&s->arena);
    rc = replay_job(s->replayer, r->job, &s->arena, &o, e);
    if (rc || o.verdict == REPLAY_AGREES)
        return rc;
    found_by(s, o.made.grant);
    found_by(s, o.source.grant);
    if (s->good == TO_NONE)
        rc = err_set(e, ERR_CONFLICT,
                     "%s is wrong since what it reads is, %s: verify the run, and roll that back",
                     made_job_words(&s->arena, o.made.grant),
                     o.source.grant ? made_job_words(&s->arena, o.source.grant)
                                    : "of another model");
    return rc;
}

static int find_good(struct cli *cli, const struct rollback_input *in, const char *run,
                     struct msg_rollback *m, struct damage *left, struct err *e)
{
    struct verify_store *store;
    struct msg_verified damage = {0};
    struct search s = {.cli = cli, .model = m, .store = &damage, .good = TO_NONE};
    arena_init(&s.arena, OUTCOME_BYTES_MAX);
    int rc = verify_open(cli, in->work, in->threads, &store, &s.replayer, e);
    if (!rc)
        rc = verify_stored(cli, run, &damage, e);
    if (!rc)
        rc = verify_each(cli, run, look_at, &s, e);
    arena_free(&s.arena);
    replayer_destroy(s.replayer);
    verify_store_close(store);
    m->step = s.good;
    *left = (struct damage){damage.bad_total, s.matched};
    return rc;
}

/* --- doing it --------------------------------------------------------------------------------- */

static void print_undone(struct cli *cli, const struct msg_rollback *m,
                         const struct msg_rolled_back *r, const char *word)
{
    struct arena *a = &cli->arena;
    const char *unit = m->target == TARGET_ROUTER ? "round" : "step";
    printf("run %s: %s %s back at %s %s; %s done job%s %s undone\n", r->run, word,
           m->dry_run ? "would be" : "is", unit, format_count(a, r->step),
           format_count(a, r->undone), r->undone == 1 ? "" : "s",
           m->dry_run       ? "would be"
           : r->undone == 1 ? "is"
                            : "are");
    if (r->step < m->step)
        printf("  (the checkpoint at %s %s is not kept)\n", unit, format_count(a, m->step));
    if (r->damaged)
        printf("  %s damaged blob%s %s forgotten\n", format_count(a, r->damaged),
               r->damaged == 1 ? "" : "s", m->dry_run ? "would be" : "are");
    for (uint32_t i = 0; i < r->job_count; i++) {
        const struct msg_result *j = &r->jobs[i];
        struct msg_grant g = {.kind = j->kind,
                              .target = j->target,
                              .index = j->index,
                              .round = j->round,
                              .chunk = j->chunk,
                              .part = j->part,
                              .step_first = j->step_first,
                              .step_last = j->step_last,
                              .final = j->final};
        printf("  %s (job %llu)\n", made_job_words(a, &g), (unsigned long long)j->job);
    }
    if (r->undone > r->job_count)
        printf("  and %s more\n", format_count(a, r->undone - r->job_count));
    if (!m->dry_run)
        printf("They are computed anew: `tacit run wait %s` watches.\n", r->run);
}

/* What is damaged and belongs to nothing that is undone stays so: that is no success. */
static int tell_left(struct cli *cli, const char *run, const struct damage *d, uint64_t forgotten)
{
    uint64_t mended = forgotten > d->matched ? forgotten : d->matched;
    if (d->total <= mended)
        return EX_OK;
    fprintf(stderr,
            "run %s: %s damaged or lost blob%s of others: `tacit verify %s --all` names "
            "what computes them anew\n",
            run, format_count(&cli->arena, d->total - mended), d->total - mended == 1 ? "" : "s",
            run);
    return EX_DATAERR;
}

static int rollback(struct cli *cli, struct rollback_input *in, int *code, struct err *e)
{
    struct damage damage = {0};
    struct msg_rollback m = {.step = in->to, .dry_run = in->dry_run};
    struct msg_rolled_back r;
    const char *run = cli->args[0];
    int rc = parse_model(cli->args[1], &m, e);
    if (!rc && in->to_good == (in->to != TO_NONE))
        rc = err_set(e, ERR_INVALID, "one of --to STEP and --to-good is wanted");
    if (!rc)
        rc = cli_connect(cli, e);
    if (!rc && in->to_good)
        rc = find_good(cli, in, run, &m, &damage, e);
    if (rc)
        return rc;
    if (m.step == TO_NONE) {
        fprintf(stderr, "run %s: every link of %s agrees with its replay: nothing is undone\n", run,
                cli->args[1]);
        *code = tell_left(cli, run, &damage, 0);
        return 0;
    }
    rc = client_call(cli->client, "POST", cli_path(cli, "/v1/runs/", run, "/rollback"),
                     &message_rollback, &m, &message_rolled_back, &r, &cli->arena, CALL_MS, e);
    if (!rc && cli->json)
        rc = cli_print_json(&message_rolled_back, &r, e);
    else if (!rc)
        print_undone(cli, &m, &r, cli->args[1]);
    if (!rc)
        *code = tell_left(cli, run, &damage, r.damaged);
    return rc;
}

int cmd_rollback(struct cli *cli, int argc, char **argv)
{
    static const struct argp_option options[] = {
        {"to", ROLLBACK_TO, "STEP", 0,
         "The last good step, where a link ends; 0: from the start. Of a router: its good rounds",
         1},
        {"to-good", ROLLBACK_GOOD, NULL, 0,
         "Find it: replays the model's links here until one differs", 1},
        {"dry-run", ROLLBACK_DRY_RUN, NULL, 0, "Say what would be undone, and undo nothing", 1},
        {"threads", ROLLBACK_THREADS, "N", 0, "Of --to-good: processors to use (default: all)", 1},
        {"work", ROLLBACK_WORK, "DIR", 0, "Of --to-good: as of `tacit verify`", 1},
        {0}};
    static const struct cli_options o = {
        .options = options,
        .args = "RUN MODEL",
        .doc = "Undoes what a model has published after a good step, with all that was computed "
               "from it, and has it computed anew: a run that was done goes on. MODEL is expert:N, "
               "router:N, dense or dense-flops. After a router's, everything that its scores have "
               "decided is undone, too. Damaged blobs of what is undone are forgotten. "
               "With --to-good it exits 65 where other blobs of the run stay damaged.\v"
               "Examples:\n  tacit rollback my-run expert:2 --to 500 --dry-run\n"
               "  tacit rollback my-run expert:2 --to 500\n"
               "  tacit rollback my-run dense --to-good --work /tmp/v",
        .args_min = 2,
        .args_max = 2,
        .json = true,
        .set = set_rollback,
    };
    struct rollback_input in = {.to = TO_NONE};
    struct err e = {0};
    int code;
    if (!cli_parse(cli, &o, argc, argv, &in, &code))
        return code;
    return rollback(cli, &in, &code, &e) ? cli_fail(cli, &e) : code;
}
