/* A job that fails whoever does it is put aside, with its run going on; a machine that fails
 * whatever it does gets nothing for a while; and neither is taken for the other, nor a preempted
 * machine for either. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "coordinator/store/ops_poison.h"
#include "tests/coordinator/lease/lease_world.h"

static int retry_job(struct world *w, uint64_t job)
{
    struct msg_job out;
    return request(w, jobs_retry, 0, job, NULL, &out);
}

static int in_name(struct call *c, const void *in, void *out, struct err *e)
{
    const char *const *name = in;
    (void)out;
    c->name = name[0];
    struct msg_run run;
    return strcmp(name[1], "retry") == 0 ? runs_retry(c, NULL, &run, e)
                                         : agents_unbench(c, NULL, NULL, e);
}

static int named(struct world *w, const char *name, const char *what)
{
    const char *const in[] = {name, what};
    return request(w, in_name, 0, 0, in, NULL);
}

/* Time passes, and everybody but the benched is heard of. */
static void pass(struct world *w, int64_t ms, unsigned alive)
{
    for (int64_t left = ms; left > 0; left -= 10000) {
        w->now_ms += left < 10000 ? left : 10000;
        for (unsigned i = 0; i < 3; i++)
            if (alive & (1u << i))
                lease_clock_seen(w->service.leases, w->agents[i], w->now_ms);
        tick(w);
    }
}

static void hold(struct world *w, int agent, const struct msg_grant *g, uint64_t step, int phase)
{
    struct msg_heartbeat m = {
        .fence = g->fence, .step = step, .total = 40, .loss = NAN, .rate = NAN, .phase = phase};
    struct msg_command out;
    OK(request(w, lease_heartbeat, w->agents[agent], g->job, &m, &out));
}

/* Claims until it is this job, giving back what else comes. */
static void claim_this(struct world *w, int agent, uint64_t job, struct msg_grant *g)
{
    for (int i = 0; i < 3600; i++) {
        int rc = claim(w, agent, g);
        if (!rc && g->job == job)
            return;
        if (!rc)
            OK(release(w, agent, g));
        pass(w, 1000, 7);
    }
    fail_msg("agent %d does not get job %llu", agent, (unsigned long long)job);
}

static void test_three_agents_fail_a_job_and_its_run_goes_on(void **state)
{
    struct world *w = *state;
    struct msg_grant g, other;
    struct msg_blob out[2];
    struct msg_completed answer;
    OK(claim(w, 0, &g)); /* dense */
    uint64_t bad = g.job;
    OK(fail_job(w, 0, &g, "it breaks here", false));
    claim_this(w, 1, bad, &g);
    OK(fail_job(w, 1, &g, "and here", false));
    assert_int_equal(job_of(w, bad).state, JOB_WAITING);
    claim_this(w, 2, bad, &g);
    OK(fail_job(w, 2, &g, "and there", false));
    struct job_row job = job_of(w, bad);
    assert_true(job.state == JOB_QUARANTINED && job.failures == 3);
    assert_non_null(strstr(job.errors, "and there\nand here\nit breaks here"));
    assert_int_equal(run_of(w).state, RUN_ACTIVE);
    OK(claim(w, 0, &other));
    assert_int_equal(other.kind, JOB_TRAIN_ROUTER);
    make_outputs(w, 1, out);
    OK(complete(w, 0, &other, out, &answer));
    assert_int_equal(run_of(w).state, RUN_ACTIVE);
}

/* The rest of the run, until nothing is open but what was put aside. */
static void do_the_rest(struct world *w, int agent, unsigned first)
{
    struct msg_grant g;
    for (unsigned i = 0; i < 200; i++) {
        if (claim(w, agent, &g))
            return;
        struct msg_blob out[2];
        struct msg_completed answer;
        make_outputs(w, first + i, out);
        int rc = complete(w, agent, &g, out, &answer);
        if (rc)
            fail_msg("job %llu: %s", (unsigned long long)g.job, err.message);
    }
}

