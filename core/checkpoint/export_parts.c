#include "core/checkpoint/export_parts.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "core/base/le.h"

#define CHUNK 4096u /* values converted at a time: a multiple of a block's */

const char *const export_type_words[] = {"f32", "bf16", "q8_0", NULL};

/* --- files ------------------------------------------------------------------------------------ */

int export_out_open(struct export_out *o, const char *path, struct err *e)
{
    digest_init(&o->digest);
    o->bytes = 0;
    return env_file_new_open(&o->file, path, 0644, e);
}

int export_out_write(struct export_out *o, const void *data, size_t len, struct err *e)
{
    digest_update(&o->digest, data, len);
    o->bytes += len;
    return env_file_new_write(&o->file, data, len, e);
}

int export_out_pad(struct export_out *o, uint32_t to, struct err *e)
{
    static const uint8_t zeros[64];
    const size_t len = (size_t)(-o->bytes & (to - 1));
    return len ? export_out_write(o, zeros, len, e) : 0;
}

int export_out_close(struct export_out *o, int rc, struct export_file *out, struct err *e)
{
    if (rc == 0)
        rc = env_file_new_commit(&o->file, e);
    if (rc != 0)
        env_file_new_abandon(&o->file);
    out->bytes = o->bytes;
    digest_final(&o->digest, &out->digest);
    return rc;
}

/* --- names ------------------------------------------------------------------------------------ */

/* A tensor of ours under others' names: `of` %u is the layer. Parts of attn.qkv name which third.
 */
struct part {
    const char *ours, *hf, *gguf;
    uint32_t third; /* 0: the whole; 1, 2, 3: of attn.qkv */
};

static const struct part parts[] = {
    {"norm1", "input_layernorm", "attn_norm", 0},
    {"attn.qkv", "self_attn.q_proj", "attn_q", 1},
    {"attn.qkv", "self_attn.k_proj", "attn_k", 2},
    {"attn.qkv", "self_attn.v_proj", "attn_v", 3},
    {"attn.out", "self_attn.o_proj", "attn_output", 0},
    {"norm2", "post_attention_layernorm", "ffn_norm", 0},
    {"ffn.up", "mlp.c_fc", "ffn_up", 0},
    {"ffn.down", "mlp.c_proj", "ffn_down", 0},
};
#define PARTS (sizeof parts / sizeof parts[0])

struct making {
    const struct model_config *c;
    enum export_names names;
    enum export_type type;
    struct export_tensor *list;
    uint32_t count;
};

static void tensor_find(const struct model_config *c, const char *name, struct model_tensor *out)
{
    for (uint32_t i = 0; i < model_tensor_count(c); i++) {
        model_tensor_at(c, i, out);
        if (strcmp(out->name, name) == 0)
            return;
    }
}

/* PyTorch's models are of one type throughout; llama.cpp adds what has one dimension in float32. */
static enum export_type type_of(const struct making *m, const struct export_tensor *t)
{
    if (m->names == EXPORT_NAMES_HF)
        return m->type;
    if (t->rank == 1 || (m->type == EXPORT_Q8_0 && t->shape[1] % EXPORT_Q8_0_VALUES != 0))
        return EXPORT_F32;
    return m->type;
}

static void add(struct making *m, const char *prefix, const char *name, const char *suffix,
                const struct model_tensor *ours, uint32_t third)
{
    struct export_tensor *t = &m->list[m->count++];
    snprintf(t->name, sizeof t->name, "%s%s%s", prefix, name, suffix);
    t->rank = ours->rank;
    t->shape[0] = third ? ours->shape[0] / 3 : ours->shape[0];
    t->shape[1] = ours->rank == 1 ? 1 : ours->shape[1];
    t->offset = ours->offset + (third ? (third - 1) * t->shape[0] * t->shape[1] : 0);
    t->type = type_of(m, t);
}

static void add_zeros(struct making *m, const char *prefix, const char *name, uint64_t size)
{
    const struct model_tensor ours = {.rank = 1, .shape = {size, 1}};
    add(m, prefix, name, ".bias", &ours, 0);
    m->list[m->count - 1].zeros = true;
}

static void add_layer(struct making *m, uint32_t layer)
{
    const bool hf = m->names == EXPORT_NAMES_HF;
    char prefix[32], name[64];
    snprintf(prefix, sizeof prefix, hf ? "model.layers.%u." : "blk.%u.", layer);
    for (size_t i = 0; i < PARTS; i++) {
        const struct part *p = &parts[i];
        struct model_tensor ours = {0};
        snprintf(name, sizeof name, "layers.%u.%s.weight", layer, p->ours);
        tensor_find(m->c, name, &ours);
        add(m, prefix, hf ? p->hf : p->gguf, ".weight", &ours, p->third);
        if (ours.rank == 1 || (!hf && !p->third))
            add_zeros(m, prefix, hf ? p->hf : p->gguf, ours.shape[0]);
    }
}

