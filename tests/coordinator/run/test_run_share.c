/* The share of a run that is done: what `run list` and `run wait` show, and how long it will take
 * follows from it. */
#include "coordinator/run/run_share.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

static const char ini[] = "[run]\nname = r\ndataset = d\nexperts = 4\n"
                          "[router]\nhidden = 16\nlayers = 1\nheads = 2\nprefix = 32\nrounds = 8\n"
                          "sequences = 4096\nbatch = 16\n"
                          "[expert]\nhidden = 32\nlayers = 2\nheads = 2\nbatch = 8\nsteps = 4000\n"
                          "[dense]\nmatch = both\n";

static uint64_t steps[4];

static void begin(struct run_view *v)
{
    struct err e = {0};
    memset(v, 0, sizeof *v);
    memset(steps, 0, sizeof steps);
    if (spec_parse(ini, strlen(ini), "test", &v->spec, &e))
        fail_msg("%s", e.message);
    v->facts = (struct run_facts){.spec = &v->spec,
                                  .vocab = 1024,
                                  .seq = 128,
                                  .train_sequences = 110000,
                                  .heldout_sequences = 6000,
                                  .shard_sequences = 4096,
                                  .expert_step = steps};
}

/* It begins at 0, ends at 1, and never goes back on the way. */
static void test_from_nothing_to_all(void **state)
{
    (void)state;
    struct run_view v;
    begin(&v);
    double last = run_share(&v, NULL, 0);
    assert_true(last == 0);
    const uint64_t dense = due_steps(&v.facts, TARGET_DENSE);
    const uint64_t dense_flops = due_steps(&v.facts, TARGET_DENSE_FLOPS);
    for (int stage = 0; stage < 6; stage++) {
        if (stage == 0)
            v.facts.dense_step = dense;
        else if (stage == 1)
            v.facts.rounds_trained = v.facts.rounds_scored = v.spec.router.rounds;
        else if (stage == 2)
            v.facts.chunks_scored = (uint32_t)spec_chunks(&v.spec, v.facts.train_sequences);
        else if (stage == 3)
            steps[0] = steps[1] = steps[2] = steps[3] = v.spec.expert.steps;
        else if (stage == 4)
            v.facts.dense_flops_step = dense_flops;
        else
            v.facts.evals_done = due_evals_total(&v.facts);
        double share = run_share(&v, NULL, 0);
        assert_true(share > last);
        last = share;
    }
    assert_true(last > 1 - 1e-12 && last < 1 + 1e-12);
}

/* Between two published links agents report steps: who watches sees them move. */
static void test_reported_steps_count(void **state)
{
    (void)state;
    struct run_view v;
    begin(&v);
    struct msg_model_progress models[] = {
        {.target = TARGET_DENSE, .step = 500, .steps = 4000},
        {.target = TARGET_EXPERT, .index = 0, .step = 0, .steps = 4000},
        {.target = TARGET_EXPERT, .index = 1, .step = 0, .steps = 4000},
    };
    double before = run_share(&v, models, 3);
    assert_true(before > run_share(&v, NULL, 0));
    models[0].step = 900;
    models[2].step = 100;
    assert_true(run_share(&v, models, 3) > before);
    assert_true(run_share(&v, models, 3) < 1);
}

/* The random control trains no routers: their absence must not be waited for. */
static void test_random_control(void **state)
{
    (void)state;
    struct run_view v;
    begin(&v);
    v.spec.router.mode = SPEC_RANDOM;
    v.facts.dense_step = due_steps(&v.facts, TARGET_DENSE);
    v.facts.dense_flops_step = due_steps(&v.facts, TARGET_DENSE_FLOPS);
    steps[0] = steps[1] = steps[2] = steps[3] = v.spec.expert.steps;
    v.facts.evals_done = due_evals_total(&v.facts);
    assert_true(run_share(&v, NULL, 0) > 1 - 1e-12);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_from_nothing_to_all),
        cmocka_unit_test(test_reported_steps_count),
        cmocka_unit_test(test_random_control),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
