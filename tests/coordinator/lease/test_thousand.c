/* A thousand agents whose run is cancelled are free again in seconds, and what is told of their
 * jobs is true, then and later; and a coordinator of any age starts as one of the first day does.
 */
#include <fcntl.h>
#include <sqlite3.h>
#include <unistd.h>
#include "core/env/clock.h"
#include "coordinator/run/runs.h"
#include "coordinator/store/ops_attempts.h"
#include "tests/coordinator/lease/lease_world.h"

#define MANY 1000
#define CANCEL_MS 10000 /* seconds, on a machine that does other things */

static const char many_text[] = "[run]\nname = many\ndataset = corpus\nexperts = 999\n"
                                "[router]\nhidden = 16\nlayers = 1\nheads = 2\nsequences = 4000\n"
                                "rounds = 2\nbatch = 1\nprefix = 8\n"
                                "[expert]\nhidden = 16\nlayers = 1\nheads = 2\nsteps = 40\n"
                                "batch = 2\n[checkpoint]\nevery_steps = 10\npublish_steps = 20\n";

static struct msg_grant grants[MANY];
static uint64_t agents[MANY];

/* Beside the world's own run, which has three jobs. */
static int make_many(struct call *c, const void *in, void *out, struct err *e)
{
    struct world *w = out;
    struct run_spec spec;
    struct run_row first;
    struct buf text;
    struct digest d;
    (void)in;
    OK(op_run_get(c->conn, w->run, &w->arena, &first, e));
    OK(spec_parse(many_text, strlen(many_text), "a.ini", &spec, e));
    buf_init(&text, SPEC_BYTES_MAX);
    OK(spec_canonical(&spec, &text, e));
    digest_of(text.data, text.len, &d);
    int rc = op_run_insert(c->conn, "many", first.dataset, &d, text.data, 2, &w->other, e);
    buf_free(&text);
    return rc ? rc : run_advance(c, w->other, NULL, e);
}

/* All in one transaction: a thousand of them would be waiting for the disk. */
static int claim_many(struct call *c, const void *in, void *out, struct err *e)
{
    (void)in;
    (void)out;
    for (int i = 0; i < MANY; i++) {
        struct msg_claim m = {0};
        struct msg_joined joined;
        char identity[65];
        snprintf(identity, sizeof identity, "%064x", i + 1);
        struct msg_join join = {.identity = identity, .name = "machine", .threads = 1};
        c->agent = 0;
        OK(lease_join(c, &join, &joined, e));
        c->agent = agents[i] = joined.agent;
        OK(lease_claim(c, &m, &grants[i], e));
    }
    return 0;
}

static int cancel_many(struct call *c, const void *in, void *out, struct err *e)
{
    c->name = "many";
    return runs_cancel(c, in, out, e);
}

static int beat(struct world *w, int i)
{
    struct msg_heartbeat m = {.fence = grants[i].fence, .step = 7, .total = 20, .loss = 2.5};
    struct msg_command out = {.command = -1};
    m.rate = NAN;
    OK(request(w, lease_heartbeat, agents[i], grants[i].job, &m, &out));
    return out.command;
}

/* Every job of the run is cancelled, and every attempt at one. */
static void states_are_true(struct world *w)
{
    struct store_conn *c;
    uint64_t states[5];
    OK(store_read_begin(w->service.store, &c, &err));
    OK(op_job_states(c, w->other, states, &err));
    for (int s = 0; s < 5; s++)
        assert_int_equal(states[s], s == JOB_CANCELLED ? MANY : 0);
    for (int i = 0; i < MANY; i++) {
        struct attempt_row *rows;
        struct job_row job;
        uint32_t count;
        OK(op_attempts(c, grants[i].job, &w->arena, &rows, &count, &err));
        assert_int_equal(count, 1);
        assert_int_equal(rows[0].outcome, ATTEMPT_CANCELLED);
        assert_int_equal(rows[0].agent, agents[i]);
        OK(op_job_get(c, grants[i].job, &w->arena, &job, &err));
        assert_int_equal(job.agent, 0);
        assert_int_equal(job.failures, 0);
    }
    store_read_end(w->service.store, c);
}

