/* C[m][n] = chain over k of fma(A[m][k], B[k][n], c): any strides, rows m0…m1 and columns n0…n1.
 *
 * Lanes run across n. A tile of C stays in registers while k runs over a block: per step of k,
 * TILE_N/16 vectors of B are loaded and each element of A, broadcast, meets all of them. With
 * AVX-512 12×32 is 24 accumulators, which hides the latency of two multiply-adds a cycle eight
 * times over and needs 14 loads for 24 of them; with AVX2 6×16 (12 of 16 registers), with NEON 6×16
 * (24 of 32). Between blocks of k the chain waits in C, exact, so blocking changes no bit.
 *
 * Blocks: B 384×512 (a panel of 32 columns is 48 KiB: first-level cache; the block 768 KiB:
 * second), A 96×384 (144 KiB). Small or contiguous operands are read where they are: for H = 32
 * packing would cost as much as the product.
 *
 * With bf16, elements are rounded as they are packed. Where the set multiplies pairs of them, a
 * step of k takes two elements and a block twice as many; all else is the same. */
#include "core/kernels/simd.h"
#include "core/kernels/lanes_table.h"

#include <stdbool.h>
#include "core/kernels/lanes/lanes.h"
#include "core/kernels/lanes/pack.h"
#include "core/kernels/lanes/pack_pairs.h"

struct tile {
    size_t K; /* steps */
    const float *A;
    size_t a_row, a_col;
    const float *B;
    size_t b_row;
    float *C;
    size_t c_row;
    size_t columns; /* of the last vector, 1…16 */
    bool accumulate;
    bool pairs;
};

INLINE v16 tile_load(const float *p, size_t n)
{
    return n == 16 ? v_load(p) : v_load_n(p, n);
}

INLINE void tile_store(float *p, v16 v, size_t n)
{
    if (n == 16)
        v_store(p, v);
    else
        v_store_n(p, v, n);
}

INLINE v16 tile_step(v16 a, v16 b, v16 c, const bool pairs)
{
#if LANES_PAIRS
    if (pairs)
        return v_fma_pairs(a, b, c);
#endif
    (void)pairs;
    return v_fma(a, b, c);
}

/* M and V are constants where this is inlined, so that all of c lives in registers. Rows are
 * addressed from every third one: x86 can add one and two strides to a pointer for nothing. */
INLINE void tile_run(const struct tile *t, const int M, const int V, const bool unit,
                     const bool pairs)
{
    v16 c[TILE_M][TILE_V];
    const float *a[(TILE_M + 2) / 3], *b = t->B;
    const size_t a_row = unit ? 1 : t->a_row, a_col = t->a_col, b_row = t->b_row;

    UNROLL(12)
    for (int m = 0; m < M; m++) {
        UNROLL(2)
        for (int v = 0; v < V; v++)
            c[m][v] = !t->accumulate ? v_zero()
                                     : tile_load(t->C + (size_t)m * t->c_row + 16 * v,
                                                 v == V - 1 ? t->columns : 16);
        if (m % 3 == 0)
            a[m / 3] = t->A + (size_t)m * a_row;
    }
    for (size_t k = t->K; k > 0; k--) {
        v16 bv[TILE_V];
        UNROLL(2)
        for (int v = 0; v < V; v++)
            bv[v] = v_load(b + 16 * v);
        UNROLL(12)
        for (int m = 0; m < M; m++) {
            v16 x = v_set1(a[m / 3][(size_t)(m % 3) * a_row]);
            UNROLL(2)
            for (int v = 0; v < V; v++)
                c[m][v] = tile_step(x, bv[v], c[m][v], pairs);
        }
        UNROLL(4)
        for (int m = 0; m < (M + 2) / 3; m++)
            a[m] += a_col;
        b += b_row;
    }
    UNROLL(12)
    for (int m = 0; m < M; m++) {
        UNROLL(2)
        for (int v = 0; v < V; v++)
            tile_store(t->C + (size_t)m * t->c_row + 16 * v, c[m][v], v == V - 1 ? t->columns : 16);
    }
}

#define TILE_CASE_(M, V, unit, pairs)                                                              \
    case M:                                                                                        \
        tile_run(t, M, V, unit, pairs);                                                            \
        return;
