/* What attention's two passes share: tokens in strips, one token a lane.
 *
 * A strip holds STRIP tokens of one head as (D,STRIP): element d of 16 tokens is one vector. So
 * rotating, rounding and both sides of every product run on full vectors whatever the head size; a
 * row of D = 8 would fill half of one. A product takes a strip in one of two orders: along d, for
 * chains over d (scores and their gradient), or along tokens, for chains over tokens (all else).
 * In float32, and with bf16 rounded but not paired, both are the strip itself; where a set
 * multiplies pairs of bfloat16 each has its own packing, half as long:
 *   along d       (D/2,STRIP)   element 2t over element 2t+1 of each token
 *   along tokens  (D,STRIP/2)   token 2t over token 2t+1 of each element */
#ifndef TACIT_KERNELS_LANES_STRIPS_H
#define TACIT_KERNELS_LANES_STRIPS_H

#include "core/kernels/simd.h"
#include "core/kernels/lanes_table.h"

#include <stdbool.h>
#include <string.h>
#include "core/kernels/lanes/lanes.h"

/* Vectors a strip, and rows of a product at a time: 8×32 is 16 of AVX-512's 32 registers, 4×16
 * eight of the 16 elsewhere. The backward pass holds two products of half the rows. */
#if defined(LANES_ISA_avx512) || defined(LANES_ISA_avx512bf16)
#define STRIP_V 2
#define STRIP_ROWS 8
#else
#define STRIP_V 1
#define STRIP_ROWS 4
#endif
#define STRIP (16 * STRIP_V)

/* One head of one sequence. */
struct unit {
    size_t S, D, strips;
    size_t H, at, at_qkv;  /* offsets of token 0 in (B,S,H) and (B,S,3H) */
    size_t along_d, along; /* steps of a chain: over d, over a strip's tokens */
    float scale;
    bool bf16, pairs;       /* pairs: and the set multiplies them so */
    const float *cos, *sin; /* (strips, D/2, STRIP) */
};

static inline struct unit unit_of(const struct kern_attention *a, bool bf16, const float *cos,
                                  const float *sin, size_t u)
{
    const bool pairs = bf16 && LANES_PAIRS;
    size_t b = u / a->heads, h = u % a->heads, S = a->seq, D = a->head, H = (size_t)a->heads * D;
    return (struct unit){.S = S,
                         .D = D,
                         .strips = (S + STRIP - 1) / STRIP,
                         .H = H,
                         .at = b * S * H + h * D,
                         .at_qkv = b * S * 3 * H + h * D,
                         .along_d = pairs ? D / 2 : D,
                         .along = pairs ? STRIP / 2 : STRIP,
                         .scale = 1.0f / sqrtf((float)D),
                         .bf16 = bf16,
                         .pairs = pairs,
                         .cos = cos,
                         .sin = sin};
}

/* T (D,STRIP) = the transpose of n ≤ STRIP rows of D floats; zeros where there is no row. */
static inline void strip_load(float *T, const float *x, size_t stride, size_t n, size_t D)
{
    for (size_t r = 0; r < STRIP; r += 16) {
        for (size_t d = 0; d < D; d += 16) {
            v16 t[16];
            UNROLL(16)
            for (size_t i = 0; i < 16; i++)
                t[i] = r + i < n ? v_load_some(x + (r + i) * stride + d, D - d) : v_zero();
            v_transpose(t);
            UNROLL(16)
            for (size_t i = 0; i < 16; i++) {
                if (d + i < D)
                    v_store(T + (d + i) * STRIP + r, t[i]);
            }
        }
    }
}

/* n rows of D floats = the transpose of T. */
static inline void strip_unload(float *x, size_t stride, const float *T, size_t n, size_t D)
{
    for (size_t r = 0; r < n; r += 16) {
        for (size_t d = 0; d < D; d += 16) {
            v16 t[16];
            UNROLL(16)
            for (size_t i = 0; i < 16; i++)
                t[i] = d + i < D ? v_load(T + (d + i) * STRIP + r) : v_zero();
            v_transpose(t);
            UNROLL(16)
            for (size_t i = 0; i < 16; i++) {
                if (r + i < n)
                    v_store_some(x + (r + i) * stride + d, t[i], D - d);
            }
        }
    }
}

/* The tables of angles (S,D/2) by strips. */
static inline void strip_angles(float *T, const float *x, size_t S, size_t half)
{
    for (size_t s = 0; s < S; s += STRIP)
        strip_load(T + s * half, x + s * half, half, S - s < STRIP ? S - s : STRIP, half);
}

/* Turns strip s of a unit in place to its positions, or back. */
static inline void strip_turn(const struct unit *w, float *T, size_t s, bool back)
{
    size_t half = w->D / 2 * STRIP;
    const float *cos = w->cos + s * half, *sin = w->sin + s * half;

    for (size_t i = 0; i < half; i += 16) {
        v16 c = v_load(cos + i), x0 = v_load(T + i), x1 = v_load(T + half + i);
        v16 t = back ? v_negate(v_load(sin + i)) : v_load(sin + i);
        v_store(T + i, v_fma(x0, c, v_negate(v_mul(x1, t))));
        v_store(T + half + i, v_fma(x1, c, v_mul(x0, t)));
    }
}

