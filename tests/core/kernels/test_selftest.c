/* The agent's self-test: right kernels pass, any wrong one is found and named, and the next set
 * that works is taken. If this failed, a broken machine would train, and its results would be
 * thrown away one verification later, or never. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "core/kernels/selftest_parts.h"

static void the_sets_of_this_machine_pass(void **state)
{
    (void)state;
    struct selftest t;
    struct err e = {0};
    unsetenv("TACIT_ISA");
    assert_int_equal(selftest_run(&t, &e), 0);
    assert_true(t.count >= 1);
    for (size_t i = 0; i < t.count; i++) {
        if (!t.sets[i].works)
            fail_msg("%s: %s", t.sets[i].isa, t.sets[i].failed);
    }
    assert_string_equal(t.isa, t.sets[0].isa);
    assert_string_equal(t.wanted, t.isa);
    assert_string_equal(t.sets[t.count - 1].isa, "plain");
    assert_false(t.sets[t.count - 1].pairs);
}

static void the_forced_set_is_the_one_that_counts(void **state)
{
    (void)state;
    struct selftest t;
    struct err e = {0};
    setenv("TACIT_ISA", "plain", 1);
    assert_int_equal(selftest_run(&t, &e), 0);
    assert_string_equal(t.isa, "plain");
    setenv("TACIT_ISA", "fast", 1);
    assert_int_equal(selftest_run(&t, &e), ERR_INVALID);
    assert_non_null(strstr(e.message, "fast"));
    unsetenv("TACIT_ISA");
}

/* ---- wrong kernels: each is plain's with the last bit of one result turned ---- */

static void spoil(float *x)
{
    uint32_t b;
    memcpy(&b, x, sizeof b);
    b ^= 1;
    memcpy(x, &b, sizeof b);
}

static void product(const struct kern_product *p, size_t m0, size_t m1, size_t n0, size_t n1,
                    float *scratch)
{
    kern_lanes_plain.product(p, m0, m1, n0, n1, scratch);
    if (!p->bf16 && !p->accumulate)
        spoil(p->C + (m1 - 1) * p->c_row + n1 - 1);
}

static void bf16_product(const struct kern_product *p, size_t m0, size_t m1, size_t n0, size_t n1,
                         float *scratch)
{
    struct kern_product wide = *p;
    wide.bf16 = false; /* rounding forgotten */
    kern_lanes_plain.product(&wide, m0, m1, n0, n1, scratch);
}

static void forward(const struct kern_attention *a, bool bf16, float *out, float *stats,
                    const float *qkv, size_t u0, size_t u1, float *scratch)
{
    kern_lanes_plain.attention_forward(a, bf16, out, stats, qkv, u0, u1, scratch);
    spoil(stats);
}

static void backward(const struct kern_attention *a, bool bf16, float *dqkv, const float *dout,
                     const float *out, const float *stats, const float *qkv, size_t u0, size_t u1,
                     float *scratch)
{
    kern_lanes_plain.attention_backward(a, bf16, dqkv, dout, out, stats, qkv, u0, u1, scratch);
    if (bf16)
        spoil(dqkv + 5);
}

static void decode(const struct kern_attention *a, bool bf16, float *out, const float *qkv,
                   const struct kern_attention_run *run, size_t cache_seq, size_t h0, size_t h1,
                   float *scratch)
{
    kern_lanes_plain.attention_decode(a, bf16, out, qkv, run, cache_seq, h0, h1, scratch);
    if (run->pos == 0)
        spoil(out);
}

static void norm_forward(float *y, float *stats, const float *x, const float *w, size_t rows,
                         size_t H)
{
    kern_lanes_plain.layernorm_forward(y, stats, x, w, rows, H);
    spoil(y + H);
}

