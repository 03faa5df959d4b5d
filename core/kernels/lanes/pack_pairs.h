/* Packing for sets that multiply pairs of bfloat16: as pack.h, but two elements of k, rounded,
 * share a lane of 32 bits, the first above the second. Where k is odd, the last element of A meets
 * a zero of B and is beside −0 meeting +0: adding −0 changes nothing, not even the sign of a zero.
 */
#ifndef TACIT_KERNELS_LANES_PACK_PAIRS_H
#define TACIT_KERNELS_LANES_PACK_PAIRS_H

#include "core/kernels/lanes/pack.h"

#if LANES_PAIRS

INLINE float pair_of(float first, float second)
{
    return f1_from_bits(f1_bits(f1_bf16(first)) | f1_bits(f1_bf16(second)) >> 16);
}

/* Copies n columns (1…TILE_N) of K rows of B to P ((K+1)/2, TILE_N), padded with +0. */
static inline void pack_panel_pairs(float *P, const float *B, size_t b_row, size_t b_col, size_t K,
                                    size_t n)
{
    size_t padded = (n + 15) / 16 * 16;

    if (b_col == 1) {
        for (size_t k = 0; k < K; k += 2, P += TILE_N) {
            for (size_t c = 0; c < padded; c += 16) {
                const float *from = B + k * b_row + c;
                size_t some = c < n ? n - c : 0;
                v_store(P + c,
                        v_pairs_across(v_load_some(from, some),
                                       k + 1 < K ? v_load_some(from + b_row, some) : v_zero()));
            }
        }
        return;
    }
    if (b_row != 1) {
        for (size_t k = 0; k < K; k += 2, P += TILE_N) {
            for (size_t c = 0; c < padded; c++) {
                const float *from = B + k * b_row + c * b_col;
                P[c] = c >= n ? 0.0f : pair_of(from[0], k + 1 < K ? from[b_row] : 0.0f);
            }
        }
        return;
    }
    for (size_t k = 0; k < K; k += 32) {
        size_t some = K - k, steps = some < 32 ? (some + 1) / 2 : 16;
        for (size_t c = 0; c < padded; c += 16) {
            v16 r[16];
            UNROLL(16)
            for (size_t i = 0; i < 16; i++) {
                const float *from = B + k + (c + i) * b_col;
                if (c + i >= n) {
                    r[i] = v_zero();
                    continue;
                }
                __builtin_prefetch(from + AHEAD_COLUMNS);
                r[i] = some >= 32
                           ? v_pairs_along(v_load(from), v_load(from + 16))
                           : v_pairs_along(v_load_some(from, some),
                                           some > 16 ? v_load_n(from + 16, some - 16) : v_zero());
            }
            v_transpose(r);
            UNROLL(16)
            for (size_t i = 0; i < 16; i++) {
                if (i < steps)
                    v_store(P + (k / 2 + i) * TILE_N + c, r[i]);
            }
        }
    }
}

/* The first n elements, −0 after them. */
INLINE v16 pair_load(const float *p, size_t n)
{
    return n >= 16 ? v_load(p) : v_select(v_first(n), v_load_n(p, n), v_set1(-0.0f));
}

/* Copies M rows of A, K columns: unit a_row by panels of TILE_M rows (step-major), stride lanes
 * apart, otherwise row by row, stride lanes apart. */
static inline void pack_rows_pairs(float *P, size_t stride, const float *A, size_t a_row,
                                   size_t a_col, size_t M, size_t K)
{
    if (a_row != 1) {
        for (size_t m = 0; m < M; m++, P += stride, A += a_row) {
            for (size_t k = 0; a_col == 1 && k < K; k += 32)
                v_store(P + k / 2,
                        v_pairs_along(pair_load(A + k, K - k),
                                      pair_load(A + k + 16, K - k > 16 ? K - k - 16 : 0)));
            for (size_t k = 0; a_col != 1 && k < K; k += 2)
                P[k / 2] = pair_of(A[k * a_col], k + 1 < K ? A[(k + 1) * a_col] : -0.0f);
        }
        return;
    }
    for (size_t k = 0; k < K; k += 2) {
        const float *from = A + k * a_col;
        for (size_t m = 0; m < M && k + AHEAD_ROWS + 1 < K; m += 16) {
            __builtin_prefetch(from + AHEAD_ROWS * a_col + m);
            __builtin_prefetch(from + (AHEAD_ROWS + 1) * a_col + m);
        }
        for (size_t m = 0; m < M; m += TILE_M) {
            size_t rest = M - m, n = rest < TILE_M ? rest : TILE_M;
            float *to = P + m / TILE_M * stride + k / 2 * TILE_M;
            v16 second = k + 1 < K ? v_load_some(from + a_col + m, rest) : v_set1(-0.0f);
            v16 both = v_pairs_across(v_load_some(from + m, rest), second);
            if (rest >= 16 && k + 2 < K)
                v_store(to, both); /* what is too much, the next step overwrites */
            else
                v_store_n(to, both, n);
        }
    }
}

#endif
#endif
