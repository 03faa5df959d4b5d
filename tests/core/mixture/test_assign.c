#include "core/mixture/assign.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "core/base/rng.h"

/* METHOD's "Balanced assignment", word for word and slow: "Sort the sequences by -max_e score_e
 * ascending (the most likely first; ties by sequence index), and go through them once: each takes
 * the best-scoring expert that still has room (ties: the lower index)." */
static void literal(const uint8_t *rows, uint64_t n, uint32_t experts, uint16_t *expert)
{
    uint64_t *order = malloc((n + 1) * sizeof *order);
    uint64_t left[ASSIGN_EXPERTS_MAX];
    assert_non_null(order);
    for (uint64_t i = 0; i < n; i++) { /* insertion sort, stable */
        float max = scores_row_max(rows + i * SCORES_ROW(experts));
        uint64_t k = i;
        while (k > 0 && scores_row_max(rows + order[k - 1] * SCORES_ROW(experts)) < max) {
            order[k] = order[k - 1];
            k--;
        }
        order[k] = i;
    }
    for (uint32_t e = 0; e < experts; e++)
        left[e] = n / experts + (e < n % experts ? 1 : 0);
    for (uint64_t k = 0; k < n; k++) {
        const uint8_t *row = rows + order[k] * SCORES_ROW(experts);
        uint32_t best = experts;
        for (uint32_t e = 0; e < experts; e++)
            if (left[e] > 0 && (best == experts ||
                                scores_row_difference(row, e) > scores_row_difference(row, best)))
                best = e;
        left[best]--;
        expert[order[k]] = (uint16_t)best;
    }
    free(order);
}

/* Scores on a coarse grid, so that maxima and differences tie all the time; of both signs and zeros
 * of both signs, and now and then spread so wide that differences saturate. */
static void random_rows(uint64_t key, uint8_t *rows, uint64_t n, uint32_t experts)
{
    float grid = 1 + (float)(key % 5), unit = key % 3 == 0 ? 0.25f : key % 3 == 1 ? 37.5f : 3e4f;
    float scores[ASSIGN_EXPERTS_MAX];
    for (uint64_t i = 0; i < n; i++) {
        for (uint32_t e = 0; e < experts; e++) {
            float u = rng_uniform(key, RNG_TEST, i, e);
            scores[e] = (float)(int)((u - 0.5f) * 2 * grid) * unit;
            if (scores[e] == 0.0f && u < 0.5f)
                scores[e] = -0.0f;
        }
        scores_row_write(rows + i * SCORES_ROW(experts), scores, experts);
    }
}

static void check_against_literal(uint64_t key, uint64_t n, uint32_t experts)
{
    uint8_t *rows = malloc(n * SCORES_ROW(experts) + 1);
    uint16_t *fast = malloc((n + 1) * sizeof *fast), *slow = malloc((n + 1) * sizeof *slow);
    assert_true(rows && fast && slow);
    random_rows(key, rows, n, experts);
    struct err e = {0};
    assert_int_equal(assign_balanced(rows, n, experts, fast, &e), 0);
    literal(rows, n, experts, slow);
    if (memcmp(fast, slow, n * sizeof *fast) != 0)
        fail_msg("key %llu: n %llu, E %u", (unsigned long long)key, (unsigned long long)n, experts);
    uint64_t got[ASSIGN_EXPERTS_MAX] = {0};
    for (uint64_t i = 0; i < n; i++)
        got[fast[i]]++;
    for (uint32_t x = 0; x < experts; x++)
        assert_int_equal(got[x], assign_capacity(n, experts, x));
    free(rows);
    free(fast);
    free(slow);
}

