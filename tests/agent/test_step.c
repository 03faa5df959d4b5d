/* The agent's decisions, history by history. What would break for a user: training lost because the
 * coordinator was away, a machine that eats the queue, an agent that does not stop, or stops
 * without delivering what it finished. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>
#include "agent/step.h"
#include "core/base/err.h"

static struct agent_state s;
static struct agent_action a;

static void begin(bool can_join, bool has_token)
{
    agent_state_init(&s, can_join, has_token);
    agent_step(&s, &(struct agent_event){0}, &a);
}

static void ok(void)
{
    agent_step(&s, &(struct agent_event){.result = AGENT_OK}, &a);
}

static void none(void)
{
    agent_step(&s, &(struct agent_event){.result = AGENT_NONE}, &a);
}

static void error(int code)
{
    struct agent_event ev = {.result = AGENT_ERROR, .code = code, .random = 1u << 31};
    agent_step(&s, &ev, &a);
}

static void stop_error(int code)
{
    agent_step(&s, &(struct agent_event){.result = AGENT_ERROR, .code = code, .stop = true}, &a);
}

/* Walks the good way to this action. */
static void walk_to(enum agent_do what)
{
    begin(true, false);
    for (int i = 0; i < 10 && a.what != what; i++) {
        if (a.what == AGENT_DO_SPOOL)
            none(); /* nothing is left of before */
        else
            ok();
    }
    assert_int_equal(a.what, what);
}

/* Past what the process before this one may have left. */
static void nothing_left(void)
{
    assert_int_equal(a.what, AGENT_DO_WORDS);
    none();
    assert_int_equal(a.what, AGENT_DO_SPOOL);
    none();
}

static void test_good_way(void **state)
{
    static const enum agent_do way[] = {
        AGENT_DO_FETCH,    AGENT_DO_RUN,    AGENT_DO_UPLOAD,
        AGENT_DO_COMPLETE, AGENT_DO_FETCH, /* the chain's next link */
        AGENT_DO_RUN,      AGENT_DO_UPLOAD, AGENT_DO_COMPLETE};
    (void)state;
    begin(true, false);
    assert_int_equal(a.what, AGENT_DO_JOIN);
    ok();
    assert_int_equal(a.what, AGENT_DO_WORDS);
    ok(); /* told how the one before ended */
    assert_int_equal(a.what, AGENT_DO_SPOOL);
    none();
    assert_int_equal(a.what, AGENT_DO_CLAIM);
    for (size_t i = 0; i < sizeof way / sizeof *way; i++) {
        ok();
        assert_int_equal(a.what, way[i]);
        assert_int_equal(a.say, AGENT_SAY_NOTHING);
        assert_false(a.drop);
    }
    none();
    assert_int_equal(a.what, AGENT_DO_CLAIM);
    assert_true(a.drop);
    none();
    assert_int_equal(a.what, AGENT_DO_WAIT);
    assert_in_range(a.wait_ms, 1, 100);
    ok();
    assert_int_equal(a.what, AGENT_DO_CLAIM);
}

/* Whatever was being done is tried again for ever, said once, and goes on. */
static void test_coordinator_away(void **state)
{
    static const enum agent_do all[] = {AGENT_DO_JOIN,   AGENT_DO_CLAIM,    AGENT_DO_FETCH,
                                        AGENT_DO_UPLOAD, AGENT_DO_COMPLETE, AGENT_DO_FAIL};
    (void)state;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        if (all[i] == AGENT_DO_FAIL) {
            walk_to(AGENT_DO_RUN);
            error(ERR_INVALID);
        } else {
            walk_to(all[i]);
        }
        int64_t longest = 0;
        for (int k = 0; k < 200; k++) {
            error(k % 2 ? ERR_UNAVAILABLE : ERR_TIMEOUT);
            assert_int_equal(a.what, AGENT_DO_WAIT);
            assert_int_equal(a.say, k == 0 ? AGENT_SAY_AWAY : AGENT_SAY_NOTHING);
            assert_false(a.drop);
            assert_true(a.wait_ms >= longest);      /* backs off … */
            assert_in_range(a.wait_ms, 100, 10000); /* … but never for long */
            longest = a.wait_ms;
            ok(); /* waited */
            assert_int_equal(a.what, all[i]);
            assert_int_equal(a.probe, all[i] == AGENT_DO_CLAIM); /* not a long poll */
        }
        ok();
        assert_int_equal(a.say, AGENT_SAY_BACK);
        assert_false(a.probe);
    }
}

