/* Jobs done twice: duplicates of slow ones, replays that verify asks for. What would break for a
 * user: a run that waits for one slow machine while others idle, two results of a job that count,
 * a fault or a lie that two different results have shown and nobody hears of. */
#include "tests/coordinator/run/whole_run.h"

static struct msg_grant grants[GRANTS_MAX];

static void sql(struct world *w, const char *statement, uint64_t id)
{
    char path[128];
    sqlite3 *db;
    sqlite3_stmt *st;
    snprintf(path, sizeof path, "%s/tacit.db", w->dir);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    sqlite3_busy_timeout(db, 5000);
    assert_int_equal(sqlite3_prepare_v2(db, statement, -1, &st, NULL), SQLITE_OK);
    sqlite3_bind_int64(st, 1, (int64_t)id);
    assert_int_equal(sqlite3_step(st), SQLITE_DONE);
    assert_int_equal(sqlite3_changes(db), 1);
    sqlite3_finalize(st);
    sqlite3_close(db);
}

static struct job_row job_of(struct world *w, uint64_t id)
{
    struct store_conn *c;
    struct job_row row;
    OK(store_read_begin(w->service.store, &c, &err));
    OK(op_job_get(c, id, &w->arena, &row, &err));
    store_read_end(w->service.store, c);
    return row;
}

/* The result that job `as` has by right. */
static int finish(struct world *w, const struct msg_grant *g, uint64_t as,
                  struct msg_completed *done)
{
    struct outputs o;
    struct msg_grant like = *g;
    like.job = as;
    make_outputs(w, &like, RIGHT, &o);
    struct msg_complete m = result_of(g, &o);
    *done = (struct msg_completed){0};
    return ask(w, runs_prepare_complete, lease_complete, NULL, g->job, &m, done, NULL);
}

static int beat(struct world *w, const struct msg_grant *g, int *command)
{
    struct msg_heartbeat m = {.fence = g->fence, .loss = NAN, .rate = NAN};
    struct msg_command out = {0};
    int rc = ask(w, NULL, lease_heartbeat, NULL, g->job, &m, &out, NULL);
    *command = out.command;
    return rc;
}

static uint32_t alarms(struct world *w, struct msg_alarm *first)
{
    struct call c;
    uint32_t count = 0;
    OK(ask(w, NULL, alarms_list, NULL, 0, NULL, NULL, &c));
    for (const char *at = c.raw; (at = strstr(at, "\"published\":")); at++)
        count++;
    if (count == 1 && first) {
        char *text = arena_strndup(&w->arena, c.raw + 1, c.raw_len - 2);
        OK(message_decode(&message_alarm, text, c.raw_len - 2, first, &w->arena, &err));
    }
    return count;
}

struct two {
    struct world *w;
    uint64_t slow, quick;
    struct msg_grant held, copy; /* the slow one's link, and the quick one's duplicate */
};

/* The coordinator's own jobs included, one of which may make others ready. */
static bool all_done_but(struct world *w, uint64_t job)
{
    struct job_row *rows;
    uint32_t count = jobs_of(w, &rows);
    for (uint32_t i = 0; i < count; i++)
        if (rows[i].id != job && rows[i].state != JOB_DONE)
            return false;
    return true;
}

/* One agent holds an expert's last link for a minute already; the other has done all else. */
static struct two make_two(void)
{
    struct two t = {.w = world_make()};
    struct world *w = t.w;
    struct msg_grant g;
    t.slow = w->agent;
    t.quick = world_join(w, 'b', "quick");
    make_run(w);
    do {
        assert_true(work_until(w, "demo", JOB_TRAIN, false, &t.held));
        if (t.held.step_first == 0)
            while (t.held.step_first == 0 && do_job(w, &t.held))
                ;
    } while (t.held.step_first == 0);
    w->agent = t.quick;
    for (int64_t end = env_monotonic_ms() + 30000; !all_done_but(w, t.held.job); env_sleep_ms(2)) {
        assert_true(env_monotonic_ms() < end);
        if (claim(w, &g) == 0)
            while (do_job(w, &g))
                ;
    }
    assert_int_equal(claim(w, &g), ERR_NOT_FOUND); /* it has only just begun */
    sql(w, "UPDATE job SET since_ms = since_ms - 60000 WHERE id = ? AND state = 1", t.held.job);
    return t;
}

