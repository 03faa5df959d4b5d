/* Log-probability of one word among V whose logits come block by block, so that they are never all
 * in memory: definition.c in 16 lanes. Each lane has a largest value and a sum of its own, so a
 * block needs no sum across lanes; bound by exp. */
#include "core/kernels/simd.h"
#include "core/kernels/lanes_table.h"

#include <float.h>
#include "core/kernels/lanes/lanes.h"
#include "core/kernels/mathfn.h"

void LANES(lanes_words_block)(float *state, const float *logits, size_t ld, size_t rows, size_t n)
{
    const v16 low = v_set1(-FLT_MAX);
    for (size_t r = 0; r < rows; r++, state += 32, logits += ld) {
        v16 before = v_load(state), a = before, b = low, sum = v_load(state + 16);
        size_t v = 0;
        for (; v + 32 <= n; v += 32) {
            a = v_max(v_load(logits + v), a);
            b = v_max(v_load(logits + v + 16), b);
        }
        for (; v < n; v += 16) {
            v16 x = v_load_some(logits + v, n - v);
            a = v_max(n - v >= 16 ? x : v_select(v_first(n - v), x, low), a);
        }
        v16 max = v_add(v_max(a, b), v_zero());
        sum = v_mul(sum, v_exp(v_sub(before, max)));
        for (v = 0; v + 16 <= n; v += 16)
            sum = v_add(sum, v_exp(v_sub(v_load(logits + v), max)));
        if (v < n) {
            v16 e = v_exp(v_sub(v_load_n(logits + v, n - v), max));
            sum = v_add(sum, v_select(v_first(n - v), e, v_zero()));
        }
        v_store(state, max);
        v_store(state + 16, sum);
    }
}

void LANES(lanes_words_loss)(float *loss, const float *state, const float *at, size_t rows)
{
    for (size_t r = 0; r < rows; r++, state += 32) {
        v16 m = v_load(state);
        float max = v_largest(m);
        float sum = v_sum(v_mul(v_load(state + 16), v_exp(v_sub(m, v_set1(max)))));
        loss[r] = (float)mathfn_log((double)sum) - (at[r] - max);
    }
}
