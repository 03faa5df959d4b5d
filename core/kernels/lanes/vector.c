/* One row times a matrix whose k run along memory, as in a decoded token: y[n] = chain over k of
 * fma(x[k], W[n][k], y). Each weight is read once and used once, so memory decides: two multiply-
 * adds a weight of four bytes.
 *
 * Lanes run across outputs. Blocks of 16 outputs by 16 k are loaded along k and turned in
 * registers, which costs fewer cycles than the memory takes to bring them; nothing is packed or
 * stored. Two blocks of outputs side by side hide the latency of their chains. While a pair of
 * blocks is computed, the next pair's same columns are asked for: rows start far apart, which
 * processors do not foresee. */
#include "core/kernels/simd.h"

#include "core/kernels/lanes/lanes.h"

#define SIDES 2

/* The outputs of a block that exist: 16, fewer in the last. */
struct rows {
    const float *W;
    size_t stride, count, ahead; /* ahead: floats to the next pair of blocks; 0: there is none */
};

/* whole: there are 16 rows. Of fewer, those too many are computed, but not stored. */
INLINE const float *row_of(const struct rows *w, size_t i, const bool whole)
{
    return w->W + (whole || i < w->count ? i : 0) * w->stride;
}

INLINE void ask_ahead(const struct rows *w, size_t k)
{
    if (w->ahead == 0)
        return;
    UNROLL(16)
    for (size_t i = 0; i < 16; i++)
        __builtin_prefetch(w->W + i * w->stride + w->ahead + k, 0, 2);
}

/* n ≤ 16 elements of k from k on. */
INLINE v16 block_plain(const struct rows *w, const float *x, size_t k, size_t n, v16 c,
                       const bool whole, const bool bf16)
{
    v16 r[16];
    ask_ahead(w, k);
    UNROLL(16)
    for (size_t i = 0; i < 16; i++) {
        v16 v = v_load_some(row_of(w, i, whole) + k, n);
        r[i] = bf16 ? v_bf16(v) : v;
    }
    v_transpose(r);
    if (n >= 16) {
        UNROLL(16)
        for (size_t i = 0; i < 16; i++)
            c = v_fma(v_set1(x[k + i]), r[i], c);
        return c;
    }
    float t[16][16];
    for (size_t i = 0; i < 16; i++)
        v_store(t[i], r[i]);
    for (size_t i = 0; i < n; i++)
        c = v_fma(v_set1(x[k + i]), v_load(t[i]), c);
    return c;
}

#if LANES_PAIRS
/* n ≤ 32 elements of k from k on; x in pairs, −0 beside the last of an odd number (pack_pairs.h).
 */
INLINE v16 block_pairs(const struct rows *w, const float *x, size_t k, size_t n, v16 c,
                       const bool whole)
{
    v16 r[16];
    ask_ahead(w, k);
    ask_ahead(w, k + 16);
    UNROLL(16)
    for (size_t i = 0; i < 16; i++) {
        const float *from = row_of(w, i, whole) + k;
        r[i] = n >= 32 ? v_pairs_along(v_load(from), v_load(from + 16))
                       : v_pairs_along(v_load_some(from, n),
                                       n > 16 ? v_load_n(from + 16, n - 16) : v_zero());
    }
    v_transpose(r);
    if (n >= 32) {
        UNROLL(16)
        for (size_t i = 0; i < 16; i++)
            c = v_fma_pairs(v_set1(x[k / 2 + i]), r[i], c);
        return c;
    }
    float t[16][16];
    for (size_t i = 0; i < 16; i++)
        v_store(t[i], r[i]);
    for (size_t i = 0; i < (n + 1) / 2; i++)
        c = v_fma_pairs(v_set1(x[k / 2 + i]), v_load(t[i]), c);
    return c;
}
#endif

/* What the multiply-adds take of x, K elements a_col apart; scratch: K floats. */
static const float *taken(const struct kern_product *p, float *scratch)
{
#if LANES_PAIRS
    if (p->bf16) {
        for (size_t k = 0; k < p->K; k += 2) {
            const uint32_t first = f1_bits(f1_bf16(p->A[k * p->a_col]));
            const float second = k + 1 < p->K ? f1_bf16(p->A[(k + 1) * p->a_col]) : -0.0f;
            scratch[k / 2] = f1_from_bits(first | f1_bits(second) >> 16);
        }
        return scratch;
    }
#endif
    if (!p->bf16 && p->a_col == 1)
        return p->A;
    for (size_t k = 0; k < p->K; k++)
        scratch[k] = p->bf16 ? f1_bf16(p->A[k * p->a_col]) : p->A[k * p->a_col];
    return scratch;
}

INLINE void blocks_run(const struct kern_product *p, const struct rows w[SIDES], const float *x,
                       v16 c[SIDES], const bool whole, const bool bf16)
{
#if LANES_PAIRS
    for (size_t k = 0; bf16 && k < p->K; k += 32) {
        UNROLL(2)
        for (size_t s = 0; s < SIDES; s++)
            c[s] = block_pairs(&w[s], x, k, p->K - k, c[s], whole);
    }
    if (bf16)
        return;
#endif
    for (size_t k = 0; k < p->K; k += 16) {
        UNROLL(2)
        for (size_t s = 0; s < SIDES; s++)
            c[s] = block_plain(&w[s], x, k, p->K - k, c[s], whole, bf16);
    }
}

void LANES(lanes_vector)(const struct kern_product *p, size_t n0, size_t n1, float *scratch)
{
    const float *x = taken(p, scratch);
    for (size_t n = n0; n < n1; n += 16 * SIDES) {
        struct rows w[SIDES];
        v16 c[SIDES];
        float *y = p->C + n;
        UNROLL(2)
        for (size_t s = 0; s < SIDES; s++) {
            const size_t at = n + 16 * s, left = at < n1 ? n1 - at : 0;
            const size_t next = at + 16 * (SIDES + 1) <= n1 ? 16 * SIDES * p->b_col : 0;
            w[s] = (struct rows){p->B + (left ? at : n) * p->b_col, p->b_col, left < 16 ? left : 16,
                                 next};
            c[s] = p->accumulate && left ? v_load_some(y + 16 * s, left) : v_zero();
        }
        const bool whole = n + 16 * SIDES <= n1;
        if (p->bf16)
            whole ? blocks_run(p, w, x, c, true, true) : blocks_run(p, w, x, c, false, true);
        else
            whole ? blocks_run(p, w, x, c, true, false) : blocks_run(p, w, x, c, false, false);
        UNROLL(2)
        for (size_t s = 0; s < SIDES; s++) {
            if (w[s].count > 0)
                v_store_some(y + 16 * s, c[s], w[s].count);
        }
    }
}
