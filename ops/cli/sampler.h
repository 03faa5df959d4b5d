/* From logits to tokens, and from tokens to text as it grows. */
#ifndef TACIT_OPS_CLI_SAMPLER_H
#define TACIT_OPS_CLI_SAMPLER_H

#include <stddef.h>
#include <stdint.h>
#include "core/base/buf.h"
#include "core/base/err.h"
#include "core/data/tokenizer.h"

/* A token drawn from softmax(logits / temperature); temperature 0: the likeliest (ties: the lower
 * id). A pure function: the same seed and position give the same token. */
uint32_t sampler_pick(const float *logits, uint32_t vocab, double temperature, uint64_t seed,
                      uint64_t position);

/* Text that can be shown of tokens so far. Characters may take several tokens (bytes): the last
 * ones are held back until they are whole. */
struct sampler_text {
    const struct tokenizer *tokenizer;
    struct buf text;   /* of all tokens */
    size_t shown;      /* bytes of it that were handed out */
    size_t prompt_len; /* bytes of it that the prompt takes */
};
TACIT_MUST_CHECK int sampler_text_begin(struct sampler_text *t, const struct tokenizer *tokenizer,
                                        const uint32_t *prompt, size_t count, struct err *e);
void sampler_text_free(struct sampler_text *t);
/* ids: the prompt's and all that came after. *piece (borrowed until the next call) is what is new
 * and whole; last: everything that is left. */
TACIT_MUST_CHECK int sampler_text_next(struct sampler_text *t, const uint32_t *ids, size_t count,
                                       int last, const char **piece, size_t *len, struct err *e);

#endif
