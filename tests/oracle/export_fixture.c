/* Makes what `make export-check` and tests/system/export_llama.sh hold against other programs: a
 * model of a few seconds' training on many languages, exported in every layout and type, and what
 * our own engine says of it.
 *
 *     export_fixture DIR
 *
 * Writes m.safetensors, m-f32.gguf, m-bf16.gguf, m-q8_0.gguf, hf-f32/, hf-bf16/, and
 * reference.json:
 * {"vocab":V,"seq":S,"heads":A,"layers":L,"texts":[{"text":…,"ids":[…]}],
 *  "perplexity":…, "logits":file of float32 (all positions of all windows, V each),
 * "windows":[[ids]]}
 */
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "core/base/rng.h"
#include "core/checkpoint/export.h"
#include "core/data/tokenizer.h"
#include "core/env/file.h"
#include "core/env/process.h"
#include "core/model/engine.h"

#define VOCAB 800
#define SEQ 64
#define STEPS 250
#define BATCH 8

/* Many scripts, indentation, runs, signs; what a tokenizer may do otherwise than another. */
static const char *const texts[] = {
    "The router sends each sequence to the expert that finds it likeliest, and to no other.",
    "Größere Übungsaufgaben für zwölf Boxkämpfer über dem Deich: süß, aber schwer!",
    "Съешь же ещё этих мягких французских булок, да выпей чаю.",
    "L'été dernier, où le cœur naïf s'était égaré — « très loin » d'ici…",
    "Ξεσκεπάζω την ψυχοφθόρα βδελυγμία, και τότε γελάω.",
    "私は毎朝コーヒーを飲みます。東京の冬は寒いです。",
    "北京是中国的首都，人口超过两千万。",
    "أحب قراءة الكتب في المساء، وخاصة الشعر القديم.",
    "שלום עולם, מה שלומך היום?",
    "ภาษาไทยไม่มีช่องว่างระหว่างคำ",
    "emoji: 🙂🙃 👩‍👩‍👧‍👦 flags 🇫🇷🇩🇪, e\xcc\x81 and é",
    "int main(void)\n{\n    for (size_t i = 0; i < n; i++) {\n        sum += a[i] * b[i];\n    }\n"
    "\treturn 0;\n}\n",
    "def f(x):\n        if x:\n            return   [y  for y in x]\n\n\n    # odd     "
    "indentation\n",
    "  two spaces first, two last  ",
    "          ",
    "a",
    " ",
    "\n\n\n",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa bbbbbbb ======== -------- ........",
    "3.14159 and 2.71828; 1,234,567 items, 0x7fffffff, 1e-5, 100 %",
    "tabs\tand\tcarriage\r\nreturns, \x01 control and \x7f delete",
    "<0x41> is no byte here, nor is <unk> or <s>; but & < > \" ' \\ are what they are",
};
#define TEXTS (sizeof texts / sizeof texts[0])

static int check(int rc, const struct err *e)
{
    if (rc) {
        fprintf(stderr, "export_fixture: %s\n", e->message);
        exit(1);
    }
    return 0;
}

static const char *at(const char *folder, const char *name)
{
    char *path = env_path_join(folder, name);
    if (!path)
        exit(1);
    return path; /* a short-lived program: not freed */
}

/* Lines cut and joined at random from the texts: the more, the more of them the model knows. */
static void make_sample(const char *path)
{
    FILE *f = fopen(path, "w");
    for (uint64_t i = 0; f && i < 12000; i++) {
        const uint64_t x = rng_u64(11, RNG_TEST, i, 0);
        const char *t = texts[x % TEXTS];
        size_t len = strlen(t), from = len ? (size_t)(x >> 8) % len : 0;
        while (((unsigned char)t[from] & 0xc0) == 0x80)
            from++;
        for (const char *c = t + from; *c; c++)
            if (*c != '<' && *c != '\n' && *c != '\r' && (unsigned char)*c >= ' ')
                fputc(*c, f);
        fprintf(f, " %llu\n", (unsigned long long)(x >> 40) % 100);
    }
    if (!f || fclose(f))
        exit(1);
}

static void encode(const struct tokenizer *t, const char *text, uint32_t **ids, size_t *count)
{
    struct err e = {0};
    size_t cap = 0;
    *ids = NULL;
    *count = 0;
    check(tokenizer_encode(t, text, strlen(text), ids, count, &cap, &e), &e);
}

/* The sample's tokens, and after each text an end. */
static void all_tokens(const struct tokenizer *t, const char *path, uint32_t **ids, size_t *count)
{
    struct err e = {0};
    struct buf b;
    check(env_file_read(path, 64u << 20, &b, &e), &e);
    encode(t, b.data, ids, count);
    buf_free(&b);
}

static void train(struct engine *g, const struct model_config *c, float *p, const uint32_t *ids,
                  size_t count)
{
    struct err e = {0};
    const uint64_t n = model_parameters(c);
    float *m1 = calloc(n, sizeof *m1), *m2 = calloc(n, sizeof *m2);
    uint32_t tokens[BATCH * SEQ];
    double loss, norm;
    if (!m1 || !m2)
        exit(1);
    for (uint64_t step = 1; step <= STEPS; step++) {
        const struct engine_step o = {.learning_rate = 4e-3,
                                      .beta1 = 0.9,
                                      .beta2 = 0.99,
                                      .epsilon = 1e-8,
                                      .weight_decay = 0.1,
                                      .grad_clip = 1,
                                      .step = step};
        for (uint32_t b = 0; b < BATCH; b++)
            memcpy(tokens + b * SEQ, ids + rng_u64(3, RNG_TEST, step, b) % (count - SEQ),
                   SEQ * sizeof *tokens);
        check(engine_train_step(g, p, m1, m2, tokens, BATCH, SEQ, &o, &loss, &norm, &e), &e);
    }
    free(m1);
    free(m2);
}

