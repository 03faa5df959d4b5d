/* Rolling back. What would break for a user: a wrong checkpoint that lives on in what was computed
 * from it, right work thrown away, a run that never ends again, a holder of undone work that
 * publishes it nevertheless. */
#include "tests/coordinator/run/whole_run.h"
#include "coordinator/run/events.h"

static int rollback(struct world *w, int target, uint64_t index, uint64_t step,
                    struct msg_rolled_back *out)
{
    struct msg_rollback m = {.target = target, .index = index, .step = step};
    memset(out, 0, sizeof *out);
    return ask(w, runs_prepare_rollback, runs_rollback, "demo", 0, &m, out, NULL);
}

/* Whether the last event is of this kind. */
static bool is_told(struct world *w, const char *kind)
{
    struct request r = {.fn = events_list};
    r.call = (struct call){
        .service = &w->service, .arena = &w->arena, .caller = CALLER_ADMIN, .query_limit = 1000};
    OK(store_write_wait(w->service.store, request_fn, &r, &err));
    char *text = arena_strndup(&w->arena, r.call.raw, r.call.raw_len), *last = NULL;
    for (char *at = text; (at = strstr(at, "\"kind\":\"")); at++)
        last = at + strlen("\"kind\":\"");
    return last && strncmp(last, kind, strlen(kind)) == 0;
}

static struct msg_made made_of(struct world *w, uint64_t job)
{
    struct msg_made m = {0};
    OK(ask(w, NULL, jobs_made, NULL, job, NULL, &m, NULL));
    return m;
}

/* Of the grants, the link of an expert that ends at step. */
static uint64_t link_of(const struct msg_grant *g, uint32_t n, uint64_t index, uint64_t step)
{
    for (uint32_t i = 0; i < n; i++)
        if (g[i].kind == JOB_TRAIN && g[i].index == index && g[i].step_last == step)
            return g[i].job;
    fail_msg("no such link");
    return 0;
}

static struct msg_grant grants[GRANTS_MAX], again[GRANTS_MAX];

static void a_run_that_was_done_goes_on_from_the_good_link(void **state)
{
    (void)state;
    struct world *w = world_make();
    struct msg_rolled_back r;
    make_run(w);
    uint32_t n = do_all(w, grants);
    assert_int_equal(show(w, "demo").state, RUN_DONE);
    OK(rollback(w, TARGET_EXPERT, 1, 12, &r));
    assert_int_equal(r.step, 12);
    assert_int_equal(r.undone, 3); /* the link, the evaluation of its model, the report */
    assert_int_equal(r.damaged, 0);
    assert_true(is_told(w, "run.rolled-back")); /* whoever wonders later finds it */
    assert_int_equal(show(w, "demo").state, RUN_ACTIVE);
    uint32_t m = do_all(w, again);
    assert_int_equal(m, 2);
    assert_int_equal(again[0].kind, JOB_TRAIN);
    assert_int_equal(again[0].index, 1);
    assert_int_equal(again[0].step_first, 12);
    assert_true(again[0].job > grants[n - 1].job); /* nobody's saves of the undone one fit it */
    assert_int_equal(again[1].kind, JOB_EVAL);
    assert_int_equal(again[1].step_last, 24);
    assert_int_equal(show(w, "demo").state, RUN_DONE);
    /* What was undone is no result any more. */
    assert_int_equal(
        ask(w, NULL, jobs_made, NULL, link_of(grants, n, 1, 24), NULL, &(struct msg_made){0}, NULL),
        ERR_CONFLICT);
    made_of(w, link_of(grants, n, 0, 24));
    world_free(w);
}

