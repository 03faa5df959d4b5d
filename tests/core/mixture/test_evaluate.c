#include "core/mixture/evaluate.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "core/base/rng.h"

enum { E = 5, M = 12, S = 40, LABELS = 3, N = 300 };

/* What agents would have kept of N held-out sequences. */
struct kept {
    float cumulative[N][E][M];
    double all[N][E], after[N][E], dense[N][2], dense_flops[N][2];
    uint32_t label[N], bytes[N];
};

static double uniform(uint64_t *at)
{
    return rng_uniform(77, RNG_TEST, (*at)++, 0);
}

/* Expert 4 never scores best on the whole prefix. */
static struct kept *kept_make(void)
{
    struct kept *k = calloc(1, sizeof *k);
    assert_non_null(k);
    uint64_t at = 0;
    for (uint32_t i = 0; i < N; i++) {
        for (uint32_t x = 0; x < E; x++) {
            for (uint32_t s = 1; s < M; s++)
                k->cumulative[i][x][s] = k->cumulative[i][x][s - 1] - (float)(5 * uniform(&at));
            k->after[i][x] = (S - M) * (1 + 4 * uniform(&at));
            k->all[i][x] = k->after[i][x] + (M - 1) * (1 + 4 * uniform(&at));
        }
        k->cumulative[i][4][M - 1] = -1000;
        k->dense[i][1] = (S - M) * 3 * uniform(&at);
        k->dense[i][0] = k->dense[i][1] + (M - 1) * 3.0;
        k->dense_flops[i][1] = k->dense[i][1] * 0.9;
        k->dense_flops[i][0] = k->dense[i][0] * 0.9;
        k->label[i] = (uint32_t)(uniform(&at) * LABELS);
        k->bytes[i] = 60 + (uint32_t)(100 * uniform(&at));
    }
    return k;
}

static void kept_add(struct evaluate *v, const struct kept *k, uint32_t i, uint32_t route)
{
    struct evaluate_sequence s = {
        .cumulative = &k->cumulative[i][0][0],
        .route = route,
        .all = k->all[i],
        .after = k->after[i],
        .baseline_all = {k->dense[i][0], k->dense_flops[i][0]},
        .baseline_after = {k->dense[i][1], k->dense_flops[i][1]},
        .label = k->label[i],
        .text_bytes = k->bytes[i],
    };
    evaluate_add(v, &s);
}

static uint32_t argmax(const struct kept *k, uint32_t i, uint32_t m)
{
    uint32_t best = 0;
    for (uint32_t x = 1; x < E; x++)
        if (k->cumulative[i][x][m - 1] > k->cumulative[i][best][m - 1])
            best = x;
    return best;
}

static void near(double a, double b)
{
    assert_true(fabs(a - b) <= 1e-12 * fabs(b));
}

/* Every figure of the report against METHOD's definitions, computed one by one. */
static void test_figures(void **state)
{
    (void)state;
    struct kept *k = kept_make();
    struct evaluate v;
    struct evaluate_report r;
    const struct evaluate_options o = {
        .experts = E, .prefix = M, .seq = S, .labels = LABELS, .baseline = {true, true}};
    struct err e = {0};
    assert_int_equal(evaluate_init(&v, &o, &e), 0);
    for (uint32_t i = 0; i < N; i++)
        kept_add(&v, k, i, 0);
    evaluate_finish(&v, &r);

    double all = 0, after = 0, dense = 0, dense_after = 0, bytes = 0;
    for (uint32_t i = 0; i < N; i++) {
        uint32_t x = argmax(k, i, M);
        all += k->all[i][x];
        after += k->after[i][x];
        dense += k->dense[i][0];
        dense_after += k->dense[i][1];
        bytes += k->bytes[i];
    }
    assert_int_equal(r.sequences, N);
    assert_int_equal(r.predictions, N * 39);
    near(r.mixture.perplexity, exp(all / (N * 39)));
    near(r.mixture.perplexity_after_prefix, exp(after / (N * 28)));
    near(r.mixture.bits_per_byte, all / log(2) / bytes);
    near(r.baseline[EVALUATE_DENSE].perplexity, exp(dense / (N * 39)));
    near(r.baseline[EVALUATE_DENSE].perplexity_after_prefix, exp(dense_after / (N * 28)));
    near(r.baseline[EVALUATE_DENSE].bits_per_byte, dense / log(2) / bytes);
    near(r.baseline[EVALUATE_DENSE_FLOPS].perplexity, exp(0.9 * dense / (N * 39)));

    double most = 0;
    for (uint32_t x = 0; x < E; x++) {
        double own = 0, own_dense = 0, n = 0, labels[LABELS] = {0}, largest = 0;
        for (uint32_t i = 0; i < N; i++)
            if (argmax(k, i, M) == x) {
                own += k->all[i][x];
                own_dense += k->dense[i][0];
                n++;
                labels[k->label[i]]++;
            }
        const struct evaluate_expert *got = &r.experts[x];
        near(got->share, n / N);
        if (n == 0) {
            assert_int_equal(x, 4);
            assert_true(isnan(got->perplexity) && isnan(got->dense_perplexity));
            assert_int_equal(got->source_count, 0);
            continue;
        }
        near(got->perplexity, exp(own / (n * 39)));
        near(got->dense_perplexity, exp(own_dense / (n * 39)));
        double sum = 0;
        for (uint32_t l = 0; l < got->source_count; l++) {
            near(got->sources[l].share, labels[got->sources[l].label] / n);
            assert_true(l == 0 || got->sources[l].share <= got->sources[l - 1].share);
            sum += got->sources[l].share;
        }
        near(sum, 1);
        for (uint32_t l = 0; l < LABELS; l++)
            largest = fmax(largest, labels[l]);
        most += largest;
    }
    near(r.purity, most / N);

    const uint32_t prefixes[] = {2, 4, 8, 12};
    assert_int_equal(r.prefix_count, 4);
    for (uint32_t p = 0; p < 4; p++) {
        double sum = 0;
        for (uint32_t i = 0; i < N; i++)
            sum += k->all[i][argmax(k, i, prefixes[p])];
        assert_int_equal(r.prefixes[p].prefix, prefixes[p]);
        near(r.prefixes[p].perplexity, exp(sum / (N * 39)));
    }
    assert_true(r.prefixes[3].perplexity == r.mixture.perplexity);
    evaluate_free(&v);
    free(k);
}

