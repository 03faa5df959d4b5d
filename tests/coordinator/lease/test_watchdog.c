/* A job that hangs, while its machine says that all is well, is noticed, started again from its
 * last save, and at last given to somebody else; a slow one, and one whose clock jumps, is left
 * alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "coordinator/lease/watchdog.h"
#include "coordinator/run/runs.h"
#include "tests/coordinator/lease/lease_world.h"

#define BEAT_MS (LEASE_MS / 3)

static int beat(struct world *w, int agent, const struct msg_grant *g, uint64_t step, int phase)
{
    struct msg_heartbeat m = {
        .fence = g->fence, .step = step, .total = 4000, .loss = NAN, .rate = NAN, .phase = phase};
    struct msg_command out = {.command = -1};
    OK(request(w, lease_heartbeat, w->agents[agent], g->job, &m, &out));
    return out.command;
}

static const char *reason_of(struct world *w, uint64_t job, int *state)
{
    struct msg_job out;
    OK(request(w, jobs_show, 0, job, NULL, &out));
    *state = out.state;
    return out.reason ? out.reason : "";
}

/* Milliseconds without a step until it is told to restart; −1: not within `most`. */
static int64_t until_told(struct world *w, int agent, const struct msg_grant *g, uint64_t step,
                          int64_t most)
{
    for (int64_t ms = 0; ms <= most; ms += BEAT_MS) {
        if (beat(w, agent, g, step, PHASE_RUNNING) == COMMAND_RESTART)
            return ms;
        w->now_ms += BEAT_MS;
        tick(w);
    }
    return -1;
}

static void test_medians_and_limits(void **state)
{
    struct watch_pace p = {0}, kind = {0};
    (void)state;
    assert_true(watch_pace_median(&p) == 0);
    assert_int_equal(watch_limit_ms(&p, NULL, WATCH_STEPPING, 0), WATCH_UNKNOWN_MS);
    for (int i = 0; i < 40; i++)
        watch_pace_add(&p, i % 3 == 2 ? 1e6 : 12000); /* saves in between do not count */
    assert_true(watch_pace_median(&p) == 12000);
    assert_int_equal(watch_limit_ms(&p, &kind, WATCH_STEPPING, 0), 120000);
    assert_int_equal(watch_limit_ms(&p, &kind, WATCH_STEPPING, 2), 480000);
    watch_pace_add(&kind, 2);
    struct watch_pace none = {0};
    assert_int_equal(watch_limit_ms(&none, &kind, WATCH_STEPPING, 0), WATCH_MS_MIN);
    assert_int_equal(watch_limit_ms(&none, &kind, WATCH_LOADING, 0), WATCH_LOADING_MS_MIN);
    assert_int_equal(watch_limit_ms(&p, &kind, WATCH_SAVING, 0), WATCH_SAVING_MS_MIN);
}

static void test_hang_is_noticed_and_restarted(void **state)
{
    struct world *w = *state;
    struct msg_grant g, again;
    int shown;
    OK(claim(w, 0, &g));
    uint64_t step = 10;
    for (uint64_t s = 1; s <= step; s++) {
        assert_int_equal(beat(w, 0, &g, s, PHASE_RUNNING), COMMAND_CONTINUE);
        w->now_ms += 12000;
        tick(w);
    }
    int64_t ms = until_told(w, 0, &g, step, 600000);
    assert_in_range(ms, 100000, 140000); /* ten times twelve seconds */
    assert_non_null(strstr(reason_of(w, g.job, &shown), "stalled at 10 of 4,000: no step for"));
    assert_int_equal(shown, JOB_RUNNING);
    /* It obeys: the same agent gets the same job, and goes on. */
    OK(claim(w, 0, &again));
    assert_int_equal(again.job, g.job);
    assert_int_equal(beat(w, 0, &again, step, PHASE_RUNNING), COMMAND_CONTINUE);
    w->now_ms += BEAT_MS;
    assert_int_equal(beat(w, 0, &again, step + 1, PHASE_RUNNING), COMMAND_CONTINUE);
    assert_null(strstr(reason_of(w, g.job, &shown), "stalled"));
    assert_int_equal(job_of(w, g.job).failures, 0);
}

