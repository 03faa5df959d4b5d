/* Norms, GELU, element by element: definition.c in 16 lanes. All of it is bound by memory or
 * by exp; rows are read from the first-level cache on the second pass and later. */
#include "core/kernels/simd.h"
#include "core/kernels/lanes_table.h"

#include <stdbool.h>
#include "core/kernels/lanes/lanes.h"
#include "core/kernels/mathfn.h"

/* v, with zero in the lanes from n on. */
INLINE v16 keep_some(v16 v, size_t n)
{
    return n >= 16 ? v : v_select(v_first(n), v, v_zero());
}

void LANES(lanes_layernorm_forward)(float *y, float *stats, const float *x, const float *w,
                                    size_t rows, size_t H)
{
    for (size_t r = 0; r < rows; r++, x += H, y += H) {
        v16 sum = v_zero(), square = v_zero();
        for (size_t i = 0; i < H; i += 16)
            sum = v_add(sum, v_load_some(x + i, H - i));
        float mean = v_sum(sum) / (float)H;
        v16 m = v_set1(mean);
        for (size_t i = 0; i < H; i += 16) {
            v16 d = keep_some(v_sub(v_load_some(x + i, H - i), m), H - i);
            square = v_fma(d, d, square);
        }
        float rstd = 1.0f / sqrtf(v_sum(square) / (float)H + KERN_NORM_EPSILON);
        v16 s = v_set1(rstd);
        for (size_t i = 0; i < H; i += 16) {
            v16 n = v_mul(v_sub(v_load_some(x + i, H - i), m), s);
            v_store_some(y + i, v_mul(n, v_load_some(w + i, H - i)), H - i);
        }
        if (stats != NULL) {
            stats[2 * r] = mean;
            stats[2 * r + 1] = rstd;
        }
    }
}

void LANES(lanes_layernorm_backward)(float *dx, const float *dy, const float *add, const float *x,
                                     const float *stats, const float *w, size_t rows, size_t H)
{
    for (size_t r = 0; r < rows; r++, x += H, dy += H, dx += H) {
        v16 mean = v_set1(stats[2 * r]), rstd = v_set1(stats[2 * r + 1]);
        v16 sum = v_zero(), along = v_zero();
        for (size_t i = 0; i < H; i += 16) {
            v16 g = v_mul(v_load_some(dy + i, H - i), v_load_some(w + i, H - i));
            v16 n = v_mul(v_sub(v_load_some(x + i, H - i), mean), rstd);
            sum = v_add(sum, g);
            along = v_fma(g, keep_some(n, H - i), along);
        }
        v16 g_mean = v_set1(v_sum(sum) / (float)H), gn_mean = v_set1(-(v_sum(along) / (float)H));
        for (size_t i = 0; i < H; i += 16) {
            v16 g = v_mul(v_load_some(dy + i, H - i), v_load_some(w + i, H - i));
            v16 n = v_mul(v_sub(v_load_some(x + i, H - i), mean), rstd);
            v16 base = add == NULL ? v_zero() : v_load_some(add + r * H + i, H - i);
            v_store_some(dx + i, v_fma(rstd, v_fma(n, gn_mean, v_sub(g, g_mean)), base), H - i);
        }
    }
}

void LANES(lanes_layernorm_weight)(float *dw, const float *dy, const float *x, const float *stats,
                                   size_t rows, size_t H, size_t c0, size_t c1)
{
    for (size_t c = c0; c < c1; c += 16) {
        v16 sum = v_load_some(dw + c, c1 - c);
        for (size_t r = 0; r < rows; r++) {
            v16 d = v_sub(v_load_some(x + r * H + c, c1 - c), v_set1(stats[2 * r]));
            v16 n = v_mul(d, v_set1(stats[2 * r + 1]));
            sum = v_fma(v_load_some(dy + r * H + c, c1 - c), n, sum);
        }
        v_store_some(dw + c, sum, c1 - c);
    }
}

INLINE v16 gelu_sigma(v16 x, v16 xx)
{
    v16 e = v_exp(v_mul(x, v_fma(v_set1(GELU_B), xx, v_set1(GELU_A))));
    return v_div(v_set1(1.0f), v_add(v_set1(1.0f), e));
}

void LANES(lanes_gelu_forward)(float *y, const float *x, size_t n)
{
    for (size_t i = 0; i < n; i += 16) {
        v16 a = v_load_some(x + i, n - i);
        v_store_some(y + i, v_mul(a, gelu_sigma(a, v_mul(a, a))), n - i);
    }
}

void LANES(lanes_gelu_backward)(float *dx, const float *dy, const float *x, size_t n)
{
    for (size_t i = 0; i < n; i += 16) {
        v16 a = v_load_some(x + i, n - i), aa = v_mul(a, a);
        v16 s = gelu_sigma(a, aa);
        v16 slope = v_fma(v_set1(-3.0f * GELU_B), aa, v_set1(-GELU_A));
        v16 d = v_fma(v_mul(v_mul(a, slope), s), v_sub(v_set1(1.0f), s), s);
        v_store_some(dx + i, v_mul(v_load_some(dy + i, n - i), d), n - i);
    }
}

void LANES(lanes_add)(float *y, const float *a, const float *b, size_t n)
{
    for (size_t i = 0; i < n; i += 16)
        v_store_some(y + i, v_add(v_load_some(a + i, n - i), v_load_some(b + i, n - i)), n - i);
}

void LANES(lanes_scale)(float *y, const float *x, float s, size_t n)
{
    for (size_t i = 0; i < n; i += 16)
        v_store_some(y + i, v_mul(v_load_some(x + i, n - i), v_set1(s)), n - i);
}

void LANES(lanes_embed_backward)(float *dE, const float *dx, const uint32_t *tokens, size_t rows,
                                 size_t H, size_t c0, size_t c1)
{
    for (size_t r = 0; r < rows; r++) {
        float *to = dE + tokens[r] * H;
        const float *from = dx + r * H;
        for (size_t c = c0; c < c1; c += 16)
            v_store_some(to + c, v_add(v_load_some(to + c, c1 - c), v_load_some(from + c, c1 - c)),
                         c1 - c);
    }
}
