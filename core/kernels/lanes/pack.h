/* Blocks of A and B, copied for lanes/product.c into the order in which its tiles read them. */
#ifndef TACIT_KERNELS_LANES_PACK_H
#define TACIT_KERNELS_LANES_PACK_H

#include "core/kernels/simd.h"

/* A tile of C: rows and columns. */
#if defined(LANES_ISA_avx512) || defined(LANES_ISA_avx512bf16)
#define TILE_M 8
#define TILE_V 3
#elif defined(LANES_ISA_avx2) || defined(LANES_ISA_neon)
#define TILE_M 6
#define TILE_V 1
#else
#define TILE_M 3
#define TILE_V 1
#endif
#define TILE_N (16 * TILE_V)

/* How far ahead packing asks the memory: it reads in steps that processors do not foresee. */
#define AHEAD_ROWS 8
#define AHEAD_COLUMNS 64

/* Copies n columns (1…TILE_N) of K rows of B to P (K, TILE_N), padded with zeros. */
static inline void pack_panel(float *P, const float *B, size_t b_row, size_t b_col, size_t K,
                              size_t n)
{
    size_t padded = (n + 15) / 16 * 16;

    if (b_col == 1) {
        for (size_t k = 0; k < K; k++) {
            for (size_t c = 0; c < padded; c += 16)
                v_store(P + k * TILE_N + c, c >= n        ? v_zero()
                                            : n - c >= 16 ? v_load(B + k * b_row + c)
                                                          : v_load_n(B + k * b_row + c, n - c));
        }
        return;
    }
    size_t k = 0;
    for (; b_row == 1 && k < K; k += 16) {
        const size_t some = K - k;
        for (size_t c = 0; c < padded; c += 16) {
            v16 r[16];
            UNROLL(16)
            for (size_t i = 0; i < 16; i++) {
                if (c + i < n)
                    __builtin_prefetch(B + k + AHEAD_COLUMNS + (c + i) * b_col);
            }
            UNROLL(16)
            for (size_t i = 0; i < 16; i++)
                r[i] = c + i < n ? v_load_some(B + k + (c + i) * b_col, some) : v_zero();
            v_transpose(r);
            UNROLL(16)
            for (size_t i = 0; i < 16; i++) {
                if (i < some)
                    v_store(P + (k + i) * TILE_N + c, r[i]);
            }
        }
    }
    for (; k < K; k++) {
        for (size_t c = 0; c < padded; c++)
            P[k * TILE_N + c] = c < n ? B[k * b_row + c * b_col] : 0.0f;
    }
}

/* Copies M rows of A, K columns: unit a_row by panels of TILE_M rows (k-major), stride apart,
 * otherwise row by row, stride apart. */
static inline void pack_rows(float *P, size_t stride, const float *A, size_t a_row, size_t a_col,
                             size_t M, size_t K)
{
    if (a_row != 1) {
        for (size_t m = 0; m < M; m++, P += stride, A += a_row) {
            for (size_t k = 0; a_col == 1 && k < K; k += 16)
                v_store_some(P + k, v_load_some(A + k, K - k), K - k);
            for (size_t k = 0; a_col != 1 && k < K; k++)
                P[k] = A[k * a_col];
        }
        return;
    }
    for (size_t k = 0; k < K; k++) {
        const float *from = A + k * a_col;
        for (size_t m = 0; m < M && k + AHEAD_ROWS < K; m += 16)
            __builtin_prefetch(from + AHEAD_ROWS * a_col + m);
        for (size_t m = 0; m < M; m += TILE_M) {
            size_t n = M - m < TILE_M ? M - m : TILE_M;
            float *to = P + m / TILE_M * stride + k * TILE_M;
            if (n == TILE_M)
                memcpy(to, from + m, TILE_M * sizeof *to);
            else
                memcpy(to, from + m, n * sizeof *to);
        }
    }
}

/* Rounds n packed floats, a multiple of 16. */
static inline void pack_round(float *P, size_t n)
{
    for (size_t i = 0; i < n; i += 16)
        v_store(P + i, v_bf16(v_load(P + i)));
}

#endif