/* A coordinator whose disk or memory is full for a while costs nobody a finished result. */
static void test_coordinator_full(void **state)
{
    static const enum agent_do all[] = {AGENT_DO_CLAIM, AGENT_DO_UPLOAD, AGENT_DO_COMPLETE};
    static const int codes[] = {ERR_NO_SPACE, ERR_NO_MEMORY};
    (void)state;
    for (size_t i = 0; i < 6; i++) {
        walk_to(all[i / 2]);
        for (int k = 0; k < 20; k++) {
            error(codes[i % 2]);
            assert_int_equal(a.what, AGENT_DO_WAIT);
            assert_false(a.drop);
            ok(); /* waited */
            assert_int_equal(a.what, all[i / 2]);
        }
    }
}

/* This machine's own disk is full: the job is not to blame, and waits until there is room. */
static void test_own_disk_full(void **state)
{
    static const enum agent_do all[] = {AGENT_DO_FETCH, AGENT_DO_RUN};
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        walk_to(all[i]);
        int64_t longest = 0;
        for (int k = 0; k < 100; k++) {
            error(ERR_NO_SPACE);
            assert_int_equal(a.what, AGENT_DO_WAIT);
            assert_int_equal(a.say, k == 0 ? AGENT_SAY_FULL : AGENT_SAY_NOTHING);
            assert_true(a.make_room);
            assert_false(a.drop);
            assert_in_range(a.wait_ms, longest, 60000);
            longest = a.wait_ms;
            ok();
            assert_int_equal(a.what, all[i]);
        }
        ok();
        assert_int_equal(a.say, AGENT_SAY_ROOM);
    }
    walk_to(AGENT_DO_RUN); /* a stop meanwhile: what was computed is delivered nevertheless */
    error(ERR_NO_SPACE);
    agent_step(&s, &(struct agent_event){.stop = true}, &a);
    assert_int_equal(a.what, AGENT_DO_RUN);
    ok();
    assert_int_equal(a.what, AGENT_DO_UPLOAD);
}

/* A disk that fails for good: the job goes to others, and somebody has to look after the machine.
 */
static void test_own_disk_broken(void **state)
{
    (void)state;
    walk_to(AGENT_DO_RUN);
    for (int i = 0; i < 4; i++) {
        error(ERR_IO);
        assert_int_equal(a.what, AGENT_DO_WAIT);
        assert_false(a.drop);
        ok();
        assert_int_equal(a.what, AGENT_DO_RUN);
    }
    error(ERR_IO);
    assert_int_equal(a.what, AGENT_DO_RELEASE); /* no failure of the job */
    assert_int_equal(a.say, AGENT_SAY_BROKEN);
    ok();
    assert_int_equal(a.what, AGENT_DO_EXIT);
    assert_int_equal(a.exit_code, err_exit_code(ERR_IO));
    walk_to(AGENT_DO_FETCH); /* one that passes does no harm */
    error(ERR_IO);
    ok();
    ok();
    assert_int_equal(a.what, AGENT_DO_RUN);
    for (int i = 0; i < 4; i++) {
        error(ERR_IO);
        ok();
    }
    assert_int_equal(a.what, AGENT_DO_RUN);
}

