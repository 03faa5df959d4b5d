#include "core/kernels/selftest_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "core/base/pool.h"
#include "core/base/rng.h"
#include "core/kernels/mathfn.h"

/* Sizes that fill whole tiles and vectors and leave rests, with more than one strip of queries. */
enum {
    M = 27,
    N = 37,
    K = 21,
    ROWS = 7,
    WIDTH = 37,
    S = 37,
    HEADS = 2,
    D = 10,
    H = HEADS * D,
    TOKENS = S * H
};
#define SCRATCH (KERN_PACK + (1 << 15))

/* Everything a test of one set needs; some 3 MB, so it is static to nobody and on no stack. */
struct bench {
    const struct kern_lanes *lanes;
    float *scratch;
    uint64_t at; /* of the random numbers */
    float a[3 * TOKENS], b[3 * TOKENS], c[3 * TOKENS], d[3 * TOKENS], stats[2 * S * HEADS];
    float cos[S * D / 2], sin[S * D / 2];
    float out[2][6 * TOKENS]; /* of the definition and of the set */
};

/* Mostly around 1, one in eight far from it, so that every rounding shows. */
static void fill(struct bench *t, float *x, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint64_t r = rng_u64(11, RNG_TEST, 1, t->at++);
        x[i] = (float)(uint32_t)(r & 0xffffff) * 0x1p-23f - 1.0f;
        if (r >> 61 == 0)
            x[i] *= 0x1p-9f;
    }
}

static void product(struct bench *t, const struct kern_lanes *l, float *y, int kind, bool bf16)
{
    bool turned = kind & 1, whole = kind & 2;
    struct kern_product p = {.K = K, .A = t->a, .B = t->b, .C = y, .c_row = N};
    p.a_row = turned ? 1 : K, p.a_col = turned ? M : 1;
    p.b_row = turned ? N : 1, p.b_col = turned ? 1 : K;
    p.accumulate = !whole, p.bf16 = bf16;
    memcpy(y, t->c, M * N * sizeof *y);
    l->product(&p, 0, M, 0, N, t->scratch);
    p.C = y + M * N;
    if (p.b_row == 1)
        l->vector(&p, 0, N, t->scratch);
    const struct kern_panels q = {M,      K,   N, t->a, t->scratch + KERN_PACK, y + 2 * M * N,
                                  !whole, bf16};
    l->panels_pack(t->scratch + KERN_PACK, t->b, K, N, bf16);
    l->panels(&q, 0, (N + l->panel - 1) / l->panel, t->scratch);
}

static void attention(struct bench *t, const struct kern_lanes *l, float *y, bool bf16)
{
    const struct kern_attention a = {1, S, HEADS, D, t->cos, t->sin};
    float *stats = y + 4 * TOKENS, *cache = y + 5 * TOKENS; /* of the first two tokens' keys */
    l->attention_forward(&a, bf16, y, stats, t->a, 0, HEADS, t->scratch);
    l->attention_backward(&a, bf16, y + TOKENS, t->b, y, stats, t->a, 0, HEADS, t->scratch);
    /* three of them, one more */
    for (uint32_t pos = 0; pos < 4; pos += 3) {
        const struct kern_attention_run run = {cache + 4 * H, cache + 8 * H, pos, pos ? 1 : 3, pos};
        l->attention_decode(&a, bf16, cache, t->a, &run, 4, 0, HEADS, t->scratch);
    }
}

static void norms(struct bench *t, const struct kern_lanes *l, float *y)
{
    float *stats = y + 3 * ROWS * WIDTH;
    memcpy(y + 2 * ROWS * WIDTH, t->c, WIDTH * sizeof *y);
    l->layernorm_forward(y, stats, t->a, t->b, ROWS, WIDTH);
    l->layernorm_backward(y + ROWS * WIDTH, t->d, t->c, t->a, stats, t->b, ROWS, WIDTH);
    l->layernorm_weight(y + 2 * ROWS * WIDTH, t->d, t->a, stats, ROWS, WIDTH, 0, WIDTH);
}