#if TILE_M == 12
#define TILE_CASES_(V, unit, pairs)                                                                \
    TILE_CASE_(1, V, unit, pairs)                                                                  \
    TILE_CASE_(2, V, unit, pairs)                                                                  \
    TILE_CASE_(3, V, unit, pairs)                                                                  \
    TILE_CASE_(4, V, unit, pairs)                                                                  \
    TILE_CASE_(5, V, unit, pairs)                                                                  \
    TILE_CASE_(6, V, unit, pairs)                                                                  \
    TILE_CASE_(7, V, unit, pairs)                                                                  \
    TILE_CASE_(8, V, unit, pairs)                                                                  \
    TILE_CASE_(9, V, unit, pairs)                                                                  \
    TILE_CASE_(10, V, unit, pairs)                                                                 \
    TILE_CASE_(11, V, unit, pairs)                                                                 \
    TILE_CASE_(12, V, unit, pairs)
#elif TILE_M == 6
#define TILE_CASES_(V, unit, pairs)                                                                \
    TILE_CASE_(1, V, unit, pairs)                                                                  \
    TILE_CASE_(2, V, unit, pairs)                                                                  \
    TILE_CASE_(3, V, unit, pairs)                                                                  \
    TILE_CASE_(4, V, unit, pairs)                                                                  \
    TILE_CASE_(5, V, unit, pairs)                                                                  \
    TILE_CASE_(6, V, unit, pairs)
#else
#define TILE_CASES_(V, unit, pairs)                                                                \
    TILE_CASE_(1, V, unit, pairs)                                                                  \
    TILE_CASE_(2, V, unit, pairs)                                                                  \
    TILE_CASE_(3, V, unit, pairs)
#endif

#define TILES_(name, V, unit, pairs)                                                               \
    static void name(const struct tile *t, int rows)                                               \
    {                                                                                              \
        switch (rows) {                                                                            \
            TILE_CASES_(V, unit, pairs)                                                            \
        }                                                                                          \
    }
TILES_(tile_one, 1, false, false)
TILES_(tile_one_unit, 1, true, false)
#if TILE_V == 2
TILES_(tile_two, 2, false, false)
TILES_(tile_two_unit, 2, true, false)
#endif
#if LANES_PAIRS
TILES_(pairs_one, 1, false, true)
TILES_(pairs_one_unit, 1, true, true)
TILES_(pairs_two, 2, false, true)
TILES_(pairs_two_unit, 2, true, true)
#endif

/* rows ≤ TILE_M, columns ≤ TILE_N of a tile; t->columns is set here. */
static void tile(struct tile *t, size_t rows, size_t columns)
{
    bool unit = t->a_row == 1;
    t->columns = (columns - 1) % 16 + 1;
#if LANES_PAIRS
    if (t->pairs) {
        if (columns > 16)
            (unit ? pairs_two_unit : pairs_two)(t, (int)rows);
        else
            (unit ? pairs_one_unit : pairs_one)(t, (int)rows);
        return;
    }
#endif
#if TILE_V == 2
    if (columns > 16) {
        (unit ? tile_two_unit : tile_two)(t, (int)rows);
        return;
    }
#endif
    (unit ? tile_one_unit : tile_one)(t, (int)rows);
}

/* The next tile's part of C, while this one is computed: it may come from memory. */
INLINE void prefetch_rows(const float *C, size_t c_row, size_t rows)
{
    for (size_t m = 0; m < rows; m++) {
        for (size_t v = 0; v < TILE_V; v++)
            __builtin_prefetch(C + m * c_row + 16 * v, 1);
    }
}

static bool reads_a_directly(const struct kern_product *p, size_t M, size_t N, size_t K)
{
    if (M <= TILE_M)
        return true; /* each element is read once a panel, from the first-level cache */
    if (p->a_col == 1)
        return N <= 4 * TILE_N && (p->a_row % 1024 != 0 || K < 64);
    return p->a_row == 1 && (p->a_col <= 64 || N <= TILE_N);
}

static bool reads_b_directly(const struct kern_product *p, size_t M, size_t K)
{
    return p->b_col == 1 && (p->b_row <= 64 || M <= 4 * TILE_M || p->b_row * K <= 8192);
}

/* Whether a step of k takes two elements. */
INLINE bool in_pairs(const struct kern_product *p)
{
    return LANES_PAIRS && p->bf16;
}

static void take_panel(const struct kern_product *p, float *P, const float *B, size_t K, size_t n)
{
#if LANES_PAIRS
    if (p->bf16) {
        pack_panel_pairs(P, B, p->b_row, p->b_col, K, n);
        return;
    }
#endif
    pack_panel(P, B, p->b_row, p->b_col, K, n);
    if (p->bf16)
        pack_round(P, K * TILE_N);
}

