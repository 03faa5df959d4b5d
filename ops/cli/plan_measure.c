/* How fast this machine trains a plan's expert: the one figure that no formula gives. */
#include <stdlib.h>
#include "core/env/clock.h"
#include "core/env/process.h"
#include "core/model/engine.h"
#include "ops/cli/plan.h"

#define MEASURE_SECONDS 0.5
/* FLOPs of a timed step: some tenths of a second of one thread. A larger model is cut down to it:
 * fewer sequences, then fewer pieces, layers and tokens; the widths, which decide the speed of
 * products, stay. The optimizer's update is left out: batches of real training make it small. */
#define MEASURE_FLOPS 2e10
#define MEASURE_VOCAB 8192

struct measure {
    struct model_config c;
    uint32_t batch, length;
    float *parameters, *gradients;
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
    if (step_flops(m) > MEASURE_FLOPS && m->c.vocab > MEASURE_VOCAB)
        m->c.vocab = MEASURE_VOCAB;
    while (step_flops(m) > MEASURE_FLOPS && m->c.layers > 2)
        m->c.layers = m->c.layers / 2 < 2 ? 2 : m->c.layers / 2;
    while (step_flops(m) > MEASURE_FLOPS && m->length > 16)
        m->length /= 2;
    m->c.seq = m->length;
}

/* Small values of both signs, all different: how fast products are does not depend on them. */
static float weight(uint64_t i)
{
    return ((float)(i * 2654435761u % 65536) - 32767.5f) * 1e-6f;
}

static int prepare(struct measure *m, const struct plan *p, struct err *e)
{
    struct engine_options o = {
        .arithmetic = spec_engine_arithmetic(&p->spec), .threads = 1, .train = true};
    uint64_t n = model_parameters(&m->c), count = (uint64_t)m->batch * m->length;
    if (engine_memory(&m->c, true, OPTIMIZER_ADAMW) > env_memory_bytes() / 4)
        return err_set(e, ERR_NO_MEMORY, "the model is too large to be timed on this machine");
    o.memory_max = m->batch * engine_memory(&m->c, true, OPTIMIZER_ADAMW);
    m->parameters = calloc(n, sizeof *m->parameters);
    m->gradients = calloc(n, sizeof *m->gradients);
    m->tokens = calloc(count, sizeof *m->tokens);
    if (!m->parameters || !m->gradients || !m->tokens)
        return err_set(e, ERR_NO_MEMORY, "no memory to time a training step");
    for (uint64_t i = 0; i < n; i++)
        m->parameters[i] = weight(i);
    for (uint64_t i = 0; i < count; i++)
        m->tokens[i] = (uint32_t)(i * 2654435761u % m->c.vocab);
    return engine_create(&m->engine, &m->c, &o, e);
}

static int run_steps(struct measure *m, double *flops_s, struct err *e)
{
    double loss, began = 0, took = 0;
    uint64_t timed = 0;
    /* The first step touches memory for the first time: it is not timed. */
    for (bool first = true; took < MEASURE_SECONDS; first = false) {
        int rc = engine_gradients(m->engine, m->parameters, m->tokens, m->batch, m->length,
                                  m->gradients, &loss, e);
        if (rc)
            return rc;
        if (first)
            began = env_monotonic_s();
        else
            timed++;
        took = first ? 0 : env_monotonic_s() - began;
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
    free(m.gradients);
    free(m.tokens);
    return rc;
}
