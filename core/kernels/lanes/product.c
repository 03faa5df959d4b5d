/* C[m][n] = chain over k of fma(A[m][k], B[k][n], c): any strides, rows m0…m1 and columns n0…n1.
 *
 * Lanes run across n. A block of A, some hundred rows by DEPTH steps of k, is copied once into the
 * second-level cache (392 KiB of 1 MiB). Panels of B, TILE_N columns wide, pass over it one after
 * the other: each is copied into a buffer of 48 KiB right before its use and meets all tiles of the
 * block's rows (tile.h); meanwhile the memory is asked for the next panel. So B comes from memory
 * once a block of A, and copying it is a fiftieth of the work. Between blocks of k the chain waits
 * in C, exact, so blocking changes no bit.
 *
 * Small or contiguous operands are read where they are: for H = 32 packing would cost as much as
 * the product. With bf16, elements are rounded as they are packed. Where the set multiplies pairs
 * of them, a step of k takes two elements and a block twice as many; all else is the same. */
#include "core/kernels/simd.h"
#include "core/kernels/lanes_table.h"

#include "core/kernels/lanes/lanes.h"
#include "core/kernels/lanes/pack.h"
#include "core/kernels/lanes/pack_pairs.h"
#include "core/kernels/lanes/tile.h"

#define DEPTH KERN_PACK_DEPTH
/* Products of so few columns read A where it is: packing it by panels costs a few columns' work,
 * copying its rows less. */
#define DIRECT_PANELS 96
#define DIRECT_ROWS 384
/* Over so many panels at the end of a block, the next block of A is asked for. */
#define AHEAD_PANELS 4

/* One block: rows m… and elements of k from k, and what follows. */
struct block {
    const struct kern_product *p;
    size_t m, M, k, K, n0, n1;
    float *pack_a, *pack_b;
    size_t next_m, next_M, next_k, next_K; /* next_M = 0: none */
};

/* Whether a step of k takes two elements. */
INLINE bool in_pairs(const struct kern_product *p)
{
    return LANES_PAIRS && p->bf16;
}

INLINE size_t steps_of(const struct kern_product *p, size_t K)
{
    return in_pairs(p) ? (K + 1) / 2 : K;
}

/* From row to row, or from panel to panel of TILE_M rows, of a packed block of A. The latter are
 * written side by side: a line more keeps them from meeting in one set of the cache. */
INLINE size_t stride_of(size_t steps, bool unit)
{
    return unit ? (steps * TILE_M + 15) / 16 * 16 + 16 : (steps + 15) / 16 * 16;
}

static bool reads_a_directly(const struct kern_product *p, size_t M, size_t N, size_t K)
{
    if (p->a_held)
        return true;
    if (p->bf16)
        return false;
    if (M <= TILE_M)
        return true; /* each element is read once a panel, from the first-level cache */
    if (p->a_col == 1)
        return N <= DIRECT_ROWS && (p->a_row % 1024 != 0 || K < 64);
    return p->a_row == 1 && (p->a_col <= 64 || (N <= DIRECT_PANELS && p->a_col % 1024 != 0));
}

