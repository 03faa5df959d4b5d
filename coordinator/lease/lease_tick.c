/* Time passes: leases end, backoffs are over. */
#include "coordinator/lease/lease_tick.h"

#include "core/env/clock.h"
#include "coordinator/lease/attempts.h"
#include "coordinator/lease/lease_clock.h"
#include "coordinator/lease/poison.h"
#include "coordinator/lease/replays.h"
#include "coordinator/log.h"
#include "coordinator/run/steer.h"
#include "coordinator/run/works.h"
#include "coordinator/store/ops.h"
#include "coordinator/store/ops_steer.h"

#define TICK_MS 1000
#define TICK_DUE_MAX 256 /* a transaction; the rest at once in the next */
#define ARENA_MAX (64u << 20)

/* A restart knows no deadlines: whoever holds a lease gets a full term to be heard of. */
static int give_full_terms(struct service *s, int64_t now_ms, struct err *e)
{
    struct store_conn *c;
    struct arena a;
    struct job_row *rows = NULL;
    uint32_t count = 0;
    int rc = store_read_begin(s->store, &c, e);
    if (rc)
        return rc;
    arena_init(&a, ARENA_MAX);
    rc = op_jobs_leased(c, &a, &rows, &count, e);
    store_read_end(s->store, c);
    for (uint32_t i = 0; !rc && i < count; i++) {
        struct lease_progress p;
        /* Who has been heard of already has a term, and progress to keep. */
        if (rows[i].agent && !lease_progress_of(s->leases, rows[i].id, &p))
            rc = lease_clock_lease(s->leases, rows[i].id, &rows[i].fence, now_ms + LEASE_MS, NULL,
                                   e);
    }
    arena_free(&a);
    return rc;
}

/* What becomes of an entry once the transaction is committed. */
enum outcome { KEEP, OVER, ELSEWHERE /* others may take the job now; its agent, later */ };

struct tick {
    struct service *service;
    int64_t now_ms, wall_ms;
    struct lease_due due[TICK_DUE_MAX];
    enum outcome outcome[TICK_DUE_MAX];
    size_t count;
    size_t from, to; /* what the transaction is for */
    uint64_t ready, rested;
};

static int tick_backoff(struct tick *t, struct store_conn *c, const struct job_row *job,
                        enum outcome *outcome, struct err *e)
{
    t->ready++;
    if (job->ready)
        return op_job_allow_all(c, job->id, e);
    if (job->failed_agent)
        *outcome = ELSEWHERE;
    return op_job_set_ready(c, job->id, e);
}

static int tick_expire(struct tick *t, struct store_conn *c, struct arena *a,
                       const struct job_row *job, struct err *e)
{
    struct call call = {.service = t->service,
                        .conn = c,
                        .arena = a,
                        .now_ms = t->now_ms,
                        .wall_ms = t->wall_ms,
                        .ready = 1};
    struct attempt_ended ended;
    int rc = op_job_expire(c, job->id, (uint64_t)t->wall_ms, e);
    if (!rc)
        rc = attempt_expired(&call, job, &ended, e);
    bool over = false;
    if (!rc)
        rc = replay_given_back(&call, job, &over, e);
    if (!rc && ended.row.id && !over)
        rc = poison_expired(&call, job, &ended.row, ended.begun, e);
    t->ready += call.ready;
    return rc;
}

static int tick_one(struct tick *t, struct store_conn *c, struct arena *a,
                    const struct lease_due *d, enum outcome *outcome, struct err *e)
{
    struct job_row job;
    *outcome = OVER;
    int rc = op_job_get(c, d->job, a, &job, e);
    if (rc)
        return rc == ERR_NOT_FOUND ? 0 : rc;
    bool holds = job.state == JOB_LEASED && job.agent;
    bool same = lease_fence_compare(&job.fence, &d->fence) == 0;
    if (d->backoff && same && job.state == JOB_WAITING && (!job.ready || job.failed_agent))
        return tick_backoff(t, c, &job, outcome, e);
    if (holds && same)
        return tick_expire(t, c, a, &job, e);
    if (holds) { /* the entry is of a grant that was not committed; the row's holder has a term */
        *outcome = KEEP;
        lease_clock_forget(t->service->leases, d, t->now_ms);
        return lease_clock_lease(t->service->leases, d->job, &job.fence, t->now_ms + LEASE_MS, NULL,
                                 e);
    }
    return 0;
}

static int tick_fn(struct store_conn *c, void *arg, struct err *e)
{
    struct tick *t = arg;
    struct arena a;
    int rc = 0;
    t->ready = 0;
    arena_init(&a, ARENA_MAX);
    for (size_t i = t->from; !rc && i < t->to; i++) {
        t->outcome[i] = KEEP;
        if (lease_clock_still_due(t->service->leases, &t->due[i], t->now_ms))
            rc = tick_one(t, c, &a, &t->due[i], &t->outcome[i], e);
        arena_reset(&a);
    }
    arena_free(&a);
    return rc;
}

