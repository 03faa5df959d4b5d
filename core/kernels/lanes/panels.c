/* Few rows times a weight matrix that was copied into panels once (kernels.h, kern_panels_pack):
 * decoding. Each weight is read once a call, for one row or for some hundred of them, so the memory
 * decides while rows are few: two multiply-adds a row and weight of four bytes, or of two.
 *
 * A panel holds TILE_N outputs, k-major, so that lanes run across outputs and the memory streams:
 *     float32  (K, TILE_N)        zeros where there is no output
 *     bf16     ((K+1)/2, TILE_N)  two elements of k, rounded, share a lane of 32 bits, the first
 *                                 above the second; where K is odd the last one lies above a zero
 * Where a set does not multiply pairs, the halves are taken apart after loading: half the bytes all
 * the same.
 *
 * One row meets four panels at a time: a panel's three chains alone would wait for each other's
 * latency. More rows meet one panel, which the first-level or second-level cache keeps for all of
 * them. The rows' elements are copied into the order in which they are read, in blocks of k so long
 * that TILE_M rows fit; between blocks the chain waits in C, exact. */
#include "core/kernels/simd.h"

#include "core/kernels/lanes/lanes.h"
#include "core/kernels/lanes/pack_pairs.h"

/* Steps of k a block: this many for at least 24 rows fit into the scratch of a packed A. */
#define STEPS_MAX 4096

static inline size_t panel_floats(size_t in, bool bf16)
{
    return (bf16 ? (in + 1) / 2 : in) * TILE_N;
}

INLINE float halves(float first, float second)
{
    return f1_from_bits(f1_bits(f1_bf16(first)) | f1_bits(f1_bf16(second)) >> 16);
}

void LANES(lanes_panels_pack)(float *P, const float *W, size_t in, size_t out, bool bf16)
{
    for (size_t n = 0; n < out; n += TILE_N, P += panel_floats(in, bf16)) {
        const size_t count = out - n < TILE_N ? out - n : TILE_N;
        const float *from = W + n * in;
        if (bf16) {
            for (size_t k = 0; k < in; k += 2)
                for (size_t c = 0; c < TILE_N; c++)
                    P[k / 2 * TILE_N + c] =
                        c >= count
                            ? 0.0f
                            : halves(from[c * in + k], k + 1 < in ? from[c * in + k + 1] : 0.0f);
            continue;
        }
        for (size_t k = 0; k < in; k++)
            for (size_t c = 0; c < TILE_N; c++)
                P[k * TILE_N + c] = c < count ? from[c * in + k] : 0.0f;
    }
}

/* Rows against panels, as much as one block of k asks for. */
struct block {
    size_t steps;
    const float *A;
    size_t a_row;
    const float *B;
    size_t panel; /* floats from panel to panel */
    float *C;
    size_t c_row, columns; /* columns: of C from here on */
    bool accumulate;
};

INLINE v16 step(v16 a, v16 b, v16 c, const bool bf16)
{
    if (!bf16)
        return v_fma(a, b, c);
#if LANES_PAIRS
    return v_fma_pairs(a, b, c);
#else
    c = v_fma(v_upper_half(a), v_upper_half(b), c);
    return v_fma(v_lower_half(a), v_lower_half(b), c);
#endif
}

INLINE size_t columns_of(const struct block *b, int v)
{
    const size_t at = 16 * (size_t)v;
    return at >= b->columns ? 0 : b->columns - at < 16 ? b->columns - at : 16;
}

/* M and P are constants where this is inlined, so that all of c lives in registers. */
INLINE void tile_run(const struct block *b, const int M, const int P, const bool bf16)
{
    v16 c[TILE_M][4 * TILE_V];
    const float *B = b->B;
    UNROLL(8)
    for (int m = 0; m < M; m++) {
        UNROLL(12)
        for (int v = 0; v < P * TILE_V; v++) {
            const size_t n = columns_of(b, v);
            c[m][v] = b->accumulate && n ? v_load_some(b->C + (size_t)m * b->c_row + 16 * v, n)
                                         : v_zero();
        }
    }
    for (size_t k = 0; k < b->steps; k++, B += TILE_N) {
        v16 w[4 * TILE_V];
        UNROLL(12)
        for (int v = 0; v < P * TILE_V; v++)
            w[v] = v_load(B + (size_t)(v / TILE_V) * b->panel + 16 * (v % TILE_V));
        UNROLL(8)
        for (int m = 0; m < M; m++) {
            const v16 x = v_set1(b->A[(size_t)m * b->a_row + k]);
            UNROLL(12)
            for (int v = 0; v < P * TILE_V; v++)
                c[m][v] = step(x, w[v], c[m][v], bf16);
        }
    }
    UNROLL(8)
    for (int m = 0; m < M; m++) {
        UNROLL(12)
        for (int v = 0; v < P * TILE_V; v++) {
            const size_t n = columns_of(b, v);
            if (n > 0)
                v_store_some(b->C + (size_t)m * b->c_row + 16 * v, c[m][v], n);
        }
    }
}

