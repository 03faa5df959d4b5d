/* A fixed pool of threads for data-parallel kernels. Every thread flushes denormals (kernels need
 * it); the order of no reduction depends on the number of threads. Waiters sleep (futex/condition
 * variable) after a short spin, since a spinning barrier collapses when a neighbour is busy. */
#ifndef TACIT_BASE_POOL_H
#define TACIT_BASE_POOL_H

#include <stddef.h>
#include "core/base/err.h"

struct pool;

/* threads ≥ 1, the calling thread included: 1 starts none. NULL on failure. */
struct pool *pool_create(int threads, struct err *e);
void pool_destroy(struct pool *p); /* accepts NULL */
int pool_threads(const struct pool *p);

/* Runs fn(arg, begin, end) over disjoint parts of [0,n) whose bounds are multiples of grain (the
 * last may be shorter), on all threads, and returns when all are done. Not reentrant; one caller at
 * a time. The caller takes part. */
void pool_for(struct pool *p, size_t n, size_t grain,
              void (*fn)(void *arg, size_t begin, size_t end), void *arg);

/* The same in no more than `most` parts, for work that each part makes dearer. */
void pool_for_parts(struct pool *p, size_t n, size_t grain, size_t most,
                    void (*fn)(void *arg, size_t begin, size_t end), void *arg);

/* Sets flush-to-zero and denormals-are-zero on the calling thread; pool_create does it for its
 * caller and its threads. */
void pool_flush_denormals(void);

#endif
