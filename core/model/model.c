#include "core/model/model.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include "core/base/rng.h"
#include "core/kernels/mathfn.h"

#define PARAMETERS_MAX (UINT64_C(1) << 36)

/* Tensors of one layer, in the order they are stored. */
enum { NORM1, QKV, OUT, NORM2, UP, DOWN, PER_LAYER };

static int size_check(const char *name, uint32_t value, uint32_t max, struct err *e)
{
    if (value == 0 || value > max)
        return err_set(e, ERR_RANGE, "%s = %u: must be between 1 and %u", name, value, max);
    return 0;
}

int model_config_check(const struct model_config *c, struct err *e)
{
    const struct {
        const char *name;
        uint32_t value, max;
    } sizes[] = {
        {"vocab", c->vocab, 1u << 20}, {"seq", c->seq, 1u << 16}, {"hidden", c->hidden, 1u << 15},
        {"layers", c->layers, 512},    {"heads", c->heads, 512},  {"ffn", c->ffn, 1u << 17},
    };
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        const int rc = size_check(sizes[i].name, sizes[i].value, sizes[i].max, e);
        if (rc)
            return rc;
    }
    if (c->hidden % (2 * c->heads) != 0)
        return err_set(e, ERR_RANGE,
                       "hidden = %u, heads = %u: hidden must be a multiple of 2·heads (%u), since "
                       "rotary positions turn pairs within a head",
                       c->hidden, c->heads, 2 * c->heads);
    if (model_parameters(c) > PARAMETERS_MAX)
        return err_set(e, ERR_RANGE,
                       "the model would have %llu parameters; at most 2^36: reduce hidden, layers, "
                       "ffn or vocab",
                       (unsigned long long)model_parameters(c));
    return 0;
}

static uint64_t layer_floats(const struct model_config *c)
{
    const uint64_t h = c->hidden, f = c->ffn;
    return 2 * h + 4 * h * h + 2 * h * f;
}

uint64_t model_parameters(const struct model_config *c)
{
    return (uint64_t)c->vocab * c->hidden + c->layers * layer_floats(c) + c->hidden;
}

uint32_t model_tensor_count(const struct model_config *c)
{
    return 2 + PER_LAYER * c->layers;
}

static void tensor_shape(struct model_tensor *t, uint64_t rows, uint64_t columns)
{
    t->rank = columns ? 2 : 1;
    t->shape[0] = rows;
    t->shape[1] = columns ? columns : 1;
    t->decay = columns != 0;
}

static void layer_tensor(const struct model_config *c, uint32_t layer, uint32_t which,
                         struct model_tensor *out)
{
    const uint64_t h = c->hidden, f = c->ffn;
    const struct {
        const char *name;
        uint64_t rows, columns;
    } parts[PER_LAYER] = {
        [NORM1] = {"norm1", h, 0}, [QKV] = {"attn.qkv", 3 * h, h}, [OUT] = {"attn.out", h, h},
        [NORM2] = {"norm2", h, 0}, [UP] = {"ffn.up", f, h},        [DOWN] = {"ffn.down", h, f},
    };
    out->offset = (uint64_t)c->vocab * h + layer * layer_floats(c);
    for (uint32_t i = 0; i < which; i++)
        out->offset += parts[i].rows * (parts[i].columns ? parts[i].columns : 1);
    snprintf(out->name, sizeof out->name, "layers.%u.%s.weight", layer, parts[which].name);
    tensor_shape(out, parts[which].rows, parts[which].columns);
}

void model_tensor_at(const struct model_config *c, uint32_t i, struct model_tensor *out)
{
    memset(out, 0, sizeof *out);
    if (i == 0) {
        snprintf(out->name, sizeof out->name, "embed.weight");
        tensor_shape(out, c->vocab, c->hidden);
    } else if (i == model_tensor_count(c) - 1) {
        snprintf(out->name, sizeof out->name, "norm.weight");
        out->offset = model_parameters(c) - c->hidden;
        tensor_shape(out, c->hidden, 0);
    } else {
        layer_tensor(c, (i - 1) / PER_LAYER, (i - 1) % PER_LAYER, out);
    }
}

/* Standard deviation of the initial values; 0: all ones. */
static double initial_deviation(const struct model_config *c, uint32_t i,
                                const struct model_tensor *t)
{
    if (t->rank == 1)
        return 0.0;
    if (i == 0)
        return 0.02;
    const uint32_t which = (i - 1) % PER_LAYER;
    const double into_residual = which == OUT || which == DOWN ? 2.0 * c->layers : 1.0;
    return 1.0 / sqrt((double)t->shape[1] * into_residual);
}

/* Box–Muller on words 0 and 1 of the element's own block, in double, rounded once. */
static float normal(struct rng_key key, uint64_t stream, uint64_t element, double deviation)
{
    const double two_pi = 6.28318530717958647693;
    uint32_t word[4];
    rng_block_keyed(key, stream, element, word);
    const double radius = ((double)word[0] + 0.5) * 0x1p-32;
    const double turn = ((double)word[1] + 0.5) * 0x1p-32;
    return (float)(deviation * (sqrt(-2.0 * mathfn_log(radius)) * mathfn_cos(two_pi * turn)));
}

void model_init(const struct model_config *c, uint64_t seed, uint64_t stream, float *parameters)
{
    const struct rng_key key = rng_key(seed, RNG_INIT);
    for (uint32_t i = 0; i < model_tensor_count(c); i++) {
        struct model_tensor t;
        model_tensor_at(c, i, &t);
        const double deviation = initial_deviation(c, i, &t);
        const uint64_t end = t.offset + t.shape[0] * t.shape[1];
        for (uint64_t j = t.offset; j < end; j++)
            parameters[j] = deviation == 0.0 ? 1.0f : normal(key, stream, j, deviation);
    }
}