/* rows of one panel. */
INLINE void rows_run(struct block b, size_t rows, const bool bf16)
{
    for (; rows >= TILE_M; rows -= TILE_M) {
        tile_run(&b, TILE_M, 1, bf16);
        b.A += TILE_M * b.a_row;
        b.C += TILE_M * b.c_row;
    }
#define TILE_CASE_(M)                                                                              \
    case M:                                                                                        \
        tile_run(&b, M, 1, bf16);                                                                  \
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

INLINE void panels_run(const struct kern_panels *p, struct block b, size_t rows, size_t p0,
                       size_t p1, const bool bf16)
{
    b.B += p0 * b.panel;
    b.C += p0 * TILE_N;
    b.columns = p->out - p0 * TILE_N;
    for (size_t n = p0; n < p1;) {
        const size_t together = rows <= 2 && p1 - n >= 4 / rows ? 4 / rows : 1;
        if (rows == 1 && together == 4)
            tile_run(&b, 1, 4, bf16);
        else if (rows == 2 && together == 2)
            tile_run(&b, 2, 2, bf16);
        else
            rows_run(b, rows, bf16);
        n += together;
        b.B += together * b.panel;
        b.C += together * TILE_N;
        b.columns -= together * TILE_N < b.columns ? together * TILE_N : b.columns;
    }
}

/* Rows of X, steps of k from k0 on, in the order in which tiles read them; returns their stride. */
static size_t take_rows(const struct kern_panels *p, float *to, size_t r0, size_t rows, size_t k0,
                        size_t steps)
{
    const size_t stride = (steps + 15) / 16 * 16 + 16, first = p->bf16 ? 2 * k0 : k0;
    const size_t K = p->bf16 && p->in - first < 2 * steps ? p->in - first : (1 + p->bf16) * steps;
    const float *from = p->X + r0 * p->in + first;
#if LANES_PAIRS
    if (p->bf16) {
        pack_rows_pairs(to, stride, from, p->in, 1, rows, K);
        return stride;
    }
#endif
    for (size_t r = 0; r < rows; r++, to += stride, from += p->in) {
        if (!p->bf16)
            memcpy(to, from, K * sizeof *to);
        for (size_t k = 0; p->bf16 && k < K; k += 2)
            to[k / 2] = halves(from[k], k + 1 < K ? from[k + 1] : -0.0f);
    }
    return stride;
}

void LANES(lanes_panels)(const struct kern_panels *p, size_t p0, size_t p1, float *scratch)
{
    const size_t all = p->bf16 ? (p->in + 1) / 2 : p->in;
    const size_t depth = all < STEPS_MAX ? all : STEPS_MAX;
    const size_t most = KERN_PACK_A / ((depth + 15) / 16 * 16 + 16) / TILE_M * TILE_M;

    for (size_t r = 0; r < p->rows; r += most) {
        const size_t rows = p->rows - r < most ? p->rows - r : most;
        for (size_t k = 0; k < all; k += depth) {
            const size_t steps = all - k < depth ? all - k : depth;
            struct block b = {.steps = steps,
                              .A = scratch,
                              .B = p->panels + k * TILE_N,
                              .panel = all * TILE_N,
                              .C = p->Y + r * p->out,
                              .c_row = p->out,
                              .accumulate = p->accumulate || k > 0};
            if (p->rows == 1 && !p->bf16)
                b.A = p->X + k;
            else
                b.a_row = take_rows(p, scratch, r, rows, k, steps);
            if (p->bf16)
                panels_run(p, b, rows, p0, p1, true);
            else
                panels_run(p, b, rows, p0, p1, false);
        }
    }
}
