/* A run from its making to its report, in one process with real databases: if one of these failed,
 * a run would hang, end with a wrong report, take an agent's word for something, or die of what
 * passes. */
#include "tests/coordinator/run/job_keys.h"
#include "tests/coordinator/run/run_world.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#define NEAR 1e-9

static const char base[] = "[run]\nname = demo\ndataset = corpus\nexperts = 2\n"
                           "[router]\nhidden = 4\nlayers = 1\nheads = 2\nprefix = 4\nrounds = 2\n"
                           "sequences = 60\nbatch = 4\n"
                           "[expert]\nhidden = 8\nlayers = 1\nheads = 2\nsteps = 24\nbatch = 4\n"
                           "chunk = 80\n"
                           "[checkpoint]\npublish_steps = 12\n";
static const char with_both[] = "[dense]\nmatch = both\n[eval]\nevery_steps = 12\n";
static const char without_dense[] = "[dense]\nenabled = no\n";

static const char *spec_of(struct world *w, const char *more)
{
    const char *text = arena_printf(&w->arena, "%s%s", base, more);
    OK(spec_parse(text, strlen(text), "t.ini", &w->spec, &err));
    return text;
}

static void make_run(struct world *w, const char *more)
{
    struct msg_run run;
    OK(create(w, spec_of(w, more), false, &run));
    assert_string_equal(run.name, "demo");
}

/* --- facts of the store ------------------------------------------------------------------------
 */

static struct job_row job_like(struct world *w, int kind)
{
    struct job_row *rows;
    uint32_t count = jobs_of(w, &rows);
    for (uint32_t i = 0; i < count; i++)
        if (rows[i].key.kind == kind)
            return rows[i];
    fail_msg("there is no such job");
    return rows[0];
}

static uint64_t blobs_of(struct world *w)
{
    uint64_t blobs, bytes;
    OK(blob_totals(w->service.store, &blobs, &bytes, &err));
    return blobs;
}

/* In one transaction: the coordinator's own jobs go on meanwhile. */
static int advance_all(struct call *c, const void *in, void *out, struct err *e)
{
    uint32_t *counts = out;
    struct job_row *rows;
    (void)in;
    int rc = op_jobs(c->conn, 0, -1, -1, 10000, c->arena, &rows, &counts[0], e);
    if (!rc)
        rc = run_advance(c, 1, NULL, e);
    return rc ? rc : op_jobs(c->conn, 0, -1, -1, 10000, c->arena, &rows, &counts[1], e);
}

/* Whether the rules, asked about everything, give no job that is not there: what was derived result
 * by result is what a look at the whole gives. */
static void check_nothing_is_missing(struct world *w)
{
    uint32_t counts[2];
    OK(ask(w, NULL, advance_all, NULL, 0, NULL, counts, NULL));
    assert_int_equal(counts[1], counts[0]);
}

static void restart(struct world *w)
{
    struct job_row *before, *after;
    works_destroy(w->service.works); /* so that nothing happens between the two looks */
    w->service.works = NULL;
    uint32_t count = jobs_of(w, &before);
    world_stop(w);
    world_start(w);
    assert_true(jobs_of(w, &after) >= count);
    for (uint32_t i = 0; i < count; i++) {
        struct store_conn *c;
        struct job_row now;
        OK(store_read_begin(w->service.store, &c, &err));
        OK(op_job_get(c, before[i].id, &w->arena, &now, &err));
        store_read_end(w->service.store, c);
        assert_true(job_keys_equal(&now.key, &before[i].key));
        if (before[i].state == JOB_DONE)
            assert_int_equal(now.state, JOB_DONE);
    }
}

/* --- a whole run -------------------------------------------------------------------------------
 */

static void check_quality(const struct msg_quality *q, double loss, uint64_t steps, uint64_t models)
{
    uint64_t batch = q->batch;
    assert_non_null(q);
    assert_float_equal(q->perplexity, exp(loss), NEAR);
    assert_float_equal(q->perplexity_after_prefix, exp(loss), NEAR);
    assert_float_equal(q->bits_per_byte, (SEQ - 1) * loss / log(2) / TEXT_BYTES, NEAR);
    assert_int_equal(q->steps, steps);
    assert_int_equal(q->tokens, models * steps * batch * SEQ);
    assert_true(q->flops > 0 && q->parameters > 0);
}

