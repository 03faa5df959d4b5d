/* The inner loops of lanes/product.c: tiles of C in registers, one under the other along a panel.
 *
 * Per step of k, TILE_V vectors of B are loaded and each element of A, broadcast, meets all of
 * them. With AVX-512 a tile is 8×48: 24 accumulators, which hides the latency of two multiply-adds
 * a cycle three times over, and 11 loads for 24 of them; with AVX2 6×16 (12 of 16 registers), with
 * NEON 6×16 (24 of 32). */
#ifndef TACIT_KERNELS_LANES_TILE_H
#define TACIT_KERNELS_LANES_TILE_H

#include <stdbool.h>
#include "core/kernels/lanes/lanes.h"
#include "core/kernels/lanes/pack.h"

/* What will be needed soon, asked for bit by bit: rows of some cache lines each, stride apart. */
struct ahead {
    const float *from;
    size_t stride, rows, lines; /* left: rows; lines: of each */
    size_t line;                /* of the first of them */
};

/* A column of tiles. */
struct column {
    size_t K; /* steps */
    const float *A;
    size_t a_row, a_col, a_step; /* a_step: from tile to tile */
    const float *B;
    size_t b_row;
    float *C;
    size_t c_row;
    size_t last; /* columns of the last vector, 1…16 */
    bool accumulate, pairs;
    struct ahead b, a;     /* the next panel, the next block of A */
    size_t each_b, each_a; /* lines of them a tile */
};

INLINE void ahead_some(struct ahead *a, size_t lines)
{
    for (; lines > 0 && a->rows > 0; lines--) {
        __builtin_prefetch(a->from + 16 * a->line, 0, 2);
        if (++a->line < a->lines)
            continue;
        a->line = 0;
        a->rows--;
        a->from += a->stride;
    }
}

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

/* M and V are constants where this is inlined, so that all of c lives in registers. Rows are
 * addressed from every third one: x86 can add one and two strides to a pointer for nothing. */
INLINE void tile_run(const struct column *t, const float *A, float *C, const int M, const int V,
                     const bool unit, const bool pairs)
{
    v16 c[TILE_M][TILE_V];
    const float *a[(TILE_M + 2) / 3], *b = t->B;
    const size_t a_row = unit ? 1 : t->a_row, a_col = t->a_col, b_row = t->b_row;
    const size_t c_row = t->c_row, last = t->last;

    UNROLL(8)
    for (int m = 0; m < M; m++) {
        UNROLL(3)
        for (int v = 0; v < V; v++)
            c[m][v] = v_zero();
        if (m % 3 == 0)
            a[m / 3] = A + (size_t)m * a_row;
    }
    if (t->accumulate) {
        UNROLL(8)
        for (int m = 0; m < M; m++) {
            UNROLL(3)
            for (int v = 0; v < V; v++)
                c[m][v] = tile_load(C + (size_t)m * c_row + 16 * v, v == V - 1 ? last : 16);
        }
    }
    for (size_t k = t->K; k > 0; k--) {
        v16 bv[TILE_V];
        UNROLL(3)
        for (int v = 0; v < V; v++)
            bv[v] = v_load(b + 16 * v);
        UNROLL(8)
        for (int m = 0; m < M; m++) {
            v16 x = v_set1(a[m / 3][(size_t)(m % 3) * a_row]);
            UNROLL(3)
            for (int v = 0; v < V; v++)
                c[m][v] = lanes_step(x, bv[v], c[m][v], pairs);
        }
        UNROLL(3)
        for (int m = 0; m < (M + 2) / 3; m++)
            a[m] += a_col;
        b += b_row;
    }
    UNROLL(8)
    for (int m = 0; m < M; m++) {
        UNROLL(3)
        for (int v = 0; v < V; v++)
            tile_store(C + (size_t)m * c_row + 16 * v, c[m][v], v == V - 1 ? last : 16);
    }
}

/* rows of C, all whole tiles first. The next tile's part of C is asked for while this one is
 * computed: it may come from memory. */
INLINE void tiles_run(struct column *t, size_t rows, const int V, const bool unit, const bool pairs)
{
    const float *A = t->A;
    float *C = t->C;

    for (; rows >= TILE_M; rows -= TILE_M) {
        float *next = C + TILE_M * t->c_row;
        if (t->K >= 32 && rows >= 2 * TILE_M) {
            UNROLL(8)
            for (size_t m = 0; m < TILE_M; m++) {
                UNROLL(3)
                for (int v = 0; v < V; v++)
                    __builtin_prefetch(next + m * t->c_row + 16 * v, 1);
            }
        }
        ahead_some(&t->b, t->each_b);
        ahead_some(&t->a, t->each_a);
        tile_run(t, A, C, TILE_M, V, unit, pairs);
        A += t->a_step;
        C = next;
    }
#define TILE_CASE_(M)                                                                              \
    case M:                                                                                        \
        tile_run(t, A, C, M, V, unit, pairs);                                                      \
        break;
    switch (rows) {
        TILE_CASE_(1)
        TILE_CASE_(2)
#if TILE_M > 3
        TILE_CASE_(3)
        TILE_CASE_(4)
        TILE_CASE_(5)
#endif
#if TILE_M > 6
        TILE_CASE_(6)
        TILE_CASE_(7)
#endif
    }
}

#define TILES_(name, V, unit, pairs)                                                               \
    static void name(struct column *t, size_t rows)                                                \
    {                                                                                              \
        tiles_run(t, rows, V, unit, pairs);                                                        \
    }
TILES_(tiles_1, 1, false, false)
TILES_(tiles_1_unit, 1, true, false)
#if TILE_V > 1
TILES_(tiles_2, 2, false, false)
TILES_(tiles_2_unit, 2, true, false)
#endif
#if TILE_V > 2
TILES_(tiles_3, 3, false, false)
TILES_(tiles_3_unit, 3, true, false)
#endif
#if LANES_PAIRS
TILES_(pairs_1, 1, false, true)
TILES_(pairs_1_unit, 1, true, true)
TILES_(pairs_2, 2, false, true)
TILES_(pairs_2_unit, 2, true, true)
#if TILE_V > 2
TILES_(pairs_3, 3, false, true)
TILES_(pairs_3_unit, 3, true, true)
#endif
#endif

/* rows of the tiles in t, columns of them ≤ TILE_N; t->last is set here. */
static void column_run(struct column *t, size_t rows, size_t columns)
{
    typedef void run(struct column *, size_t);
    static run *const runs[][2] = {
        {tiles_1, tiles_1_unit},
#if TILE_V > 1
        {tiles_2, tiles_2_unit},
#endif
#if TILE_V > 2
        {tiles_3, tiles_3_unit},
#endif
    };
    const size_t v = (columns - 1) / 16, unit = t->a_row == 1;
    t->last = (columns - 1) % 16 + 1;
#if LANES_PAIRS
    static run *const pairs[][2] = {
        {pairs_1, pairs_1_unit},
        {pairs_2, pairs_2_unit},
#if TILE_V > 2
        {pairs_3, pairs_3_unit},
#endif
    };
    if (t->pairs) {
        pairs[v][unit](t, rows);
        return;
    }
#endif
    runs[v][unit](t, rows);
}

#endif