/* What the other side wishes counts, and does not bring all back at one moment. */
static void test_retry_after(void **state)
{
    struct agent_event ev = {
        .result = AGENT_ERROR, .code = ERR_UNAVAILABLE, .retry_after_ms = 20000};
    (void)state;
    walk_to(AGENT_DO_CLAIM);
    agent_step(&s, &ev, &a);
    int64_t low = a.wait_ms;
    assert_true(low >= 20000);
    walk_to(AGENT_DO_CLAIM);
    ev.random = UINT32_MAX;
    agent_step(&s, &ev, &a);
    assert_true(a.wait_ms > low + 3000);
    ev.retry_after_ms = INT64_MAX / 2; /* nonsense does not stop an agent for ever */
    ok();
    agent_step(&s, &ev, &a);
    assert_in_range(a.wait_ms, 600000, 1200000);
}

/* Results of an earlier process go before new work; who took the job meanwhile keeps it. */
static void test_delivers_what_was_finished_before(void **state)
{
    (void)state;
    walk_to(AGENT_DO_SPOOL);
    ok();
    assert_int_equal(a.what, AGENT_DO_UPLOAD);
    error(ERR_UNAVAILABLE); /* still away */
    ok();
    assert_int_equal(a.what, AGENT_DO_UPLOAD);
    ok();
    assert_int_equal(a.what, AGENT_DO_COMPLETE);
    none();
    assert_true(a.drop);
    assert_int_equal(a.what, AGENT_DO_SPOOL); /* there may be another one */
    ok();
    error(ERR_FENCED);
    assert_true(a.drop && a.keep);
    assert_int_equal(a.what, AGENT_DO_SPOOL);
    none();
    assert_int_equal(a.what, AGENT_DO_CLAIM);
    none();
    ok();
    assert_int_equal(a.what, AGENT_DO_CLAIM); /* looked for once */
    walk_to(AGENT_DO_WORDS);
    error(ERR_NOT_FOUND); /* words that nobody wants to hear keep nobody from work */
    assert_int_equal(a.what, AGENT_DO_SPOOL);
}

static void test_jitter_spreads(void **state)
{
    struct agent_event ev = {.result = AGENT_ERROR, .code = ERR_UNAVAILABLE};
    (void)state;
    walk_to(AGENT_DO_CLAIM);
    agent_step(&s, &ev, &a);
    int64_t low = a.wait_ms;
    walk_to(AGENT_DO_CLAIM);
    ev.random = UINT32_MAX;
    agent_step(&s, &ev, &a);
    assert_true(a.wait_ms > low * 3 / 2);
}

static void test_lost_lease_drops_the_job(void **state)
{
    static const enum agent_do all[] = {AGENT_DO_FETCH, AGENT_DO_UPLOAD, AGENT_DO_COMPLETE};
    (void)state;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        walk_to(all[i]);
        error(ERR_FENCED);
        assert_int_equal(a.what, AGENT_DO_CLAIM);
        assert_int_equal(a.say, AGENT_SAY_DROP);
        assert_true(a.drop);
        assert_true(a.keep); /* it may be granted here again */
    }
    walk_to(AGENT_DO_RUN); /* the heartbeat was told: the runner stops without a stop signal */
    error(ERR_STOPPED);
    assert_int_equal(a.what, AGENT_DO_CLAIM);
    assert_true(a.drop && a.keep);
    walk_to(AGENT_DO_COMPLETE); /* cancelled meanwhile */
    error(ERR_NOT_FOUND);
    assert_int_equal(a.what, AGENT_DO_CLAIM);
    assert_true(a.drop);
}

