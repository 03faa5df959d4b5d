/* Tokens a second of a training step and of scoring, and what share of the step its matrix products
 * alone would take: linear layers and head, forward and both gradients, on the step's shapes,
 * through the same kernels. Both are timed in turn in one run, since machines drift; the best of
 * several rounds counts. Usage: bench_step [THREADS [f32|bf16 [WORD]]]: only models whose name
 * begins with WORD. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "core/base/rng.h"
#include "core/env/clock.h"
#include "core/kernels/kernels.h"
#include "core/model/engine.h"

enum { ROUNDS = 7 };
#define ROUND_SECONDS 0.3

struct shape {
    const char *name;
    struct model_config c;
    uint32_t batch;
};

/* The demo's expert and router, and sizes of which one wants to know how they scale; B and C are
 * the paper's router and a model of 110M parameters. */
static const struct shape shapes[] = {
    {"demo expert", {1024, 128, 32, 2, 2, 128}, 8}, {"demo dense", {1024, 128, 32, 2, 2, 128}, 32},
    {"demo router", {1024, 32, 16, 1, 2, 64}, 16},  {"small", {4096, 256, 128, 4, 4, 512}, 8},
    {"A", {8192, 256, 384, 6, 6, 1536}, 8},         {"B", {32000, 256, 96, 12, 12, 384}, 4},
    {"C", {32000, 1024, 768, 12, 12, 3072}, 1},
};

struct bench {
    const struct shape *shape;
    struct engine *engine;
    struct kern *kern;
    float *p[5], *x, *y; /* parameters, moments; weights and gradients of the products alone */
    uint32_t *tokens;
    uint64_t step;
};

static void check(int rc, const struct err *e)
{
    if (rc == 0)
        return;
    fprintf(stderr, "bench_step: %s\n", e->message);
    exit(1);
}

static void *need(size_t n, size_t size)
{
    void *out = calloc(n, size);
    if (!out) {
        perror("bench_step");
        exit(1);
    }
    return out;
}

static void train_step(struct bench *b)
{
    const struct model_config *c = &b->shape->c;
    const struct engine_step o = {1e-3, 0.9, 0.99, 1e-8, 0.1, 1.0, ++b->step};
    double loss, norm;
    struct err e = {0};
    check(engine_train_step(b->engine, b->p[0], b->p[1], b->p[2], b->tokens, b->shape->batch,
                            c->seq, &o, &loss, &norm, &e),
          &e);
}

static void score(struct bench *b)
{
    const struct model_config *c = &b->shape->c;
    struct err e = {0};
    check(engine_scores(b->engine, b->p[0], b->tokens, b->shape->batch, c->seq, c->seq, b->x, &e),
          &e);
}

/* Y = X Wᵀ, dX = dY W, dW += dYᵀ X, as one linear layer makes them. */
static void linear(struct bench *b, size_t rows, size_t in, size_t out)
{
    float *w = b->p[3], *dw = b->p[4];
    kern_linear(b->kern, b->y, b->x, w, rows, in, out, false);
    kern_linear_dx(b->kern, b->x, b->y, w, rows, in, out, false);
    kern_linear_dw(b->kern, dw, b->y, b->x, rows, in, out);
}

static void products(struct bench *b)
{
    const struct model_config *c = &b->shape->c;
    const size_t rows = (size_t)b->shape->batch * (c->seq - 1), h = c->hidden, chunk = 256;
    for (uint32_t i = 0; i < c->layers; i++) {
        linear(b, rows, h, 3 * h);
        linear(b, rows, h, h);
        linear(b, rows, h, c->ffn);
        linear(b, rows, c->ffn, h);
    }
    for (size_t i = 0; i < rows; i += chunk)
        linear(b, rows - i < chunk ? rows - i : chunk, h, c->vocab);
}

/* One thread's processor time where there is one alone: others' work then shows less. */
static double seconds_now(const struct bench *b)
{
    return pool_threads(kern_pool(b->kern)) == 1 ? env_thread_s() : env_monotonic_s();
}

/* Seconds of one call, the least seen over a while. */
static double seconds(struct bench *b, void (*fn)(struct bench *b), double best)
{
    const double start = seconds_now(b);
    double now = start;
    do {
        const double before = now;
        fn(b);
        now = seconds_now(b);
        best = now - before < best ? now - before : best;
    } while (now - start < ROUND_SECONDS);
    return best;
}

static void fill(float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        x[i] = 1e-3f * (rng_uniform(1, RNG_TEST, 0, i) - 0.5f);
}

static void run(const struct shape *s, int threads, bool bf16)
{
    const struct model_config *c = &s->c;
    const struct engine_options o = {
        .arithmetic = bf16 ? ENGINE_BF16 : ENGINE_EXACT, .threads = threads, .train = true};
    const struct kern_options ko = {
        .arithmetic = bf16 ? KERN_BF16 : KERN_EXACT, .seq = c->seq, .head = c->hidden / c->heads};
    const size_t n = model_parameters(c), rows = (size_t)s->batch * c->seq;
    const size_t wide = c->vocab > rows * c->ffn / 256 ? c->vocab * 256 : rows * c->ffn;
    struct bench b = {.shape = s};
    struct err e = {0};
    struct pool *pool = pool_create(threads, &e);
    check(pool ? 0 : e.code, &e);
    check(kern_create(&b.kern, pool, &ko, &e), &e);
    check(engine_create(&b.engine, c, &o, &e), &e);
    for (int i = 0; i < 5; i++)
        b.p[i] = need(n, sizeof(float));
    b.x = need(wide, sizeof(float));
    b.y = need(wide + rows * 3 * c->hidden, sizeof(float));
    b.tokens = need(rows, sizeof *b.tokens);
    for (size_t i = 0; i < rows; i++)
        b.tokens[i] = (uint32_t)(rng_u64(1, RNG_TEST, 0, i) % c->vocab);
    model_init(c, 1, MODEL_STREAM_DENSE, b.p[0]);
    fill(b.p[3], n);
    double step = 1e9, forward = 1e9, alone = 1e9;
    for (int i = 0; i < ROUNDS; i++) {
        step = seconds(&b, train_step, step);
        forward = seconds(&b, score, forward);
        fill(b.x, wide);
        alone = seconds(&b, products, alone);
    }
    printf("%-12s %4u %3u %3u %5u %6u %5u %12.0f %12.0f %12.0f %6.0f %%\n", s->name, c->hidden,
           c->layers, c->heads, c->seq, c->vocab, s->batch, (double)rows / step,
           (double)rows / forward, (double)rows / alone, 100 * alone / step);
    fflush(stdout);
    for (int i = 0; i < 5; i++)
        free(b.p[i]);
    free(b.x), free(b.y), free(b.tokens);
    engine_destroy(b.engine);
    kern_destroy(b.kern);
    pool_destroy(pool);
}

int main(int argc, char **argv)
{
    const int threads = argc > 1 ? atoi(argv[1]) : 1;
    const bool bf16 = argc > 2 && strcmp(argv[2], "bf16") == 0;
    printf("tokens a second, %d thread(s), %s\n", threads, bf16 ? "bf16" : "float32");
    printf("%-12s %4s %3s %3s %5s %6s %5s %12s %12s %12s %8s\n", "model", "H", "L", "A", "S", "V",
           "batch", "training", "scoring", "products", "share");
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        if (argc < 4 || strncmp(shapes[i].name, argv[3], strlen(argv[3])) == 0)
            run(&shapes[i], threads, bf16);
    return 0;
}
