/* One agent holds a job at a time, whatever gets lost on the way: old grants publish nothing, a
 * vanished agent's work is taken up, a failing job ends its run and says why, and retries are
 * harmless. Real database files, the real rules of runs, an injected clock. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "tests/coordinator/lease/lease_world.h"

/* --- joining ---------------------------------------------------------------- */

/* A join that the network delivers twice is answered by either: the token that arrives must be
 * good, or the agent gives up. One of long ago is not. */
static void test_joining_again_gives_the_same_agent_a_new_token(void **state)
{
    struct world *w = *state;
    char first[PROTOCOL_TOKEN_MAX], second[PROTOCOL_TOKEN_MAX];
    uint64_t agent, again, owner;
    struct store_conn *c;
    OK(join(w, 'd', &agent));
    strcpy(first, w->token);
    OK(join(w, 'd', &again));
    strcpy(second, w->token);
    assert_int_equal(agent, again);
    assert_string_not_equal(first, second);
    OK(store_read_begin(w->service.store, &c, &err));
    OK(lease_agent_of_token(c, second, &owner, &err));
    assert_int_equal(owner, agent);
    OK(lease_agent_of_token(c, first, &owner, &err));
    assert_int_equal(owner, agent);
    assert_int_equal(lease_agent_of_token(c, "", &owner, &err), ERR_DENIED);
    store_read_end(w->service.store, c);
    OK(join(w, 'd', &again));
    OK(store_read_begin(w->service.store, &c, &err));
    OK(lease_agent_of_token(c, second, &owner, &err));
    assert_int_equal(lease_agent_of_token(c, first, &owner, &err), ERR_DENIED);
    store_read_end(w->service.store, c);
    assert_int_equal(join(w, 'x', &agent), ERR_INVALID); /* not hexadecimal */
}

/* Who reads the data folder does not learn the agents' tokens. */
static void test_tokens_are_not_stored(void **state)
{
    struct world *w = *state;
    char command[256];
    stop(w);
    snprintf(command, sizeof command, "! grep -q %s %s/tacit.db", w->token, w->dir);
    assert_int_equal(system(command), 0);
    start(w);
}

/* --- holding ---------------------------------------------------------------- */

static void test_dense_chain_is_granted_first_and_each_job_once(void **state)
{
    struct world *w = *state;
    struct msg_grant g[3];
    for (int i = 0; i < 3; i++) {
        OK(claim(w, i, &g[i]));
        assert_int_equal(g[i].lease_ms, LEASE_MS);
        assert_true(g[i].fence->incarnation == store_incarnation(w->service.store));
        for (int j = 0; j < i; j++)
            assert_true(g[i].job != g[j].job && !same_fence(g[i].fence, g[j].fence));
    }
    assert_true(g[0].kind == JOB_TRAIN && g[0].target == TARGET_DENSE);
}

static void test_nothing_to_do_uses_no_fence(void **state)
{
    struct world *w = *state;
    struct msg_grant g, none;
    uint64_t extra = 0;
    for (int i = 0; i < 3; i++)
        OK(claim(w, i, &g));
    OK(join(w, 'e', &extra));
    struct msg_claim m = {0};
    for (int i = 0; i < 5; i++)
        assert_int_equal(request(w, lease_claim, extra, 0, &m, &none), ERR_NOT_FOUND);
    OK(release(w, 2, &g));
    assert_int_equal(w->ready, 1);
    struct msg_grant again;
    OK(request(w, lease_claim, extra, 0, &m, &again));
    assert_int_equal(again.job, g.job);
    assert_int_equal(again.fence->counter, g.fence->counter + 1);
}

static void test_claiming_again_gives_the_same_job_a_new_fence(void **state)
{
    struct world *w = *state;
    struct msg_grant first, second;
    struct msg_blob out[2];
    struct msg_completed answer;
    int command;
    OK(claim(w, 0, &first));
    OK(claim(w, 0, &second));
    assert_int_equal(first.job, second.job);
    assert_true(lease_fence_compare(second.fence, first.fence) > 0);
    assert_int_equal(heartbeat(w, 0, &first, &command), ERR_FENCED);
    OK(heartbeat(w, 0, &second, &command));
    assert_int_equal(command, COMMAND_CONTINUE);
    /* The older of the two is heard by nothing, and stored nowhere. */
    make_outputs(w, 1, out);
    assert_int_equal(complete(w, 0, &first, out, &answer), ERR_FENCED);
    assert_int_equal(fail_job(w, 0, &first, "late", true), ERR_FENCED);
    assert_int_equal(release(w, 0, &first), ERR_FENCED);
    struct job_row job = job_of(w, first.job);
    assert_true(job.state == JOB_LEASED && job.failures == 0 && !job.errors);
    OK(complete(w, 0, &second, out, &answer));
}

