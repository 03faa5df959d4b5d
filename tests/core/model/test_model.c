/* Parameters of a model: names, shapes and initial values decide the digest of everything a run
 * makes, so a change here breaks every checkpoint. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "core/model/model.h"

static const struct model_config odd = {
    .vocab = 37, .seq = 19, .hidden = 18, .layers = 3, .heads = 3, .ffn = 29};

static void tensors_tile_the_parameters(void **state)
{
    (void)state;
    uint64_t next = 0;
    for (uint32_t i = 0; i < model_tensor_count(&odd); i++) {
        struct model_tensor t;
        model_tensor_at(&odd, i, &t);
        assert_int_equal(t.offset, next);
        assert_int_equal(t.decay, t.rank == 2);
        for (uint32_t j = 0; j < i; j++) {
            struct model_tensor other;
            model_tensor_at(&odd, j, &other);
            assert_string_not_equal(t.name, other.name);
        }
        next += t.shape[0] * t.shape[1];
    }
    assert_int_equal(next, model_parameters(&odd));
}

static void names_are_pinned(void **state)
{
    (void)state;
    static const char *const names[] = {"embed.weight",
                                        "layers.0.norm1.weight",
                                        "layers.0.attn.qkv.weight",
                                        "layers.0.attn.out.weight",
                                        "layers.0.norm2.weight",
                                        "layers.0.ffn.up.weight",
                                        "layers.0.ffn.down.weight",
                                        "layers.1.norm1.weight"};
    struct model_tensor t;
    for (uint32_t i = 0; i < sizeof names / sizeof *names; i++) {
        model_tensor_at(&odd, i, &t);
        assert_string_equal(t.name, names[i]);
    }
    model_tensor_at(&odd, model_tensor_count(&odd) - 1, &t);
    assert_string_equal(t.name, "norm.weight");
    model_tensor_at(&odd, 2, &t);
    assert_int_equal(t.shape[0], 54);
    assert_int_equal(t.shape[1], 18);
}

/* Table 1's sizes with S = 1,024 and V = 32,000: the paper's parameter counts. */
static void counts_match_the_paper(void **state)
{
    (void)state;
    const struct {
        struct model_config c;
        double millions;
    } rows[] = {
        {{32000, 1024, 96, 12, 12, 384}, 4.4},
        {{32000, 1024, 768, 12, 12, 3072}, 110},
        {{32000, 1024, 1024, 24, 16, 4096}, 335},
        {{32000, 1024, 2048, 24, 16, 8192}, 1300},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const double millions = (double)model_parameters(&rows[i].c) / 1e6;
        assert_true(fabs(millions / rows[i].millions - 1) < 0.03);
    }
}

static void bad_sizes_are_named(void **state)
{
    (void)state;
    const struct {
        struct model_config c;
        const char *word;
    } cases[] = {
        {{0, 16, 16, 1, 1, 64}, "vocab = 0"},
        {{(1u << 20) + 1, 16, 16, 1, 1, 64}, "vocab = 1048577"},
        {{64, 0, 16, 1, 1, 64}, "seq = 0"},
        {{64, (1u << 16) + 1, 16, 1, 1, 64}, "seq = 65537"},
        {{64, 16, 0, 1, 1, 64}, "hidden = 0"},
        {{64, 16, 16, 0, 1, 64}, "layers = 0"},
        {{64, 16, 16, 513, 1, 64}, "layers = 513"},
        {{64, 16, 16, 1, 0, 64}, "heads = 0"},
        {{64, 16, 16, 1, 1, 0}, "ffn = 0"},
        {{64, 16, 18, 1, 2, 64}, "hidden = 18, heads = 2"},
        {{64, 16, 15, 1, 1, 64}, "hidden = 15"},
        {{1u << 20, 16, 1u << 15, 512, 512, 1u << 17}, "2^36"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct err e = {0};
        assert_int_equal(model_config_check(&cases[i].c, &e), ERR_RANGE);
        assert_non_null(strstr(e.message, cases[i].word));
    }
    struct err e = {0};
    assert_int_equal(model_config_check(&odd, &e), 0);
}

static void init_has_the_deviations_of_the_method(void **state)
{
    (void)state;
    const struct model_config c = {1024, 128, 64, 2, 4, 256};
    float *p = malloc(model_parameters(&c) * sizeof *p);
    model_init(&c, 7, MODEL_STREAM_DENSE, p);
    for (uint32_t i = 0; i < model_tensor_count(&c); i++) {
        struct model_tensor t;
        model_tensor_at(&c, i, &t);
        const uint64_t n = t.shape[0] * t.shape[1];
        double want = i == 0 ? 0.02 : 1 / sqrt((double)t.shape[1]);
        if (strstr(t.name, "out") || strstr(t.name, "down"))
            want /= 2; /* √(2·2 layers) */
        double sum = 0, squares = 0;
        for (uint64_t j = 0; j < n; j++) {
            const double x = p[t.offset + j];
            if (t.rank == 1)
                assert_true(x == 1.0);
            sum += x;
            squares += x * x;
        }
        if (t.rank == 1)
            continue;
        assert_true(fabs(sqrt(squares / (double)n) / want - 1) < 0.03);
        assert_true(fabs(sum / (double)n) < 4 * want / sqrt((double)n));
    }
    free(p);
}

static void streams_and_seeds_differ_and_repeat(void **state)
{
    (void)state;
    enum { N = 4 };
    const uint64_t n = model_parameters(&odd);
    float *p[N];
    for (int i = 0; i < N; i++) {
        p[i] = malloc(n * sizeof(float));
        model_init(&odd, i == 1 ? 8 : 7, MODEL_STREAM_EXPERT + (i == 2), p[i]);
    }
    assert_memory_equal(p[0], p[3], n * sizeof(float));
    assert_memory_not_equal(p[0], p[1], 37 * 18 * sizeof(float));
    assert_memory_not_equal(p[0], p[2], 37 * 18 * sizeof(float));
    for (int i = 0; i < N; i++)
        free(p[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tensors_tile_the_parameters),
        cmocka_unit_test(names_are_pinned),
        cmocka_unit_test(counts_match_the_paper),
        cmocka_unit_test(bad_sizes_are_named),
        cmocka_unit_test(init_has_the_deviations_of_the_method),
        cmocka_unit_test(streams_and_seeds_differ_and_repeat),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
