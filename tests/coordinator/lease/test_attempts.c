/* What became of a job stays readable when the machine is gone: every grant is an attempt, with how
 * it ended, how far it came, and the tail of its log; last words come to it, whoever has the job by
 * then; and heartbeats still write nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "coordinator/lease/attempts.h"
#include "coordinator/lease/trails.h"
#include "tests/coordinator/lease/lease_world.h"

static struct attempt_row *attempts_of(struct world *w, uint64_t job, uint32_t *count)
{
    struct store_conn *c;
    struct attempt_row *rows;
    OK(store_read_begin(w->service.store, &c, &err));
    OK(op_attempts(c, job, &w->arena, &rows, count, &err));
    store_read_end(w->service.store, c);
    return rows;
}

static struct attempt_row last_of(struct world *w, uint64_t job)
{
    uint32_t count;
    struct attempt_row *rows = attempts_of(w, job, &count);
    assert_true(count > 0);
    return rows[count - 1];
}

static int beat(struct world *w, int agent, const struct msg_grant *g, uint64_t step,
                const char *log)
{
    struct msg_heartbeat m = {.fence = g->fence,
                              .step = step,
                              .total = 40,
                              .loss = 5.0 - (double)step / 10,
                              .rate = NAN,
                              .phase = PHASE_RUNNING,
                              .log = log};
    struct msg_command out;
    return request(w, lease_heartbeat, w->agents[agent], g->job, &m, &out);
}

static int words(struct world *w, int agent, const struct msg_grant *g, const char *end, bool crash,
                 uint64_t step, const char *log)
{
    struct msg_words m = {.fence = g->fence, .end = end, .crash = crash, .step = step, .log = log};
    struct msg_empty out;
    return request(w, lease_words, w->agents[agent], g->job, &m, &out);
}

static void test_every_end_is_told(void **state)
{
    struct world *w = *state;
    struct msg_grant g, again;
    struct msg_blob out[2];
    struct msg_completed answer;
    uint32_t count;
    tick(w);
    OK(claim(w, 0, &g));
    struct attempt_row a = last_of(w, g.job);
    assert_true(a.outcome == ATTEMPT_OPEN && a.number == 1 && a.agent == w->agents[0]);
    assert_true(a.ended_ms == 0 && same_fence(&a.fence, g.fence));
    OK(release(w, 0, &g));
    assert_int_equal(last_of(w, g.job).outcome, ATTEMPT_RELEASED);

    OK(claim(w, 0, &g));
    OK(claim(w, 0, &again)); /* a new process of the same agent */
    attempts_of(w, g.job, &count);
    assert_int_equal(count, 3);
    assert_int_equal(attempts_of(w, g.job, &count)[1].outcome, ATTEMPT_OVERTAKEN);

    OK(fail_job(w, 0, &again, "no space left", false));
    a = last_of(w, g.job);
    assert_int_equal(a.outcome, ATTEMPT_FAILED);
    assert_string_equal(a.words, "no space left");

    w->now_ms += LEASE_BACKOFF_MS;
    tick(w);
    OK(claim(w, 1, &g));
    OK(beat(w, 1, &g, 12, "step 12 done\n"));
    w->now_ms += LEASE_MS;
    tick(w);
    a = last_of(w, g.job);
    assert_int_equal(a.outcome, ATTEMPT_EXPIRED);
    assert_true(a.step == 12 && a.step_first == 0 && a.loss_first == 3.8 && a.loss == 3.8);
    assert_string_equal(a.log, "step 12 done\n");
    assert_non_null(strstr(a.words, "nothing was heard"));

    OK(claim(w, 2, &g));
    make_outputs(w, 1, out);
    w->now_ms += 1000;
    OK(complete(w, 2, &g, out, &answer));
    a = last_of(w, g.job);
    assert_true(a.outcome == ATTEMPT_DONE && a.step == g.step_last);
    assert_int_equal(a.ended_ms - a.started_ms, 1000);
    /* The next link came with the answer; cancelling the run ends that. */
    assert_int_equal(last_of(w, answer.next->job).outcome, ATTEMPT_OPEN);
    OK(request(w, cancel_run, 0, 0, NULL, w));
    a = last_of(w, answer.next->job);
    assert_true(a.outcome == ATTEMPT_CANCELLED && a.ended_ms > 0);
    assert_int_equal(last_of(w, g.job).outcome, ATTEMPT_DONE);
}

