/* Many texts at once: whatever else is computed beside it, however it is cut into steps, at any
 * number of threads and on any instruction set, a text's logits are those of the full pass. Broken,
 * an answer would depend on who else asks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "core/base/rng.h"
#include "core/model/decode.h"

static const struct model_config configs[] = {
    {.vocab = 96, .seq = 40, .hidden = 32, .layers = 2, .heads = 2, .ffn = 128},
    {.vocab = 67, .seq = 21, .hidden = 18, .layers = 3, .heads = 3, .ffn = 41},
    {.vocab = 300, .seq = 256, .hidden = 64, .layers = 2, .heads = 4, .ffn = 256},
    {.vocab = 2, .seq = 2, .hidden = 2, .layers = 1, .heads = 1, .ffn = 1},
};
enum { CONFIGS = sizeof configs / sizeof *configs, TEXTS = 5, ROWS = 23 };

static enum engine_arithmetic arithmetic = ENGINE_EXACT;

struct world {
    const struct model_config *c;
    float *p;
    uint32_t *tokens; /* (TEXTS, S) */
    float *want;      /* (TEXTS, S, V) */
    struct decode *d;
    struct decode_weights *w;
};

static void ok(int rc, const struct err *e)
{
    if (rc)
        fail_msg("%s", e->message);
}

static struct world world_make(const struct model_config *c, int threads)
{
    struct world x = {.c = c};
    const struct engine_options o = {.arithmetic = arithmetic, .threads = 1};
    const struct decode_options q = {arithmetic, threads, TEXTS, ROWS};
    struct engine *g;
    struct err e = {0};
    x.p = malloc(model_parameters(c) * sizeof *x.p);
    x.tokens = malloc((size_t)TEXTS * c->seq * sizeof *x.tokens);
    x.want = malloc((size_t)TEXTS * c->seq * c->vocab * sizeof *x.want);
    model_init(c, 5, MODEL_STREAM_DENSE, x.p);
    for (size_t i = 0; i < model_parameters(c); i++) /* embeddings at first are too alike */
        x.p[i] *= i < (size_t)c->vocab * c->hidden ? 20.0f : 1.0f;
    for (uint32_t i = 0; i < TEXTS * c->seq; i++)
        x.tokens[i] = (uint32_t)(rng_u64(9, RNG_TEST, 0, i) % c->vocab);
    ok(engine_create(&g, c, &o, &e), &e);
    for (size_t t = 0; t < TEXTS; t++)
        ok(engine_logits(g, x.p, x.tokens + t * c->seq, c->seq, x.want + t * c->seq * c->vocab, &e),
           &e);
    engine_destroy(g);
    ok(decode_create(&x.d, c, &q, &e), &e);
    ok(decode_weights_create(&x.w, x.d, x.p, &e), &e);
    free(x.p);
    return x;
}

static void world_free(struct world *x)
{
    decode_weights_destroy(x->w);
    decode_destroy(x->d);
    free(x->tokens), free(x->want);
}

static void same(const struct world *x, size_t text, size_t from, size_t n, const float *got)
{
    const size_t V = x->c->vocab;
    assert_memory_equal(got, x->want + (text * x->c->seq + from) * V, n * V * sizeof *got);
}

/* All texts to their ends, each step some of them by some tokens, as a keyed coin decides. */
static void shuffled(struct world *x, uint64_t seed)
{
    float *logits = malloc((size_t)ROWS * x->c->vocab * sizeof *logits);
    uint32_t at[TEXTS] = {0}, left = TEXTS, toss = 0;
    struct err e = {0};
    for (uint32_t i = 0; i < TEXTS; i++)
        decode_cut(x->d, i, 0);
    while (left > 0) {
        struct decode_run runs[TEXTS];
        uint32_t count = 0, rows = 0;
        for (uint32_t i = 0; i < TEXTS; i++) {
            const uint64_t coin = rng_u64(seed, RNG_TEST, 1, toss++);
            uint32_t n = coin % 3 == 0 ? 0 : coin % 3 == 1 ? 1 : (uint32_t)(coin >> 8) % 17 + 1;
            n = n < x->c->seq - at[i] ? n : x->c->seq - at[i];
            n = n < ROWS - rows ? n : ROWS - rows;
            if (n == 0)
                continue;
            runs[count++] = (struct decode_run){i, n, (uint32_t)(coin >> 16) % (n + 1),
                                                x->tokens + i * x->c->seq + at[i]};
            rows += n;
        }
        if (count == 0)
            continue;
        ok(decode_step(x->d, x->w, runs, count, logits, &e), &e);
        const float *got = logits;
        for (uint32_t i = 0; i < count; i++) {
            const uint32_t text = runs[i].slot;
            at[text] += runs[i].count;
            assert_int_equal(decode_length(x->d, text), at[text]);
            same(x, text, at[text] - runs[i].logits, runs[i].logits, got);
            got += (size_t)runs[i].logits * x->c->vocab;
            left -= at[text] == x->c->seq;
        }
    }
    free(logits);
}