static void norm_weight(float *dw, const float *dy, const float *x, const float *stats, size_t rows,
                        size_t H, size_t c0, size_t c1)
{
    kern_lanes_plain.layernorm_weight(dw, dy, x, stats, rows, H, c0, c1);
    spoil(dw + c1 - 1);
}

static void gelu(float *y, const float *x, size_t n)
{
    kern_lanes_plain.gelu_forward(y, x, n);
    spoil(y);
}

static float squares(const float *x, size_t n)
{
    return kern_lanes_plain.squares(x, n - 1);
}

static void head_rows(float *losses, float *logits, size_t ld, float *across, size_t block,
                      const uint32_t *targets, size_t rows, size_t V, float scale, bool bf16)
{
    kern_lanes_plain.head_rows(losses, logits, ld, across, block, targets, rows, V, scale, bf16);
    if (bf16)
        across[1] *= 2;
}

static void hold(float *to, const struct kern_product *p, size_t n0, size_t n1)
{
    kern_lanes_plain.hold(to, p, n0, n1);
    spoil(to);
}

static void adamw(float *p, float *m, float *v, const float *g, size_t n,
                  const struct kern_adamw_f *o)
{
    kern_lanes_plain.adamw(p, m, v, g, n, o);
    spoil(v + n - 1);
}

static void each_wrong_kernel_is_named(void **state)
{
    (void)state;
    struct kern_lanes wrong[12];
    static const char *const named[] = {"matrix products",
                                        "matrix products in bf16",
                                        "attention",
                                        "attention in bf16",
                                        "attention",
                                        "layer norms",
                                        "layer norms",
                                        "GELU",
                                        "GELU",
                                        "loss",
                                        "loss",
                                        "AdamW"};
    for (size_t i = 0; i < 12; i++)
        wrong[i] = kern_lanes_plain;
    wrong[0].product = product;
    wrong[1].product = bf16_product;
    wrong[2].attention_forward = forward;
    wrong[3].attention_backward = backward;
    wrong[4].attention_decode = decode;
    wrong[5].layernorm_forward = norm_forward;
    wrong[6].layernorm_weight = norm_weight;
    wrong[7].gelu_forward = gelu;
    wrong[8].squares = squares;
    wrong[9].head_rows = head_rows;
    wrong[10].hold = hold;
    wrong[11].adamw = adamw;
    for (size_t i = 0; i < 12; i++) {
        const char *failed = selftest__failure(&wrong[i]);
        assert_non_null(failed);
        if (strncmp(failed, named[i], strlen(named[i])) != 0)
            fail_msg("wrong kernel %zu: \"%s\" instead of \"%s\"", i, failed, named[i]);
    }
    assert_null(selftest__failure(&kern_lanes_plain));
}

static void the_next_set_that_works_is_taken(void **state)
{
    (void)state;
    struct kern_lanes best = kern_lanes_plain, second = kern_lanes_plain;
    struct selftest t;
    best.name = "best", second.name = "second";
    best.head_rows = head_rows;
    const struct kern_lanes *sets[] = {&best, &second, &kern_lanes_plain};
    selftest__choose(sets, 3, 0, &t);
    assert_string_equal(t.wanted, "best");
    assert_string_equal(t.isa, "second");
    assert_true(!t.sets[0].works && t.sets[1].works && t.sets[2].works);
    assert_string_equal(t.sets[0].failed, "loss");
    selftest__choose(sets, 3, 2, &t); /* what is forced and works stays, though others are better */
    assert_string_equal(t.isa, "plain");
    selftest__choose(sets, 1, 0, &t);
    assert_string_equal(t.isa, "definition");
    selftest__choose(sets, 3, 3, &t);
    assert_string_equal(t.wanted, "definition");
    assert_string_equal(t.isa, "definition");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_sets_of_this_machine_pass),
        cmocka_unit_test(the_forced_set_is_the_one_that_counts),
        cmocka_unit_test(each_wrong_kernel_is_named),
        cmocka_unit_test(the_next_set_that_works_is_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