/* An agent that was cut off, and goes on, is the same attempt still. */
static void test_retaken_lease_is_the_same_attempt(void **state)
{
    struct world *w = *state;
    struct msg_grant g;
    struct msg_blob out[2];
    struct msg_completed answer;
    uint32_t count;
    tick(w);
    OK(claim(w, 0, &g));
    w->now_ms += LEASE_MS;
    tick(w);
    OK(beat(w, 0, &g, 3, "back\n")); /* its lines are not lost with the answer */
    while (store_writer_step(w->service.store))
        ;
    struct attempt_row a = last_of(w, g.job);
    assert_true(a.outcome == ATTEMPT_OPEN && a.ended_ms == 0 && a.words == NULL);
    w->now_ms += LEASE_MS;
    tick(w);
    assert_int_equal(last_of(w, g.job).outcome, ATTEMPT_EXPIRED);
    make_outputs(w, 1, out);
    OK(complete(w, 0, &g, out, &answer)); /* late, but nobody had taken it */
    a = last_of(w, g.job);
    assert_int_equal(a.outcome, ATTEMPT_DONE);
    assert_string_equal(a.log, "back\n");
    attempts_of(w, g.job, &count);
    assert_int_equal(count, 1);
}

/* --- logs --------------------------------------------------------------------------------------
 */

static void test_logs_join(void **state)
{
    char out[PROTOCOL_TAIL_MAX + 1], big[3 * PROTOCOL_TAIL_MAX], *p = big;
    (void)state;
    trail_join(NULL, "a\nb\n", out);
    assert_string_equal(out, "a\nb\n");
    trail_join("a\nb\n", "c\n", out);
    assert_string_equal(out, "a\nb\nc\n");
    trail_join("a\nb\n", "b\nc\n", out); /* an answer was lost: said again, and more */
    assert_string_equal(out, "a\nb\nc\n");
    trail_join("a\nb\n", "a\nb\n", out);
    assert_string_equal(out, "a\nb\n");
    trail_join("b\nc\n", "a\nb\nc\nd\n", out); /* a whole tail in place of new lines */
    assert_string_equal(out, "b\nc\nd\n");
    trail_join("no end", "next\n", out);
    assert_string_equal(out, "no end\nnext\n");
    trail_join("kept\n", NULL, out);
    assert_string_equal(out, "kept\n");
    for (int i = 0; p - big < 2 * PROTOCOL_TAIL_MAX; i++)
        p += sprintf(p, "line %d\n", i);
    trail_join("first\n", big, out); /* the last lines, whole ones */
    assert_true(strlen(out) <= PROTOCOL_TAIL_MAX && strlen(out) > PROTOCOL_TAIL_MAX - 20);
    assert_memory_equal(out, "line ", 5);
    assert_string_equal(out + strlen(out) - 10, p - 10);
    char before[PROTOCOL_TAIL_MAX + 1];
    strcpy(before, out);
    trail_join(before, "the end\n", out);
    assert_true(strlen(out) <= PROTOCOL_TAIL_MAX);
    assert_memory_equal(out, "line ", 5);
    assert_string_equal(out + strlen(out) - 8, "the end\n");
}

static unsigned writes(struct world *w)
{
    unsigned n = 0, each;
    while ((each = store_writer_step(w->service.store)) > 0)
        n += each;
    return n;
}

