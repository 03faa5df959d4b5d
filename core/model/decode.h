/* Continues texts, many at once: each has a slot that keeps keys and values of its tokens, and a
 * step appends to any of them, a stretch of a prompt to one and a token each to others (continuous
 * batching). Logits are those of engine_logits bit by bit, whatever else a step computes and
 * however a text is cut into steps; with ENGINE_BLAS they are those of ENGINE_EXACT.
 *
 * Weights are apart from slots, so that several models of one shape (a mixture's experts) share
 * them: a slot's tokens must have been appended under the weights that it is continued with.
 * Everything is sized at creation; a step allocates nothing. One caller at a time, but for
 * decode_weights_create: any thread may, beside a step. */
#ifndef TACIT_MODEL_DECODE_H
#define TACIT_MODEL_DECODE_H

#include <stdint.h>
#include "core/base/err.h"
#include "core/model/engine.h"
#include "core/model/model.h"

struct decode_options {
    enum engine_arithmetic arithmetic;
    int threads;    /* ≥ 1 */
    uint32_t slots; /* ≥ 1: texts at once */
    uint32_t rows;  /* ≥ 1: tokens of a step at most */
};

struct decode;
struct decode_weights;

TACIT_MUST_CHECK int decode_create(struct decode **out, const struct model_config *c,
                                   const struct decode_options *o, struct err *e);
void decode_destroy(struct decode *d); /* accepts NULL */
/* "exact bf16 avx512bf16, 2 threads". Static storage of d. */
const char *decode_describe(const struct decode *d);
/* Bytes of decode_create: all, and one slot's part of it. */
uint64_t decode_memory(const struct model_config *c, const struct decode_options *o);
uint64_t decode_slot_memory(const struct model_config *c);

/* Copies parameters (model.h) into the order in which steps read them, matrices in bf16 where
 * products are: the caller's may go then. Its bytes are decode_weights_memory at most. */
TACIT_MUST_CHECK int decode_weights_create(struct decode_weights **out, const struct decode *d,
                                           const float *parameters, struct err *e);
void decode_weights_destroy(struct decode_weights *w); /* accepts NULL */
uint64_t decode_weights_memory(const struct model_config *c, enum engine_arithmetic arithmetic);

/* Tokens in a slot, 0 at first; forgetting those from length on; and copying the first length of
 * another's. */
uint32_t decode_length(const struct decode *d, uint32_t slot);
void decode_cut(struct decode *d, uint32_t slot, uint32_t length);
void decode_copy(struct decode *d, uint32_t to, uint32_t from, uint32_t length);

/* count ≥ 1 tokens to append to a slot, and for how many of them, the last ones, logits are wanted.
 * Each slot at most once a step. */
struct decode_run {
    uint32_t slot, count, logits;
    const uint32_t *tokens;
};
/* logits: (Σ run.logits, V), in order. ERR_RANGE, nothing appended, where a token is none of the
 * vocabulary, a slot would hold more than S, or the tokens are more than options.rows. */
TACIT_MUST_CHECK int decode_step(struct decode *d, const struct decode_weights *w,
                                 const struct decode_run *runs, uint32_t count, float *logits,
                                 struct err *e);

#endif
