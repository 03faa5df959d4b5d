#include "core/mixture/scores.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "core/base/rng.h"

/* The value of a float16 from its definition, in double. */
static double half_value(uint16_t h)
{
    int exponent = h >> 10 & 31, mantissa = h & 1023;
    double x = exponent == 0 ? ldexp(mantissa, -24) : ldexp(1024 + mantissa, exponent - 25);
    return h & 0x8000 ? -x : x;
}

static uint32_t bits_of(float x)
{
    uint32_t b;
    memcpy(&b, &x, sizeof b);
    return b;
}

/* All 65,536 float16 values survive the way to float32 and back. */
static void test_half_round_trip(void **state)
{
    (void)state;
    for (uint32_t h = 0; h < 65536; h++) {
        float x = half_to_float((uint16_t)h);
        if ((h & 0x7fff) > 0x7c00) {
            assert_true(isnan(x));
            assert_true((half_from_float(x) & 0x7fff) > 0x7c00);
            continue;
        }
        if ((h & 0x7fff) < 0x7c00)
            assert_true((double)x == half_value((uint16_t)h));
        assert_int_equal(half_from_float(x), h);
    }
}

/* Between two neighbours the nearer wins, the even one at the middle: checked around every middle.
 */
static void test_half_nearest_even(void **state)
{
    (void)state;
    for (uint32_t h = 0; h < 0x7bff; h++) {
        double low = half_value((uint16_t)h), high = half_value((uint16_t)(h + 1));
        float middle = (float)((low + high) / 2); /* exact: one bit more */
        uint32_t even = h & 1 ? h + 1 : h;
        assert_int_equal(half_from_float(middle), even);
        assert_int_equal(half_from_float(nextafterf(middle, 0)), h);
        assert_int_equal(half_from_float(nextafterf(middle, 1e9f)), h + 1);
        assert_int_equal(half_from_float(-middle), even | 0x8000);
    }
    assert_int_equal(half_from_float(65519.996f), 0x7bff);
    assert_int_equal(half_from_float(65520.0f), 0x7c00);
    assert_int_equal(half_from_float(-1e30f), 0xfc00);
    assert_int_equal(half_from_float(1e-40f), 0);
}

/* Scores of the size that METHOD worries about (sums of 256 terms): what goes over the wire still
 * routes as float32 does, since differences are small. */
static void test_rows_keep_the_route(void **state)
{
    (void)state;
    enum { E = 32, N = 2000 };
    uint8_t row[SCORES_ROW(E)];
    for (uint32_t i = 0; i < N; i++) {
        float scores[E];
        for (uint32_t e = 0; e < E; e++)
            scores[e] = -1500.0f - 30.0f * rng_uniform(7, RNG_TEST, i, e);
        scores_row_write(row, scores, E);
        uint32_t best = scores_route(scores, E);
        assert_true(bits_of(scores_row_max(row)) == bits_of(scores[best]));
        assert_true(scores_row_difference(row, best) == 0.0f);
        for (uint32_t e = 0; e < E; e++) {
            float d = scores_row_difference(row, e), exact = scores[e] - scores[best];
            assert_true(d <= 0.0f);
            assert_true(fabsf(d - exact) <= -exact / 2048.0f);
        }
    }
}

static void test_route_ties_and_far_scores(void **state)
{
    (void)state;
    const float tied[] = {-3.0f, -2.0f, -2.0f, -9.0f};
    assert_int_equal(scores_route(tied, 4), 1);
    const float far[] = {-1e6f, -1.0f};
    uint8_t row[SCORES_ROW(2)];
    scores_row_write(row, far, 2);
    assert_true(scores_row_difference(row, 0) == -65504.0f);
    /* Bytes are part of the format: maximum −1 as float32, then −65,504 and 0 as float16. */
    const uint8_t expected[] = {0x00, 0x00, 0x80, 0xbf, 0xff, 0xfb, 0x00, 0x00};
    assert_memory_equal(row, expected, sizeof expected);
}

struct blob {
    uint8_t bytes[SCORES_HEADER + 3 * SCORES_ROW(4)];
};