/* Thousands of agents that say something every 20 s must not write so often; and what they said is
 * there when the coordinator is killed, but for the last minute. */
static void test_heartbeats_cost_no_write(void **state)
{
    struct world *w = *state;
    struct msg_grant g;
    char line[32];
    OK(claim(w, 0, &g));
    tick(w);
    (void)writes(w);
    for (int i = 1; i <= 5; i++) {
        w->now_ms += 10000;
        snprintf(line, sizeof line, "line %d\n", i);
        OK(beat(w, 0, &g, (uint64_t)i, line));
        assert_int_equal(writes(w), 0);
    }
    assert_null(last_of(w, g.job).log);
    w->now_ms += 10000;
    OK(beat(w, 0, &g, 6, "line 6\n"));
    tick(w); /* a minute has passed */
    struct attempt_row a = last_of(w, g.job);
    assert_string_equal(a.log, "line 1\nline 2\nline 3\nline 4\nline 5\nline 6\n");
    assert_int_equal(a.step, 6);
    w->now_ms += 20000;
    OK(beat(w, 0, &g, 7, "line 6\nline 7\n"));
    stop(w); /* as by a kill: what memory had is gone */
    start(w);
    tick(w);
    assert_non_null(strstr(last_of(w, g.job).log, "line 6\n"));
    OK(beat(w, 0, &g, 8, "line 8\n"));
    OK(attempts_flush(&w->service, w->now_ms, &err)); /* as a stop does */
    a = last_of(w, g.job);
    assert_string_equal(a.log, "line 1\nline 2\nline 3\nline 4\nline 5\nline 6\nline 8\n");
    OK(release(w, 0, &g));
    assert_string_equal(last_of(w, g.job).log, a.log);
    /* What is written is not written again. */
    OK(attempts_flush(&w->service, w->now_ms, &err));
    struct trail_copy left;
    assert_false(trails_copy(lease_clock_trails(w->service.leases), g.job, g.fence, false, &left));
}

/* A log says what it likes. */
static void test_logs_are_fit_to_be_shown(void **state)
{
    struct world *w = *state;
    struct msg_grant g;
    struct msg_fail m = {.error = "it broke", .log = "of before\nthe last line\n"};
    struct msg_empty out;
    OK(claim(w, 0, &g));
    OK(beat(w, 0, &g, 1, "of before\n"));
    m.fence = g.fence;
    OK(request(w, lease_fail, w->agents[0], g.job, &m, &out));
    struct attempt_row a = last_of(w, g.job);
    assert_string_equal(a.log, "of before\nthe last line\n");
    assert_string_equal(a.words, "it broke");
}

/* A job that is tried for ever keeps how it began and how it goes. */
static void test_attempts_are_bounded(void **state)
{
    struct world *w = *state;
    struct msg_grant g;
    uint32_t count;
    for (int i = 0; i < 40; i++) {
        OK(claim(w, 0, &g));
        OK(release(w, 0, &g));
    }
    struct attempt_row *rows = attempts_of(w, g.job, &count);
    assert_int_equal(count, ATTEMPTS_FIRST + ATTEMPTS_LAST);
    assert_int_equal(rows[ATTEMPTS_FIRST - 1].number, ATTEMPTS_FIRST);
    assert_int_equal(rows[ATTEMPTS_FIRST].number, 40 - ATTEMPTS_LAST + 1);
    assert_int_equal(rows[count - 1].number, 40);
}

/* --- last words --------------------------------------------------------------------------------
 */

