#include "core/model/engine_parts.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "core/env/pages.h"
#include "core/env/process.h"
#include "core/kernels/mathfn.h"

/* A micro-batch whose values fit the caches runs faster than a large one (H = 32: by a sixth
 * against 4,096 rows), once products have enough rows. */
#define MICRO_BYTES_A_THREAD ((uint64_t)1 << 20)
#define MICRO_ROWS_MIN 512

static void set_sizes(struct engine *g, const struct model_config *c, bool train,
                      enum optimizer optimizer)
{
    g->c = *c;
    g->head = c->hidden / c->heads;
    g->threads = 1;
    g->train = train;
    g->optimizer = optimizer;
}

static struct kern_options kern_options_of(const struct model_config *c, enum engine_arithmetic a)
{
    static const enum kern_arithmetic arithmetic[] = {
        [ENGINE_EXACT] = KERN_EXACT, [ENGINE_BLAS] = KERN_BLAS, [ENGINE_BF16] = KERN_BF16};
    return (struct kern_options){
        .arithmetic = arithmetic[a], .seq = c->seq, .head = c->hidden / c->heads};
}

static uint64_t memory_of(const struct engine *g, int threads, enum engine_arithmetic a,
                          size_t rows)
{
    const struct kern_options k = kern_options_of(&g->c, a);
    return engine__workspace_size(g, rows) + kern_memory(&k, threads);
}

/* As many sequences as make the best micro-batch, fewer where memory_max asks for it. */
static int choose_rows(struct engine *g, const struct engine_options *o, struct err *e)
{
    const size_t seq = g->c.seq;
    const uint64_t max = o->memory_max ? o->memory_max : env_memory_bytes() / 2;
    const uint64_t count_min = (MICRO_ROWS_MIN * (uint64_t)o->threads + seq - 1) / seq;
    /* Packing bf16 halves what is read; in float32, held weights come from memory each time where
     * packed ones are in cache, and A lost a thirtieth. */
    g->hold = o->arithmetic == ENGINE_BF16;
    g->hold = g->hold && memory_of(g, o->threads, o->arithmetic, count_min * seq) <= max;
    g->recompute = g->train && memory_of(g, o->threads, o->arithmetic, seq) > max;
    const uint64_t none = memory_of(g, o->threads, o->arithmetic, 0);
    const uint64_t one = memory_of(g, o->threads, o->arithmetic, seq);
    /* Over many sequences the rounding to cache lines does not show. */
    const uint64_t each = (memory_of(g, o->threads, o->arithmetic, 64 * seq) - none) / 64;
    if (one > max)
        return err_set(e, ERR_NO_MEMORY,
                       "the model's workspaces take %llu MiB at least; %llu MiB are allowed",
                       (unsigned long long)(one >> 20), (unsigned long long)(max >> 20));
    uint64_t count = MICRO_BYTES_A_THREAD * (uint64_t)o->threads / each;
    if (count < count_min)
        count = count_min;
    if (count > (max - none) / each)
        count = (max - none) / each;
    while (count > 1 && memory_of(g, o->threads, o->arithmetic, count * seq) > max)
        count--;
    count += count == 0;
    g->rows = count * seq;
    return 0;
}

static int create_parts(struct engine *g, const struct engine_options *o, struct err *e)
{
    g->threads = o->threads;
    int rc = choose_rows(g, o, e);
    if (rc)
        return rc;
    g->pool = pool_create(o->threads, e);
    if (!g->pool)
        return e ? e->code : ERR_NO_MEMORY;
    const struct kern_options k = kern_options_of(&g->c, o->arithmetic);
    rc = kern_create(&g->kern, g->pool, &k, e);
    if (rc)
        return rc;
    rc = engine__workspace_take(g, e);
    if (rc)
        return rc;
    kern_rotary_table(g->cos, g->sin, g->c.seq, g->head);
    static const char *const words[] = {
        [ENGINE_EXACT] = "exact", [ENGINE_BLAS] = "blas", [ENGINE_BF16] = "exact bf16"};
    snprintf(g->description, sizeof g->description, "%s %s, %d thread%s%s", words[o->arithmetic],
             kern_isa(g->kern), o->threads, o->threads == 1 ? "" : "s",
             g->recompute ? ", recomputing" : "");
    return 0;
}

int engine_create(struct engine **out, const struct model_config *c, const struct engine_options *o,
                  struct err *e)
{
    *out = NULL;
    int rc = model_config_check(c, e);
    if (rc)
        return rc;
    if (o->threads < 1)
        return err_set(e, ERR_RANGE, "threads = %d: must be at least 1", o->threads);
    struct engine *g = calloc(1, sizeof *g);
    if (!g)
        return err_set(e, ERR_NO_MEMORY, "no memory for an engine");
    set_sizes(g, c, o->train, o->optimizer);
    rc = create_parts(g, o, e);
    if (rc) {
        engine_destroy(g);
        return rc;
    }
    *out = g;
    return 0;
}

