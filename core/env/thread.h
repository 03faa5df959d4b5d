/* Threads, and what they wait with. A simulation links another implementation, in which they are
 * coroutines on a virtual clock; so whatever takes part in one starts and waits here. Kernels'
 * pools and shells around libraries that have threads of their own use pthreads as they are. */
#ifndef TACIT_ENV_THREAD_H
#define TACIT_ENV_THREAD_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include "core/base/err.h"

/* Not moved once started or initialised. */
struct env_thread {
    pthread_t thread;
};
struct env_mutex {
    pthread_mutex_t mutex;
};
struct env_cond {
    pthread_cond_t cond;
};

/* what: for the error, "the heartbeat's thread". Every thread that was started is joined. */
TACIT_MUST_CHECK int env_thread_start(struct env_thread *t, void (*fn)(void *arg), void *arg,
                                      const char *what, struct err *e);
void env_thread_join(struct env_thread *t);
/* Whether the caller runs on t, which was started and not yet joined. */
bool env_thread_is_self(const struct env_thread *t);

void env_mutex_init(struct env_mutex *m);
void env_mutex_destroy(struct env_mutex *m);
void env_mutex_lock(struct env_mutex *m); /* not recursive */
void env_mutex_unlock(struct env_mutex *m);

/* Waiting may end without a signal, as everywhere: look at what was waited for. */
void env_cond_init(struct env_cond *c);
void env_cond_destroy(struct env_cond *c);
void env_cond_wait(struct env_cond *c, struct env_mutex *m);
/* Until env_monotonic_ms() reaches deadline_ms (INT64_MAX: for ever); false once it has. */
bool env_cond_wait_until(struct env_cond *c, struct env_mutex *m, int64_t deadline_ms);
void env_cond_signal(struct env_cond *c);
void env_cond_broadcast(struct env_cond *c);

#endif
