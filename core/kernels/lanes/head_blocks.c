/* Cross-entropy of rows of logits, and its gradient as the head's two products take it:
 * definition.c says what is computed.
 *
 * A row of V = 32,000 is 128 KiB and stays in the second-level cache through three passes: its
 * largest logit; e^(x − max), in place, and their sum; the gradient. Where the set multiplies pairs
 * of bfloat16, two rows go through the last pass together, since the product over rows takes one
 * above the other; pairs along a row take half its place, so they may overwrite it from the front.
 * Bound by exp, and by writing the gradient for the product over rows. */
#include "core/kernels/simd.h"
#include "core/kernels/lanes_table.h"

#include "core/kernels/lanes/lanes.h"
#include "core/kernels/mathfn.h"

#define W KERN_HEAD_WORDS

/* Sum of e^(x − max) over a row in 16 lanes; keep: they replace x. */
INLINE float exps_of_row(float *x, size_t V, float max, const bool keep)
{
    v16 m = v_set1(max), sum = v_zero();
    size_t v = 0;

    for (; v + 16 <= V; v += 16) {
        v16 e = v_exp_below(v_sub(v_load(x + v), m));
        sum = v_add(sum, e);
        if (keep)
            v_store(x + v, e);
    }
    if (v < V) {
        v16 e = v_exp_below(v_sub(v_load_n(x + v, V - v), m));
        sum = v_add(sum, v_select(v_first(V - v), e, v_zero()));
        if (keep)
            v_store_n(x + v, e, V - v);
    }
    return v_sum(sum);
}

INLINE float largest_of_row(const float *x, size_t V)
{
    v16 low = v_set1(-(float)INFINITY), a = low, b = low, c = low, d = low;
    size_t v = 0;

    for (; v + 64 <= V; v += 64) {
        a = v_max(a, v_load(x + v));
        b = v_max(b, v_load(x + v + 16));
        c = v_max(c, v_load(x + v + 32));
        d = v_max(d, v_load(x + v + 48));
    }
    for (; v + 16 <= V; v += 16)
        a = v_max(a, v_load(x + v));
    if (v < V)
        b = v_max(b, v_select(v_first(V - v), v_load_n(x + v, V - v), low));
    return v_largest(v_max(v_max(a, b), v_max(c, d)));
}

void LANES(lanes_loss)(float *loss, const float *logits, size_t ld, const uint32_t *targets,
                       size_t rows, size_t V)
{
    for (size_t r = 0; r < rows; r++, logits += ld) {
        if (targets[r] == KERN_NO_TARGET) {
            loss[r] = 0.0f;
            continue;
        }
        float max = largest_of_row(logits, V);
        float sum = exps_of_row((float *)logits, V, max, false);
        loss[r] = (float)mathfn_log((double)sum) - (logits[targets[r]] - max);
    }
}

/* A row whose logits have become exponentials: the gradient is f times each, another value at the
 * target. */
struct row {
    float *x, f, at_target;
    size_t target; /* V: there is none */
};

static struct row take_row(float *loss, float *x, uint32_t target, size_t V, float scale)
{
    if (target == KERN_NO_TARGET) {
        *loss = 0.0f;
        memset(x, 0, V * sizeof *x);
        return (struct row){x, 0.0f, 0.0f, V};
    }
    const float max = largest_of_row(x, V), logit = x[target];
    const float sum = exps_of_row(x, V, max, true), f = scale / sum;
    *loss = (float)mathfn_log((double)sum) - (logit - max);
    return (struct row){x, f, x[target] * f - scale, target};
}

INLINE float *word_of(float *across, size_t block, size_t v)
{
    return across + v / W * block + v % W;
}

#if LANES_PAIRS
/* Half of a step becomes x, rounded; the first of a pair is the upper one. */
INLINE void put_half(float *step, bool first, float x)
{
    const uint32_t bits = f1_bits(*step), half = f1_bits(f1_bf16(x));
    *step = f1_from_bits(first ? half | (bits & 0xffff) : (bits & 0xffff0000u) | half >> 16);
}

/* n ≤ 16 elements of the gradient from v on, −0 after them. */
INLINE v16 gradient_at(const struct row *r, size_t v, size_t n)
{
    v16 d = v_mul(v_load_some(r->x + v, n), v_set1(r->f));
    return n >= 16 ? d : v_select(v_first(n), d, v_set1(-0.0f));
}

/* 32 words from v on, n of them there are, of a row and, where both, the next. */
INLINE void pairs_at(const struct row r[2], float *across, size_t block, size_t v, size_t n,
                     const bool both)
{
    const size_t rest = n > 16 ? n - 16 : 0;
    v16 none = v_set1(-0.0f), a = gradient_at(r, v, n), b = gradient_at(r, v + 16, rest);
    v16 c = both ? gradient_at(r + 1, v, n) : none;
    v16 d = both ? gradient_at(r + 1, v + 16, rest) : none;

    v_store_some(word_of(across, block, v), v_pairs_across(a, c), n);
    if (rest > 0)
        v_store_some(word_of(across, block, v + 16), v_pairs_across(b, d), rest);
    v_store_some(r[0].x + v / 2, v_pairs_along(a, b), (n + 1) / 2);
    if (both)
        v_store_some(r[1].x + v / 2, v_pairs_along(c, d), (n + 1) / 2);
}

INLINE void row_pairs(const struct row r[2], float *across, size_t block, size_t V, const bool both)
{
    size_t v = 0;
    for (; v + 32 <= V; v += 32)
        pairs_at(r, across, block, v, 32, both);
    if (v < V)
        pairs_at(r, across, block, v, V - v, both);
    for (size_t i = 0; i < (both ? 2 : 1); i++) {
        const size_t t = r[i].target;
        if (t == V)
            continue;
        put_half(word_of(across, block, t), i == 0, r[i].at_target);
        put_half(r[i].x + t / 2, t % 2 == 0, r[i].at_target);
    }
}
#endif

INLINE void row_plain(const struct row *r, float *across, size_t block, size_t V, const bool bf16)
{
    if (r->target < V)
        r->x[r->target] = 0.0f;
    for (size_t v = 0; v < V; v += 16) {
        v16 d = v_mul(v_load_some(r->x + v, V - v), v_set1(r->f));
        d = bf16 ? v_bf16(d) : d;
        v_store_some(r->x + v, d, V - v);
        v_store_some(word_of(across, block, v), d, V - v);
    }
    if (r->target < V)
        r->x[r->target] = *word_of(across, block, r->target) =
            bf16 ? f1_bf16(r->at_target) : r->at_target;
}

void LANES(lanes_head_rows)(float *loss, float *logits, size_t ld, float *across, size_t block,
                            const uint32_t *targets, size_t rows, size_t V, float scale, bool bf16)
{
    for (size_t i = 0; i < rows; across += W) {
#if LANES_PAIRS
        if (bf16) {
            const size_t n = rows - i < 2 ? 1 : 2;
            struct row r[2];
            for (size_t k = 0; k < n; k++, i++)
                r[k] = take_row(loss + i, logits + i * ld, targets[i], V, scale);
            if (n == 2)
                row_pairs(r, across, block, V, true);
            else
                row_pairs(r, across, block, V, false);
            continue;
        }
#endif
        struct row r = take_row(loss + i, logits + i * ld, targets[i], V, scale);
        row_plain(&r, across, block, V, bf16);
        i++;
    }
}