static void after_a_router_all_is_done_again(void **state)
{
    (void)state;
    struct world *w = world_make();
    struct msg_rolled_back r;
    uint32_t kept = 0;
    make_run(w);
    uint32_t n = do_all(w, grants);
    OK(rollback(w, TARGET_ROUTER, 0, 1, &r));
    uint32_t m = do_all(w, again);
    assert_int_equal(show(w, "demo").state, RUN_DONE);
    for (uint32_t i = 0; i < n; i++) {
        /* Both routers' first rounds stay, and the draw scored by them; in the second, the other
         * router has read nothing that is wrong. */
        bool of_rounds = grants[i].kind == JOB_TRAIN_ROUTER || grants[i].kind == JOB_SCORE;
        bool stays =
            of_rounds && !grants[i].final &&
            !(grants[i].kind == JOB_TRAIN_ROUTER && grants[i].round == 1 && grants[i].index == 0);
        kept += stays;
    }
    assert_int_equal(m, n - kept);
    assert_int_equal(again[0].kind, JOB_TRAIN_ROUTER);
    assert_int_equal(again[0].round, 1);
    assert_int_equal(again[0].index, 0);
    world_free(w);
}

static void what_does_not_fit_is_refused(void **state)
{
    (void)state;
    struct world *w = world_make();
    struct msg_rolled_back r;
    struct msg_run run;
    struct msg_grant g;
    make_run(w);
    assert_true(work_until(w, "demo", JOB_SEGMENT, true, &g));
    assert_int_equal(rollback(w, TARGET_EXPERT, 0, 0, &r), ERR_CONFLICT); /* nothing published */
    do_job(w, &g);
    do_all(w, grants);
    assert_int_equal(rollback(w, TARGET_EXPERT, EXPERTS, 0, &r), ERR_INVALID);
    assert_int_equal(rollback(w, TARGET_DENSE, 0, 0, &r), ERR_INVALID); /* it trains none */
    assert_int_equal(rollback(w, TARGET_NONE, 0, 0, &r), ERR_INVALID);
    assert_int_equal(rollback(w, TARGET_EXPERT, 0, 24, &r), ERR_CONFLICT);
    assert_int_equal(rollback(w, TARGET_EXPERT, 0, 7, &r), ERR_INVALID);
    assert_non_null(strstr(err.message, "multiples of 12"));
    assert_int_equal(show(w, "demo").state, RUN_DONE);
    struct msg_rollback dry = {.target = TARGET_EXPERT, .index = 0, .step = 0, .dry_run = true};
    OK(ask(w, runs_prepare_rollback, runs_rollback, "demo", 0, &dry, &r, NULL));
    assert_int_equal(r.undone, 4);
    assert_int_equal(show(w, "demo").state, RUN_DONE);
    OK(rollback(w, TARGET_EXPERT, 0, 0, &r));
    OK(ask(w, NULL, runs_cancel, "demo", 0, NULL, &run, NULL));
    assert_int_equal(rollback(w, TARGET_EXPERT, 1, 0, &r), ERR_CONFLICT);
    world_free(w);
}

static void who_holds_undone_work_is_told(void **state)
{
    (void)state;
    struct world *w = world_make();
    struct msg_rolled_back r;
    struct msg_grant g;
    struct msg_command command;
    struct outputs o;
    struct msg_completed done;
    struct job_row *rows;
    make_run(w);
    do { /* a first link done, the second under way */
        assert_true(work_until(w, "demo", JOB_TRAIN, false, &g));
        if (g.step_first == 0)
            assert_true(do_job(w, &g));
    } while (g.step_first == 0);
    OK(rollback(w, TARGET_EXPERT, g.index, 0, &r));
    struct msg_heartbeat beat = {.fence = g.fence, .step = 15, .loss = NAN, .rate = NAN};
    OK(ask(w, NULL, lease_heartbeat, NULL, g.job, &beat, &command, NULL));
    assert_int_equal(command.command, COMMAND_ABANDON);
    make_outputs(w, &g, RIGHT, &o);
    struct msg_complete m = result_of(&g, &o);
    assert_int_equal(ask(w, runs_prepare_complete, lease_complete, NULL, g.job, &m, &done, NULL),
                     ERR_FENCED);
    uint32_t count = jobs_of(w, &rows), open = 0;
    for (uint32_t i = 0; i < count; i++)
        open += rows[i].key.kind == JOB_TRAIN && rows[i].key.index == g.index &&
                rows[i].state == JOB_WAITING && rows[i].key.step_first == 0;
    assert_int_equal(open, 1);
    do_all(w, grants);
    assert_int_equal(show(w, "demo").state, RUN_DONE);
    world_free(w);
}