static void test_another_agent_cannot_use_a_fence(void **state)
{
    struct world *w = *state;
    struct msg_grant g;
    struct msg_blob out[2];
    struct msg_completed answer;
    int command;
    OK(claim(w, 0, &g));
    make_outputs(w, 1, out);
    assert_int_equal(heartbeat(w, 1, &g, &command), ERR_FENCED);
    assert_int_equal(complete(w, 1, &g, out, &answer), ERR_FENCED);
    assert_int_equal(release(w, 1, &g), ERR_FENCED);
    assert_int_equal(job_of(w, g.job).state, JOB_LEASED);
}

static void test_heartbeats_keep_a_lease_and_silence_ends_it(void **state)
{
    struct world *w = *state;
    struct msg_grant g, other;
    struct lease_progress p;
    int command;
    OK(claim(w, 0, &g));
    assert_false(lease_progress_of(w->service.leases, g.job, &p));
    for (int i = 0; i < 5; i++) {
        w->now_ms += LEASE_MS - 1;
        tick(w);
        OK(heartbeat(w, 0, &g, &command));
        assert_int_equal(command, COMMAND_CONTINUE);
    }
    assert_true(lease_progress_of(w->service.leases, g.job, &p));
    assert_true(p.step == 7 && p.total == 10 && p.loss == 2.5 && isnan(p.rate));
    assert_int_equal(p.seen_ms, w->now_ms);
    assert_int_equal(lease_agent_seen(w->service.leases, w->agents[0]), w->now_ms);
    w->woken = 0;
    w->now_ms += LEASE_MS - 1;
    tick(w);
    assert_int_equal(job_of(w, g.job).state, JOB_LEASED);
    w->now_ms += 1;
    tick(w);
    struct job_row job = job_of(w, g.job);
    assert_true(job.state == JOB_WAITING && job.ready && job.failures == 0);
    assert_int_equal(w->woken, 1);
    OK(claim(w, 1, &other)); /* the highest priority: the same job */
    assert_int_equal(other.job, g.job);
    assert_int_equal(heartbeat(w, 0, &g, &command), ERR_FENCED);
    w->now_ms += LEASE_MS - 1; /* the first holder's deadline is not the second's */
    tick(w);
    assert_int_equal(job_of(w, g.job).state, JOB_LEASED);
}

/* Cut off for longer than a lease, while nobody else was there to take over: hours of work must not
 * be lost for that. */
static void test_cut_off_agent_goes_on_where_nobody_took_over(void **state)
{
    struct world *w = *state;
    struct msg_grant g, other;
    struct msg_blob out[2];
    struct msg_completed answer;
    int command;
    tick(w);
    OK(claim(w, 0, &g));
    w->now_ms += LEASE_MS;
    tick(w);
    assert_int_equal(job_of(w, g.job).state, JOB_WAITING);
    assert_int_equal(heartbeat(w, 1, &g, &command), ERR_FENCED); /* it was never agent 1's */
    OK(heartbeat(w, 0, &g, &command));
    assert_int_equal(command, COMMAND_CONTINUE);
    while (store_writer_step(w->service.store))
        ;
    struct job_row job = job_of(w, g.job);
    assert_true(job.state == JOB_LEASED && job.agent == w->agents[0] && job.failures == 0);
    assert_true(same_fence(&job.fence, g.fence));
    OK(claim(w, 1, &other));
    assert_true(other.job != g.job);
    w->now_ms += LEASE_MS - 1;
    tick(w);
    assert_int_equal(job_of(w, g.job).state, JOB_LEASED); /* a full term */
    w->now_ms += 1;
    tick(w);
    assert_int_equal(job_of(w, g.job).state, JOB_WAITING);
    /* The coordinator even restarts, and the result comes before any heartbeat. */
    stop(w);
    start(w);
    make_outputs(w, 1, out);
    assert_int_equal(complete(w, 1, &g, out, &answer), ERR_FENCED);
    OK(complete(w, 0, &g, out, &answer));
    assert_true(job_of(w, g.job).state == JOB_DONE && job_of(w, g.job).agent == w->agents[0]);
    assert_non_null(answer.next);
    OK(complete(w, 0, &g, out, &answer)); /* the answer was lost */
}