static inline void strip_clean_zeros(float *T, size_t n)
{
    for (size_t i = 0; i < n; i += 16)
        v_store(T + i, v_add(v_load(T + i), v_zero()));
}

/* T as products take it, in both orders: X (D,STRIP) floats. X may be T unless pairs. */
static inline void strip_put(const struct unit *w, float *X, const float *T)
{
#if LANES_PAIRS
    if (w->pairs) {
        float *tokens = X + w->along_d * STRIP;
        for (size_t d = 0; d < w->D; d += 2, T += 2 * STRIP, X += STRIP) {
            v16 a = v_load(T), b = v_load(T + 16);
            v16 c = v_load(T + STRIP), e = v_load(T + STRIP + 16);
            v_store(X, v_pairs_across(a, c));
            v_store(X + 16, v_pairs_across(b, e));
            v_store(tokens + d * (STRIP / 2), v_pairs_along(a, b));
            v_store(tokens + (d + 1) * (STRIP / 2), v_pairs_along(c, e));
        }
        return;
    }
#endif
    for (size_t i = 0; i < w->D * STRIP; i += 16) {
        v16 x = v_load(T + i);
        v_store(X + i, w->bf16 ? v_bf16(x) : x);
    }
}

/* c[r] += Σ over K steps of a[r·a_row + k·a_step] · b[k·b_step …], R ≤ STRIP_ROWS rows. */
INLINE void strip_product(v16 c[][STRIP_V], const int R, const float *a, const size_t a_row,
                          const size_t a_step, const float *b, const size_t b_step, size_t K,
                          const bool pairs)
{
    for (; K > 0; K--, a += a_step, b += b_step) {
        v16 y[STRIP_V];
        UNROLL(2)
        for (int v = 0; v < STRIP_V; v++)
            y[v] = v_load(b + 16 * v);
        UNROLL(8)
        for (int r = 0; r < R; r++) {
            v16 x = v_set1(a[(size_t)r * a_row]);
            UNROLL(2)
            for (int v = 0; v < STRIP_V; v++)
                c[r][v] = lanes_step(x, y[v], c[r][v], pairs);
        }
    }
}

/* R rows of C (D,STRIP) continue over `count` strips of tokens: those of X, broadcast, x_strip
 * apart, and those of Y (along,STRIP), y_step from step to step. */
INLINE void strip_rows(const int R, const bool pairs, float *C, const float *X, size_t x_strip,
                       const float *Y, size_t y_step, size_t count)
{
    const size_t along = pairs ? STRIP / 2 : STRIP;
    v16 c[STRIP_ROWS][STRIP_V];
    UNROLL(8)
    for (int r = 0; r < R; r++) {
        UNROLL(2)
        for (int v = 0; v < STRIP_V; v++)
            c[r][v] = v_load(C + r * STRIP + 16 * v);
    }
    for (; count > 0; count--, X += x_strip, Y += along * y_step)
        strip_product(c, R, X, along, 1, Y, y_step, along, pairs);
    UNROLL(8)
    for (int r = 0; r < R; r++) {
        UNROLL(2)
        for (int v = 0; v < STRIP_V; v++)
            v_store(C + r * STRIP + 16 * v, c[r][v]);
    }
}

INLINE void strip_columns(size_t D, const bool pairs, float *C, const float *X, size_t x_strip,
                          const float *Y, size_t y_step, size_t count)
{
    const size_t along = pairs ? STRIP / 2 : STRIP;
    size_t d = 0;
    for (; d + STRIP_ROWS <= D; d += STRIP_ROWS)
        strip_rows(STRIP_ROWS, pairs, C + d * STRIP, X + d * along, x_strip, Y, y_step, count);
    for (; d < D; d += 2)
        strip_rows(2, pairs, C + d * STRIP, X + d * along, x_strip, Y, y_step, count);
}

/* C[d] += Σ over tokens of X[d][token] · Y[token], as strip_rows, for all of D, which is even. */
static inline void strip_gather(const struct unit *w, float *C, const float *X, size_t x_strip,
                                const float *Y, size_t y_step, size_t count)
{
#if LANES_PAIRS
    if (w->pairs) {
        strip_columns(w->D, true, C, X + w->along_d * STRIP, x_strip, Y, y_step, count);
        return;
    }
#endif
    strip_columns(w->D, false, C, X, x_strip, Y, y_step, count);
}

/* c[r], R rows from 0, = Σ over d of X[d][r] · Y[d], both along d. */
INLINE void strip_scores(const struct unit *w, v16 c[][STRIP_V], const int R, const float *X,
                         const float *Y)
{
    UNROLL(8)
    for (int r = 0; r < R; r++) {
        UNROLL(2)
        for (int v = 0; v < STRIP_V; v++)
            c[r][v] = v_zero();
    }
#if LANES_PAIRS
    if (w->pairs) {
        strip_product(c, R, X, 1, STRIP, Y, STRIP, w->along_d, true);
        return;
    }
#endif
    strip_product(c, R, X, 1, STRIP, Y, STRIP, w->along_d, false);
}

#endif