static void blob_make(struct blob *b)
{
    scores_header_write(b->bytes, 3, 4);
    for (uint32_t i = 0; i < 3; i++) {
        float s[4] = {-4.0f - (float)i, -5.0f, -6.0f, -7.0f};
        scores_row_write(b->bytes + SCORES_HEADER + i * SCORES_ROW(4), s, 4);
    }
}

static int blob_open(const struct blob *b, uint64_t size)
{
    uint64_t n;
    uint32_t routers;
    const uint8_t *rows;
    return scores_open(b->bytes, size, &n, &routers, &rows, NULL);
}

/* An agent's bad blob must not reach the assignment. */
static void test_open_refuses(void **state)
{
    (void)state;
    struct blob b;
    blob_make(&b);
    uint64_t n;
    uint32_t routers;
    const uint8_t *rows;
    struct err e = {0};
    assert_int_equal(scores_open(b.bytes, sizeof b.bytes, &n, &routers, &rows, &e), 0);
    assert_int_equal(n, 3);
    assert_int_equal(routers, 4);
    assert_ptr_equal(rows, b.bytes + SCORES_HEADER);

    for (uint64_t size = 0; size < sizeof b.bytes; size++)
        assert_int_equal(blob_open(&b, size), ERR_FORMAT);
    struct longer {
        struct blob b;
        uint8_t more;
    } longer = {.b = b};
    assert_int_equal(blob_open(&longer.b, sizeof b.bytes + 1), ERR_FORMAT);

    uint8_t *row = b.bytes + SCORES_HEADER + SCORES_ROW(4); /* row 1: −5, 0, 0, −1, −2 */
    const struct {
        size_t at;
        uint8_t value;
        int code;
    } damage[] = {
        {0, 'X', ERR_FORMAT},   /* magic */
        {8, 4, ERR_FORMAT},     /* count */
        {15, 0x80, ERR_FORMAT}, /* a count that would overflow */
        {16, 0, ERR_FORMAT},    /* routers */
        {20, 1, ERR_FORMAT},    /* the zero */
    };
    for (size_t i = 0; i < sizeof damage / sizeof damage[0]; i++) {
        blob_make(&b);
        b.bytes[damage[i].at] = damage[i].value;
        assert_int_equal(blob_open(&b, sizeof b.bytes), damage[i].code);
    }
    blob_make(&b);
    row[2] = 0x80, row[3] = 0x7f; /* maximum +∞ */
    assert_int_equal(blob_open(&b, sizeof b.bytes), ERR_NOT_FINITE);
    blob_make(&b);
    row[5] = 0xfe; /* NaN difference */
    assert_int_equal(blob_open(&b, sizeof b.bytes), ERR_NOT_FINITE);
    blob_make(&b);
    row[9] = 0x3c; /* a difference above zero */
    assert_int_equal(blob_open(&b, sizeof b.bytes), ERR_FORMAT);
    blob_make(&b);
    row[5] = row[7] = 0xbc; /* nobody has the maximum */
    assert_int_equal(blob_open(&b, sizeof b.bytes), ERR_FORMAT);
}

/* The random control routes alike in training and at inference: by the tokens alone. */
static void test_random_control(void **state)
{
    (void)state;
    enum { M = 300, N = 4000, E = 4 };
    uint32_t tokens[M];
    uint64_t taken[E] = {0};
    for (uint32_t i = 0; i < N; i++) {
        for (uint32_t s = 0; s < M; s++)
            tokens[s] = s == M - 1 ? i : s;
        float scores[E];
        for (uint32_t e = 0; e < E; e++)
            scores[e] = scores_random(11, tokens, M, e);
        assert_true(scores[1] == scores_random(11, tokens, M, 1));
        taken[scores_route(scores, E)]++;
    }
    for (uint32_t e = 0; e < E; e++) /* 1,000 ± 5 standard deviations */
        assert_true(taken[e] > 860 && taken[e] < 1140);
    assert_true(scores_random(11, tokens, M, 0) != scores_random(12, tokens, M, 0));
    assert_true(scores_random(11, tokens, M, 0) != scores_random(11, tokens, M - 1, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_half_round_trip),
        cmocka_unit_test(test_half_nearest_even),
        cmocka_unit_test(test_rows_keep_the_route),
        cmocka_unit_test(test_route_ties_and_far_scores),
        cmocka_unit_test(test_open_refuses),
        cmocka_unit_test(test_random_control),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
