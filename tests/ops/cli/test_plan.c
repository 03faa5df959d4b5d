#include "ops/cli/plan.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

static const char demo[] = "[run]\nname = demo\ndataset = demo\nexperts = 4\n"
                           "[router]\nhidden = 16\nlayers = 1\nheads = 2\nprefix = 32\nrounds = 8\n"
                           "sequences = 4096\nbatch = 16\n"
                           "[expert]\nhidden = 32\nlayers = 2\nheads = 2\nbatch = 8\nsteps = 4000\n"
                           "[dense]\nmatch = both\n[checkpoint]\nevery_steps = 250\n"
                           "publish_steps = 1000\n";
static const struct plan_data data = {.vocab = 1024, .seq = 128, .sequences = 110000};

static void make(const char *text, struct plan *p)
{
    struct run_spec spec;
    struct err e = {0};
    if (spec_parse(text, strlen(text), "test", &spec, &e) || plan_make(&spec, &data, p, &e))
        fail_msg("%s", e.message);
}

/* Table 3 in plain FLOPs: what `tacit plan --paper --json` prints. */
static void test_paper_rows(void **state)
{
    (void)state;
    struct plan_paper_row rows[16];
    assert_int_equal(cost_paper_count, 7);
    plan_paper_rows(rows);
    for (uint32_t i = 0; i < cost_paper_count; i++) {
        struct cost_paper_row paper;
        cost_paper_row_at(i, &paper);
        assert_string_equal(rows[i].model, paper.model);
        assert_int_equal(rows[i].experts, paper.experts);
        assert_true(fabs(rows[i].training / 1e19 - paper.printed_training) < 0.006);
        assert_true(fabs(rows[i].training_overhead / 1e19 - paper.printed_training_overhead) <
                    0.006);
        assert_true(fabs(rows[i].inference / 1e12 - paper.printed_inference) < 0.006);
        assert_true(fabs(rows[i].inference_overhead / 1e12 - paper.printed_inference_overhead) <
                    0.006);
    }
}

/* The demonstration's routers cost about 13 % of the experts' training (calibrated elsewhere), and
 * the second dense model makes up for exactly that. */
static void test_demo(void **state)
{
    (void)state;
    struct plan p;
    make(demo, &p);
    assert_in_range((uint64_t)(1000 * p.overhead_training), 90, 170);
    assert_true(p.overhead_training_paper > p.overhead_training);
    assert_true(p.dense_training == p.cost.experts_training);
    double mixture = p.cost.experts_training * (1 + p.overhead_training);
    assert_true(fabs(p.dense_flops_training / mixture - 1) < 1e-3);
    assert_int_equal(p.router_steps, 8 * (4096 / 4 / 16));
    assert_int_equal(p.draw, 110000); /* the experts want 128,000: they go around */
    assert_int_equal(p.dense_steps, 4000);
    assert_true(p.data_parallel_bytes ==
                8.0 * (double)p.expert_parameters * 4000 * 4); /* METHOD's figure */
    assert_true(p.moved_bytes < p.data_parallel_bytes / 10);
    assert_true(p.total > p.dense_training + p.dense_flops_training + p.cost.experts_training);
}

/* Random routing costs no training, and no figure of routers may be NaN; what agents score by is
 * sent and stored all the same. */
static void test_random_control(void **state)
{
    (void)state;
    struct plan p;
    char text[1024];
    snprintf(text, sizeof text, "%s", demo);
    char *router = strstr(text, "[router]\n");
    size_t at = (size_t)(router - text) + strlen("[router]\n");
    snprintf(text + at, sizeof text - at, "mode = random\n%s", demo + at);
    make(text, &p);
    assert_true(p.overhead_training == 0 && p.overhead_inference == 0);
    assert_true(p.router_parameters == 0);
    assert_true(p.disk.scores == 110000.0 * (2 * p.spec.experts + 4));
    assert_true(isfinite(p.moved_bytes) && p.moved_bytes > p.disk.scores + 2 * p.disk.pieces);
}

/* A spec that the data set can't feed is refused by the plan as it is by the coordinator. */
static void test_refuses(void **state)
{
    (void)state;
    struct run_spec spec;
    struct plan p;
    struct err e = {0};
    struct plan_data few = data;
    few.sequences = 1000;
    assert_int_equal(spec_parse(demo, strlen(demo), "test", &spec, &e), 0);
    assert_int_equal(plan_make(&spec, &few, &p, &e), ERR_INVALID);
    assert_non_null(strstr(e.message, "[router] sequences"));
}

/* More agents help until the longest chain, which nobody can share, is all that is left. */
static void test_seconds(void **state)
{
    (void)state;
    struct plan p;
    make(demo, &p);
    const uint64_t one[] = {1}, two[] = {1, 1}, big[] = {4, 1, 1, 1, 1, 1, 1, 1};
    const uint64_t many[64] = {[0 ... 63] = 1};
    double alone = plan_seconds(&p, one, 1, 1e9);
    assert_true(fabs(alone - p.total / 1e9) < 1e-6);
    assert_true(plan_seconds(&p, two, 2, 1e9) < 0.6 * alone);
    assert_true(plan_seconds(&p, many, 64, 1e9) == p.longest_chain / 1e9);
    assert_true(plan_seconds(&p, big, 8, 1e9) < plan_seconds(&p, many, 8, 1e9));
}

static void test_measure(void **state)
{
    (void)state;
    struct plan p;
    struct err e = {0};
    double flops_s = 0;
    make(demo, &p);
    assert_int_equal(plan_measure(&p, &flops_s, &e), 0);
    assert_true(flops_s > 1e7 && flops_s < 1e13);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_paper_rows),     cmocka_unit_test(test_demo),
        cmocka_unit_test(test_random_control), cmocka_unit_test(test_refuses),
        cmocka_unit_test(test_seconds),        cmocka_unit_test(test_measure),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
