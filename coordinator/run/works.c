#include "coordinator/run/works.h"

#include <math.h>
#include <stdlib.h>
#include "core/env/clock.h"
#include "core/env/process.h"
#include "core/env/thread.h"
#include "coordinator/lease/lease.h"
#include "coordinator/log.h"
#include "coordinator/run/own.h"
#include "coordinator/run/settle.h"
#include "coordinator/store/ops_attempts.h"

#define WORKS_CHECKERS 2 /* checking is reading and inflating: little processor time */
/* Backups, collections and rollbacks take minutes: no result is to wait for them. */
#define WORKS_LONG 2
#define OWN_ARENA_MAX (256u << 20)
#define RETURN_ARENA_MAX (1u << 20)
#define RETRY_MS 2000 /* after a failure of a job of our own; doubled at each in a row */
#define RETRY_MS_MAX (60 * 1000)
#define POLL_MS 100

struct task {
    struct task *next;
    void (*fn)(void *arg);
    void *arg;
};

/* What waits for some of the threads. */
struct lane {
    struct works *works;
    struct env_cond wake;
    struct task *first, **last;
};

struct works {
    struct service *service;
    struct env_thread threads[WORKS_CHECKERS + WORKS_LONG], own;
    unsigned threads_started;
    bool own_started;
    int64_t retry_ms;
    unsigned failures;     /* the own thread's: in a row */
    struct env_mutex lock; /* guards what follows; nothing else is taken while it is held */
    struct env_cond own_wake;
    struct lane checks, longs;
    bool look, stopping; /* look: own jobs may be due */
};

static void submit(struct lane *l, void (*fn)(void *arg), void *arg)
{
    struct works *w = l->works;
    struct task *t = malloc(sizeof *t);
    if (!t) { /* without memory the caller's thread does it itself */
        fn(arg);
        return;
    }
    *t = (struct task){NULL, fn, arg};
    env_mutex_lock(&w->lock);
    *l->last = t;
    l->last = &t->next;
    env_cond_signal(&l->wake);
    env_mutex_unlock(&w->lock);
}

void works_submit(struct works *w, void (*fn)(void *arg), void *arg)
{
    submit(&w->checks, fn, arg);
}

void works_submit_long(struct works *w, void (*fn)(void *arg), void *arg)
{
    submit(&w->longs, fn, arg);
}

bool works_stopping(struct works *w)
{
    env_mutex_lock(&w->lock);
    bool stop = w->stopping;
    env_mutex_unlock(&w->lock);
    return stop || env_stop_requested();
}

void works_wake(struct works *w)
{
    env_mutex_lock(&w->lock);
    w->look = true;
    env_cond_signal(&w->own_wake);
    env_mutex_unlock(&w->lock);
}

static void lane_main(void *arg)
{
    struct lane *l = arg;
    struct works *w = l->works;
    env_mutex_lock(&w->lock);
    for (;;) {
        while (!l->first && !w->stopping)
            env_cond_wait(&l->wake, &w->lock);
        struct task *t = l->first;
        if (!t)
            break; /* stopping, and all that was queued is done */
        l->first = t->next;
        if (!l->first)
            l->last = &l->first;
        env_mutex_unlock(&w->lock);
        t->fn(t->arg);
        free(t);
        env_mutex_lock(&w->lock);
    }
    env_mutex_unlock(&w->lock);
}

/* --- the coordinator's own jobs --------------------------------------------------------------- */

struct own_work {
    struct service *service;
    struct arena arena;
    struct job_row row;
    struct msg_blob output;
    const char *detail;
    double seconds;
    bool claimed;
    uint64_t ready;
};

int own_poll(const struct own_job *j, struct err *e)
{
    return works_stopping(j->service->works)
               ? err_set(e, ERR_STOPPED, "the coordinator is being stopped")
               : store_read_renew(j->conn, e);
}

static int claim_own(struct store_conn *c, void *arg, struct err *e)
{
    struct own_work *o = arg;
    struct msg_fence fence;
    int rc = op_fence_next(c, &fence, e);
    if (!rc)
        rc = op_job_claim(c, true, 0, &fence, (uint64_t)env_wall_ms(), &o->arena, &o->row, e);
    if (!rc)
        rc = op_attempt_begin(c, o->row.id, 0, &fence, 0, (uint64_t)env_wall_ms(), e);
    o->claimed = rc == 0;
    return rc;
}

static int do_own(struct own_work *o, struct err *e)
{
    struct own_job *j = arena_alloc(&o->arena, sizeof *j);
    if (!j)
        return err_set(e, ERR_NO_MEMORY, "no memory for a job");
    *j = (struct own_job){.service = o->service, .arena = &o->arena, .row = o->row};
    int rc = store_read_begin(o->service->store, &j->conn, e);
    if (rc)
        return rc;
    rc = run_view_load(j->conn, o->row.run, false, &o->arena, &j->view, e);
    if (!rc)
        rc = o->row.key.kind == JOB_ASSIGN ? own_assign(j, &o->output, &o->detail, e)
                                           : own_report(j, &o->output, e);
    store_read_end(o->service->store, j->conn);
    return rc;
}