static void test_failures_are_told(void **state)
{
    (void)state;
    walk_to(AGENT_DO_RUN);
    error(ERR_NOT_FINITE);
    assert_int_equal(a.what, AGENT_DO_FAIL);
    assert_true(a.settings);
    error(ERR_UNAVAILABLE);
    ok();
    assert_int_equal(a.what, AGENT_DO_FAIL);
    assert_true(a.settings); /* not forgotten over the wait */
    walk_to(AGENT_DO_RUN);
    error(ERR_FORMAT);
    assert_int_equal(a.what, AGENT_DO_FAIL);
    assert_false(a.settings);
    walk_to(AGENT_DO_FETCH);
    error(ERR_NOT_FOUND);
    assert_int_equal(a.what, AGENT_DO_FAIL);
    walk_to(AGENT_DO_COMPLETE); /* the coordinator refuses the outputs */
    error(ERR_INVALID);
    assert_int_equal(a.what, AGENT_DO_FAIL);
    walk_to(AGENT_DO_FETCH); /* a line that damages bytes: some tries, then a failure */
    for (int i = 0; i < 2; i++) {
        error(ERR_DIGEST);
        assert_int_equal(a.what, AGENT_DO_WAIT);
        ok();
        assert_int_equal(a.what, AGENT_DO_FETCH);
    }
    error(ERR_DIGEST);
    assert_int_equal(a.what, AGENT_DO_FAIL);
}

/* What came to the store had another digest, as after a wrong beginning that somebody else had
 * sent: the finished result is sent again, read again, and never thrown away. */
static void test_upload_that_arrives_damaged_loses_nothing(void **state)
{
    static const int codes[] = {ERR_DIGEST, ERR_CONFLICT};
    (void)state;
    for (int k = 0; k < 2; k++) {
        walk_to(AGENT_DO_UPLOAD);
        error(codes[k]);
        assert_int_equal(a.what, AGENT_DO_WAIT);
        ok();
        assert_int_equal(a.what, AGENT_DO_UPLOAD);
        ok();
        assert_int_equal(a.what, AGENT_DO_COMPLETE);
        walk_to(AGENT_DO_UPLOAD);
        for (int i = 0; i < 60 && a.what != AGENT_DO_FAIL; i++) {
            if (a.drop) {
                assert_true(a.keep); /* claimed and looked at anew */
                assert_int_equal(a.what, AGENT_DO_CLAIM);
            }
            if (a.what == AGENT_DO_UPLOAD)
                error(codes[k]);
            else
                ok();
        }
        assert_int_equal(a.what, AGENT_DO_FAIL); /* for ever it is not: others may get it through */
        ok();
        assert_true(a.drop && a.keep);
    }
}

/* A machine whose every job fails waits longer and longer, until one succeeds. */
static void test_broken_machine_slows_down(void **state)
{
    int64_t waited = 0;
    (void)state;
    walk_to(AGENT_DO_RUN);
    for (int i = 0; i < 12; i++) {
        error(ERR_FORMAT);
        ok(); /* told */
        assert_int_equal(a.what, AGENT_DO_WAIT);
        assert_true(a.drop && !a.keep);
        assert_in_range(a.wait_ms, waited, 5 * 60 * 1000);
        waited = a.wait_ms;
        ok();
        ok();
        ok();
        assert_int_equal(a.what, AGENT_DO_RUN);
    }
    assert_true(waited > 60 * 1000);
    ok();
    ok();
    none(); /* completed */
    ok();
    ok();
    assert_int_equal(a.what, AGENT_DO_RUN);
    error(ERR_FORMAT);
    ok();
    assert_true(a.wait_ms < 2000);
}

static void test_token_lost(void **state)
{
    (void)state;
    walk_to(AGENT_DO_UPLOAD);
    error(ERR_DENIED);
    assert_int_equal(a.what, AGENT_DO_JOIN);
    assert_int_equal(a.say, AGENT_SAY_REJOIN);
    ok();
    assert_int_equal(a.what, AGENT_DO_UPLOAD); /* goes on with what it held */
    ok();
    error(ERR_DENIED); /* again, later: joins again */
    assert_int_equal(a.what, AGENT_DO_JOIN);
    ok();
    error(ERR_DENIED); /* a fresh token refused: no use */
    assert_int_equal(a.what, AGENT_DO_EXIT);
    assert_int_equal(a.exit_code, err_exit_code(ERR_DENIED));
    assert_int_equal(a.say, AGENT_SAY_END);
    begin(true, false);
    error(ERR_DENIED); /* a wrong join token */
    assert_int_equal(a.what, AGENT_DO_EXIT);
    begin(true, true); /* a rotated join token, but an agent's token from before */
    error(ERR_DENIED);
    nothing_left();
    assert_int_equal(a.what, AGENT_DO_CLAIM);
    ok();
    assert_int_equal(a.what, AGENT_DO_FETCH);
    begin(true, true); /* the file of the join token is gone */
    error(ERR_IO);
    nothing_left();
    assert_int_equal(a.what, AGENT_DO_CLAIM);
    begin(true, false);
    error(ERR_IO);
    assert_int_equal(a.what, AGENT_DO_EXIT);
    begin(false, true);
    nothing_left();
    assert_int_equal(a.what, AGENT_DO_CLAIM);
    error(ERR_DENIED);
    assert_int_equal(a.what, AGENT_DO_EXIT);
}

