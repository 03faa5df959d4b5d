/* Products in float32 and bf16 against the limit, a loop of multiply-adds on registers alone, and
 * against OpenBLAS and, where it was there to link, libxsmm: on the shapes of three configurations
 * and of the demo, one thread, all in turn in one run since machines drift. In processor time, the
 * best of a round counts, shares are taken within a round, and medians over rounds are printed.
 * OPENBLAS_* in the environment may force an old core: the bench runs itself again without it.
 * Usage: bench_kernels [ISA [WORD]] [--json]: only configurations whose name begins so; with --json
 * a line of it for each product, FLOP/s, 0 where a library has none. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "core/base/rng.h"
#include "core/env/clock.h"
#include "core/kernels/kernels.h"
#ifdef BENCH_XSMM
#include <libxsmm.h>
#endif

enum { ROUNDS = 9 };
/* Shorter than a time slice, so that some round is not disturbed. */
#define ROUND_SECONDS 0.02
/* Some milliseconds a go: a shorter one ends before the processor has its highest clock, or is as
 * long as the clock's own step. */
#define PEAK_ROUNDS 1000000
#define PEAK_SECONDS 0.02

enum kind { FORWARD, DX, DW };

struct shape {
    const char *of;
    enum kind kind;
    size_t rows, in, out; /* of a linear layer */
};

/* Rows: of one micro-batch, or of the logits kept at a time. */
static const struct shape shapes[] = {
    {"demo", FORWARD, 1024, 32, 128},
    {"demo", DX, 1024, 32, 128},
    {"demo", DW, 1024, 32, 128},
    {"demo head", FORWARD, 256, 32, 1024},
    {"demo head", DX, 256, 32, 1024},
    {"demo head", DW, 256, 32, 1024},
    {"A qkv", FORWARD, 510, 384, 1152},
    {"A up", FORWARD, 510, 384, 1536},
    {"A up", DX, 510, 384, 1536},
    {"A up", DW, 510, 384, 1536},
    {"A down", FORWARD, 510, 1536, 384},
    {"A down", DX, 510, 1536, 384},
    {"A down", DW, 510, 1536, 384},
    {"A head", FORWARD, 256, 384, 8192},
    {"A head", DX, 256, 384, 8192},
    {"A head", DW, 256, 384, 8192},
    {"B qkv", FORWARD, 510, 96, 288},
    {"B up", FORWARD, 510, 96, 384},
    {"B up", DX, 510, 96, 384},
    {"B up", DW, 510, 96, 384},
    {"B down", FORWARD, 510, 384, 96},
    {"B down", DX, 510, 384, 96},
    {"B down", DW, 510, 384, 96},
    {"B out", DW, 510, 96, 96},
    {"B head", FORWARD, 256, 96, 32000},
    {"B head", DX, 256, 96, 32000},
    {"B head", DW, 256, 96, 32000},
    {"C up", FORWARD, 1023, 768, 3072},
    {"C up", DX, 1023, 768, 3072},
    {"C up", DW, 1023, 768, 3072},
    {"C down", FORWARD, 1023, 3072, 768},
    {"C head", FORWARD, 256, 768, 32000},
    {"C head", DX, 256, 768, 32000},
    {"C head", DW, 256, 768, 32000},
    {"QK, D = 64", FORWARD, 256, 64, 256},
    {"QK, D = 8", FORWARD, 256, 8, 256},
    {"PV, D = 64", DX, 256, 64, 256},
    {"decode", FORWARD, 1, 768, 3072},
};

enum side { EXACT, BF16, BLAS, XSMM, SIDES };

struct bench {
    struct kern *kern[3];
    double limit[2]; /* FLOP/s, EXACT and BF16: medians of the last shape's rounds */
    bool json;
};

