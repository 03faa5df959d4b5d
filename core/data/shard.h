/* A shard: whole sequences of tokens, immutable, named by its digest. Little-endian:
 *
 *     offset  size  field
 *          0     8  magic "TACSHRD1"
 *          8     4  count      sequences (may be 0: an expert's piece of a range)
 *         12     4  seq        S, tokens a sequence
 *         16     4  vocab      V; every token is below it
 *         20     4  width      bytes a token: 2 where V ≤ 65,536, else 4
 *         24     4  labels     distinct labels of the data set, 1…64
 *         28     4  zero
 *         32    32  digest of the tokenizer
 *         64        tokens     count·S·width, padded with zeros to a multiple of 8
 *                   bytes      count·4: bytes of text of a sequence's predicted tokens (1…S−1)
 *                   label      count·1: label of the first token's document
 * and nothing after it. */
#ifndef TACIT_DATA_SHARD_H
#define TACIT_DATA_SHARD_H

#include <stddef.h>
#include <stdint.h>
#include "core/base/buf.h"
#include "core/base/digest.h"
#include "core/base/err.h"

#define SHARD_TARGET_BYTES                                                                         \
    (1u << 20) /* tokens a shard of a data set: small enough for a slow link */
#define SHARD_MAX_BYTES (1u << 30)
#define SHARD_HEADER 64 /* bytes before the tokens */
#define SHARD_LABELS_MAX 64

struct shard_shape {
    uint32_t seq, vocab, labels;
    struct digest tokenizer;
};

/* A checked shard in memory (borrowed, usually mapped). */
struct shard {
    struct shard_shape shape;
    uint32_t count, width;
    const uint8_t *tokens;
    const uint8_t *bytes; /* little-endian uint32, unaligned */
    const uint8_t *labels;
};

/* Sequences of a data set's shard of this shape: every shard of a split but the last has as many.
 */
uint32_t shard_sequences(uint32_t seq, uint32_t vocab);

/* Checks everything: sizes, every token below V, every label in range. ERR_FORMAT. */
TACIT_MUST_CHECK int shard_open(struct shard *s, const void *data, size_t size, struct err *e);
/* Tokens 0…n−1 of sequence i. n ≤ seq. */
void shard_tokens(const struct shard *s, uint32_t i, uint32_t n, uint32_t *out);
uint32_t shard_text_bytes(const struct shard *s, uint32_t i);
uint32_t shard_label(const struct shard *s, uint32_t i);

/* Builds a shard in memory of exactly capacity sequences at most. */
struct shard_builder {
    struct shard_shape shape;
    uint32_t count, capacity, width;
    uint8_t *tokens, *bytes, *labels; /* owned */
};
TACIT_MUST_CHECK int shard_builder_init(struct shard_builder *b, const struct shard_shape *shape,
                                        uint32_t capacity, struct err *e);
void shard_builder_free(struct shard_builder *b);
void shard_builder_reset(struct shard_builder *b);
void shard_builder_add(struct shard_builder *b, const uint32_t *tokens, uint32_t text_bytes,
                       uint32_t label); /* count < capacity */
/* Copies sequence i of s (same shape). */
void shard_builder_copy(struct shard_builder *b, const struct shard *s, uint32_t i);
/* Appends the finished bytes to out. */
TACIT_MUST_CHECK int shard_builder_finish(const struct shard_builder *b, struct buf *out,
                                          struct err *e);

#endif