static void duplicate(struct two *t)
{
    OK(claim(t->w, &t->copy));
    assert_int_equal(t->copy.kind, JOB_TRAIN);
    assert_int_not_equal(t->copy.job, t->held.job);
    assert_int_equal(t->copy.step_last, t->held.step_last);
    assert_int_equal(t->copy.index, t->held.index);
    assert_int_equal(t->copy.input_count, t->held.input_count);
    assert_memory_equal(t->copy.inputs, t->held.inputs,
                        t->held.input_count * sizeof *t->held.inputs);
}

static void an_idle_agent_overtakes_a_slow_one(void **state)
{
    (void)state;
    struct two t = make_two();
    struct world *w = t.w;
    struct msg_completed done;
    struct msg_grant g;
    int command;
    duplicate(&t);
    OK(finish(w, &t.copy, t.held.job, &done));
    struct job_row row = job_of(w, t.held.job);
    assert_int_equal(row.state, JOB_DONE);
    assert_int_equal(row.agent, t.quick);
    OK(finish(w, &t.copy, t.held.job, &done)); /* the answer was lost */
    w->agent = t.slow;
    assert_int_equal(beat(w, &t.held, &command), ERR_FENCED); /* to be dropped */
    OK(finish(w, &t.held, t.held.job, &done));                /* or it comes late, with the same */
    assert_int_equal(alarms(w, NULL), 0);
    assert_int_equal(job_of(w, t.held.job).agent, t.quick);
    do_all(w, grants);
    assert_int_equal(show(w, "demo").state, RUN_DONE);
    assert_int_equal(claim(w, &g), ERR_NOT_FOUND);
    world_free(w);
}

static void another_result_raises_an_alarm(void **state)
{
    (void)state;
    struct two t = make_two();
    struct world *w = t.w;
    struct msg_completed done;
    struct msg_alarm alarm;
    struct msg_status status = {0};
    duplicate(&t);
    OK(finish(w, &t.copy, t.held.job, &done));
    w->agent = t.slow;
    OK(finish(w, &t.held, 12345, &done)); /* it can do nothing about it */
    OK(finish(w, &t.held, 12345, &done));
    assert_int_equal(alarms(w, &alarm), 1);
    assert_int_equal(alarm.job, t.held.job);
    assert_string_equal(alarm.agent, "quick");
    assert_string_equal(alarm.other, "machine");
    assert_false(digest_equal(&alarm.published, &alarm.found));
    OK(ask(w, NULL, status_show, NULL, 0, NULL, &status, NULL));
    assert_int_equal(status.alarms, 1);
    struct job_row kept = {.id = t.copy.job};
    do /* both results are there, so that it can be decided who is right */
        kept = job_of(w, kept.id + 1);
    while (kept.replays != t.held.job);
    assert_int_equal(kept.agent, t.slow);
    assert_int_equal(kept.verdict, 1);
    struct store_conn *c;
    struct msg_blob *outputs;
    uint32_t count;
    OK(store_read_begin(w->service.store, &c, &err));
    OK(op_outputs(c, kept.id, &w->arena, &outputs, &count, &err));
    store_read_end(w->service.store, c);
    assert_int_equal(count, 2);
    assert_true(digest_equal(&outputs[0].content, &alarm.found));
    world_free(w);
}

