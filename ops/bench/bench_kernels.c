/* Exact products against OpenBLAS's, shape by shape, one thread, both in turn in one run since
 * machines drift; the best of several rounds counts. OPENBLAS_* in the environment may force an old
 * core: the bench runs itself again without it. Usage: bench_kernels [ISA]. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "core/base/rng.h"
#include "core/env/clock.h"
#include "core/kernels/kernels.h"

enum { ROUNDS = 5 };
#define ROUND_SECONDS 0.08

enum kind { FORWARD, DX, DW };

struct shape {
    enum kind kind;
    size_t rows, in, out; /* of a linear layer */
};

/* The demo's layers and head, then sizes up to the paper's. */
static const struct shape shapes[] = {
    {FORWARD, 1024, 32, 96},    {FORWARD, 1024, 32, 128},   {FORWARD, 1024, 128, 32},
    {FORWARD, 128, 32, 1024},   {DX, 1024, 32, 128},        {DX, 1024, 128, 32},
    {DX, 128, 32, 1024},        {DW, 1024, 32, 128},        {DW, 1024, 128, 32},
    {DW, 128, 32, 1024},        {FORWARD, 512, 16, 64},     {DW, 512, 16, 64},
    {FORWARD, 128, 16, 1024},   {FORWARD, 2048, 128, 512},  {DX, 2048, 128, 512},
    {DW, 2048, 128, 512},       {FORWARD, 128, 128, 4096},  {DX, 128, 128, 4096},
    {DW, 128, 128, 4096},       {FORWARD, 4096, 384, 1536}, {FORWARD, 4096, 1536, 384},
    {DX, 4096, 384, 1536},      {DX, 4096, 1536, 384},      {DW, 4096, 384, 1536},
    {DW, 8192, 96, 384},        {FORWARD, 8192, 96, 384},   {FORWARD, 1024, 384, 8192},
    {FORWARD, 128, 384, 8192},  {DX, 128, 384, 8192},       {DW, 128, 384, 8192},
    {FORWARD, 4096, 768, 3072}, {FORWARD, 1, 768, 3072},
};

struct operands {
    float *x, *y, *w;
};

static void check(int rc, const struct err *e)
{
    if (rc == 0)
        return;
    fprintf(stderr, "bench_kernels: %s\n", e->message);
    exit(1);
}

static float *numbers(size_t n)
{
    float *x = aligned_alloc(64, (n * sizeof *x + 63) / 64 * 64); /* as workspaces are */
    if (x == NULL) {
        perror("bench_kernels");
        exit(1);
    }
    for (size_t i = 0; i < n; i++)
        x[i] = rng_uniform(1, RNG_TEST, 0, i) - 0.5f;
    return x;
}

static void multiply(struct kern *k, const struct shape *s, const struct operands *o)
{
    if (s->kind == FORWARD)
        kern_linear(k, o->y, o->x, o->w, s->rows, s->in, s->out, false);
    else if (s->kind == DX)
        kern_linear_dx(k, o->x, o->y, o->w, s->rows, s->in, s->out, false);
    else
        kern_linear_dw(k, o->w, o->y, o->x, s->rows, s->in, s->out);
}

/* Seconds of one product, the least seen over a while. */
static double seconds(struct kern *k, const struct shape *s, const struct operands *o, double best)
{
    size_t repeat = 1 + (size_t)(1e6 / ((double)s->rows * (double)s->in * (double)s->out));
    double start = env_monotonic_s(), now = start;

    do {
        double before = now;
        for (size_t i = 0; i < repeat; i++)
            multiply(k, s, o);
        now = env_monotonic_s();
        double once = (now - before) / (double)repeat;
        best = once < best ? once : best;
    } while (now - start < ROUND_SECONDS);
    return best;
}

static void run(const struct shape *s, struct kern *exact, struct kern *blas)
{
    static const char *const kinds[] = {"Y = X Wt", "dX = dY W", "dW += dYt X"};
    struct operands o = {numbers(s->rows * s->in), numbers(s->rows * s->out),
                         numbers(s->in * s->out)};
    double e = 1e9, b = 1e9, flops = 2e-9 * (double)s->rows * (double)s->in * (double)s->out;

    for (int i = 0; i < ROUNDS; i++) {
        e = seconds(exact, s, &o, e);
        /* dX and dW feed on their own results: fresh numbers keep them finite. */
        memset(s->kind == DX ? o.x : s->kind == DW ? o.w : o.y, 0, sizeof(float));
        if (blas != NULL)
            b = seconds(blas, s, &o, b);
    }
    printf("%-12s %6zu %6zu %6zu %10.1f", kinds[s->kind], s->rows, s->in, s->out, flops / e);
    if (blas != NULL)
        printf(" %10.1f %7.0f %%", flops / b, 100 * b / e);
    printf("\n");
    fflush(stdout);
    free(o.x);
    free(o.y);
    free(o.w);
}

static void without_overrides(char **argv)
{
    if (getenv("OPENBLAS_CORETYPE") == NULL && getenv("OPENBLAS_L2_SIZE") == NULL)
        return;
    printf("OPENBLAS_CORETYPE=%s ignored: both sides run at their best\n",
           getenv("OPENBLAS_CORETYPE") != NULL ? getenv("OPENBLAS_CORETYPE") : "");
    fflush(stdout);
    unsetenv("OPENBLAS_CORETYPE");
    unsetenv("OPENBLAS_L2_SIZE");
    execv("/proc/self/exe", argv);
    perror("bench_kernels");
    exit(1);
}

int main(int argc, char **argv)
{
    struct kern_options o = {.isa = argc > 1 ? argv[1] : NULL};
    struct kern *exact, *blas = NULL;
    struct err e = {0};

    without_overrides(argv);
    struct pool *pool = pool_create(1, &e);
    check(pool != NULL ? 0 : e.code, &e);
    check(kern_create(&exact, pool, &o, &e), &e);
    o.arithmetic = KERN_BLAS;
    if (kern_create(&blas, pool, &o, &e) != 0)
        printf("without OpenBLAS: %s\n", e.message);
    printf("products, GFLOP/s, 1 thread, exact by %s\n", kern_isa(exact));
    printf("%-12s %6s %6s %6s %10s %10s %9s\n", "", "rows", "in", "out", "exact", "OpenBLAS",
           "ratio");
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        run(&shapes[i], exact, blas);
    kern_destroy(exact);
    kern_destroy(blas);
    pool_destroy(pool);
    return 0;
}
