#include "agent/step.h"

#include <string.h>
#include "core/base/err.h"

#define WAIT_FIRST_MS 500
#define WAIT_LONGEST_MS 10000 /* a coordinator that is back has its agents back within this */
#define WAIT_IDLE_MS 50       /* between long polls, should they return at once */
#define WAIT_BAD_JOB_MS 1000  /* after a failed job, doubled at each in a row … */
#define WAIT_BAD_JOB_DOUBLINGS                                                                     \
    8                          /* … up to four minutes: a broken machine must not eat the queue  \
                                */
#define WAIT_BENCHED_MS 240000 /* a bench lasts ten minutes or more */
#define WAIT_DRAINED_MS 20000  /* an operator changes his mind within minutes, and looks */
#define BAD_DIGESTS_MAX 3
#define BAD_UPLOADS_LOOK 5 /* then the files here are looked at once more … */
#define BAD_UPLOADS_MAX 10 /* … and then another agent is to try */
#define BROKEN_MAX 5       /* tries within half a minute: what passes by itself has passed */
#define WAIT_ROOM_MS 60000 /* longest wait for room: somebody has to make some */
#define RETRY_AFTER_MAX_MS 600000
#define MISFITS_MAX 3 /* a service that is just being set up may answer wrongly for a moment */

void agent_state_init(struct agent_state *s, bool can_join, bool has_token)
{
    memset(s, 0, sizeof *s);
    s->can_join = can_join;
    s->has_token = has_token;
    s->doing = can_join ? AGENT_DO_JOIN : AGENT_DO_WORDS;
    s->resume = AGENT_DO_WORDS;
    s->spooled = true;
}

/* Half of ms for sure, the rest by chance, so that a thousand agents do not come back as one. */
static int64_t jittered(int64_t ms, uint32_t random)
{
    return ms / 2 + (int64_t)((double)(ms - ms / 2) * ((double)random / 4294967296.0));
}

/* first, doubled so many times, up to longest. */
static int64_t doubled(int64_t first, uint32_t times, int64_t longest)
{
    int64_t ms = first;
    for (uint32_t i = 0; i < times && ms < longest; i++) {
        ms *= 2;
    }
    return ms < longest ? ms : longest;
}

static bool delivers(enum agent_do what)
{
    return what == AGENT_DO_UPLOAD || what == AGENT_DO_COMPLETE || what == AGENT_DO_FAIL;
}

static bool holds_job(enum agent_do what)
{
    return what == AGENT_DO_FETCH || what == AGENT_DO_RUN || delivers(what);
}

/* Errors of the path to the coordinator or of its machine, not of what was said: time cures them,
 * and what is held here is kept. Only a fetch writes to this machine's own disk. */
static bool is_away(const struct agent_state *s, int code)
{
    bool full = code == ERR_NO_SPACE || code == ERR_NO_MEMORY;
    bool own = code == ERR_IO || (full && s->doing == AGENT_DO_FETCH);
    return (err_is_passing(code) && !own) || code == ERR_INTERNAL || code == ERR_PROTOCOL ||
           code == ERR_CONFIG;
}

static bool lease_is_gone(int code)
{
    return code == ERR_FENCED || code == ERR_CONFLICT || code == ERR_NOT_FOUND;
}

static void go(struct agent_state *s, struct agent_action *a, enum agent_do what)
{
    s->doing = what;
    a->what = what;
    a->settings = what == AGENT_DO_FAIL && s->settings;
    a->probe = what == AGENT_DO_CLAIM && (s->away > 0 || s->stopping);
    a->last_words = s->stopping;
}

static void end(struct agent_action *a, int exit_code)
{
    a->what = AGENT_DO_EXIT;
    a->exit_code = exit_code;
}

static void wait_then(struct agent_state *s, struct agent_action *a, enum agent_do what, int64_t ms)
{
    s->doing = what;
    s->waiting = true;
    a->what = AGENT_DO_WAIT;
    a->wait_ms = ms;
}

