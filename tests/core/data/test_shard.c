/* Shards travel between machines: what was put in must come out, and no byte of a damaged or forged
 * one may be believed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "core/data/shard.h"

static struct shard_shape shape_of(uint32_t seq, uint32_t vocab)
{
    struct shard_shape s = {.seq = seq, .vocab = vocab, .labels = 3};
    memset(s.tokenizer.bytes, 0xa5, sizeof s.tokenizer.bytes);
    return s;
}

static uint32_t token(uint32_t i, uint32_t k, uint32_t vocab)
{
    return (i * 7919u + k * 104729u) % vocab;
}

static void make(struct buf *out, uint32_t count, uint32_t seq, uint32_t vocab)
{
    struct shard_builder b;
    struct shard_shape shape = shape_of(seq, vocab);
    struct err e = {0};
    assert_int_equal(shard_builder_init(&b, &shape, count + 2, &e), 0);
    uint32_t *row = malloc(seq * sizeof *row);
    for (uint32_t i = 0; i < count; i++) {
        for (uint32_t k = 0; k < seq; k++)
            row[k] = token(i, k, vocab);
        shard_builder_add(&b, row, i * 1000 + 70000, i % 3);
    }
    free(row);
    buf_init(out, SHARD_MAX_BYTES);
    assert_int_equal(shard_builder_finish(&b, out, &e), 0);
    shard_builder_free(&b);
}

static void round_trip(void **state)
{
    (void)state;
    const uint32_t vocabs[] = {300, 65536, 65537, 200000};
    for (size_t v = 0; v < 4; v++)
        for (uint32_t count = 0; count < 6; count++) {
            struct buf bytes;
            struct shard s;
            struct err e = {0};
            make(&bytes, count, 13, vocabs[v]);
            assert_int_equal(shard_open(&s, bytes.data, bytes.len, &e), 0);
            assert_int_equal(s.count, count);
            assert_int_equal(s.width, vocabs[v] <= 65536 ? 2 : 4);
            for (uint32_t i = 0; i < count; i++) {
                uint32_t row[13];
                shard_tokens(&s, i, 13, row);
                for (uint32_t k = 0; k < 13; k++)
                    assert_int_equal(row[k], token(i, k, vocabs[v]));
                assert_int_equal(shard_text_bytes(&s, i), i * 1000 + 70000);
                assert_int_equal(shard_label(&s, i), i % 3);
            }
            buf_free(&bytes);
        }
}

static void copies_equal_bytes(void **state)
{
    (void)state;
    struct buf bytes, again;
    struct shard s;
    struct shard_builder b;
    struct err e = {0};
    make(&bytes, 5, 9, 1000);
    assert_int_equal(shard_open(&s, bytes.data, bytes.len, &e), 0);
    assert_int_equal(shard_builder_init(&b, &s.shape, 5, &e), 0);
    for (int pass = 0; pass < 2; pass++) {
        shard_builder_reset(&b);
        for (uint32_t i = 0; i < 5; i++)
            shard_builder_copy(&b, &s, i);
        buf_init(&again, SHARD_MAX_BYTES);
        assert_int_equal(shard_builder_finish(&b, &again, &e), 0);
        assert_int_equal(again.len, bytes.len);
        assert_memory_equal(again.data, bytes.data, bytes.len);
        buf_free(&again);
    }
    shard_builder_free(&b);
    buf_free(&bytes);
}

/* Each field of the header, the padding, a token, a label, and the length: one change each. */
static void refuses_every_corruption(void **state)
{
    (void)state;
    static const struct {
        size_t at;
        uint8_t value;
        const char *what;
    } changes[] = {
        {0, 'X', "header"},
        {7, '2', "header"},
        {8, 6, "bytes where"},
        {11, 0xff, "bytes where"},
        {12, 14, "bytes where"},
        {15, 0xff, "sequence length"},
        {16, 3, "token"},
        {19, 0xff, "vocabulary"},
        {20, 4, "bytes a token"},
        {20, 0, "bytes a token"},
        {24, 0, "labels"},
        {24, 1, "label"},
        {24, 65, "labels"},
        {28, 1, "reserved"},
        {31, 1, "reserved"},
        {64 + 1, 0xff, "token"},
        {64 + 5 * 13 * 2, 1, "padding"},
    };
    struct buf bytes;
    struct shard s;
    struct err e = {0};
    make(&bytes, 5, 13, 300);
    for (size_t c = 0; c < sizeof changes / sizeof *changes; c++) {
        uint8_t *p = (uint8_t *)bytes.data + changes[c].at, old = *p;
        *p = changes[c].value;
        memset(&e, 0, sizeof e);
        assert_int_equal(shard_open(&s, bytes.data, bytes.len, &e), ERR_FORMAT);
        if (!strstr(e.message, changes[c].what))
            fail_msg("change %zu: '%s' lacks '%s'", c, e.message, changes[c].what);
        *p = old;
    }
    uint8_t *label = (uint8_t *)bytes.data + bytes.len - 1, old = *label;
    *label = 3;
    assert_int_equal(shard_open(&s, bytes.data, bytes.len, &e), ERR_FORMAT);
    *label = old;
    for (size_t cut = 0; cut < bytes.len; cut++)
        assert_int_equal(shard_open(&s, bytes.data, cut, &e), ERR_FORMAT);
    assert_int_equal(buf_append(&bytes, "", 1, &e), 0);
    assert_int_equal(shard_open(&s, bytes.data, bytes.len, &e), ERR_FORMAT);
    assert_int_equal(shard_open(&s, bytes.data, bytes.len - 1, &e), 0);
    buf_free(&bytes);
}

static void shards_stay_near_their_target(void **state)
{
    (void)state;
    assert_int_equal(shard_sequences(128, 1024), 4096);
    assert_int_equal(shard_sequences(128, 65537), 2048);
    assert_int_equal(shard_sequences(1u << 20, 1024), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trip),
        cmocka_unit_test(copies_equal_bytes),
        cmocka_unit_test(refuses_every_corruption),
        cmocka_unit_test(shards_stay_near_their_target),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