static void the_holder_may_be_first_after_all(void **state)
{
    (void)state;
    struct two t = make_two();
    struct world *w = t.w;
    struct msg_completed done;
    struct msg_grant g;
    int command;
    duplicate(&t);
    OK(beat(w, &t.copy, &command));
    assert_int_equal(command, COMMAND_CONTINUE);
    w->agent = t.slow;
    OK(finish(w, &t.held, t.held.job, &done));
    assert_int_equal(job_of(w, t.held.job).agent, t.slow);
    w->agent = t.quick;
    OK(beat(w, &t.copy, &command));
    assert_int_equal(command, COMMAND_ABANDON);
    /* It asks for work again, and is not given the same once more. */
    OK(claim(w, &g));
    assert_int_not_equal(g.job, t.copy.job);
    assert_int_equal(job_of(w, t.copy.job).state, JOB_CANCELLED);
    do_job(w, &g);
    do_all(w, grants);
    assert_int_equal(show(w, "demo").state, RUN_DONE);
    assert_int_equal(alarms(w, NULL), 0);
    world_free(w);
}

static void a_duplicate_that_fails_harms_nobody(void **state)
{
    (void)state;
    struct two t = make_two();
    struct world *w = t.w;
    struct msg_completed done;
    struct msg_grant g;
    duplicate(&t);
    struct msg_fail fail = {.fence = t.copy.fence, .error = "out of memory"};
    OK(ask(w, NULL, lease_fail, NULL, t.copy.job, &fail, &(struct msg_empty){0}, NULL));
    assert_int_equal(job_of(w, t.copy.job).state, JOB_CANCELLED);
    assert_int_equal(job_of(w, t.held.job).failures, 0);
    assert_int_equal(claim(w, &g), ERR_NOT_FOUND); /* not the same agent again */
    w->agent = t.slow;
    OK(finish(w, &t.held, t.held.job, &done));
    do_all(w, grants);
    assert_int_equal(show(w, "demo").state, RUN_DONE);
    world_free(w);
}

/* Where machines come and go, those that duplicate a straggler go, too. */
static void a_duplicate_that_was_given_up_is_tried_by_others(void **state)
{
    (void)state;
    struct two t = make_two();
    struct world *w = t.w;
    struct msg_empty empty;
    struct msg_grant g;
    for (int i = 0; i < 3; i++) {
        if (i > 0)
            w->agent = world_join(w, (char)('b' + i), "another");
        duplicate(&t);
        uint64_t doer = w->agent;
        w->agent = world_join(w, 'f', "idle");
        assert_int_equal(claim(w, &g), ERR_NOT_FOUND); /* one at a time */
        w->agent = doer;
        struct msg_release release = {.fence = t.copy.fence};
        OK(ask(w, runs_prepare_release, lease_release, NULL, t.copy.job, &release, &empty, NULL));
        assert_int_equal(job_of(w, t.copy.job).state, JOB_CANCELLED);
    }
    w->agent = world_join(w, 'f', "idle");
    assert_int_equal(claim(w, &g), ERR_NOT_FOUND); /* enough machines have gone with it */
    world_free(w);
}

/* The agent's own claims about digests accuse nobody. */
static void nobody_is_accused_by_a_result_that_is_none(void **state)
{
    (void)state;
    struct two t = make_two();
    struct world *w = t.w;
    struct msg_completed done;
    struct outputs o;
    duplicate(&t);
    OK(finish(w, &t.copy, t.held.job, &done));
    w->agent = t.slow;
    static const enum wrong wrong[] = {NOT_UPLOADED, OTHER_CONTENT, NOT_FINITE, OTHER_RUN};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct msg_grant like = t.held;
        like.job = 999;
        make_outputs(w, &like, wrong[i], &o);
        struct msg_complete m = result_of(&t.held, &o);
        assert_int_not_equal(
            ask(w, runs_prepare_complete, lease_complete, NULL, t.held.job, &m, &done, NULL), 0);
        assert_int_equal(alarms(w, NULL), 0);
    }
    /* Unchecked, since the job was done only just now: to be sent again. */
    make_outputs(w, &t.copy, RIGHT, &o);
    struct msg_complete m = result_of(&t.held, &o);
    assert_int_equal(ask(w, NULL, lease_complete, NULL, t.held.job, &m, &done, NULL),
                     ERR_UNAVAILABLE);
    assert_int_equal(alarms(w, NULL), 0);
    world_free(w);
}