static void next_job(struct agent_state *s, struct agent_action *a)
{
    if (s->stopping) {
        end(a, 0);
    } else {
        go(s, a, s->spooled ? AGENT_DO_SPOOL : AGENT_DO_CLAIM);
    }
}

/* The lease is gone, which says nothing about the work: the coordinator may only have taken this
 * agent for dead, and grant it the same job again. */
static void drop_job(struct agent_state *s, struct agent_action *a)
{
    a->drop = a->keep = true;
    a->say = AGENT_SAY_DROP;
    next_job(s, a);
}

/* The job can't be done here: say so to the coordinator, which lets another try. */
static void fail_job(struct agent_state *s, struct agent_action *a, bool settings)
{
    s->settings = settings;
    a->say = AGENT_SAY_FAIL;
    go(s, a, AGENT_DO_FAIL);
}

static void try_again(struct agent_state *s, const struct agent_event *ev, struct agent_action *a)
{
    int64_t ms = jittered(doubled(WAIT_FIRST_MS, s->away, WAIT_LONGEST_MS), ev->random);
    if (ev->retry_after_ms > 0) { /* not all who were told the same at once */
        int64_t least =
            ev->retry_after_ms < RETRY_AFTER_MAX_MS ? ev->retry_after_ms : RETRY_AFTER_MAX_MS;
        ms = (least > ms ? least : ms) + jittered(least, ev->random) / 2;
    }
    /* What a person must mend is told from what passes, also where it follows on that. */
    if (s->away++ == 0 || (ev->code == ERR_CONFIG && s->away_code != ERR_CONFIG)) {
        a->say = AGENT_SAY_AWAY;
    }
    s->away_code = ev->code;
    wait_then(s, a, s->doing, ms);
}

/* No room here: what can be fetched again goes, and then time must help. */
static void wait_for_room(struct agent_state *s, const struct agent_event *ev,
                          struct agent_action *a)
{
    int64_t ms = doubled(WAIT_FIRST_MS, s->full, WAIT_ROOM_MS);
    if (s->full++ == 0) {
        a->say = AGENT_SAY_FULL;
    }
    a->make_room = true;
    wait_then(s, a, s->doing, jittered(ms, ev->random));
}

/* This machine's disk fails: others are to do the job. */
static void disk_is_broken(struct agent_state *s, const struct agent_event *ev,
                           struct agent_action *a)
{
    if (++s->broken < BROKEN_MAX) {
        wait_then(s, a, s->doing, jittered((int64_t)WAIT_BAD_JOB_MS << s->broken, ev->random));
        return;
    }
    a->say = AGENT_SAY_BROKEN;
    s->exit_code = err_exit_code(ERR_IO);
    go(s, a, AGENT_DO_RELEASE);
}

/* Nothing more is waited for: a job held goes back, and that is all. */
static void stop_now(struct agent_state *s, struct agent_action *a)
{
    if (holds_job(s->doing)) {
        go(s, a, AGENT_DO_RELEASE);
    } else {
        end(a, 0);
    }
}

/* What came to the store is not what was sent: somebody else's beginning of the same file was
 * wrong, or the way there is. It keeps nothing of it, and what was finished here is sent again. A
 * grant anew reads it again, too, and it is computed again only where it is this disk that changed
 * it. */
static void send_again(struct agent_state *s, const struct agent_event *ev, struct agent_action *a)
{
    s->bad_uploads++;
    if (s->bad_uploads >= BAD_UPLOADS_MAX) {
        fail_job(s, a, false);
    } else if (s->bad_uploads == BAD_UPLOADS_LOOK) {
        drop_job(s, a);
    } else {
        int64_t ms = doubled(WAIT_FIRST_MS, s->bad_uploads, WAIT_LONGEST_MS);
        wait_then(s, a, s->doing, jittered(ms, ev->random));
    }
}

