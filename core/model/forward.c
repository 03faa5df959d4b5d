#include "core/model/engine_parts.h"

#include <string.h>

/* to = from + add-on: the product's chain starts from the residual stream's values. In the shared
 * buffers of forward alone, to is from. */
static void residual(struct engine *g, float *to, const float *from, const float *x,
                     const float *weight, const float *held, size_t rows, size_t in)
{
    const size_t h = g->c.hidden;
    if (to != from)
        memcpy(to, from, rows * h * sizeof *to);
    kern_linear_held(g->kern, to, x, weight, held, rows, in, h, true);
}

void engine__layer_forward(struct engine *g, uint32_t layer, const struct engine_layer *l,
                           const struct engine_weights *w, const struct engine_batch *b,
                           float *next)
{
    const struct model_config *c = &g->c;
    const size_t h = c->hidden, rows = b->rows;
    const struct kern_attention shape = {b->count, b->length, c->heads, g->head, g->cos, g->sin};
    const struct engine_held held = g->held && b->held ? g->held[layer] : (struct engine_held){0};
    kern_layernorm_forward(g->kern, l->normed1, l->stats1, l->x, w->norm1, rows, h);
    kern_linear_held(g->kern, l->qkv, l->normed1, w->qkv, held.qkv[0], rows, h, 3 * h, false);
    kern_attention_forward(g->kern, &shape, l->mixed, l->attn_stats, l->qkv);
    residual(g, l->mid, l->x, l->mixed, w->out, held.out[0], rows, h);
    kern_layernorm_forward(g->kern, l->normed2, l->stats2, l->mid, w->norm2, rows, h);
    kern_linear_held(g->kern, l->up, l->normed2, w->up, held.up[0], rows, h, c->ffn, false);
    kern_gelu_forward(g->kern, l->act, l->up, rows * c->ffn);
    residual(g, next, l->mid, l->act, w->down, held.down[0], rows, c->ffn);
}

static void hold_weight(struct engine *g, float *const held[2], const float *weight, size_t in,
                        size_t out, bool train)
{
    for (int back = 0; back <= train; back++)
        kern_hold(g->kern, held[back], weight, in, out, back);
}

void engine__hold(struct engine *g, const float *parameters, bool train)
{
    const size_t h = g->c.hidden, f = g->c.ffn;
    for (uint32_t i = 0; g->held && i < g->c.layers; i++) {
        const struct engine_weights w = engine__weights(&g->c, parameters, i);
        const struct engine_held *l = &g->held[i];
        hold_weight(g, l->qkv, w.qkv, h, 3 * h, train);
        hold_weight(g, l->out, w.out, h, h, train);
        hold_weight(g, l->up, w.up, h, f, train);
        hold_weight(g, l->down, w.down, f, h, train);
    }
    if (train) {
        const struct kern_head head = engine__head(g, g->rows);
        kern_head_hold(g->kern, &head, g->head_space, parameters);
    }
}

void engine__forward(struct engine *g, const float *parameters, const struct engine_batch *b,
                     bool keep)
{
    const struct model_config *c = &g->c;
    const float *norm = parameters + model_parameters(c) - c->hidden;
    float *first = keep ? g->layers[0].x : g->flat.x;
    kern_embed_forward(g->kern, first, parameters, g->inputs, b->rows, c->hidden);
    for (uint32_t i = 0; i < c->layers; i++) {
        const struct engine_weights w = engine__weights(c, parameters, i);
        float *next = keep && i + 1 < c->layers ? g->layers[i + 1].x : g->last;
        engine__layer_forward(g, i, keep ? &g->layers[i] : &g->flat, &w, b, next);
    }
    kern_layernorm_forward(g->kern, g->last_normed, keep ? g->last_stats : NULL, g->last, norm,
                           b->rows, c->hidden);
}

void engine__losses(struct engine *g, const float *parameters, size_t rows)
{
    kern_word_losses(g->kern, g->losses, g->last_normed, parameters, g->targets, rows, g->c.hidden,
                     g->c.vocab);
}