static int end_attempt(struct store_conn *c, const struct job_row *row, int outcome,
                       const char *words, struct err *e)
{
    struct attempt_note n = {.loss_first = NAN, .loss = NAN, .words = words};
    int rc = op_attempt_note(c, &row->fence, &n, e);
    return rc ? rc
              : op_attempt_end(c, &row->fence, outcome, ATTEMPT_OPEN, (uint64_t)env_wall_ms(), NULL,
                               e);
}

static int publish_own(struct store_conn *c, void *arg, struct err *e)
{
    struct own_work *o = arg;
    struct call call = {.service = o->service,
                        .conn = c,
                        .arena = &o->arena,
                        .now_ms = env_monotonic_ms(),
                        .wall_ms = env_wall_ms()};
    struct msg_complete m = {.fence = &o->row.fence,
                             .outputs = &o->output,
                             .output_count = 1,
                             .loss = NAN,
                             .seconds = o->seconds};
    struct run_row run;
    int rc = op_run_get(c, o->row.run, &o->arena, &run, e);
    if (rc || run.state != RUN_ACTIVE)
        return rc; /* cancelled meanwhile: the job is, too */
    rc = op_job_done(c, o->row.id, &m, o->detail, (uint64_t)call.wall_ms, e);
    if (!rc)
        rc = end_attempt(c, &o->row, ATTEMPT_DONE, NULL, e);
    if (!rc && o->row.key.kind == JOB_REPORT)
        return op_run_end(c, o->row.run, RUN_DONE, NULL, (uint64_t)call.wall_ms, e);
    if (!rc)
        rc = run_advance(&call, o->row.run, &o->row.key, e);
    if (!rc)
        rc = run_settle(c, &o->arena, o->row.run, (uint64_t)call.wall_ms, e);
    o->ready = call.ready;
    return rc;
}

/* --- when an own job fails ---------------------------------------------------------------------
 */

static int64_t doubled(int64_t ms, unsigned times)
{
    while (times-- > 0 && ms < RETRY_MS_MAX)
        ms *= 2;
    return ms < RETRY_MS_MAX ? ms : RETRY_MS_MAX;
}

static void rest(struct works *w, int64_t ms)
{
    int64_t until = env_monotonic_ms() + ms;
    for (int64_t left = ms; left > 0 && !works_stopping(w); left = until - env_monotonic_ms())
        env_sleep_ms(left < POLL_MS ? left : POLL_MS);
}

struct giving_back {
    struct works *works;
    const struct job_row *row;
    const struct err *why;
    struct arena arena;
};

/* It rests, longer from time to time, until lease_tick makes it ready. */
static int back_off(struct store_conn *c, struct giving_back *g, bool counts, struct err *e)
{
    struct works *w = g->works;
    uint64_t now = (uint64_t)env_wall_ms(), id = g->row->id;
    int64_t due_ms = env_monotonic_ms() + doubled(w->retry_ms, w->failures);
    int rc = w->failures == 0 && !counts ? op_job_note(c, id, g->why->message, e) : 0;
    if (!rc)
        rc = op_job_return(c, id, false, counts ? g->why->message : NULL, now, e);
    return rc ? rc : lease_clock_backoff(w->service->leases, id, &g->row->fence, due_ms, e);
}

static int return_own(struct store_conn *c, void *arg, struct err *e)
{
    struct giving_back *g = arg;
    const struct job_row *row = g->row;
    struct run_row run;
    uint64_t now = (uint64_t)env_wall_ms();
    arena_reset(&g->arena);
    int rc = op_run_get(c, row->run, &g->arena, &run, e);
    if (rc || run.state != RUN_ACTIVE)
        return rc;
    bool stopped = g->why->code == ERR_STOPPED;
    rc = end_attempt(c, row, stopped ? ATTEMPT_RELEASED : ATTEMPT_FAILED, g->why->message, e);
    if (rc)
        return rc;
    if (stopped)
        return op_job_return(c, row->id, true, NULL, now, e);
    if (err_is_passing(g->why->code) || row->failures + 1 < LEASE_FAILURES_MAX)
        return back_off(c, g, !err_is_passing(g->why->code), e);
    rc = op_job_quarantine(c, row->id, g->why->message, now, e);
    return rc ? rc : run_settle(c, &g->arena, row->run, now, e);
}

/* Nobody but us can give our job back, and the disk that was too full for its result may be so for
 * this, too: until there is room. At a stop one try is enough, since the next start takes it back.
 */