static void test_overtaken_agent_publishes_nothing(void **state)
{
    struct world *w = *state;
    struct msg_grant g, other;
    struct msg_blob out[2];
    struct msg_completed answer;
    int command;
    tick(w);
    OK(claim(w, 0, &g));
    w->now_ms += LEASE_MS;
    tick(w);
    assert_int_equal(job_of(w, g.job).state, JOB_WAITING);
    OK(claim(w, 1, &other));
    assert_int_equal(other.job, g.job);
    make_outputs(w, 1, out);
    assert_int_equal(complete(w, 0, &g, out, &answer), ERR_FENCED);
    assert_int_equal(heartbeat(w, 0, &g, &command), ERR_FENCED);
    assert_int_equal(job_of(w, g.job).state, JOB_LEASED);
}

/* Who gave a job back, or failed it, holds nothing any more. */
static void test_given_back_is_not_cut_off(void **state)
{
    struct world *w = *state;
    struct msg_grant g;
    struct msg_blob out[2];
    struct msg_completed answer;
    int command;
    make_outputs(w, 1, out);
    OK(claim(w, 0, &g));
    OK(release(w, 0, &g));
    assert_int_equal(heartbeat(w, 0, &g, &command), ERR_FENCED);
    assert_int_equal(complete(w, 0, &g, out, &answer), ERR_FENCED);
    OK(claim(w, 0, &g));
    OK(fail_job(w, 0, &g, "no", false));
    assert_int_equal(complete(w, 0, &g, out, &answer), ERR_FENCED);
}

static void test_restart_gives_a_full_term(void **state)
{
    struct world *w = *state;
    struct msg_grant g;
    int command;
    OK(claim(w, 0, &g));
    stop(w);
    w->now_ms = 90 * 1000; /* another boot's clock: no deadline carries over */
    start(w);
    tick(w);
    w->now_ms += LEASE_MS - 1;
    tick(w);
    assert_int_equal(job_of(w, g.job).state, JOB_LEASED);
    OK(heartbeat(w, 0, &g, &command)); /* the grant of before the restart still holds */
    w->now_ms += LEASE_MS - 1;
    tick(w);
    assert_int_equal(job_of(w, g.job).state, JOB_LEASED);
    w->now_ms += 1;
    tick(w);
    assert_int_equal(job_of(w, g.job).state, JOB_WAITING);
    struct msg_grant after;
    OK(claim(w, 0, &after));
    assert_true(after.fence->incarnation == g.fence->incarnation + 1);
}

/* A grant whose transaction was lost leaves a trace in memory; it must not keep a dead agent's job
 * for ever, nor take a living one's away early. */
static void test_uncommitted_grant_does_no_harm(void **state)
{
    struct world *w = *state;
    struct msg_grant g;
    OK(claim(w, 0, &g));
    struct msg_fence lost = {g.fence->incarnation, g.fence->counter + 100};
    OK(lease_clock_lease(w->service.leases, g.job, &lost, w->now_ms + LEASE_MS, NULL, &err));
    w->now_ms += LEASE_MS;
    assert_true(tick(w) > 1);
    assert_int_equal(job_of(w, g.job).state, JOB_LEASED);
    w->now_ms += LEASE_MS;
    tick(w);
    assert_int_equal(job_of(w, g.job).state, JOB_WAITING);
}

/* --- failing ---------------------------------------------------------------- */

static void test_release_is_no_failure(void **state)
{
    struct world *w = *state;
    struct msg_grant g;
    for (int i = 0; i < 2 * LEASE_FAILURES_MAX; i++) {
        OK(claim(w, 0, &g));
        OK(release(w, 0, &g));
        assert_int_equal(w->ready, 1);
        OK(release(w, 0, &g)); /* the answer was lost */
        assert_int_equal(w->ready, 0);
    }
    struct job_row job = job_of(w, g.job);
    assert_true(job.state == JOB_WAITING && job.ready && job.failures == 0);
}