static void test_wrong_address_and_version_end(void **state)
{
    (void)state;
    begin(true, false);
    error(ERR_PROTOCOL);
    assert_int_equal(a.what, AGENT_DO_EXIT);
    assert_int_not_equal(a.exit_code, 0);
    begin(true, false);
    error(ERR_VERSION);
    assert_int_equal(a.what, AGENT_DO_EXIT);
    walk_to(AGENT_DO_CLAIM); /* a proxy's page in between: not the end */
    error(ERR_PROTOCOL);
    assert_int_equal(a.what, AGENT_DO_WAIT);
}

/* An address of another scheme, or a certificate that nobody trusts: time does not cure it … */
static void test_wrong_settings_end(void **state)
{
    (void)state;
    for (int has_token = 0; has_token < 2; has_token++) {
        begin(true, has_token);
        error(ERR_UNAVAILABLE);
        ok();
        for (int i = 0; i < 2; i++) {
            error(ERR_CONFIG);
            assert_int_equal(a.what, AGENT_DO_WAIT);
            ok();
            assert_int_equal(a.what, AGENT_DO_JOIN);
        }
        error(ERR_UNAVAILABLE); /* something changes there: count anew */
        ok();
        for (int i = 0; i < 3; i++) {
            error(ERR_CONFIG);
            if (i < 2)
                ok();
        }
        assert_int_equal(a.what, AGENT_DO_EXIT);
        assert_int_equal(a.say, AGENT_SAY_END);
        assert_int_equal(a.exit_code, err_exit_code(ERR_CONFIG));
    }
    walk_to(AGENT_DO_UPLOAD); /* … but one that has worked is waited for */
    for (int i = 0; i < 20; i++) {
        error(ERR_CONFIG);
        assert_int_equal(a.what, AGENT_DO_WAIT);
        assert_false(a.drop);
        ok();
    }
}

/* A certificate that ends while the coordinator is away is told, once, and not taken for that. */
static void test_trouble_that_changes_is_told(void **state)
{
    (void)state;
    walk_to(AGENT_DO_CLAIM);
    error(ERR_UNAVAILABLE);
    assert_int_equal(a.say, AGENT_SAY_AWAY);
    ok();
    error(ERR_UNAVAILABLE);
    assert_int_equal(a.say, AGENT_SAY_NOTHING);
    ok();
    error(ERR_CONFIG);
    assert_int_equal(a.say, AGENT_SAY_AWAY);
    ok();
    error(ERR_CONFIG);
    assert_int_equal(a.say, AGENT_SAY_NOTHING);
    ok();
    error(ERR_UNAVAILABLE); /* between a proxy that is up and one that is down: no word each time */
    assert_int_equal(a.say, AGENT_SAY_NOTHING);
}