static void elements(struct bench *t, const struct kern_lanes *l, float *y)
{
    static const uint32_t tokens[ROWS] = {0, 2, 1, 2, 2, 0, 1};
    const size_t n = ROWS * WIDTH;
    l->gelu_forward(y, t->a, n);
    l->gelu_backward(y + n, t->b, t->a, n);
    l->add(y + 2 * n, t->a, t->b, n);
    l->scale(y + 3 * n, t->a, 0.37f, n);
    memcpy(y + 4 * n, t->c, 3 * WIDTH * sizeof *y);
    l->embed_backward(y + 4 * n, t->d, tokens, ROWS, WIDTH, 0, WIDTH);
    y[5 * n] = l->squares(t->a, n);
    l->mix(y + 6 * n, 0.37f, t->a, -1.3f, t->b, n);
}

/* Losses, and products of their gradient, whose own form is the set's. */
static void head(struct bench *t, const struct kern_lanes *l, float *y, bool bf16)
{
    static const uint32_t targets[ROWS] = {0, 36, 16, 15, KERN_NO_TARGET, 31, 1};
    float *d = t->scratch + KERN_PACK, *across = d + ROWS * WIDTH;
    float *held = across + ROWS * KERN_HEAD_WORDS;
    struct kern_product p = {.K = WIDTH, .A = d, .a_row = WIDTH, .a_col = 1, .B = t->b, .C = y};
    p.a_held = true, p.bf16 = bf16, p.b_row = N, p.b_col = 1, p.c_row = N;
    memcpy(d, t->a, ROWS * WIDTH * sizeof *d);
    l->head_rows(y + ROWS * N, d, WIDTH, across, 0, targets, ROWS, WIDTH, 0.125f, bf16);
    l->hold(held, &p, 0, N);
    p.B = held, p.b_held = true;
    l->product(&p, 0, ROWS, 0, N, t->scratch);
    p.K = ROWS, p.A = across, p.a_row = 1, p.a_col = KERN_HEAD_WORDS, p.C = y + ROWS * (N + 1);
    p.B = t->c, p.b_held = false;
    l->product(&p, 0, WIDTH, 0, N, t->scratch);
}

static void loss(struct bench *t, const struct kern_lanes *l, float *y)
{
    static const uint32_t targets[ROWS] = {0, 36, 16, 15, KERN_NO_TARGET, 31, 1};
    l->loss(y + ROWS * WIDTH, t->a, WIDTH, targets, ROWS, WIDTH);
    for (int bf16 = 0; bf16 < 2; bf16++)
        head(t, l, y + TOKENS + (size_t)bf16 * (ROWS * (N + 1) + WIDTH * N), bf16);
    float *state = y + ROWS * (WIDTH + 4);
    l->words_block(state, t->a, WIDTH, ROWS, WIDTH);
    l->words_block(state, t->b, WIDTH, ROWS, WIDTH);
    l->words_loss(state + 32 * ROWS, state, t->c, ROWS);
}

static void adamw(struct bench *t, const struct kern_lanes *l, float *y)
{
    const size_t n = ROWS * WIDTH;
    const struct kern_adamw_f o = {0.7f, 0.9f,  0.1f,  0.99f, 0.01f,
                                   5.0f, 50.0f, 3e-3f, 0.99f, 1e-8f};
    memcpy(y, t->a, n * sizeof *y);
    memcpy(y + n, t->b, n * sizeof *y);
    for (size_t i = 0; i < n; i++)
        y[2 * n + i] = t->c[i] * t->c[i]; /* second moments are not negative */
    l->adamw(y, y + n, y + 2 * n, t->d, n, &o);
}

