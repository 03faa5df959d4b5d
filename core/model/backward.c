#include "core/model/engine_parts.h"

/* Losses, and the gradients of head and final norm; the stream's gradient goes into d_stream. */
static void head_backward(struct engine *g, const float *parameters, float *gradients, size_t rows,
                          float scale)
{
    const size_t h = g->c.hidden, norm = model_parameters(&g->c) - h;
    const struct kern_head head = engine__head(g, g->rows);
    kern_head_backward(g->kern, &head, g->head_space, g->losses, g->d_normed, gradients,
                       g->last_normed, parameters, g->targets, rows, scale);
    kern_layernorm_backward(g->kern, g->d_stream, gradients + norm, g->d_normed, NULL, g->last,
                            g->last_stats, parameters + norm, rows, h);
}

/* d_stream: in, the gradient of the layer's output; out, of its input. */
static void layer_backward(struct engine *g, uint32_t layer, const struct engine_layer *l,
                           const struct engine_weights *w, const struct engine_weights *d,
                           const struct engine_batch *b)
{
    const struct model_config *c = &g->c;
    const struct kern_attention shape = {b->count, b->length, c->heads, g->head, g->cos, g->sin};
    const size_t h = c->hidden, f = c->ffn, rows = b->rows;
    float *wide = g->d_wide, *normed = g->d_normed, *stream = g->d_stream;
    struct kern *k = g->kern;
    const struct engine_held held = g->held ? g->held[layer] : (struct engine_held){0};

    kern_linear_dw(k, d->down, stream, l->act, rows, f, h);
    kern_linear_dx_held(k, wide, stream, w->down, held.down[1], rows, f, h);
    kern_gelu_backward(k, wide, wide, l->up, rows * f);
    kern_linear_dw(k, d->up, wide, l->normed2, rows, h, f);
    kern_linear_dx_held(k, normed, wide, w->up, held.up[1], rows, h, f);
    kern_layernorm_backward(k, stream, d->norm2, normed, stream, l->mid, l->stats2, w->norm2, rows,
                            h);
    kern_linear_dw(k, d->out, stream, l->mixed, rows, h, h);
    kern_linear_dx_held(k, normed, stream, w->out, held.out[1], rows, h, h);
    kern_attention_backward(k, &shape, wide, normed, l->mixed, l->attn_stats, l->qkv);
    kern_linear_dw(k, d->qkv, wide, l->normed1, rows, h, 3 * h);
    kern_linear_dx_held(k, normed, wide, w->qkv, held.qkv[1], rows, h, 3 * h);
    kern_layernorm_backward(k, stream, d->norm1, normed, stream, l->x, l->stats1, w->norm1, rows,
                            h);
}

void engine__backward(struct engine *g, const float *parameters, float *gradients,
                      const struct engine_batch *b, float scale)
{
    head_backward(g, parameters, gradients, b->rows, scale);
    for (uint32_t i = g->c.layers; i-- > 0;) {
        const struct engine_weights w = engine__weights(&g->c, parameters, i);
        const struct engine_weights d = engine__weights(&g->c, gradients, i);
        /* The last layer's values are still there. What the layer gives is known: d_normed, free
         * here, takes it. */
        if (g->recompute && i + 1 < g->c.layers)
            engine__layer_forward(g, i, &g->layers[i], &w, b, g->d_normed);
        layer_backward(g, i, &g->layers[i], &w, &d, b);
    }
    kern_embed_backward(g->kern, g->embed_in, g->d_stream, g->inputs, b->rows, g->c.hidden);
}
