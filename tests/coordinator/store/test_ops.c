/* What is put into tacit.db comes back, states change only as they may, and what is asked often
 * stays quick when there are many jobs: no full scans, no sorting. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <string.h>
#include "core/base/text.h"
#include "coordinator/store/conn.h"
#include "coordinator/store/ops.h"
#include "coordinator/store/ops_events.h"
#include "coordinator/store/store.h"
#include "tests/coordinator/store/store_check.h"
#include "tests/coordinator/store/temp_dir.h"

struct world {
    char dir[64];
    struct store *s;
    struct arena arena;
    uint64_t dataset, run, agent;
};

static int in_writer(struct store_conn *c, void *arg, struct err *e)
{
    (void)e;
    int (*body)(struct store_conn *) = *(int (**)(struct store_conn *))arg;
    return body(c);
}

static struct world w;

/* Runs body in the writer's transaction; asserts inside it are the test's. */
static int write_with(int (*body)(struct store_conn *))
{
    return store_write_wait(w.s, in_writer, &body, &err);
}

static struct msg_shard shards[3] = {{{{1}}, 100, 40}, {{{2}}, 100, 40}, {{{3}}, 50, 20}};
static struct msg_shard heldout[1] = {{{{4}}, 30, 10}};
static struct msg_label labels[2] = {{"manuals"}, {"Московия"}};
static const struct msg_dataset corpus = {.name = "corpus",
                                          .vocab = 512,
                                          .seq = 16,
                                          .tokenizer = {{9}},
                                          .tokenizer_bytes = 77,
                                          .train = shards,
                                          .train_count = 3,
                                          .heldout = heldout,
                                          .heldout_count = 1,
                                          .labels = labels,
                                          .label_count = 2,
                                          .train_sequences = 100,
                                          .heldout_sequences = 10,
                                          .train_text_bytes = 1234,
                                          .heldout_text_bytes = 123,
                                          .documents = 12,
                                          .skipped = 1};

static int fill(struct store_conn *c)
{
    char identity[65];
    struct digest d = {{5}};
    memset(identity, 'a', 64);
    identity[64] = 0;
    struct msg_join m = {.identity = identity, .name = "machine", .threads = 3, .memory = 1u << 30};
    OK(op_dataset_insert(c, &corpus, 42, &w.dataset, &err));
    OK(op_run_insert(c, "demo", w.dataset, &d, "[run]\n", 43, &w.run, &err));
    OK(op_agent_put(c, &m, &d, 44, &w.agent, &err));
    return 0;
}

static int setup(void **state)
{
    (void)state;
    temp_dir_make(w.dir);
    arena_init(&w.arena, 256u << 20);
    OK(store_open_with(&w.s, w.dir, &(struct store_options){.stepped = true}, &err));
    OK(write_with(fill));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    store_close(w.s);
    arena_free(&w.arena);
    temp_dir_remove(w.dir);
    return 0;
}

