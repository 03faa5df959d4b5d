#include "core/mixture/cost.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

/* A user compares `tacit plan --paper` with the paper: every printed digit has to be there. */
static void same_to_the_digit(double computed, double printed)
{
    char a[32], b[32];
    snprintf(a, sizeof a, "%.2f", computed);
    snprintf(b, sizeof b, "%.2f", printed);
    assert_string_equal(a, b);
}

static void test_table_3(void **state)
{
    (void)state;
    assert_int_equal(cost_paper_count, 7);
    for (uint32_t i = 0; i < cost_paper_count; i++) {
        struct cost_paper_row row;
        struct cost_result cost;
        cost_paper_row_at(i, &row);
        assert_int_equal(row.run.experts, row.experts);
        cost_compute(&row.run, &cost);
        same_to_the_digit(cost.dense_training / 1e19, row.printed_training);
        same_to_the_digit(cost.training_overhead / 1e19, row.printed_training_overhead);
        same_to_the_digit(cost.dense_inference / 1e12, row.printed_inference);
        same_to_the_digit(cost.inference_overhead / 1e12, row.printed_inference_overhead);
        /* Dense and experts train on the same number of tokens. */
        assert_true(cost.dense_training == cost.experts_training);
    }
}

/* METHOD: with M instead of S in Eq. 13 the overhead of 335M × 4 would be 0.165. */
static void test_prefix_count_of_eq_13(void **state)
{
    (void)state;
    struct cost_paper_row row;
    struct cost_result cost;
    cost_paper_row_at(0, &row);
    cost_compute(&row.run, &cost);
    assert_true(fabs(cost.training_overhead_prefix / 1e19 - 0.165) < 5e-4);
    assert_true(cost.routers_training_prefix < cost.routers_training);
}

/* Each term of F(B,S,H,L,V,Dff) by hand: B 2, S 3, H 4, L 5, V 7, Dff 11. */
static void test_forward_by_hand(void **state)
{
    (void)state;
    struct model_config c = {
        .vocab = 7, .seq = 99, .hidden = 4, .layers = 5, .heads = 1, .ffn = 11};
    double expected = 24 + 5 * (768 + 288 + 1056) + 336 + 126;
    assert_true(cost_forward(2, 3, &c) == expected);
}

static struct cost_run small_run(void)
{
    return (struct cost_run){
        .router = {.vocab = 1024, .seq = 128, .hidden = 16, .layers = 1, .heads = 2, .ffn = 64},
        .expert = {.vocab = 1024, .seq = 128, .hidden = 32, .layers = 2, .heads = 2, .ffn = 128},
        .experts = 4,
        .prefix = 32,
        .router_steps = 512,
        .router_batch = 16,
        .expert_steps = 4000,
        .expert_batch = 8,
        .dense_batch = 32,
        .dense_steps = 4000,
        .scored_for_routers = 7 * 4096,
        .scored_for_experts = 128000,
    };
}

/* A run that scores fewer sequences than Eq. 14 and 16 assume is charged for those it scored. */
static void test_counted_sequences(void **state)
{
    (void)state;
    struct cost_run run = small_run();
    struct cost_result cost;
    cost_compute(&run, &cost);
    double score = 4 * cost_forward(1, 32, &run.router);
    assert_true(cost.routers_sharding == 7 * 4096 * score);
    assert_true(cost.experts_sharding == 128000 * score);
    assert_true(cost.inference_overhead == score);
    run.scored_for_routers = run.scored_for_experts = -1;
    cost_compute(&run, &cost);
    assert_true(cost.routers_sharding == 512 * 16 * 4 * score);
    assert_true(cost.experts_sharding == 4000 * 8 * 4 * score);
}

/* The stricter comparison: the dense model must get no fewer FLOPs than the mixture, and at most a
 * step more. */
static void test_dense_at_equal_flops(void **state)
{
    (void)state;
    struct cost_run run = small_run();
    struct cost_result cost;
    cost_compute(&run, &cost);
    double mixture = cost.experts_training + cost.training_overhead_prefix;
    double step = 3 * cost_forward(run.dense_batch, 128, &run.expert);
    uint64_t steps = cost_dense_steps_flops(&run);
    assert_true((double)steps * step >= mixture);
    assert_true((double)(steps - 1) * step < mixture);
    assert_true(steps > 4000);
}

/* Muon's products are work like any other: a comparison at equal FLOPs that forgot them would
 * favour it. Per layer of H 32: 96×32, 32×32, 128×32 and 32×128, five times 2n²(2m + n) each. */
static void test_muon_is_counted(void **state)
{
    (void)state;
    struct cost_run run = small_run();
    struct cost_result adamw, muon;
    cost_compute(&run, &adamw);
    run.expert_optimizer = OPTIMIZER_MUON;
    cost_compute(&run, &muon);
    const double h = run.expert.hidden;
    assert_true(run.expert.ffn == 4 * h);
    double update = run.expert.layers * 5 * 2 * h * h * (2 * (3 + 1 + 4 + 4) * h + 4 * h);
    assert_true(optimizer_flops(OPTIMIZER_MUON, &run.expert) == update);
    double got = muon.experts_training - adamw.experts_training;
    assert_true(fabs(got / (run.experts * run.expert_steps * update) - 1) < 1e-6);
    assert_true(muon.routers_training == adamw.routers_training);
    assert_true(muon.dense_inference == adamw.dense_inference);
}

static void test_scores_bytes(void **state)
{
    (void)state;
    assert_true(cost_scores_bytes(45e6, 32, 1024) == 5.625e6); /* A.4 */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table_3),
        cmocka_unit_test(test_prefix_count_of_eq_13),
        cmocka_unit_test(test_forward_by_hand),
        cmocka_unit_test(test_counted_sequences),
        cmocka_unit_test(test_dense_at_equal_flops),
        cmocka_unit_test(test_muon_is_counted),
        cmocka_unit_test(test_scores_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
