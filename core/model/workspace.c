#include "core/model/engine_parts.h"

#include "core/env/pages.h"

/* One walk over all buffers serves both to add up their sizes and to take them, so the two can't
 * disagree. */
struct walk {
    char *memory; /* NULL: add up alone */
    uint64_t bytes;
};

static void *take(struct walk *w, uint64_t count, size_t size)
{
    const uint64_t at = w->bytes;
    w->bytes += (count * size + 63) / 64 * 64; /* whole cache lines */
    return w->memory ? w->memory + at : NULL;
}

static float *floats(struct walk *w, uint64_t count)
{
    return take(w, count, sizeof(float));
}

/* The residual stream is added to in place; norms and attention share one buffer, and so does GELU
 * with its input. The wide ones are the first layer's where there is one. */
static void walk_flat(struct engine *g, struct walk *w, uint64_t rows)
{
    const struct model_config *c = &g->c;
    struct engine_layer *l = &g->flat;
    l->x = l->mid = g->last;
    l->normed1 = l->normed2 = l->mixed = g->last_normed;
    l->qkv = g->layers ? g->layers[0].qkv : floats(w, rows * 3 * c->hidden);
    l->up = l->act = g->layers ? g->layers[0].act : floats(w, rows * c->ffn);
}

static void walk_layer(const struct model_config *c, struct engine_layer *l, struct walk *w,
                       uint64_t rows)
{
    l->x = floats(w, rows * c->hidden);
    l->normed1 = floats(w, rows * c->hidden);
    l->stats1 = floats(w, rows * 2);
    l->qkv = floats(w, rows * 3 * c->hidden);
    l->mixed = floats(w, rows * c->hidden);
    l->attn_stats = floats(w, rows * c->heads * 2);
    l->mid = floats(w, rows * c->hidden);
    l->normed2 = floats(w, rows * c->hidden);
    l->stats2 = floats(w, rows * 2);
    l->up = floats(w, rows * c->ffn);
    l->act = floats(w, rows * c->ffn);
}

static void walk_train(struct engine *g, struct walk *w, uint64_t rows)
{
    const struct model_config *c = &g->c;
    const uint64_t wide = c->ffn > 3 * c->hidden ? c->ffn : 3 * (uint64_t)c->hidden;
    struct engine_layer unused = {0};
    g->layers = take(w, c->layers, sizeof *g->layers);
    for (uint32_t i = 0; i < c->layers; i++) {
        struct engine_layer *l = g->layers ? &g->layers[i] : &unused;
        if (g->recompute && i > 0) {
            *l = g->layers ? g->layers[0] : unused;
            l->x = floats(w, rows * c->hidden);
        } else {
            walk_layer(c, l, w, rows);
        }
    }
    g->last_stats = floats(w, rows * 2);
    g->d_stream = floats(w, rows * c->hidden);
    g->d_normed = floats(w, rows * c->hidden);
    g->d_wide = floats(w, rows * wide);
    const struct kern_head head = engine__head(g, rows);
    g->head_space = floats(w, kern_head_space(&head, g->threads));
    g->gradients = floats(w, model_parameters(c));
    g->embed_in = floats(w, (uint64_t)c->vocab * c->hidden);
}

static void walk_muon(struct engine *g, struct walk *w)
{
    const uint64_t h = g->c.hidden, f = g->c.ffn, wide = f > 3 * h ? f : 3 * h;
    g->muon_turned = floats(w, wide * h);
    g->muon_square = floats(w, h * h);
    g->muon_poly = floats(w, h * h);
}

static void walk_weight(const struct engine *g, struct walk *w, float *held[2], uint64_t in,
                        uint64_t out)
{
    for (int back = 0; back <= g->train; back++)
        held[back] = floats(w, kern_hold_floats(in, out, back));
}

static void walk_held(struct engine *g, struct walk *w)
{
    const uint64_t h = g->c.hidden, f = g->c.ffn;
    struct engine_held unused;
    g->held = take(w, g->c.layers, sizeof *g->held);
    for (uint32_t i = 0; i < g->c.layers; i++) {
        struct engine_held *l = g->held ? &g->held[i] : &unused;
        walk_weight(g, w, l->qkv, h, 3 * h);
        walk_weight(g, w, l->out, h, h);
        walk_weight(g, w, l->up, h, f);
        walk_weight(g, w, l->down, f, h);
    }
}

static void walk_all(struct engine *g, struct walk *w, uint64_t rows)
{
    const struct model_config *c = &g->c;
    g->cos = floats(w, (uint64_t)c->seq * g->head / 2);
    g->sin = floats(w, (uint64_t)c->seq * g->head / 2);
    g->inputs = take(w, rows, sizeof *g->inputs);
    g->targets = take(w, rows, sizeof *g->targets);
    g->losses = floats(w, rows);
    g->last = floats(w, rows * c->hidden);
    g->last_normed = floats(w, rows * c->hidden);
    if (g->hold)
        walk_held(g, w);
    if (g->train)
        walk_train(g, w, rows);
    if (g->train && g->optimizer == OPTIMIZER_MUON)
        walk_muon(g, w);
    if (!g->train || w->memory)
        walk_flat(g, w, rows);
}

uint64_t engine__workspace_size(const struct engine *g, size_t rows)
{
    struct engine scratch = *g;
    struct walk w = {0};
    walk_all(&scratch, &w, rows);
    return w.bytes;
}

int engine__workspace_take(struct engine *g, struct err *e)
{
    const uint64_t bytes = engine__workspace_size(g, g->rows);
    struct walk w = {.memory = env_pages_take(bytes)};
    if (!w.memory)
        return err_set(e, ERR_NO_MEMORY, "no memory for workspaces of %llu bytes",
                       (unsigned long long)bytes);
    g->workspace = w.memory;
    g->workspace_bytes = bytes;
    walk_all(g, &w, g->rows);
    return 0;
}

struct engine_weights engine__weights(const struct model_config *c, const float *parameters,
                                      uint32_t layer)
{
    const size_t h = c->hidden, f = c->ffn;
    const size_t floats_per_layer = 2 * h + 4 * h * h + 2 * h * f;
    float *p = (float *)parameters + (size_t)c->vocab * h + layer * floats_per_layer;
    struct engine_weights w;
    w.norm1 = p;
    w.qkv = w.norm1 + h;
    w.out = w.qkv + 3 * h * h;
    w.norm2 = w.out + h * h;
    w.up = w.norm2 + h;
    w.down = w.up + f * h;
    return w;
}