static void test_failures_back_off_and_end_in_quarantine(void **state)
{
    struct world *w = *state;
    struct msg_grant g, other;
    char error[32];
    int command;
    OK(claim(w, 1, &other)); /* dense: not ours */
    for (int i = 1; i < LEASE_FAILURES_MAX; i++) {
        int agent = i % 2 ? 0 : 2;
        OK(claim(w, agent, &g));
        assert_int_equal(g.kind, JOB_TRAIN_ROUTER);
        snprintf(error, sizeof error, "error number %d", i);
        OK(fail_job(w, agent, &g, error, false));
        OK(fail_job(w, agent, &g, error, false)); /* the answer was lost: counted once */
        struct job_row job = job_of(w, g.job);
        assert_true(job.state == JOB_WAITING && !job.ready);
        assert_int_equal(job.failures, i);
        w->woken = 0;
        w->now_ms += (LEASE_BACKOFF_MS << (i - 1)) - 1;
        tick(w);
        assert_false(job_of(w, g.job).ready);
        w->now_ms += 1;
        tick(w);
        assert_true(job_of(w, g.job).ready);
        assert_int_equal(w->woken, 1);
        OK(heartbeat(w, 1, &other, &command));
    }
    OK(claim(w, 0, &g));
    OK(fail_job(w, 0, &g, "the last straw", false));
    struct job_row job = job_of(w, g.job);
    assert_int_equal(job.state, JOB_QUARANTINED);
    assert_int_equal(job.failures, LEASE_FAILURES_MAX);
    assert_true(strncmp(job.errors, "the last straw\nerror number 4\n", 30) == 0);
    /* Its run goes on with what others do for it. */
    assert_int_equal(run_of(w).state, RUN_ACTIVE);
    OK(heartbeat(w, 1, &other, &command));
    assert_int_equal(command, COMMAND_CONTINUE);
}

/* A machine whose disk is full fails all that it gets, while the others are busy for hours: the run
 * goes on, and the others get what it failed. */
static void test_one_broken_agent_does_not_end_a_run(void **state)
{
    struct world *w = *state;
    struct msg_grant busy[2], g;
    int command, failures = 0;
    uint64_t failed = 0;
    OK(claim(w, 1, &busy[0]));
    OK(claim(w, 2, &busy[1]));
    for (int i = 0; i < 4 * 3600 / 10; i++) {
        int rc = claim(w, 0, &g);
        if (rc == 0) {
            OK(fail_job(w, 0, &g, "no space left", false));
            failed = g.job;
            failures++;
        } else {
            assert_int_equal(rc, ERR_NOT_FOUND);
            /* Ready, and kept from it alone: whoever else waits must hear of it. */
            assert_int_equal(w->ready, job_of(w, failed).ready);
        }
        w->now_ms += 10000;
        OK(heartbeat(w, 1, &busy[0], &command));
        OK(heartbeat(w, 2, &busy[1], &command));
        tick(w);
    }
    assert_int_equal(run_of(w).state, RUN_ACTIVE);
    assert_in_range(failures, LEASE_FAILURES_MAX + 1, 100); /* it is tried again, at leisure */
    OK(release(w, 1, &busy[0]));
    OK(claim(w, 1, &g)); /* the dense model's, again */
    assert_int_equal(g.job, busy[0].job);
    while (!job_of(w, failed).ready) {
        w->now_ms += 10000;
        tick(w);
        OK(heartbeat(w, 1, &g, &command));
        OK(heartbeat(w, 2, &busy[1], &command));
    }
    OK(release(w, 2, &busy[1]));
    OK(claim(w, 2, &g));
    OK(release(w, 2, &g));
    /* A second agent fails it, too: it is the job's fault. */
    while (g.job != failed) {
        OK(fail_job(w, 2, &g, "unused", false));
        OK(claim(w, 2, &g));
    }
    OK(fail_job(w, 2, &g, "no space left here, too", false));
    assert_int_equal(job_of(w, failed).state, JOB_QUARANTINED);
}

/* Where one agent is all there is, nobody else will ever succeed: it gets the job back, and its
 * failures count. */
static void test_the_only_agent_ends_a_run_that_fails(void **state)
{
    struct world *w = *state;
    struct msg_grant g = {0};
    w->now_ms += LEASE_MS + 1; /* the others joined, and were never heard of again */
    int claims = 0;
    while (run_of(w).state == RUN_ACTIVE && claims < 100) {
        int rc = claim(w, 0, &g);
        if (rc == 0) {
            claims++;
            OK(fail_job(w, 0, &g, "broken", false));
        } else {
            assert_int_equal(rc, ERR_NOT_FOUND);
        }
        w->now_ms += 1000;
        tick(w);
    }
    assert_int_equal(run_of(w).state, RUN_FAILED);
    struct job_row job = job_of(w, g.job);
    assert_true(job.state == JOB_QUARANTINED && job.failures == LEASE_FAILURES_MAX);
}

