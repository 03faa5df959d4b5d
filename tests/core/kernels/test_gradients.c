/* Each backward kernel against finite differences of its forward kernel, in the definition: if one
 * is wrong, models still train, only worse. The loss is Σ weight·output in double. */
#include "tests/core/kernels/kernel_check.h"

/* A scalar function of x through kernels, and its gradient's test: every stride-th element of x is
 * moved by ±h, the difference quotient compared with g. */
struct probe {
    double (*loss)(void *arg);
    void *arg;
    float *x;
    const float *g;
    size_t n;
    const char *what;
};

static void probe_check(const struct probe *p)
{
    double scale = 0;
    for (size_t i = 0; i < p->n; i++)
        scale = fmax(scale, fabs((double)p->g[i]));
    assert_true(scale > 1e-3); /* a gradient of zeros tests nothing */
    for (size_t i = 0; i < p->n; i += 1 + p->n / 97) {
        float before = p->x[i], h = 4e-3f;
        p->x[i] = before + h;
        double up = p->loss(p->arg), a = (double)p->x[i];
        p->x[i] = before - h;
        double down = p->loss(p->arg), b = (double)p->x[i];
        p->x[i] = before;
        double want = (up - down) / (a - b), got = (double)p->g[i];
        if (fabs(want - got) > 4e-3 * scale + 2e-3 * fabs(want))
            fail_msg("%s: gradient %zu of %zu is %g, the difference quotient %g", p->what, i, p->n,
                     got, want);
    }
}

static double weighted(const float *y, const float *w, size_t n)
{
    double s = 0;
    for (size_t i = 0; i < n; i++)
        s += (double)y[i] * (double)w[i];
    return s;
}

/* Numbers within ±1. */
static float *tame(size_t n)
{
    float *x = check_array(n);
    for (size_t i = 0; i < n; i++)
        x[i] = 2.0f * check_uniform() - 1.0f;
    return x;
}

struct world {
    struct kern *k;
    struct kern_attention a;
    size_t rows, H, n;
    float *x, *w, *y, *dy, *stats;
    uint32_t targets[8];
};

static double norm_loss(void *arg)
{
    struct world *v = arg;
    kern_layernorm_forward(v->k, v->y, v->stats, v->x, v->w, v->rows, v->H);
    return weighted(v->y, v->dy, v->n);
}

static void norm(void **state)
{
    struct check *c = *state;
    struct world v = {.k = c->definition, .rows = 6, .H = 21, .n = 126};
    v.x = tame(v.n), v.w = tame(v.H), v.y = tame(v.n), v.dy = tame(v.n), v.stats = tame(12);
    float *dx = tame(v.n), *dw = calloc(v.H, sizeof *dw);
    norm_loss(&v);
    kern_layernorm_backward(v.k, dx, dw, v.dy, NULL, v.x, v.stats, v.w, v.rows, v.H);
    probe_check(&(struct probe){norm_loss, &v, v.x, dx, v.n, "norm's input"});
    probe_check(&(struct probe){norm_loss, &v, v.w, dw, v.H, "norm's weight"});
    free(v.x), free(v.w), free(v.y), free(v.dy), free(v.stats), free(dx), free(dw);
}

static double gelu_loss(void *arg)
{
    struct world *v = arg;
    kern_gelu_forward(v->k, v->y, v->x, v->n);
    return weighted(v->y, v->dy, v->n);
}

static void gelu(void **state)
{
    struct check *c = *state;
    struct world v = {.k = c->definition, .n = 97};
    v.x = tame(v.n), v.y = tame(v.n), v.dy = tame(v.n);
    float *dx = tame(v.n);
    for (size_t i = 0; i < v.n; i++)
        v.x[i] *= 4.0f;
    gelu_loss(&v);
    kern_gelu_backward(v.k, dx, v.dy, v.x, v.n);
    probe_check(&(struct probe){gelu_loss, &v, v.x, dx, v.n, "GELU"});
    gelu_loss(&v);
    for (size_t i = 0; i < v.n; i++) {
        double x = (double)v.x[i], u = sqrt(2 / M_PI) * (x + 0.044715 * x * x * x);
        assert_true(fabs((double)v.y[i] - 0.5 * x * (1 + tanh(u))) < 1e-6);
    }
    free(v.x), free(v.y), free(v.dy), free(dx);
}

