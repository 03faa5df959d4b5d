#include "ops/cli/sampler.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

/* Greedy text is the same for everyone: ties go to the lower id. */
static void test_greedy(void **state)
{
    (void)state;
    const float logits[] = {0.5f, 2.0f, 2.0f, -1.0f};
    assert_int_equal(sampler_pick(logits, 4, 0, 1, 9), 1);
}

/* The same seed gives the same text; another seed or position another draw. */
static void test_draws_repeat(void **state)
{
    (void)state;
    float logits[256];
    uint32_t differs = 0;
    for (int i = 0; i < 256; i++)
        logits[i] = (float)i / 100;
    for (uint64_t at = 0; at < 100; at++) {
        uint32_t a = sampler_pick(logits, 256, 1, 1, at);
        assert_int_equal(a, sampler_pick(logits, 256, 1, 1, at));
        assert_in_range(a, 0, 255);
        differs += a != sampler_pick(logits, 256, 1, 2, at);
    }
    assert_true(differs > 80);
}

/* Frequencies follow the model, sharpened by a low temperature. */
static void test_frequencies(void **state)
{
    (void)state;
    const float logits[] = {0, logf(3)};
    uint32_t plain = 0, sharp = 0;
    for (uint64_t at = 0; at < 4000; at++) {
        plain += sampler_pick(logits, 2, 1, 5, at);
        sharp += sampler_pick(logits, 2, 0.5, 5, at);
    }
    assert_in_range(plain, 2880, 3120); /* 3/4; a standard deviation is 27 */
    assert_in_range(sharp, 3500, 3700); /* 9/10 */
}

/* A character of several tokens is not shown in halves. */
static void test_text_waits_for_whole_characters(void **state)
{
    (void)state;
    struct err e = {0};
    struct buf model;
    char path[] = "/tmp/test_sampler_XXXXXX";
    int fd = mkstemp(path);
    FILE *f = fdopen(fd, "w");
    for (int i = 0; i < 400; i++)
        fprintf(f, "the quick brown fox number %d jumps over %d lazy dogs\n", i, i * 7);
    fclose(f);
    buf_init(&model, 16u << 20);
    struct tokenizer *t;
    assert_int_equal(tokenizer_train(path, 300, &model, &e), 0);
    assert_int_equal(tokenizer_open(&t, model.data, model.len, &e), 0);
    /* No training text has a snowman: it takes three byte tokens. */
    const char *all = "the \xE2\x98\x83 fox";
    uint32_t *ids = NULL;
    size_t count = 0, cap = 0, prompt = 0, len;
    assert_int_equal(tokenizer_encode(t, "the ", 4, &ids, &prompt, &cap, &e), 0);
    free(ids);
    ids = NULL;
    cap = 0;
    assert_int_equal(tokenizer_encode(t, all, strlen(all), &ids, &count, &cap, &e), 0);
    struct sampler_text text;
    assert_int_equal(sampler_text_begin(&text, t, ids, 1, &e), 0);
    char shown[64] = "";
    for (size_t n = 2; n <= count; n++) {
        const char *piece;
        assert_int_equal(sampler_text_next(&text, ids, n, n == count, &piece, &len, &e), 0);
        assert_null(memmem(piece, len, "\xEF\xBF\xBD", 3));
        strncat(shown, piece, len);
    }
    assert_string_equal(shown, all + text.prompt_len);
    sampler_text_free(&text);
    tokenizer_close(t);
    buf_free(&model);
    free(ids);
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_greedy),
        cmocka_unit_test(test_draws_repeat),
        cmocka_unit_test(test_frequencies),
        cmocka_unit_test(test_text_waits_for_whole_characters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