static int datasets_body(struct store_conn *c)
{
    struct msg_dataset d, *rows;
    struct msg_shard *some;
    uint64_t id;
    uint32_t count;
    assert_int_equal(op_dataset_insert(c, &corpus, 50, &id, &err), ERR_EXISTS);
    assert_non_null(strstr(err.message, "corpus"));
    OK(op_dataset_find(c, "corpus", &id, &err));
    assert_int_equal(id, w.dataset);
    assert_int_equal(op_dataset_find(c, "other", &id, &err), ERR_NOT_FOUND);
    OK(op_dataset_get(c, w.dataset, true, &w.arena, &d, &err));
    assert_true(d.train_count == 3 && d.heldout_count == 1 && d.label_count == 2);
    assert_memory_equal(d.train, shards, sizeof shards);
    assert_memory_equal(d.heldout, heldout, sizeof heldout);
    assert_string_equal(d.labels[1].name, "Московия");
    assert_true(d.vocab == 512 && d.seq == 16 && d.tokenizer_bytes == 77 && d.documents == 12);
    assert_true(d.train_text_bytes == 1234 && d.heldout_text_bytes == 123 && d.skipped == 1);
    assert_true(d.train_sequences == 100 && d.heldout_sequences == 10 && d.created_at == 42);
    assert_true(digest_equal(&d.tokenizer, &corpus.tokenizer));
    OK(op_dataset_get(c, w.dataset, false, &w.arena, &d, &err));
    assert_true(!d.train && d.train_count == 0 && d.label_count == 2);
    OK(op_shards(c, w.dataset, 0, 1, 2, &w.arena, &some, &err));
    assert_memory_equal(some, shards + 1, 2 * sizeof *some);
    assert_int_equal(op_shards(c, w.dataset, 0, 2, 2, &w.arena, &some, &err), ERR_NOT_FOUND);
    OK(op_datasets(c, &w.arena, &rows, &count, &err));
    assert_true(count == 1 && strcmp(rows[0].name, "corpus") == 0);
    return 0;
}

static void test_data_sets_come_back(void **state)
{
    (void)state;
    OK(write_with(datasets_body));
}

static const struct job_key link_key = {
    .kind = JOB_TRAIN, .target = TARGET_EXPERT, .index = 2, .step_first = 0, .step_last = 20};

