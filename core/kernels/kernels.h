/* The arithmetic: every floating-point operation of training and scoring, defined once, the same
 * bits on every processor (DESIGN, "One arithmetic"). definition.c is the readable authority; the
 * sets of lanes/ equal it byte for byte.
 *
 * Rules that hold everywhere:
 * - All arrays are float32, row-major; "(R,C) stride s" means row r starts at r·s.
 * - A product's output is one chain c = fma(a, b, c) over k in order, from 0 or from what C holds.
 * - A row reduction has 16 virtual lanes, element i in lane i mod 16, the row padded with zeros
 *   (maxima: with −∞) to a multiple of 16; lanes are summed by the tree ((l,l+8), (l,l+4), (l,l+2),
 *   (l,l+1)).
 * - A reduction over tokens is a chain in token order which *continues* from what the output holds,
 *   so micro-batches change no bit: clear gradients once a step. For that, the gradient of the tied
 *   embedding needs two arrays, one for the output head (kern_linear_dw) and one for the input
 *   (kern_embed_backward), added at the end (kern_add).
 * - Work is split over the context's pool by outputs; no bit depends on the number of threads.
 * - Nothing here allocates after kern_create. One caller at a time per context.
 * - Pointers need no alignment, but 64 bytes is fastest; row strides that are multiples of 1,024
 *   floats fight for the same cache sets: prefer e.g. V+16 for logits. */
#ifndef TACIT_KERNELS_KERNELS_H
#define TACIT_KERNELS_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "core/base/err.h"
#include "core/base/pool.h"

enum kern_arithmetic {
    KERN_EXACT = 0, /* one arithmetic */
    KERN_BLAS = 1,  /* products of kern_matmul by OpenBLAS, everything else as in exact */
    KERN_BF16 = 2,  /* exact, but the factors of matrix products, attention's too, are rounded to
                       bfloat16 (nearest even, denormals to zero) first: 16 bits' products are exact
                       in float32, so the chain is the same */
};

struct kern_options {
    enum kern_arithmetic arithmetic;
    const char *isa; /* "plain", "avx2", "avx512", "avx512bf16", "neon"; NULL: $TACIT_ISA, or the
                        machine's best */
    uint32_t seq;    /* longest sequence S of the attention calls; 0: none will be made */
    uint32_t head;   /* largest head size D of them */
};

struct kern;

/* pool is borrowed and must outlive the context. ERR_INVALID names the sets this machine has where
 * the one asked for is unknown or absent; ERR_UNAVAILABLE where KERN_BLAS finds no OpenBLAS.
 * Flushes denormals on the calling thread: every later call must come from a thread that has done
 * so. */
TACIT_MUST_CHECK int kern_create(struct kern **out, struct pool *pool, const struct kern_options *o,
                                 struct err *e);
void kern_destroy(struct kern *k); /* accepts NULL */
/* Bytes that kern_create allocates for so many threads. */
uint64_t kern_memory(const struct kern_options *o, int threads);
const char *kern_isa(const struct kern *k); /* "avx512", …; static storage */
struct pool *kern_pool(const struct kern *k);

/* ---- products ---- */

/* C (M,N), stride c_row: C[m][n] = chain over k = 0…K−1 of fma(A[m·a_row + k·a_col],
 * B[k·b_row + n·b_col], c), c starting from C[m][n] (accumulate) or 0. C overlaps neither input.
 * Any strides, so any transpose. */
void kern_matmul(struct kern *k, size_t M, size_t N, size_t K, const float *A, size_t a_row,
                 size_t a_col, const float *B, size_t b_row, size_t b_col, float *C, size_t c_row,
                 bool accumulate);

/* Y (rows,out) = X (rows,in) Wᵀ, W (out,in) as PyTorch's Linear; accumulate: from what Y holds,
 * which fuses a residual addition into the chain. */
static inline void kern_linear(struct kern *k, float *Y, const float *X, const float *W,
                               size_t rows, size_t in, size_t out, bool accumulate)
{
    kern_matmul(k, rows, out, in, X, in, 1, W, 1, in, Y, out, accumulate);
}
/* dX (rows,in) = dY (rows,out) W. */
static inline void kern_linear_dx(struct kern *k, float *dX, const float *dY, const float *W,
                                  size_t rows, size_t in, size_t out, bool accumulate)
{
    kern_matmul(k, rows, in, out, dY, out, 1, W, in, 1, dX, in, accumulate);
}
/* dW (out,in) += dYᵀ X, over rows in order, always continuing from what dW holds. */
static inline void kern_linear_dw(struct kern *k, float *dW, const float *dY, const float *X,
                                  size_t rows, size_t in, size_t out)
{
    kern_matmul(k, out, in, rows, dY, 1, out, X, in, 1, dW, in, true);
}