static void take_rows(const struct kern_product *p, float *P, const float *A, size_t M, size_t K)
{
#if LANES_PAIRS
    if (p->bf16) {
        pack_rows_pairs(P, A, p->a_row, p->a_col, M, K);
        return;
    }
#endif
    pack_rows(P, A, p->a_row, p->a_col, M, K);
    if (p->bf16)
        pack_round(P, p->a_row == 1 ? (M + TILE_M - 1) / TILE_M * TILE_M * K : M * BLOCK_K);
}

/* One block of k (K of them from k0) and columns (N of them from n0), all rows. */
static void block_run(const struct kern_product *p, size_t m0, size_t m1, size_t n0, size_t N,
                      size_t k0, size_t K, float *scratch)
{
    float *pack_a = scratch, *pack_b = scratch + KERN_PACK_A;
    const float *B = p->B + k0 * p->b_row + n0 * p->b_col;
    bool a_direct = !p->bf16 && reads_a_directly(p, m1 - m0, N, K);
    bool b_direct = !p->bf16 && reads_b_directly(p, m1 - m0, K);
    struct tile t = {.K = in_pairs(p) ? (K + 1) / 2 : K,
                     .c_row = p->c_row,
                     .accumulate = p->accumulate || k0 > 0,
                     .pairs = in_pairs(p)};

    for (size_t n = 0; n < N; n += TILE_N) {
        size_t columns = N - n < TILE_N ? N - n : TILE_N;
        if (!b_direct || columns % 16 != 0)
            take_panel(p, pack_b + n * t.K, B + n * p->b_col, K, columns);
    }
    for (size_t m = m0; m < m1; m += BLOCK_M) {
        size_t M = m1 - m < BLOCK_M ? m1 - m : BLOCK_M;
        const float *A = p->A + m * p->a_row + k0 * p->a_col;
        t.a_row = p->a_row, t.a_col = p->a_col;
        size_t step = TILE_M * p->a_row; /* from tile to tile */
        if (!a_direct) {
            take_rows(p, pack_a, A, M, K);
            A = pack_a;
            t.a_row = p->a_row == 1 ? 1 : BLOCK_K;
            t.a_col = p->a_row == 1 ? TILE_M : 1;
            step = TILE_M * (p->a_row == 1 ? t.K : BLOCK_K);
        }
        for (size_t n = 0; n < N; n += TILE_N) {
            size_t columns = N - n < TILE_N ? N - n : TILE_N;
            bool packed = !b_direct || columns % 16 != 0;
            t.B = packed ? pack_b + n * t.K : B + n;
            t.b_row = packed ? TILE_N : p->b_row;
            for (size_t i = 0; i < M; i += TILE_M) {
                if (t.accumulate && K >= 64)
                    prefetch_rows(p->C + (m + i + TILE_M) * p->c_row + n0 + n, p->c_row,
                                  i + 2 * TILE_M <= M ? TILE_M : 0);
                t.A = A + i / TILE_M * step;
                t.C = p->C + (m + i) * p->c_row + n0 + n;
                tile(&t, M - i < TILE_M ? M - i : TILE_M, columns);
            }
        }
    }
}

/* Columns of a block of B: more where it is shallow, since each block packs A anew (the head at
 * H = 96 gained a sixth in float32 and a fifth in bf16). */
static size_t columns_of(size_t steps)
{
    size_t most = BLOCK_K * BLOCK_N / (steps > 0 ? steps : 1) / TILE_N * TILE_N;
    return most < 4 * BLOCK_N ? most : 4 * BLOCK_N;
}

void LANES(lanes_product)(const struct kern_product *p, size_t m0, size_t m1, size_t n0, size_t n1,
                          float *scratch)
{
    size_t each = in_pairs(p) ? 2 : 1, depth = each * BLOCK_K;
    size_t steps = p->K < depth ? (p->K + each - 1) / each : BLOCK_K;
    size_t width = columns_of(steps);

    if (p->K == 0 && !p->accumulate) {
        for (size_t m = m0; m < m1; m++)
            memset(p->C + m * p->c_row + n0, 0, (n1 - n0) * sizeof *p->C);
    }
    for (size_t n = n0; n < n1; n += width) {
        size_t N = n1 - n < width ? n1 - n : width;
        for (size_t k = 0; k < p->K; k += depth)
            block_run(p, m0, m1, n, N, k, p->K - k < depth ? p->K - k : depth, scratch);
    }
}
