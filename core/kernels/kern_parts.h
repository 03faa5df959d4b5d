/* Private to core/kernels: a context, as kernels.c and head.c share it. */
#ifndef TACIT_KERNELS_KERN_PARTS_H
#define TACIT_KERNELS_KERN_PARTS_H

#include <stdatomic.h>
#include "core/kernels/blas.h"
#include "core/kernels/lanes_table.h"

/* Block sums of kern_sum_squares kept at once. */
#define KERN_SQUARES_AT_ONCE 4096

struct kern_slot {
    atomic_flag taken;
    float *scratch;
};

struct kern {
    const struct kern_lanes *lanes;
    struct pool *pool;
    struct blas blas; /* opened for KERN_BLAS */
    bool bf16;
    int threads, slot_count;
    struct kern_slot *slots; /* one for each thread that may be at work */
    float *memory;
    float squares[KERN_SQUARES_AT_ONCE];
};

/* A thread's scratch while it runs one part. There are as many as threads, so one is free at once
 * (or soon, with BLAS on more threads than it bears). */
static inline struct kern_slot *kern__slot_take(struct kern *k)
{
    for (int i = 0;; i = (i + 1) % k->slot_count) {
        if (!atomic_flag_test_and_set_explicit(&k->slots[i].taken, memory_order_acquire))
            return &k->slots[i];
    }
}

static inline void kern__slot_give(struct kern_slot *s)
{
    atomic_flag_clear_explicit(&s->taken, memory_order_release);
}

/* Part of a product by whom the context has for it. */
static inline void kern__multiply(struct kern *k, const struct kern_product *p, size_t M, size_t N,
                                  float *scratch)
{
    if (k->blas.library != NULL)
        blas_product(&k->blas, p, 0, M, 0, N);
    else
        k->lanes->product(p, 0, M, 0, N, scratch);
}

#endif
