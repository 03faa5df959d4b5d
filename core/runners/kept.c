#include "core/runners/kept.h"

#include <stdlib.h>
#include <string.h>

#define KEPT_ENGINES 3 /* a router's, an expert's, and one for a run beside it */

struct kept_engine {
    struct engine *engine;
    struct model_config config;
    struct engine_options options;
    uint64_t used;
};

struct kept {
    int threads;
    uint64_t clock;
    struct kept_engine engines[KEPT_ENGINES];
    struct weights weights;
    float *parameters;
    uint64_t parameter_count;
};

static bool same_config(const struct model_config *a, const struct model_config *b)
{
    return a->vocab == b->vocab && a->seq == b->seq && a->hidden == b->hidden &&
           a->layers == b->layers && a->heads == b->heads && a->ffn == b->ffn;
}

int kept_create(struct kept **out, int threads, struct err *e)
{
    struct kept *k = calloc(1, sizeof *k);
    *out = k;
    if (!k) {
        return err_set(e, ERR_NO_MEMORY, "no memory for what is kept between jobs");
    }
    k->threads = threads;
    return 0;
}

static void weights_free(struct weights *w)
{
    free(w->parameters);
    free(w->moment1);
    free(w->moment2);
    *w = (struct weights){0};
}

void kept_destroy(struct kept *k)
{
    if (!k) {
        return;
    }
    for (int i = 0; i < KEPT_ENGINES; i++) {
        engine_destroy(k->engines[i].engine);
    }
    weights_free(&k->weights);
    free(k->parameters);
    free(k);
}

/* Whether an engine made for `has` does what `wants` asks for: one that trains scores, too. */
static bool serves(const struct engine_options *has, const struct engine_options *wants)
{
    return has->arithmetic == wants->arithmetic &&
           (!wants->train || (has->train && has->optimizer == wants->optimizer));
}

int kept_engine(struct kept *k, const struct model_config *c, const struct engine_options *o,
                struct engine **out, struct err *e)
{
    struct kept_engine *oldest = &k->engines[0];
    for (int i = 0; i < KEPT_ENGINES; i++) {
        struct kept_engine *x = &k->engines[i];
        if (x->engine && same_config(&x->config, c) && serves(&x->options, o)) {
            x->used = ++k->clock;
            *out = x->engine;
            return 0;
        }
        if (x->used < oldest->used) {
            oldest = x;
        }
    }
    engine_destroy(oldest->engine);
    *oldest = (struct kept_engine){.config = *c, .options = *o, .used = ++k->clock};
    oldest->options.threads = k->threads;
    int rc = engine_create(&oldest->engine, c, &oldest->options, e);
    if (rc) {
        *oldest = (struct kept_engine){0};
        return rc;
    }
    *out = oldest->engine;
    return 0;
}

/* Aligned for vectors. */
static float *floats(uint64_t count)
{
    uint64_t bytes = (count * sizeof(float) + 63) / 64 * 64;
    return aligned_alloc(64, bytes);
}

int kept_weights(struct kept *k, const struct model_config *c, enum optimizer optimizer,
                 struct weights **out, struct err *e)
{
    struct weights *w = &k->weights;
    *out = w;
    w->optimizer = optimizer; /* another's state has other tensors, so another digest, too */
    if (w->parameters && same_config(&w->config, c)) {
        return 0;
    }
    weights_free(w);
    w->config = *c;
    w->optimizer = optimizer;
    w->count = model_parameters(c);
    w->parameters = floats(w->count);
    w->moment1 = floats(w->count);
    w->moment2 = floats(w->count);
    if (!w->parameters || !w->moment1 || !w->moment2) {
        weights_free(w);
        return err_set(e, ERR_NO_MEMORY, "no memory for a model of %llu parameters and its moments",
                       (unsigned long long)model_parameters(c));
    }
    return 0;
}

int kept_parameters(struct kept *k, const struct model_config *c, float **out, struct err *e)
{
    uint64_t count = model_parameters(c);
    if (k->parameter_count < count) {
        free(k->parameters);
        k->parameters = floats(count);
        k->parameter_count = k->parameters ? count : 0;
        if (!k->parameters) {
            return err_set(e, ERR_NO_MEMORY, "no memory for a model of %llu parameters",
                           (unsigned long long)count);
        }
    }
    *out = k->parameters;
    return 0;
}