static void test_run_stops_when_nothing_else_is_left(void **state)
{
    struct world *w = *state;
    struct msg_grant g;
    for (unsigned i = 0; claim(w, 0, &g) == 0 && g.kind != JOB_TRAIN_ROUTER;
         i++) { /* dense first */
        struct msg_blob out[2];
        struct msg_completed answer;
        make_outputs(w, i, out);
        OK(complete(w, 0, &g, out, &answer));
    }
    uint64_t bad = g.job;
    OK(fail_job(w, 0, &g, "no such file", false));
    for (int i = 1; i < 3; i++) {
        claim_this(w, i, bad, &g);
        OK(fail_job(w, i, &g, "no such file", false));
    }
    assert_int_equal(job_of(w, bad).state, JOB_QUARANTINED);
    assert_int_equal(run_of(w).state, RUN_ACTIVE);
    do_the_rest(w, 1, 100);
    struct run_row run = run_of(w);
    assert_int_equal(run.state, RUN_FAILED);
    assert_non_null(strstr(run.reason, "1 job is in quarantine. train router 0, round 1"));
    OK(retry_job(w, bad));
    assert_int_equal(run_of(w).state, RUN_ACTIVE);
    claim_this(w, 1, bad, &g);
    OK(request(w, cancel_run, 0, 0, NULL, w));
    assert_int_equal(named(w, "demo", "retry"), ERR_CONFLICT); /* what an operator ended stays so */
}

/* Every job fails on every machine: it stops, says which and why and what to do; and once that is
 * mended it goes on where it was. */
static void test_run_whose_every_job_fails_stops_and_says_so(void **state)
{
    struct world *w = *state;
    struct msg_grant g;
    int claims = 0;
    for (int i = 0; run_of(w).state == RUN_ACTIVE && i < 3600; i++) {
        for (int agent = 0; agent < 3; agent++)
            if (claim(w, agent, &g) == 0) {
                claims++;
                OK(fail_job(w, agent, &g, "the shard is broken", false));
            }
        pass(w, 1000, 7);
    }
    struct run_row run = run_of(w);
    assert_int_equal(run.state, RUN_FAILED);
    assert_true(claims < 100);
    assert_non_null(strstr(run.reason, "3 jobs are in quarantine"));
    assert_non_null(strstr(run.reason, "train dense, steps 0 to 20 (job 1): the shard is broken"));
    assert_non_null(strstr(run.reason, "tacit retry demo"));
    OK(named(w, "demo", "retry"));
    run = run_of(w);
    assert_true(run.state == RUN_ACTIVE && run.ended_ms == 0 && run.reason == NULL);
    assert_true(w->ready >= 3);
    for (uint64_t id = 1; id <= 3; id++) {
        struct job_row job = job_of(w, id);
        assert_true(job.state == JOB_WAITING && job.ready && job.failures == 0 && !job.errors);
    }
    OK(named(w, "machine", "unbench"));
    OK(claim(w, 0, &g));
    assert_int_equal(named(w, "nobody", "retry"), ERR_NOT_FOUND);
    assert_int_equal(named(w, "nobody", "unbench"), ERR_NOT_FOUND);
}

/* A failure of settings ended the run, with all that others did; mended outside, it goes on. */
static void test_retry_of_a_run_whose_settings_failed(void **state)
{
    struct world *w = *state;
    struct msg_grant g, other;
    OK(claim(w, 0, &g));
    OK(claim(w, 1, &other));
    OK(fail_job(w, 0, &g, "the loss is not finite", true));
    assert_int_equal(job_of(w, other.job).state, JOB_CANCELLED);
    OK(retry_job(w, g.job));
    assert_int_equal(run_of(w).state, RUN_ACTIVE);
    assert_int_equal(job_of(w, g.job).state, JOB_WAITING);
    assert_int_equal(job_of(w, other.job).state, JOB_WAITING);
    OK(retry_job(w, g.job)); /* the answer was lost */
    struct msg_completed answer;
    struct msg_blob out[2];
    make_outputs(w, 1, out);
    assert_int_equal(complete(w, 1, &other, out, &answer), ERR_FENCED); /* not an old grant's */
    OK(claim(w, 1, &other));
    OK(complete(w, 1, &other, out, &answer));
    assert_int_equal(retry_job(w, other.job), ERR_CONFLICT); /* success is never overwritten */
    assert_int_equal(job_of(w, other.job).state, JOB_DONE);
    assert_int_equal(retry_job(w, 999), ERR_NOT_FOUND);
}