static void check_report(struct world *w, const struct msg_report *r, bool em)
{
    static const struct digest none;
    assert_string_equal(r->run, "demo");
    assert_string_equal(r->dataset, "corpus");
    assert_string_equal(r->router_mode, em ? "em" : "random");
    assert_int_equal(r->experts, EXPERTS);
    assert_int_equal(r->heldout_sequences, HELDOUT);
    assert_int_equal(r->heldout_predictions, HELDOUT * (SEQ - 1));
    assert_int_equal(r->expert_report_count, EXPERTS);
    assert_int_equal(r->router_count, em ? EXPERTS : 0);
    for (uint32_t i = 0; i < EXPERTS; i++) {
        const struct msg_expert_report *x = &r->expert_reports[i];
        assert_int_equal(x->index, i);
        assert_false(digest_equal(&x->digest, &none));
        assert_float_equal(x->share, 0.5, NEAR);
        assert_float_equal(x->perplexity, exp(1), NEAR);
        assert_int_equal(x->source_count, 1);
        assert_string_equal(x->sources[0].source, i ? "odd" : "even");
        assert_float_equal(x->sources[0].share, 1, NEAR);
    }
    assert_int_equal(r->round_count, em ? 2 : 1);
    for (uint32_t i = 0; i < r->round_count; i++) {
        const struct msg_round_report *x = &r->rounds[i];
        assert_int_equal(x->final, i + 1 == r->round_count);
        assert_float_equal(x->purity, 1, NEAR);
        assert_float_equal(x->inverse_purity, 1, NEAR);
        assert_int_equal(x->share_count, EXPERTS);
        assert_float_equal(x->shares[0], 0.5, NEAR);
    }
    check_quality(r->mixture, 1, 24, EXPERTS);
    assert_float_equal(r->seconds->experts, EXPERTS * 2 * 0.5, NEAR); /* two links each */
    assert_float_equal(r->seconds->routers, em ? EXPERTS * 2 * 0.5 : 0, NEAR);
    assert_int_equal(r->bytes->down, w->done * 1000);
    assert_int_equal(r->bytes->up, w->done * 10);
    assert_true(r->seconds->wall >= 0 && r->bytes->data_parallel > 0);
}

static void check_dense(const struct msg_report *r, const struct run_spec *s)
{
    struct digest none = {{0}};
    uint64_t flops_steps = spec_dense_flops_steps(s, VOCAB, SEQ, TRAIN);
    check_quality(r->dense, 2, 24, 1);
    check_quality(r->dense_flops, 1.75, flops_steps, 1);
    assert_true(flops_steps > 24);
    assert_false(digest_equal(&r->dense->digest, &none));
    assert_false(digest_equal(&r->dense->digest, &r->dense_flops->digest));
    assert_float_equal(r->expert_reports[0].dense_perplexity, exp(2), NEAR);
    assert_int_equal(r->curve_count, 2);
    assert_int_equal(r->curve[0].step, 12);
    assert_float_equal(r->curve[0].mixture, exp(1.5), NEAR);
    assert_float_equal(r->curve[0].dense, exp(2.5), NEAR);
    assert_float_equal(r->curve[1].mixture, exp(1), NEAR);
    assert_float_equal(r->curve[1].dense, exp(2), NEAR);
    assert_true(r->overhead->training > 0 && r->overhead->inference > 0);
    assert_float_equal(r->dense->flops, r->costs->dense_training, NEAR);
}

/* With a restart after every few jobs, and one with a job held. */
static void a_run_ends_with_a_true_report(void **state)
{
    (void)state;
    struct world *w = world_make();
    struct msg_report r;
    struct msg_grant g, again;
    make_run(w, with_both);
    assert_int_equal(report_of(w, "demo", &r), ERR_CONFLICT);
    for (unsigned turn = 0; next_job(w, "demo", &g); turn++) {
        if (turn % 5 == 2) {
            restart(w);
            OK(claim(w, &again));
            assert_int_equal(again.job, g.job); /* the same work, under a new fence */
            assert_int_equal(check(w, &g, RIGHT), ERR_FENCED);
            g = again;
        }
        while (do_job(w, &g))
            check_nothing_is_missing(w);
        if (show(w, "demo").state == RUN_ACTIVE)
            check_nothing_is_missing(w);
    }
    struct msg_run run = show(w, "demo");
    assert_int_equal(run.state, RUN_DONE);
    assert_int_equal(run.jobs_waiting + run.jobs_leased + run.jobs_quarantined, 0);
    OK(report_of(w, "demo", &r));
    check_report(w, &r, true);
    check_dense(&r, &w->spec);
    assert_int_equal(r.prefix_count, 2); /* 2, 4 */
    world_free(w);
}

