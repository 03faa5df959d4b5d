/* GGUF, version 3, all little-endian:
 *
 *     "GGUF", u32 version, u64 tensors, u64 keys
 *     keys:     string name, u32 type, value; a string is u64 length and bytes; an array u32 type
 * of its elements, u64 count, elements tensors:  string name, u32 dimensions, u64 sizes (the
 * innermost first), u32 type, u64 offset padding to 32 bytes; data, each tensor at its offset, a
 * multiple of 32
 *
 * Keys and tensors are those that llama.cpp reads for the architecture starcoder2. The
 * vocabulary is that of its tokenizer "llama": pieces, scores and kinds, merged by score as
 * SentencePiece does. */
#include <stdlib.h>
#include <string.h>
#include "core/base/le.h"
#include "core/checkpoint/export_parts.h"

#define HEAD_BYTES_MAX (256u << 20)
#define ALIGNMENT 32

enum { GGUF_U32 = 4, GGUF_I32 = 5, GGUF_F32 = 6, GGUF_BOOL = 7, GGUF_STRING = 8, GGUF_ARRAY = 9 };

/* Of tensors, and of the file as a whole (general.file_type). */
static const uint32_t tensor_types[] = {[EXPORT_F32] = 0, [EXPORT_BF16] = 30, [EXPORT_Q8_0] = 8};
static const uint32_t file_types[] = {[EXPORT_F32] = 0, [EXPORT_BF16] = 32, [EXPORT_Q8_0] = 7};

/* The file's head as it grows; the first error is kept. */
struct head {
    struct buf out;
    uint64_t keys;
    int rc;
    struct err *e;
};

static void put(struct head *h, const void *data, size_t len)
{
    if (!h->rc)
        h->rc = buf_append(&h->out, data, len, h->e);
}

static void put_u32(struct head *h, uint32_t v)
{
    uint8_t b[4];
    le32_put(b, v);
    put(h, b, sizeof b);
}

static void put_u64(struct head *h, uint64_t v)
{
    uint8_t b[8];
    le64_put(b, v);
    put(h, b, sizeof b);
}

static void put_f32(struct head *h, float v)
{
    uint8_t b[4];
    lef32_put(b, v);
    put(h, b, sizeof b);
}

static void put_string(struct head *h, const char *s)
{
    put_u64(h, strlen(s));
    put(h, s, strlen(s));
}

static void key(struct head *h, const char *name, uint32_t type)
{
    put_string(h, name);
    put_u32(h, type);
    h->keys++;
}

static void key_u32(struct head *h, const char *name, uint32_t v)
{
    key(h, name, GGUF_U32);
    put_u32(h, v);
}

static void key_f32(struct head *h, const char *name, float v)
{
    key(h, name, GGUF_F32);
    put_f32(h, v);
}

static void key_bool(struct head *h, const char *name, bool v)
{
    const uint8_t byte = v;
    key(h, name, GGUF_BOOL);
    put(h, &byte, 1);
}

static void key_string(struct head *h, const char *name, const char *v)
{
    key(h, name, GGUF_STRING);
    put_string(h, v);
}

static void key_array(struct head *h, const char *name, uint32_t type, uint64_t count)
{
    key(h, name, GGUF_ARRAY);
    put_u32(h, type);
    put_u64(h, count);
}

static void model_keys(struct head *h, const struct model_config *c, enum export_type type,
                       const char *name)
{
    key_string(h, "general.architecture", "starcoder2");
    key_string(h, "general.name", name);
    key_u32(h, "general.file_type", file_types[type]);
    key_u32(h, "general.quantization_version", 2);
    key_u32(h, "general.alignment", ALIGNMENT);
    key_u32(h, "starcoder2.vocab_size", c->vocab);
    key_u32(h, "starcoder2.context_length", c->seq);
    key_u32(h, "starcoder2.embedding_length", c->hidden);
    key_u32(h, "starcoder2.block_count", c->layers);
    key_u32(h, "starcoder2.feed_forward_length", c->ffn);
    key_u32(h, "starcoder2.attention.head_count", c->heads);
    key_u32(h, "starcoder2.attention.head_count_kv", c->heads);
    key_f32(h, "starcoder2.attention.layer_norm_epsilon", 1e-5f);
    key_f32(h, "starcoder2.rope.freq_base", 10000.0f);
    key_u32(h, "starcoder2.rope.dimension_count", c->hidden / c->heads);
}

