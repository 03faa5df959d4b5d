/* How fast this machine trains a plan's expert: the one figure that no formula gives. */
#include <stdlib.h>
#include "core/env/clock.h"
#include "core/env/process.h"
#include "core/model/engine.h"
#include "ops/cli/plan.h"

#define MEASURE_SECONDS 0.5
/* FLOPs of a timed step: some tens of milliseconds of one thread. A larger model is cut down to it:
 * fewer sequences, then fewer layers, then fewer tokens; the widths, which decide the speed of
 * products, stay. */
#define MEASURE_FLOPS 5e9

struct measure {
    struct model_config c;
    uint32_t batch, length;
    float *parameters, *moment1, *moment2;
    uint32_t *tokens;
    struct engine *engine;
};

static double step_flops(const struct measure *m)
{
    return 3 * cost_forward(m->batch, m->length, &m->c);
}

static void cut_down(struct measure *m)
{
    while (step_flops(m) > MEASURE_FLOPS && m->batch > 1)
        m->batch /= 2;
    while (step_flops(m) > MEASURE_FLOPS && m->c.layers > 2)
        m->c.layers = m->c.layers / 2 < 2 ? 2 : m->c.layers / 2;
    while (step_flops(m) > MEASURE_FLOPS && m->length > 16)
        m->length /= 2;
}

static int prepare(struct measure *m, const struct plan *p, struct err *e)
{
    struct engine_options o = {.arithmetic =
                                   p->spec.arithmetic == SPEC_BLAS ? ENGINE_BLAS : ENGINE_EXACT,
                               .threads = 1,
                               .train = true};
    uint64_t n = model_parameters(&m->c), count = (uint64_t)m->batch * m->length;
    if (engine_memory(&m->c, true) > env_memory_bytes() / 4)
        return err_set(e, ERR_NO_MEMORY, "the model is too large to be timed on this machine");
    m->parameters = calloc(n, sizeof *m->parameters);
    m->moment1 = calloc(n, sizeof *m->moment1);
    m->moment2 = calloc(n, sizeof *m->moment2);
    m->tokens = calloc(count, sizeof *m->tokens);
    if (!m->parameters || !m->moment1 || !m->moment2 || !m->tokens)
        return err_set(e, ERR_NO_MEMORY, "no memory to time a training step");
    model_init(&m->c, 1, MODEL_STREAM_EXPERT, m->parameters);
    for (uint64_t i = 0; i < count; i++)
        m->tokens[i] = (uint32_t)(i * 2654435761u % m->c.vocab);
    return engine_create(&m->engine, &m->c, &o, e);
}

static int run_steps(struct measure *m, double *flops_s, struct err *e)
{
    struct engine_step o = {
        .learning_rate = 1e-5, .beta1 = 0.9, .beta2 = 0.99, .epsilon = 1e-8, .grad_clip = 1};
    double loss, norm, began = 0, took = 0;
    uint64_t timed = 0;
    /* The first step touches memory for the first time: it is not timed. */
    for (o.step = 1; took < MEASURE_SECONDS; o.step++) {
        int rc = engine_train_step(m->engine, m->parameters, m->moment1, m->moment2, m->tokens,
                                   m->batch, m->length, &o, &loss, &norm, e);
        if (rc)
            return rc;
        if (o.step == 1) {
            began = env_monotonic_s();
            continue;
        }
        timed++;
        took = env_monotonic_s() - began;
    }
    *flops_s = (double)timed * step_flops(m) / took;
    return 0;
}

int plan_measure(const struct plan *p, double *flops_s, struct err *e)
{
    struct measure m = {.c = p->expert, .batch = p->spec.expert.batch, .length = p->data.seq};
    cut_down(&m);
    int rc = prepare(&m, p, e);
    if (!rc)
        rc = run_steps(&m, flops_s, e);
    engine_destroy(m.engine);
    free(m.parameters);
    free(m.moment1);
    free(m.moment2);
    free(m.tokens);
    return rc;
}
