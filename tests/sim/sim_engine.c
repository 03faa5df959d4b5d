/* core/model/engine.h without its arithmetic: every result is a hash of what the real one would
 * depend on, all parameters, moments, tokens and settings, so that whatever is computed from the
 * wrong inputs, or twice, or not at all, has other bits. Numbers look like those of a model, as far
 * as anything checks them. */
#include "core/model/engine.h"

#include <stdlib.h>
#include <string.h>
#include "tests/sim/engine_time.h"
#include "tests/sim/goodput.h"
#include "tests/sim/world.h"

struct engine {
    struct model_config config;
    uint64_t count;
};

int64_t sim_engine_step_us = 500000, sim_engine_sequence_us = 20000;

static uint64_t mix(uint64_t h, uint64_t x)
{
    h = (h ^ x) * 0x9e3779b97f4a7c15ull;
    return h ^ h >> 29;
}

static uint64_t hash_floats(uint64_t h, const float *f, uint64_t n)
{
    uint64_t four[4] = {h, h + 1, h + 2, h + 3}, i = 0;
    for (; i + 8 <= n; i += 8)
        for (int k = 0; k < 4; k++) {
            uint64_t two;
            memcpy(&two, f + i + 2 * k, sizeof two);
            four[k] = mix(four[k], two);
        }
    for (; i < n; i++) {
        uint32_t one;
        memcpy(&one, f + i, sizeof one);
        h = mix(h, one);
    }
    return mix(mix(mix(mix(h, four[0]), four[1]), four[2]), four[3]);
}

static uint64_t hash_tokens(uint64_t h, const uint32_t *t, uint64_t n)
{
    for (uint64_t i = 0; i < n; i++)
        h = mix(h, t[i]);
    return h;
}

static uint64_t hash_double(uint64_t h, double d)
{
    uint64_t bits;
    memcpy(&bits, &d, sizeof bits);
    return mix(h, bits);
}

/* In [0, 1). */
static double unit(uint64_t h)
{
    return (double)(h >> 11) / 9007199254740992.0;
}

int engine_create(struct engine **out, const struct model_config *c, const struct engine_options *o,
                  struct err *e)
{
    (void)o;
    struct engine *g = calloc(1, sizeof *g);
    if (!g)
        return err_set(e, ERR_NO_MEMORY, "no memory for an engine");
    g->config = *c;
    g->count = model_parameters(c);
    *out = g;
    return 0;
}

void engine_destroy(struct engine *g)
{
    free(g);
}

uint64_t engine_memory(const struct model_config *c, bool train, enum optimizer optimizer)
{
    (void)optimizer;
    return model_parameters(c) * (train ? 32 : 8);
}

const char *engine_describe(const struct engine *g)
{
    (void)g;
    return "simulated";
}

/* A few elements of each array move, the others stay: cheap, and still no step can be left out,
 * repeated or exchanged without other bits. */
int engine_train_step(struct engine *g, float *parameters, float *moment1, float *moment2,
                      const uint32_t *tokens, uint32_t batch, uint32_t length,
                      const struct engine_step *o, double *loss, double *grad_norm, struct err *e)
{
    (void)e;
    uint64_t h = hash_tokens(mix(1, o->step), tokens, (uint64_t)batch * length);
    h = hash_double(hash_double(h, o->learning_rate), o->weight_decay);
    h = hash_double(hash_double(h, o->beta1), o->beta2);
    h = hash_floats(h, parameters, g->count);
    h = hash_floats(hash_floats(h, moment1, g->count), moment2, g->count);
    for (int i = 0; i < 8; i++) {
        h = mix(h, (uint64_t)i);
        parameters[h % g->count] = (float)(unit(mix(h, 1)) - 0.5);
        moment1[h % g->count] = (float)(unit(mix(h, 2)) - 0.5);
        moment2[h % g->count] = (float)unit(mix(h, 3));
    }
    goodput_step(h, sim_engine_step_us);
    *loss = 1 + unit(mix(h, 4));
    *grad_norm = unit(mix(h, 5));
    world_spend(sim_engine_step_us);
    return 0;
}

int engine_gradients(struct engine *g, const float *parameters, const uint32_t *tokens,
                     uint32_t batch, uint32_t length, float *gradients, double *loss, struct err *e)
{
    (void)parameters;
    (void)tokens;
    (void)batch;
    (void)length;
    memset(gradients, 0, g->count * sizeof *gradients);
    *loss = 0;
    return err_set(e, ERR_INTERNAL, "no gradients are simulated");
}

int engine_losses(struct engine *g, const float *parameters, const uint32_t *tokens, uint32_t count,
                  uint32_t length, uint32_t prefix, double *all, double *after, struct err *e)
{
    (void)e;
    uint64_t model = hash_floats(2, parameters, g->count);
    for (uint32_t i = 0; i < count; i++) {
        uint64_t h = hash_tokens(model, tokens + (size_t)i * length, length);
        double before = (prefix - 1) * (0.5 + unit(h)),
               rest = (length - prefix) * (0.5 + unit(mix(h, 1)));
        if (all)
            all[i] = before + rest;
        if (after)
            after[i] = rest;
    }
    world_spend((int64_t)count * sim_engine_sequence_us);
    return 0;
}

int engine_scores(struct engine *g, const float *parameters, const uint32_t *tokens, uint32_t count,
                  uint32_t stride, uint32_t prefix, float *cumulative, struct err *e)
{
    (void)e;
    uint64_t model = hash_floats(3, parameters, g->count);
    for (uint32_t i = 0; i < count; i++) {
        uint64_t h = model;
        float sum = 0;
        for (uint32_t s = 0; s < prefix; s++) {
            h = mix(h, tokens[(size_t)i * stride + s]);
            if (s > 0)
                sum -= (float)(0.5 + unit(h));
            cumulative[(size_t)i * prefix + s] = sum;
        }
    }
    world_spend((int64_t)count * sim_engine_sequence_us);
    return 0;
}

int engine_logits(struct engine *g, const float *parameters, const uint32_t *tokens,
                  uint32_t length, float *logits, struct err *e)
{
    (void)parameters;
    (void)tokens;
    memset(logits, 0, (size_t)length * g->config.vocab * sizeof *logits);
    return err_set(e, ERR_INTERNAL, "no logits are simulated");
}
