/* Trains two small models for 20 steps, scores and decodes with them, and writes every byte of the
 * results to standard output: tests/system/arm_digest.sh compares its digest between processors and
 * instruction sets ($TACIT_ISA). Usage: arm_digest [THREADS [bf16]]. Needs core/base, core/kernels
 * and core/model alone, so that it can be linked for another processor without any library. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "core/base/rng.h"
#include "core/model/decode.h"
#include "core/model/engine.h"
#include "core/model/schedule.h"

enum { STEPS = 20, BATCH = 3 };

/* Sizes that fill vectors and tiles, and sizes that fill none. */
static const struct model_config configs[] = {
    {.vocab = 128, .seq = 32, .hidden = 32, .layers = 2, .heads = 2, .ffn = 128},
    {.vocab = 101, .seq = 23, .hidden = 18, .layers = 3, .heads = 3, .ffn = 41},
};

static void put(const void *data, size_t n, size_t size)
{
    if (fwrite(data, size, n, stdout) != n) {
        perror("arm_digest: standard output");
        exit(1);
    }
}

static void check(int rc, const struct err *e)
{
    if (rc == 0)
        return;
    fprintf(stderr, "arm_digest: %s\n", e->message);
    exit(1);
}

static void *need(size_t n, size_t size)
{
    void *out = calloc(n, size);
    if (!out) {
        perror("arm_digest");
        exit(1);
    }
    return out;
}

static void train(struct engine *g, const struct model_config *c, float *p[3])
{
    uint32_t *tokens = need((size_t)BATCH * c->seq, sizeof *tokens);
    struct err e = {0};
    for (uint32_t i = 1; i <= STEPS; i++) {
        const struct engine_step o = {
            .learning_rate = schedule_cosine(i, STEPS, 4, 5e-3),
            .beta1 = 0.9,
            .beta2 = 0.99,
            .epsilon = 1e-8,
            .weight_decay = 0.1,
            .grad_clip = 1.0,
            .step = i,
        };
        double out[2];
        for (uint32_t t = 0; t < BATCH * c->seq; t++)
            tokens[t] = (uint32_t)(rng_u64(1, RNG_TEST, i, t) % c->vocab);
        check(
            engine_train_step(g, p[0], p[1], p[2], tokens, BATCH, c->seq, &o, &out[0], &out[1], &e),
            &e);
        put(out, 2, sizeof *out);
    }
    free(tokens);
    for (int i = 0; i < 3; i++)
        put(p[i], model_parameters(c), sizeof(float));
}

static void use(struct engine *g, const struct model_config *c, const float *p,
                const struct decode_options *decoding)
{
    uint32_t *tokens = need((size_t)BATCH * c->seq, sizeof *tokens);
    float *scores = need((size_t)BATCH * c->seq, sizeof *scores);
    float *logits = need(c->vocab, sizeof *logits);
    double losses[BATCH];
    struct err e = {0};
    for (uint32_t t = 0; t < BATCH * c->seq; t++)
        tokens[t] = (uint32_t)(rng_u64(2, RNG_TEST, 0, t) % c->vocab);
    check(engine_scores(g, p, tokens, BATCH, c->seq, c->seq / 2, scores, &e), &e);
    put(scores, (size_t)BATCH * (c->seq / 2), sizeof *scores);
    check(engine_losses(g, p, tokens, BATCH, c->seq, 0, losses, NULL, &e), &e);
    put(losses, BATCH, sizeof *losses);
    struct decode *d;
    struct decode_weights *w;
    check(decode_create(&d, c, decoding, &e), &e);
    check(decode_weights_create(&w, d, p, &e), &e);
    for (uint32_t s = 0; s < c->seq; s++) {
        const struct decode_run run = {.count = 1, .logits = 1, .tokens = tokens + s};
        check(decode_step(d, w, &run, 1, logits, &e), &e);
        put(logits, c->vocab, sizeof *logits);
    }
    decode_weights_destroy(w);
    decode_destroy(d);
    free(tokens), free(scores), free(logits);
}

int main(int argc, char **argv)
{
    const struct engine_options o = {
        .arithmetic = argc > 2 && strcmp(argv[2], "bf16") == 0 ? ENGINE_BF16 : ENGINE_EXACT,
        .threads = argc > 1 ? atoi(argv[1]) : 1,
        .train = true,
    };
    for (size_t i = 0; i < sizeof configs / sizeof *configs; i++) {
        const struct model_config *c = &configs[i];
        struct engine *g;
        struct err e = {0};
        float *p[3];
        check(engine_create(&g, c, &o, &e), &e);
        fprintf(stderr, "%s\n", engine_describe(g));
        for (int j = 0; j < 3; j++)
            p[j] = need(model_parameters(c), sizeof(float));
        model_init(c, 42, MODEL_STREAM_EXPERT + (uint64_t)i, p[0]);
        train(g, c, p);
        const struct decode_options d = {o.arithmetic, o.threads, 1, 1};
        use(g, c, p[0], &d);
        for (int j = 0; j < 3; j++)
            free(p[j]);
        engine_destroy(g);
    }
    return fflush(stdout) == 0 ? 0 : 1;
}
