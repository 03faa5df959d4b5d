/* One job at a time, cut into parts that threads take from a ticket: (generation, parts left) in
 * one atomic word. A part is taken by a compare-and-swap that lowers the count, which succeeds only
 * while the job it was read from is unfinished; so a thread that wakes late sees a count of zero or
 * a newer job, never a stale one, and nobody waits for a thread that was not needed. */
#include "core/base/pool.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#if defined(__x86_64__) || defined(__i386__)
#include <xmmintrin.h>
#elif defined(__aarch64__)
#include <sys/auxv.h>
#endif

/* Some 50 microseconds, which is what waking a thread takes on a virtual machine: a step's jobs
 * follow one another within that, and a spin that fails doubles the wait at most. Longer spins take
 * the core from a neighbour. */
#define SPIN_MAX 2000
/* Parts a thread, so that one held up by a neighbour leaves its share to the others. */
#define PARTS_A_THREAD 4
#define THREADS_MAX 1024

struct pool {
    int threads;
    pthread_t *ids; /* threads - 1 */

    /* The job; written only while no part is left, read before a part is taken. */
    _Atomic(void (*)(void *, size_t, size_t)) fn;
    _Atomic(void *) arg;
    atomic_size_t n, grain, grains, parts;

    _Alignas(64) _Atomic uint64_t ticket; /* generation << 32 | parts left */
    _Alignas(64) atomic_size_t done;      /* parts finished */
    atomic_bool stop;

    /* Guards sleeping and waking alone; nothing else is taken while it is held. */
    pthread_mutex_t lock;
    pthread_cond_t work, finished;
};

void pool_flush_denormals(void)
{
#if defined(__x86_64__) || defined(__i386__)
    _mm_setcsr(_mm_getcsr() | 0x8040u); /* FTZ and DAZ */
#elif defined(__aarch64__)
    /* FZ flushes both, results by their value before rounding. Where the processor has FEAT_AFP
     * (HWCAP2 bit 20), AH makes that after rounding, as x86 does it, and FIZ flushes inputs. */
    uint64_t fpcr, mode = UINT64_C(1) << 24;
    if (getauxval(AT_HWCAP2) & (1UL << 20))
        mode |= 3;
    __asm__ volatile("mrs %0, fpcr" : "=r"(fpcr));
    __asm__ volatile("msr fpcr, %0" : : "r"(fpcr | mode));
#endif
}

static void spin_pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
    _mm_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static uint32_t parts_left(struct pool *p)
{
    return (uint32_t)atomic_load_explicit(&p->ticket, memory_order_acquire);
}

/* Where part i begins: parts differ by one grain at most, so that as many threads as there are end
 * together. */
static size_t part_begin(size_t i, size_t parts, size_t grains, size_t grain)
{
    const size_t each = grains / parts, longer = grains % parts;
    return (i * each + (i < longer ? i : longer)) * grain;
}

/* Takes and runs parts until none is left. */
static void parts_run(struct pool *p, bool caller)
{
    for (;;) {
        uint64_t ticket = atomic_load_explicit(&p->ticket, memory_order_acquire);
        if ((uint32_t)ticket == 0)
            return;
        void (*fn)(void *, size_t, size_t) = atomic_load_explicit(&p->fn, memory_order_relaxed);
        void *arg = atomic_load_explicit(&p->arg, memory_order_relaxed);
        size_t n = atomic_load_explicit(&p->n, memory_order_relaxed);
        size_t grain = atomic_load_explicit(&p->grain, memory_order_relaxed);
        size_t grains = atomic_load_explicit(&p->grains, memory_order_relaxed);
        size_t parts = atomic_load_explicit(&p->parts, memory_order_relaxed);
        if (!atomic_compare_exchange_strong_explicit(&p->ticket, &ticket, ticket - 1,
                                                     memory_order_acq_rel, memory_order_relaxed))
            continue;
        const size_t i = parts - (uint32_t)ticket;
        const size_t begin = part_begin(i, parts, grains, grain);
        fn(arg, begin, i + 1 < parts ? part_begin(i + 1, parts, grains, grain) : n);
        if (atomic_fetch_add_explicit(&p->done, 1, memory_order_acq_rel) + 1 == parts && !caller) {
            pthread_mutex_lock(&p->lock);
            pthread_cond_signal(&p->finished);
            pthread_mutex_unlock(&p->lock);
        }
    }
}

