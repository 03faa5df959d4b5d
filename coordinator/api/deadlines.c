#include "coordinator/api/deadlines.h"

#include <stdlib.h>
#include "core/env/clock.h"
#include "core/env/thread.h"

struct deadlines {
    struct api *api;
    struct env_thread thread;
    struct env_mutex mutex; /* guards what follows; the API is not called under it */
    struct env_cond changed;
    bool poked, ending;
};

static void on_poke(void *arg)
{
    struct deadlines *d = arg;

    env_mutex_lock(&d->mutex);
    d->poked = true;
    env_cond_signal(&d->changed);
    env_mutex_unlock(&d->mutex);
}

static void deadlines_main(void *arg)
{
    struct deadlines *d = arg;
    int64_t next;

    env_mutex_lock(&d->mutex);
    while (!d->ending) {
        d->poked = false;
        env_mutex_unlock(&d->mutex);
        api_tick(d->api, env_monotonic_ms(), &next);
        env_mutex_lock(&d->mutex);
        while (!d->poked && !d->ending && env_cond_wait_until(&d->changed, &d->mutex, next))
            ;
    }
    env_mutex_unlock(&d->mutex);
}

int deadlines_start(struct deadlines **out, struct api *a, struct err *e)
{
    struct deadlines *d = calloc(1, sizeof *d);

    if (!d)
        return err_set(e, ERR_NO_MEMORY, "no memory for deadlines");
    d->api = a;
    env_mutex_init(&d->mutex);
    env_cond_init(&d->changed);
    int rc = env_thread_start(&d->thread, deadlines_main, d, "the thread of deadlines", e);
    if (rc) {
        env_cond_destroy(&d->changed);
        env_mutex_destroy(&d->mutex);
        free(d);
        return rc;
    }
    api_on_deadline(a, on_poke, d);
    *out = d;
    return 0;
}

void deadlines_stop(struct deadlines *d)
{
    if (!d)
        return;
    api_on_deadline(d->api, NULL, NULL);
    env_mutex_lock(&d->mutex);
    d->ending = true;
    env_cond_signal(&d->changed);
    env_mutex_unlock(&d->mutex);
    env_thread_join(&d->thread);
    env_cond_destroy(&d->changed);
    env_mutex_destroy(&d->mutex);
    free(d);
}