static void the_random_control_ends_too(void **state)
{
    (void)state;
    struct world *w = world_make();
    struct msg_report r;
    struct msg_grant g;
    make_run(w, "[router]\nmode = random\n[dense]\nenabled = no\n");
    assert_false(work_until(w, "demo", -1, false, &g));
    OK(report_of(w, "demo", &r));
    check_report(w, &r, false);
    assert_null(r.dense);
    assert_null(r.dense_flops);
    assert_int_equal(r.curve_count, 0);
    world_free(w);
}

/* --- results that are not believed -------------------------------------------------------------
 */

static void refused(struct world *w, const struct msg_grant *g, enum wrong wrong, int code,
                    const char *words)
{
    err = (struct err){0};
    int rc = check(w, g, wrong);
    if (rc != code || !strstr(err.message, words))
        fail_msg("%s, wrong %d: gave %d %s, not %s", job_kind_words[g->kind], (int)wrong, rc,
                 err.message, words);
}

static void refused_training(struct world *w, const struct msg_grant *g)
{
    refused(w, g, OTHER_SHAPE, ERR_INVALID, "");
    refused(w, g, NOT_FINITE, ERR_NOT_FINITE, "not finite");
    refused(w, g, WRONG_STEP, ERR_INVALID, "the state is at step");
    refused(w, g, OTHER_RUN, ERR_INVALID, "a run with another spec");
    refused(w, g, OTHER_MODEL, ERR_INVALID, "another model of the run");
    refused(w, g, OTHER_CONTENT, ERR_DIGEST, "the model's content");
    refused(w, g, MISSING, ERR_INVALID, "a model and a state");
    refused(w, g, SWAPPED, ERR_INVALID, "in this order");
    refused(w, g, NOT_UPLOADED, ERR_CONFLICT, "has not been uploaded");
    refused(w, g, OTHER_SIZE, ERR_INVALID, "bytes, not");
}

static void wrong_results_are_refused(void **state)
{
    (void)state;
    struct world *w = world_make();
    struct msg_grant g;
    make_run(w, without_dense);
    assert_true(work_until(w, "demo", JOB_TRAIN_ROUTER, false, &g));
    refused_training(w, &g);
    do_job(w, &g);
    assert_true(work_until(w, "demo", JOB_SCORE, false, &g));
    refused(w, &g, FEWER, ERR_INVALID, "rows of 2 scores, where the job asks for");
    refused(w, &g, OTHER_SHAPE, ERR_INVALID, "rows of 3 scores");
    refused(w, &g, NOT_FINITE, ERR_NOT_FINITE, "");
    refused(w, &g, MISSING, ERR_INVALID, "one blob of scores");
    do_job(w, &g);
    assert_true(work_until(w, "demo", JOB_SEGMENT, true, &g));
    refused(w, &g, MISSING, ERR_INVALID, "2 pieces, one an expert, not 1");
    refused(w, &g, FEWER, ERR_INVALID, "39 sequences, where 40 were assigned");
    refused(w, &g, OTHER_SHAPE, ERR_INVALID, "of another data set");
    refused(w, &g, NOT_UPLOADED, ERR_CONFLICT, "has not been uploaded");
    do_job(w, &g);
    assert_true(work_until(w, "demo", JOB_TRAIN, false, &g));
    refused_training(w, &g);
    while (do_job(w, &g))
        ;
    assert_true(work_until(w, "demo", JOB_EVAL, false, &g));
    refused(w, &g, FEWER, ERR_INVALID, "not of the kind and size");
    refused(w, &g, OTHER_SHAPE, ERR_INVALID, "not of the kind and size");
    refused(w, &g, NOT_FINITE, ERR_NOT_FINITE, "");
    refused(w, &g, MISSING, ERR_INVALID, "one blob");
    do_job(w, &g);
    /* None of it kept the run from its end. */
    assert_false(work_until(w, "demo", -1, false, &g));
    assert_int_equal(show(w, "demo").state, RUN_DONE);
    world_free(w);
}