static int spoil_spec(struct call *c, const void *in, void *out, struct err *e)
{
    (void)in;
    return conn_run(c->conn, "UPDATE run SET spec_text = '[nonsense]' WHERE name = 'demo'", e) ||
           make_other(c, out, e);
}

static int spoil_all(struct call *c, const void *in, void *out, struct err *e)
{
    (void)in;
    (void)out;
    return conn_run(c->conn, "UPDATE run SET spec_text = '[nonsense]'", e);
}

/* A job that can't be handed out heads the queue: its run ends and says why, and the fleet goes on
 * with the others. */
static void test_ungrantable_job_does_not_starve_the_fleet(void **state)
{
    struct world *w = *state;
    struct msg_grant g, second;
    OK(request(w, spoil_spec, 0, 0, NULL, w));
    OK(claim(w, 0, &g));
    assert_string_equal(g.run, "other");
    OK(claim(w, 1, &second)); /* on the way there, all others of the run are tried */
    assert_string_equal(second.run, "other");
    OK(release(w, 1, &second));
    struct run_row run = run_of(w);
    assert_int_equal(run.state, RUN_FAILED);
    assert_non_null(strstr(run.reason, "cannot hand it out: demo: [run]"));
    assert_non_null(strstr(run.reason, "dense"));
    /* And where there is nothing else, that is kept all the same. */
    OK(release(w, 0, &g));
    OK(request(w, spoil_all, 0, 0, NULL, w));
    OK(claim(w, 0, &g));
    assert_int_equal(g.job, 0);
    w->run = w->other;
    assert_int_equal(run_of(w).state, RUN_FAILED);
    assert_int_equal(claim(w, 0, &g), ERR_NOT_FOUND);
}

static void test_failure_of_settings_ends_the_run_at_once(void **state)
{
    struct world *w = *state;
    struct msg_grant g;
    OK(claim(w, 0, &g));
    OK(fail_job(w, 0, &g, "the loss is not finite at step 12", true));
    struct run_row run = run_of(w);
    assert_int_equal(run.state, RUN_FAILED);
    assert_non_null(strstr(run.reason, "the loss is not finite at step 12"));
    assert_non_null(strstr(run.reason, "dense"));
    assert_int_equal(job_of(w, g.job).state, JOB_QUARANTINED);
}

/* A restart forgets backoffs: the clock that they were on is gone. */
static void test_restart_makes_backing_off_jobs_ready(void **state)
{
    struct world *w = *state;
    struct msg_grant g;
    OK(claim(w, 0, &g));
    OK(fail_job(w, 0, &g, "no", false));
    assert_false(job_of(w, g.job).ready);
    stop(w);
    start(w);
    assert_true(job_of(w, g.job).ready);
}

/* --- completing ------------------------------------------------------------- */

static void test_completing_gives_the_next_link(void **state)
{
    struct world *w = *state;
    struct msg_grant g;
    struct msg_blob out[2], again[2];
    struct msg_completed answer;
    OK(claim(w, 0, &g));
    assert_true(g.step_first == 0 && g.step_last == 20);
    make_outputs(w, 1, out);
    OK(complete(w, 0, &g, out, &answer));
    assert_non_null(answer.next);
    assert_true(answer.next->kind == JOB_TRAIN && answer.next->target == TARGET_DENSE);
    assert_true(answer.next->step_first == 20 && answer.next->step_last == 40);
    assert_true(lease_fence_compare(answer.next->fence, g.fence) > 0);
    assert_int_equal(answer.next->lease_ms, LEASE_MS);
    assert_int_equal(w->ready, 0); /* it waits for nobody else */
    bool model = false;
    for (uint32_t i = 0; i < answer.next->input_count; i++)
        model |= digest_equal(&answer.next->inputs[i].digest, &out[0].digest);
    assert_true(model); /* it goes on from what was published */
    struct job_row job = job_of(w, g.job);
    assert_true(job.state == JOB_DONE && job.agent == w->agents[0] && isnan(job.loss));
    assert_true(job.seconds == 1.5 && job.tokens == 1000);
    /* The answer was lost: the same again is a success, something else is not. */
    struct msg_completed lost;
    OK(complete(w, 0, &g, out, &lost));
    make_outputs(w, 2, again);
    assert_int_equal(complete(w, 0, &g, again, &lost), ERR_CONFLICT);
    assert_int_equal(complete(w, 1, &g, out, &lost), ERR_FENCED);
    /* And its claim gets the link that it does not know of. */
    struct msg_grant next;
    OK(claim(w, 0, &next));
    assert_int_equal(next.job, answer.next->job);
    int command;
    struct msg_grant old = *answer.next;
    assert_int_equal(heartbeat(w, 0, &old, &command), ERR_FENCED);
}

