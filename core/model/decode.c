#include "core/model/decode.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "core/base/arena.h"
#include "core/kernels/kernels.h"
#include "core/model/engine_parts.h"

/* Outputs of a panel at most, over all instruction sets: for decode_weights_memory. */
#define PANEL_MAX 48

struct slot {
    float *k, *v; /* (L, kern_attention_cache) */
    uint32_t length;
};

struct decode {
    struct model_config c;
    struct decode_options o;
    uint32_t head, cache_seq;
    struct kern *kern;
    struct pool *pool;
    struct arena arena; /* everything below */
    char description[64];

    float *cos, *sin;                /* (S,D/2) */
    uint32_t *inputs;                /* (R) */
    float *stream, *normed, *mixed;  /* (R,H) */
    float *wide;                     /* (R, max(3H,Dff)) */
    struct kern_attention_run *runs; /* [slots] */
    struct slot *slots;
    bool *used; /* [slots] of this step */
};

struct layer_panels {
    float *norm1, *qkv, *out, *norm2, *up, *down;
};

struct decode_weights {
    float *memory;
    float *embed; /* (V,H) float32 with bf16; NULL: the head's panels hold it */
    float *head, *norm;
    struct layer_panels *layers;
};

/* --- sizes ------------------------------------------------------------------------------------ */

/* Rows of keys whose distance is a multiple of 1,024 floats would fight for the same cache sets. */
static uint32_t cache_seq_of(const struct model_config *c)
{
    const uint32_t seq = (c->seq + 15) / 16 * 16;
    return seq % 256 == 0 ? seq + 16 : seq;
}

static size_t cache_floats(const struct model_config *c)
{
    return c->layers * kern_attention_cache(c->heads, c->hidden / c->heads, cache_seq_of(c));
}

static size_t wide_of(const struct model_config *c)
{
    return c->ffn > 3 * c->hidden ? c->ffn : 3 * (size_t)c->hidden;
}

uint64_t decode_slot_memory(const struct model_config *c)
{
    return 2 * arena_size(cache_floats(c) * sizeof(float)) + sizeof(struct slot) +
           sizeof(struct kern_attention_run) + sizeof(bool);
}

static uint64_t arena_bytes(const struct model_config *c, const struct decode_options *o)
{
    const uint64_t table = (uint64_t)c->seq * (c->hidden / c->heads / 2);
    return 2 * arena_size(table * sizeof(float)) + arena_size(o->rows * sizeof(uint32_t)) +
           3 * arena_size((uint64_t)o->rows * c->hidden * sizeof(float)) +
           arena_size(o->rows * wide_of(c) * sizeof(float)) +
           arena_size(o->slots * sizeof(struct kern_attention_run)) +
           arena_size(o->slots * sizeof(struct slot)) + arena_size(o->slots * sizeof(bool)) +
           2 * o->slots * arena_size(cache_floats(c) * sizeof(float));
}

static struct kern_options kern_options_of(const struct model_config *c, enum engine_arithmetic a)
{
    return (struct kern_options){.arithmetic = a == ENGINE_BF16 ? KERN_BF16 : KERN_EXACT,
                                 .seq = c->seq,
                                 .head = c->hidden / c->heads};
}

uint64_t decode_memory(const struct model_config *c, const struct decode_options *o)
{
    const struct kern_options k = kern_options_of(c, o->arithmetic);
    return arena_bytes(c, o) + kern_memory(&k, o->threads);
}

uint64_t decode_weights_memory(const struct model_config *c, enum engine_arithmetic arithmetic)
{
    const uint64_t h = c->hidden, f = c->ffn;
    const bool bf16 = arithmetic == ENGINE_BF16;
    const struct {
        uint64_t in, out, times;
    } of[] = {{h, c->vocab, 1},
              {h, 3 * h, c->layers},
              {h, h, c->layers},
              {h, f, c->layers},
              {f, h, c->layers}};
    uint64_t floats = h * (1 + 2 * (uint64_t)c->layers) + (bf16 ? h * c->vocab : 0);
    for (size_t i = 0; i < sizeof of / sizeof *of; i++)
        floats += of[i].times * (bf16 ? (of[i].in + 1) / 2 : of[i].in) *
                  ((of[i].out + PANEL_MAX - 1) / PANEL_MAX * PANEL_MAX);
    return floats * sizeof(float) + c->layers * (sizeof(struct layer_panels) + 6 * 64) + 4096;
}

