/* What operators say to runs and agents holds at once, for every way in which a job changes hands:
 * claims, the next link of a chain, offers of saves, heartbeats, joins. */
#include "core/base/text.h"
#include "coordinator/lease/lease.h"
#include "coordinator/run/events.h"
#include "coordinator/run/runs.h"
#include "coordinator/store/ops_events.h"
#include "coordinator/store/ops_steer.h"
#include "tests/coordinator/lease/lease_world.h"

#define WALL_MS 1700000000000

/* An operator's request, by name. */
struct order {
    struct world *w;
    call_fn *fn;
    const char *name;
    uint64_t id, invitation;
    enum caller caller;
    const void *in;
    void *out;
    uint64_t ready;
};

static int order_fn(struct store_conn *conn, void *arg, struct err *e)
{
    struct order *o = arg;
    struct call c = {.service = &o->w->service,
                     .conn = conn,
                     .arena = &o->w->arena,
                     .caller = o->caller,
                     .invitation = o->invitation,
                     .name = o->name,
                     .id = o->id,
                     .now_ms = o->w->now_ms,
                     .wall_ms = WALL_MS + o->w->now_ms};
    int rc = o->fn(&c, o->in, o->out, e);
    o->ready = c.ready;
    return rc;
}

static int order(struct world *w, call_fn *fn, const char *name, const void *in, void *out)
{
    struct order o = {.w = w, .fn = fn, .name = name, .caller = CALLER_ADMIN, .in = in, .out = out};
    int rc = store_write_wait(w->service.store, order_fn, &o, &err);
    w->ready = o.ready;
    return rc;
}

static int on_run(struct world *w, call_fn *fn, const void *in, struct msg_run *out)
{
    return order(w, fn, "demo", in, out);
}

/* Agents are all called "machine" by join(): these have names of their own. */
static void join_as(struct world *w, char letter, const char *name, uint64_t invitation,
                    uint64_t *agent, int wanted)
{
    char identity[65];
    struct msg_joined joined = {0};
    memset(identity, letter, 64);
    identity[64] = 0;
    struct msg_join m = {.identity = identity, .name = name, .threads = 1};
    struct order o = {.w = w,
                      .fn = lease_join,
                      .caller = CALLER_JOIN,
                      .invitation = invitation,
                      .in = &m,
                      .out = &joined};
    assert_int_equal(store_write_wait(w->service.store, order_fn, &o, &err), wanted);
    if (wanted == 0) {
        *agent = joined.agent;
        strcpy(w->token, joined.token);
    }
}

static void rename_agents(struct world *w)
{
    join_as(w, 'a', "lab-1", 0, &w->agents[0], 0);
    join_as(w, 'b', "lab-2", 0, &w->agents[1], 0);
    join_as(w, 'c', "home-1", 0, &w->agents[2], 0);
}

static uint32_t fleet(struct world *w, call_fn *fn, const char *pattern, const char *label,
                      bool now)
{
    struct msg_pattern p = {pattern};
    struct msg_tag t = {"site", label};
    struct msg_fleet m = {.names = &p,
                          .name_count = pattern ? 1 : 0,
                          .having = &t,
                          .having_count = label ? 1 : 0,
                          .now = now};
    struct msg_fleet_done done = {0};
    OK(order(w, fn, NULL, &m, &done));
    return done.agent_count;
}

static uint32_t label(struct world *w, const char *pattern, const char *name, const char *value)
{
    struct msg_pattern p = {pattern};
    struct msg_tag t = {name, value};
    struct msg_fleet m = {.names = &p, .name_count = 1, .set = &t, .set_count = 1};
    struct msg_fleet_done done = {0};
    OK(order(w, agents_label, NULL, &m, &done));
    return done.agent_count;
}

/* The kinds of events so far, "run.paused run.resumed". */
static const char *events(struct world *w)
{
    static char kinds[4000];
    struct store_conn *c;
    struct event *rows;
    uint32_t count;
    OK(store_read_begin(w->service.store, &c, &err));
    OK(op_events_since(c, 0, 1000, &w->arena, &rows, &count, &err));
    store_read_end(w->service.store, c);
    kinds[0] = 0;
    for (uint32_t i = 0; i < count; i++)
        snprintf(kinds + strlen(kinds), sizeof kinds - strlen(kinds), "%s%s%s ", rows[i].kind,
                 rows[i].who ? ":" : "", rows[i].who ? rows[i].who : "");
    return kinds;
}