static void *worker_main(void *arg)
{
    struct pool *p = arg;

    pool_flush_denormals();
    for (;;) {
        for (int i = 0; i < SPIN_MAX && parts_left(p) == 0; i++)
            spin_pause();
        if (parts_left(p) == 0) {
            pthread_mutex_lock(&p->lock);
            while (parts_left(p) == 0 && !atomic_load(&p->stop))
                pthread_cond_wait(&p->work, &p->lock);
            pthread_mutex_unlock(&p->lock);
        }
        if (atomic_load(&p->stop))
            return NULL;
        parts_run(p, false);
    }
}

/* Workers take no signal: those are for the thread that waits for them. */
static int workers_start(struct pool *p, int threads, struct err *e)
{
    sigset_t all, old;
    int failed = 0;

    p->ids = calloc((size_t)threads, sizeof *p->ids);
    if (p->ids == NULL)
        return err_set(e, ERR_NO_MEMORY, "no memory for a pool of %d threads", threads);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    while (p->threads < threads && failed == 0) {
        failed = pthread_create(&p->ids[p->threads - 1], NULL, worker_main, p);
        p->threads += failed == 0;
    }
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (failed != 0)
        return err_set(e, ERR_UNAVAILABLE, "thread %d of %d could not be started", p->threads + 1,
                       threads);
    return 0;
}

struct pool *pool_create(int threads, struct err *e)
{
    if (threads < 1 || threads > THREADS_MAX) {
        err_set(e, ERR_RANGE, "%d threads: 1 to %d are possible", threads, THREADS_MAX);
        return NULL;
    }
    struct pool *p = aligned_alloc(64, sizeof *p);
    if (p == NULL) {
        err_set(e, ERR_NO_MEMORY, "no memory for a thread pool");
        return NULL;
    }
    *p = (struct pool){.threads = 1};
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->work, NULL);
    pthread_cond_init(&p->finished, NULL);
    pool_flush_denormals();
    if (workers_start(p, threads, e) != 0) {
        pool_destroy(p);
        return NULL;
    }
    return p;
}

void pool_destroy(struct pool *p)
{
    if (p == NULL)
        return;
    pthread_mutex_lock(&p->lock);
    atomic_store(&p->stop, true);
    pthread_cond_broadcast(&p->work);
    pthread_mutex_unlock(&p->lock);
    for (int i = 0; i < p->threads - 1; i++)
        pthread_join(p->ids[i], NULL);
    pthread_cond_destroy(&p->finished);
    pthread_cond_destroy(&p->work);
    pthread_mutex_destroy(&p->lock);
    free(p->ids);
    free(p);
}

int pool_threads(const struct pool *p)
{
    return p->threads;
}

void pool_for(struct pool *p, size_t n, size_t grain, void (*fn)(void *, size_t, size_t), void *arg)
{
    pool_for_parts(p, n, grain, (size_t)p->threads * PARTS_A_THREAD, fn, arg);
}

void pool_for_parts(struct pool *p, size_t n, size_t grain, size_t most,
                    void (*fn)(void *, size_t, size_t), void *arg)
{
    if (n == 0)
        return;
    if (grain == 0)
        grain = 1;
    if (p->threads == 1 || n <= grain) {
        fn(arg, 0, n);
        return;
    }
    size_t grains = n / grain + (n % grain != 0);
    size_t parts = grains < most ? grains : most;

    atomic_store_explicit(&p->fn, fn, memory_order_relaxed);
    atomic_store_explicit(&p->arg, arg, memory_order_relaxed);
    atomic_store_explicit(&p->n, n, memory_order_relaxed);
    atomic_store_explicit(&p->grain, grain, memory_order_relaxed);
    atomic_store_explicit(&p->grains, grains, memory_order_relaxed);
    atomic_store_explicit(&p->parts, parts, memory_order_relaxed);
    atomic_store_explicit(&p->done, 0, memory_order_relaxed);
    uint64_t generation = (atomic_load_explicit(&p->ticket, memory_order_relaxed) >> 32) + 1;
    pthread_mutex_lock(&p->lock);
    atomic_store_explicit(&p->ticket, generation << 32 | parts, memory_order_release);
    pthread_cond_broadcast(&p->work);
    pthread_mutex_unlock(&p->lock);

    parts_run(p, true);
    for (int i = 0; i < SPIN_MAX && atomic_load_explicit(&p->done, memory_order_acquire) < parts;
         i++)
        spin_pause();
    if (atomic_load_explicit(&p->done, memory_order_acquire) == parts)
        return;
    pthread_mutex_lock(&p->lock);
    while (atomic_load_explicit(&p->done, memory_order_acquire) < parts)
        pthread_cond_wait(&p->finished, &p->lock);
    pthread_mutex_unlock(&p->lock);
}
