/* Limits for bench.py, measured beside what they bound.
 *
 *     bench_limits bandwidth THREADS                   reading memory that no cache holds
 *     bench_limits products PRECISION THREADS LIST     products alone, by ours and by libraries
 *
 * LIST names products as ROWS,IN,OUT,KIND,MODE with spaces between: KIND y is Y = X Wᵀ, x is
 * dX = dY W, w is dW += dYᵀ X; MODE a spreads one product over all threads, e has each thread
 * compute one of its own: measured on one thread, and taken as a number of threads times as fast.
 *
 * Says {"ready": …}; then, for each line that names a number of passes, answers in one line of
 * JSON.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "core/base/rng.h"
#include "core/env/clock.h"
#include "core/kernels/kernels.h"
#ifdef BENCH_XSMM
#include <libxsmm.h>
#endif

enum { BANDWIDTH_BYTES = 1 << 29, PRODUCTS_MAX = 64 };
#define PRODUCT_SECONDS 0.02

static void fail(const char *what)
{
    fprintf(stderr, "bench_limits: %s\n", what);
    exit(1);
}

static void check(int rc, const struct err *e)
{
    if (rc != 0)
        fail(e->message);
}

static void *need(size_t bytes)
{
    void *out = aligned_alloc(64, (bytes + 63) / 64 * 64);
    if (out == NULL)
        fail("no memory");
    memset(out, 1, bytes); /* pages of zeros would all be one */
    return out;
}

/* Sums of 64 bytes at a time: eight streams of additions hide their latency. */
typedef uint64_t block __attribute__((vector_size(64)));

struct reading {
    const block *from;
    uint64_t sum;
};

static void read_part(void *arg, size_t begin, size_t end)
{
    struct reading *r = arg;
    block sum[8] = {0};
    for (size_t i = begin; i + 8 <= end; i += 8)
        for (size_t j = 0; j < 8; j++)
            sum[j] += r->from[i + j];
    for (size_t j = 1; j < 8; j++)
        sum[0] += sum[j];
    __atomic_fetch_add(&r->sum, sum[0][0] + sum[0][7], __ATOMIC_RELAXED);
}

static void bandwidth(int threads)
{
    struct err e = {0};
    struct pool *pool = pool_create(threads, &e);
    check(pool != NULL ? 0 : e.code, &e);
    block *memory = need(BANDWIDTH_BYTES);
    struct reading r = {memory, 0};
    int passes;
    printf("{\"ready\": \"%d bytes\"}\n", BANDWIDTH_BYTES);
    fflush(stdout);
    while (scanf("%d", &passes) == 1) {
        const double start = env_monotonic_s();
        for (int i = 0; i < passes; i++)
            pool_for(pool, BANDWIDTH_BYTES / sizeof(block), 4096, read_part, &r);
        printf("{\"bytes_a_second\": %.0f, \"sum\": %llu}\n",
               (double)passes * BANDWIDTH_BYTES / (env_monotonic_s() - start),
               (unsigned long long)r.sum);
        fflush(stdout);
    }
    free(memory);
    pool_destroy(pool);
}

struct product {
    size_t rows, in, out;
    char kind, mode;
    float *x, *y, *w;
#ifdef BENCH_XSMM
    libxsmm_smmfunction xsmm; /* NULL where it has none */
#endif
};

enum library { OURS, BLAS, XSMM, LIBRARIES };

struct bench {
    struct kern *all[2], *one[2]; /* OURS and, where there is one, BLAS */
    bool bf16;
    int threads, count;
    struct product product[PRODUCTS_MAX];
};

static float *numbers(size_t n)
{
    float *x = need(n * sizeof *x);
    for (size_t i = 0; i < n; i++)
        x[i] = 1e-3f * (rng_uniform(1, RNG_TEST, 0, i) - 0.5f);
    return x;
}

/* libxsmm multiplies columns, without transposing: it is given operands that lie as it likes them,
 * of the same sizes. It is for small products, one thread each. */
static void xsmm_kernel(struct product *p)
{
#ifdef BENCH_XSMM
    const size_t m = p->kind == 'y' ? p->out : p->in;
    const size_t n = p->kind == 'w' ? p->out : p->rows;
    const size_t k = p->kind == 'x' ? p->out : p->kind == 'w' ? p->rows : p->in;
    const float alpha = 1, beta = p->kind == 'w';
    const libxsmm_blasint lda = (libxsmm_blasint)m, ldb = (libxsmm_blasint)k;
    if (p->mode == 'e')
        p->xsmm = libxsmm_smmdispatch((libxsmm_blasint)m, (libxsmm_blasint)n, (libxsmm_blasint)k,
                                      &lda, &ldb, &lda, &alpha, &beta, NULL, NULL);
#else
    (void)p;
#endif
}