/* --- slots ------------------------------------------------------------------------------------ */

static int take_arena(struct decode *d, struct err *e)
{
    const struct model_config *c = &d->c;
    const size_t rows = d->o.rows, h = c->hidden, n = d->o.slots;
    arena_init(&d->arena, arena_bytes(c, &d->o));
    struct arena *a = &d->arena;
    d->cos = arena_alloc_array(a, (size_t)c->seq * (d->head / 2), sizeof *d->cos);
    d->sin = arena_alloc_array(a, (size_t)c->seq * (d->head / 2), sizeof *d->sin);
    d->inputs = arena_alloc_array(a, rows, sizeof *d->inputs);
    d->stream = arena_alloc_array(a, rows * h, sizeof *d->stream);
    d->normed = arena_alloc_array(a, rows * h, sizeof *d->normed);
    d->mixed = arena_alloc_array(a, rows * h, sizeof *d->mixed);
    d->wide = arena_alloc_array(a, rows * wide_of(c), sizeof *d->wide);
    d->runs = arena_alloc_array(a, n, sizeof *d->runs);
    d->slots = arena_alloc_array(a, n, sizeof *d->slots);
    d->used = arena_alloc_array(a, n, sizeof *d->used);
    bool got = d->cos && d->sin && d->inputs && d->stream && d->normed && d->mixed && d->wide &&
               d->runs && d->slots && d->used;
    for (size_t i = 0; got && i < n; i++) {
        d->slots[i].k = arena_alloc_array(a, cache_floats(c), sizeof(float));
        d->slots[i].v = arena_alloc_array(a, cache_floats(c), sizeof(float));
        got = d->slots[i].k && d->slots[i].v;
    }
    if (!got)
        return err_set(e, ERR_NO_MEMORY, "no memory for %zu texts at once: %llu MiB", n,
                       (unsigned long long)(decode_memory(c, &d->o) >> 20));
    kern_rotary_table(d->cos, d->sin, c->seq, d->head);
    return 0;
}

int decode_create(struct decode **out, const struct model_config *c, const struct decode_options *o,
                  struct err *e)
{
    *out = NULL;
    int rc = model_config_check(c, e);
    if (rc)
        return rc;
    if (o->threads < 1 || o->slots < 1 || o->rows < 1)
        return err_set(e, ERR_RANGE, "threads, slots and rows: each must be at least 1");
    struct decode *d = calloc(1, sizeof *d);
    if (!d)
        return err_set(e, ERR_NO_MEMORY, "no memory for decoding");
    d->c = *c;
    d->o = *o;
    d->head = c->hidden / c->heads;
    d->cache_seq = cache_seq_of(c);
    const struct kern_options k = kern_options_of(c, o->arithmetic);
    d->pool = pool_create(o->threads, e);
    rc = d->pool ? kern_create(&d->kern, d->pool, &k, e) : e ? e->code : ERR_NO_MEMORY;
    if (!rc)
        rc = take_arena(d, e);
    if (rc) {
        decode_destroy(d);
        return rc;
    }
    snprintf(d->description, sizeof d->description, "exact %s%s, %d thread%s",
             o->arithmetic == ENGINE_BF16 ? "bf16 " : "", kern_isa(d->kern), o->threads,
             o->threads == 1 ? "" : "s");
    *out = d;
    return 0;
}

void decode_destroy(struct decode *d)
{
    if (!d)
        return;
    kern_destroy(d->kern);
    pool_destroy(d->pool);
    arena_free(&d->arena);
    free(d);
}

const char *decode_describe(const struct decode *d)
{
    return d->description;
}

uint32_t decode_length(const struct decode *d, uint32_t slot)
{
    return d->slots[slot].length;
}

void decode_cut(struct decode *d, uint32_t slot, uint32_t length)
{
    if (length < d->slots[slot].length)
        d->slots[slot].length = length;
}