static int jobs_body(struct store_conn *c)
{
    bool inserted;
    struct job_row job, *rows;
    struct msg_fence f = {3, 4};
    uint32_t count;
    uint64_t n, step, states[5];
    struct job_key report = {.kind = JOB_REPORT}, score = {.kind = JOB_SCORE, .round = 1};
    OK(op_job_insert(c, w.run, &link_key, 7, 100, &inserted, &err));
    assert_true(inserted);
    OK(op_job_insert(c, w.run, &link_key, 9, 101, &inserted, &err));
    assert_false(inserted);
    OK(op_job_insert(c, w.run, &report, 99, 102, &inserted, &err));
    for (score.part = 0; score.part < 3; score.part++)
        OK(op_job_insert(c, w.run, &score, 7, 103, &inserted, &err));
    OK(op_job_find(c, w.run, &link_key, &w.arena, &job, &err));
    assert_true(job.key.index == 2 && job.key.step_last == 20 && job.priority == 7 && job.ready);
    assert_true(job.state == JOB_WAITING && job.agent == 0 && isnan(job.loss) && !job.errors);
    OK(op_job_next_link(c, w.run, TARGET_EXPERT, 2, 0, &w.arena, &job, &err));
    assert_int_equal(op_job_next_link(c, w.run, TARGET_EXPERT, 2, 20, &w.arena, &job, &err),
                     ERR_NOT_FOUND);
    /* The report has the highest priority, but is not an agent's. Equal priorities: oldest first.
     */
    OK(op_job_claim(c, false, w.agent, &f, 110, &w.arena, &job, &err));
    assert_true(job.key.kind == JOB_TRAIN && job.agent == w.agent && job.attempts == 1);
    assert_true(job.fence.incarnation == 3 && job.fence.counter == 4 && job.since_ms == 110);
    assert_int_equal(op_job_take(c, job.id, w.agent, &f, 111, &err), ERR_CONFLICT);
    struct job_row held, own;
    OK(op_job_held_by(c, w.agent, &w.arena, &held, &err));
    assert_int_equal(held.id, job.id);
    OK(op_job_claim(c, true, 0, &f, 112, &w.arena, &own, &err));
    assert_true(own.key.kind == JOB_REPORT && own.agent == 0);
    assert_int_equal(op_job_claim(c, true, 0, &f, 112, &w.arena, &own, &err), ERR_NOT_FOUND);

    struct msg_blob out[2] = {
        {.role = ROLE_MODEL, .index = 1, .digest = {{1}}, .content = {{2}}, .bytes = 10},
        {.role = ROLE_STATE, .digest = {{3}}, .bytes = 20, .first = 5, .count = 6}};
    struct msg_complete m = {.outputs = out,
                             .output_count = 2,
                             .loss = 1.25,
                             .seconds = 2,
                             .tokens = 3,
                             .bytes_down = 4,
                             .bytes_up = 5};
    OK(op_model_step(c, w.run, TARGET_EXPERT, 2, &step, &err));
    assert_int_equal(step, 0);
    OK(op_job_done(c, job.id, &m, "{}", 120, &err));
    assert_int_equal(op_job_done(c, job.id, &m, NULL, 121, &err), ERR_CONFLICT);
    OK(op_model_step(c, w.run, TARGET_EXPERT, 2, &step, &err));
    assert_int_equal(step, 20);
    OK(op_model_step(c, w.run, TARGET_EXPERT, 1, &step, &err));
    assert_int_equal(step, 0);
    OK(op_job_get(c, job.id, &w.arena, &job, &err));
    assert_true(job.state == JOB_DONE && job.loss == 1.25 && job.bytes_up == 5);
    assert_string_equal(job.detail, "{}");
    struct msg_blob *back;
    OK(op_outputs(c, job.id, &w.arena, &back, &count, &err));
    assert_int_equal(count, 2);
    assert_memory_equal(back, out, sizeof out);

    OK(op_job_count(c, w.run, &(struct job_key){.kind = JOB_SCORE, .round = 1}, JOB_WAITING, &n,
                    &err));
    assert_int_equal(n, 3);
    OK(op_job_count(c, w.run, &(struct job_key){.kind = JOB_SCORE, .round = 2}, JOB_WAITING, &n,
                    &err));
    assert_int_equal(n, 0);
    OK(op_job_count(c, w.run, &(struct job_key){.kind = JOB_TRAIN, .target = TARGET_DENSE},
                    JOB_DONE, &n, &err));
    assert_int_equal(n, 0);
    OK(op_job_count(c, w.run, &(struct job_key){.kind = JOB_TRAIN}, JOB_DONE, &n, &err));
    assert_int_equal(n, 1);
    OK(op_job_states(c, w.run, states, &err));
    assert_true(states[JOB_WAITING] == 3 && states[JOB_LEASED] == 1 && states[JOB_DONE] == 1);
    OK(op_job_states(c, 0, states, &err));
    assert_true(states[JOB_WAITING] == 3 && states[JOB_CANCELLED] == 0);
    OK(op_jobs(c, 0, -1, -1, 2, &w.arena, &rows, &count, &err));
    assert_true(count == 2 && rows[0].since_ms == 120 && rows[1].since_ms == 112);
    OK(op_jobs(c, w.run, JOB_SCORE, JOB_WAITING, 10, &w.arena, &rows, &count, &err));
    assert_int_equal(count, 3);
    OK(op_jobs(c, w.run + 1, -1, -1, 10, &w.arena, &rows, &count, &err));
    assert_int_equal(count, 0);
    OK(op_jobs_leased(c, &w.arena, &rows, &count, &err));
    assert_true(count == 1 && rows[0].key.kind == JOB_REPORT);
    struct agent_row agent;
    OK(op_agent_get(c, w.agent, &w.arena, &agent, &err));
    assert_true(agent.jobs_done == 1 && agent.failures == 0 && agent.threads == 3);
    return 0;
}

static void test_jobs_change_hands(void **state)
{
    (void)state;
    OK(write_with(jobs_body));
}

static void fail_once(struct store_conn *c, uint64_t job, const char *error)
{
    struct msg_fence f = {1, 1};
    OK(op_job_take(c, job, w.agent, &f, 1, &err));
    OK(op_job_return(c, job, true, error, 2, &err));
}