static double attention_loss(void *arg)
{
    struct world *v = arg;
    kern_attention_forward(v->k, &v->a, v->y, v->stats, v->x);
    return weighted(v->y, v->dy, v->n);
}

static void attention(void **state)
{
    struct check *c = *state;
    uint32_t B = 2, S = 7, A = 2, D = 6;
    struct world v = {.k = c->definition, .n = (size_t)B * S * A * D};
    float *cos = tame(S * D / 2), *sin = tame(S * D / 2), *d = tame(3 * v.n);
    kern_rotary_table(cos, sin, S, D);
    v.a = (struct kern_attention){B, S, A, D, cos, sin};
    v.x = tame(3 * v.n), v.y = tame(v.n), v.dy = tame(v.n), v.stats = tame((size_t)B * A * S * 2);
    for (size_t i = 0; i < 3 * v.n; i++)
        v.x[i] *= 2.0f;
    attention_loss(&v);
    kern_attention_backward(v.k, &v.a, d, v.dy, v.y, v.stats, v.x);
    probe_check(&(struct probe){attention_loss, &v, v.x, d, 3 * v.n, "attention"});
    free(v.x), free(v.y), free(v.dy), free(v.stats), free(cos), free(sin), free(d);
}

static double head_loss(void *arg)
{
    struct world *v = arg;
    const struct kern_head h = {v->rows, v->H, v->n};
    float dx[8 * 16], dE[37 * 16], loss[8];
    double sum = 0;
    kern_head_hold(v->k, &h, v->stats, v->w);
    kern_head_backward(v->k, &h, v->stats, loss, dx, dE, v->x, v->w, v->targets, v->rows, 0.5f);
    for (size_t i = 0; i < v->rows; i++)
        sum += (double)loss[i];
    return 0.5 * sum;
}

static void head(void **state)
{
    struct check *c = *state;
    struct world v = {.k = c->definition, .rows = 5, .H = 12, .n = 37};
    const struct kern_head h = {v.rows, v.H, v.n};
    float dx[8 * 16], dE[37 * 16] = {0}, loss[8];
    v.x = tame(v.rows * v.H), v.w = tame(v.n * v.H), v.stats = tame(kern_head_space(&h, 1));
    for (size_t i = 0; i < v.rows; i++)
        v.targets[i] = (uint32_t)(i * 7);
    v.targets[3] = KERN_NO_TARGET;
    kern_head_hold(v.k, &h, v.stats, v.w);
    kern_head_backward(v.k, &h, v.stats, loss, dx, dE, v.x, v.w, v.targets, v.rows, 0.5f);
    probe_check(&(struct probe){head_loss, &v, v.x, dx, v.rows * v.H, "the head's input"});
    probe_check(&(struct probe){head_loss, &v, v.w, dE, v.n * v.H, "the head"});
    free(v.x), free(v.w), free(v.stats);
}

/* Positions must matter only by their distance, and matter at all. */
static void rotary_scores_depend_on_distance(void **state)
{
    struct check *c = *state;
    enum { S = 12, D = 8 };
    float cos[S * D / 2], sin[S * D / 2], qkv[S * 3 * D], y[S * D], stats[S * 2], shifted[S * 2];
    kern_rotary_table(cos, sin, S, D);
    assert_true(fabs((double)cos[D / 2] - 0.5403023058681398) < 1e-7);      /* position 1, i = 0 */
    assert_true(fabs((double)sin[D / 2 + 1] - 0.09983341664682815) < 1e-8); /* 10000^(-2/8) = 0.1 */
    for (size_t i = 0; i < S * 3 * D; i++)
        qkv[i] = i / (3 * D) == 0 || i % (3 * D) < D ? 0.3f * (float)(i % D) - 1.0f : 0.0f;
    struct kern_attention a = {1, 2, 1, D, cos, sin};
    kern_attention_forward(c->definition, &a, y, stats, qkv);
    /* The same pair of tokens, two positions later. */
    a.cos += 2 * D / 2, a.sin += 2 * D / 2;
    kern_attention_forward(c->definition, &a, y, shifted, qkv);
    assert_true(fabsf(stats[3] - shifted[3]) < 1e-5f);
    assert_true(stats[3] < 1.0f && stats[3] > 0.4f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(norm),
        cmocka_unit_test(gelu),
        cmocka_unit_test(attention),
        cmocka_unit_test(head),
        cmocka_unit_test(rotary_scores_depend_on_distance),
    };
    return cmocka_run_group_tests(tests, check_setup, check_teardown);
}