static void give_back(struct works *w, const struct job_row *row, const struct err *why)
{
    struct giving_back g = {.works = w, .row = row, .why = why};
    struct err e = {0};
    arena_init(&g.arena, RETURN_ARENA_MAX);
    for (unsigned times = 0;; times++) {
        int rc = store_write_wait(w->service->store, return_own, &g, &e);
        if (!rc || rc == ERR_CONFLICT || rc == ERR_NOT_FOUND) /* then it is not ours any more */
            break;
        log_error("own job cannot be given back job=%llu why=\"%s\"", (unsigned long long)row->id,
                  e.message);
        rest(w, doubled(w->retry_ms, times));
        if (works_stopping(w))
            break;
    }
    arena_free(&g.arena);
}

/* --- the thread --------------------------------------------------------------------------------
 */

enum own_outcome { OWN_NOTHING, OWN_DONE, OWN_FAILED, OWN_NO_CLAIM };

/* Takes and does one job. */
static enum own_outcome own_once(struct works *w)
{
    struct service *s = w->service;
    struct own_work o = {.service = s};
    struct err e = {0};
    arena_init(&o.arena, OWN_ARENA_MAX);
    int rc = store_write_wait(s->store, claim_own, &o, &e);
    if (rc) {
        arena_free(&o.arena);
        if (rc == ERR_NOT_FOUND)
            return OWN_NOTHING;
        log_error("own jobs cannot be taken why=\"%s\"", e.message);
        return OWN_NO_CLAIM;
    }
    double start = env_monotonic_s();
    rc = do_own(&o, &e);
    o.seconds = env_monotonic_s() - start;
    if (!rc)
        rc = store_write_wait(s->store, publish_own, &o, &e);
    if (!rc && o.ready > 0 && s->jobs_ready)
        s->jobs_ready(s->jobs_ready_arg, o.ready);
    if (rc) {
        log_warn("own job failed job=%llu code=%s why=\"%s\"", (unsigned long long)o.row.id,
                 err_name(rc), e.message);
        give_back(w, &o.row, &e);
    }
    arena_free(&o.arena);
    return rc ? OWN_FAILED : OWN_DONE;
}

static void own_worker(void *arg)
{
    struct works *w = arg;
    for (;;) {
        env_mutex_lock(&w->lock);
        while (!w->look && !w->stopping)
            env_cond_wait(&w->own_wake, &w->lock);
        w->look = false;
        env_mutex_unlock(&w->lock);
        if (works_stopping(w))
            return;
        enum own_outcome done = own_once(w);
        if (done == OWN_NOTHING)
            continue;
        if (done == OWN_NO_CLAIM)
            rest(w, doubled(w->retry_ms, w->failures));
        w->failures = done == OWN_DONE ? 0 : w->failures + 1;
        works_wake(w); /* there may be others */
    }
}

/* --- starting and stopping ---------------------------------------------------------------------
 */

static int start_threads(struct works *w, struct err *e)
{
    int rc = env_thread_start(&w->own, own_worker, w, "the thread of own jobs", e);
    w->own_started = !rc;
    for (int i = 0; !rc && i < WORKS_CHECKERS + WORKS_LONG; i++) {
        bool checks = i < WORKS_CHECKERS;
        rc = env_thread_start(&w->threads[i], lane_main, checks ? &w->checks : &w->longs,
                              checks ? "a thread that checks results" : "a thread of long requests",
                              e);
        w->threads_started += !rc;
    }
    return rc;
}

static void lane_init(struct lane *l, struct works *w)
{
    l->works = w;
    l->last = &l->first;
    env_cond_init(&l->wake);
}

int works_create_with(struct works **out, struct service *s, int64_t retry_ms, struct err *e)
{
    struct works *w = calloc(1, sizeof *w);
    if (!w)
        return err_set(e, ERR_NO_MEMORY, "no memory for the works");
    w->service = s;
    w->retry_ms = retry_ms;
    w->look = true;
    env_mutex_init(&w->lock);
    lane_init(&w->checks, w);
    lane_init(&w->longs, w);
    env_cond_init(&w->own_wake);
    *out = w; /* before the threads, which find the works where `out` is: in the service */
    int rc = start_threads(w, e);
    if (rc) {
        works_destroy(w);
        *out = NULL;
    }
    return rc;
}

int works_create(struct works **out, struct service *s, struct err *e)
{
    return works_create_with(out, s, RETRY_MS, e);
}

void works_destroy(struct works *w)
{
    if (!w)
        return;
    env_mutex_lock(&w->lock);
    w->stopping = true;
    env_cond_broadcast(&w->checks.wake);
    env_cond_broadcast(&w->longs.wake);
    env_cond_broadcast(&w->own_wake);
    env_mutex_unlock(&w->lock);
    if (w->own_started)
        env_thread_join(&w->own);
    for (unsigned i = 0; i < w->threads_started; i++)
        env_thread_join(&w->threads[i]);
    env_mutex_destroy(&w->lock);
    env_cond_destroy(&w->checks.wake);
    env_cond_destroy(&w->longs.wake);
    env_cond_destroy(&w->own_wake);
    free(w);
}
