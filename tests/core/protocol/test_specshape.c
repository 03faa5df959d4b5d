/* What follows from a spec: what the coordinator, agents and `tacit plan` all rely on, and the
 * refusals of a run that its data set cannot feed. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include "core/protocol/spec.h"

static struct run_spec spec_of(const char *more)
{
    char text[800];
    struct run_spec s;
    struct err e = {0};

    snprintf(text, sizeof text,
             "[run]\nname = demo\ndataset = corpus\nexperts = 4\n"
             "[router]\nhidden = 16\nlayers = 1\nheads = 2\n"
             "[expert]\nhidden = 32\nlayers = 2\nheads = 2\n%s",
             more);
    if (spec_parse(text, strlen(text), "a.ini", &s, &e))
        fail_msg("%s", e.message);
    return s;
}

static void demo_fits_its_data(void **state)
{
    (void)state;
    struct run_spec s = spec_of("");
    struct model_config router, expert;
    struct err e = {0};

    assert_int_equal(spec_check_dataset(&s, 1024, 128, 110000, 5000, &e), 0);
    spec_router_model(&s, 1024, 128, &router);
    assert_true(router.vocab == 1024 && router.seq == 128 && router.hidden == 16 &&
                router.ffn == 64);
    spec_expert_model(&s, 1024, 128, &expert);
    assert_true(expert.hidden == 32 && expert.layers == 2 && expert.heads == 2 &&
                expert.ffn == 128);
    assert_int_equal(spec_router_steps(&s, 3), 64);
    assert_int_equal(spec_dense_steps(&s), 4000);
    assert_int_equal(spec_expert_draw(&s, 110000), 110000);
    assert_int_equal(spec_expert_draw(&s, 200000), 128000);
    assert_int_equal(spec_chunks(&s, 110000), 1);
}

static void chunks_round_up(void **state)
{
    (void)state;
    struct run_spec s = spec_of("chunk = 1000\n");

    assert_int_equal(spec_chunks(&s, 4000), 4);
    assert_int_equal(spec_chunks(&s, 4001), 5);
}

/* Random routing trains no routers, but its jobs store what those of learnt ones do: a disk planned
 * for less fills up. */
static void random_routing_stores_scores_and_evaluations(void **state)
{
    (void)state;
    struct run_spec s = spec_of("");
    struct spec_disk learnt, random;
    const double row = 2 * s.experts + 4, heldout = 5000;

    spec_disk(&s, 1024, 128, 110000, 5000, &learnt);
    s.router.mode = SPEC_RANDOM;
    spec_disk(&s, 1024, 128, 110000, 5000, &random);
    assert_true(random.scores == 110000 * row);
    assert_true(learnt.scores ==
                random.scores + (s.router.rounds - 1) * (double)s.router.sequences * row);
    assert_true(random.evaluations == learnt.evaluations);
    assert_true(random.evaluations > s.experts * heldout * 4 * s.router.prefix);
    assert_true(random.pieces == learnt.pieces && random.assignments < learnt.assignments);
    assert_true(random.checkpoints_peak < learnt.checkpoints_peak);
    assert_true(random.peak >= random.after + random.scores);
}

static void refusals_say_what_to_do(void **state)
{
    (void)state;
    static const struct {
        const char *more;
        uint32_t seq;
        uint64_t sequences, heldout;
        const char *message;
    } cases[] = {
        {"", 16, 110000, 10, "[router] prefix: 32 is more than the 16 tokens"},
        {"", 128, 32767, 10,
         "[router] sequences: 4096 a round in 8 rounds need more sequences than the data set's "
         "32767; "},
        {"[router]\nsequences = 60\n", 128, 110000, 10,
         "[router] batch: 16 is more than a router's 15 sequences of a round; "},
        {"[router]\nmode = random\n[expert]\nbatch = 100\n", 128, 399, 10,
         "[expert] batch: 100 is more than the 99 sequences that an expert gets of the data set's "
         "399; "},
        {"[router]\nmode = random\n[expert]\nbatch = 100\nchunk = 100\n", 128, 430, 10,
         ""}, /* 4·25 + 7 */
        {"chunk = 4\n", 128, 110000, 10,
         "[expert] chunk: 4 makes 27500 chunks of the 110000 sequences that experts draw, more "
         "than "
         "4096; accepted: at least 27"},
        {"chunk = 27\n", 128, 110000, 10, ""},
        {"[router]\nsequences = 13000\npasses = 1000\n[dense]\nmatch = both\n"
         "[checkpoint]\npublish_steps = 10\n[eval]\nevery_steps = 10\n",
         128, 110000, 10, "[eval] every_steps: 10 evaluates the dense model of equal FLOPs at "},
        {"", 128, 110000, 0, "[run] dataset: corpus has no held-out sequences"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct run_spec s = spec_of(cases[i].more);
        struct err e = {0};
        int rc =
            spec_check_dataset(&s, 1024, cases[i].seq, cases[i].sequences, cases[i].heldout, &e);
        assert_int_equal(rc, cases[i].message[0] ? ERR_INVALID : 0);
        if (strncmp(e.message, cases[i].message, strlen(cases[i].message)))
            fail_msg("%s\n not %s", e.message, cases[i].message);
    }
}

/* A model too large for this build is refused with its section named, before any job exists. */
static void shapes_beyond_limits_are_refused(void **state)
{
    (void)state;
    struct run_spec s = spec_of("");
    struct err e = {0};

    assert_int_not_equal(spec_check_dataset(&s, (1u << 20) + 1, 128, 110000, 10, &e), 0);
    assert_memory_equal(e.message, "[expert]", 8);
}

/* Costs count what really happens: T−1 assignments, prefixes for routers, none for the control. */
static void costs_count_what_is_done(void **state)
{
    (void)state;
    struct run_spec s = spec_of(""), control = spec_of("[router]\nmode = random\n");
    struct cost_run c;
    struct cost_result r;
    uint64_t steps;

    spec_cost(&s, 1024, 128, 110000, &c);
    assert_true(c.router_steps == 8 * 64 && c.scored_for_routers == 7 * 4096.0);
    assert_true(c.scored_for_experts == 110000 && c.dense_batch == 32 && c.dense_steps == 4000);
    cost_compute(&c, &r);
    /* MEASURED's calibration of this very spec: about 13 % overhead. */
    assert_true(r.training_overhead_prefix / r.experts_training > 0.09);
    assert_true(r.training_overhead_prefix / r.experts_training < 0.17);
    steps = spec_dense_flops_steps(&s, 1024, 128, 110000);
    assert_true(steps > 4000 && steps < 4700);

    spec_cost(&control, 1024, 128, 110000, &c);
    cost_compute(&c, &r);
    assert_true(r.training_overhead == 0 && r.inference_overhead == 0);
    assert_int_equal(spec_dense_flops_steps(&control, 1024, 128, 110000), 4000);
}

/* A router's share may be one sequence larger than another's, and so its steps by one. */
static void steps_follow_the_share(void **state)
{
    (void)state;
    struct run_spec s = spec_of("[router]\nsequences = 63\n");

    assert_int_equal(spec_router_steps(&s, 0), 1);
    assert_int_equal(spec_router_steps(&s, 3), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(demo_fits_its_data),
        cmocka_unit_test(chunks_round_up),
        cmocka_unit_test(random_routing_stores_scores_and_evaluations),
        cmocka_unit_test(refusals_say_what_to_do),
        cmocka_unit_test(shapes_beyond_limits_are_refused),
        cmocka_unit_test(costs_count_what_is_done),
        cmocka_unit_test(steps_follow_the_share),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