/* Whether it may be what one row alone meets; else the next tick tries again. */
static bool is_of_one(int code)
{
    switch (code) {
    case ERR_CONFLICT:
    case ERR_EXISTS:
    case ERR_FORMAT:
    case ERR_INTERNAL:
    case ERR_INVALID:
    case ERR_NOT_FOUND:
    case ERR_RANGE:
    case ERR_TOO_LARGE:
        return true;
    default:
        return false;
    }
}

static int postpone(struct tick *t, const struct lease_due *d, struct err *e)
{
    struct lease_clock *l = t->service->leases;
    struct lease_progress p;
    int64_t due_ms = t->now_ms + LEASE_MS;
    if (!lease_clock_still_due(l, d, t->now_ms))
        return 0;
    if (d->backoff)
        return lease_clock_backoff(l, d->job, &d->fence, due_ms, e);
    bool known = lease_progress_of(l, d->job, &p);
    return lease_clock_lease(l, d->job, &d->fence, due_ms, known ? &p : NULL, e);
}

/* Each in a transaction of its own, so that a row that can't be changed keeps nobody else's lease
 * from ending. */
static int tick_each(struct tick *t, struct err *e)
{
    uint64_t ready = 0;
    int rc = 0;
    for (size_t i = 0; i < t->count; i++)
        t->outcome[i] = KEEP;
    for (size_t i = 0; !rc && i < t->count; i++) {
        t->from = i;
        t->to = i + 1;
        rc = store_write_wait(t->service->store, tick_fn, t, e);
        if (!rc) {
            ready += t->ready;
            continue;
        }
        t->outcome[i] = KEEP;
        if (!is_of_one(rc))
            break;
        log_error("lease cannot be ended job=%llu code=%s why=\"%s\"",
                  (unsigned long long)t->due[i].job, err_name(rc), e->message);
        rc = postpone(t, &t->due[i], e);
    }
    t->ready = ready;
    return rc;
}

static int tick_all(struct tick *t, struct err *e)
{
    t->from = 0;
    t->to = t->count;
    int rc = t->count ? store_write_wait(t->service->store, tick_fn, t, e) : 0;
    if (!rc || is_of_one(rc))
        return rc ? tick_each(t, e) : 0;
    for (size_t i = 0; i < t->count; i++)
        t->outcome[i] = KEEP; /* all of it is still due at the next tick */
    t->ready = 0;
    return rc;
}

static int rest_fn(struct store_conn *c, void *arg, struct err *e)
{
    struct tick *t = arg;
    struct arena a;
    arena_init(&a, ARENA_MAX);
    struct call call = {
        .service = t->service, .conn = c, .arena = &a, .now_ms = t->now_ms, .wall_ms = t->wall_ms};
    int rc = runs_rested(&call, e);
    t->rested = rc ? 0 : call.ready;
    arena_free(&a);
    return rc;
}

/* Runs whose pause is over go on. Nothing is written where there are none. */
static int tick_rests(struct tick *t, struct err *e)
{
    struct store_conn *c;
    uint64_t at_ms = 0;
    int rc = store_read_begin(t->service->store, &c, e);
    if (rc)
        return rc;
    rc = op_runs_rest_until(c, &at_ms, e);
    store_read_end(t->service->store, c);
    if (rc || at_ms == 0 || (int64_t)at_ms > t->wall_ms)
        return rc;
    rc = store_write_wait(t->service->store, rest_fn, t, e);
    t->ready += t->rested;
    return rc;
}

int lease_tick_at(struct service *s, int64_t now_ms, int64_t wall_ms, int64_t *next_ms,
                  struct err *e)
{
    struct tick t = {.service = s, .now_ms = now_ms, .wall_ms = wall_ms};
    struct err ignored;
    int64_t next;
    int rc = 0;
    *next_ms = TICK_MS;
    if (lease_clock_start(s->leases) && (rc = give_full_terms(s, now_ms, e))) {
        lease_clock_start_again(s->leases);
        return rc;
    }
    t.count = lease_clock_due(s->leases, now_ms, t.due, TICK_DUE_MAX, &next);
    rc = tick_all(&t, e);
    for (size_t i = 0; i < t.count;
         i++) { /* those that were committed, whatever became of others */
        if (t.outcome[i] != KEEP)
            lease_clock_forget(s->leases, &t.due[i], now_ms);
        if (t.outcome[i] == ELSEWHERE) {
            int failed = lease_clock_backoff(s->leases, t.due[i].job, &t.due[i].fence,
                                             now_ms + LEASE_ELSEWHERE_MS, rc ? &ignored : e);
            rc = rc ? rc : failed;
        }
    }
    if (!rc && lease_clock_notes_due(s->leases, now_ms))
        rc = attempts_flush(s, now_ms, e);
    if (!rc && lease_clock_rests_due(s->leases, now_ms))
        rc = tick_rests(&t, e);
    if (t.ready > 0 && s->jobs_ready)
        s->jobs_ready(s->jobs_ready_arg, t.ready);
    if (t.ready > 0 && s->works) /* the coordinator's own back off, too */
        works_wake(s->works);
    if (next - now_ms < TICK_MS)
        *next_ms = next > now_ms ? next - now_ms : 1;
    return rc;
}

int lease_tick(struct service *s, int64_t *next_ms, struct err *e)
{
    return lease_tick_at(s, env_monotonic_ms(), env_wall_ms(), next_ms, e);
}
