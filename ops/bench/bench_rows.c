/* Our side of bench.py: what peer_torch.py does, by the engine.
 *
 *     bench_rows data MODEL STEPS FOLDER               weights.f32 and tokens.u32 for both sides
 *     bench_rows train|score|decode MODEL PRECISION THREADS FOLDER
 *
 * MODEL is L,H,A,S,V,batch. Says {"ready": …} once all is loaded; then, for each line that names a
 * number of units (steps, batches, tokens), does so many and answers in one line of JSON.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "core/base/rng.h"
#include "core/env/clock.h"
#include "core/kernels/kernels.h"
#include "core/model/decode.h"
#include "core/model/engine.h"

enum { UNITS_MAX = 1000 };

struct side {
    struct model_config c;
    uint32_t batch;
    struct engine *engine;
    struct decode *decode;
    struct decode_weights *weights;
    float *p, *m, *v, *out;
    uint32_t *tokens;
    size_t batches; /* of tokens; they come again when all were used */
    uint64_t step;
    uint32_t at; /* of decoding: tokens in the cache */
    double losses[UNITS_MAX];
    int loss_count;
};

static void fail(const char *what)
{
    fprintf(stderr, "bench_rows: %s\n", what);
    exit(1);
}

static void check(int rc, const struct err *e)
{
    if (rc != 0)
        fail(e->message);
}

static void *need(size_t n, size_t size)
{
    void *out = aligned_alloc(64, (n * size + 63) / 64 * 64);
    if (out == NULL)
        fail("no memory");
    memset(out, 0, n * size);
    return out;
}

static void parse_model(const char *text, struct side *s)
{
    struct model_config *c = &s->c;
    struct err e = {0};
    if (sscanf(text, "%u,%u,%u,%u,%u,%u", &c->layers, &c->hidden, &c->heads, &c->seq, &c->vocab,
               &s->batch) != 6 ||
        s->batch == 0)
        fail("a model is L,H,A,S,V,batch");
    c->ffn = 4 * c->hidden;
    check(model_config_check(c, &e), &e);
}

static FILE *open_in(const char *folder, const char *name, const char *mode)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, mode);
    if (f == NULL) {
        perror(path);
        exit(1);
    }
    return f;
}

static void save(const char *folder, const char *name, const void *bytes, size_t count)
{
    FILE *f = open_in(folder, name, "w");
    if (fwrite(bytes, 4, count, f) != count || fclose(f) != 0)
        fail("cannot write what both sides read");
}

static void *load(const char *folder, const char *name, size_t *count)
{
    FILE *f = open_in(folder, name, "r");
    fseek(f, 0, SEEK_END);
    *count = (size_t)ftell(f) / 4;
    rewind(f);
    void *out = need(*count, 4);
    if (fread(out, 4, *count, f) != *count)
        fail("cannot read what `bench_rows data` wrote");
    fclose(f);
    return out;
}

/* Something to learn, so that losses after some steps depend on all that a step does: half of the
 * tokens follow from the one before, the others are more often small numbers than large ones. */
static void write_data(const char *model, size_t steps, const char *folder)
{
    struct side s = {0};
    parse_model(model, &s);
    const size_t n = steps * s.batch * s.c.seq;
    const uint32_t v = s.c.vocab;
    uint32_t *tokens = need(n, sizeof *tokens), before = 0;
    for (size_t i = 0; i < n; i++) {
        const float u = rng_uniform(1, RNG_TEST, 1, i);
        const uint32_t fresh = (uint32_t)(u * u * u * (float)v);
        before = rng_u64(1, RNG_TEST, 0, i) % 2 ? (before * 5 + 1) % v : fresh % v;
        tokens[i] = before;
    }
    save(folder, "tokens.u32", tokens, n);
    float *p = need(model_parameters(&s.c), sizeof *p);
    model_init(&s.c, 1, MODEL_STREAM_DENSE, p);
    save(folder, "weights.f32", p, model_parameters(&s.c));
    free(tokens);
    free(p);
}

static const uint32_t *batch_of(const struct side *s, size_t i)
{
    return s->tokens + i % s->batches * s->batch * s->c.seq;
}

static void train(struct side *s, int units)
{
    struct err e = {0};
    for (int i = 0; i < units; i++) {
        const uint32_t *tokens = batch_of(s, s->step);
        const struct engine_step o = {1e-3, 0.9, 0.99, 1e-8, 0.1, 1.0, ++s->step};
        double norm;
        check(engine_train_step(s->engine, s->p, s->m, s->v, tokens, s->batch, s->c.seq, &o,
                                &s->losses[s->loss_count++], &norm, &e),
              &e);
    }
}

