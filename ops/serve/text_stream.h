/* Text of tokens as they come. Only the last few are decoded again: a text of n tokens costs n, not
 * n². Characters of several tokens (bytes) appear once they are whole. */
#ifndef TACIT_OPS_SERVE_TEXT_STREAM_H
#define TACIT_OPS_SERVE_TEXT_STREAM_H

#include <stdbool.h>
#include "core/base/buf.h"
#include "core/data/tokenizer.h"

struct words {
    const struct tokenizer *tokenizer;
    struct buf window;
    uint32_t from, to; /* tokens of the window, those of it that were told */
    size_t told;       /* their bytes in it */
};

/* at: tokens of ids that are told already (a prompt's). */
TACIT_MUST_CHECK int words_begin(struct words *w, const struct tokenizer *t, const uint32_t *ids,
                                 uint32_t at, struct err *e);
void words_end(struct words *w); /* also of zeros */
/* Appends what ids[…count) say beyond what was told. last: also what is no whole character. */
TACIT_MUST_CHECK int words_next(struct words *w, const uint32_t *ids, uint32_t count, bool last,
                                struct buf *out, struct err *e);
/* Token id as a piece of text: out is set to it; "token_id:N" where it is a part of a character or
 * nothing that can be seen. after: the token before it, or id itself. */
TACIT_MUST_CHECK int words_piece(const struct tokenizer *t, uint32_t after, uint32_t id,
                                 struct buf *out, struct err *e);

#endif
