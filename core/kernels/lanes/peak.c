/* The most that a product of this set could reach: its tile's multiply-adds on registers alone,
 * without a load. Benches measure products against it, on the same core in the same run. */
#include "core/kernels/simd.h"
#include "core/kernels/lanes_table.h"

#include "core/kernels/lanes/lanes.h"
#include "core/kernels/lanes/pack.h"

INLINE double rounds_of(float *out, size_t rounds, const bool pairs)
{
    v16 c[TILE_M][TILE_V], a = v_set1(out[0]), b = v_set1(out[1]);

    UNROLL(8)
    for (int m = 0; m < TILE_M; m++) {
        UNROLL(3)
        for (int v = 0; v < TILE_V; v++)
            c[m][v] = v_load(out + m * TILE_V + v); /* lanes, too, all differ: else some were one */
    }
    for (size_t i = 0; i < rounds; i++) {
        UNROLL(8)
        for (int m = 0; m < TILE_M; m++) {
            UNROLL(3)
            for (int v = 0; v < TILE_V; v++) {
#if LANES_PAIRS
                c[m][v] = pairs ? v_fma_pairs(a, b, c[m][v]) : v_fma(a, b, c[m][v]);
#else
                c[m][v] = v_fma(a, b, c[m][v]);
#endif
            }
        }
    }
    UNROLL(8)
    for (int m = 0; m < TILE_M; m++) {
        UNROLL(3)
        for (int v = 0; v < TILE_V; v++)
            v_store(out, v_add(v_load(out), c[m][v]));
    }
    return 32.0 * TILE_M * TILE_V * (double)rounds * (pairs ? 2 : 1);
}

double LANES(lanes_peak)(float *out, size_t rounds, bool bf16)
{
    return LANES_PAIRS && bf16 ? rounds_of(out, rounds, true) : rounds_of(out, rounds, false);
}
