/* The decoder of METHOD: pre-LayerNorm (weight, no bias), rotary positions (half-split), GELU
 * (tanh) two-matrix feed-forward, no biases, tied input and output embeddings.
 *
 * Parameters are one contiguous float32 array; model_tensor_at names its parts. Weight matrices are
 * stored (out, in), row-major, as PyTorch's Linear does. */
#ifndef TACIT_MODEL_MODEL_H
#define TACIT_MODEL_MODEL_H

#include <stdbool.h>
#include <stdint.h>
#include "core/base/err.h"

struct model_config {
    uint32_t vocab;  /* V */
    uint32_t seq;    /* S: longest sequence */
    uint32_t hidden; /* H, a multiple of 2·heads */
    uint32_t layers; /* L */
    uint32_t heads;  /* A */
    uint32_t ffn;    /* Dff */
};

/* One stream of initial weights and epoch orders a model of a run (rng.h's index). */
#define MODEL_STREAM_ROUTER 0x10000u /* + router index */
#define MODEL_STREAM_EXPERT 0x20000u /* + expert index */
#define MODEL_STREAM_DENSE 0x30000u
#define MODEL_STREAM_DENSE_FLOPS 0x30001u

struct model_tensor {
    char name[48];     /* "embed.weight", "layers.3.attn.qkv.weight", … */
    uint32_t rank;     /* 1 or 2 */
    uint64_t shape[2]; /* shape[1] = 1 where rank is 1 */
    uint64_t offset;   /* in floats, from the start of the parameters */
    bool decay;        /* weight decay applies (matrices, embeddings) */
};

/* Names the value that does not divide, is zero or is beyond its limit (vocab ≤ 2^20, seq ≤ 2^16,
 * hidden ≤ 2^15, layers ≤ 512, heads ≤ 512, ffn ≤ 2^17, parameters ≤ 2^36): ERR_RANGE. */
TACIT_MUST_CHECK int model_config_check(const struct model_config *c, struct err *e);
uint64_t model_parameters(const struct model_config *c);
uint32_t model_tensor_count(const struct model_config *c);
void model_tensor_at(const struct model_config *c, uint32_t i, struct model_tensor *out);

/* METHOD, "Initial weights": element j of the parameters is normal by Box–Muller on words 0 and 1
 * of the block (seed, RNG_INIT, stream, j), in double by mathfn.h, rounded once. */
void model_init(const struct model_config *c, uint64_t seed, uint64_t stream, float *parameters);

#endif