static void test_words_of_a_crash_count_once(void **state)
{
    struct world *w = *state;
    struct msg_grant g;
    OK(claim(w, 0, &g));
    OK(beat(w, 0, &g, 5, "started\n"));
    for (int i = 0; i < 2; i++) /* the answer was lost */
        OK(words(w, 0, &g, "signal 11 (SIGSEGV)", true, 9, "started\nstep 9\n"));
    struct attempt_row a = last_of(w, g.job);
    assert_int_equal(a.outcome, ATTEMPT_FAILED);
    assert_string_equal(a.words, "signal 11 (SIGSEGV)");
    assert_string_equal(a.log, "started\nstep 9\n");
    assert_int_equal(a.step, 9);
    struct job_row job = job_of(w, g.job);
    assert_true(job.state == JOB_WAITING && !job.ready && job.failures == 1);
    assert_non_null(strstr(job.errors, "SIGSEGV"));
}

/* By then the job is another's: who keeps it, and the words are kept all the same. */
static void test_words_come_late(void **state)
{
    struct world *w = *state;
    struct msg_grant g, other;
    uint32_t count;
    tick(w);
    OK(claim(w, 0, &g));
    w->now_ms += LEASE_MS;
    tick(w);
    OK(claim(w, 1, &other));
    assert_int_equal(other.job, g.job);
    OK(words(w, 0, &g, "signal 6 (SIGABRT)", true, 3, "assertion failed\n"));
    OK(words(w, 0, &g, "signal 6 (SIGABRT)", true, 3, "assertion failed\n"));
    struct attempt_row *rows = attempts_of(w, g.job, &count);
    assert_int_equal(count, 2);
    assert_int_equal(rows[0].outcome, ATTEMPT_FAILED);
    assert_string_equal(rows[0].log, "assertion failed\n");
    assert_int_equal(rows[1].outcome, ATTEMPT_OPEN);
    struct job_row job = job_of(w, g.job);
    assert_true(job.state == JOB_LEASED && job.agent == w->agents[1] && job.failures == 1);
    /* Another agent's fence is none of its business. */
    assert_int_equal(words(w, 0, &other, "nonsense", true, 0, NULL), ERR_FENCED);
    assert_int_equal(attempts_of(w, g.job, &count)[1].outcome, ATTEMPT_OPEN);
}

/* Killed from outside: no failure, and the same agent goes on under its lease. */
static void test_words_of_a_kill_are_no_failure(void **state)
{
    struct world *w = *state;
    struct msg_grant g, again;
    uint32_t count;
    OK(claim(w, 0, &g));
    OK(words(w, 0, &g, "no last words: killed, or the machine went down", false, 4, "busy\n"));
    assert_int_equal(job_of(w, g.job).state, JOB_LEASED);
    OK(claim(w, 0, &again));
    assert_int_equal(again.job, g.job);
    struct attempt_row a = attempts_of(w, g.job, &count)[0];
    assert_true(a.outcome == ATTEMPT_OVERTAKEN && a.step == 4);
    assert_string_equal(a.words, "no last words: killed, or the machine went down");
    assert_string_equal(a.log, "busy\n");
    assert_int_equal(job_of(w, g.job).failures, 0);
    /* Of a job that is done, nothing changes. */
    struct msg_blob out[2];
    struct msg_completed answer;
    make_outputs(w, 1, out);
    OK(complete(w, 0, &again, out, &answer));
    OK(words(w, 0, &again, "signal 9", true, 0, NULL));
    assert_int_equal(job_of(w, g.job).state, JOB_DONE);
    assert_int_equal(attempts_of(w, g.job, &count)[1].outcome, ATTEMPT_DONE);
    assert_int_equal(job_of(w, g.job).failures, 0);
    struct msg_fence unknown = {99, 99};
    again.fence = &unknown;
    OK(words(w, 0, &again, "of an attempt that is not kept any more", true, 0, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_every_end_is_told),
        TEST(test_retaken_lease_is_the_same_attempt),
        cmocka_unit_test(test_logs_join),
        TEST(test_heartbeats_cost_no_write),
        TEST(test_logs_are_fit_to_be_shown),
        TEST(test_attempts_are_bounded),
        TEST(test_words_of_a_crash_count_once),
        TEST(test_words_come_late),
        TEST(test_words_of_a_kill_are_no_failure),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