static int by_name(const void *a, const void *b)
{
    const struct export_tensor *x = a, *y = b;
    return strcmp(x->name, y->name);
}

int export_tensors(const struct model_config *c, enum export_names names, enum export_type type,
                   struct export_tensor **out, uint32_t *count, struct err *e)
{
    const bool hf = names == EXPORT_NAMES_HF;
    struct making m = {.c = c, .names = names, .type = type};
    struct model_tensor ours = {0};
    *out = NULL;
    int rc = model_config_check(c, e);
    if (rc)
        return rc;
    m.list = calloc(3 + c->layers * 2 * PARTS, sizeof *m.list);
    if (!m.list)
        return err_set(e, ERR_NO_MEMORY, "no memory for the names of tensors");
    tensor_find(c, "embed.weight", &ours);
    add(&m, "", hf ? "model.embed_tokens" : "token_embd", ".weight", &ours, 0);
    for (uint32_t l = 0; l < c->layers; l++)
        add_layer(&m, l);
    tensor_find(c, "norm.weight", &ours);
    add(&m, "", hf ? "model.norm" : "output_norm", ".weight", &ours, 0);
    add_zeros(&m, "", hf ? "model.norm" : "output_norm", c->hidden);
    if (hf)
        qsort(m.list, m.count, sizeof *m.list, by_name);
    *out = m.list;
    *count = m.count;
    return 0;
}

/* --- values ----------------------------------------------------------------------------------- */

uint64_t export_tensor_bytes(const struct export_tensor *t)
{
    const uint64_t n = t->shape[0] * t->shape[1];
    if (t->type == EXPORT_Q8_0)
        return n / EXPORT_Q8_0_VALUES * EXPORT_Q8_0_BYTES;
    return n * (t->type == EXPORT_BF16 ? 2 : 4);
}

/* Nearest even. Finite values that round beyond the largest become infinite, as everywhere. */
static uint16_t bf16_of(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

/* Nearest even; x ≥ 0 and finite, beyond float16's largest it is that. */
static uint16_t f16_of(float x)
{
    const float largest = 65504.0f, least_normal = 0x1p-14f;
    if (x >= largest)
        return 0x7bff;
    if (x < least_normal)
        return (uint16_t)nearbyintf(x * 0x1p24f); /* may round up to the least normal one */
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    bits += 0xfff + (bits >> 13 & 1);
    return (uint16_t)((bits >> 13) - ((127u - 15u) << 10));
}

void export_q8_0_block(const float *x, uint8_t out[EXPORT_Q8_0_BYTES])
{
    float most = 0;
    for (int i = 0; i < EXPORT_Q8_0_VALUES; i++)
        most = fabsf(x[i]) > most ? fabsf(x[i]) : most;
    const float scale = most / 127.0f, inverse = scale > 0 ? 1.0f / scale : 0.0f;
    le16_put(out, f16_of(scale));
    for (int i = 0; i < EXPORT_Q8_0_VALUES; i++) {
        float q = roundf(x[i] * inverse); /* ±∞ · 0 does not occur: x is finite */
        q = q > 127 ? 127 : q < -127 ? -127 : q;
        out[2 + i] = (uint8_t)(int8_t)q;
    }
}

static size_t convert(const float *x, uint32_t n, enum export_type type, uint8_t *out)
{
    switch (type) {
    case EXPORT_F32:
        for (uint32_t i = 0; i < n; i++)
            lef32_put(out + 4 * i, x[i]);
        return 4ul * n;
    case EXPORT_BF16:
        for (uint32_t i = 0; i < n; i++)
            le16_put(out + 2 * i, bf16_of(x[i]));
        return 2ul * n;
    default:
        for (uint32_t i = 0; i < n / EXPORT_Q8_0_VALUES; i++)
            export_q8_0_block(x + EXPORT_Q8_0_VALUES * i, out + EXPORT_Q8_0_BYTES * i);
        return (size_t)n / EXPORT_Q8_0_VALUES * EXPORT_Q8_0_BYTES;
    }
}

int export_tensor_write(struct export_out *o, const struct export_tensor *t,
                        const float *parameters, struct err *e)
{
    static const float zeros[CHUNK];
    const uint64_t total = t->shape[0] * t->shape[1];
    uint8_t bytes[CHUNK * 4];
    for (uint64_t done = 0; done < total;) {
        const uint32_t n = total - done < CHUNK ? (uint32_t)(total - done) : CHUNK;
        const float *x = t->zeros ? zeros : parameters + t->offset + done;
        for (uint32_t i = 0; i < n; i++)
            if (!isfinite(x[i]))
                return err_set(e, ERR_NOT_FINITE, "value %llu of \"%s\" is not finite",
                               (unsigned long long)(done + i), t->name);
        int rc = export_out_write(o, bytes, convert(x, n, t->type, bytes), e);
        if (rc)
            return rc;
        done += n;
    }
    return 0;
}