/* W (out,in) in the order in which products read it, for kern_linear or, back, for kern_linear_dx;
 * to: kern_hold_floats. What many products would each do for themselves is done once. Nothing under
 * KERN_BLAS. */
void kern_hold(struct kern *k, float *to, const float *W, size_t in, size_t out, bool back);
size_t kern_hold_floats(size_t in, size_t out, bool back);
/* kern_linear and kern_linear_dx by a W that is also held so; NULL: it is not. */
void kern_linear_held(struct kern *k, float *Y, const float *X, const float *W, const float *held,
                      size_t rows, size_t in, size_t out, bool accumulate);
void kern_linear_dx_held(struct kern *k, float *dX, const float *dY, const float *W,
                         const float *held, size_t rows, size_t in, size_t out);

/* Weights that decoding reads again and again, copied once into the order in which it does: whole
 * cache lines one after the other, with bf16 half the bytes. W (out,in) row-major; floats: what
 * panels must hold, best aligned to 64 bytes. Packing runs on the calling thread alone and touches
 * nothing of the context: any thread may, while others compute. One set's panels are no other's. */
size_t kern_panels_floats(const struct kern *k, size_t in, size_t out);
void kern_panels_pack(const struct kern *k, float *panels, const float *W, size_t in, size_t out);
/* Row n of W back out of float32 panels (in). */
void kern_panels_row(const struct kern *k, float *row, const float *panels, size_t in, size_t n);
/* kern_linear of W, to the same bits; with KERN_BLAS to those of KERN_EXACT. */
void kern_panels_linear(struct kern *k, float *Y, const float *X, const float *panels, size_t rows,
                        size_t in, size_t out, bool accumulate);

/* The limit of products here, for benches: so many rounds of a product's multiply-adds on registers
 * alone, on the calling thread. Returns the floating-point operations that they were. */
double kern_peak(struct kern *k, size_t rounds);

/* ---- attention ---- */

struct kern_attention {
    uint32_t batch, seq, heads, head; /* B, S, A, D; H = A·D, D even */
    const float *cos, *sin;           /* (≥S, D/2) from kern_rotary_table */
};

/* cos and sin (S, D/2) of position s · 10000^(−2i/D), by mathfn.h in double, rounded once. */
void kern_rotary_table(float *cos, float *sin, uint32_t seq, uint32_t head);

/* Causal attention with rotary positions (half-split: dimension i turns with i + D/2) applied here
 * to queries and keys: qkv (B,S,3H) holds q | k | v unrotated, each (A,D). out (B,S,H). stats
 * (B,A,S,2) keeps what the backward pass needs (maximum, reciprocal sum); NULL where none follows.
 * Neither scores nor probabilities are stored: O(S) scratch per thread. */
void kern_attention_forward(struct kern *k, const struct kern_attention *a, float *out,
                            float *stats, const float *qkv);
/* dqkv (B,S,3H), overwritten, from dout (B,S,H), qkv, and the forward pass's out and stats. */
void kern_attention_backward(struct kern *k, const struct kern_attention *a, float *dqkv,
                             const float *dout, const float *out, const float *stats,
                             const float *qkv);
/* One sequence's next tokens: count of them, from position pos on (pos + count ≤ cache_seq, and ≤
 * options.seq), in rows row, row + 1, … of qkv and out. k_cache and v_cache (kern_attention_cache
 * floats each) hold what came before. */
struct kern_attention_run {
    float *k_cache, *v_cache;
    uint32_t pos, count, row;
};
/* The tokens of several sequences: out (rows,H) from qkv (rows,3H), which is also put into the
 * caches (a->batch and a->seq are not used). The bits of out are those of kern_attention_forward at
 * each position, however tokens are cut into runs. */
void kern_attention_decode(struct kern *k, const struct kern_attention *a, float *out,
                           const float *qkv, const struct kern_attention_run *runs, size_t count,
                           uint32_t cache_seq);
static inline size_t kern_attention_cache(uint32_t heads, uint32_t head, uint32_t cache_seq)
{
    return (size_t)heads * head * cache_seq;
}

/* ---- rows ---- */