void engine_destroy(struct engine *g)
{
    if (!g)
        return;
    kern_destroy(g->kern);
    pool_destroy(g->pool);
    env_pages_give(g->workspace, g->workspace_bytes);
    free(g);
}

uint64_t engine_memory(const struct model_config *c, bool train, enum optimizer optimizer)
{
    struct engine g = {0};
    set_sizes(&g, c, train, optimizer);
    /* Gradients are in the workspaces; the caller holds parameters and moments. */
    const uint64_t held = model_parameters(c) + (train ? optimizer_moments(optimizer, c) : 0);
    return held * sizeof(float) + memory_of(&g, 1, ENGINE_EXACT, c->seq);
}

const char *engine_describe(const struct engine *g)
{
    return g->description;
}

static int check_length(const struct engine *g, uint32_t length, uint32_t least, struct err *e)
{
    if (length < least || length > g->c.seq)
        return err_set(e, ERR_RANGE, "%u tokens a sequence: must be between %u and %u", length,
                       least, g->c.seq);
    return 0;
}

static int check_token(const struct engine *g, uint32_t token, struct err *e)
{
    if (token >= g->c.vocab)
        return err_set(e, ERR_RANGE, "token %u: the model's vocabulary has %u", token, g->c.vocab);
    return 0;
}

/* Sets up a micro-batch, after engine__hold, of `count` sequences of `length` tokens that start
 * `stride` apart. Their last tokens are targets alone: as inputs they would predict nothing and
 * change nothing before them. */
static int load(struct engine *g, const uint32_t *tokens, size_t stride, uint32_t count,
                uint32_t length, struct engine_batch *b, struct err *e)
{
    *b = (struct engine_batch){
        .count = count, .length = length - 1, .rows = (size_t)count * (length - 1), .held = true};
    for (size_t i = 0; i < count; i++) {
        const uint32_t *sequence = tokens + i * stride;
        for (uint32_t s = 0; s < length; s++) {
            const int rc = check_token(g, sequence[s], e);
            if (rc)
                return rc;
        }
        memcpy(g->inputs + i * b->length, sequence, b->length * sizeof *tokens);
        memcpy(g->targets + i * b->length, sequence + 1, b->length * sizeof *tokens);
    }
    return 0;
}

/* Sequences of a micro-batch, out of those left. */
static uint32_t micro_batch(const struct engine *g, uint32_t length, uint32_t left)
{
    const size_t count = g->rows / (length - 1);
    return count < left ? (uint32_t)count : left;
}

static int gradients_into(struct engine *g, float *gradients, const float *parameters,
                          const uint32_t *tokens, uint32_t batch, uint32_t length, double *loss,
                          struct err *e)
{
    const struct model_config *c = &g->c;
    const size_t embedding = (size_t)c->vocab * c->hidden;
    int rc = check_length(g, length, 2, e);
    if (rc)
        return rc;
    if (batch == 0)
        return err_set(e, ERR_RANGE, "a batch of 0 sequences has no loss");
    if (!g->train)
        return err_set(e, ERR_INVALID, "the engine was created without room for gradients");
    const double predictions = (double)batch * (length - 1);
    double sum = 0;
    engine__hold(g, parameters, true);
    memset(gradients, 0, model_parameters(c) * sizeof *gradients);
    memset(g->embed_in, 0, embedding * sizeof *g->embed_in);
    for (uint32_t done = 0; done < batch;) {
        const uint32_t count = micro_batch(g, length, batch - done);
        struct engine_batch b;
        rc = load(g, tokens + (size_t)done * length, length, count, length, &b, e);
        if (rc)
            return rc;
        engine__forward(g, parameters, &b, true);
        engine__backward(g, parameters, gradients, &b, (float)(1.0 / predictions));
        for (size_t i = 0; i < b.rows; i++)
            sum += g->losses[i];
        done += count;
    }
    kern_add(g->kern, gradients, gradients, g->embed_in, embedding);
    *loss = sum / predictions;
    return 0;
}

int engine_gradients(struct engine *g, const float *parameters, const uint32_t *tokens,
                     uint32_t batch, uint32_t length, float *gradients, double *loss, struct err *e)
{
    pool_flush_denormals();
    return gradients_into(g, gradients, parameters, tokens, batch, length, loss, e);
}

static void update(struct engine *g, float *parameters, float *moment1, float *moment2,
                   const struct engine_step *o, double norm)
{
    const bool clip = o->grad_clip > 0 && norm > o->grad_clip;
    struct kern_adamw a = {
        .learning_rate = o->learning_rate,
        .beta1 = o->beta1,
        .beta2 = o->beta2,
        .epsilon = o->epsilon,
        .bias1 = 1.0 - mathfn_pow(o->beta1, (double)o->step),
        .bias2 = 1.0 - mathfn_pow(o->beta2, (double)o->step),
        .grad_scale = clip ? (float)(o->grad_clip / norm) : 1.0f,
    };
    for (uint32_t i = 0; i < model_tensor_count(&g->c); i++) {
        struct model_tensor t;
        model_tensor_at(&g->c, i, &t);
        if (optimizer_is_muons(g->optimizer, &t)) {
            engine__muon(g, parameters + t.offset, moment1 + t.offset, g->gradients + t.offset,
                         t.shape[0], t.shape[1], o, a.grad_scale);
            continue;
        }
        a.weight_decay = t.decay ? o->weight_decay : 0.0;
        kern_adamw_update(g->kern, parameters + t.offset, moment1 + t.offset, moment2 + t.offset,
                          g->gradients + t.offset, t.shape[0] * t.shape[1], &a);
    }
}

