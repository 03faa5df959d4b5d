/* The merges of a BPE vocabulary on one word: again and again the adjacent pair whose joining has
 * the best score (the leftmost of equals) becomes one piece, until no pair joins to a piece
 * (Sennrich, Haddow, Birch 2016; scores as SentencePiece writes them). What has no piece goes byte
 * by byte. */
#ifndef TACIT_DATA_BPE_H
#define TACIT_DATA_BPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "core/base/err.h"

#define BPE_WORD_MAX 256 /* bytes; the time is quadratic in it */

struct bpe; /* immutable once sealed: threads may share it */

TACIT_MUST_CHECK int bpe_create(struct bpe **out, struct err *e);
void bpe_destroy(struct bpe *b); /* accepts NULL */
/* A piece as it stands in text. ERR_TOO_LARGE beyond what offsets hold. */
TACIT_MUST_CHECK int bpe_add(struct bpe *b, uint32_t id, const char *text, size_t len, float score,
                             struct err *e);
void bpe_add_byte(struct bpe *b, uint8_t byte, uint32_t id);
/* After the last piece. *usable: every byte has an id, and every character of a piece is a piece
 * itself, without which this is not what SentencePiece does. */
TACIT_MUST_CHECK int bpe_seal(struct bpe *b, bool *usable, struct err *e);
/* Ids of a word of at most BPE_WORD_MAX bytes, at most one a byte; returns their number. */
size_t bpe_word(const struct bpe *b, const char *word, size_t len, uint32_t *ids);

#endif