/* The mean score of a batch's sequences. */
static void score(struct side *s, int units)
{
    const uint32_t prefix = s->c.seq;
    struct err e = {0};
    for (int i = 0; i < units; i++) {
        check(engine_scores(s->engine, s->p, batch_of(s, (size_t)i), s->batch, prefix, prefix,
                            s->out, &e),
              &e);
        double sum = 0;
        for (uint32_t j = 0; j < s->batch; j++)
            sum += s->out[(size_t)j * prefix + prefix - 1];
        s->losses[s->loss_count++] = sum / s->batch;
    }
}

static void decode(struct side *s, int units)
{
    struct err e = {0};
    for (int i = 0; i < units; i++) {
        const struct decode_run run = {.count = 1, .logits = 1, .tokens = s->tokens + s->at};
        if (s->at == 0)
            decode_cut(s->decode, 0, 0);
        check(decode_step(s->decode, s->weights, &run, 1, s->out, &e), &e);
        s->at = (s->at + 1) % s->c.seq;
    }
    float loss;
    const uint32_t target = 0;
    struct pool *pool = pool_create(1, &e);
    struct kern *k;
    check(pool != NULL ? 0 : e.code, &e);
    check(kern_create(&k, pool, &(struct kern_options){0}, &e), &e);
    kern_loss_forward(k, &loss, s->out, s->c.vocab, &target, 1, s->c.vocab);
    s->losses[s->loss_count++] = loss;
    kern_destroy(k);
    pool_destroy(pool);
}

static void answer(struct side *s, void (*fn)(struct side *s, int units), const char *description)
{
    int units;
    printf("{\"ready\": \"%s\"}\n", description);
    fflush(stdout);
    while (scanf("%d", &units) == 1) {
        if (units < 1 || units > UNITS_MAX)
            fail("so many at once are not counted");
        s->loss_count = 0;
        const double start = env_monotonic_s();
        fn(s, units);
        printf("{\"seconds\": %.9f, \"losses\": [", env_monotonic_s() - start);
        for (int i = 0; i < s->loss_count; i++)
            printf("%s%.9g", i ? ", " : "", s->losses[i]);
        printf("]}\n");
        fflush(stdout);
    }
}

static void run_engine(char **argv, void (*fn)(struct side *s, int units))
{
    struct side s = {0};
    struct err e = {0};
    const bool learns = fn == train;
    size_t n, words;
    parse_model(argv[2], &s);
    const struct engine_options o = {.arithmetic =
                                         strcmp(argv[3], "bf16") == 0 ? ENGINE_BF16 : ENGINE_EXACT,
                                     .threads = atoi(argv[4]),
                                     .train = learns};
    s.p = load(argv[5], "weights.f32", &n);
    s.tokens = load(argv[5], "tokens.u32", &words);
    s.batches = words / (s.batch * s.c.seq);
    if (n != model_parameters(&s.c) || s.batches == 0)
        fail("`bench_rows data` wrote another model");
    if (learns) {
        s.m = need(n, sizeof(float));
        s.v = need(n, sizeof(float));
    }
    s.out = need(fn == score ? (size_t)s.batch * s.c.seq : s.c.vocab, sizeof(float));
    check(engine_create(&s.engine, &s.c, &o, &e), &e);
    if (fn == decode) {
        const struct decode_options d = {o.arithmetic, o.threads, 1, 1};
        check(decode_create(&s.decode, &s.c, &d, &e), &e);
        check(decode_weights_create(&s.weights, s.decode, s.p, &e), &e);
    }
    answer(&s, fn, engine_describe(s.engine));
    decode_weights_destroy(s.weights);
    decode_destroy(s.decode);
    engine_destroy(s.engine);
    free(s.p), free(s.m), free(s.v), free(s.out), free(s.tokens);
}

int main(int argc, char **argv)
{
    const char *mode = argc > 1 ? argv[1] : "";
    if (argc == 5 && strcmp(mode, "data") == 0)
        write_data(argv[2], strtoul(argv[3], NULL, 10), argv[4]);
    else if (argc == 6 && strcmp(mode, "train") == 0)
        run_engine(argv, train);
    else if (argc == 6 && strcmp(mode, "score") == 0)
        run_engine(argv, score);
    else if (argc == 6 && strcmp(mode, "decode") == 0)
        run_engine(argv, decode);
    else {
        fprintf(stderr, "usage: see the top of bench_rows.c\n");
        return 64;
    }
    return 0;
}