/* The failure is told: the job is the coordinator's again. A result that is there stays. */
static void after_fail(struct agent_state *s, const struct agent_event *ev, struct agent_action *a)
{
    a->drop = true;
    a->keep = s->bad_uploads >= BAD_UPLOADS_MAX;
    s->bad_uploads = 0;
    next_job(s, a);
    if (a->what == AGENT_DO_CLAIM) {
        uint32_t n = s->bad_jobs < WAIT_BAD_JOB_DOUBLINGS ? s->bad_jobs : WAIT_BAD_JOB_DOUBLINGS;
        s->bad_jobs++;
        wait_then(s, a, AGENT_DO_CLAIM, jittered((int64_t)WAIT_BAD_JOB_MS << n, ev->random));
    }
}

static void after_ok(struct agent_state *s, const struct agent_event *ev, struct agent_action *a)
{
    switch (s->doing) {
    case AGENT_DO_JOIN:
        s->has_token = true;
        go(s, a, s->resume);
        break;
    case AGENT_DO_WORDS:
        next_job(s, a);
        break;
    case AGENT_DO_SPOOL:
        go(s, a, AGENT_DO_UPLOAD);
        break;
    case AGENT_DO_HANDOVER:
        go(s, a, AGENT_DO_RELEASE);
        break;
    case AGENT_DO_CLAIM:
    case AGENT_DO_COMPLETE:
        s->benched = false;
        s->bad_digests = 0;
        s->settings = false;
        if (s->doing == AGENT_DO_COMPLETE) {
            s->bad_jobs = 0;
        }
        go(s, a, s->stopping ? AGENT_DO_RELEASE : AGENT_DO_FETCH);
        break;
    case AGENT_DO_FETCH:
        go(s, a, s->stopping ? AGENT_DO_RELEASE : AGENT_DO_RUN);
        break;
    case AGENT_DO_RUN:
        go(s, a, AGENT_DO_UPLOAD);
        break;
    case AGENT_DO_UPLOAD:
        s->bad_uploads = 0;
        go(s, a, AGENT_DO_COMPLETE);
        break;
    default:
        after_fail(s, ev, a);
        break;
    }
}

static void after_none(struct agent_state *s, struct agent_action *a)
{
    if (s->doing == AGENT_DO_COMPLETE) {
        s->bad_jobs = 0;
        a->drop = true;
        next_job(s, a);
    } else if (s->doing == AGENT_DO_HANDOVER) {
        go(s, a, AGENT_DO_RELEASE);
    } else if (s->stopping) {
        end(a, 0);
    } else if (s->doing == AGENT_DO_WORDS || s->doing == AGENT_DO_SPOOL) {
        s->spooled = s->doing == AGENT_DO_WORDS;
        next_job(s, a);
    } else {
        s->benched = false;
        wait_then(s, a, AGENT_DO_CLAIM, WAIT_IDLE_MS);
    }
}

/* The token of this agent is not known any more (a coordinator restored from a backup, a revoked
 * agent): join once more, then go on. */
static void after_denied(struct agent_state *s, struct agent_action *a)
{
    if (s->doing == AGENT_DO_JOIN && s->has_token && !s->rejoined) {
        s->rejoined = true; /* the join token was rotated; the agent's own may still be good */
        go(s, a, s->resume);
    } else if (s->doing == AGENT_DO_JOIN || s->rejoined || !s->can_join) {
        a->say = AGENT_SAY_END;
        end(a, err_exit_code(ERR_DENIED));
    } else {
        s->rejoined = true;
        s->has_token = false;
        s->resume = s->doing;
        a->say = AGENT_SAY_REJOIN;
        go(s, a, AGENT_DO_JOIN);
    }
}

