#include "core/data/shard.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* Far above any use; keeps every product of counts and sizes inside 64 bits. */
#define SEQ_MAX (1u << 20)
#define VOCAB_MAX (1u << 28)

static const char magic[8] = {'T', 'A', 'C', 'S', 'H', 'R', 'D', '1'};

static uint32_t get16(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8;
}

static uint32_t get32(const uint8_t *p)
{
    return get16(p) | get16(p + 2) << 16;
}

static void put16(uint8_t *p, uint32_t x)
{
    p[0] = (uint8_t)x;
    p[1] = (uint8_t)(x >> 8);
}

static void put32(uint8_t *p, uint32_t x)
{
    put16(p, x);
    put16(p + 2, x >> 16);
}

static uint32_t width_of(uint32_t vocab)
{
    return vocab <= 65536 ? 2 : 4;
}

static uint64_t token_bytes(uint32_t count, const struct shard_shape *shape)
{
    return (uint64_t)count * shape->seq * width_of(shape->vocab);
}

static uint64_t padded(uint64_t n)
{
    return (n + 7) & ~(uint64_t)7;
}

uint32_t shard_sequences(uint32_t seq, uint32_t vocab)
{
    uint32_t n = (uint32_t)(SHARD_TARGET_BYTES / ((uint64_t)seq * width_of(vocab)));
    return n ? n : 1;
}

static int check_shape(const struct shard_shape *shape, struct err *e)
{
    if (shape->seq < 1 || shape->seq > SEQ_MAX)
        return err_set(e, ERR_FORMAT, "shard: sequence length %u is outside 1…%u", shape->seq,
                       SEQ_MAX);
    if (shape->vocab < 1 || shape->vocab > VOCAB_MAX)
        return err_set(e, ERR_FORMAT, "shard: vocabulary of %u is outside 1…%u", shape->vocab,
                       VOCAB_MAX);
    if (shape->labels < 1 || shape->labels > SHARD_LABELS_MAX)
        return err_set(e, ERR_FORMAT, "shard: %u labels, outside 1…%d", shape->labels,
                       SHARD_LABELS_MAX);
    return 0;
}

static uint32_t token_at(const uint8_t *p, uint32_t width, size_t i)
{
    return width == 2 ? get16(p + 2 * i) : get32(p + 4 * i);
}

static int check_tokens(const struct shard *s, struct err *e)
{
    size_t n = (size_t)s->count * s->shape.seq;
    uint32_t top = 0;
    if (s->width == 2)
        for (size_t i = 0; i < n; i++) {
            uint32_t t = get16(s->tokens + 2 * i);
            top = t > top ? t : top;
        }
    else
        for (size_t i = 0; i < n; i++) {
            uint32_t t = get32(s->tokens + 4 * i);
            top = t > top ? t : top;
        }
    if (top < s->shape.vocab)
        return 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t t = token_at(s->tokens, s->width, i);
        if (t >= s->shape.vocab)
            return err_set(e, ERR_FORMAT, "shard: sequence %zu has token %u, vocabulary is %u",
                           i / s->shape.seq, t, s->shape.vocab);
    }
    return 0;
}

int shard_open(struct shard *s, const void *data, size_t size, struct err *e)
{
    const uint8_t *p = data;
    memset(s, 0, sizeof *s);
    if (size < SHARD_HEADER || memcmp(p, magic, sizeof magic))
        return err_set(e, ERR_FORMAT, "not a shard (no TACSHRD1 header)");
    if (size > SHARD_MAX_BYTES)
        return err_set(e, ERR_FORMAT, "shard: %zu bytes, more than the largest of %u", size,
                       SHARD_MAX_BYTES);
    s->count = get32(p + 8);
    s->shape.seq = get32(p + 12);
    s->shape.vocab = get32(p + 16);
    s->width = get32(p + 20);
    s->shape.labels = get32(p + 24);
    memcpy(s->shape.tokenizer.bytes, p + 32, DIGEST_BYTES);
    if (check_shape(&s->shape, e))
        return ERR_FORMAT;
    if (s->width != width_of(s->shape.vocab))
        return err_set(e, ERR_FORMAT, "shard: %u bytes a token do not go with a vocabulary of %u",
                       s->width, s->shape.vocab);
    if (get32(p + 28))
        return err_set(e, ERR_FORMAT, "shard: the reserved field is not zero");
    uint64_t tokens = token_bytes(s->count, &s->shape), room = padded(tokens);
    uint64_t want = SHARD_HEADER + room + (uint64_t)s->count * 5;
    if (want != size)
        return err_set(e, ERR_FORMAT, "shard: %zu bytes where its header asks for %llu", size,
                       (unsigned long long)want);
    s->tokens = p + SHARD_HEADER;
    s->bytes = s->tokens + room;
    s->labels = s->bytes + (size_t)s->count * 4;
    for (uint64_t i = tokens; i < room; i++)
        if (s->tokens[i])
            return err_set(e, ERR_FORMAT, "shard: padding is not zero");
    for (uint32_t i = 0; i < s->count; i++)
        if (s->labels[i] >= s->shape.labels)
            return err_set(e, ERR_FORMAT, "shard: sequence %u has label %u of %u", i, s->labels[i],
                           s->shape.labels);
    return check_tokens(s, e);
}