static void test_stop_while_idle_or_running(void **state)
{
    (void)state;
    walk_to(AGENT_DO_CLAIM);
    stop_error(ERR_STOPPED);
    assert_int_equal(a.say, AGENT_SAY_STOP);
    assert_int_equal(a.what, AGENT_DO_CLAIM); /* takes back the one that may wait there still */
    assert_true(a.probe && a.last_words);
    none();
    assert_int_equal(a.what, AGENT_DO_EXIT);
    assert_int_equal(a.exit_code, 0);
    walk_to(AGENT_DO_CLAIM);
    stop_error(ERR_STOPPED);
    ok(); /* it had got something */
    assert_int_equal(a.what, AGENT_DO_RELEASE);
    walk_to(AGENT_DO_CLAIM);
    stop_error(ERR_STOPPED);
    stop_error(ERR_UNAVAILABLE);
    assert_int_equal(a.what, AGENT_DO_EXIT);

    walk_to(AGENT_DO_RUN); /* saved by the runner: hand that over, give the lease back */
    stop_error(ERR_STOPPED);
    assert_int_equal(a.what, AGENT_DO_HANDOVER);
    assert_true(a.last_words);
    ok();
    assert_int_equal(a.what, AGENT_DO_RELEASE);
    assert_true(a.last_words);
    assert_false(a.drop); /* the local save is for the next start */
    stop_error(ERR_UNAVAILABLE);
    assert_int_equal(a.what, AGENT_DO_EXIT);
    assert_int_equal(a.exit_code, 0);

    walk_to(AGENT_DO_RUN); /* no time to hand it over, or no way */
    stop_error(ERR_STOPPED);
    none();
    assert_int_equal(a.what, AGENT_DO_RELEASE);
    walk_to(AGENT_DO_RUN);
    stop_error(ERR_STOPPED);
    stop_error(ERR_UNAVAILABLE);
    assert_int_equal(a.what, AGENT_DO_RELEASE);
    walk_to(AGENT_DO_RUN); /* another has it */
    stop_error(ERR_STOPPED);
    stop_error(ERR_FENCED);
    assert_true(a.drop && a.keep);
    assert_int_equal(a.what, AGENT_DO_EXIT);

    walk_to(AGENT_DO_FETCH);
    stop_error(ERR_STOPPED);
    assert_int_equal(a.what, AGENT_DO_RELEASE);

    agent_state_init(&s, true, false); /* before anything */
    agent_step(&s, &(struct agent_event){.stop = true}, &a);
    assert_int_equal(a.what, AGENT_DO_EXIT);
}

static void test_stop_delivers_what_is_finished(void **state)
{
    struct agent_event done = {.result = AGENT_OK, .stop = true};
    (void)state;
    walk_to(AGENT_DO_RUN); /* finished just then: deliver it */
    agent_step(&s, &done, &a);
    assert_int_equal(a.what, AGENT_DO_UPLOAD);
    assert_true(a.last_words);
    ok();
    assert_int_equal(a.what, AGENT_DO_COMPLETE);
    ok(); /* and a next link came with it */
    assert_int_equal(a.what, AGENT_DO_RELEASE);
    ok();
    assert_int_equal(a.what, AGENT_DO_EXIT);

    walk_to(AGENT_DO_UPLOAD); /* cut by the stop: once more, then no longer */
    stop_error(ERR_STOPPED);
    assert_int_equal(a.what, AGENT_DO_UPLOAD);
    assert_true(a.last_words);
    stop_error(ERR_UNAVAILABLE);
    assert_int_equal(a.what, AGENT_DO_RELEASE);
    stop_error(ERR_UNAVAILABLE);
    assert_int_equal(a.what, AGENT_DO_EXIT);

    walk_to(AGENT_DO_COMPLETE); /* while waiting for a coordinator that is away */
    error(ERR_UNAVAILABLE);
    agent_step(&s, &done, &a);
    assert_int_equal(a.what, AGENT_DO_COMPLETE);
    none();
    assert_int_equal(a.what, AGENT_DO_EXIT);
    assert_int_equal(a.exit_code, 0);
}

/* Whoever looks at a benched machine finds out why, once; the coordinator is not asked all the
 * time, and the machine works again once it may. */