/* --- silence -----------------------------------------------------------------------------------
 */

static void test_machines_that_die_of_a_job(void **state)
{
    struct world *w = *state;
    struct msg_grant g;
    uint64_t bad = 0;
    for (int i = 0; i < 3; i++) {
        if (i == 0)
            OK(claim(w, 0, &g));
        else
            claim_this(w, i, bad, &g);
        bad = g.job;
        hold(w, i, &g, g.step_first, PHASE_RUNNING);
        w->now_ms += LEASE_MS;
        tick(w);
        assert_int_equal(job_of(w, bad).state, i < 2 ? JOB_WAITING : JOB_QUARANTINED);
    }
    assert_non_null(strstr(job_of(w, bad).errors, "3 agents went silent"));
    assert_int_equal(run_of(w).state, RUN_ACTIVE);
    OK(retry_job(w, bad));
    claim_this(w, 0, bad, &g);
    hold(w, 0, &g, g.step_first, PHASE_RUNNING);
    w->now_ms += LEASE_MS;
    tick(w);
    assert_int_equal(job_of(w, bad).state, JOB_WAITING); /* it began to count anew */
}

/* Preempted ones look the same from here, but for the steps they did, or that they had not begun.
 */
static void test_preempted_machines_poison_nothing(void **state)
{
    struct world *w = *state;
    struct msg_grant g;
    uint64_t job = 0;
    for (int i = 0; i < 12; i++) {
        if (i == 0)
            OK(claim(w, 0, &g));
        else
            claim_this(w, i % 3, job, &g);
        job = g.job;
        if (i < 6)
            hold(w, i % 3, &g, g.step_first + (i % 3 == 2), PHASE_RUNNING);
        else if (i < 9)
            hold(w, i % 3, &g, 0, PHASE_FETCHING);
        w->now_ms += LEASE_MS;
        tick(w);
        struct job_row row = job_of(w, job);
        assert_true(row.state == JOB_WAITING && row.ready && row.failures == 0);
    }
}

static void say_words(struct world *w, int agent, const struct msg_grant *g, const char *end)
{
    struct msg_words m = {.fence = g->fence, .end = end};
    struct msg_empty out;
    OK(request(w, lease_words, w->agents[agent], g->job, &m, &out));
}

/* The agent's process is killed with it, starts again, and asks for work, until it is spared this
 * job. */
static void die_of(struct world *w, int agent, struct msg_grant *g)
{
    uint64_t bad = g->job;
    for (int i = 0; i < LEASE_VAIN_MAX; i++) {
        assert_int_equal(g->job, bad);
        if (i % 2)
            say_words(w, agent, g, "no last words: killed"); /* before its first heartbeat */
        else
            hold(w, agent, g, g->step_first, PHASE_RUNNING);
        int rc = claim(w, agent, g);
        assert_true(rc == 0 || i == LEASE_VAIN_MAX - 1);
        assert_true(i < LEASE_VAIN_MAX - 1 || rc || g->job != bad);
        if (i == LEASE_VAIN_MAX - 1 && !rc && g->job)
            OK(release(w, agent, g));
    }
}

/* No machine has the memory for it, and each starts its agent again at once: the job goes from one
 * to the next, and is put aside with the reason, rather than be granted for ever. */
