/* What others load must hold the parameters that were trained, where those programs look for them;
 * what we read back must be the very bytes, or nothing. (That llama.cpp, PyTorch and transformers
 * do load them is `make export-check`.) */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <jansson.h>
#include <math.h>
#include <string.h>
#include "core/base/le.h"
#include "core/base/rng.h"
#include "core/checkpoint/checkpoint.h"
#include "core/checkpoint/export.h"
#include "core/data/tokenizer.h"
#include "core/env/file.h"
#include "tests/core/env/own_folder.h"

static const struct model_config CONFIG = {
    .seq = 16, .hidden = 32, .layers = 2, .heads = 4, .ffn = 48};
static struct model_config config; /* with the tokenizer's vocabulary */
static float *parameters;
static struct buf model;
static struct pieces pieces;

static int begin(void **state)
{
    struct err e = {0};
    if (own_folder_enter(state))
        return -1;
    FILE *f = fopen("sample", "w");
    for (uint64_t i = 0; f && i < 4000; i++) {
        const uint64_t x = rng_u64(7, RNG_TEST, i, 0);
        fprintf(f, "the %s router %llu    sends each sequence\n", x % 3 ? "größere" : "кошка",
                (unsigned long long)x % 50);
    }
    if (!f || fclose(f))
        return -1;
    buf_init(&model, 1u << 24);
    if (tokenizer_train("sample", 330, &model, &e) ||
        pieces_read(&pieces, model.data, model.len, &e)) {
        fprintf(stderr, "%s\n", e.message);
        return -1;
    }
    config = CONFIG;
    config.vocab = pieces.count;
    parameters = malloc(model_parameters(&config) * sizeof *parameters);
    model_init(&config, 3, MODEL_STREAM_DENSE, parameters);
    return 0;
}

static int end(void **state)
{
    pieces_free(&pieces);
    buf_free(&model);
    free(parameters);
    return own_folder_leave(state);
}

static const float *tensor(const char *name)
{
    struct model_tensor t;
    for (uint32_t i = 0; i < model_tensor_count(&config); i++) {
        model_tensor_at(&config, i, &t);
        if (strcmp(t.name, name) == 0)
            return parameters + t.offset;
    }
    fail_msg("no tensor %s", name);
    return NULL;
}

/* --- ours ------------------------------------------------------------------------------------- */

/* A folder's file has the digest by which the store and lineage name the model, and comes back. */
static void test_safetensors(void **state)
{
    (void)state;
    struct err e = {0};
    struct export_file f;
    struct checkpoint_digests d;
    struct digest content;
    const size_t bytes = model_parameters(&config) * sizeof(float);
    float *got = malloc(bytes);
    assert_int_equal(export_safetensors("m.safetensors", &config, parameters, &f, &e), 0);
    assert_int_equal(checkpoint_model_write("m.tar.zst", false, &config, parameters, &d, &e), 0);
    assert_true(digest_equal(&f.digest, &d.content));
    assert_int_equal(export_safetensors_read("m.safetensors", &config, got, &content, &e), 0);
    assert_memory_equal(got, parameters, bytes);
    assert_true(digest_equal(&content, &f.digest));
    free(got);
}

static void refused(const char *data, size_t len, int code)
{
    struct err e = {0};
    assert_int_equal(env_file_write_atomic("bad", data, len, 0600, &e), 0);
    assert_int_equal(export_safetensors_read("bad", &config, NULL, NULL, &e), code);
    assert_non_null(strstr(e.message, "bad"));
}

