#include "core/model/optimizer.h"

#include <string.h>

const char *optimizer_word(enum optimizer o)
{
    return o == OPTIMIZER_MUON ? "muon" : "adamw";
}

bool optimizer_is_muons(enum optimizer o, const struct model_tensor *t)
{
    return o == OPTIMIZER_MUON && t->rank == 2 && t->offset > 0; /* the embedding is the first */
}

static uint64_t size_of(const struct model_tensor *t)
{
    return t->shape[0] * t->shape[1];
}

uint64_t optimizer_moments(enum optimizer o, const struct model_config *c)
{
    uint64_t floats = 2 * model_parameters(c);
    for (uint32_t i = 0; i < model_tensor_count(c); i++) {
        struct model_tensor t;
        model_tensor_at(c, i, &t);
        floats -= optimizer_is_muons(o, &t) ? size_of(&t) : 0;
    }
    return floats;
}

void optimizer_clear(enum optimizer o, const struct model_config *c, float *moment1, float *moment2)
{
    memset(moment1, 0, model_parameters(c) * sizeof *moment1);
    for (uint32_t i = 0; i < model_tensor_count(c); i++) {
        struct model_tensor t;
        model_tensor_at(c, i, &t);
        if (!optimizer_is_muons(o, &t))
            memset(moment2 + t.offset, 0, size_of(&t) * sizeof *moment2);
    }
}

double optimizer_flops(enum optimizer o, const struct model_config *c)
{
    double flops = 0;
    for (uint32_t i = 0; i < model_tensor_count(c); i++) {
        struct model_tensor t;
        model_tensor_at(c, i, &t);
        const double rows = (double)t.shape[0], columns = (double)t.shape[1];
        const double small = rows < columns ? rows : columns;
        if (optimizer_is_muons(o, &t)) /* A, A·A, and what X is multiplied by */
            flops += OPTIMIZER_ROUNDS * 2 * small * small * (2 * rows * columns / small + small);
    }
    return flops;
}
