#include "core/model/engine_parts.h"

/* The gradients of head and its input by some columns of the logits of `rows` rows from i: what is
 * made of them stays in cache for both products. dX's chain over the columns goes on from block to
 * block. */
static void head_block(struct engine *g, const float *parameters, float *gradients, size_t i,
                       size_t rows, size_t first, float scale)
{
    const size_t h = g->c.hidden, left = g->c.vocab - first;
    const size_t n = left < g->head_columns ? left : g->head_columns, ld = g->head_columns + 16;
    const float *x = g->last_normed + i * h;
    float *d = g->d_logits;
    kern_loss_gradient(g->kern, d, ld, g->logits + first, g->logits_stride, g->head_stats,
                       g->targets + i, rows, first, n, scale);
    kern_matmul(g->kern, rows, h, n, d, ld, 1, parameters + first * h, h, 1, g->d_normed + i * h, h,
                first > 0);
    kern_matmul(g->kern, n, h, rows, d, 1, ld, x, h, 1, gradients + first * h, h, true);
}

/* Losses, and the gradients of head and final norm; the stream's gradient goes into d_stream. */
static void head_backward(struct engine *g, const float *parameters, float *gradients, size_t rows,
                          float scale)
{
    const size_t h = g->c.hidden, v = g->c.vocab, ld = g->logits_stride;
    const size_t norm = model_parameters(&g->c) - h;
    for (size_t i = 0; i < rows; i += g->head_rows) {
        const size_t n = rows - i < g->head_rows ? rows - i : g->head_rows;
        const float *x = g->last_normed + i * h;
        kern_matmul(g->kern, n, v, h, x, h, 1, parameters, 1, h, g->logits, ld, false);
        kern_loss_forward(g->kern, g->losses + i, g->head_stats, g->logits, ld, g->targets + i, n,
                          v);
        for (size_t first = 0; first < v; first += g->head_columns)
            head_block(g, parameters, gradients, i, n, first, scale);
    }
    kern_layernorm_backward(g->kern, g->d_stream, gradients + norm, g->d_normed, NULL, g->last,
                            g->last_stats, parameters + norm, rows, h);
}

/* d_stream: in, the gradient of the layer's output; out, of its input. */
static void layer_backward(struct engine *g, const struct engine_layer *l,
                           const struct engine_weights *w, const struct engine_weights *d,
                           const struct engine_batch *b)
{
    const struct model_config *c = &g->c;
    const struct kern_attention shape = {b->count, b->length, c->heads, g->head, g->cos, g->sin};
    const size_t h = c->hidden, f = c->ffn, rows = b->rows;
    float *wide = g->d_wide, *normed = g->d_normed, *stream = g->d_stream;
    struct kern *k = g->kern;

    kern_linear_dw(k, d->down, stream, l->act, rows, f, h);
    kern_linear_dx(k, wide, stream, w->down, rows, f, h, false);
    kern_gelu_backward(k, wide, wide, l->up, rows * f);
    kern_linear_dw(k, d->up, wide, l->normed2, rows, h, f);
    kern_linear_dx(k, normed, wide, w->up, rows, h, f, false);
    kern_layernorm_backward(k, stream, d->norm2, normed, stream, l->mid, l->stats2, w->norm2, rows,
                            h);
    kern_linear_dw(k, d->out, stream, l->mixed, rows, h, h);
    kern_linear_dx(k, normed, stream, w->out, rows, h, h, false);
    kern_attention_backward(k, &shape, wide, normed, l->mixed, l->attn_stats, l->qkv);
    kern_linear_dw(k, d->qkv, wide, l->normed1, rows, h, 3 * h);
    kern_linear_dx(k, normed, wide, w->qkv, rows, h, 3 * h, false);
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
        layer_backward(g, &g->layers[i], &w, &d, b);
    }
    kern_embed_backward(g->kern, g->embed_in, g->d_stream, g->inputs, b->rows, g->c.hidden);
}