static bool reads_b_directly(const struct kern_product *p, size_t M)
{
    return !p->bf16 && p->b_col == 1 && (p->b_row <= 64 || M <= 4 * TILE_M);
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

static void take_rows(const struct kern_product *p, float *P, size_t stride, const float *A,
                      size_t M, size_t K)
{
#if LANES_PAIRS
    if (p->bf16) {
        pack_rows_pairs(P, stride, A, p->a_row, p->a_col, M, K);
        return;
    }
#endif
    pack_rows(P, stride, A, p->a_row, p->a_col, M, K);
    if (p->bf16)
        pack_round(P, (p->a_row == 1 ? (M + TILE_M - 1) / TILE_M : M) * stride);
}

/* Where a block of A begins. */
INLINE const float *a_at(const struct kern_product *p, size_t m, size_t k)
{
    return p->A + m * p->a_row + (p->a_held ? steps_of(p, k) : k) * p->a_col;
}

/* And a panel of B from step k on; held ones lie one after the other. */
INLINE const float *b_at(const struct kern_product *p, size_t k, size_t n)
{
    if (p->b_held)
        return p->B + n * steps_of(p, p->K) + steps_of(p, k) * TILE_N;
    return p->B + k * p->b_row + n * p->b_col;
}

/* Part (rows, columns) of a matrix, to be asked for where one of its strides is 1. */
INLINE struct ahead ahead_of(const float *x, size_t row, size_t col, size_t rows, size_t columns)
{
    if (row != 1 && col != 1)
        return (struct ahead){0};
    size_t along = col == 1 ? columns : rows;
    return (struct ahead){x, col == 1 ? row : col, col == 1 ? rows : columns, (along + 15) / 16, 0};
}

INLINE size_t ahead_each(const struct ahead *a, size_t times)
{
    return times == 0 ? 0 : (a->rows * a->lines + times - 1) / times;
}

/* What tiles of the panel at n should ask for. */
static void look_ahead(const struct block *b, struct column *t, size_t n)
{
    const struct kern_product *p = b->p;
    const size_t tiles = b->M / TILE_M, panels = (b->n1 - b->n0 + TILE_N - 1) / TILE_N;
    const size_t next = n + TILE_N < b->n1 ? n + TILE_N : b->n0;
    const size_t columns = b->n1 - next < TILE_N ? b->n1 - next : TILE_N;
    const size_t k = next > n ? b->k : b->next_k, K = next > n ? b->K : b->next_K;

    t->b = p->b_held ? ahead_of(b_at(p, k, next), TILE_N, 1, steps_of(p, K), TILE_N)
                     : ahead_of(b_at(p, k, next), p->b_row, p->b_col, K, columns);
    t->each_b = ahead_each(&t->b, tiles);
    const size_t over = panels < AHEAD_PANELS ? panels : AHEAD_PANELS;
    if ((n - b->n0) / TILE_N == panels - over && b->next_M > 0) {
        t->a = ahead_of(a_at(p, b->next_m, b->next_k), p->a_row, p->a_col, b->next_M,
                        p->a_held ? steps_of(p, b->next_K) : b->next_K);
        t->each_a = ahead_each(&t->a, tiles * over);
    }
}

static void block_run(const struct block *b)
{
    const struct kern_product *p = b->p;
    const size_t steps = steps_of(p, b->K);
    struct column t = {.K = steps,
                       .A = a_at(p, b->m, b->k),
                       .a_row = p->a_row,
                       .a_col = p->a_col,
                       .a_step = TILE_M * p->a_row,
                       .c_row = p->c_row,
                       .accumulate = p->accumulate || b->k > 0,
                       .pairs = in_pairs(p)};

    if (!reads_a_directly(p, b->M, b->n1 - b->n0, b->K)) {
        const bool unit = p->a_row == 1;
        const size_t stride = stride_of(steps, unit);
        take_rows(p, b->pack_a, stride, t.A, b->M, b->K);
        t.A = b->pack_a;
        t.a_row = unit ? 1 : stride;
        t.a_col = unit ? TILE_M : 1;
        t.a_step = unit ? stride : TILE_M * stride;
    }
    const bool b_direct = reads_b_directly(p, b->M);
    for (size_t n = b->n0; n < b->n1; n += TILE_N) {
        const size_t columns = b->n1 - n < TILE_N ? b->n1 - n : TILE_N;
        t.B = b_at(p, b->k, n);
        t.b_row = p->b_held ? TILE_N : p->b_row;
        if (!p->b_held && (!b_direct || columns % 16 != 0)) {
            take_panel(p, b->pack_b, t.B, b->K, columns);
            t.B = b->pack_b;
            t.b_row = TILE_N;
        }
        t.C = p->C + b->m * p->c_row + n;
        look_ahead(b, &t, n);
        column_run(&t, b->M, columns);
    }
}

/* n cut into as few equal parts of at most most as there can be, multiples of unit. */
INLINE size_t equal_parts(size_t n, size_t most, size_t unit)
{
    const size_t parts = (n + most - 1) / most;
    return parts == 0 ? unit : ((n + parts - 1) / parts + unit - 1) / unit * unit;
}

void LANES(lanes_hold)(float *to, const struct kern_product *p, size_t n0, size_t n1)
{
    struct kern_product held = *p;
    held.B = to;
    held.b_held = true;
    for (size_t n = n0; n < n1; n += TILE_N)
        take_panel(p, (float *)b_at(&held, 0, n), b_at(p, 0, n), p->K,
                   n1 - n < TILE_N ? n1 - n : TILE_N);
}

void LANES(lanes_product)(const struct kern_product *p, size_t m0, size_t m1, size_t n0, size_t n1,
                          float *scratch)
{
    const size_t each = in_pairs(p) ? 2 : 1;
    const size_t depth = each * equal_parts(steps_of(p, p->K), DEPTH, 1);
    const size_t panel = stride_of(depth / each, true);
    const size_t height = equal_parts(m1 - m0, KERN_PACK_A / panel * TILE_M, TILE_M);
    struct block b = {
        .p = p, .n0 = n0, .n1 = n1, .pack_a = scratch, .pack_b = scratch + KERN_PACK_A};

    if (p->K == 0 && !p->accumulate) {
        for (size_t m = m0; m < m1; m++)
            memset(p->C + m * p->c_row + n0, 0, (n1 - n0) * sizeof *p->C);
    }
    for (size_t m = m0; m < m1; m += height) {
        for (size_t k = 0; k < p->K; k += depth) {
            const bool last = k + depth >= p->K;
            b.m = m;
            b.M = m1 - m < height ? m1 - m : height;
            b.k = k;
            b.K = p->K - k < depth ? p->K - k : depth;
            b.next_m = last ? m + height : m;
            b.next_M = b.next_m >= m1 ? 0 : m1 - b.next_m < height ? m1 - b.next_m : height;
            b.next_k = last ? 0 : k + depth;
            b.next_K = p->K - b.next_k < depth ? p->K - b.next_k : depth;
            block_run(&b);
        }
    }
}
