/* Tokens a second of decoding, of one text alone and of sixteen together, and the bytes of weights
 * and cache that the one reads beside what the memory gives: a loop that only reads, over a buffer
 * larger than any cache. A small model stays in the caches and may be faster than the memory. Best
 * of several rounds, both measured in turn. Usage: bench_decode [THREADS [f32|bf16 [WORD]]]: only
 * models whose name begins with WORD. One line a model, fields apart by spaces:
 *
 *     decode/A f32 threads 2 tokens_s 812.4 of_16 5120.3 bytes_s 1.2e+10 memory_s 2.1e+10 share
 * 0.57
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "core/base/pool.h"
#include "core/base/rng.h"
#include "core/env/clock.h"
#include "core/model/decode.h"

enum { ROUNDS = 5, CONTEXT = 64, TEXTS = 16 };
#define ROUND_SECONDS 0.4
#define BUFFER_BYTES ((size_t)256 << 20)

static const struct {
    const char *name;
    struct model_config c;
} models[] = {
    {"demo", {1024, 128, 32, 2, 2, 128}},
    {"A", {8192, 256, 384, 6, 6, 1536}},
    {"B", {32000, 256, 96, 12, 12, 384}},
    {"C", {32000, 1024, 768, 12, 12, 3072}},
};

static void check(int rc, const struct err *e)
{
    if (rc == 0)
        return;
    fprintf(stderr, "bench_decode: %s\n", e->message);
    exit(1);
}

static void *need(size_t bytes)
{
    void *out = aligned_alloc(64, (bytes + 63) / 64 * 64);
    if (!out) {
        perror("bench_decode");
        exit(1);
    }
    memset(out, 0, bytes);
    return out;
}

struct reading {
    const uint64_t *from;
    _Atomic uint64_t sum;
};

typedef uint64_t wide __attribute__((vector_size(64)));

static void read_part(void *arg, size_t begin, size_t end)
{
    struct reading *r = arg;
    wide sum[4] = {{0}};
    for (size_t i = begin; i < end; i += 32) {
        for (int k = 0; k < 4; k++)
            sum[k] += *(const wide *)(const void *)(r->from + i + 8 * k);
    }
    sum[0] += sum[1] + sum[2] + sum[3];
    r->sum += sum[0][0] + sum[0][7];
}

static double memory_bytes_s(struct pool *pool, struct reading *r, double best)
{
    const size_t words = BUFFER_BYTES / sizeof(uint64_t);
    const double start = env_monotonic_s();
    pool_for(pool, words, words / 16, read_part, r);
    const double speed = (double)BUFFER_BYTES / (env_monotonic_s() - start);
    return speed > best ? speed : best;
}

/* Tokens a second of so many texts together, from empty caches to CONTEXT tokens again and again.
 */
static double tokens_s(struct decode *d, const struct model_config *c,
                       const struct decode_weights *w, uint32_t texts, float *logits, double best)
{
    const double start = env_monotonic_s();
    double before = start, now = start;
    struct err e = {0};
    do {
        for (uint32_t t = 0; t < texts; t++)
            decode_cut(d, t, 0);
        for (uint32_t i = 0; i < CONTEXT; i++) {
            const uint32_t token = (uint32_t)(rng_u64(1, RNG_TEST, 0, i) % c->vocab);
            struct decode_run runs[TEXTS];
            for (uint32_t t = 0; t < texts; t++)
                runs[t] = (struct decode_run){.slot = t, .count = 1, .logits = 1, .tokens = &token};
            check(decode_step(d, w, runs, texts, logits, &e), &e);
        }
        now = env_monotonic_s();
        const double speed = (double)texts * CONTEXT / (now - before);
        best = speed > best ? speed : best;
        before = now;
    } while (now - start < ROUND_SECONDS);
    return best;
}

static void run(const char *name, const struct model_config *c, int threads, bool bf16)
{
    const struct decode_options o = {.arithmetic = bf16 ? ENGINE_BF16 : ENGINE_EXACT,
                                     .threads = threads,
                                     .slots = TEXTS,
                                     .rows = TEXTS};
    struct err e = {0};
    struct decode *d;
    struct decode_weights *w;
    struct pool *pool = pool_create(threads, &e);
    check(pool ? 0 : e.code, &e);
    check(decode_create(&d, c, &o, &e), &e);
    float *p = need(model_parameters(c) * sizeof *p),
          *logits = need(TEXTS * c->vocab * sizeof *logits);
    uint64_t *buffer = need(BUFFER_BYTES);
    struct reading r = {.from = buffer};
    model_init(c, 1, MODEL_STREAM_DENSE, p);
    check(decode_weights_create(&w, d, p, &e), &e);
    free(p);
    double memory = 0, tokens = 0, together = 0;
    for (int i = 0; i < ROUNDS; i++) {
        memory = memory_bytes_s(pool, &r, memory);
        tokens = tokens_s(d, c, w, 1, logits, tokens);
        together = tokens_s(d, c, w, TEXTS, logits, together);
    }
    /* Every weight once; keys and values of the tokens before, on average of half of them. */
    const double cache = 2.0 * c->layers * c->hidden * CONTEXT / 2;
    const double weight = bf16 ? 2 : 4;
    const double bytes = (weight * (double)model_parameters(c) + sizeof(float) * cache) * tokens;
    printf(
        "decode/%s %s threads %d tokens_s %.1f of_16 %.1f bytes_s %.3e memory_s %.3e share %.2f\n",
        name, bf16 ? "bf16" : "f32", threads, tokens, together, bytes, memory, bytes / memory);
    fflush(stdout);
    free(logits), free(buffer);
    decode_weights_destroy(w);
    decode_destroy(d);
    pool_destroy(pool);
}

int main(int argc, char **argv)
{
    const int threads = argc > 1 ? atoi(argv[1]) : 1;
    const bool bf16 = argc > 2 && strcmp(argv[2], "bf16") == 0;
    for (size_t i = 0; i < sizeof models / sizeof *models; i++)
        if (argc < 4 || strncmp(models[i].name, argv[3], strlen(argv[3])) == 0)
            run(models[i].name, &models[i].c, threads, bf16);
    return 0;
}
