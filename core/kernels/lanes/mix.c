/* y = fma(s, x, t·z): all that Muon does element by element. Bound by memory. */
#include "core/kernels/simd.h"

#include "core/kernels/lanes/lanes.h"

void LANES(lanes_mix)(float *y, float s, const float *x, float t, const float *z, size_t n)
{
    v16 sv = v_set1(s), tv = v_set1(t);
    for (size_t i = 0; i < n; i += 16) {
        v16 other = v_mul(tv, v_load_some(z + i, n - i));
        v_store_some(y + i, v_fma(sv, v_load_some(x + i, n - i), other), n - i);
    }
}