static void test_benched_agent_asks_seldom(void **state)
{
    (void)state;
    walk_to(AGENT_DO_CLAIM);
    for (int i = 0; i < 3; i++) {
        error(ERR_BENCHED);
        assert_int_equal(a.what, AGENT_DO_WAIT);
        assert_in_range(a.wait_ms, 60000, 600000);
        assert_int_equal(a.say, i == 0 ? AGENT_SAY_BENCHED : AGENT_SAY_NOTHING);
        ok();
        assert_int_equal(a.what, AGENT_DO_CLAIM);
    }
    ok();
    assert_int_equal(a.what, AGENT_DO_FETCH);
    walk_to(AGENT_DO_CLAIM);
    error(ERR_BENCHED);
    assert_int_equal(a.say, AGENT_SAY_BENCHED);
    agent_step(&s, &(struct agent_event){.stop = true},
               &a); /* it does not wait that long to stop */
    assert_int_equal(a.what, AGENT_DO_EXIT);
    assert_int_equal(a.exit_code, 0);
}

/* The coordinator wants the job back: a pause costs what the save costs, and the agent goes on with
 * other work. */
static void test_job_is_handed_over_when_asked_for(void **state)
{
    (void)state;
    const struct agent_event asked = {
        .result = AGENT_ERROR, .code = ERR_STOPPED, .hand_over = true};
    for (int uploaded = 0; uploaded < 3; uploaded++) {
        walk_to(AGENT_DO_RUN);
        agent_step(&s, &asked, &a);
        assert_int_equal(a.what, AGENT_DO_HANDOVER);
        assert_int_equal(a.say, AGENT_SAY_GIVE);
        if (uploaded == 0)
            ok();
        else if (uploaded == 1)
            none();
        else
            error(ERR_UNAVAILABLE); /* it goes back without its save, which stays here */
        assert_int_equal(a.what, AGENT_DO_RELEASE);
        ok();
        assert_true(a.drop && a.keep);
        assert_int_equal(a.what, AGENT_DO_CLAIM);
    }
    walk_to(AGENT_DO_RUN); /* a stop meanwhile is a stop */
    agent_step(&s, &asked, &a);
    stop_error(ERR_STOPPED);
    assert_int_equal(a.what, AGENT_DO_RELEASE);
    ok();
    assert_int_equal(a.what, AGENT_DO_EXIT);
}

/* A drained agent says so once, and looks every few seconds whether it may work again. */
static void test_drained_agent_waits(void **state)
{
    (void)state;
    walk_to(AGENT_DO_CLAIM);
    for (int i = 0; i < 3; i++) {
        error(ERR_DRAINED);
        assert_int_equal(a.what, AGENT_DO_WAIT);
        assert_in_range(a.wait_ms, 5000, 30000);
        assert_int_equal(a.say, i == 0 ? AGENT_SAY_DRAINED : AGENT_SAY_NOTHING);
        ok();
        assert_int_equal(a.what, AGENT_DO_CLAIM);
    }
    ok();
    assert_int_equal(a.what, AGENT_DO_FETCH);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good_way),
        cmocka_unit_test(test_coordinator_away),
        cmocka_unit_test(test_coordinator_full),
        cmocka_unit_test(test_own_disk_full),
        cmocka_unit_test(test_own_disk_broken),
        cmocka_unit_test(test_retry_after),
        cmocka_unit_test(test_delivers_what_was_finished_before),
        cmocka_unit_test(test_jitter_spreads),
        cmocka_unit_test(test_lost_lease_drops_the_job),
        cmocka_unit_test(test_failures_are_told),
        cmocka_unit_test(test_upload_that_arrives_damaged_loses_nothing),
        cmocka_unit_test(test_broken_machine_slows_down),
        cmocka_unit_test(test_benched_agent_asks_seldom),
        cmocka_unit_test(test_job_is_handed_over_when_asked_for),
        cmocka_unit_test(test_drained_agent_waits),
        cmocka_unit_test(test_token_lost),
        cmocka_unit_test(test_wrong_address_and_version_end),
        cmocka_unit_test(test_wrong_settings_end),
        cmocka_unit_test(test_trouble_that_changes_is_told),
        cmocka_unit_test(test_stop_while_idle_or_running),
        cmocka_unit_test(test_stop_delivers_what_is_finished),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
