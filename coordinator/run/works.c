#include "coordinator/run/works.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include "core/env/clock.h"
#include "coordinator/lease/lease.h"
#include "coordinator/run/own.h"

#define WORKS_CHECKERS 2 /* checking is reading and inflating: little processor time */
#define OWN_ARENA_MAX (256u << 20)
#define OWN_RETRY_MS 2000 /* after a failure of a job of our own (a full disk, say) */

struct task {
    struct task *next;
    void (*fn)(void *arg);
    void *arg;
};

struct works {
    struct service *service;
    pthread_t checkers[WORKS_CHECKERS], own;
    pthread_mutex_t lock; /* guards what follows; nothing else is taken while it is held */
    pthread_cond_t tasks_wake, own_wake;
    struct task *first, **last;
    bool look, stopping; /* look: own jobs may be due */
};

void works_submit(struct works *w, void (*fn)(void *arg), void *arg)
{
    struct task *t = malloc(sizeof *t);
    if (!t) { /* without memory the caller's thread does it itself */
        fn(arg);
        return;
    }
    *t = (struct task){NULL, fn, arg};
    pthread_mutex_lock(&w->lock);
    *w->last = t;
    w->last = &t->next;
    pthread_cond_signal(&w->tasks_wake);
    pthread_mutex_unlock(&w->lock);
}

void works_wake(struct works *w)
{
    pthread_mutex_lock(&w->lock);
    w->look = true;
    pthread_cond_signal(&w->own_wake);
    pthread_mutex_unlock(&w->lock);
}

static void *checker(void *arg)
{
    struct works *w = arg;
    pthread_mutex_lock(&w->lock);
    for (;;) {
        while (!w->first && !w->stopping)
            pthread_cond_wait(&w->tasks_wake, &w->lock);
        struct task *t = w->first;
        if (!t)
            break; /* stopping, and all that was queued is done */
        w->first = t->next;
        if (!w->first)
            w->last = &w->first;
        pthread_mutex_unlock(&w->lock);
        t->fn(t->arg);
        free(t);
        pthread_mutex_lock(&w->lock);
    }
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

/* --- the coordinator's own jobs --------------------------------------------------------------- */

struct own_work {
    struct service *service;
    struct arena arena;
    struct job_row row;
    struct msg_blob output;
    const char *detail, *error;
    double seconds;
    bool claimed;
    uint64_t ready;
};

static int claim_own(struct store_conn *c, void *arg, struct err *e)
{
    struct own_work *o = arg;
    struct msg_fence fence;
    int rc = op_fence_next(c, &fence, e);
    if (!rc)
        rc = op_job_claim(c, true, 0, &fence, (uint64_t)env_wall_ms(), &o->arena, &o->row, e);
    o->claimed = rc == 0;
    return rc == ERR_NOT_FOUND ? 0 : rc;
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
    if (!rc && o->row.key.kind == JOB_REPORT)
        return op_run_end(c, o->row.run, RUN_DONE, NULL, (uint64_t)call.wall_ms, e);
    if (!rc)
        rc = run_advance(&call, o->row.run, &o->row.key, e);
    o->ready = call.ready;
    return rc;
}

static int return_own(struct store_conn *c, void *arg, struct err *e)
{
    struct own_work *o = arg;
    struct run_row run;
    uint64_t now = (uint64_t)env_wall_ms();
    int rc = op_run_get(c, o->row.run, &o->arena, &run, e);
    if (rc || run.state != RUN_ACTIVE)
        return rc;
    if (o->row.failures + 1 < LEASE_FAILURES_MAX)
        return op_job_return(c, o->row.id, true, o->error, now, e);
    const char *reason =
        arena_printf(&o->arena, "%s failed %d times: %s", run_job_words(&o->arena, &o->row.key),
                     LEASE_FAILURES_MAX, o->error);
    rc = op_job_quarantine(c, o->row.id, o->error, now, e);
    if (!rc)
        rc = op_run_end(c, o->row.run, RUN_FAILED, reason, now, e);
    return rc;
}

/* Takes and does one job; returns whether to look again at once. */
static bool own_once(struct service *s, bool *failed)
{
    struct own_work o = {.service = s};
    struct err e = {0};
    *failed = false;
    arena_init(&o.arena, OWN_ARENA_MAX);
    int rc = store_write_wait(s->store, claim_own, &o, &e);
    if (!rc && o.claimed) {
        double start = env_monotonic_s();
        rc = do_own(&o, &e);
        o.seconds = env_monotonic_s() - start;
        if (!rc)
            rc = store_write_wait(s->store, publish_own, &o, &e);
        if (!rc && o.ready > 0 && s->jobs_ready)
            s->jobs_ready(s->jobs_ready_arg, o.ready);
        if (rc) {
            struct err ignored = {0};
            o.error = e.message;
            *failed = true;
            /* Where this fails too, a restart takes the job up again. */
            if (store_write_wait(s->store, return_own, &o, &ignored))
                rc = ignored.code;
        }
    }
    *failed |= rc != 0;
    arena_free(&o.arena);
    return o.claimed || *failed;
}

static bool stopping(struct works *w)
{
    pthread_mutex_lock(&w->lock);
    bool stop = w->stopping;
    pthread_mutex_unlock(&w->lock);
    return stop;
}

static void *own_worker(void *arg)
{
    struct works *w = arg;
    for (;;) {
        pthread_mutex_lock(&w->lock);
        while (!w->look && !w->stopping)
            pthread_cond_wait(&w->own_wake, &w->lock);
        w->look = false;
        bool stop = w->stopping;
        pthread_mutex_unlock(&w->lock);
        if (stop)
            return NULL;
        bool failed, again = own_once(w->service, &failed);
        for (int64_t ms = 0; failed && ms < OWN_RETRY_MS && !stopping(w); ms += 100)
            env_sleep_ms(100);
        if (again)
            works_wake(w);
    }
}

int works_create(struct works **out, struct service *s, struct err *e)
{
    struct works *w = calloc(1, sizeof *w);
    if (!w)
        return err_set(e, ERR_NO_MEMORY, "no memory for the works");
    w->service = s;
    w->last = &w->first;
    w->look = true;
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->tasks_wake, NULL);
    pthread_cond_init(&w->own_wake, NULL);
    int bad = pthread_create(&w->own, NULL, own_worker, w);
    for (int i = 0; !bad && i < WORKS_CHECKERS; i++)
        bad = pthread_create(&w->checkers[i], NULL, checker, w);
    if (bad) /* the process ends on it: what was started needs no joining */
        return err_set(e, ERR_UNAVAILABLE, "can't start a thread: %s", strerror(bad));
    *out = w;
    return 0;
}

void works_destroy(struct works *w)
{
    if (!w)
        return;
    pthread_mutex_lock(&w->lock);
    w->stopping = true;
    pthread_cond_broadcast(&w->tasks_wake);
    pthread_cond_broadcast(&w->own_wake);
    pthread_mutex_unlock(&w->lock);
    pthread_join(w->own, NULL);
    for (int i = 0; i < WORKS_CHECKERS; i++)
        pthread_join(w->checkers[i], NULL);
    pthread_mutex_destroy(&w->lock);
    pthread_cond_destroy(&w->tasks_wake);
    pthread_cond_destroy(&w->own_wake);
    free(w);
}