void shard_tokens(const struct shard *s, uint32_t i, uint32_t n, uint32_t *out)
{
    assert(i < s->count && n <= s->shape.seq);
    const uint8_t *p = s->tokens + (size_t)i * s->shape.seq * s->width;
    for (uint32_t k = 0; k < n; k++)
        out[k] = token_at(p, s->width, k);
}

uint32_t shard_text_bytes(const struct shard *s, uint32_t i)
{
    assert(i < s->count);
    return get32(s->bytes + (size_t)i * 4);
}

uint32_t shard_label(const struct shard *s, uint32_t i)
{
    assert(i < s->count);
    return s->labels[i];
}

int shard_builder_init(struct shard_builder *b, const struct shard_shape *shape, uint32_t capacity,
                       struct err *e)
{
    memset(b, 0, sizeof *b);
    if (check_shape(shape, e))
        return ERR_FORMAT;
    uint64_t size = SHARD_HEADER + padded(token_bytes(capacity, shape)) + (uint64_t)capacity * 5;
    if (size > SHARD_MAX_BYTES)
        return err_set(e, ERR_TOO_LARGE, "a shard of %u sequences of %u tokens is above %u bytes",
                       capacity, shape->seq, SHARD_MAX_BYTES);
    b->shape = *shape;
    b->capacity = capacity;
    b->width = width_of(shape->vocab);
    size_t n = capacity ? capacity : 1;
    b->tokens = malloc(n * shape->seq * b->width);
    b->bytes = malloc(n * 4);
    b->labels = malloc(n);
    if (!b->tokens || !b->bytes || !b->labels) {
        shard_builder_free(b);
        return err_set(e, ERR_NO_MEMORY, "no memory for a shard of %u sequences", capacity);
    }
    return 0;
}

void shard_builder_free(struct shard_builder *b)
{
    free(b->tokens);
    free(b->bytes);
    free(b->labels);
    memset(b, 0, sizeof *b);
}

void shard_builder_reset(struct shard_builder *b)
{
    b->count = 0;
}

void shard_builder_add(struct shard_builder *b, const uint32_t *tokens, uint32_t text_bytes,
                       uint32_t label)
{
    assert(b->count < b->capacity && label < b->shape.labels);
    uint8_t *p = b->tokens + (size_t)b->count * b->shape.seq * b->width;
    for (uint32_t k = 0; k < b->shape.seq; k++) {
        assert(tokens[k] < b->shape.vocab);
        if (b->width == 2)
            put16(p + 2 * (size_t)k, tokens[k]);
        else
            put32(p + 4 * (size_t)k, tokens[k]);
    }
    put32(b->bytes + (size_t)b->count * 4, text_bytes);
    b->labels[b->count++] = (uint8_t)label;
}

void shard_builder_copy(struct shard_builder *b, const struct shard *s, uint32_t i)
{
    assert(b->count < b->capacity && i < s->count);
    assert(b->shape.seq == s->shape.seq && b->shape.vocab == s->shape.vocab);
    size_t row = (size_t)s->shape.seq * s->width;
    memcpy(b->tokens + b->count * row, s->tokens + i * row, row);
    memcpy(b->bytes + (size_t)b->count * 4, s->bytes + (size_t)i * 4, 4);
    b->labels[b->count++] = s->labels[i];
}

int shard_builder_finish(const struct shard_builder *b, struct buf *out, struct err *e)
{
    uint8_t head[SHARD_HEADER] = {0};
    static const uint8_t zeros[8];
    memcpy(head, magic, sizeof magic);
    put32(head + 8, b->count);
    put32(head + 12, b->shape.seq);
    put32(head + 16, b->shape.vocab);
    put32(head + 20, b->width);
    put32(head + 24, b->shape.labels);
    memcpy(head + 32, b->shape.tokenizer.bytes, DIGEST_BYTES);
    size_t tokens = (size_t)token_bytes(b->count, &b->shape), before = out->len;
    int rc = buf_append(out, head, sizeof head, e);
    if (!rc)
        rc = buf_append(out, b->tokens, tokens, e);
    if (!rc)
        rc = buf_append(out, zeros, (size_t)padded(tokens) - tokens, e);
    if (!rc)
        rc = buf_append(out, b->bytes, (size_t)b->count * 4, e);
    if (!rc)
        rc = buf_append(out, b->labels, b->count, e);
    if (rc)
        out->len = before;
    return rc;
}