static void test_hung_thread_loses_its_lease(void **state)
{
    struct world *w = *state;
    struct msg_grant g, other;
    struct msg_command out;
    OK(claim(w, 0, &g));
    for (uint64_t s = 1; s <= 10; s++) {
        (void)beat(w, 0, &g, s, PHASE_RUNNING);
        w->now_ms += 2000;
    }
    assert_true(until_told(w, 0, &g, 10, 600000) >= 0);
    /* Its heartbeats go on, as if nothing were wrong. */
    int beats = 0;
    while (job_of(w, g.job).state == JOB_LEASED && beats < 20) {
        assert_int_equal(beat(w, 0, &g, 10, PHASE_RUNNING), COMMAND_RESTART);
        w->now_ms += BEAT_MS;
        tick(w);
        beats++;
    }
    assert_in_range(beats, 4, 8); /* a lease to obey, a lease to end */
    struct msg_heartbeat m = {.fence = g.fence, .step = 10, .total = 4000, .phase = PHASE_RUNNING};
    assert_int_equal(request(w, lease_heartbeat, w->agents[0], g.job, &m, &out), ERR_FENCED);
    while (store_writer_step(w->service.store))
        ;
    assert_int_equal(job_of(w, g.job).state, JOB_WAITING); /* it was not given back to it */
    OK(claim(w, 1, &other));
    assert_int_equal(other.job, g.job);
}

/* Nothing that is slow, or far away, or was asleep, has stalled. */
static void test_what_only_looks_so(void **state)
{
    struct world *w = *state;
    struct msg_grant g;
    OK(claim(w, 0, &g));
    for (int i = 0; i < 200; i++) { /* an hour of fetching on a bad line */
        assert_int_equal(beat(w, 0, &g, 0, PHASE_FETCHING), COMMAND_CONTINUE);
        w->now_ms += BEAT_MS;
        tick(w);
    }
    for (uint64_t s = 1; s <= 10; s++) {
        assert_int_equal(beat(w, 0, &g, s, PHASE_RUNNING), COMMAND_CONTINUE);
        w->now_ms += 1000;
    }
    w->now_ms += 8ll * 3600 * 1000; /* a laptop's lid was closed; the coordinator slept, too */
    assert_int_equal(beat(w, 0, &g, 10, PHASE_RUNNING), COMMAND_CONTINUE);
    while (store_writer_step(w->service.store))
        ;
    for (int i = 0; i < 10; i++) {
        w->now_ms += 5000;
        assert_int_equal(beat(w, 0, &g, 10, PHASE_SAVING), COMMAND_CONTINUE);
    }
    for (int i = 0; i < 200; i++) {
        w->now_ms += BEAT_MS;
        tick(w);
        assert_int_equal(beat(w, 0, &g, 20, PHASE_UPLOADING), COMMAND_CONTINUE);
    }
}

/* A machine a hundred times as slow as the one before is restarted, a few times, but not for ever.
 */
static void test_slow_machine_gets_its_time(void **state)
{
    struct world *w = *state;
    struct msg_grant g;
    OK(claim(w, 0, &g));
    for (uint64_t s = 1; s <= 10; s++) {
        (void)beat(w, 0, &g, s, PHASE_RUNNING);
        w->now_ms += 8000;
    }
    OK(release(w, 0, &g));
    int restarts = 0;
    bool stepped = false;
    while (!stepped && restarts < 20) { /* 800 s a step */
        OK(claim(w, 1, &g));
        int64_t began = w->now_ms;
        while (!stepped && beat(w, 1, &g, 0, PHASE_RUNNING) == COMMAND_CONTINUE) {
            w->now_ms += BEAT_MS;
            tick(w);
            stepped = w->now_ms - began >= 800000;
        }
        restarts += !stepped;
    }
    assert_true(stepped && restarts <= 3);
    assert_int_equal(beat(w, 1, &g, 1, PHASE_RUNNING), COMMAND_CONTINUE);
}