static void tokenizer_keys(struct head *h, const struct pieces *p)
{
    key_string(h, "tokenizer.ggml.model", "llama");
    key_string(h, "tokenizer.ggml.pre", "default");
    key_array(h, "tokenizer.ggml.tokens", GGUF_STRING, p->count);
    for (uint32_t i = 0; i < p->count; i++)
        put_string(h, p->list[i].text);
    key_array(h, "tokenizer.ggml.scores", GGUF_F32, p->count);
    for (uint32_t i = 0; i < p->count; i++)
        put_f32(h, p->list[i].score);
    key_array(h, "tokenizer.ggml.token_type", GGUF_I32, p->count);
    for (uint32_t i = 0; i < p->count; i++)
        put_u32(h, (uint32_t)p->list[i].kind);
    /* Documents follow the end of the one before; nothing else begins them. */
    key_u32(h, "tokenizer.ggml.bos_token_id", p->end);
    key_u32(h, "tokenizer.ggml.eos_token_id", p->end);
    key_u32(h, "tokenizer.ggml.unknown_token_id", p->unknown);
    key_bool(h, "tokenizer.ggml.add_bos_token", false);
    key_bool(h, "tokenizer.ggml.add_eos_token", false);
    key_bool(h, "tokenizer.ggml.add_space_prefix", p->dummy_prefix);
    key_bool(h, "tokenizer.ggml.remove_extra_whitespaces", p->remove_extra_spaces);
}

static void tensor_infos(struct head *h, const struct export_tensor *list, uint32_t count)
{
    uint64_t offset = 0;
    for (uint32_t i = 0; i < count; i++) {
        const struct export_tensor *t = &list[i];
        put_string(h, t->name);
        put_u32(h, t->rank);
        for (uint32_t d = t->rank; d-- > 0;)
            put_u64(h, t->shape[d]);
        put_u32(h, tensor_types[t->type]);
        put_u64(h, offset);
        offset += (export_tensor_bytes(t) + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    }
}

static int head_write(struct head *h, const struct model_config *c, enum export_type type,
                      const struct pieces *p, const char *name, const struct export_tensor *list,
                      uint32_t count)
{
    put(h, "GGUF", 4);
    put_u32(h, 3);
    put_u64(h, count);
    put_u64(h, 0); /* of keys: below */
    model_keys(h, c, type, name);
    tokenizer_keys(h, p);
    if (!h->rc)
        le64_put((uint8_t *)h->out.data + 16, h->keys);
    tensor_infos(h, list, count);
    return h->rc;
}

static int file_write(const char *path, const struct head *h, const struct export_tensor *list,
                      uint32_t count, const float *parameters, struct export_file *out,
                      struct err *e)
{
    struct export_out o;
    int rc = export_out_open(&o, path, e);
    if (rc)
        return rc;
    rc = export_out_write(&o, h->out.data, h->out.len, e);
    if (!rc)
        rc = export_out_pad(&o, ALIGNMENT, e);
    for (uint32_t i = 0; !rc && i < count; i++) {
        rc = export_tensor_write(&o, &list[i], parameters, e);
        if (!rc)
            rc = export_out_pad(&o, ALIGNMENT, e);
    }
    return export_out_close(&o, rc, out, e);
}

static int vocabulary_check(const struct model_config *c, const struct pieces *p, struct err *e)
{
    if (p->model != PIECES_BPE)
        return err_set(e, ERR_INVALID,
                       "gguf: the tokenizer is no BPE, which alone llama.cpp merges as its scores "
                       "say: take the layout hf");
    if (p->charsmap_bytes > 0 || p->remove_extra_spaces || !p->escape_spaces)
        return err_set(e, ERR_INVALID,
                       "gguf: the tokenizer rewrites text before it (normalization rules), which "
                       "llama.cpp does not: take the layout hf");
    if (p->count != c->vocab)
        return err_set(e, ERR_INVALID, "gguf: the tokenizer has %u pieces, the model %u", p->count,
                       c->vocab);
    return 0;
}

int export_gguf(const char *path, const struct model_config *c, const float *parameters,
                enum export_type type, const struct pieces *p, const char *name,
                struct export_file *out, struct err *e)
{
    struct head h = {.e = e};
    struct export_tensor *list = NULL;
    uint32_t count = 0;
    int rc = vocabulary_check(c, p, e);
    if (rc)
        return rc;
    buf_init(&h.out, HEAD_BYTES_MAX);
    rc = export_tensors(c, EXPORT_NAMES_GGUF, type, &list, &count, e);
    if (!rc)
        rc = head_write(&h, c, type, p, name, list, count);
    if (!rc)
        rc = file_write(path, &h, list, count, parameters, out, e);
    buf_free(&h.out);
    free(list);
    return rc ? err_prefix(e, "%s", path), rc : 0;
}
