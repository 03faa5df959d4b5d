#include "ops/cli/watch.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>
#include "ops/cli/format.h"

static struct arena arena;

static int setup(void **state)
{
    (void)state;
    arena_init(&arena, 1u << 20);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_free(&arena);
    return 0;
}

static struct msg_model_progress model(int target, uint64_t index, uint64_t step, const char *agent)
{
    return (struct msg_model_progress){.target = target,
                                       .index = index,
                                       .step = step,
                                       .steps = 4000,
                                       .state = agent ? "training" : "waiting",
                                       .agent = agent,
                                       .loss = agent ? 3.25 : NAN,
                                       .rate = agent ? 61000 : NAN};
}

static void test_phase(void **state)
{
    (void)state;
    struct msg_run r = {
        .state = RUN_ACTIVE, .phase = "routers", .round = 2, .rounds = 8, .progress = 0.05};
    assert_string_equal(watch_phase(&arena, &r), "routers: round 3 of 8; 5 % done");
    r.phase = "dense"; /* nobody is at the routers */
    assert_string_equal(watch_phase(&arena, &r),
                        "dense first, routers' round 3 of 8 after it; 5 % done");
    r.phase = "scoring";
    r.round = 8; /* the corpus is scored: that is no round */
    assert_string_equal(watch_phase(&arena, &r), "scoring; 5 % done");
    r.state = RUN_DONE;
    assert_string_equal(watch_phase(&arena, &r), "done");
}

/* A log has to say who works on what, in one line. */
static void test_line(void **state)
{
    (void)state;
    struct msg_model_progress models[] = {model(TARGET_EXPERT, 0, 1200, "agent-1"),
                                          model(TARGET_EXPERT, 1, 0, NULL),
                                          model(TARGET_DENSE, 0, 900, "agent-2")};
    struct msg_run r = {.state = RUN_ACTIVE,
                        .phase = "experts",
                        .progress = 0.4,
                        .models = models,
                        .model_count = 3};
    assert_string_equal(watch_line(&arena, &r),
                        "experts; 40 % done; expert 0 1,200/4,000 loss 3.25 (agent-1, "
                        "61,000 tokens/s); dense 900/4,000 loss 3.25 (agent-2, 61,000 tokens/s)");
    r.jobs_quarantined = 2;
    assert_non_null(strstr(watch_line(&arena, &r), "2 jobs quarantined"));
}

/* With more models than rows, those that move are seen, and the order is kept. */
static void test_select(void **state)
{
    (void)state;
    struct msg_model_progress models[40], shown[40];
    for (uint32_t i = 0; i < 40; i++)
        models[i] = model(TARGET_EXPERT, i, 0, i == 7 || i == 31 ? "agent" : NULL);
    struct msg_run r = {
        .state = RUN_ACTIVE, .phase = "experts", .models = models, .model_count = 40};
    assert_int_equal(watch_select(&r, 4, shown), 4);
    const uint64_t wanted[] = {0, 1, 7, 31};
    for (uint32_t i = 0; i < 4; i++)
        assert_int_equal(shown[i].index, wanted[i]);
    assert_int_equal(watch_select(&r, 100, shown), 40);
    assert_int_equal(shown[39].index, 39);
}

static void test_bar(void **state)
{
    (void)state;
    assert_string_equal(watch_bar(&arena, 0, 12), "[..........]");
    assert_string_equal(watch_bar(&arena, 0.55, 12), "[#####.....]");
    assert_string_equal(watch_bar(&arena, 1.2, 12), "[##########]");
}

/* No end is promised before there is a pace to promise it from. */
/* A log that says the same line again and again hides what is new. */
static void test_log(void **state)
{
    struct watch_log g = {0};
    struct msg_run r = {.phase = "routers", .round = 1};
    (void)state;
    assert_true(watch_log_due(&g, &r, "routers: 4 %", 0));
    assert_false(watch_log_due(&g, &r, "routers: 5 %", 9999));
    assert_true(watch_log_due(&g, &r, "routers: 6 %", 10000));
    r.round = 2;
    assert_true(watch_log_due(&g, &r, "routers: round 2", 10500));
    r.phase = "scoring";
    r.round = 3;
    assert_true(watch_log_due(&g, &r, "scoring; 9 %", 11000));
    r.round = 4; /* news, but not in words */
    assert_false(watch_log_due(&g, &r, "scoring; 9 %", 12000));
    assert_false(watch_log_due(&g, &r, "scoring; 9 %", 40999));
    assert_true(watch_log_due(&g, &r, "scoring; 9 %", 41000)); /* it is alive */
}

/* An estimate is no more precise than it is, and nothing is left for no time at all. */
static void test_left_words(void **state)
{
    char out[24];
    (void)state;
    assert_string_equal(format_left(185.4, out), "3m 05s");
    assert_string_equal(format_left(59.7, out), "1m 00s");
    assert_string_equal(format_left(18.2, out), "18 s");
    assert_string_equal(format_left(0.99, out), "");
    assert_string_equal(format_left(NAN, out), "");
}

static void test_left(void **state)
{
    (void)state;
    struct watch_pace p = {0};
    assert_true(isnan(watch_left(&p, 0.10, 100)));
    assert_true(isnan(watch_left(&p, 0.105, 101)));
    double left = watch_left(&p, 0.20, 110); /* a tenth in ten seconds */
    assert_true(fabs(left - 80) < 1e-9);
    /* Shares come in steps: between them the clock counts down. */
    assert_true(fabs(watch_left(&p, 0.20, 114) - 76) < 1e-9);
    assert_true(watch_left(&p, 0.20, 1000) == 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_phase), TEST(test_line),       TEST(test_select), TEST(test_bar),
        TEST(test_left),  TEST(test_left_words), TEST(test_log),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
