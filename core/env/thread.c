#include "core/env/thread.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct start {
    void (*fn)(void *arg);
    void *arg;
};

static void *thread_main(void *arg)
{
    struct start s = *(struct start *)arg;

    free(arg);
    s.fn(s.arg);
    return NULL;
}

int env_thread_start(struct env_thread *t, void (*fn)(void *arg), void *arg, const char *what,
                     struct err *e)
{
    struct start *s = malloc(sizeof *s);
    int rc;

    if (!s)
        return err_set(e, ERR_NO_MEMORY, "no memory for %s", what);
    *s = (struct start){fn, arg};
    rc = pthread_create(&t->thread, NULL, thread_main, s);
    if (!rc)
        return 0;
    free(s);
    return err_set(e, ERR_NO_MEMORY, "can't start %s: %s", what, strerror(rc));
}

void env_thread_join(struct env_thread *t)
{
    pthread_join(t->thread, NULL);
}

bool env_thread_is_self(const struct env_thread *t)
{
    return pthread_equal(t->thread, pthread_self()) != 0;
}

void env_mutex_init(struct env_mutex *m)
{
    pthread_mutex_init(&m->mutex, NULL);
}

void env_mutex_destroy(struct env_mutex *m)
{
    pthread_mutex_destroy(&m->mutex);
}

void env_mutex_lock(struct env_mutex *m)
{
    pthread_mutex_lock(&m->mutex);
}

void env_mutex_unlock(struct env_mutex *m)
{
    pthread_mutex_unlock(&m->mutex);
}

void env_cond_init(struct env_cond *c)
{
    pthread_condattr_t monotonic;

    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC); /* env_monotonic_ms's */
    pthread_cond_init(&c->cond, &monotonic);
    pthread_condattr_destroy(&monotonic);
}

void env_cond_destroy(struct env_cond *c)
{
    pthread_cond_destroy(&c->cond);
}

void env_cond_wait(struct env_cond *c, struct env_mutex *m)
{
    pthread_cond_wait(&c->cond, &m->mutex);
}

bool env_cond_wait_until(struct env_cond *c, struct env_mutex *m, int64_t deadline_ms)
{
    if (deadline_ms == INT64_MAX) {
        env_cond_wait(c, m);
        return true;
    }
    struct timespec until = {.tv_sec = (time_t)(deadline_ms / 1000),
                             .tv_nsec = (long)(deadline_ms % 1000) * 1000000};
    return pthread_cond_timedwait(&c->cond, &m->mutex, &until) != ETIMEDOUT;
}

void env_cond_signal(struct env_cond *c)
{
    pthread_cond_signal(&c->cond);
}

void env_cond_broadcast(struct env_cond *c)
{
    pthread_cond_broadcast(&c->cond);
}