struct operands {
    const struct shape *s;
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

static void multiply(struct kern *k, const struct operands *o)
{
    const struct shape *s = o->s;
    if (s->kind == FORWARD)
        kern_linear(k, o->y, o->x, o->w, s->rows, s->in, s->out, false);
    else if (s->kind == DX)
        kern_linear_dx(k, o->x, o->y, o->w, s->rows, s->in, s->out, false);
    else
        kern_linear_dw(k, o->w, o->y, o->x, s->rows, s->in, s->out);
}

/* libxsmm multiplies columns, without transposing: it is given operands that lie as it likes them,
 * of the same sizes. NULL where it has no kernel for them. */
#ifdef BENCH_XSMM
static libxsmm_smmfunction xsmm_kernel(const struct shape *s)
{
    const size_t m = s->kind == DX ? s->in : s->kind == DW ? s->in : s->out;
    const size_t n = s->kind == DW ? s->out : s->rows;
    const size_t k = s->kind == DX ? s->out : s->kind == DW ? s->rows : s->in;
    const float alpha = 1, beta = s->kind == DW;
    const libxsmm_blasint lda = (libxsmm_blasint)m, ldb = (libxsmm_blasint)k;
    return libxsmm_smmdispatch((libxsmm_blasint)m, (libxsmm_blasint)n, (libxsmm_blasint)k, &lda,
                               &ldb, &lda, &alpha, &beta, NULL, NULL);
}
#endif

static void once(struct bench *b, enum side side, const struct operands *o, const void *xsmm)
{
    if (side != XSMM) {
        multiply(b->kern[side], o);
        return;
    }
#ifdef BENCH_XSMM
    libxsmm_smmfunction f;
    memcpy(&f, xsmm, sizeof f);
    if (o->s->kind == FORWARD)
        f(o->w, o->x, o->y);
    else if (o->s->kind == DX)
        f(o->w, o->y, o->x);
    else
        f(o->x, o->y, o->w);
#else
    (void)xsmm;
#endif
}

/* FLOP/s of a product, the most seen over a while. */
static double rate(struct bench *b, enum side side, const struct operands *o, const void *xsmm)
{
    const struct shape *s = o->s;
    double work = (double)s->rows * (double)s->in * (double)s->out, best = 0;
    size_t repeat = 1 + (size_t)(2e7 / work);
    double start = env_thread_s(), now = start;

    do {
        double before = now;
        for (size_t i = 0; i < repeat; i++)
            once(b, side, o, xsmm);
        now = env_thread_s();
        double each = 2 * work * (double)repeat / (now - before);
        best = each > best ? each : best;
    } while (now - start < ROUND_SECONDS);
    /* dX and dW feed on their own results: fresh numbers keep them finite. */
    memset(s->kind == DX ? o->x : s->kind == DW ? o->w : o->y, 0, sizeof(float));
    return best;
}

static double limit(struct bench *b, enum side side)
{
    double start = env_thread_s(), now = start, best = 0;
    do {
        double before = now, flops = kern_peak(b->kern[side], PEAK_ROUNDS);
        now = env_thread_s();
        best = flops / (now - before) > best ? flops / (now - before) : best;
    } while (now - start < PEAK_SECONDS);
    return best;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double x[ROUNDS])
{
    qsort(x, ROUNDS, sizeof *x, by_size);
    return x[ROUNDS / 2];
}

static void print_rate(double x)
{
    if (x > 0)
        printf(" %9.1f", 1e-9 * x);
    else
        printf(" %9s", "-");
}

static void print_line(const struct shape *s, const double rates[SIDES], const double shares[2],
                       double ratio)
{
    static const char *const kinds[] = {"Y = X Wt", "dX = dY W", "dW += dYt X"};
    printf("%-11s %-12s %5zu %5zu %5zu", s->of, kinds[s->kind], s->rows, s->in, s->out);
    for (enum side side = 0; side < SIDES; side++) {
        print_rate(rates[side]);
        if (side <= BF16)
            printf(" %4.0f %%", 100 * shares[side]);
    }
    printf(" %8.2f\n", ratio);
}

static void print_json(const struct shape *s, const double rates[SIDES], const double shares[2],
                       double ratio)
{
    static const char *const kinds[] = {"forward", "dx", "dw"};
    printf("{\"of\": \"%s\", \"kind\": \"%s\", \"rows\": %zu, \"in\": %zu, \"out\": %zu, "
           "\"f32\": %.0f, \"bf16\": %.0f, \"OpenBLAS\": %.0f, \"libxsmm\": %.0f, "
           "\"share\": %.4f, \"bf16_share\": %.4f, \"ratio\": %.4f}\n",
           s->of, kinds[s->kind], s->rows, s->in, s->out, rates[EXACT], rates[BF16], rates[BLAS],
           rates[XSMM], shares[EXACT], shares[BF16], ratio);
}

static void run(struct bench *b, const struct shape *s)
{
    struct operands o = {s, numbers(s->rows * s->in), numbers(s->rows * s->out),
                         numbers(s->in * s->out)};
    double rates[SIDES][ROUNDS] = {0}, limits[2][ROUNDS], shares[2][ROUNDS], ratios[ROUNDS];
    const void *xsmm = NULL;
#ifdef BENCH_XSMM
    libxsmm_smmfunction f = xsmm_kernel(s);
    xsmm = f != NULL ? &f : NULL;
#endif

    for (int i = 0; i < ROUNDS; i++) {
        for (enum side side = 0; side < SIDES; side++) {
            if (side == XSMM ? xsmm != NULL : b->kern[side] != NULL)
                rates[side][i] = rate(b, side, &o, xsmm);
            if (side <= BF16) {
                limits[side][i] = limit(b, side);
                shares[side][i] = rates[side][i] / limits[side][i];
            }
        }
        double best = rates[BLAS][i] > rates[XSMM][i] ? rates[BLAS][i] : rates[XSMM][i];
        ratios[i] = best > 0 ? rates[EXACT][i] / best : 0;
    }
    for (enum side side = 0; side <= BF16; side++)
        b->limit[side] = median(limits[side]);
    const double share[2] = {median(shares[EXACT]), median(shares[BF16])};
    const double rate_of[SIDES] = {median(rates[EXACT]), median(rates[BF16]), median(rates[BLAS]),
                                   median(rates[XSMM])};
    if (b->json)
        print_json(s, rate_of, share, median(ratios));
    else
        print_line(s, rate_of, share, median(ratios));
    fflush(stdout);
    free(o.x);
    free(o.y);
    free(o.w);
}

static void without_overrides(char **argv)
{
    if (getenv("OPENBLAS_CORETYPE") == NULL && getenv("OPENBLAS_L2_SIZE") == NULL)
        return;
    fprintf(stderr, "OPENBLAS_CORETYPE=%s ignored: both sides run at their best\n",
            getenv("OPENBLAS_CORETYPE") != NULL ? getenv("OPENBLAS_CORETYPE") : "");
    unsetenv("OPENBLAS_CORETYPE");
    unsetenv("OPENBLAS_L2_SIZE");
    execv("/proc/self/exe", argv);
    perror("bench_kernels");
    exit(1);
}

int main(int argc, char **argv)
{
    const bool json = argc > 1 && strcmp(argv[argc - 1], "--json") == 0;
    argc -= json;
    struct kern_options o = {.isa = argc > 1 && *argv[1] ? argv[1] : NULL};
    struct bench b = {.json = json};
    struct err e = {0};

    without_overrides(argv);
    struct pool *pool = pool_create(1, &e);
    check(pool != NULL ? 0 : e.code, &e);
    check(kern_create(&b.kern[EXACT], pool, &o, &e), &e);
    o.arithmetic = KERN_BF16;
    check(kern_create(&b.kern[BF16], pool, &o, &e), &e);
    o.arithmetic = KERN_BLAS;
    if (kern_create(&b.kern[BLAS], pool, &o, &e) != 0)
        fprintf(stderr, "without OpenBLAS: %s\n", e.message);
    if (!json) {
        printf("products, GFLOP/s and share of the limit, 1 thread, %s\n", kern_isa(b.kern[EXACT]));
        printf("%-11s %-12s %5s %5s %5s %9s %6s %9s %6s %9s %9s %8s\n", "", "", "rows", "in", "out",
               "float32", "", "bf16", "", "OpenBLAS", "libxsmm", "f32:best");
    }
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        if (argc < 3 || strncmp(shapes[i].of, argv[2], strlen(argv[2])) == 0)
            run(&b, &shapes[i]);
    if (!json)
        printf("limit: float32 %.1f, bf16 %.1f\n", 1e-9 * b.limit[EXACT], 1e-9 * b.limit[BF16]);
    for (int i = 0; i < 3; i++)
        kern_destroy(b.kern[i]);
    pool_destroy(pool);
    return 0;
}