/* A job without saves that does much between two steps: it begins anew at each restart, and would
 * for ever be stopped at the same place. */
static void test_job_that_stalls_at_the_same_place_gets_its_time(void **state)
{
    struct world *w = *state;
    struct msg_grant g;
    int restarts = 0;
    for (bool done = false; !done && restarts < 20;) {
        OK(claim(w, 0, &g));
        for (uint64_t s = 0; s <= 15; s += 5) {
            assert_int_equal(beat(w, 0, &g, s, PHASE_RUNNING), COMMAND_CONTINUE);
            w->now_ms += BEAT_MS;
            tick(w);
        }
        done = until_told(w, 0, &g, 15, 300000) < 0;
        restarts += !done;
        OK(release(w, 0, &g));
    }
    assert_in_range(restarts, 1, 4);
}

/* What a list says of a job at each moment, and since when. */
static void test_states_are_true(void **state)
{
    struct world *w = *state;
    struct msg_grant g;
    struct msg_job m;
    int shown;
    static const int of_phase[] = {JOB_FETCHING, JOB_RUNNING, JOB_SAVING, JOB_UPLOADING};
    assert_string_equal(reason_of(w, 1, &shown), "for an agent");
    assert_int_equal(shown, JOB_WAITING);
    OK(claim(w, 0, &g));
    assert_non_null(strstr(reason_of(w, g.job, &shown), "not heard of yet"));
    assert_int_equal(shown, JOB_LEASED);
    for (int phase = PHASE_FETCHING; phase <= PHASE_UPLOADING; phase++) {
        w->now_ms += 10000;
        (void)beat(w, 0, &g, 5, phase);
        int64_t since = 1700000000000 + w->now_ms;
        w->now_ms += 10000;
        (void)beat(w, 0, &g, 6, phase);
        OK(request(w, jobs_show, 0, g.job, NULL, &m));
        assert_int_equal(m.state, of_phase[phase]);
        assert_int_equal(m.since_at, since); /* of the phase, not of its last word */
        assert_true(m.reason && m.step == 6 && strcmp(m.agent, "machine") == 0);
    }
    int64_t heard = 1700000000000 + w->now_ms;
    w->now_ms += LEASE_SILENT_MS + 1;
    OK(request(w, jobs_show, 0, g.job, NULL, &m));
    assert_true(m.state == JOB_SILENT && (int64_t)m.since_at == heard);
    assert_non_null(strstr(m.reason, "nothing heard for"));
    w->now_ms += LEASE_MS;
    tick(w);
    assert_non_null(strstr(reason_of(w, g.job, &shown), "nothing is heard of machine"));
    assert_int_equal(shown, JOB_WAITING);
    OK(claim(w, 0, &g));
    OK(fail_job(w, 0, &g, "disk on fire", false));
    assert_non_null(
        strstr(reason_of(w, g.job, &shown), "rests after failure 1; failed 1 time: disk"));
    assert_int_equal(shown, JOB_BACKING_OFF);
    w->now_ms += LEASE_BACKOFF_MS;
    tick(w);
    assert_non_null(strstr(reason_of(w, g.job, &shown), "another agent than machine"));
    OK(claim(w, 1, &g));
    OK(fail_job(w, 1, &g, "not a number", true));
    assert_non_null(strstr(reason_of(w, g.job, &shown), "given up; failed 2 times: not a number"));
    assert_int_equal(shown, JOB_QUARANTINED);
    assert_string_equal(reason_of(w, 2, &shown), "its run failed");
    assert_int_equal(shown, JOB_CANCELLED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_medians_and_limits),
        TEST(test_hang_is_noticed_and_restarted),
        TEST(test_hung_thread_loses_its_lease),
        TEST(test_what_only_looks_so),
        TEST(test_slow_machine_gets_its_time),
        TEST(test_states_are_true),
        TEST(test_job_that_stalls_at_the_same_place_gets_its_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