/* --- making and ending runs --------------------------------------------------------------------
 */

static void refused_and_dry_runs_leave_nothing(void **state)
{
    (void)state;
    static const struct {
        const char *key, *value;
        int code;
        const char *words;
    } cases[] = {
        {"dataset = corpus", "dataset = others", ERR_NOT_FOUND, "there is no data set \"others\""},
        {"sequences = 60", "sequences = 101", ERR_INVALID, "[router] sequences: 101"},
        {"hidden = 8", "hidden = 6", ERR_INVALID, "[expert] hidden"},
    };
    struct world *w = world_make();
    struct job_row *rows;
    struct msg_run run;
    uint64_t before = blobs_of(w);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *at = strstr(base, cases[i].key);
        const char *text = arena_printf(&w->arena, "%.*s%s%s", (int)(at - base), base,
                                        cases[i].value, at + strlen(cases[i].key));
        assert_int_equal(create(w, text, i % 2, &run), cases[i].code);
        assert_non_null(strstr(err.message, cases[i].words));
    }
    OK(create(w, spec_of(w, without_dense), true, &run));
    assert_string_equal(run.phase, "dry run");
    assert_int_equal(blobs_of(w), before);
    assert_int_equal(jobs_of(w, &rows), 0);
    make_run(w, without_dense);
    assert_int_equal(blobs_of(w), before + 1);
    before = jobs_of(w, &rows);
    assert_int_equal(create(w, spec_of(w, with_both), false, &run), ERR_EXISTS);
    assert_int_equal(create(w, spec_of(w, with_both), true, &run), ERR_EXISTS);
    assert_int_equal(jobs_of(w, &rows), before);
    world_free(w);
}

static void a_cancelled_run_takes_nothing_more(void **state)
{
    (void)state;
    struct world *w = world_make();
    struct msg_grant g;
    struct msg_run run;
    struct msg_report r;
    struct job_row *rows;
    make_run(w, without_dense);
    assert_true(work_until(w, "demo", JOB_SCORE, false, &g));
    OK(ask(w, NULL, runs_cancel, "demo", 0, NULL, &run, NULL));
    assert_int_equal(run.state, RUN_CANCELLED);
    assert_int_equal(check(w, &g, RIGHT), ERR_FENCED);
    assert_int_equal(claim(w, &g), ERR_NOT_FOUND);
    uint32_t count = jobs_of(w, &rows);
    for (uint32_t i = 0; i < count; i++)
        assert_true(rows[i].state == JOB_DONE || rows[i].state == JOB_CANCELLED);
    assert_int_equal(report_of(w, "demo", &r), ERR_CONFLICT);
    assert_non_null(strstr(err.message, "ended without a report"));
    world_free(w);
}

