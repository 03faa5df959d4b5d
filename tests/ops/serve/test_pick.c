/* Options of an answer do what they are called: who sets top_k = 1 gets the likeliest token, who
 * forbids repetition gets none, and a seed's numbers fall as the probabilities say. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <math.h>
#include <cmocka.h>
#include "ops/serve/pick.h"

enum { V = 6, DRAWS = 6000 };
/* Probabilities 0.4, 0.3, 0.15, 0.1, 0.04, 0.01 in another order. */
static const float likely[V] = {0.1f, 0.4f, 0.01f, 0.3f, 0.15f, 0.04f};
static const struct pick plain = {.temperature = 1, .top_p = 1, .repetition = 1};

static void draw(const struct pick *o, const uint32_t *seen, uint32_t count, uint32_t prompt,
                 double shares[V])
{
    struct picker p;
    struct err e = {0};
    float logits[V];
    assert_int_equal(picker_init(&p, V, &e), 0);
    memset(shares, 0, V * sizeof *shares);
    for (int i = 0; i < V; i++)
        logits[i] = logf(likely[i]) + 3;
    for (int i = 0; i < DRAWS; i++)
        shares[pick_token(&p, logits, o, seen, count, prompt, (i + 0.5) / DRAWS)] += 1.0 / DRAWS;
    picker_free(&p);
}

static void near(const double shares[V], const double want[V])
{
    for (int i = 0; i < V; i++)
        if (fabs(shares[i] - want[i]) > 2e-3)
            fail_msg("token %d is drawn %.3f of the time, not %.3f", i, shares[i], want[i]);
}

static void draws_follow_the_probabilities(void **state)
{
    double shares[V];
    (void)state;
    draw(&plain, NULL, 0, 0, shares);
    near(shares, (double[V]){0.1, 0.4, 0.01, 0.3, 0.15, 0.04});
    struct pick o = plain;
    o.temperature = 0;
    draw(&o, NULL, 0, 0, shares);
    near(shares, (double[V]){0, 1});
}

static void the_tail_is_cut_as_asked(void **state)
{
    double shares[V];
    struct pick o = plain;
    (void)state;
    o.top_k = 2;
    draw(&o, NULL, 0, 0, shares);
    near(shares, (double[V]){0, 4.0 / 7, 0, 3.0 / 7});
    o.top_k = 1;
    draw(&o, NULL, 0, 0, shares);
    near(shares, (double[V]){0, 1});
    o = plain;
    o.top_p = 0.69;
    draw(&o, NULL, 0, 0, shares);
    near(shares, (double[V]){0, 4.0 / 7, 0, 3.0 / 7});
    o.top_p = 0; /* one is always left */
    draw(&o, NULL, 0, 0, shares);
    near(shares, (double[V]){0, 1});
    o = plain;
    o.min_p = 0.3; /* of 0.4 */
    draw(&o, NULL, 0, 0, shares);
    near(shares, (double[V]){0, 0.4 / 0.85, 0, 0.3 / 0.85, 0.15 / 0.85});
    o.min_p = 0;
    o.top_k = 4; /* top_p is of what top_k left */
    o.top_p = 0.89;
    draw(&o, NULL, 0, 0, shares);
    near(shares, (double[V]){0, 0.4 / 0.85, 0, 0.3 / 0.85, 0.15 / 0.85});
}

static void penalties_count_what_was_said(void **state)
{
    static const uint32_t seen[] = {1, 3, 1};
    double shares[V];
    struct pick o = plain;
    (void)state;
    o.presence = 2; /* of the answer alone: 3 and 1, once each */
    draw(&o, seen, 3, 1, shares);
    const double a = 0.4 * exp(-2), b = 0.3 * exp(-2), rest = 0.3 + a + b;
    near(shares,
         (double[V]){0.1 / rest, a / rest, 0.01 / rest, b / rest, 0.15 / rest, 0.04 / rest});
    o = plain;
    o.frequency = 1; /* 1 twice, 3 once */
    draw(&o, seen, 3, 0, shares);
    const double c = 0.4 * exp(-2), d = 0.3 * exp(-1), left = 0.3 + c + d;
    near(shares,
         (double[V]){0.1 / left, c / left, 0.01 / left, d / left, 0.15 / left, 0.04 / left});
    o = plain;
    o.repetition = 2; /* once, however often it was said */
    draw(&o, seen, 3, 3, shares);
    double want[V], sum = 0;
    for (int i = 0; i < V; i++) {
        const double x = log(likely[i]) + 3;
        want[i] = exp(i == 1 || i == 3 ? (x > 0 ? x / 2 : x * 2) : x);
        sum += want[i];
    }
    for (int i = 0; i < V; i++)
        want[i] /= sum;
    near(shares, want);
}

static void the_best_are_named_in_order(void **state)
{
    struct picker p;
    struct err e = {0};
    uint32_t top[V];
    (void)state;
    assert_int_equal(picker_init(&p, V, &e), 0);
    pick_top(&p, likely, 4, top);
    assert_memory_equal(top, ((uint32_t[]){1, 3, 4, 0}), 4 * sizeof *top);
    const float equal[V] = {1, 1, 1, 1, 1, 1};
    pick_top(&p, equal, V, top);
    assert_memory_equal(top, ((uint32_t[]){0, 1, 2, 3, 4, 5}), sizeof top);
    assert_true(fabs(pick_log_sum(equal, V) - (1 + log(V))) < 1e-6);
    picker_free(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(draws_follow_the_probabilities),
        cmocka_unit_test(the_tail_is_cut_as_asked),
        cmocka_unit_test(penalties_count_what_was_said),
        cmocka_unit_test(the_best_are_named_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