enum {
    PRODUCT,
    PRODUCT_BF16 = PRODUCT + 4,
    ATTENTION = PRODUCT_BF16 + 4,
    ATTENTION_BF16,
    NORMS,
    ELEMENTS,
    LOSS,
    ADAMW,
    PARTS
};

static void part(struct bench *t, const struct kern_lanes *l, float *y, int which)
{
    memset(y, 0, sizeof t->out[0]);
    if (which < ATTENTION)
        product(t, l, y, which % 4, which >= PRODUCT_BF16);
    else if (which <= ATTENTION_BF16)
        attention(t, l, y, which == ATTENTION_BF16);
    else if (which == NORMS)
        norms(t, l, y);
    else if (which == ELEMENTS)
        elements(t, l, y);
    else if (which == LOSS)
        loss(t, l, y);
    else
        adamw(t, l, y);
}

static const char *name_of(int which)
{
    static const char *const names[] = {"attention",   "attention in bf16",
                                        "layer norms", "GELU, sums or embeddings",
                                        "loss",        "AdamW"};
    return which < PRODUCT_BF16 ? "matrix products"
           : which < ATTENTION  ? "matrix products in bf16"
                                : names[which - ATTENTION];
}

static void rotary(struct bench *t)
{
    for (size_t i = 0; i < S * D / 2; i++) {
        double turn = (double)(i / (D / 2)) * mathfn_exp(-(double)(i % (D / 2)));
        t->cos[i] = (float)mathfn_cos(turn);
        t->sin[i] = (float)mathfn_sin(turn);
    }
}

const char *selftest__failure(const struct kern_lanes *lanes)
{
    struct bench *t = calloc(1, sizeof *t);
    const char *failed = NULL;
    if (t != NULL)
        t->scratch = aligned_alloc(64, SCRATCH * sizeof(float));
    if (t == NULL || t->scratch == NULL) {
        free(t);
        return "no memory for the test";
    }
    _Static_assert(SCRATCH * sizeof(float) % 64 == 0, "whole cache lines");
    pool_flush_denormals();
    rotary(t);
    for (int which = 0; failed == NULL && which < PARTS; which++) {
        fill(t, t->a, 3 * TOKENS);
        fill(t, t->b, 3 * TOKENS);
        fill(t, t->c, 3 * TOKENS);
        fill(t, t->d, 3 * TOKENS);
        part(t, &kern_lanes_definition, t->out[0], which);
        part(t, lanes, t->out[1], which);
        if (memcmp(t->out[0], t->out[1], sizeof t->out[0]) != 0)
            failed = name_of(which);
    }
    free(t->scratch);
    free(t);
    return failed;
}

void selftest__choose(const struct kern_lanes *const *sets, size_t n, size_t wanted,
                      struct selftest *out)
{
    *out = (struct selftest){.count = n};
    for (size_t i = 0; i < n; i++) {
        struct selftest_set *s = &out->sets[i];
        const char *failed = selftest__failure(sets[i]);
        s->isa = sets[i]->name;
        s->pairs = sets[i]->pairs;
        s->works = failed == NULL;
        snprintf(s->failed, sizeof s->failed, "%s", failed != NULL ? failed : "");
        if (i >= wanted && s->works && out->isa == NULL)
            out->isa = s->isa;
    }
    out->wanted = wanted < n ? sets[wanted]->name : kern_lanes_definition.name;
    if (out->isa == NULL)
        out->isa = kern_lanes_definition.name;
}

int selftest_run(struct selftest *out, struct err *e)
{
    const struct kern_lanes *sets[SELFTEST_SETS_MAX];
    const struct kern_lanes *chosen = kern__lanes_choose(NULL, e);
    if (chosen == NULL)
        return ERR_INVALID;
    size_t n = kern__lanes_here(sets, SELFTEST_SETS_MAX), wanted = 0;
    while (wanted < n && sets[wanted] != chosen)
        wanted++;
    selftest__choose(sets, n, wanted, out);
    return 0;
}