static void test_a_paused_run_gets_no_agents(void **state)
{
    struct world *w = *state;
    struct msg_pause pause = {0};
    struct msg_run run;
    struct msg_grant g, other;
    int command;
    OK(claim(w, 0, &g));
    OK(heartbeat(w, 0, &g, &command));
    assert_int_equal(command, COMMAND_CONTINUE);
    OK(on_run(w, runs_pause, &pause, &run));
    assert_true(run.paused && run.state == RUN_ACTIVE && run.resume_at == 0);
    assert_non_null(strstr(run.reason, "paused until `tacit run resume demo`"));
    /* No new grants; who works is told to save and hand back, and may still deliver. */
    assert_int_equal(claim(w, 1, &other), ERR_NOT_FOUND);
    assert_false(w->ready);
    OK(heartbeat(w, 0, &g, &command));
    assert_int_equal(command, COMMAND_HAND_OVER);
    OK(release(w, 0, &g));
    assert_int_equal(claim(w, 0, &other), ERR_NOT_FOUND);
    /* Its own save does not get it the job, either. */
    struct msg_saved saved = {.job = g.job, .step = 5};
    struct msg_claim offer = {.saves = &saved, .save_count = 1};
    assert_int_equal(request(w, lease_claim, w->agents[0], 0, &offer, &other), ERR_NOT_FOUND);
    OK(on_run(w, runs_pause, &pause, &run)); /* again: nothing is told twice */
    OK(on_run(w, runs_resume, NULL, &run));
    assert_true(!run.paused && w->ready >= 3);
    OK(on_run(w, runs_resume, NULL, &run));
    OK(claim(w, 1, &other));
    assert_int_equal(other.job, g.job);
    const char *told = strstr(events(w), "run.paused");
    assert_string_equal(told, "run.paused:admin run.resumed:admin ");
}

static void test_the_next_link_waits_for_the_pause_to_end(void **state)
{
    struct world *w = *state;
    struct msg_pause pause = {0};
    struct msg_run run;
    struct msg_grant g;
    struct msg_blob out[2];
    struct msg_completed done = {0};
    OK(claim(w, 0, &g));
    OK(on_run(w, runs_pause, &pause, &run));
    make_outputs(w, 1, out);
    OK(complete(w, 0, &g, out, &done)); /* what is finished is taken */
    assert_null(done.next);
    assert_int_equal(job_of(w, g.job).state, JOB_DONE);
    assert_int_equal(claim(w, 0, &g), ERR_NOT_FOUND);
}

static void test_a_pause_ends_by_itself_also_after_a_restart(void **state)
{
    struct world *w = *state;
    struct msg_pause pause = {.until = (uint64_t)(WALL_MS + w->now_ms + 60000)};
    struct msg_run run;
    struct msg_grant g;
    OK(on_run(w, runs_pause, &pause, &run));
    assert_non_null(strstr(run.reason, "paused for another 1m 00s"));
    stop(w);
    start(w);
    w->now_ms += 59000;
    (void)tick(w);
    assert_int_equal(claim(w, 0, &g), ERR_NOT_FOUND);
    w->now_ms += 1500;
    w->woken = 0;
    (void)tick(w);
    assert_true(w->woken >= 3); /* agents that wait for work are told */
    OK(claim(w, 0, &g));
    assert_non_null(strstr(events(w), "run.paused:admin run.resumed "));
    pause.until = (uint64_t)(WALL_MS + w->now_ms - 1);
    assert_int_equal(on_run(w, runs_pause, &pause, &run), ERR_INVALID);
}

static void test_cancelled_twice_is_cancelled(void **state)
{
    struct world *w = *state;
    struct msg_run run;
    struct msg_grant g;
    struct msg_blob out[2];
    struct msg_completed done;
    struct msg_pause pause = {0};
    int command;
    OK(claim(w, 0, &g));
    OK(on_run(w, runs_pause, &pause, &run));
    OK(on_run(w, runs_cancel, NULL, &run));
    OK(on_run(w, runs_cancel, NULL, &run));
    assert_true(run.state == RUN_CANCELLED && !run.paused && run.jobs_leased == 0);
    OK(heartbeat(w, 0, &g, &command));
    assert_int_equal(command, COMMAND_ABANDON);
    make_outputs(w, 1, out);
    assert_int_equal(complete(w, 0, &g, out, &done), ERR_FENCED);
    assert_int_equal(on_run(w, runs_resume, NULL, &run), ERR_CONFLICT);
    const char *told = strstr(events(w), "run.cancelled:admin");
    assert_non_null(told);
    assert_null(strstr(told + 1, "run.cancelled"));
}

