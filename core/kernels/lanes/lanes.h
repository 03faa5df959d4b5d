/* The functions of one instruction set, each under its name with the set's suffix; table.h says
 * what they do. */
#ifndef TACIT_KERNELS_LANES_LANES_H
#define TACIT_KERNELS_LANES_LANES_H

#include "core/kernels/simd.h"
#include "core/kernels/lanes_table.h"

/* The next step of a chain: a pair of bfloat16 products where the set has them and `pairs` says so,
 * a constant where this is inlined. */
INLINE v16 lanes_step(v16 a, v16 b, v16 c, const bool pairs)
{
#if LANES_PAIRS
    if (pairs)
        return v_fma_pairs(a, b, c);
#endif
    (void)pairs;
    return v_fma(a, b, c);
}

void LANES(lanes_product)(const struct kern_product *p, size_t m0, size_t m1, size_t n0, size_t n1,
                          float *scratch);
void LANES(lanes_hold)(float *to, const struct kern_product *p, size_t n0, size_t n1);
void LANES(lanes_vector)(const struct kern_product *p, size_t n0, size_t n1, float *scratch);
void LANES(lanes_panels_pack)(float *P, const float *W, size_t in, size_t out, bool bf16);
void LANES(lanes_panels)(const struct kern_panels *p, size_t p0, size_t p1, float *scratch);
void LANES(lanes_words_block)(float *state, const float *logits, size_t ld, size_t rows, size_t n);
void LANES(lanes_words_loss)(float *loss, const float *state, const float *at, size_t rows);
void LANES(lanes_attention_forward)(const struct kern_attention *a, bool bf16, float *out,
                                    float *stats, const float *qkv, size_t u0, size_t u1,
                                    float *scratch);
void LANES(lanes_attention_backward)(const struct kern_attention *a, bool bf16, float *dqkv,
                                     const float *dout, const float *out, const float *stats,
                                     const float *qkv, size_t u0, size_t u1, float *scratch);
void LANES(lanes_attention_decode)(const struct kern_attention *a, bool bf16, float *out,
                                   const float *qkv, const struct kern_attention_run *run,
                                   size_t cache_seq, size_t h0, size_t h1, float *scratch);
void LANES(lanes_layernorm_forward)(float *y, float *stats, const float *x, const float *w,
                                    size_t rows, size_t H);
void LANES(lanes_layernorm_backward)(float *dx, const float *dy, const float *add, const float *x,
                                     const float *stats, const float *w, size_t rows, size_t H);
void LANES(lanes_layernorm_weight)(float *dw, const float *dy, const float *x, const float *stats,
                                   size_t rows, size_t H, size_t c0, size_t c1);
void LANES(lanes_gelu_forward)(float *y, const float *x, size_t n);
void LANES(lanes_gelu_backward)(float *dx, const float *dy, const float *x, size_t n);
void LANES(lanes_add)(float *y, const float *a, const float *b, size_t n);
void LANES(lanes_scale)(float *y, const float *x, float s, size_t n);
void LANES(lanes_mix)(float *y, float s, const float *x, float t, const float *z, size_t n);
void LANES(lanes_embed_backward)(float *dE, const float *dx, const uint32_t *tokens, size_t rows,
                                 size_t H, size_t c0, size_t c1);
void LANES(lanes_loss)(float *loss, const float *logits, size_t ld, const uint32_t *targets,
                       size_t rows, size_t V);
void LANES(lanes_head_rows)(float *loss, float *logits, size_t ld, float *across, size_t block,
                            const uint32_t *targets, size_t rows, size_t V, float scale, bool bf16);
void LANES(lanes_adamw)(float *p, float *m, float *v, const float *g, size_t n,
                        const struct kern_adamw_f *o);
double LANES(lanes_peak)(float *out, size_t rounds, bool bf16);
float LANES(lanes_squares)(const float *x, size_t n);

#endif