/* y = (x − mean)·rstd·w per row of (rows,H), rstd = 1/√(var + 1e-5). stats (rows,2) keeps mean and
 * rstd for the backward pass; NULL where none follows. y may be x. */
void kern_layernorm_forward(struct kern *k, float *y, float *stats, const float *x, const float *w,
                            size_t rows, size_t H);
/* dx (rows,H) = add + gradient through the norm, where add (rows,H) is the residual branch's
 * gradient (may be dx itself; NULL: none); dw (H) continues over rows in order. dx may be dy. */
void kern_layernorm_backward(struct kern *k, float *dx, float *dw, const float *dy,
                             const float *add, const float *x, const float *stats, const float *w,
                             size_t rows, size_t H);

/* y = gelu(x), tanh form. y may be x. */
void kern_gelu_forward(struct kern *k, float *y, const float *x, size_t n);
/* dx = dy·gelu'(x), x the input of the forward pass. dx may be dy. */
void kern_gelu_backward(struct kern *k, float *dx, const float *dy, const float *x, size_t n);

/* y = a + b, elementwise; y may be either. */
void kern_add(struct kern *k, float *y, const float *a, const float *b, size_t n);
/* y = s·x; y may be x. */
void kern_scale(struct kern *k, float *y, const float *x, float s, size_t n);
/* y = fma(s, x, t·z), elementwise; y may be either. */
void kern_mix(struct kern *k, float *y, float s, const float *x, float t, const float *z, size_t n);

/* x (rows,H): row r = E (V,H)[tokens[r]]. Every token < V: the caller has checked. */
void kern_embed_forward(struct kern *k, float *x, const float *E, const uint32_t *tokens,
                        size_t rows, size_t H);
/* dE (V,H)[tokens[r]] += dx[r], rows in order, continuing from what dE holds. */
void kern_embed_backward(struct kern *k, float *dE, const float *dx, const uint32_t *tokens,
                         size_t rows, size_t H);

/* Cross-entropy of logits (rows,V) stride ld, per row r against targets[r]: loss[r] = −log
 * p(target), nats; 0 where targets[r] == KERN_NO_TARGET (the last position of a sequence). */
#define KERN_NO_TARGET UINT32_MAX
void kern_loss_forward(struct kern *k, float *loss, const float *logits, size_t ld,
                       const uint32_t *targets, size_t rows, size_t V);

/* The head, E (V,H): logits of x (rows,H) are x Eᵀ. rows: of one call at most. */
struct kern_head {
    size_t rows, H, V;
};
/* Floats of space that the head's gradients take. */
uint64_t kern_head_space(const struct kern_head *h, int threads);
/* Puts E into space as products take it: whenever E has changed. */
void kern_head_hold(struct kern *k, const struct kern_head *h, float *space, const float *E);
/* Losses as kern_loss_forward has them, and the gradients of their sum times scale: dx (rows,H),
 * overwritten, and dE (V,H), which continues over rows in order. With d = (softmax − onehot)·scale,
 * 0 without a target: dx = d E, dE += dᵀ x. No more than some rows' logits ever exist. */
void kern_head_backward(struct kern *k, const struct kern_head *h, float *space, float *loss,
                        float *dx, float *dE, const float *x, const float *E,
                        const uint32_t *targets, size_t rows, float scale);

/* The losses without a backward pass: those of x (rows,H) under the head E (V,H), loss[r] = −log p
 * of word targets[r] (each below V). Logits are taken up block by block and never stored; a last
 * bit may differ from kern_loss_forward's, whose sum runs over whole rows. */
void kern_word_losses(struct kern *k, float *loss, const float *x, const float *E,
                      const uint32_t *targets, size_t rows, size_t H, size_t V);

/* ---- optimizer ---- */

struct kern_adamw {
    double learning_rate, beta1, beta2, epsilon;
    double weight_decay; /* of this range of parameters; 0 for norms */
    double bias1, bias2; /* 1 − beta1^step, 1 − beta2^step (mathfn_pow) */
    float grad_scale;    /* gradients are multiplied by it first: clipping; 1: none */
};
/* AdamW with decoupled decay on n parameters p with moments m, v and gradients g. */
void kern_adamw_update(struct kern *k, float *p, float *m, float *v, const float *g, size_t n,
                       const struct kern_adamw *o);

/* Σ x²: blocks of 4,096 in 16 lanes each, block sums added in order in double. */
double kern_sum_squares(struct kern *k, const float *x, size_t n);

#endif