static void multiply(struct kern *k, const struct product *p)
{
    if (p->kind == 'y')
        kern_linear(k, p->y, p->x, p->w, p->rows, p->in, p->out, false);
    else if (p->kind == 'x')
        kern_linear_dx(k, p->x, p->y, p->w, p->rows, p->in, p->out, false);
    else
        kern_linear_dw(k, p->w, p->y, p->x, p->rows, p->in, p->out);
}

static void multiply_xsmm(const struct product *p)
{
#ifdef BENCH_XSMM
    if (p->kind == 'y')
        p->xsmm(p->w, p->x, p->y);
    else if (p->kind == 'x')
        p->xsmm(p->w, p->y, p->x);
    else
        p->xsmm(p->x, p->y, p->w);
#else
    (void)p;
#endif
}

static bool has(const struct bench *b, enum library l, const struct product *p)
{
    if (l < XSMM)
        return b->all[l] != NULL;
#ifdef BENCH_XSMM
    return !b->bf16 && p->xsmm != NULL;
#else
    (void)p;
    return false;
#endif
}

/* Seconds of one product among many; the least seen. */
static double seconds(const struct bench *b, enum library l, const struct product *p)
{
    const double start = env_monotonic_s();
    double best = 1e9, now = start;
    struct kern *k = l == XSMM ? NULL : p->mode == 'a' ? b->all[l] : b->one[l];
    const int repeat = p->rows * p->in * p->out > 10000000 ? 1 : 20;
    do {
        const double before = now;
        for (int i = 0; i < repeat; i++)
            if (l == XSMM)
                multiply_xsmm(p);
            else
                multiply(k, p);
        now = env_monotonic_s();
        best = now - before < best ? now - before : best;
    } while (now - start < PRODUCT_SECONDS);
    /* What they multiply grows by its own results otherwise. */
    memset(p->kind == 'x' ? p->x : p->kind == 'w' ? p->w : p->y, 0, sizeof(float) * p->in);
    return best / repeat / (p->mode == 'e' ? b->threads : 1);
}

static void pass(const struct bench *b)
{
    static const char *const names[] = {"ours", "OpenBLAS", "libxsmm"};
    printf("{");
    for (enum library l = 0; l < LIBRARIES; l++) {
        printf("%s\"%s\": [", l ? ", " : "", names[l]);
        for (int i = 0; i < b->count; i++) {
            const struct product *p = &b->product[i];
            if (has(b, l, p))
                printf("%s%.9f", i ? ", " : "", seconds(b, l, p));
            else
                printf("%snull", i ? ", " : "");
        }
        printf("]");
    }
    printf("}\n");
    fflush(stdout);
}

static void read_list(struct bench *b, char *list)
{
    for (char *word = strtok(list, " "); word != NULL; word = strtok(NULL, " ")) {
        if (b->count == PRODUCTS_MAX)
            fail("too many products");
        struct product *p = &b->product[b->count++];
        if (sscanf(word, "%zu,%zu,%zu,%c,%c", &p->rows, &p->in, &p->out, &p->kind, &p->mode) != 5)
            fail("a product is ROWS,IN,OUT,KIND,MODE");
        p->x = numbers(p->rows * p->in);
        p->y = numbers(p->rows * p->out);
        p->w = numbers(p->in * p->out);
        xsmm_kernel(p);
    }
}

static void products(bool bf16, int threads, char *list)
{
    struct bench b = {.bf16 = bf16, .threads = threads};
    struct err e = {0};
    struct pool *all = pool_create(threads, &e), *one = pool_create(1, &e);
    check(all != NULL && one != NULL ? 0 : e.code, &e);
    struct kern_options o = {.arithmetic = bf16 ? KERN_BF16 : KERN_EXACT};
    check(kern_create(&b.all[OURS], all, &o, &e), &e);
    check(kern_create(&b.one[OURS], one, &o, &e), &e);
    o.arithmetic = KERN_BLAS; /* knows float32 alone */
    if (!bf16 && kern_create(&b.all[BLAS], all, &o, &e) == 0)
        check(kern_create(&b.one[BLAS], one, &o, &e), &e);
    read_list(&b, list);
    printf("{\"ready\": \"%s, %d products\"}\n", kern_isa(b.all[OURS]), b.count);
    fflush(stdout);
    int passes;
    while (scanf("%d", &passes) == 1)
        pass(&b);
    for (int i = 0; i < 2; i++) {
        kern_destroy(b.all[i]);
        kern_destroy(b.one[i]);
    }
    for (int i = 0; i < b.count; i++)
        free(b.product[i].x), free(b.product[i].y), free(b.product[i].w);
    pool_destroy(all);
    pool_destroy(one);
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "bandwidth") == 0)
        bandwidth(atoi(argv[2]));
    else if (argc == 5 && strcmp(argv[1], "products") == 0)
        products(strcmp(argv[2], "bf16") == 0, atoi(argv[3]), argv[4]);
    else {
        fprintf(stderr, "usage: see the top of bench_limits.c\n");
        return 64;
    }
    return 0;
}