static void test_safetensors_refuses(void **state)
{
    (void)state;
    struct err e = {0};
    struct export_file f;
    struct buf b;
    const uint32_t nan = 0x7fc00000;
    assert_int_equal(export_safetensors("whole", &config, parameters, &f, &e), 0);
    assert_int_equal(env_file_read("whole", 1u << 24, &b, &e), 0);
    refused("", 0, ERR_FORMAT);
    refused(b.data, 7, ERR_FORMAT);
    refused(b.data, b.len - 4, ERR_FORMAT);
    b.data[7] = 0x7f; /* a header of 2^62 bytes */
    refused(b.data, b.len, ERR_FORMAT);
    b.data[7] = 0;
    b.data[12] ^= 1; /* a name */
    refused(b.data, b.len, ERR_FORMAT);
    b.data[12] ^= 1;
    memcpy(b.data + b.len - 4, &nan, 4);
    refused(b.data, b.len, ERR_NOT_FINITE);
    struct model_config other = config;
    other.ffn += 16;
    assert_int_equal(export_safetensors_read("whole", &other, NULL, NULL, &e), ERR_FORMAT);
    buf_free(&b);
}

/* --- hf --------------------------------------------------------------------------------------- */

static void hf_values(const struct buf *file, json_t *header, const char *name, const float *of,
                      size_t count)
{
    json_t *t = json_object_get(header, name), *at = json_object_get(t, "data_offsets");
    if (!t)
        fail_msg("no tensor %s", name);
    const size_t begin = (size_t)json_integer_value(json_array_get(at, 0)),
                 size = (size_t)json_integer_value(json_array_get(at, 1)) - begin;
    const uint8_t *data = (const uint8_t *)file->data + 8 + le64_get((uint8_t *)file->data) + begin;
    const bool bf16 = strcmp(json_string_value(json_object_get(t, "dtype")), "BF16") == 0;
    assert_int_equal(size, count * (bf16 ? 2 : 4));
    for (size_t i = 0; i < count; i++) {
        const float expected = of ? of[i] : 0;
        const uint32_t bits =
            bf16 ? (uint32_t)le16_get(data + 2 * i) << 16 : le32_get(data + 4 * i);
        float x;
        memcpy(&x, &bits, 4);
        assert_true(bf16 ? fabsf(x - expected) <= fabsf(expected) / 256 : x == expected);
    }
}

static void hf_check(enum export_type type)
{
    struct err e = {0};
    struct export_file f;
    struct digest d;
    struct buf b;
    const size_t square = 32 * 32;
    assert_int_equal(export_hf("hf", &config, parameters, type, &f, &e), 0);
    assert_int_equal(env_file_read("hf", 1u << 24, &b, &e), 0);
    digest_of(b.data, b.len, &d);
    assert_true(digest_equal(&d, &f.digest));
    assert_int_equal(f.bytes, b.len);
    json_t *header = json_loadb(b.data + 8, le64_get((uint8_t *)b.data), 0, NULL);
    assert_non_null(header);
    /* As many as Starcoder2ForCausalLM has: 12 a layer without biases of products, 3 beside. */
    assert_int_equal(json_object_size(header), 1 + 3 + 2 * (6 + 4));
    hf_values(&b, header, "model.embed_tokens.weight", tensor("embed.weight"), config.vocab * 32);
    const float *qkv = tensor("layers.1.attn.qkv.weight");
    hf_values(&b, header, "model.layers.1.self_attn.q_proj.weight", qkv, square);
    hf_values(&b, header, "model.layers.1.self_attn.k_proj.weight", qkv + square, square);
    hf_values(&b, header, "model.layers.1.self_attn.v_proj.weight", qkv + 2 * square, square);
    hf_values(&b, header, "model.layers.0.self_attn.o_proj.weight",
              tensor("layers.0.attn.out.weight"), square);
    hf_values(&b, header, "model.layers.0.mlp.c_fc.weight", tensor("layers.0.ffn.up.weight"),
              48 * 32);
    hf_values(&b, header, "model.layers.0.mlp.c_proj.weight", tensor("layers.0.ffn.down.weight"),
              48 * 32);
    hf_values(&b, header, "model.layers.1.post_attention_layernorm.weight",
              tensor("layers.1.norm2.weight"), 32);
    hf_values(&b, header, "model.layers.1.post_attention_layernorm.bias", NULL, 32);
    hf_values(&b, header, "model.norm.weight", tensor("norm.weight"), 32);
    json_decref(header);
    buf_free(&b);
}

