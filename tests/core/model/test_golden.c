/* Against PyTorch in float64 (tests/oracle/make_golden.py): a slip in any forward or backward
 * formula, the clipping or AdamW trains another model than the method's. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "core/model/engine.h"

struct golden {
    char *file;
    struct model_config c;
    uint32_t batch, length, steps, count;
    double beta1, beta2, epsilon, weight_decay, grad_clip;
    const double *rates, *loss, *norm;
    const uint32_t *tokens;
    const float *parameters, *logits, *gradients, *after;
};

/* Steps over n values of the file, copied so that they are aligned. */
static const void *take(const char **p, size_t n, size_t size)
{
    void *out = malloc(n * size);
    memcpy(out, *p, n * size);
    *p += n * size;
    return out;
}

static void golden_read(struct golden *g, const char *path)
{
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    g->file = malloc(1 << 20);
    const size_t size = fread(g->file, 1, 1 << 20, f);
    fclose(f);
    assert_memory_equal(g->file, "TACGOLD1", 8);
    const char *p = g->file + 8;
    uint32_t head[10];
    memcpy(head, p, sizeof head);
    p += sizeof head;
    g->c = (struct model_config){head[0], head[1], head[2], head[3], head[4], head[5]};
    g->batch = head[6], g->length = head[7], g->steps = head[8], g->count = head[9];
    assert_int_equal(g->count, model_parameters(&g->c));
    memcpy(&g->beta1, p, 5 * sizeof(double));
    p += 5 * sizeof(double);
    const size_t sequence = (size_t)g->batch * g->length;
    g->rates = take(&p, g->steps, 8);
    g->tokens = take(&p, g->steps * sequence, 4);
    g->parameters = take(&p, g->count, 4);
    g->logits = take(&p, sequence * g->c.vocab, 4);
    g->loss = take(&p, g->steps, 8);
    g->norm = take(&p, g->steps, 8);
    g->gradients = take(&p, g->count, 4);
    g->after = take(&p, g->count, 4);
    assert_int_equal((size_t)(p - g->file), size);
}

static void golden_free(struct golden *g)
{
    const void *all[] = {g->file, g->rates, g->tokens,    g->parameters, g->logits,
                         g->loss, g->norm,  g->gradients, g->after};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free((void *)all[i]);
}

/* ‖a − b‖ / ‖scale‖ */
static double distance(const float *a, const float *b, const float *scale, size_t n)
{
    double difference = 0, size = 0;
    for (size_t i = 0; i < n; i++) {
        difference += ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
        size += (double)scale[i] * scale[i];
    }
    return sqrt(difference / size);
}

static void tensors_near(const struct golden *g, const float *got, const float *want,
                         const float *scale, double limit)
{
    for (uint32_t i = 0; i < model_tensor_count(&g->c); i++) {
        struct model_tensor t;
        model_tensor_at(&g->c, i, &t);
        const double d =
            distance(got + t.offset, want + t.offset, scale + t.offset, t.shape[0] * t.shape[1]);
        if (!(d < limit))
            fail_msg("%s is off by %g of its size (limit %g)", t.name, d, limit);
    }
}

static void check_first_batch(struct engine *g, const struct golden *w)
{
    struct err e = {0};
    const size_t row = (size_t)w->length * w->c.vocab;
    float *logits = malloc(row * sizeof *logits);
    for (uint32_t b = 0; b < w->batch; b++) {
        assert_int_equal(
            engine_logits(g, w->parameters, w->tokens + b * w->length, w->length, logits, &e), 0);
        assert_true(distance(logits, w->logits + b * row, w->logits + b * row, row) < 1e-6);
    }
    free(logits);
    float *gradients = malloc(w->count * sizeof *gradients);
    double loss;
    assert_int_equal(
        engine_gradients(g, w->parameters, w->tokens, w->batch, w->length, gradients, &loss, &e),
        0);
    assert_true(fabs(loss / w->loss[0] - 1) < 1e-6);
    tensors_near(w, gradients, w->gradients, w->gradients, 3e-6);
    free(gradients);
}

static void check_steps(struct engine *g, const struct golden *w)
{
    const size_t bytes = w->count * sizeof(float);
    float *p = malloc(bytes), *m1 = calloc(1, bytes), *m2 = calloc(1, bytes),
          *moved = malloc(bytes);
    memcpy(p, w->parameters, bytes);
    for (uint32_t i = 0; i < w->steps; i++) {
        const struct engine_step o = {w->rates[i],     w->beta1,     w->beta2, w->epsilon,
                                      w->weight_decay, w->grad_clip, i + 1};
        double loss, norm;
        struct err e = {0};
        assert_int_equal(engine_train_step(g, p, m1, m2,
                                           w->tokens + (size_t)i * w->batch * w->length, w->batch,
                                           w->length, &o, &loss, &norm, &e),
                         0);
        assert_true(fabs(loss / w->loss[i] - 1) < 1e-5);
        assert_true(fabs(norm / w->norm[i] - 1) < 1e-5);
    }
    for (uint32_t i = 0; i < w->count; i++)
        moved[i] = w->after[i] - w->parameters[i];
    tensors_near(w, p, w->after, moved, 1e-4);
    free(p), free(m1), free(m2), free(moved);
}

static void check(const char *path, enum engine_arithmetic arithmetic, enum optimizer optimizer)
{
    struct golden w;
    golden_read(&w, path);
    const struct engine_options o = {
        .arithmetic = arithmetic, .threads = 2, .train = true, .optimizer = optimizer};
    struct engine *g;
    struct err e = {0};
    assert_int_equal(engine_create(&g, &w.c, &o, &e), 0);
    check_first_batch(g, &w);
    check_steps(g, &w);
    engine_destroy(g);
    golden_free(&w);
}

static void even_sizes(void **state)
{
    (void)state;
    check("tests/oracle/golden_even.bin", ENGINE_EXACT, OPTIMIZER_ADAMW);
}

static void odd_sizes(void **state)
{
    (void)state;
    check("tests/oracle/golden_odd.bin", ENGINE_EXACT, OPTIMIZER_ADAMW);
}

static void muon_agrees(void **state)
{
    (void)state;
    check("tests/oracle/golden_muon_even.bin", ENGINE_EXACT, OPTIMIZER_MUON);
    check("tests/oracle/golden_muon_odd.bin", ENGINE_EXACT, OPTIMIZER_MUON);
}

static void blas_agrees_too(void **state)
{
    (void)state;
    check("tests/oracle/golden_even.bin", ENGINE_BLAS, OPTIMIZER_ADAMW);
    check("tests/oracle/golden_odd.bin", ENGINE_BLAS, OPTIMIZER_ADAMW);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(even_sizes),
        cmocka_unit_test(odd_sizes),
        cmocka_unit_test(muon_agrees),
        cmocka_unit_test(blas_agrees_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