static int errors_body(struct store_conn *c)
{
    bool inserted;
    struct job_row job;
    static char text[9000];
    OK(op_job_insert(c, w.run, &link_key, 7, 100, &inserted, &err));
    OK(op_job_find(c, w.run, &link_key, &w.arena, &job, &err));
    for (int i = 0; i < 12; i++) {
        int n = snprintf(text, sizeof text, "%02d", i);
        for (; n + 2 < 8500; n += 2) /* two-byte letters: the cut must not split one */
            memcpy(text + n, "é", 3);
        if (i % 2)
            memmove(text + 3, text + 2, strlen(text + 2) + 1);
        fail_once(c, job.id, text);
        /* What a message takes, and no more: else a list of jobs could not be shown. */
        OK(op_job_get(c, job.id, &w.arena, &job, &err));
        size_t len = strlen(job.errors);
        assert_true(text_is_utf8(job.errors, len));
        assert_in_range(len, i ? PROTOCOL_TEXT_MAX - 2 : 4094, PROTOCOL_TEXT_MAX);
        const char *end = strchr(job.errors, '\n');
        assert_in_range(end ? end - job.errors : (long)len, 4094, 4096);
    }
    for (int i = 0; i < 12; i++) {
        snprintf(text, sizeof text, "%02d Latin-1: \xe4, in the middle", i);
        fail_once(c, job.id, text);
    }
    OK(op_job_get(c, job.id, &w.arena, &job, &err));
    assert_int_equal(job.failures, 24);
    unsigned lines = 0;
    for (const char *line = job.errors; line; lines++) {
        char wanted[40];
        snprintf(wanted, sizeof wanted, "%02u Latin-1: ?, in the middle", 11 - lines);
        assert_memory_equal(line, wanted, strlen(wanted));
        const char *end = strchr(line, '\n');
        line = end ? end + 1 : NULL;
    }
    assert_int_equal(lines, 8);
    struct agent_row agent;
    OK(op_agent_get(c, w.agent, &w.arena, &agent, &err));
    assert_int_equal(agent.failures, 24);
    return 0;
}

static void test_last_errors_are_kept(void **state)
{
    (void)state;
    OK(write_with(errors_body));
}

static int runs_body(struct store_conn *c)
{
    struct digest d = {{6}};
    struct run_row run, *rows;
    uint32_t count;
    uint64_t id, states[5];
    bool inserted;
    struct job_row job;
    struct msg_fence f = {1, 1};
    assert_int_equal(op_run_insert(c, "demo", w.dataset, &d, "", 1, &id, &err), ERR_EXISTS);
    assert_non_null(strstr(err.message, "demo"));
    OK(op_run_insert(c, "later", w.dataset, &d, "", 1, &id, &err));
    OK(op_runs(c, &w.arena, &rows, &count, &err));
    assert_true(count == 2 && strcmp(rows[0].name, "later") == 0);
    for (uint32_t i = 0; i < 4; i++) {
        struct job_key k = {.kind = JOB_EVAL, .target = TARGET_ROUTER, .index = i};
        OK(op_job_insert(c, w.run, &k, 5, 1, &inserted, &err));
    }
    OK(op_job_claim(c, false, w.agent, &f, 1, &w.arena, &job, &err));
    OK(op_job_done(c, job.id, &(struct msg_complete){.loss = NAN, .seconds = NAN}, NULL, 1, &err));
    OK(op_job_claim(c, false, w.agent, &f, 1, &w.arena, &job, &err));
    OK(op_run_end(c, w.run, RUN_FAILED, "why", 77, &err));
    OK(op_run_find(c, "demo", &w.arena, &run, &err));
    assert_true(run.state == RUN_FAILED && run.ended_ms == 77 && run.created_ms == 43);
    assert_string_equal(run.reason, "why");
    assert_string_equal(run.spec_text, "[run]\n");
    OK(op_job_states(c, w.run, states, &err));
    assert_true(states[JOB_DONE] == 1 && states[JOB_CANCELLED] == 3);
    assert_int_equal(op_job_held_by(c, w.agent, &w.arena, &job, &err), ERR_NOT_FOUND);
    assert_int_equal(op_run_end(c, w.run, RUN_DONE, NULL, 78, &err), ERR_CONFLICT);
    assert_int_equal(op_run_find(c, "none", &w.arena, &run, &err), ERR_NOT_FOUND);
    assert_non_null(strstr(err.message, "none"));
    /* A reason that no message could carry would hide all runs. */
    static char reason[9001];
    for (size_t i = 0; i + 2 < sizeof reason; i += 2)
        memcpy(reason + i, "é", 3);
    memmove(reason + 1, reason, 8000);
    OK(op_run_end(c, id, RUN_CANCELLED, reason, 79, &err));
    OK(op_run_find(c, "later", &w.arena, &run, &err));
    assert_in_range(strlen(run.reason), 1, PROTOCOL_TEXT_MAX);
    assert_true(text_is_utf8(run.reason, strlen(run.reason)));
    return 0;
}