static void company_changes_no_bit(void **state)
{
    (void)state;
    for (int i = 0; i < CONFIGS; i++) {
        for (int threads = 1; threads <= 2; threads++) {
            struct world x = world_make(&configs[i], threads);
            for (uint64_t seed = 0; seed < 3; seed++)
                shuffled(&x, seed);
            world_free(&x);
        }
    }
}

static void instruction_sets_change_no_bit(void **state)
{
    static const char *const isas[] = {"plain", "avx2", "avx512", "avx512bf16", "neon"};
    (void)state;
    for (size_t k = 0; k < sizeof isas / sizeof *isas; k++) {
        struct world x = world_make(&configs[1], 2);
        const struct decode_options q = {arithmetic, 2, TEXTS, ROWS};
        struct err e = {0};
        struct decode *d = NULL;
        setenv("TACIT_ISA", isas[k], 1);
        const int rc = decode_create(&d, x.c, &q, &e);
        unsetenv("TACIT_ISA");
        if (!rc) {
            float *p = malloc(model_parameters(x.c) * sizeof *p);
            model_init(x.c, 5, MODEL_STREAM_DENSE, p);
            for (size_t i = 0; i < (size_t)x.c->vocab * x.c->hidden; i++)
                p[i] *= 20.0f;
            decode_weights_destroy(x.w);
            decode_destroy(x.d);
            x.d = d;
            ok(decode_weights_create(&x.w, d, p, &e), &e);
            free(p);
            shuffled(&x, 1);
        }
        world_free(&x);
    }
}

/* A prompt that is known already goes on from where it differs. */
static void a_common_beginning_is_computed_once(void **state)
{
    (void)state;
    struct world x = world_make(&configs[0], 1);
    const uint32_t S = x.c->seq, half = S / 2;
    float *logits = malloc((size_t)ROWS * x.c->vocab * sizeof *logits);
    struct err e = {0};
    shuffled(&x, 4);
    decode_copy(x.d, 1, 0, half); /* text 1's slot: half of text 0 */
    struct decode_run run = {1, S - half, S - half, x.tokens + half};
    ok(decode_step(x.d, x.w, &run, 1, logits, &e), &e);
    same(&x, 0, half, S - half, logits);
    decode_cut(x.d, 0, 3); /* and another end of text 0 itself */
    decode_cut(x.d, 0, S); /* which makes nothing longer */
    assert_int_equal(decode_length(x.d, 0), 3);
    run = (struct decode_run){0, 2, 2, x.tokens + 3};
    ok(decode_step(x.d, x.w, &run, 1, logits, &e), &e);
    same(&x, 0, 3, 2, logits);
    free(logits);
    world_free(&x);
}

static void bad_steps_append_nothing(void **state)
{
    (void)state;
    struct world x = world_make(&configs[0], 1);
    const uint32_t V = x.c->vocab, wrong[] = {1, 2, V}, many[ROWS + 1] = {0};
    float *logits = malloc((size_t)(ROWS + 1) * V * sizeof *logits);
    struct err e = {0};
    const struct decode_run bad[][2] = {
        {{0, 2, 1, many}, {1, 3, 1, wrong}},    {{0, 2, 1, many}, {0, 1, 1, many}},
        {{0, 2, 1, many}, {TEXTS, 1, 1, many}}, {{0, 2, 1, many}, {1, 0, 0, many}},
        {{0, 2, 1, many}, {1, 1, 2, many}},     {{0, 2, 1, many}, {1, ROWS - 1, 0, many}},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(decode_step(x.d, x.w, bad[i], 2, logits, &e), ERR_RANGE);
    assert_int_equal(decode_length(x.d, 0), 0);
    for (uint32_t i = 0; i < x.c->seq; i += 20) {
        const struct decode_run run = {2, 20, 0, many};
        ok(decode_step(x.d, x.w, &run, 1, logits, &e), &e);
    }
    const struct decode_run run = {2, 1, 1, many};
    assert_int_equal(decode_step(x.d, x.w, &run, 1, logits, &e), ERR_RANGE);
    assert_non_null(strstr(e.message, "40"));
    free(logits);
    world_free(&x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(company_changes_no_bit),
        cmocka_unit_test(instruction_sets_change_no_bit),
        cmocka_unit_test(a_common_beginning_is_computed_once),
        cmocka_unit_test(bad_steps_append_nothing),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    arithmetic = ENGINE_BF16;
    return failed + cmocka_run_group_tests_name("bf16", tests, NULL, NULL);
}