static void after_job_error(struct agent_state *s, const struct agent_event *ev,
                            struct agent_action *a)
{
    int code = ev->code;
    if (code == ERR_STOPPED && s->doing == AGENT_DO_RUN && ev->hand_over) {
        s->giving = true;
        a->say = AGENT_SAY_GIVE;
        go(s, a, AGENT_DO_HANDOVER);
    } else if (code == ERR_FENCED || (lease_is_gone(code) && s->doing == AGENT_DO_COMPLETE) ||
               (code == ERR_STOPPED && !s->stopping)) {
        drop_job(s, a);
    } else if (s->doing == AGENT_DO_FAIL) {
        after_fail(s, ev, a);
    } else if (code == ERR_NO_SPACE && (s->doing == AGENT_DO_FETCH || s->doing == AGENT_DO_RUN)) {
        wait_for_room(s, ev, a);
    } else if (code == ERR_IO) {
        disk_is_broken(s, ev, a);
    } else if (s->doing == AGENT_DO_FETCH && code == ERR_DIGEST &&
               ++s->bad_digests < BAD_DIGESTS_MAX) {
        wait_then(s, a, s->doing, jittered(WAIT_FIRST_MS, ev->random));
    } else if (s->doing == AGENT_DO_UPLOAD && (code == ERR_DIGEST || code == ERR_CONFLICT)) {
        send_again(s, ev, a);
    } else {
        fail_job(s, a, s->doing == AGENT_DO_RUN && code == ERR_NOT_FINITE);
    }
}

static void after_error(struct agent_state *s, const struct agent_event *ev, bool stop_is_new,
                        struct agent_action *a)
{
    bool exchange = s->doing != AGENT_DO_RUN;
    if (s->stopping) {
        if ((holds_job(s->doing) || s->doing == AGENT_DO_HANDOVER) && ev->code == ERR_FENCED) {
            drop_job(s, a);
        } else if (s->doing == AGENT_DO_HANDOVER) {
            go(s, a, AGENT_DO_RELEASE);
        } else if (s->doing == AGENT_DO_RUN && ev->code == ERR_STOPPED) {
            go(s, a, AGENT_DO_HANDOVER);
        } else if (s->doing == AGENT_DO_CLAIM && stop_is_new && ev->code == ERR_STOPPED) {
            go(s, a, AGENT_DO_CLAIM); /* the claim that was cut waits there for work still: this
                                         one takes its place, and what it may have got */
        } else if (delivers(s->doing) && stop_is_new) {
            go(s, a, s->doing); /* once more, as last words */
        } else {
            stop_now(s, a);
        }
    } else if (s->doing == AGENT_DO_HANDOVER) { /* without its save, then: that stays here */
        go(s, a, AGENT_DO_RELEASE);
    } else if (exchange && ev->code == ERR_DENIED) {
        after_denied(s, a);
    } else if (exchange &&
               (ev->code == ERR_VERSION || (ev->code == ERR_PROTOCOL && s->doing == AGENT_DO_JOIN &&
                                            !s->has_token))) { /* a wrong address, most likely */
        a->say = AGENT_SAY_END;
        end(a, err_exit_code(ev->code));
    } else if (exchange && !s->heard && s->misfits >= MISFITS_MAX) {
        a->say = AGENT_SAY_END;
        end(a, err_exit_code(ev->code));
    } else if (exchange && is_away(s, ev->code)) {
        try_again(s, ev, a);
    } else if (s->doing == AGENT_DO_WORDS || s->doing == AGENT_DO_SPOOL) {
        s->spooled = s->doing == AGENT_DO_WORDS; /* not worth standing still for */
        next_job(s, a);
    } else if (holds_job(s->doing)) {
        after_job_error(s, ev, a);
    } else if (ev->code == ERR_BENCHED) {
        a->say = s->benched ? AGENT_SAY_NOTHING : AGENT_SAY_BENCHED; /* its owner reads it once */
        s->benched = true;
        wait_then(s, a, AGENT_DO_CLAIM, jittered(WAIT_BENCHED_MS, ev->random));
    } else if (ev->code == ERR_DRAINED) {
        a->say = s->benched ? AGENT_SAY_NOTHING : AGENT_SAY_DRAINED;
        s->benched = true;
        wait_then(s, a, AGENT_DO_CLAIM, jittered(WAIT_DRAINED_MS, ev->random));
    } else if (s->doing == AGENT_DO_JOIN && s->has_token && !s->rejoined) {
        s->rejoined = true; /* the join token's file is gone, say: the agent's own token will do */
        go(s, a, s->resume);
    } else if (s->doing == AGENT_DO_JOIN) {
        a->say = AGENT_SAY_END;
        end(a, err_exit_code(ev->code));
    } else {
        try_again(s, ev, a); /* a claim refused for a reason that time may cure */
    }
}