static void test_outputs_must_be_in_the_store(void **state)
{
    struct world *w = *state;
    struct msg_grant g;
    struct msg_blob out[2];
    struct msg_completed answer;
    struct digest known;
    OK(claim(w, 0, &g));
    make_outputs(w, 1, out);
    known = out[1].digest;
    out[1].digest.bytes[3] ^= 1;
    assert_int_equal(complete(w, 0, &g, out, &answer), ERR_CONFLICT);
    assert_non_null(strstr(err.message, "output 1"));
    out[1].digest = known;
    out[1].bytes++;
    assert_int_equal(complete(w, 0, &g, out, &answer), ERR_INVALID);
    assert_int_equal(job_of(w, g.job).state, JOB_LEASED);
    out[1].bytes--;
    OK(complete(w, 0, &g, out, &answer));
}

/* Only what was checked is published: what nobody could look at is asked for again. */
static void test_unchecked_outputs_are_not_published(void **state)
{
    struct world *w = *state;
    struct msg_grant g;
    struct msg_blob out[2];
    struct msg_completed answer;
    OK(claim(w, 0, &g));
    make_outputs(w, 1, out);
    w->unchecked = true;
    assert_int_equal(complete(w, 0, &g, out, &answer), ERR_UNAVAILABLE);
    assert_int_equal(job_of(w, g.job).state, JOB_LEASED);
    w->unchecked = false;
    OK(complete(w, 0, &g, out, &answer));
}

static void test_cancelled_run_takes_nothing_more(void **state)
{
    struct world *w = *state;
    struct msg_grant g;
    struct msg_blob out[2];
    struct msg_completed answer;
    int command;
    OK(claim(w, 0, &g));
    make_outputs(w, 1, out);
    OK(request(w, cancel_run, 0, 0, NULL, w));
    OK(heartbeat(w, 0, &g, &command));
    assert_int_equal(command, COMMAND_ABANDON);
    assert_int_equal(complete(w, 0, &g, out, &answer), ERR_FENCED);
    OK(release(w, 0, &g));
    OK(fail_job(w, 0, &g, "whatever", true));
    assert_string_equal(run_of(w).reason, "by hand");
    w->now_ms += 2 * LEASE_MS;
    tick(w);
    assert_int_equal(job_of(w, g.job).state, JOB_CANCELLED);
    assert_int_equal(request(w, cancel_run, 0, 0, NULL, w), ERR_CONFLICT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_joining_again_gives_the_same_agent_a_new_token),
        TEST(test_tokens_are_not_stored),
        TEST(test_dense_chain_is_granted_first_and_each_job_once),
        TEST(test_nothing_to_do_uses_no_fence),
        TEST(test_claiming_again_gives_the_same_job_a_new_fence),
        TEST(test_another_agent_cannot_use_a_fence),
        TEST(test_heartbeats_keep_a_lease_and_silence_ends_it),
        TEST(test_cut_off_agent_goes_on_where_nobody_took_over),
        TEST(test_overtaken_agent_publishes_nothing),
        TEST(test_given_back_is_not_cut_off),
        TEST(test_restart_gives_a_full_term),
        TEST(test_uncommitted_grant_does_no_harm),
        TEST(test_release_is_no_failure),
        TEST(test_failures_back_off_and_end_in_quarantine),
        TEST(test_one_broken_agent_does_not_end_a_run),
        TEST(test_the_only_agent_ends_a_run_that_fails),
        TEST(test_ungrantable_job_does_not_starve_the_fleet),
        TEST(test_failure_of_settings_ends_the_run_at_once),
        TEST(test_restart_makes_backing_off_jobs_ready),
        TEST(test_completing_gives_the_next_link),
        TEST(test_outputs_must_be_in_the_store),
        TEST(test_unchecked_outputs_are_not_published),
        TEST(test_cancelled_run_takes_nothing_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