static void forget_outputs(struct world *w, uint64_t job)
{
    struct msg_made m = made_of(w, job);
    for (uint32_t i = 0; i < m.output_count; i++)
        OK(blob_forget(w->service.store, &m.outputs[i].digest, &err));
}

/* Retention has let go of the good checkpoint, and of the pieces and assignments since the end. */
static void what_is_not_kept_is_made_again(void **state)
{
    (void)state;
    struct world *w = world_make();
    struct msg_rolled_back r;
    make_run(w);
    uint32_t n = do_all(w, grants);
    forget_outputs(w, link_of(grants, n, 0, 12));
    for (uint32_t i = 0; i < n; i++)
        if (grants[i].kind == JOB_SEGMENT && grants[i].chunk >= 1)
            forget_outputs(w, grants[i].job);
    OK(rollback(w, TARGET_EXPERT, 0, 12, &r));
    assert_int_equal(r.step, 0);
    uint32_t m = do_all(w, again), segments = 0, links = 0;
    for (uint32_t i = 0; i < m; i++) {
        segments += again[i].kind == JOB_SEGMENT;
        links += again[i].kind == JOB_TRAIN;
        assert_true(again[i].kind != JOB_TRAIN || again[i].index == 0);
    }
    assert_int_equal(links, 2);
    assert_true(segments >= 1);
    assert_int_equal(show(w, "demo").state, RUN_DONE);
    world_free(w);
}

static void damaged_bytes_do_not_come_back(void **state)
{
    (void)state;
    struct world *w = world_make();
    struct msg_rolled_back r;
    struct blob_info info;
    make_run(w);
    uint32_t n = do_all(w, grants);
    struct msg_made m = made_of(w, link_of(grants, n, 0, 24));
    change_byte(w, &m.outputs[0].digest);
    OK(rollback(w, TARGET_EXPERT, 0, 12, &r));
    assert_int_equal(r.damaged, 1);
    assert_int_equal(blob_stat(w->service.store, &m.outputs[0].digest, &info, &err), ERR_NOT_FOUND);
    OK(blob_stat(w->service.store, &m.outputs[1].digest, &info, &err));
    do_all(w, again);
    assert_int_equal(show(w, "demo").state, RUN_DONE);
    world_free(w);
}

static struct world *between; /* plan and transaction */

static int then_it_is_cancelled(struct call *c, const void *in, struct err *e)
{
    struct msg_run run;
    int rc = runs_prepare_rollback(c, in, e);
    OK(ask(between, NULL, runs_cancel, "demo", 0, NULL, &run, NULL));
    return rc;
}

/* The first link of a model, which alone is done of it. */
static uint64_t one_link(struct world *w, struct msg_grant *g)
{
    make_run(w);
    assert_true(work_until(w, "demo", JOB_TRAIN, false, g));
    uint64_t job = g->job;
    do_job(w, g);
    return job;
}

static void what_is_refused_forgets_nothing(void **state)
{
    (void)state;
    struct world *w = between = world_make();
    struct msg_rolled_back r = {0};
    struct blob_info info;
    struct msg_grant g;
    struct msg_made made = made_of(w, one_link(w, &g));
    struct msg_rollback m = {.target = TARGET_EXPERT, .index = made.grant->index};
    change_byte(w, &made.outputs[0].digest);
    assert_int_equal(ask(w, then_it_is_cancelled, runs_rollback, "demo", 0, &m, &r, NULL),
                     ERR_CONFLICT);
    OK(blob_stat(w->service.store, &made.outputs[0].digest, &info, &err));
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_run_that_was_done_goes_on_from_the_good_link),
        cmocka_unit_test(after_a_router_all_is_done_again),
        cmocka_unit_test(what_does_not_fit_is_refused),
        cmocka_unit_test(who_holds_undone_work_is_told),
        cmocka_unit_test(what_is_not_kept_is_made_again),
        cmocka_unit_test(damaged_bytes_do_not_come_back),
        cmocka_unit_test(what_is_refused_forgets_nothing),
    };
    return cmocka_run_group_tests(tests, forge_folder_make, forge_folder_remove);
}