static void after_wait(struct agent_state *s, struct agent_action *a)
{
    s->waiting = false;
    if (!s->stopping) {
        go(s, a, s->doing);
    } else if (delivers(s->doing) || s->doing == AGENT_DO_RUN) {
        go(s, a, s->doing); /* one last try to deliver, or to hand over */
    } else {
        stop_now(s, a);
    }
}

/* One event of something that was asked for. */
static void after_event(struct agent_state *s, const struct agent_event *ev, bool stop_is_new,
                        struct agent_action *a)
{
    bool unheard = ev->result == AGENT_ERROR && (is_away(s, ev->code) || ev->code == ERR_STOPPED);
    bool exchange = s->doing != AGENT_DO_RUN && s->doing != AGENT_DO_SPOOL &&
                    !(ev->result == AGENT_NONE &&
                      (s->doing == AGENT_DO_WORDS || s->doing == AGENT_DO_HANDOVER));
    bool answered = exchange && !unheard;
    bool was_full = s->full > 0, was_away = s->away > 0;
    s->misfits = ev->result == AGENT_ERROR && ev->code == ERR_CONFIG ? s->misfits + 1 : 0;
    if (answered) {
        s->away = 0;
    }
    s->heard = s->heard || (answered && ev->result != AGENT_ERROR);
    if (answered && ev->result != AGENT_ERROR && s->doing != AGENT_DO_JOIN) {
        s->rejoined = false;
    }
    if (ev->result != AGENT_ERROR) {
        s->full = s->broken = 0;
    }
    if (s->doing == AGENT_DO_RELEASE && s->giving && !s->stopping) {
        s->giving = false;
        a->drop = a->keep = true;
        next_job(s, a);
    } else if (s->doing == AGENT_DO_RELEASE) {
        end(a, s->exit_code); /* heard or not: the lease ends by itself */
    } else if (ev->result == AGENT_OK) {
        after_ok(s, ev, a);
    } else if (ev->result == AGENT_NONE) {
        after_none(s, a);
    } else {
        after_error(s, ev, stop_is_new, a);
    }
    if (was_away && answered && a->say == AGENT_SAY_NOTHING) {
        a->say = AGENT_SAY_BACK;
    }
    if (was_full && s->full == 0 && a->say == AGENT_SAY_NOTHING) {
        a->say = AGENT_SAY_ROOM;
    }
}

void agent_step(struct agent_state *s, const struct agent_event *ev, struct agent_action *a)
{
    memset(a, 0, sizeof *a);
    bool stop_is_new = ev->stop && !s->stopping;
    s->stopping = s->stopping || ev->stop;
    if (!s->started && s->stopping) {
        end(a, 0);
    } else if (!s->started) {
        go(s, a, s->doing);
    } else if (s->waiting) {
        after_wait(s, a);
    } else {
        after_event(s, ev, stop_is_new, a);
    }
    s->started = true;
    if (stop_is_new && a->say == AGENT_SAY_NOTHING) {
        a->say = AGENT_SAY_STOP;
    }
}