static void test_hf(void **state)
{
    (void)state;
    struct err e = {0};
    struct export_file f;
    hf_check(EXPORT_F32);
    hf_check(EXPORT_BF16);
    assert_int_equal(export_hf("hf-q8", &config, parameters, EXPORT_Q8_0, &f, &e), ERR_INVALID);
    assert_false(env_file_exists("hf-q8"));
}

/* --- gguf: a reader of its own ---------------------------------------------------------------- */

struct gguf {
    struct buf b;
    size_t at, data;
    uint64_t tensors, keys;
    const char *names[64]; /* of tensors; not ended by NUL */
    uint64_t name_lens[64], elements[64], offsets[64];
    uint32_t types[64];
    uint64_t tokens;
    bool has_architecture;
};

static const uint8_t *take(struct gguf *g, size_t len)
{
    assert_true(len <= g->b.len - g->at);
    g->at += len;
    return (const uint8_t *)g->b.data + g->at - len;
}
static uint32_t u32(struct gguf *g)
{
    return le32_get(take(g, 4));
}
static uint64_t u64(struct gguf *g)
{
    return le64_get(take(g, 8));
}
static const char *string(struct gguf *g, uint64_t *len)
{
    *len = u64(g);
    return (const char *)take(g, *len);
}

static void skip_value(struct gguf *g, uint32_t type)
{
    static const uint8_t sizes[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
    uint64_t len;
    assert_true(type < sizeof sizes && type != 9);
    if (type == 8)
        string(g, &len);
    else
        take(g, sizes[type]);
}

static void read_key(struct gguf *g)
{
    uint64_t len;
    const char *name = string(g, &len);
    const uint32_t type = u32(g);
    if (type == 9) {
        const uint32_t of = u32(g);
        const uint64_t count = u64(g);
        if (strncmp(name, "tokenizer.ggml.tokens", len) == 0)
            g->tokens = count;
        for (uint64_t i = 0; i < count; i++)
            skip_value(g, of);
        return;
    }
    const size_t before = g->at;
    skip_value(g, type);
    if (strncmp(name, "general.architecture", len) == 0)
        g->has_architecture = memcmp(g->b.data + before + 8, "starcoder2", 10) == 0;
}

static void gguf_open(struct gguf *g, const char *path)
{
    memset(g, 0, sizeof *g);
    assert_int_equal(env_file_read(path, 1u << 24, &g->b, NULL), 0);
    assert_memory_equal(take(g, 4), "GGUF", 4);
    assert_int_equal(u32(g), 3);
    g->tensors = u64(g);
    g->keys = u64(g);
    for (uint64_t i = 0; i < g->keys; i++)
        read_key(g);
    assert_true(g->tensors <= 64);
    for (uint64_t i = 0; i < g->tensors; i++) {
        g->names[i] = string(g, &g->name_lens[i]);
        const uint32_t rank = u32(g);
        g->elements[i] = 1;
        for (uint32_t d = 0; d < rank; d++)
            g->elements[i] *= u64(g);
        g->types[i] = u32(g);
        g->offsets[i] = u64(g);
        assert_int_equal(g->offsets[i] % 32, 0);
    }
    g->data = (g->at + 31) / 32 * 32;
}

static float half(uint16_t h)
{
    const int exponent = h >> 10 & 31, mantissa = h & 1023;
    return exponent == 0 ? ldexpf((float)mantissa, -24)
                         : ldexpf((float)(mantissa | 1024), exponent - 25);
}

/* Value i of a tensor, whatever its type. */
static float gguf_value(const struct gguf *g, uint64_t tensor_at, uint64_t i)
{
    const uint8_t *data = (const uint8_t *)g->b.data + g->data + g->offsets[tensor_at];
    switch (g->types[tensor_at]) {
    case 0:
        return lef32_get(data + 4 * i);
    case 30: {
        const uint32_t bits = (uint32_t)le16_get(data + 2 * i) << 16;
        float x;
        memcpy(&x, &bits, 4);
        return x;
    }
    case 8:
        data += i / 32 * 34;
        return half(le16_get(data)) * (float)(int8_t)data[2 + i % 32];
    default:
        fail_msg("type %u", g->types[tensor_at]);
        return 0;
    }
}

static void gguf_values(const struct gguf *g, const char *name, const float *of, uint64_t count,
                        float within)
{
    for (uint64_t t = 0; t < g->tensors; t++) {
        if (g->name_lens[t] != strlen(name) || memcmp(g->names[t], name, strlen(name)) != 0)
            continue;
        assert_int_equal(g->elements[t], count);
        for (uint64_t i = 0; i < count; i++)
            assert_true(fabsf(gguf_value(g, t, i) - (of ? of[i] : 0)) <= within);
        return;
    }
    fail_msg("no tensor %s", name);
}

static void gguf_check(enum export_type type, float within)
{
    struct err e = {0};
    struct export_file f;
    struct gguf g;
    assert_int_equal(export_gguf("m.gguf", &config, parameters, type, &pieces, "test", &f, &e), 0);
    gguf_open(&g, "m.gguf");
    assert_int_equal(f.bytes, g.b.len);
    assert_true(g.has_architecture);
    assert_int_equal(g.tokens, config.vocab);
    assert_int_equal(g.tensors, 3 + 2 * (8 + 5));
    gguf_values(&g, "token_embd.weight", tensor("embed.weight"), config.vocab * 32, within);
    gguf_values(&g, "blk.1.attn_v.weight", tensor("layers.1.attn.qkv.weight") + 2 * 1024, 1024,
                within);
    gguf_values(&g, "blk.0.ffn_up.weight", tensor("layers.0.ffn.up.weight"), 48 * 32, within);
    /* Rows of 48 are no whole blocks: such a matrix stays as it is. */
    gguf_values(&g, "blk.0.ffn_down.weight", tensor("layers.0.ffn.down.weight"), 48 * 32,
                type == EXPORT_Q8_0 ? 0 : within);
    gguf_values(&g, "blk.0.ffn_down.bias", NULL, 32, 0);
    gguf_values(&g, "blk.0.attn_norm.weight", tensor("layers.0.norm1.weight"), 32, 0);
    gguf_values(&g, "output_norm.bias", NULL, 32, 0);
    buf_free(&g.b);
}

static void test_gguf(void **state)
{
    (void)state;
    gguf_check(EXPORT_F32, 0);
    gguf_check(EXPORT_BF16, 2e-3f);
    gguf_check(EXPORT_Q8_0, 4e-3f);
}

/* Bounds of the format: every value within half a step, the largest one kept, zeros as zeros. */
static void test_q8_0(void **state)
{
    (void)state;
    uint8_t block[EXPORT_Q8_0_BYTES];
    float x[EXPORT_Q8_0_VALUES];
    for (int scale = -20; scale <= 12; scale++) {
        float most = 0;
        for (uint64_t i = 0; i < EXPORT_Q8_0_VALUES; i++) {
            x[i] = ldexpf(rng_uniform(5, RNG_TEST, i, (uint64_t)(scale + 30)) - 0.5f, scale);
            most = fabsf(x[i]) > most ? fabsf(x[i]) : most;
        }
        export_q8_0_block(x, block);
        const float step = half(le16_get(block));
        /* float16's own rounding: 2^-11 of it, or 2^-25 where it is below the normal numbers */
        const float off = 127 * fmaxf(step * 0x1p-11f, 0x1p-25f);
        for (int i = 0; i < EXPORT_Q8_0_VALUES; i++)
            assert_true(fabsf(step * (float)(int8_t)block[2 + i] - x[i]) <=
                        0.5f * most / 127 * 1.001f + off);
    }
    memset(x, 0, sizeof x);
    export_q8_0_block(x, block);
    for (int i = 0; i < EXPORT_Q8_0_BYTES; i++)
        assert_int_equal(block[i], 0);
}

/* What is not finite is written nowhere: no file stays. */
static void test_not_finite(void **state)
{
    (void)state;
    struct err e = {0};
    struct export_file f;
    float *bad = malloc(model_parameters(&config) * sizeof *bad);
    memcpy(bad, parameters, model_parameters(&config) * sizeof *bad);
    bad[model_parameters(&config) - 1] = NAN;
    assert_int_equal(export_safetensors("no", &config, bad, &f, &e), ERR_NOT_FINITE);
    assert_int_equal(export_hf("no", &config, bad, EXPORT_F32, &f, &e), ERR_NOT_FINITE);
    assert_int_equal(export_gguf("no", &config, bad, EXPORT_F32, &pieces, "x", &f, &e),
                     ERR_NOT_FINITE);
    assert_false(env_file_exists("no"));
    free(bad);
}

/* --- the tokenizer ---------------------------------------------------------------------------- */

static void test_pieces(void **state)
{
    (void)state;
    struct err e = {0};
    struct tokenizer *t;
    assert_int_equal(tokenizer_open(&t, model.data, model.len, &e), 0);
    assert_int_equal(pieces.count, tokenizer_vocab(t));
    assert_int_equal(pieces.end, tokenizer_end(t));
    assert_int_equal(pieces.model, PIECES_BPE);
    assert_true(pieces.byte_fallback && pieces.escape_spaces);
    assert_false(pieces.dummy_prefix || pieces.remove_extra_spaces);
    assert_string_equal(pieces.list[3 + 'A'].text, "<0x41>");
    assert_int_equal(pieces.list[3 + 'A'].kind, PIECE_BYTE);
    tokenizer_close(t);
    for (size_t len = 0; len < model.len; len += 1 + len / 7) {
        struct pieces cut; /* must be refused or be less, never read beyond */
        char *copy = malloc(len + 1);
        memcpy(copy, model.data, len);
        int rc = pieces_read(&cut, copy, len, &e);
        assert_true(rc != 0 || cut.count <= pieces.count);
        pieces_free(&cut);
        free(copy);
    }
}

/* Every merge makes a piece, of pieces, and better pieces come first. */
static void test_tokenizer_json(void **state)
{
    (void)state;
    struct err e = {0};
    struct buf b;
    size_t i;
    json_t *merge;
    buf_init(&b, 1u << 24);
    assert_int_equal(export_hf_tokenizer(&pieces, &b, &e), 0);
    json_t *root = json_loadb(b.data, b.len, JSON_REJECT_DUPLICATES, NULL);
    json_t *bpe = json_object_get(root, "model"), *vocab = json_object_get(bpe, "vocab");
    json_t *merges = json_object_get(bpe, "merges");
    assert_int_equal(json_object_size(vocab), pieces.count);
    assert_true(json_array_size(merges) > 20);
    double last = INFINITY;
    json_array_foreach(merges, i, merge)
    {
        char made[256];
        const char *left = json_string_value(json_array_get(merge, 0)),
                   *right = json_string_value(json_array_get(merge, 1));
        assert_non_null(json_object_get(vocab, left));
        assert_non_null(json_object_get(vocab, right));
        snprintf(made, sizeof made, "%s%s", left, right);
        json_t *id = json_object_get(vocab, made);
        assert_non_null(id);
        const struct piece *p = &pieces.list[json_integer_value(id)];
        assert_int_equal(p->kind, PIECE_NORMAL);
        assert_true((double)p->score <= last);
        last = (double)p->score;
    }
    json_decref(root);
    buf_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_safetensors), cmocka_unit_test(test_safetensors_refuses),
        cmocka_unit_test(test_hf),          cmocka_unit_test(test_gguf),
        cmocka_unit_test(test_q8_0),        cmocka_unit_test(test_not_finite),
        cmocka_unit_test(test_pieces),      cmocka_unit_test(test_tokenizer_json),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