static void write_text(const char *folder, const char *name, int rc, struct buf *b, struct err *e)
{
    check(rc, e);
    check(env_file_write_atomic(at(folder, name), b->data, b->len, 0644, e), e);
    buf_reset(b);
}

static void write_all(const char *folder, const struct model_config *c, const float *p,
                      const struct pieces *pieces)
{
    static const char *const gguf[] = {"m-f32.gguf", "m-bf16.gguf", "m-q8_0.gguf"};
    static const char *const hf[] = {"hf-f32", "hf-bf16"};
    struct err e = {0};
    struct export_file f;
    struct buf b;
    buf_init(&b, 64u << 20);
    check(export_safetensors(at(folder, "m.safetensors"), c, p, &f, &e), &e);
    for (int t = EXPORT_F32; t <= EXPORT_Q8_0; t++)
        check(export_gguf(at(folder, gguf[t]), c, p, t, pieces, "fixture", &f, &e), &e);
    for (int t = EXPORT_F32; t <= EXPORT_BF16; t++) {
        const char *sub = at(folder, hf[t]);
        check(env_dir_make(sub, &e), &e);
        check(export_hf(at(sub, "model.safetensors"), c, p, t, &f, &e), &e);
        write_text(sub, "config.json", export_hf_config(c, t, pieces->end, &b, &e), &b, &e);
        write_text(sub, "generation_config.json", export_hf_generation(pieces->end, &b, &e), &b,
                   &e);
        write_text(sub, "tokenizer.json", export_hf_tokenizer(pieces, &b, &e), &b, &e);
        write_text(sub, "tokenizer_config.json", export_hf_tokenizer_config(pieces, c->seq, &b, &e),
                   &b, &e);
    }
    buf_free(&b);
}

static json_t *ids_json(const uint32_t *ids, size_t count)
{
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(list, json_integer(ids[i]));
    return list;
}

/* Logits at every position of every text's first S tokens, one after another; and perplexity. */
static void reference(const char *folder, struct engine *g, const struct model_config *c,
                      const float *p, const struct tokenizer *t)
{
    struct err e = {0};
    json_t *list = json_array();
    float *logits = malloc((size_t)SEQ * c->vocab * sizeof *logits);
    FILE *f = fopen(at(folder, "logits.bin"), "wb");
    double loss = 0;
    uint64_t predictions = 0;
    for (size_t i = 0; f && logits && i < TEXTS; i++) {
        uint32_t *ids;
        size_t count, n;
        encode(t, texts[i], &ids, &count);
        n = count < SEQ ? count : SEQ;
        check(engine_logits(g, p, ids, (uint32_t)n, logits, &e), &e);
        if (fwrite(logits, sizeof *logits, n * c->vocab, f) != n * c->vocab)
            exit(1);
        for (size_t s = 0; s + 1 < n; s++, predictions++) {
            const float *row = logits + s * c->vocab;
            double sum = 0;
            for (uint32_t v = 0; v < c->vocab; v++)
                sum += exp((double)row[v]);
            loss += log(sum) - (double)row[ids[s + 1]];
        }
        json_array_append_new(
            list, json_pack("{s:s,s:o}", "text", texts[i], "ids", ids_json(ids, count)));
        free(ids);
    }
    if (!f || !logits || fclose(f))
        exit(1);
    json_t *root =
        json_pack("{s:i,s:i,s:i,s:i,s:i,s:f,s:o}", "vocab", (int)c->vocab, "seq", SEQ, "hidden",
                  (int)c->hidden, "layers", (int)c->layers, "heads", (int)c->heads, "perplexity",
                  exp(loss / (double)predictions), "texts", list);
    if (!root || json_dump_file(root, at(folder, "reference.json"), 0))
        exit(1);
    json_decref(root);
    free(logits);
}

int main(int argc, char **argv)
{
    struct model_config c = {
        .vocab = VOCAB, .seq = SEQ, .hidden = 64, .layers = 2, .heads = 4, .ffn = 256};
    const struct engine_options o = {.threads = 1, .train = true};
    struct err e = {0};
    struct buf model;
    struct tokenizer *t;
    struct pieces pieces;
    struct engine *g;
    uint32_t *ids;
    size_t count;
    if (argc != 2)
        return 64;
    const char *folder = argv[1], *sample = at(folder, "sample.txt");
    check(env_dir_make(folder, &e), &e);
    make_sample(sample);
    buf_init(&model, 16u << 20);
    check(tokenizer_train(sample, VOCAB, &model, &e), &e);
    check(tokenizer_open(&t, model.data, model.len, &e), &e);
    check(pieces_read(&pieces, model.data, model.len, &e), &e);
    check(env_file_write_atomic(at(folder, "tokenizer.model"), model.data, model.len, 0644, &e),
          &e);
    all_tokens(t, sample, &ids, &count);
    float *p = malloc(model_parameters(&c) * sizeof *p);
    model_init(&c, 1, MODEL_STREAM_EXPERT, p);
    check(engine_create(&g, &c, &o, &e), &e);
    train(g, &c, p, ids, count);
    write_all(folder, &c, p, &pieces);
    reference(folder, g, &c, p, t);
    engine_destroy(g);
    tokenizer_close(t);
    pieces_free(&pieces);
    buf_free(&model);
    free(ids);
    free(p);
    return 0;
}