static int another_run(struct call *c, const void *in, void *out, struct err *e)
{
    (void)in;
    return make_other(c, out, e);
}

static void test_runs_of_higher_priority_go_first(void **state)
{
    struct world *w = *state;
    struct msg_priority first = {5}, wrong = {2.5};
    struct msg_run run;
    struct msg_grant g;
    OK(request(w, another_run, 0, 0, NULL, w));
    OK(order(w, runs_priority, "other", &first, &run));
    assert_true(run.priority == 5);
    for (int i = 0; i < 3; i++) {
        OK(claim(w, i, &g));
        assert_string_equal(g.run, "other");
    }
    assert_int_equal(on_run(w, runs_priority, &wrong, &run), ERR_INVALID);
}

static void test_a_misspelt_run_is_guessed(void **state)
{
    struct world *w = *state;
    struct msg_run run;
    assert_int_equal(order(w, runs_resume, "dem", NULL, &run), ERR_NOT_FOUND);
    assert_non_null(strstr(err.message, "did you mean \"demo\"?"));
}

static void test_drained_agents_finish_and_get_no_more(void **state)
{
    struct world *w = *state;
    struct msg_grant g, other;
    struct msg_blob out[2];
    struct msg_completed done = {0};
    int command;
    rename_agents(w);
    OK(claim(w, 0, &g));
    assert_int_equal(fleet(w, agents_drain, "lab-*", NULL, false), 2);
    OK(heartbeat(w, 0, &g, &command));
    assert_int_equal(command, COMMAND_CONTINUE);
    make_outputs(w, 1, out);
    OK(complete(w, 0, &g, out, &done));
    assert_null(done.next); /* the chain goes on elsewhere */
    assert_int_equal(claim(w, 0, &other), ERR_DRAINED);
    assert_non_null(strstr(err.message, "tacit agents undrain lab-1"));
    assert_int_equal(claim(w, 1, &other), ERR_DRAINED);
    OK(claim(w, 2, &other));
    /* One that holds a job, and comes back after its process ended, may finish it. */
    assert_int_equal(fleet(w, agents_drain, "home-1", NULL, false), 1);
    OK(claim(w, 2, &g));
    assert_int_equal(g.job, other.job);
    assert_int_equal(fleet(w, agents_drain, "home-1", NULL, true), 1);
    OK(heartbeat(w, 2, &g, &command));
    assert_int_equal(command, COMMAND_HAND_OVER);
    OK(release(w, 2, &g));
    assert_int_equal(claim(w, 2, &g), ERR_DRAINED);
    assert_int_equal(fleet(w, agents_undrain, "*", NULL, false), 3);
    assert_true(w->ready > 0);
    OK(claim(w, 0, &g));
}

static void test_slips_in_names_change_nothing(void **state)
{
    struct world *w = *state;
    struct msg_pattern p[2] = {{"lab-1"}, {"lab-22"}};
    struct msg_fleet m = {.names = p, .name_count = 2}, none = {0};
    struct msg_fleet_done done = {0};
    struct msg_grant g;
    rename_agents(w);
    assert_int_equal(order(w, agents_revoke, NULL, &m, &done), ERR_NOT_FOUND);
    assert_non_null(strstr(err.message, "did you mean \"lab-2\"?"));
    assert_int_equal(order(w, agents_revoke, NULL, &none, &done), ERR_INVALID);
    OK(claim(w, 0, &g));
}

static int token_of(struct world *w, uint64_t *agent)
{
    struct store_conn *c;
    OK(store_read_begin(w->service.store, &c, &err));
    int rc = lease_agent_of_token(c, w->token, agent, &err);
    store_read_end(w->service.store, c);
    return rc;
}

static void test_a_revoked_agent_is_out_at_once(void **state)
{
    struct world *w = *state;
    struct msg_grant g, other;
    uint64_t agent;
    rename_agents(w); /* the token kept is home-1's */
    OK(token_of(w, &agent));
    OK(claim(w, 2, &g));
    assert_int_equal(fleet(w, agents_revoke, "home-1", NULL, false), 1);
    assert_int_equal(w->ready, 1);
    assert_int_equal(token_of(w, &agent), ERR_DENIED);
    /* A claim that was waiting when it was revoked gets nothing, and its job is another's. */
    assert_int_equal(claim(w, 2, &other), ERR_DENIED);
    OK(claim(w, 0, &other));
    assert_int_equal(other.job, g.job);
    assert_int_equal(job_of(w, g.job).failures, 0);
    join_as(w, 'c', "home-1", 0, &agent, ERR_DENIED); /* nor does it join again */
    assert_int_equal(fleet(w, agents_restore, "home-1", NULL, false), 1);
    OK(token_of(w, &agent));
    join_as(w, 'c', "home-1", 0, &agent, 0);
    OK(claim(w, 2, &g));
}