int engine_train_step(struct engine *g, float *parameters, float *moment1, float *moment2,
                      const uint32_t *tokens, uint32_t batch, uint32_t length,
                      const struct engine_step *o, double *loss, double *grad_norm, struct err *e)
{
    pool_flush_denormals();
    if (o->step == 0)
        return err_set(e, ERR_RANGE, "step 0: steps count from 1");
    const int rc = gradients_into(g, g->gradients, parameters, tokens, batch, length, loss, e);
    if (rc)
        return rc;
    if (!isfinite(*loss))
        return err_set(e, ERR_NOT_FINITE,
                       "step %llu: the loss is %g; a smaller learning_rate or grad_clip may help",
                       (unsigned long long)o->step, *loss);
    *grad_norm = sqrt(kern_sum_squares(g->kern, g->gradients, model_parameters(&g->c)));
    if (!isfinite(*grad_norm))
        return err_set(e, ERR_NOT_FINITE,
                       "step %llu: loss %g, but the gradients' norm is %g; a smaller learning_rate "
                       "or grad_clip may help",
                       (unsigned long long)o->step, *loss, *grad_norm);
    update(g, parameters, moment1, moment2, o, *grad_norm);
    return 0;
}

/* Losses of a micro-batch into g->losses, without what a backward pass needs. */
static int forward_losses(struct engine *g, const float *parameters, const uint32_t *tokens,
                          size_t stride, uint32_t count, uint32_t length, struct err *e)
{
    struct engine_batch b;
    const int rc = load(g, tokens, stride, count, length, &b, e);
    if (rc)
        return rc;
    engine__forward(g, parameters, &b, false);
    engine__losses(g, parameters, b.rows);
    return 0;
}

int engine_losses(struct engine *g, const float *parameters, const uint32_t *tokens, uint32_t count,
                  uint32_t length, uint32_t prefix, double *all, double *after, struct err *e)
{
    pool_flush_denormals();
    int rc = check_length(g, length, 2, e);
    if (rc)
        return rc;
    engine__hold(g, parameters, false);
    for (uint32_t done = 0; done < count;) {
        const uint32_t n = micro_batch(g, length, count - done);
        rc = forward_losses(g, parameters, tokens + (size_t)done * length, length, n, length, e);
        if (rc)
            return rc;
        for (uint32_t i = 0; i < n; i++) {
            const float *loss = g->losses + (size_t)i * (length - 1);
            double sum = 0, rest = 0;
            for (uint32_t s = 1; s < length; s++) {
                sum += loss[s - 1];
                rest += s >= prefix ? loss[s - 1] : 0.0;
            }
            if (all)
                all[done + i] = sum;
            if (after)
                after[done + i] = rest;
        }
        done += n;
    }
    return 0;
}

int engine_scores(struct engine *g, const float *parameters, const uint32_t *tokens, uint32_t count,
                  uint32_t stride, uint32_t prefix, float *cumulative, struct err *e)
{
    pool_flush_denormals();
    int rc = check_length(g, prefix, 1, e);
    if (rc)
        return rc;
    if (prefix == 1) { /* nothing is predicted */
        memset(cumulative, 0, count * sizeof *cumulative);
        return 0;
    }
    engine__hold(g, parameters, false);
    for (uint32_t done = 0; done < count;) {
        const uint32_t n = micro_batch(g, prefix, count - done);
        rc = forward_losses(g, parameters, tokens + (size_t)done * stride, stride, n, prefix, e);
        if (rc)
            return rc;
        for (uint32_t i = 0; i < n; i++) {
            const float *loss = g->losses + (size_t)i * (prefix - 1);
            float *out = cumulative + (size_t)(done + i) * prefix;
            out[0] = 0.0f;
            for (uint32_t s = 1; s < prefix; s++)
                out[s] = out[s - 1] - loss[s - 1];
        }
        done += n;
    }
    return 0;
}

int engine_logits(struct engine *g, const float *parameters, const uint32_t *tokens,
                  uint32_t length, float *logits, struct err *e)
{
    const size_t h = g->c.hidden;
    pool_flush_denormals();
    int rc = check_length(g, length, 1, e);
    for (uint32_t s = 0; rc == 0 && s < length; s++)
        rc = check_token(g, tokens[s], e);
    if (rc)
        return rc;
    const struct engine_batch b = {.count = 1, .length = length, .rows = length};
    memcpy(g->inputs, tokens, length * sizeof *tokens);
    engine__forward(g, parameters, &b, false);
    kern_linear(g->kern, logits, g->last_normed, parameters, length, h, g->c.vocab, false);
    return 0;
}