static void test_processes_that_are_killed_with_a_job(void **state)
{
    struct world *w = *state;
    struct msg_grant g;
    OK(claim(w, 0, &g));
    uint64_t bad = g.job;
    for (int i = 0; i < 3; i++) {
        if (i > 0)
            claim_this(w, i, bad, &g);
        die_of(w, i, &g);
        assert_int_equal(job_of(w, bad).state, i < 2 ? JOB_WAITING : JOB_QUARANTINED);
        assert_int_equal(job_of(w, bad).failures, i + 1);
    }
    assert_non_null(strstr(job_of(w, bad).errors, "3 times in a row"));
    assert_int_equal(run_of(w).state, RUN_ACTIVE);
}

/* The only machine there is does not try for ever either: it does all else, and then it is told. */
static void test_process_that_is_killed_with_a_job_alone(void **state)
{
    struct world *w = *state;
    struct msg_grant g;
    uint64_t bad = 0;
    for (int i = 0; i < 600 && (bad == 0 || job_of(w, bad).state != JOB_QUARANTINED); i++) {
        if (claim(w, 0, &g) == 0 && g.job && (bad == 0 || g.job == bad)) {
            bad = g.job;
            hold(w, 0, &g, g.step_first, PHASE_RUNNING);
        } else if (g.job) {
            OK(release(w, 0, &g));
        }
        pass(w, 5000, 1);
    }
    assert_int_equal(job_of(w, bad).state, JOB_QUARANTINED);
    assert_int_equal(job_of(w, bad).failures, LEASE_FAILURES_MAX);
}

/* Neither a step in between nor an answer that was lost is such an end. */
static void test_agents_that_only_ask_again_fail_nothing(void **state)
{
    struct world *w = *state;
    struct msg_grant g, first;
    OK(claim(w, 0, &first));
    for (int i = 0; i < 3 * LEASE_VAIN_MAX; i++) {
        OK(claim(w, 0, &g)); /* its answer is lost */
        assert_int_equal(g.job, first.job);
    }
    for (int i = 0; i < 3 * LEASE_VAIN_MAX; i++) {
        hold(w, 0, &g, g.step_first + 1, PHASE_RUNNING); /* killed after a step */
        OK(claim(w, 0, &g));
        assert_int_equal(g.job, first.job);
    }
    assert_int_equal(job_of(w, first.job).failures, 0);
}

/* Cut off for a while, one after the other, they are all alive: nothing is wrong with the job. */
static void test_agents_that_come_back_poison_nothing(void **state)
{
    struct world *w = *state;
    struct msg_grant g;
    uint64_t job = 0;
    for (int i = 0; i < 6; i++) {
        if (i == 0)
            OK(claim(w, 0, &g));
        else
            claim_this(w, i % 3, job, &g);
        job = g.job;
        hold(w, i % 3, &g, g.step_first, PHASE_RUNNING);
        w->now_ms += LEASE_MS;
        tick(w);
        hold(w, i % 3, &g, g.step_first, PHASE_RUNNING);
        while (store_writer_step(w->service.store))
            ;
        assert_int_equal(job_of(w, job).state, JOB_LEASED);
        OK(release(w, i % 3, &g));
    }
}

/* --- benches -----------------------------------------------------------------------------------
 */

/* Agent 0 fails all it gets, until it is refused or `most` have failed. */
static int fail_all(struct world *w, int most)
{
    struct msg_grant g;
    int failed = 0;
    for (int i = 0; failed < most && i < 3600; i++) {
        int rc = claim(w, 0, &g);
        if (rc == ERR_BENCHED)
            return failed;
        if (rc == 0) {
            OK(fail_job(w, 0, &g, "the disk is broken", false));
            failed++;
        }
        pass(w, 1000, 7);
    }
    return failed;
}