static int need_lab(struct call *c, const void *in, void *out, struct err *e)
{
    (void)in;
    return op_run_need_add(c->conn, ((struct world *)out)->run, "site", "lab", e);
}

static void test_jobs_go_to_agents_with_the_labels(void **state)
{
    struct world *w = *state;
    struct msg_grant g;
    rename_agents(w);
    OK(request(w, need_lab, 0, 0, NULL, w));
    assert_int_equal(claim(w, 0, &g), ERR_NOT_FOUND);
    assert_true(w->ready > 0); /* whoever waits behind it may have the label */
    assert_int_equal(label(w, "lab-*", "site", "lab"), 2);
    assert_true(w->ready > 0);
    OK(claim(w, 0, &g));
    assert_int_equal(claim(w, 2, &g), ERR_NOT_FOUND);
    assert_int_equal(fleet(w, agents_drain, NULL, "lab", false), 2);
    assert_int_equal(claim(w, 1, &g), ERR_DRAINED);
    assert_int_equal(fleet(w, agents_undrain, NULL, "lab", false), 2);
    assert_int_equal(label(w, "lab-2", "site", ""), 1);
    assert_int_equal(claim(w, 1, &g), ERR_NOT_FOUND);
}

static void test_owners_get_what_their_quota_lets_them(void **state)
{
    struct world *w = *state;
    struct msg_quota q = {.owner = "physics", .limited = true, .jobs = 1}, set;
    struct msg_grant g[3];
    struct msg_blob out[2];
    struct msg_completed done = {0};
    rename_agents(w);
    assert_int_equal(label(w, "lab-*", "owner", "physics"), 2);
    OK(order(w, quotas_set, NULL, &q, &set));
    OK(claim(w, 0, &g[0]));
    assert_int_equal(claim(w, 1, &g[1]), ERR_NOT_FOUND);
    OK(claim(w, 2, &g[2])); /* others are not concerned */
    make_outputs(w, 1, out);
    OK(complete(w, 0, &g[0], out, &done));
    assert_non_null(done.next); /* as many as before */
    OK(release(w, 0, done.next));
    assert_true(w->ready >= 1);
    OK(claim(w, 1, &g[1]));
    assert_int_equal(claim(w, 0, &g[0]), ERR_NOT_FOUND);
    q.limited = false;
    OK(order(w, quotas_set, NULL, &q, &set));
    OK(claim(w, 0, &g[0]));
}

static uint64_t invite(struct world *w, uint64_t uses, uint64_t expires_at, const char *owner)
{
    struct msg_invitation m = {.uses = uses, .expires_at = expires_at, .owner = owner}, made = {0};
    OK(order(w, invitations_make, NULL, &m, &made));
    assert_int_equal(strlen(made.token), 64);
    return made.invitation;
}

static void test_invitations_are_for_so_many_and_so_long(void **state)
{
    struct world *w = *state;
    uint64_t agent, again, late = (uint64_t)(WALL_MS + w->now_ms + 1000);
    struct msg_quota q = {.owner = "alice", .limited = true, .jobs = 0}, set;
    struct msg_grant g;
    uint64_t two = invite(w, 2, 0, "alice"), brief = invite(w, 0, late, NULL);
    join_as(w, 'd', "x", two, &agent, 0);
    join_as(w, 'd', "x", two, &again, 0); /* back after a restart: counted once */
    assert_int_equal(agent, again);
    join_as(w, 'e', "y", two, &again, 0);
    join_as(w, 'f', "z", two, &again, ERR_DENIED);
    join_as(w, 'd', "x", two, &again, 0);
    /* Its owner is the agents' owner. */
    OK(order(w, quotas_set, NULL, &q, &set));
    w->agents[0] = agent;
    assert_int_equal(claim(w, 0, &g), ERR_NOT_FOUND);
    join_as(w, '0', "u", brief, &again, 0);
    w->now_ms += 2000;
    join_as(w, '1', "v", brief, &again, ERR_DENIED);
    assert_non_null(strstr(err.message, "over"));
    join_as(w, '0', "u", brief, &again, 0);
    uint64_t open = invite(w, 0, 0, NULL);
    struct order o = {
        .w = w, .fn = invitations_end, .id = open, .caller = CALLER_ADMIN, .out = &set};
    OK(store_write_wait(w->service.store, order_fn, &o, &err));
    join_as(w, '2', "w", open, &again, ERR_DENIED);
}