void decode_copy(struct decode *d, uint32_t to, uint32_t from, uint32_t length)
{
    const size_t D = d->head, cache = kern_attention_cache(d->c.heads, d->head, d->cache_seq);
    struct slot *a = &d->slots[to];
    const struct slot *b = &d->slots[from];
    for (size_t i = 0; i < (size_t)d->c.layers * d->c.heads * D; i++)
        memcpy(a->k + i * d->cache_seq, b->k + i * d->cache_seq, length * sizeof(float));
    for (size_t l = 0; l < d->c.layers; l++)
        for (size_t h = 0; h < d->c.heads; h++)
            memcpy(a->v + l * cache + h * D * d->cache_seq, b->v + l * cache + h * D * d->cache_seq,
                   length * D * sizeof(float));
    a->length = length;
}

/* --- weights ---------------------------------------------------------------------------------- */

/* The next piece of a block of memory, whole cache lines. */
static float *piece(float **at, size_t floats)
{
    float *out = *at;
    *at += (floats + 15) / 16 * 16;
    return out;
}

static float *packed(const struct decode *d, float **at, const float *W, size_t in, size_t out)
{
    float *panels = piece(at, kern_panels_floats(d->kern, in, out));
    kern_panels_pack(d->kern, panels, W, in, out);
    return panels;
}

static float *copied(float **at, const float *x, size_t n)
{
    float *out = piece(at, n);
    memcpy(out, x, n * sizeof *out);
    return out;
}

int decode_weights_create(struct decode_weights **out, const struct decode *d,
                          const float *parameters, struct err *e)
{
    const struct model_config *c = &d->c;
    const size_t h = c->hidden, f = c->ffn;
    const uint64_t bytes = decode_weights_memory(c, d->o.arithmetic) / 64 * 64;
    struct decode_weights *w = calloc(1, sizeof *w);
    pool_flush_denormals();
    if (w) {
        w->memory = aligned_alloc(64, bytes);
        w->layers = calloc(c->layers, sizeof *w->layers);
    }
    if (!w || !w->memory || !w->layers) {
        decode_weights_destroy(w);
        return err_set(e, ERR_NO_MEMORY, "no memory for a model's weights: %llu MiB",
                       (unsigned long long)(bytes >> 20));
    }
    float *at = w->memory;
    w->head = packed(d, &at, parameters, h, c->vocab);
    if (d->o.arithmetic == ENGINE_BF16)
        w->embed = copied(&at, parameters, (size_t)c->vocab * h);
    w->norm = copied(&at, parameters + model_parameters(c) - h, h);
    for (uint32_t i = 0; i < c->layers; i++) {
        const struct engine_weights p = engine__weights(c, parameters, i);
        struct layer_panels *l = &w->layers[i];
        l->norm1 = copied(&at, p.norm1, h);
        l->qkv = packed(d, &at, p.qkv, h, 3 * h);
        l->out = packed(d, &at, p.out, h, h);
        l->norm2 = copied(&at, p.norm2, h);
        l->up = packed(d, &at, p.up, h, f);
        l->down = packed(d, &at, p.down, f, h);
    }
    *out = w;
    return 0;
}

void decode_weights_destroy(struct decode_weights *w)
{
    if (!w)
        return;
    free(w->layers);
    free(w->memory);
    free(w);
}

/* --- steps ------------------------------------------------------------------------------------ */

static int check_run(const struct decode *d, const struct decode_run *r, struct err *e)
{
    const uint32_t length = r->slot < d->o.slots ? d->slots[r->slot].length : 0;
    if (r->slot >= d->o.slots || d->used[r->slot])
        return err_set(e, ERR_RANGE, "slot %u: there are %u, each once a step", r->slot,
                       d->o.slots);
    if (r->count == 0 || r->logits > r->count)
        return err_set(e, ERR_RANGE, "%u tokens with logits for %u", r->count, r->logits);
    if (r->count > d->c.seq - length)
        return err_set(e, ERR_RANGE, "the model reads at most %u tokens", d->c.seq);
    for (uint32_t i = 0; i < r->count; i++)
        if (r->tokens[i] >= d->c.vocab)
            return err_set(e, ERR_RANGE, "token %u: the model's vocabulary has %u", r->tokens[i],
                           d->c.vocab);
    return 0;
}

