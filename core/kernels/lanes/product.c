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
 * packing would cost as much as the product. */
#include "core/kernels/simd.h"
#include "core/kernels/lanes_table.h"

#include <stdbool.h>
#include "core/kernels/lanes/lanes.h"

#if defined(LANES_ISA_avx512)
#define TILE_M 12
#define TILE_V 2
#elif defined(LANES_ISA_avx2) || defined(LANES_ISA_neon)
#define TILE_M 6
#define TILE_V 1
#else
#define TILE_M 3
#define TILE_V 1
#endif
#define TILE_N (16 * TILE_V)

#define BLOCK_M 96
#define BLOCK_K 384
#define BLOCK_N 512
/* How far ahead packing asks the memory: it reads in steps that processors do not foresee. */
#define AHEAD_ROWS 8
#define AHEAD_COLUMNS 64

struct tile {
    size_t K;
    const float *A;
    size_t a_row, a_col;
    const float *B;
    size_t b_row;
    float *C;
    size_t c_row;
    size_t columns; /* of the last vector, 1…16 */
    bool accumulate;
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

/* M and V are constants where this is inlined, so that all of c lives in registers. Rows are
 * addressed from every third one: x86 can add one and two strides to a pointer for nothing. */
INLINE void tile_run(const struct tile *t, const int M, const int V, const bool unit)
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
                c[m][v] = v_fma(x, bv[v], c[m][v]);
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

#define TILE_CASE_(M, V, unit)                                                                     \
    case M:                                                                                        \
        tile_run(t, M, V, unit);                                                                   \
        return;
#if TILE_M == 12
#define TILE_CASES_(V, unit)                                                                       \
    TILE_CASE_(1, V, unit)                                                                         \
    TILE_CASE_(2, V, unit)                                                                         \
    TILE_CASE_(3, V, unit)                                                                         \
    TILE_CASE_(4, V, unit)                                                                         \
    TILE_CASE_(5, V, unit)                                                                         \
    TILE_CASE_(6, V, unit)                                                                         \
    TILE_CASE_(7, V, unit)                                                                         \
    TILE_CASE_(8, V, unit)                                                                         \
    TILE_CASE_(9, V, unit)                                                                         \
    TILE_CASE_(10, V, unit)                                                                        \
    TILE_CASE_(11, V, unit)                                                                        \
    TILE_CASE_(12, V, unit)
#elif TILE_M == 6
#define TILE_CASES_(V, unit)                                                                       \
    TILE_CASE_(1, V, unit)                                                                         \
    TILE_CASE_(2, V, unit)                                                                         \
    TILE_CASE_(3, V, unit)                                                                         \
    TILE_CASE_(4, V, unit)                                                                         \
    TILE_CASE_(5, V, unit)                                                                         \
    TILE_CASE_(6, V, unit)
#else
#define TILE_CASES_(V, unit)                                                                       \
    TILE_CASE_(1, V, unit)                                                                         \
    TILE_CASE_(2, V, unit)                                                                         \
    TILE_CASE_(3, V, unit)
#endif

static void tile_one(const struct tile *t, int rows)
{
    switch (rows) {
        TILE_CASES_(1, false)
    }
}

static void tile_one_unit(const struct tile *t, int rows)
{
    switch (rows) {
        TILE_CASES_(1, true)
    }
}

#if TILE_V == 2
static void tile_two(const struct tile *t, int rows)
{
    switch (rows) {
        TILE_CASES_(2, false)
    }
}

static void tile_two_unit(const struct tile *t, int rows)
{
    switch (rows) {
        TILE_CASES_(2, true)
    }
}
#endif

/* rows ≤ TILE_M, columns ≤ TILE_N of a tile; t->columns is set here. */
static void tile(struct tile *t, size_t rows, size_t columns)
{
    bool unit = t->a_row == 1;
    t->columns = (columns - 1) % 16 + 1;
#if TILE_V == 2
    if (columns > 16) {
        (unit ? tile_two_unit : tile_two)(t, (int)rows);
        return;
    }
#endif
    (unit ? tile_one_unit : tile_one)(t, (int)rows);
}

/* Copies n columns (1…TILE_N) of K rows of B to P (K, TILE_N), padded with zeros. */
static void pack_panel(float *P, const float *B, size_t b_row, size_t b_col, size_t K, size_t n)
{
    size_t padded = n > TILE_N - 16 ? TILE_N : 16;

    if (b_col == 1) {
        for (size_t k = 0; k < K; k++) {
            for (size_t c = 0; c < padded; c += 16)
                v_store(P + k * TILE_N + c, c >= n        ? v_zero()
                                            : n - c >= 16 ? v_load(B + k * b_row + c)
                                                          : v_load_n(B + k * b_row + c, n - c));
        }
        return;
    }
    size_t k = 0;
    for (; b_row == 1 && k + 16 <= K; k += 16) {
        for (size_t c = 0; c < padded; c += 16) {
            v16 r[16];
            UNROLL(16)
            for (size_t i = 0; i < 16; i++) {
                if (c + i < n)
                    __builtin_prefetch(B + k + AHEAD_COLUMNS + (c + i) * b_col);
            }
            UNROLL(16)
            for (size_t i = 0; i < 16; i++)
                r[i] = c + i < n ? v_load(B + k + (c + i) * b_col) : v_zero();
            v_transpose(r);
            UNROLL(16)
            for (size_t i = 0; i < 16; i++)
                v_store(P + (k + i) * TILE_N + c, r[i]);
        }
    }
    for (; k < K; k++) {
        for (size_t c = 0; c < padded; c++)
            P[k * TILE_N + c] = c < n ? B[k * b_row + c * b_col] : 0.0f;
    }
}

/* Copies M rows of A, K columns: unit a_row by panels of TILE_M rows (k-major), otherwise row by
 * row. */
static void pack_rows(float *P, const float *A, size_t a_row, size_t a_col, size_t M, size_t K)
{
    if (a_row != 1) {
        for (size_t m = 0; m < M; m++) {
            if (a_col == 1)
                memcpy(P + m * BLOCK_K, A + m * a_row, K * sizeof *P);
            else
                for (size_t k = 0; k < K; k++)
                    P[m * BLOCK_K + k] = A[m * a_row + k * a_col];
        }
        return;
    }
    for (size_t k = 0; k < K; k++) {
        const float *from = A + k * a_col;
        for (size_t m = 0; m < M && k + AHEAD_ROWS < K; m += 16)
            __builtin_prefetch(from + AHEAD_ROWS * a_col + m);
        for (size_t m = 0; m < M; m += TILE_M) {
            size_t n = M - m < TILE_M ? M - m : TILE_M;
            float *to = P + m * K + k * TILE_M;
            if (M - m >= 16 && k + 1 < K && TILE_M > 8)
                v_store(to, v_load(from + m)); /* what is too much, the next k overwrites */
            else if (n == TILE_M)
                memcpy(to, from + m, TILE_M * sizeof *to);
            else
                memcpy(to, from + m, n * sizeof *to);
        }
    }
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

/* One block of k (K of them from k0) and columns (N ≤ BLOCK_N from n0), all rows. */
static void block_run(const struct kern_product *p, size_t m0, size_t m1, size_t n0, size_t N,
                      size_t k0, size_t K, float *scratch)
{
    float *pack_a = scratch, *pack_b = scratch + KERN_PACK_A;
    const float *B = p->B + k0 * p->b_row + n0 * p->b_col;
    bool a_direct = reads_a_directly(p, m1 - m0, N, K), b_direct = reads_b_directly(p, m1 - m0, K);
    struct tile t = {.K = K, .c_row = p->c_row, .accumulate = p->accumulate || k0 > 0};

    for (size_t n = 0; n < N; n += TILE_N) {
        size_t columns = N - n < TILE_N ? N - n : TILE_N;
        if (!b_direct || columns % 16 != 0)
            pack_panel(pack_b + n * BLOCK_K, B + n * p->b_col, p->b_row, p->b_col, K, columns);
    }
    for (size_t m = m0; m < m1; m += BLOCK_M) {
        size_t M = m1 - m < BLOCK_M ? m1 - m : BLOCK_M;
        const float *A = p->A + m * p->a_row + k0 * p->a_col;
        t.a_row = p->a_row, t.a_col = p->a_col;
        size_t step = TILE_M * p->a_row; /* from tile to tile */
        if (!a_direct) {
            pack_rows(pack_a, A, p->a_row, p->a_col, M, K);
            A = pack_a;
            t.a_row = p->a_row == 1 ? 1 : BLOCK_K;
            t.a_col = p->a_row == 1 ? TILE_M : 1;
            step = TILE_M * (p->a_row == 1 ? K : BLOCK_K);
        }
        for (size_t n = 0; n < N; n += TILE_N) {
            size_t columns = N - n < TILE_N ? N - n : TILE_N;
            bool packed = !b_direct || columns % 16 != 0;
            t.B = packed ? pack_b + n * BLOCK_K : B + n;
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

void LANES(lanes_product)(const struct kern_product *p, size_t m0, size_t m1, size_t n0, size_t n1,
                          float *scratch)
{
    if (p->K == 0 && !p->accumulate) {
        for (size_t m = m0; m < m1; m++)
            memset(p->C + m * p->c_row + n0, 0, (n1 - n0) * sizeof *p->C);
    }
    for (size_t n = n0; n < n1; n += BLOCK_N) {
        size_t N = n1 - n < BLOCK_N ? n1 - n : BLOCK_N;
        for (size_t k = 0; k < p->K; k += BLOCK_K)
            block_run(p, m0, m1, n, N, k, p->K - k < BLOCK_K ? p->K - k : BLOCK_K, scratch);
    }
}