static void test_broken_machine_is_benched(void **state)
{
    struct world *w = *state;
    struct msg_grant g;
    assert_int_equal(fail_all(w, 100), LEASE_BENCH_JOBS);
    assert_int_equal(claim(w, 0, &g), ERR_BENCHED);
    assert_non_null(strstr(err.message, "3 different jobs in a row"));
    assert_non_null(strstr(err.message, "the disk is broken"));
    assert_non_null(strstr(err.message, "tacit agents unbench machine"));
    OK(claim(w, 1, &g)); /* others work */
    OK(release(w, 1, &g));
    pass(w, LEASE_BENCH_MS - 20000, 7);
    assert_int_equal(claim(w, 0, &g), ERR_BENCHED);
    pass(w, 20000, 7);
    /* Ten minutes, and twenty, and forty; then for good. */
    for (int i = 1; i < LEASE_BENCHES_TIMED; i++) {
        assert_int_equal(fail_all(w, 100), LEASE_BENCH_JOBS);
        pass(w, (LEASE_BENCH_MS << i) - 30000, 7);
        assert_int_equal(claim(w, 0, &g), ERR_BENCHED);
        pass(w, 40000, 7);
    }
    assert_int_equal(fail_all(w, 100), LEASE_BENCH_JOBS);
    pass(w, 48ll * 3600 * 1000, 7);
    assert_int_equal(claim(w, 0, &g), ERR_BENCHED);
    assert_non_null(strstr(err.message, "until an operator"));
    /* A restart of the coordinator does not forget. */
    stop(w);
    start(w);
    pass(w, 1000, 7);
    assert_int_equal(claim(w, 0, &g), ERR_BENCHED);
    OK(named(w, "machine", "unbench"));
    OK(claim(w, 0, &g));
    assert_int_equal(run_of(w).state, RUN_ACTIVE);
    for (uint64_t id = 1; id <= 3; id++) /* all that it failed proves nothing */
        assert_true(job_of(w, id).state == JOB_WAITING || job_of(w, id).state == JOB_LEASED);
}

/* One job done, and it counts from the beginning. */
static void test_success_in_between(void **state)
{
    struct world *w = *state;
    struct msg_grant g;
    struct msg_blob out[2];
    struct msg_completed answer;
    assert_int_equal(fail_all(w, LEASE_BENCH_JOBS - 1), LEASE_BENCH_JOBS - 1);
    for (int i = 0; claim(w, 0, &g) && i < 600; i++)
        pass(w, 1000, 7);
    make_outputs(w, 1, out);
    OK(complete(w, 0, &g, out, &answer));
    assert_int_equal(fail_all(w, 1), 1);
    for (int i = 0; claim(w, 0, &g) && i < 600; i++)
        pass(w, 1000, 7);
    OK(release(w, 0, &g));
}

static void test_three_broken_machines_do_not_poison_a_run(void **state)
{
    struct world *w = *state;
    struct msg_grant g;
    uint64_t healthy = 0;
    OK(join(w, 'd', &healthy));
    /* All three fail all that they get, while a fourth is busy elsewhere, but alive. */
    for (int i = 0; i < 300; i++) {
        lease_clock_seen(w->service.leases, healthy, w->now_ms);
        for (int agent = 0; agent < 3; agent++)
            if (claim(w, agent, &g) == 0)
                OK(fail_job(w, agent, &g, "the disk is broken", false));
        pass(w, 1000, 7);
    }
    assert_int_equal(run_of(w).state, RUN_ACTIVE);
    struct msg_claim m = {0};
    for (int i = 0; i < 600 && request(w, lease_claim, healthy, 0, &m, &g); i++) {
        pass(w, 1000, 7);
        lease_clock_seen(w->service.leases, healthy, w->now_ms);
    }
    assert_int_equal(g.target, TARGET_DENSE); /* the first of all, free again */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_three_agents_fail_a_job_and_its_run_goes_on),
        TEST(test_run_stops_when_nothing_else_is_left),
        TEST(test_run_whose_every_job_fails_stops_and_says_so),
        TEST(test_retry_of_a_run_whose_settings_failed),
        TEST(test_machines_that_die_of_a_job),
        TEST(test_preempted_machines_poison_nothing),
        TEST(test_processes_that_are_killed_with_a_job),
        TEST(test_process_that_is_killed_with_a_job_alone),
        TEST(test_agents_that_only_ask_again_fail_nothing),
        TEST(test_agents_that_come_back_poison_nothing),
        TEST(test_broken_machine_is_benched),
        TEST(test_success_in_between),
        TEST(test_three_broken_machines_do_not_poison_a_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
