/* What each instruction set provides, private to core/kernels: every kernel on a range of its
 * outputs, on one thread. definition.c fills the same table readably and slowly; it is the
 * authority. */
#ifndef TACIT_KERNELS_LANES_TABLE_H
#define TACIT_KERNELS_LANES_TABLE_H

#include "core/kernels/kernels.h"

struct kern_product {
    size_t K;
    const float *A;
    size_t a_row, a_col;
    const float *B;
    size_t b_row, b_col;
    float *C;
    size_t c_row;
    bool accumulate;
    bool bf16; /* elements of A and B are rounded by f1_bf16 first */
    /* Operands that are as the set's chains take them: A in steps, each an element or, where the
     * set multiplies pairs of bfloat16, two (the last of an odd number beside −0), with a_row and
     * a_col in steps; B as `hold` left it, from column 0 on, b_row and b_col unused. */
    bool a_held, b_held;
};

/* Y (rows,out) = X (rows,in) times weights in panels. */
struct kern_panels {
    size_t rows, in, out;
    const float *X, *panels;
    float *Y;
    bool accumulate, bf16;
};

/* Constants of one AdamW update, rounded once from the caller's doubles. */
struct kern_adamw_f {
    float scale, beta1, rest1, beta2, rest2; /* rest = 1 − beta */
    float unbias1, unbias2;                  /* 1 / (1 − beta^step) */
    float rate, keep, epsilon;               /* keep = 1 − rate·decay */
};

/* Attention goes by strips of this many tokens at most, one a lane. */
#define KERN_STRIP 32
/* Floats of scratch for products: a packed block of A and a panel of B, so many steps of k deep. */
#define KERN_PACK_DEPTH 256
#define KERN_PACK_A (392 * KERN_PACK_DEPTH)
#define KERN_PACK_B (48 * KERN_PACK_DEPTH)
#define KERN_PACK (KERN_PACK_A + KERN_PACK_B)
/* Words of one block of the gradient of logits across rows: whole vectors, and whole tiles of every
 * set. */
#define KERN_HEAD_WORDS 48
/* Elements a block of the sum of squares. */
#define KERN_SQUARES 4096
/* Columns of B in a held operand are a multiple of this. */
#define KERN_PANELS 48
/* Words whose logits kern_word_losses has at once, for so many rows: they and a packed block of
 * hidden states stay in the second-level cache, while a block of the embedding serves all rows. */
#define KERN_WORDS 512
#define KERN_WORD_ROWS 192
#define KERN_WORD_SCRATCH (KERN_PACK + KERN_WORD_ROWS * (KERN_WORDS + 16 + 32 + 1))
#define KERN_NORM_EPSILON 1e-5f

/* Floats of scratch that attention takes: see lanes/attention.c and attention_backward.c; decoding
 * packs for its products, and keeps a row of weights for each of some tokens. */
#define KERN_DECODE_ROWS 8
static inline size_t kern_attention_scratch(size_t seq, size_t head)
{
    size_t S = (seq + KERN_STRIP - 1) / KERN_STRIP * KERN_STRIP;
    size_t passes = S * (4 * head + KERN_STRIP) + KERN_STRIP * (5 * head + 4 * KERN_STRIP);
    size_t decode = KERN_PACK + (KERN_DECODE_ROWS + 1) * head + KERN_DECODE_ROWS * (S + 16);
    return passes > decode ? passes : decode;
}

