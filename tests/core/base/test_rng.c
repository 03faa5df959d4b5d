#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include "core/base/rng.h"

/* Known answers of the paper's own library (Random123, kat_vectors). */
static void philox_known_answers(void **state)
{
    static const uint32_t zero[4] = {0, 0, 0, 0};
    static const uint32_t ones[4] = {~0u, ~0u, ~0u, ~0u};
    static const uint32_t pi[4] = {0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344};
    static const uint32_t of_zero[4] = {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8};
    static const uint32_t of_ones[4] = {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd};
    static const uint32_t of_pi[4] = {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1};
    uint32_t out[4];

    (void)state;
    rng_philox(zero, (struct rng_key){{0, 0}}, out);
    assert_memory_equal(out, of_zero, sizeof out);
    rng_philox(ones, (struct rng_key){{~0u, ~0u}}, out);
    assert_memory_equal(out, of_ones, sizeof out);
    rng_philox(pi, (struct rng_key){{0xa4093822, 0x299f31d0}}, out);
    assert_memory_equal(out, of_pi, sizeof out);
}

/* If this changes, every run made before cannot be repeated. */
static void the_layout_is_pinned(void **state)
{
    uint32_t out[4], words[4] = {0x55667788, 0x11223344, RNG_TEST, 0}, key[4];

    (void)state;
    rng_philox(words, (struct rng_key){{0, 0}}, key);
    const uint32_t counter[4] = {3, 1, 4, 2};
    rng_philox(counter, (struct rng_key){{key[0], key[1]}}, words);
    rng_block(0x1122334455667788, RNG_TEST, 0x100000003, 0x200000004, out);
    assert_memory_equal(out, words, sizeof out);
    assert_int_equal(rng_u64(0x1122334455667788, RNG_TEST, 0x100000003, 0x200000004),
                     out[0] | (uint64_t)out[1] << 32);
    rng_block(1, RNG_INIT, 2, 3, out);
    static const uint32_t pinned[4] = {0x8c3eb786, 0xb62840df, 0xb13f89f0, 0x168eb399};
    assert_memory_equal(out, pinned, sizeof out);
}

static void every_argument_matters(void **state)
{
    uint64_t x = rng_u64(1, 2, 3, 4);

    (void)state;
    assert_int_not_equal(x, rng_u64(2, 2, 3, 4));
    assert_int_not_equal(x, rng_u64(1, 3, 3, 4));
    assert_int_not_equal(x, rng_u64(1, 2, 4, 4));
    assert_int_not_equal(x, rng_u64(1, 2, 3, 5));
    assert_int_not_equal(x, rng_u64(1 + (1ull << 32), 2, 3, 4));
    assert_int_not_equal(x, rng_u64(1, 2, 3 + (1ull << 32), 4));
    assert_int_not_equal(x, rng_u64(1, 2, 3, 4 + (1ull << 32)));
}

static void uniform_is_inside_and_even(void **state)
{
    int bins[16] = {0};
    const int n = 160000;

    (void)state;
    assert_true(rng_uniform_of(0) > 0.0f);
    assert_true(rng_uniform_of(~0u) < 1.0f);
    for (int i = 0; i < n; i++)
        bins[(int)(rng_uniform(7, RNG_TEST, 0, (uint64_t)i) * 16)]++;
    for (int i = 0; i < 16; i++)
        assert_in_range(bins[i], 10000 - 500, 10000 + 500); /* five standard deviations */
}

static void permutation_is_a_bijection(void **state)
{
    static const uint64_t sizes[] = {1, 2, 3, 4, 5, 15, 16, 17, 100, 257, 4096, 10007};
    struct rng_perm p;

    (void)state;
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        uint64_t n = sizes[s];
        unsigned char *seen = calloc(n, 1);
        rng_perm_init(&p, n, 42, RNG_TEST, s);
        for (uint64_t i = 0; i < n; i++) {
            uint64_t at = rng_perm_at(&p, i);
            assert_true(at < n);
            assert_int_equal(seen[at]++, 0);
            assert_int_equal(rng_perm_inverse(&p, at), i);
        }
        free(seen);
    }
    static const uint64_t large[] = {1ull << 32, (1ull << 40) + 1, UINT64_MAX};
    for (size_t s = 0; s < 3; s++) {
        rng_perm_init(&p, large[s], 42, RNG_TEST, s);
        for (uint64_t i = 0; i < 1000; i++)
            assert_int_equal(rng_perm_inverse(&p, rng_perm_at(&p, large[s] - 1 - i * 977)),
                             large[s] - 1 - i * 977);
    }
}

/* An order that favoured some sequences would bias what a model sees first. */
static void permutation_is_even_over_seeds(void **state)
{
    enum { N = 6, SEEDS = 36000 };
    static int at[N][N];
    int pairs = 0;
    struct rng_perm p;

    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        rng_perm_init(&p, N, seed, RNG_TEST, 5);
        for (uint64_t i = 0; i < N; i++)
            at[i][rng_perm_at(&p, i)]++;
        pairs += rng_perm_at(&p, 1) == rng_perm_at(&p, 0) + 1;
    }
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++)
            assert_in_range(at[i][j], SEEDS / N - 360, SEEDS / N + 360);
    assert_in_range(pairs, SEEDS / N - 360,
                    SEEDS / N + 360); /* 1/6 of ordered pairs are (a, a+1) */
    rng_perm_init(&p, 1000, 1, RNG_TEST, 0);
    struct rng_perm q;
    rng_perm_init(&q, 1000, 1, RNG_TEST, 1);
    int same = 0;
    for (uint64_t i = 0; i < 1000; i++)
        same += rng_perm_at(&p, i) == rng_perm_at(&q, i);
    assert_true(same < 12); /* one is expected */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(philox_known_answers),
        cmocka_unit_test(the_layout_is_pinned),
        cmocka_unit_test(every_argument_matters),
        cmocka_unit_test(uniform_is_inside_and_even),
        cmocka_unit_test(permutation_is_a_bijection),
        cmocka_unit_test(permutation_is_even_over_seeds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