static void test_a_data_set_in_use_stays(void **state)
{
    struct world *w = *state;
    struct msg_delete m = {0}, force = {.force = true};
    struct msg_empty out;
    struct msg_run run;
    assert_int_equal(order(w, datasets_delete, "corpus", &m, &out), ERR_CONFLICT);
    assert_non_null(strstr(err.message, "demo"));
    assert_int_equal(order(w, datasets_delete, "corpus", &force, &out), ERR_CONFLICT);
    OK(on_run(w, runs_cancel, NULL, &run));
    OK(order(w, datasets_delete, "corpus", &m, &out));
    assert_int_equal(order(w, datasets_delete, "corpus", &m, &out), ERR_NOT_FOUND);
    OK(on_run(w, runs_show, NULL, &run)); /* its run is still shown */
    assert_non_null(strstr(run.dataset, "deleted"));
}

/* A thousand runs, each with three jobs that are ready. */
#define RUNS 1000
#define JOINING 100

static int many_runs(struct call *c, const void *in, void *out, struct err *e)
{
    struct world *w = out;
    struct run_row row;
    char name[32];
    uint64_t id;
    (void)in;
    int rc = op_run_get(c->conn, w->run, &w->arena, &row, e);
    for (int i = 0; !rc && i < RUNS; i++) {
        struct digest d = {{7, (uint8_t)i, (uint8_t)(i >> 8)}};
        snprintf(name, sizeof name, "many-%d", i);
        rc = op_run_insert(c->conn, name, row.dataset, &d, w->spec, 2, &id, e);
        if (!rc)
            rc = run_advance(c, id, NULL, e);
    }
    return rc;
}

/* A hundred machines that come in the middle get work at once; a thousand runs that are cancelled
 * are so in seconds, and whoever worked for them is told. */
static void test_a_hundred_join_and_a_thousand_are_cancelled(void **state)
{
    struct world *w = *state;
    static struct msg_grant grants[JOINING];
    static uint64_t agents[JOINING];
    char identity[65], name[32];
    struct msg_run run;
    OK(request(w, many_runs, 0, 0, NULL, w));
    for (int i = 0; i < JOINING; i++) {
        struct msg_joined joined = {0};
        struct msg_claim m = {0};
        snprintf(identity, sizeof identity, "%064x", 0x1000 + i);
        struct msg_join j = {.identity = identity, .name = "late", .threads = 1};
        OK(request(w, lease_join, 0, 0, &j, &joined));
        agents[i] = joined.agent;
        OK(request(w, lease_claim, agents[i], 0, &m, &grants[i]));
    }
    for (int i = 0; i < RUNS; i++) {
        snprintf(name, sizeof name, "many-%d", i);
        OK(order(w, runs_cancel, name, NULL, &run));
        assert_true(run.state == RUN_CANCELLED && run.jobs_leased == 0 && run.jobs_waiting == 0);
    }
    int told = 0;
    for (int i = 0; i < JOINING; i++) {
        struct msg_heartbeat m = {.fence = grants[i].fence, .loss = NAN, .rate = NAN};
        struct msg_command out = {.command = -1};
        OK(request(w, lease_heartbeat, agents[i], grants[i].job, &m, &out));
        bool many = strncmp(grants[i].run, "many-", 5) == 0;
        assert_int_equal(out.command, many ? COMMAND_ABANDON : COMMAND_CONTINUE);
        told += many;
    }
    assert_true(told >= JOINING - 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_paused_run_gets_no_agents),
        TEST(test_the_next_link_waits_for_the_pause_to_end),
        TEST(test_a_pause_ends_by_itself_also_after_a_restart),
        TEST(test_cancelled_twice_is_cancelled),
        TEST(test_runs_of_higher_priority_go_first),
        TEST(test_a_misspelt_run_is_guessed),
        TEST(test_drained_agents_finish_and_get_no_more),
        TEST(test_slips_in_names_change_nothing),
        TEST(test_a_revoked_agent_is_out_at_once),
        TEST(test_jobs_go_to_agents_with_the_labels),
        TEST(test_owners_get_what_their_quota_lets_them),
        TEST(test_invitations_are_for_so_many_and_so_long),
        TEST(test_a_data_set_in_use_stays),
        TEST(test_a_hundred_join_and_a_thousand_are_cancelled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