/* Sets up the runs; *rows: their tokens. */
static int take_runs(struct decode *d, const struct decode_run *runs, uint32_t count, size_t *rows,
                     struct err *e)
{
    memset(d->used, 0, d->o.slots * sizeof *d->used);
    *rows = 0;
    for (uint32_t i = 0; i < count; i++) {
        const int rc = check_run(d, &runs[i], e);
        if (rc)
            return rc;
        if (runs[i].count > d->o.rows - *rows)
            return err_set(e, ERR_RANGE, "more than %u tokens a step", d->o.rows);
        const struct slot *s = &d->slots[runs[i].slot];
        d->used[runs[i].slot] = true;
        d->runs[i] =
            (struct kern_attention_run){s->k, s->v, s->length, runs[i].count, (uint32_t)*rows};
        memcpy(d->inputs + *rows, runs[i].tokens, runs[i].count * sizeof *d->inputs);
        *rows += runs[i].count;
    }
    return 0;
}

static void embed(struct decode *d, const struct decode_weights *w, size_t rows)
{
    const size_t h = d->c.hidden;
    if (w->embed)
        kern_embed_forward(d->kern, d->stream, w->embed, d->inputs, rows, h);
    for (size_t r = 0; r < rows && !w->embed; r++)
        kern_panels_row(d->kern, d->stream + r * h, w->head, h, d->inputs[r]);
}

static void layer_step(struct decode *d, const struct layer_panels *l, size_t rows, uint32_t runs)
{
    const struct model_config *c = &d->c;
    const struct kern_attention a = {1, 1, c->heads, d->head, d->cos, d->sin};
    const size_t h = c->hidden, f = c->ffn;
    kern_layernorm_forward(d->kern, d->normed, NULL, d->stream, l->norm1, rows, h);
    kern_panels_linear(d->kern, d->wide, d->normed, l->qkv, rows, h, 3 * h, false);
    kern_attention_decode(d->kern, &a, d->mixed, d->wide, d->runs, runs, d->cache_seq);
    kern_panels_linear(d->kern, d->stream, d->mixed, l->out, rows, h, h, true);
    kern_layernorm_forward(d->kern, d->normed, NULL, d->stream, l->norm2, rows, h);
    kern_panels_linear(d->kern, d->wide, d->normed, l->up, rows, h, f, false);
    kern_gelu_forward(d->kern, d->wide, d->wide, rows * f);
    kern_panels_linear(d->kern, d->stream, d->wide, l->down, rows, f, h, true);
}

/* The rows whose logits are wanted, one after the other. */
static size_t take_wanted(struct decode *d, const struct decode_run *runs, uint32_t count)
{
    const size_t h = d->c.hidden;
    size_t wanted = 0;
    for (uint32_t i = 0; i < count; i++) {
        const size_t from = d->runs[i].row + runs[i].count - runs[i].logits;
        memcpy(d->mixed + wanted * h, d->stream + from * h, runs[i].logits * h * sizeof(float));
        wanted += runs[i].logits;
    }
    return wanted;
}

int decode_step(struct decode *d, const struct decode_weights *w, const struct decode_run *runs,
                uint32_t count, float *logits, struct err *e)
{
    const size_t cache = kern_attention_cache(d->c.heads, d->head, d->cache_seq), h = d->c.hidden;
    size_t rows;
    pool_flush_denormals();
    const int rc = take_runs(d, runs, count, &rows, e);
    if (rc)
        return rc;
    embed(d, w, rows);
    for (uint32_t i = 0; i < d->c.layers; i++) {
        layer_step(d, &w->layers[i], rows, count);
        for (uint32_t r = 0; r < count; r++) {
            d->runs[r].k_cache += cache;
            d->runs[r].v_cache += cache;
        }
    }
    for (uint32_t i = 0; i < count; i++)
        d->slots[runs[i].slot].length += runs[i].count;
    const size_t wanted = take_wanted(d, runs, count);
    if (wanted == 0)
        return 0;
    kern_layernorm_forward(d->kern, d->normed, NULL, d->mixed, w->norm, wanted, h);
    kern_panels_linear(d->kern, logits, d->normed, w->head, wanted, h, d->c.vocab, false);
    return 0;
}
