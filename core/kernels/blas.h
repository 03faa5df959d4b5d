/* Products by OpenBLAS, for arithmetic = blas; private to core/kernels. The library is loaded when
 * asked for: programs that compute exactly neither need it nor pay for its start. */
#ifndef TACIT_KERNELS_BLAS_H
#define TACIT_KERNELS_BLAS_H

#include <stdbool.h>
#include "core/kernels/lanes_table.h"

/* OpenBLAS has buffers for so many concurrent callers; more get wrong products. */
#define BLAS_CALLERS_MAX 64

struct blas {
    void *library;
    /* A serial build hands out its buffers without a lock: of 120,000 products on three threads
     * 1,500 came out wrong (Debian's 0.3.21). Such a library gets one caller. */
    bool one_caller;
    /* cblas_sgemm: order, transpositions, M, N, K, alpha, A, lda, B, ldb, beta, C, ldc. */
    void (*sgemm)(int, int, int, int, int, int, float, const float *, int, const float *, int,
                  float, float *, int);
};

/* ERR_UNAVAILABLE, naming the package, where there is no OpenBLAS. One thread a call. */
TACIT_MUST_CHECK int blas_open(struct blas *b, struct err *e);
void blas_close(struct blas *b);
/* The range of a product that the lanes' product takes, in OpenBLAS's own order. */
void blas_product(const struct blas *b, const struct kern_product *p, size_t m0, size_t m1,
                  size_t n0, size_t n1);

#endif
