/* SentencePiece, by libsentencepiece (C++ behind this header); tokenizer_train makes BPE with byte
 * fallback.
 *
 * Text longer than 16 KiB is encoded in stretches, since the library's time grows faster than their
 * length: each ends before the first line end (or run of them) from its 4,096th byte on, or, where
 * there is none up to 16 KiB, between two characters. A model of tokenizer_train gives the ids of
 * the whole text, but where a longer line is cut, and the text comes back byte by byte. Another
 * model's pieces may span line ends, or it may begin each text with a space: then its ids are those
 * of the stretches, not of the whole. */
#ifndef TACIT_DATA_TOKENIZER_H
#define TACIT_DATA_TOKENIZER_H

#include <stddef.h>
#include <stdint.h>
#include "core/base/buf.h"
#include "core/base/err.h"

struct tokenizer; /* immutable once open: threads may share it */

/* From the bytes of a .model file. ERR_FORMAT where they are none. */
TACIT_MUST_CHECK int tokenizer_open(struct tokenizer **out, const void *model, size_t size,
                                    struct err *e);
void tokenizer_close(struct tokenizer *t); /* accepts NULL */
uint32_t tokenizer_vocab(const struct tokenizer *t);
/* The end-of-document token: </s>. tokenizer_open refuses a model without one. */
uint32_t tokenizer_end(const struct tokenizer *t);
/* Ids of text (len bytes of UTF-8, no NUL), without end token, appended to *ids (a malloc'ed array
 * of *cap, grown here). */
TACIT_MUST_CHECK int tokenizer_encode(const struct tokenizer *t, const char *text, size_t len,
                                      uint32_t **ids, size_t *count, size_t *cap, struct err *e);
TACIT_MUST_CHECK int tokenizer_decode(const struct tokenizer *t, const uint32_t *ids, size_t count,
                                      struct buf *text, struct err *e);
/* Bytes of text that token id stands for on average where exact is impossible (byte pieces: 1,
 * control pieces: 0, others: their UTF-8 length with U+2581 as one byte). */
uint32_t tokenizer_text_bytes(const struct tokenizer *t, uint32_t id);

/* Trains on the documents in sample_path (one a line as SentencePiece reads it), with fixed options
 * and one thread, so that equal input gives equal bytes. Appends the model to out. */
TACIT_MUST_CHECK int tokenizer_train(const char *sample_path, uint32_t vocab, struct buf *out,
                                     struct err *e);

#endif