static void inputs_must_fit_a_grant(void **state)
{
    (void)state;
    static const struct {
        uint64_t round, steps, publish;
        int dense; /* 0: none, 1: one, 2: both */
        uint64_t sequences, heldout;
        const char *words; /* NULL: it fits */
    } cases[] = {
        {4096, 4000, 500, 2, 1000000, 50000, NULL},
        {100000000, 4000, 500, 2, 1000000000, 1000, "[router] sequences: 100000000"},
        /* Experts that go through more than 10^9 sequences of 128 tokens, and just through them. */
        {4096, 200000000, 500, 0, 1100000000, 1000, "[expert] steps: 200000000"},
        {4096, 130000000, 500, 0, 1100000000, 1000, NULL},
        {4096, 120000000, 500, 1, 1100000000, 1000, NULL},
        {4096, 120000000, 500, 2, 1100000000, 1000, "[dense] match: a second pass"},
        {4096, 120000000, 20000000, 1, 1100000000, 1000, "[checkpoint] publish_steps: 20000000"},
        {4096, 4000, 500, 2, 1000000, 100000000, "[run] dataset: corpus"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct run_spec s;
        struct run_facts f;
        struct msg_dataset d = {.vocab = 1024,
                                .seq = 128,
                                .train_sequences = cases[i].sequences,
                                .heldout_sequences = cases[i].heldout};
        OK(spec_parse(base, strlen(base), "t.ini", &s, &err));
        s.router.sequences = cases[i].round;
        s.expert.steps = cases[i].steps;
        s.expert.chunk = 1000000;
        s.checkpoint.publish_steps = cases[i].publish;
        s.dense.enabled = cases[i].dense > 0;
        s.dense.match = cases[i].dense == 2 ? SPEC_MATCH_BOTH : SPEC_MATCH_TOKENS;
        run_facts_init(&f, &s, &d);
        int rc = run_inputs_check(&f, &err);
        if (rc != (cases[i].words ? ERR_INVALID : 0) ||
            (rc && !strstr(err.message, cases[i].words)))
            fail_msg("case %zu: %d %s", i, rc, rc ? err.message : "");
    }
}

/* --- the coordinator's own jobs ----------------------------------------------------------------
 */

/* From now on the file of blobs grows no more, as on a full disk; that of jobs does. */
static void fill_disk(struct world *w, struct rlimit *before)
{
    static char more[6u << 20];
    struct msg_blob b;
    char path[128];
    struct stat st;
    for (size_t i = 0; i < sizeof more; i++)
        more[i] = (char)(i * i >> 8);
    for (size_t i = 0; i < sizeof more; i += 1u << 20) { /* larger ones do not go into the log */
        more[i] = (char)(i >> 20);
        put(w, more + i, 1u << 20, &b);
    }
    snprintf(path, sizeof path, "%s/blobs.db-wal", w->dir);
    assert_int_equal(stat(path, &st), 0);
    assert_true(st.st_size > (6 << 20)); /* more than tacit.db's, which is put away at 4 MB */
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, before), 0);
    struct rlimit full = {(rlim_t)st.st_size, before->rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &full), 0);
}

/* Until the job was tried so often, at most 20 s. */
static void tick_until_tried(struct world *w, int kind, uint64_t attempts)
{
    for (int64_t end = env_monotonic_ms() + 20000; env_monotonic_ms() < end; env_sleep_ms(2)) {
        int64_t next;
        OK(lease_tick(&w->service, &next, &err));
        if (job_like(w, kind).attempts >= attempts)
            return;
    }
}

static void a_full_disk_ends_no_run(void **state)
{
    (void)state;
    struct world *w = world_make();
    struct msg_grant g;
    struct outputs o;
    struct rlimit before;
    struct msg_completed done = {0};
    make_run(w, without_dense);
    assert_true(work_until(w, "demo", JOB_SCORE, false, &g)); /* the only one of its round */
    make_outputs(w, &g, RIGHT, &o);
    struct msg_complete m = result_of(&g, &o);
    fill_disk(w, &before);
    OK(ask(w, runs_prepare_complete, lease_complete, NULL, g.job, &m, &done, NULL));
    tick_until_tried(w, JOB_ASSIGN, LEASE_FAILURES_MAX + 1);
    struct job_row assign = job_like(w, JOB_ASSIGN);
    int64_t start = env_monotonic_ms();
    works_destroy(w->service.works); /* a stop does not wait for the disk */
    int64_t took = env_monotonic_ms() - start;
    struct job_row stopped = job_like(w, JOB_ASSIGN);
    w->service.works = NULL;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_true(took < 20000);
    assert_true(assign.attempts > LEASE_FAILURES_MAX);
    assert_int_equal(assign.failures, 0);
    assert_non_null(assign.errors); /* what people are shown */
    assert_int_equal(stopped.state, JOB_WAITING);
    assert_int_equal(show(w, "demo").state, RUN_ACTIVE);
    OK(works_create_with(&w->service.works, &w->service, 5, &err));
    assert_false(work_until(w, "demo", -1, false, &g));
    assert_int_equal(show(w, "demo").state, RUN_DONE);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_run_ends_with_a_true_report),
        cmocka_unit_test(the_random_control_ends_too),
        cmocka_unit_test(wrong_results_are_refused),
        cmocka_unit_test(refused_and_dry_runs_leave_nothing),
        cmocka_unit_test(a_cancelled_run_takes_nothing_more),
        cmocka_unit_test(inputs_must_fit_a_grant),
        cmocka_unit_test(a_full_disk_ends_no_run),
    };
    return cmocka_run_group_tests(tests, forge_folder_make, forge_folder_remove);
}