static void duplicates_can_be_switched_off(void **state)
{
    (void)state;
    struct two t = make_two();
    struct msg_grant g;
    t.w->service.no_duplicates = true;
    assert_int_equal(claim(t.w, &g), ERR_NOT_FOUND);
    world_free(t.w);
}

/* --- verify --agents -------------------------------------------------------------------------- */

static struct msg_replay ask_replay(struct world *w, const struct msg_verify *v)
{
    struct msg_replays out = {0};
    OK(ask(w, NULL, runs_verify, "demo", 0, v, &out, NULL));
    assert_int_equal(out.replay_count, 1);
    return out.replays[0];
}

static struct msg_replay first_replay(struct world *w)
{
    struct msg_replay r;
    struct call c;
    OK(ask(w, NULL, runs_replays, "demo", 0, NULL, NULL, &c));
    assert_true(c.raw_len > 4);
    size_t len = (size_t)(strchr(c.raw, '}') - c.raw); /* of an array of flat objects */
    OK(message_decode(&message_replay, c.raw + 1, len, &r, &w->arena, &err));
    return r;
}

static void others_replay_what_verify_asks_for(void **state)
{
    (void)state;
    struct world *w = world_make();
    struct msg_completed done;
    struct msg_grant g;
    make_run(w);
    uint32_t n = do_all(w, grants);
    uint64_t doer = w->agent, other = world_join(w, 'b', "other"), link = 0;
    for (uint32_t i = 0; i < n; i++)
        if (grants[i].kind == JOB_TRAIN)
            link = grants[i].job;
    struct msg_job_id ids[] = {{link}};
    struct msg_verify v = {ids, 1};
    for (int lie = 0; lie < 2; lie++) {
        struct msg_replay r = ask_replay(w, &v);
        assert_true(r.replay > link);
        assert_string_equal(r.doer, "machine");
        assert_int_equal(ask_replay(w, &v).replay, r.replay); /* asked again */
        w->agent = doer;
        assert_int_equal(claim(w, &g), ERR_NOT_FOUND); /* others first */
        w->agent = other;
        OK(claim(w, &g));
        assert_int_equal(g.job, r.replay);
        assert_int_equal(g.kind, JOB_TRAIN);
        OK(finish(w, &g, lie ? 777 : link, &done));
        assert_null(done.next);
        assert_int_equal(alarms(w, NULL), lie);
        struct job_row row = job_of(w, r.replay);
        assert_int_equal(row.state, JOB_DONE);
        assert_int_equal(row.verdict, lie);
    }
    struct msg_replay agreed = first_replay(w);
    assert_string_equal(agreed.verdict, "agrees");
    assert_string_equal(agreed.agent, "other");
    assert_int_equal(show(w, "demo").state, RUN_DONE);
    /* What was published stays; the coordinator's own jobs are not given to agents. */
    assert_int_equal(job_of(w, link).agent, doer);
    ids[0].job = link + 1;
    while (job_of(w, ids[0].job).key.kind != JOB_REPORT)
        ids[0].job++;
    struct msg_replay refused = ask_replay(w, &v);
    assert_int_equal(refused.replay, 0);
    assert_non_null(refused.reason);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_idle_agent_overtakes_a_slow_one),
        cmocka_unit_test(another_result_raises_an_alarm),
        cmocka_unit_test(the_holder_may_be_first_after_all),
        cmocka_unit_test(a_duplicate_that_fails_harms_nobody),
        cmocka_unit_test(a_duplicate_that_was_given_up_is_tried_by_others),
        cmocka_unit_test(nobody_is_accused_by_a_result_that_is_none),
        cmocka_unit_test(duplicates_can_be_switched_off),
        cmocka_unit_test(others_replay_what_verify_asks_for),
    };
    return cmocka_run_group_tests(tests, forge_folder_make, forge_folder_remove);
}