static void test_a_thousand_cancelled_jobs_end(void **state)
{
    struct world *w = *state;
    struct msg_run run;
    struct msg_grant g;
    int command;
    for (int i = 0; i < 3; i++) /* what was there before is in hand, too */
        OK(claim(w, i, &grants[i]));
    struct msg_grant other = grants[0];
    OK(request(w, make_many, 0, 0, NULL, w));
    OK(request(w, claim_many, 0, 0, NULL, NULL));
    for (int i = 0; i < MANY; i++)
        assert_int_equal(beat(w, i), COMMAND_CONTINUE);

    int64_t began = env_monotonic_ms();
    OK(request(w, cancel_many, 0, 0, NULL, &run));
    assert_int_equal(run.state, RUN_CANCELLED);
    for (int i = 0; i < MANY; i++)
        assert_int_equal(beat(w, i), COMMAND_ABANDON);
    int64_t took = env_monotonic_ms() - began;
    print_message("%d cancelled jobs: every agent told after %lld ms\n", MANY, (long long)took);
    assert_true(took < CANCEL_MS);
    states_are_true(w);

    /* Their agents are free, and a lease that runs out brings none of the jobs back. */
    struct msg_claim m = {0};
    assert_int_equal(request(w, lease_claim, agents[0], 0, &m, &g), ERR_NOT_FOUND);
    w->now_ms += 2 * LEASE_MS;
    for (int i = 0; i < 2 * MANY / 256; i++)
        tick(w);
    states_are_true(w);
    OK(heartbeat(w, 0, &other, &command)); /* another run's is not touched */
    assert_int_equal(command, COMMAND_CONTINUE);
}

/* --- start-up --------------------------------------------------------------------------------- */

/* What this process has asked the system to read so far. */
static uint64_t bytes_read(void)
{
    char text[512];
    int fd = open("/proc/self/io", O_RDONLY);
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    assert_true(n > 0);
    text[n] = 0;
    const char *at = strstr(text, "rchar: ");
    assert_non_null(at);
    return strtoull(at + 7, NULL, 10);
}

static uint64_t start_reads(struct world *w)
{
    uint64_t before = bytes_read();
    start(w);
    tick(w);
    uint64_t after = bytes_read();
    stop(w);
    return after - before;
}

/* As if the run had gone on for months: done links with an attempt and an output each. */
static void age(struct world *w, int jobs)
{
    char path[128], sql[1400];
    sqlite3 *db;
    char *message = NULL;
    snprintf(path, sizeof path, "%s/tacit.db", w->dir);
    snprintf(
        sql, sizeof sql,
        "BEGIN;"
        "CREATE TEMP TABLE made AS WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1"
        " FROM n WHERE i < %d) SELECT (SELECT max(id) FROM job) + i AS id FROM n;"
        "INSERT INTO job (id, run, kind, target, idx, round, chunk, part, final, step_first,"
        " step_last, state, priority, agent, fence_incarnation, fence_counter, attempts, since_ms)"
        " SELECT id, %llu, 4, 2, 0, 0, 0, 0, 0, 20 * id, 20 * id + 20, 2, 0, %llu, 1, 1000000 + id,"
        " 1, id FROM made;"
        "INSERT INTO attempt (job, number, agent, fence_incarnation, fence_counter, started_ms,"
        " ended_ms, outcome, step_first, step) SELECT id, 1, %llu, 1, 1000000 + id, id, id, 1,"
        " 20 * id, 20 * id + 20 FROM made;"
        "INSERT INTO output (job, number, role, idx, digest, bytes, content, first, count)"
        " SELECT id, 0, 0, 0, randomblob(32), 1, randomblob(32), 0, 0 FROM made;"
        "COMMIT;",
        jobs, (unsigned long long)w->run, (unsigned long long)w->agents[0],
        (unsigned long long)w->agents[0]);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    if (sqlite3_exec(db, sql, NULL, NULL, &message))
        fail_msg("%s", message);
    sqlite3_close(db);
}

static void test_a_start_does_not_grow(void **state)
{
    struct world *w = *state;
    struct msg_grant g;
    OK(claim(w, 0, &g)); /* one job is in hand, as always */
    stop(w);
    start_reads(w);
    age(w, 100);
    uint64_t young = start_reads(w);
    age(w, 20000);
    uint64_t old = start_reads(w);
    print_message("a start reads %llu bytes; after 20,000 more jobs %llu\n",
                  (unsigned long long)young, (unsigned long long)old);
    assert_true(old < young + (64u << 10)); /* the jobs are megabytes: some pages of deeper trees */
    start(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_thousand_cancelled_jobs_end),
        TEST(test_a_start_does_not_grow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