static void test_equals_literal(void **state)
{
    (void)state;
    const uint32_t experts[] = {1, 2, 3, 4, 7, 32, 100};
    for (uint64_t key = 0; key < 400; key++) {
        uint32_t e = experts[key % 7];
        uint64_t n = key % 4 == 0 ? key % (e + 1) /* fewer sequences than experts */
                                  : 1 + rng_u64(key, RNG_TEST, 1, 0) % 300;
        check_against_literal(key, n, e);
    }
    check_against_literal(1000, 5000, 32);
    check_against_literal(1001, 2500, ASSIGN_EXPERTS_MAX);
    check_against_literal(1002, 500, ASSIGN_EXPERTS_MAX);
}

static void test_refuses(void **state)
{
    (void)state;
    uint8_t row[SCORES_ROW(2)] = {0, 0, 0x80, 0x7f}; /* +∞ */
    uint16_t expert;
    assert_int_equal(assign_balanced(row, 1, 2, &expert, NULL), ERR_NOT_FINITE);
    assert_int_equal(assign_balanced(row, 1, 0, &expert, NULL), ERR_RANGE);
    assert_int_equal(assign_balanced(row, 1, ASSIGN_EXPERTS_MAX + 1, &expert, NULL), ERR_RANGE);
    assert_int_equal(assign_balanced(row, 1ull << 32, 2, &expert, NULL), ERR_RANGE);
}

/* Round 0 gives equal parts, another seed other parts, and no order of the corpus shows in them. */
static void test_random_parts(void **state)
{
    (void)state;
    enum { N = 4099, E = 4 };
    uint16_t a[N], b[N];
    assign_random(5, N, E, a);
    uint64_t got[E] = {0}, first_half[E] = {0};
    for (uint32_t i = 0; i < N; i++) {
        got[a[i]]++;
        first_half[a[i]] += i < N / 2;
    }
    for (uint32_t x = 0; x < E; x++) {
        assert_int_equal(got[x], assign_capacity(N, E, x));
        assert_true(first_half[x] > 410 && first_half[x] < 615); /* 512 ± 5 standard deviations */
    }
    assign_random(5, N, E, b);
    assert_memory_equal(a, b, sizeof a);
    assign_random(6, N, E, b);
    assert_memory_not_equal(a, b, sizeof a);
    assign_random(5, 2, E, a); /* fewer sequences than experts: one each for the first */
    assert_int_equal(a[0] + a[1], 1);
}

static void test_blob(void **state)
{
    (void)state;
    uint8_t blob[ASSIGN_HEADER + 6] = {0};
    assign_header_write(blob, 3, 300);
    blob[ASSIGN_HEADER + 2] = 0x2b, blob[ASSIGN_HEADER + 3] = 0x01; /* 299 */
    uint64_t n;
    uint32_t experts;
    const uint8_t *values;
    assert_int_equal(assign_open(blob, sizeof blob, &n, &experts, &values, NULL), 0);
    assert_int_equal(n, 3);
    assert_int_equal(experts, 300);
    assert_int_equal(assign_at(values, 0), 0);
    assert_int_equal(assign_at(values, 1), 299);
    for (uint64_t size = 0; size < sizeof blob; size++)
        assert_int_equal(assign_open(blob, size, &n, &experts, &values, NULL), ERR_FORMAT);
    blob[ASSIGN_HEADER + 2] = 0x2c; /* expert 300 of 300 */
    assert_int_equal(assign_open(blob, sizeof blob, &n, &experts, &values, NULL), ERR_FORMAT);
    blob[ASSIGN_HEADER + 2] = 0;
    for (size_t at = 0; at < ASSIGN_HEADER; at++) {
        if (at == 16) /* another number of experts, as good as 300 */
            continue;
        uint8_t kept = blob[at];
        blob[at] = 0xff;
        assert_int_equal(assign_open(blob, sizeof blob, &n, &experts, &values, NULL), ERR_FORMAT);
        blob[at] = kept;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_equals_literal),
        cmocka_unit_test(test_refuses),
        cmocka_unit_test(test_random_parts),
        cmocka_unit_test(test_blob),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