struct kern_lanes {
    const char *name;
    bool pairs; /* multiplies pairs of bfloat16 at once */
    /* Rows m0…m1, columns n0…n1 of a product. scratch: KERN_PACK floats, 64-byte aligned. */
    void (*product)(const struct kern_product *p, size_t m0, size_t m1, size_t n0, size_t n1,
                    float *scratch);
    /* Columns n0…n1 of B, n0 a multiple of KERN_PANELS, in the order in which products read it, to
     * their place in `to`. */
    void (*hold)(float *to, const struct kern_product *p, size_t n0, size_t n1);
    /* Columns n0…n1 of a product of one row, b_row = 1. */
    void (*vector)(const struct kern_product *p, size_t n0, size_t n1, float *scratch);
    /* Outputs a panel, and whether one holds two bfloat16 a lane. Panels are for weights W
     * (out,in); panels p0…p1 of a product. scratch: KERN_PACK floats. */
    size_t panel;
    bool panel_halves;
    void (*panels_pack)(float *panels, const float *W, size_t in, size_t out, bool bf16);
    void (*panels)(const struct kern_panels *p, size_t p0, size_t p1, float *scratch);
    /* Logits of the next n ≤ KERN_WORDS words into the rows' states (rows,32): largest so far and
     * sum of e^(x − largest) in each of 16 lanes. */
    void (*words_block)(float *state, const float *logits, size_t ld, size_t rows, size_t n);
    /* loss[r] = −log p of the word whose logit is at[r], once all words are in. */
    void (*words_loss)(float *loss, const float *state, const float *at, size_t rows);
    /* Units u0…u1, unit u being head u mod A of sequence u / A. bf16: of the products within. */
    void (*attention_forward)(const struct kern_attention *a, bool bf16, float *out, float *stats,
                              const float *qkv, size_t u0, size_t u1, float *scratch);
    void (*attention_backward)(const struct kern_attention *a, bool bf16, float *dqkv,
                               const float *dout, const float *out, const float *stats,
                               const float *qkv, size_t u0, size_t u1, float *scratch);
    /* Heads h0…h1 of one run. */
    void (*attention_decode)(const struct kern_attention *a, bool bf16, float *out,
                             const float *qkv, const struct kern_attention_run *run,
                             size_t cache_seq, size_t h0, size_t h1, float *scratch);
    /* All rows given. */
    void (*layernorm_forward)(float *y, float *stats, const float *x, const float *w, size_t rows,
                              size_t H);
    void (*layernorm_backward)(float *dx, const float *dy, const float *add, const float *x,
                               const float *stats, const float *w, size_t rows, size_t H);
    /* Columns c0…c1 of dw over all rows. */
    void (*layernorm_weight)(float *dw, const float *dy, const float *x, const float *stats,
                             size_t rows, size_t H, size_t c0, size_t c1);
    void (*gelu_forward)(float *y, const float *x, size_t n);
    void (*gelu_backward)(float *dx, const float *dy, const float *x, size_t n);
    void (*add)(float *y, const float *a, const float *b, size_t n);
    void (*scale)(float *y, const float *x, float s, size_t n);
    void (*mix)(float *y, float s, const float *x, float t, const float *z, size_t n);
    /* Columns c0…c1 over all rows. */
    void (*embed_backward)(float *dE, const float *dx, const uint32_t *tokens, size_t rows,
                           size_t H, size_t c0, size_t c1);
    void (*loss)(float *loss, const float *logits, size_t ld, const uint32_t *targets, size_t rows,
                 size_t V);
    /* Losses, and the gradients d = (softmax − onehot)·scale of the logits (rows,V), as held
     * operands A of products: along words in place of the logits, and across rows into blocks of
     * KERN_HEAD_WORDS words, `block` floats apart, from step to step KERN_HEAD_WORDS. */
    void (*head_rows)(float *loss, float *logits, size_t ld, float *across, size_t block,
                      const uint32_t *targets, size_t rows, size_t V, float scale, bool bf16);
    void (*adamw)(float *p, float *m, float *v, const float *g, size_t n,
                  const struct kern_adamw_f *o);
    /* Multiply-adds on registers alone; returns their FLOPs. out: 64 floats. */
    double (*peak)(float *out, size_t rounds, bool bf16);
    /* n ≤ KERN_SQUARES */
    float (*squares)(const float *x, size_t n);
};

extern const struct kern_lanes kern_lanes_definition;
extern const struct kern_lanes kern_lanes_plain;
#if defined(__x86_64__)
extern const struct kern_lanes kern_lanes_avx2;
extern const struct kern_lanes kern_lanes_avx512;
extern const struct kern_lanes kern_lanes_avx512bf16; /* avx512 that multiplies bfloat16, too */
#elif defined(__aarch64__)
extern const struct kern_lanes kern_lanes_neon;
#endif

/* The sets of this machine, best first; returns how many, at most max. */
size_t kern__lanes_here(const struct kern_lanes **sets, size_t max);
/* The set called name (NULL: $TACIT_ISA, or the best here), or NULL with the error filled. */
const struct kern_lanes *kern__lanes_choose(const char *name, struct err *e);

#endif
