/* A model as other programs load it. Three layouts of the same parameters:
 *
 *   safetensors  our own names and shapes, float32: the canonical file of a checkpoint, so that the
 *                BLAKE2b-256 of its bytes is the model's content digest (checkpoint.h)
 *   hf           model.safetensors with the names of Starcoder2ForCausalLM (float32 or bfloat16):
 *                attn.qkv apart in q, k and v, zeros for the norms' biases, the head tied
 *   gguf         GGUF version 3, architecture starcoder2 (float32, bfloat16, or q8_0 for matrices
 *                whose rows are a multiple of 32): zeros for all biases that llama.cpp demands
 *
 * Files are written to a temporary name, synced and renamed: what has its name is whole. */
#ifndef TACIT_CHECKPOINT_EXPORT_H
#define TACIT_CHECKPOINT_EXPORT_H

#include <stddef.h>
#include <stdint.h>
#include "core/base/buf.h"
#include "core/base/digest.h"
#include "core/base/err.h"
#include "core/data/pieces.h"
#include "core/model/model.h"

enum export_type { EXPORT_F32, EXPORT_BF16, EXPORT_Q8_0 };
extern const char *const export_type_words[]; /* "f32", "bf16", "q8_0", NULL */

/* What was written. */
struct export_file {
    struct digest digest; /* of its bytes */
    uint64_t bytes;
};

/* ERR_NOT_FINITE where a parameter is not. */
TACIT_MUST_CHECK int export_safetensors(const char *path, const struct model_config *c,
                                        const float *parameters, struct export_file *out,
                                        struct err *e);
/* Reads such a file; *content is the digest of its bytes. Trusts nothing, as checkpoint_model_read.
 * parameters may be NULL: checked alone. */
TACIT_MUST_CHECK int export_safetensors_read(const char *path, const struct model_config *c,
                                             float *parameters, struct digest *content,
                                             struct err *e);

/* type: not EXPORT_Q8_0 (ERR_INVALID). */
TACIT_MUST_CHECK int export_hf(const char *path, const struct model_config *c,
                               const float *parameters, enum export_type type,
                               struct export_file *out, struct err *e);
/* What stands beside it: the texts of config.json, generation_config.json, tokenizer.json and
 * tokenizer_config.json. */
TACIT_MUST_CHECK int export_hf_config(const struct model_config *c, enum export_type type,
                                      uint32_t end, struct buf *out, struct err *e);
TACIT_MUST_CHECK int export_hf_generation(uint32_t end, struct buf *out, struct err *e);
/* ERR_INVALID where the model has pieces that have no counterpart there (export_tokenizer.c). */
TACIT_MUST_CHECK int export_hf_tokenizer(const struct pieces *p, struct buf *out, struct err *e);
TACIT_MUST_CHECK int export_hf_tokenizer_config(const struct pieces *p, uint32_t seq,
                                                struct buf *out, struct err *e);

/* name: general.name. ERR_INVALID for a tokenizer that is not BPE. */
TACIT_MUST_CHECK int export_gguf(const char *path, const struct model_config *c,
                                 const float *parameters, enum export_type type,
                                 const struct pieces *p, const char *name, struct export_file *out,
                                 struct err *e);

/* One block of q8_0: 32 values as a float16 scale, max|x| / 127, and 32 signed bytes
 * round(x / scale), halves away from zero. */
#define EXPORT_Q8_0_VALUES 32
#define EXPORT_Q8_0_BYTES 34
void export_q8_0_block(const float *x, uint8_t out[EXPORT_Q8_0_BYTES]);

#endif