/* The random control has no scores: its routes are given. A run without dense models reports none
 * instead of made-up figures. */
static void test_routed_without_dense(void **state)
{
    (void)state;
    struct kept *k = kept_make();
    struct evaluate v;
    struct evaluate_report r;
    const struct evaluate_options o = {
        .experts = E, .prefix = S, .seq = S, .labels = LABELS, .routed = true};
    assert_int_equal(evaluate_init(&v, &o, NULL), 0);
    double all = 0;
    for (uint32_t i = 0; i < N; i++) {
        kept_add(&v, k, i, i % 2);
        all += k->all[i][i % 2];
    }
    evaluate_finish(&v, &r);
    near(r.mixture.perplexity, exp(all / (N * 39)));
    assert_true(isnan(r.mixture.perplexity_after_prefix)); /* M = S: nothing is after it */
    assert_true(isnan(r.baseline[EVALUATE_DENSE].perplexity));
    assert_true(isnan(r.experts[0].dense_perplexity));
    near(r.experts[0].share, 0.5);
    assert_true(r.experts[2].share == 0);
    assert_int_equal(r.prefix_count, 0);
    evaluate_free(&v);
    free(k);
}

static void test_nothing_added(void **state)
{
    (void)state;
    struct evaluate v;
    struct evaluate_report r;
    struct evaluate_options o = {.experts = 1, .prefix = 1, .seq = 2, .labels = 1};
    assert_int_equal(evaluate_init(&v, &o, NULL), 0);
    evaluate_finish(&v, &r);
    assert_true(isnan(r.mixture.perplexity) && isnan(r.mixture.bits_per_byte));
    assert_true(isnan(r.purity) && isnan(r.experts[0].share));
    assert_int_equal(r.prefix_count, 1);
    evaluate_free(&v);
    evaluate_free(&v);
    o.prefix = 3;
    assert_int_equal(evaluate_init(&v, &o, NULL), ERR_RANGE);
    evaluate_free(&v);
}

/* Purity by hand: parts (3,1), (0,4), none → (3 + 4) / 8; the other way round, labels (3,0), (1,4).
 */
static void test_purity(void **state)
{
    (void)state;
    struct evaluate_counts c;
    assert_int_equal(evaluate_counts_init(&c, 3, 2, NULL), 0);
    const uint32_t table[3][2] = {{3, 1}, {0, 4}, {0, 0}};
    for (uint32_t p = 0; p < 3; p++)
        for (uint32_t l = 0; l < 2; l++)
            for (uint32_t i = 0; i < table[p][l]; i++)
                evaluate_counts_add(&c, p, l);
    assert_true(evaluate_counts_purity(&c) == 0.875);
    assert_true(evaluate_counts_inverse_purity(&c) == 0.875);
    evaluate_counts_add(&c, 2, 1);
    evaluate_counts_add(&c, 2, 1);
    assert_true(evaluate_counts_purity(&c) == 0.9);
    assert_true(evaluate_counts_inverse_purity(&c) == 0.7);
    assert_int_equal(evaluate_counts_part(&c, 2), 2);
    assert_true(evaluate_counts_share(&c, 1) == 0.4);
    evaluate_counts_free(&c);
    evaluate_counts_free(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_figures),
        cmocka_unit_test(test_routed_without_dense),
        cmocka_unit_test(test_nothing_added),
        cmocka_unit_test(test_purity),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
