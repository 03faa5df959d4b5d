/* Shards. Every sequence of one that is accepted can be read, and building it again from them gives
 * the same bytes. */
#include "core/data/shard.h"
#include "tests/fuzz/fuzz.h"

static void read_all(const struct shard *s)
{
    uint32_t *tokens = calloc(s->shape.seq + 1u, sizeof *tokens);

    FUZZ_CHECK(tokens);
    for (uint32_t i = 0; i < s->count; i++) {
        shard_tokens(s, i, s->shape.seq, tokens);
        for (uint32_t k = 0; k < s->shape.seq; k++)
            FUZZ_CHECK(tokens[k] < s->shape.vocab);
        (void)shard_text_bytes(s, i);
        FUZZ_CHECK(shard_label(s, i) < s->shape.labels);
    }
    free(tokens);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct shard s;
    struct shard_builder b;
    struct buf again;
    struct err e = {0};
    int rc = shard_open(&s, data, size, &e);

    if (rc) {
        fuzz_refused(rc, &e);
        return 0;
    }
    read_all(&s);
    FUZZ_OK(shard_builder_init(&b, &s.shape, s.count > 0 ? s.count : 1, &e), &e);
    for (uint32_t i = 0; i < s.count; i++)
        shard_builder_copy(&b, &s, i);
    buf_init(&again, SHARD_MAX_BYTES);
    FUZZ_OK(shard_builder_finish(&b, &again, &e), &e);
    FUZZ_CHECK(again.len == size && memcmp(again.data, data, size) == 0);
    buf_free(&again);
    shard_builder_free(&b);
    return 0;
}