static void test_runs_end_once(void **state)
{
    (void)state;
    OK(write_with(runs_body));
}

/* The schema is the last line against states that do not exist. */
static int checks_body(struct store_conn *c)
{
    static const char *const bad[] = {
        "UPDATE run SET state = 4",
        "UPDATE run SET state = 1", /* ended, but not when */
        "INSERT INTO job (run, kind, target, idx, round, chunk, part, final, step_first, step_last,"
        " priority, since_ms) VALUES (1, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)",
        "INSERT INTO job (run, kind, target, idx, round, chunk, part, final, step_first, step_last,"
        " priority, since_ms) VALUES (99, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)",
        "UPDATE agent SET token_hash = x'00'",
        "UPDATE agent SET threads = 'many'",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(sqlite3_exec(c->db, bad[i], NULL, NULL, NULL) & 0xff, SQLITE_CONSTRAINT);
    return 0;
}

static void test_schema_refuses_impossible_states(void **state)
{
    (void)state;
    OK(write_with(checks_body));
}

static int numbers_body(struct store_conn *c)
{
    bool inserted;
    struct job_key k = {.kind = JOB_EVAL, .step_last = UINT64_MAX};
    return op_job_insert(c, w.run, &k, 5, 1, &inserted, &err);
}

static void test_number_too_large_for_the_database_is_refused(void **state)
{
    (void)state;
    assert_int_equal(write_with(numbers_body), ERR_RANGE);
}

static int events_body(struct store_conn *c)
{
    static char longer[5000];
    struct event *rows;
    uint32_t count;
    uint64_t id;
    OK(op_events_last(c, &id, &err));
    assert_int_equal(id, 0);
    struct event paused = {.kind = "run.paused", .run = w.run, .who = "admin", .text = "for 2h"};
    OK(op_event_add(c, &paused, 100, &err));
    struct event joined = {.kind = "agent.joined", .agent = w.agent, .text = "it\njoined \xff"};
    OK(op_event_add(c, &joined, 200, &err));
    OK(op_events_since(c, 0, 10, &w.arena, &rows, &count, &err));
    assert_int_equal(count, 2);
    assert_true(rows[0].id < rows[1].id && rows[0].at_ms == 100 && rows[0].agent_name == NULL);
    assert_string_equal(rows[0].kind, "run.paused");
    assert_string_equal(rows[0].run_name, "demo");
    assert_string_equal(rows[0].who, "admin");
    assert_string_equal(rows[1].agent_name, "machine");
    assert_null(rows[1].who);
    assert_string_equal(rows[1].text, "it");
    OK(op_events_since(c, rows[0].id, 10, &w.arena, &rows, &count, &err));
    assert_true(count == 1 && rows[0].agent == w.agent);
    OK(op_events_before(c, 150, &id, &err));
    assert_int_equal(id, rows[0].id - 1);
    OK(op_events_before(c, 300, &id, &err));
    assert_int_equal(id, rows[0].id);
    /* What is long is cut where a letter ends: it could not be shown to anybody else. */
    memset(longer, 'a', 1999);
    memcpy(longer + 1999, "éééé", 8);
    struct event wordy = {.kind = "run.failed", .text = longer};
    OK(op_event_add(c, &wordy, 400, &err));
    OK(op_events_since(c, id, 10, &w.arena, &rows, &count, &err));
    assert_true(count == 1 && text_is_utf8(rows[0].text, strlen(rows[0].text)));
    /* The oldest go once there are too many. */
    assert_int_equal(sqlite3_exec(c->db,
                                  "UPDATE sqlite_sequence SET seq = 200000 WHERE"
                                  " name = 'event'",
                                  NULL, NULL, NULL),
                     SQLITE_OK);
    OK(op_event_add(c, &paused, 500, &err));
    OK(op_events_since(c, 0, 10, &w.arena, &rows, &count, &err));
    assert_true(count == 3 && rows[0].at_ms == 200);
    return 0;
}

static void test_events_are_kept_in_order(void **state)
{
    (void)state;
    OK(write_with(events_body));
}

/* 20,000 jobs; the statements of claims, heartbeats and completions then step through no table. */
static int many_body(struct store_conn *c)
{
    bool inserted;
    struct job_row job, *rows;
    uint32_t count;
    uint64_t n;
    for (uint32_t i = 0; i < 20000; i++) {
        struct job_key k = {.kind = JOB_TRAIN,
                            .target = TARGET_EXPERT,
                            .index = i % 500,
                            .step_first = i / 500,
                            .step_last = i / 500 + 1};
        OK(op_job_insert(c, w.run, &k, (int)(i % 7), i, &inserted, &err));
    }
    struct msg_complete m = {.loss = 1};
    for (uint32_t i = 0; i < 300; i++) {
        struct msg_fence f;
        OK(op_fence_next(c, &f, &err));
        OK(op_job_claim(c, false, w.agent, &f, i, &w.arena, &job, &err));
        OK(op_job_held_by(c, w.agent, &w.arena, &job, &err));
        OK(op_job_get(c, job.id, &w.arena, &job, &err));
        OK(op_job_find(c, w.run, &job.key, &w.arena, &job, &err));
        if (i % 2)
            OK(op_job_done(c, job.id, &m, NULL, i, &err));
        else
            OK(op_job_return(c, job.id, false, "no", i, &err));
        OK(op_model_step(c, w.run, TARGET_EXPERT, i, &n, &err));
        OK(op_jobs_leased(c, &w.arena, &rows, &count, &err));
        arena_reset(&w.arena);
    }
    OK(op_jobs(c, 0, -1, -1, 50, &w.arena, &rows, &count, &err));
    OK(op_jobs(c, w.run, -1, JOB_DONE, 50, &w.arena, &rows, &count, &err));
    for (size_t i = 0; i < CONN_STATEMENTS; i++) {
        sqlite3_stmt *st = c->prepared[i].st;
        if (st && (sqlite3_stmt_status(st, SQLITE_STMTSTATUS_FULLSCAN_STEP, 0) > 1000 ||
                   sqlite3_stmt_status(st, SQLITE_STMTSTATUS_SORT, 0) > 0 ||
                   sqlite3_stmt_status(st, SQLITE_STMTSTATUS_AUTOINDEX, 0) > 0))
            fail_msg("scans or sorts: %s", c->prepared[i].sql);
    }
    return 0;
}

static void test_many_jobs_are_not_scanned(void **state)
{
    (void)state;
    OK(write_with(many_body));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_data_sets_come_back),
        TEST(test_jobs_change_hands),
        TEST(test_last_errors_are_kept),
        TEST(test_runs_end_once),
        TEST(test_schema_refuses_impossible_states),
        TEST(test_number_too_large_for_the_database_is_refused),
        TEST(test_events_are_kept_in_order),
        TEST(test_many_jobs_are_not_scanned),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
