/* The engine's promises: the same bits at any number of threads, any micro-batch and any
 * instruction set; gradients that are those of the loss; nothing updated by a step that fails.
 * Broken, two agents disagree on a run's digests. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "core/base/rng.h"
#include "core/model/engine.h"

/* Sizes that fill vectors and tiles, and sizes that fill none. */
static const struct model_config configs[] = {
    {.vocab = 96, .seq = 24, .hidden = 32, .layers = 2, .heads = 2, .ffn = 128},
    {.vocab = 67, .seq = 21, .hidden = 18, .layers = 3, .heads = 3, .ffn = 41},
    {.vocab = 2, .seq = 2, .hidden = 2, .layers = 1, .heads = 1, .ffn = 1},
};
enum { CONFIGS = sizeof configs / sizeof *configs };

static const char *const isas[] = {"plain", "avx2", "avx512", "avx512bf16", "neon"};

/* Of the engines that create makes: the promises hold in float32 and bf16 alike. */
static enum engine_arithmetic arithmetic = ENGINE_EXACT;
static enum optimizer optimizer = OPTIMIZER_ADAMW; /* and whatever moves the parameters */

static uint32_t *random_tokens(const struct model_config *c, uint32_t n, uint64_t seed)
{
    uint32_t *tokens = malloc(n * sizeof *tokens);
    for (uint32_t i = 0; i < n; i++)
        tokens[i] = (uint32_t)(rng_u64(seed, RNG_TEST, 0, i) % c->vocab);
    return tokens;
}

/* NULL where this machine lacks the instruction set. */
static struct engine *create(const struct model_config *c, struct engine_options o, const char *isa)
{
    struct engine *g = NULL;
    struct err e = {0};
    o.arithmetic = arithmetic;
    o.optimizer = optimizer;
    if (isa)
        setenv("TACIT_ISA", isa, 1);
    const int rc = engine_create(&g, c, &o, &e);
    unsetenv("TACIT_ISA");
    char told[24];
    snprintf(told, sizeof told, " %s,", isa ? isa : "");
    if (rc == 0 && isa && !strstr(engine_describe(g), told)) {
        engine_destroy(g);
        return NULL;
    }
    if (rc != 0 && !isa)
        fail_msg("engine_create: %s", e.message);
    return rc == 0 ? g : NULL;
}

static struct engine *create_default(const struct model_config *c)
{
    return create(c, (struct engine_options){.threads = 1, .train = true}, NULL);
}

static struct engine *create_exact(const struct model_config *c)
{
    const enum engine_arithmetic before = arithmetic;
    arithmetic = ENGINE_EXACT;
    struct engine *g = create_default(c);
    arithmetic = before;
    return g;
}

struct trained {
    size_t n;
    float *p, *m1, *m2;
    double loss[4], norm[4];
};

static void trained_free(struct trained *t)
{
    free(t->p), free(t->m1), free(t->m2);
}

static struct trained train(struct engine *g, const struct model_config *c, uint32_t batch)
{
    struct trained t = {.n = model_parameters(c)};
    t.p = malloc(t.n * sizeof(float));
    t.m1 = calloc(t.n, sizeof(float));
    t.m2 = calloc(t.n, sizeof(float));
    model_init(c, 3, MODEL_STREAM_DENSE, t.p);
    for (uint32_t i = 0; i < 4; i++) {
        /* The third step has shorter sequences: positions beyond the length must not matter. */
        const uint32_t length = i == 2 && c->seq > 2 ? c->seq - 1 : c->seq;
        uint32_t *tokens = random_tokens(c, batch * length, i);
        const struct engine_step o = {1e-2, 0.9, 0.99, 1e-8, 0.1, i == 1 ? 0.0 : 0.5, i + 1};
        struct err e = {0};
        assert_int_equal(engine_train_step(g, t.p, t.m1, t.m2, tokens, batch, length, &o,
                                           &t.loss[i], &t.norm[i], &e),
                         0);
        free(tokens);
    }
    return t;
}

static void assert_same(const struct trained *a, const struct trained *b)
{
    assert_memory_equal(a->loss, b->loss, sizeof a->loss);
    assert_memory_equal(a->norm, b->norm, sizeof a->norm);
    assert_memory_equal(a->p, b->p, a->n * sizeof(float));
    assert_memory_equal(a->m1, b->m1, a->n * sizeof(float));
    assert_memory_equal(a->m2, b->m2, a->n * sizeof(float));
}

static void threads_change_no_bit(void **state)
{
    (void)state;
    for (int i = 0; i < CONFIGS; i++) {
        const struct model_config *c = &configs[i];
        struct engine *one = create_default(c);
        struct trained want = train(one, c, 7);
        for (int threads = 2; threads <= 3; threads++) {
            struct engine *g =
                create(c, (struct engine_options){.threads = threads, .train = true}, NULL);
            struct trained got = train(g, c, 7);
            assert_same(&got, &want);
            trained_free(&got);
            engine_destroy(g);
        }
        trained_free(&want);
        engine_destroy(one);
    }
}

/* From the least memory that is accepted, where layers are computed twice, upwards to one sequence
 * at a time and more. */
static void less_memory_changes_no_bit(void **state)
{
    (void)state;
    for (int i = 0; i < CONFIGS; i++) {
        const struct model_config *c = &configs[i];
        struct engine *whole = create_default(c);
        struct trained want = train(whole, c, 7);
        int refused = 0, accepted = 0, twice = 0;
        for (uint64_t memory = 1024; accepted < 24 + twice; memory += memory / 64) {
            struct engine *g;
            struct err e = {0};
            const struct engine_options o = {.arithmetic = arithmetic,
                                             .threads = 2,
                                             .train = true,
                                             .optimizer = optimizer,
                                             .memory_max = memory};
            if (engine_create(&g, c, &o, &e) != 0) {
                assert_int_equal(e.code, ERR_NO_MEMORY);
                refused++;
                continue;
            }
            struct trained got = train(g, c, 7);
            assert_same(&got, &want);
            trained_free(&got);
            twice += strstr(engine_describe(g), "recomputing") != NULL;
            engine_destroy(g);
            accepted++;
        }
        assert_true(refused > 0 && (twice > 0 || c->layers == 1));
        trained_free(&want);
        engine_destroy(whole);
    }
}

static void instruction_sets_change_no_bit(void **state)
{
    (void)state;
    for (int i = 0; i < CONFIGS; i++) {
        const struct model_config *c = &configs[i];
        struct engine *usual = create_default(c);
        struct trained want = train(usual, c, 5);
        int found = 0;
        for (size_t s = 0; s < sizeof isas / sizeof *isas; s++) {
            struct engine *g =
                create(c, (struct engine_options){.threads = 2, .train = true}, isas[s]);
            if (!g)
                continue;
            struct trained got = train(g, c, 5);
            assert_same(&got, &want);
            trained_free(&got);
            engine_destroy(g);
            found++;
        }
        assert_true(found >= 2);
        trained_free(&want);
        engine_destroy(usual);
    }
}

static void memory_is_what_plan_says(void **state)
{
    (void)state;
    const struct model_config *c = &configs[0];
    struct engine *g;
    struct err e = {0};
    struct engine_options o = {.threads = 1, .train = true, .optimizer = optimizer};
    o.memory_max = engine_memory(c, true, optimizer) -
                   (model_parameters(c) + optimizer_moments(optimizer, c)) * sizeof(float);
    assert_int_equal(engine_create(&g, c, &o, &e), 0);
    engine_destroy(g);
    o.memory_max--; /* a byte less and time is given for memory, which is said */
    assert_int_equal(engine_create(&g, c, &o, &e), 0);
    assert_non_null(strstr(engine_describe(g), "recomputing"));
    engine_destroy(g);
    o.train = false;
    assert_int_equal(engine_create(&g, c, &o, &e), 0);
    engine_destroy(g);
    o.train = true;
    o.memory_max = 4096;
    assert_int_equal(engine_create(&g, c, &o, &e), ERR_NO_MEMORY);
    assert_null(g);
}

static double loss_at(struct engine *g, const struct model_config *c, const float *p,
                      const uint32_t *tokens, uint32_t batch)
{
    double all[8], sum = 0;
    struct err e = {0};
    assert_int_equal(engine_losses(g, p, tokens, batch, c->seq, 0, all, NULL, &e), 0);
    for (uint32_t i = 0; i < batch; i++)
        sum += all[i];
    return sum / ((double)batch * (c->seq - 1));
}

/* Central difference of the loss along direction d (unit length) in one tensor. */
static double slope(struct engine *g, const struct model_config *c, const float *p,
                    const struct model_tensor *t, const float *d, const uint32_t *tokens)
{
    const size_t n = t->shape[0] * t->shape[1], all = model_parameters(c);
    const double h = 0.01;
    float *moved = malloc(all * sizeof *moved);
    double loss[2];
    for (int side = 0; side < 2; side++) {
        memcpy(moved, p, all * sizeof *moved);
        for (size_t j = 0; j < n; j++)
            moved[t->offset + j] += (float)((side ? h : -h) * d[j]);
        loss[side] = loss_at(g, c, moved, tokens, 3);
    }
    free(moved);
    return (loss[1] - loss[0]) / (2 * h);
}

/* Along the gradient itself the slope is its length; along random directions, its projection. The
 * loss of bf16 is all steps, so its gradients are held against float32's slopes, at bf16's
 * tolerance. */
static void gradients_are_slopes_of_the_loss(void **state)
{
    (void)state;
    const double near = arithmetic == ENGINE_BF16 ? 2e-2 : 2e-3;
    const double least = arithmetic == ENGINE_BF16 ? 1e-4 : 2e-5;
    for (int i = 0; i < 2; i++) {
        const struct model_config *c = &configs[i];
        struct engine *g = create_default(c);
        struct engine *smooth = create_exact(c);
        struct trained at = train(g, c, 3);
        const size_t all = at.n;
        float *gradient = malloc(all * sizeof *gradient), *d = malloc(all * sizeof *d);
        uint32_t *tokens = random_tokens(c, 3 * c->seq, 99);
        struct err e = {0};
        double loss;
        assert_int_equal(engine_gradients(g, at.p, tokens, 3, c->seq, gradient, &loss, &e), 0);
        /* Without gradients the sum over words runs in blocks: its last bits differ. */
        assert_true(fabs(loss - loss_at(g, c, at.p, tokens, 3)) < 1e-6);
        for (uint32_t k = 0; k < model_tensor_count(c); k++) {
            struct model_tensor t;
            model_tensor_at(c, k, &t);
            const size_t n = t.shape[0] * t.shape[1];
            const float *gt = gradient + t.offset;
            for (int direction = 0; direction < 3; direction++) {
                double size = 0, want = 0, length = 0;
                for (size_t j = 0; j < n; j++) {
                    d[j] = direction == 0 ? gt[j]
                                          : rng_uniform(1, RNG_TEST, (uint64_t)direction, j) - 0.5f;
                    size += (double)d[j] * d[j];
                    length += (double)gt[j] * gt[j];
                }
                size = sqrt(size), length = sqrt(length);
                for (size_t j = 0; j < n; j++) {
                    d[j] = (float)(d[j] / size);
                    want += (double)d[j] * gt[j];
                }
                const double got = slope(smooth, c, at.p, &t, d, tokens);
                if (!(fabs(got - want) < near * length + least))
                    fail_msg("%s: slope %g, gradient says %g (length %g)", t.name, got, want,
                             length);
            }
        }
        free(gradient), free(d), free(tokens);
        trained_free(&at);
        engine_destroy(smooth);
        engine_destroy(g);
    }
}

static void training_learns(void **state)
{
    (void)state;
    const struct model_config *c = &configs[0];
    struct engine *g = create_default(c);
    struct trained t = train(g, c, 4);
    uint32_t *tokens = random_tokens(c, 4 * c->seq, 5);
    double first = 0, loss = 0, norm;
    for (uint32_t i = 0; i < 60; i++) {
        const struct engine_step o = {1e-2, 0.9, 0.99, 1e-8, 0, 1.0, i + 1};
        struct err e = {0};
        assert_int_equal(
            engine_train_step(g, t.p, t.m1, t.m2, tokens, 4, c->seq, &o, &loss, &norm, &e), 0);
        if (i == 0)
            first = loss;
    }
    assert_true(loss < first / 4);
    free(tokens);
    trained_free(&t);
    engine_destroy(g);
}

static void losses_and_scores_agree_with_logits(void **state)
{
    (void)state;
    for (int i = 0; i < CONFIGS; i++) {
        const struct model_config *c = &configs[i];
        enum { COUNT = 9 };
        const uint32_t s = c->seq, prefix = s > 5 ? 5 : 2;
        struct engine *g = create_default(c);
        struct engine *small =
            create(c,
                   (struct engine_options){.threads = 1,
                                           .memory_max = engine_memory(c, false, OPTIMIZER_ADAMW)},
                   NULL);
        struct trained t = train(g, c, 3);
        uint32_t *tokens = random_tokens(c, COUNT * s, 11);
        double all[COUNT], after[COUNT], all2[COUNT], after2[COUNT];
        float cumulative[COUNT * 5], cumulative2[COUNT * 5];
        float *logits = malloc((size_t)s * c->vocab * sizeof *logits);
        struct err e = {0};
        assert_int_equal(engine_losses(g, t.p, tokens, COUNT, s, prefix, all, after, &e), 0);
        assert_int_equal(engine_losses(small, t.p, tokens, COUNT, s, prefix, all2, after2, &e), 0);
        assert_memory_equal(all, all2, sizeof all);
        assert_memory_equal(after, after2, sizeof after);
        assert_int_equal(engine_scores(g, t.p, tokens, COUNT, s, prefix, cumulative, &e), 0);
        assert_int_equal(engine_scores(small, t.p, tokens, COUNT, s, prefix, cumulative2, &e), 0);
        assert_memory_equal(cumulative, cumulative2, COUNT * prefix * sizeof(float));
        for (uint32_t n = 0; n < COUNT; n++) {
            assert_int_equal(engine_logits(small, t.p, tokens + n * s, s, logits, &e), 0);
            double sum = 0, rest = 0;
            assert_true(cumulative[n * prefix] == 0.0f);
            for (uint32_t p = 0; p + 1 < s; p++) {
                const float *row = logits + (size_t)p * c->vocab;
                double total = 0;
                for (uint32_t v = 0; v < c->vocab; v++)
                    total += exp(row[v]);
                const double loss = log(total) - row[tokens[n * s + p + 1]];
                sum += loss;
                rest += p + 1 >= prefix ? loss : 0;
                if (p + 1 < prefix)
                    assert_true(fabs(cumulative[n * prefix + p + 1] + sum) < 1e-4);
            }
            assert_true(fabs(sum - all[n]) < 1e-4);
            assert_true(fabs(rest - after[n]) < 1e-4);
        }
        free(logits), free(tokens);
        trained_free(&t);
        engine_destroy(g);
        engine_destroy(small);
    }
}

static void scale_tensor(const struct model_config *c, float *p, const char *name, float by)
{
    for (uint32_t i = 0; i < model_tensor_count(c); i++) {
        struct model_tensor t;
        model_tensor_at(c, i, &t);
        for (uint64_t j = 0; strcmp(t.name, name) == 0 && j < t.shape[0] * t.shape[1]; j++)
            p[t.offset + j] *= by;
    }
}

/* A step that must fail, from parameters that were spoilt; the loss's finiteness as expected. */
static void step_updates_nothing(struct engine *g, const struct model_config *c, struct trained *t,
                                 bool loss_finite)
{
    const size_t bytes = t->n * sizeof(float);
    float *before = malloc(3 * bytes);
    uint32_t *tokens = random_tokens(c, 3 * c->seq, 13);
    memcpy(before, t->p, bytes);
    memcpy(before + t->n, t->m1, bytes);
    memcpy(before + 2 * t->n, t->m2, bytes);
    const struct engine_step o = {1e-2, 0.9, 0.99, 1e-8, 0.1, 1.0, 5};
    double loss, norm;
    struct err e = {0};
    assert_int_equal(
        engine_train_step(g, t->p, t->m1, t->m2, tokens, 3, c->seq, &o, &loss, &norm, &e),
        ERR_NOT_FINITE);
    assert_true(isfinite(loss) == loss_finite);
    assert_non_null(strstr(e.message, "step 5"));
    assert_memory_equal(before, t->p, bytes);
    assert_memory_equal(before + t->n, t->m1, bytes);
    assert_memory_equal(before + 2 * t->n, t->m2, bytes);
    free(before), free(tokens);
}

static void a_step_that_is_not_finite_updates_nothing(void **state)
{
    (void)state;
    const struct model_config *c = &configs[0];
    const float bad[] = {NAN, INFINITY, 3e38f};
    struct engine *g = create_default(c);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct trained t = train(g, c, 3);
        t.p[(size_t)c->vocab * c->hidden + 40] = bad[i];
        step_updates_nothing(g, c, &t, false);
        trained_free(&t);
    }
    /* Huge activations under tiny weights: the loss is ordinary, the gradient's norm is not. */
    struct trained t = train(g, c, 3);
    scale_tensor(c, t.p, "layers.0.ffn.up.weight", 1e25f);
    scale_tensor(c, t.p, "layers.0.ffn.down.weight", 1e-30f);
    step_updates_nothing(g, c, &t, true);
    trained_free(&t);
    engine_destroy(g);
}

/* bf16 is float32's training, nearly: the same losses, but other bits. */
static void bf16_is_near_float32(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct engine *narrow = create_default(&configs[i]), *wide = create_exact(&configs[i]);
        struct trained a = train(narrow, &configs[i], 5), b = train(wide, &configs[i], 5);
        for (int k = 0; k < 4; k++) {
            assert_true(fabs(a.loss[k] / b.loss[k] - 1) < 2e-3);
            assert_true(fabs(a.norm[k] / b.norm[k] - 1) < 6e-2);
            assert_true(a.loss[k] != b.loss[k]);
        }
        assert_non_null(strstr(engine_describe(narrow), "bf16"));
        trained_free(&a);
        trained_free(&b);
        engine_destroy(narrow);
        engine_destroy(wide);
    }
}

/* (p − q) / rate of a matrix, transposed where that makes it wide. */
static double *moved(const struct model_tensor *m, const float *p, const float *q, double rate,
                     size_t *rows, size_t *columns)
{
    const bool tall = m->shape[0] > m->shape[1];
    *rows = tall ? m->shape[1] : m->shape[0];
    *columns = tall ? m->shape[0] : m->shape[1];
    double *x = malloc(*rows * *columns * sizeof *x);
    for (size_t r = 0; r < *rows; r++)
        for (size_t k = 0; k < *columns; k++) {
            const size_t at = m->offset + (tall ? k * *rows + r : r * *columns + k);
            x[r * *columns + k] = ((double)p[at] - q[at]) / rate;
        }
    return x;
}

/* A step without decay moves a matrix by rows that are nearly of one length and at right angles:
 * that is what Newton–Schulz is for. Zero gradients move nothing; second moments of matrices are
 * not touched, of the others they are. */
static void muon_makes_matrices_alone_orthogonal(void **state)
{
    (void)state;
    const struct model_config *c = &configs[0];
    const double rate = 1e-2;
    struct engine *g = create_default(c);
    const size_t n = model_parameters(c);
    float *p = malloc(n * sizeof *p), *before = malloc(n * sizeof *p);
    float *m1 = calloc(n, sizeof *m1), *m2 = malloc(n * sizeof *m2);
    for (size_t i = 0; i < n; i++)
        m2[i] = -7.0f;
    optimizer_clear(OPTIMIZER_MUON, c, m1, m2);
    model_init(c, 3, MODEL_STREAM_DENSE, p);
    memcpy(before, p, n * sizeof *p);
    uint32_t *tokens = random_tokens(c, 8 * c->seq, 5);
    const struct engine_step o = {rate, 0.9, 0.99, 1e-8, 0, 0, 1};
    double loss, norm;
    struct err e = {0};
    assert_int_equal(engine_train_step(g, p, m1, m2, tokens, 8, c->seq, &o, &loss, &norm, &e), 0);
    for (uint32_t i = 0; i < model_tensor_count(c); i++) {
        struct model_tensor m;
        model_tensor_at(c, i, &m);
        const bool muons = m.rank == 2 && i > 0;
        assert_true((m2[m.offset] == -7.0f) == muons);
        if (!muons)
            continue;
        size_t rows, columns;
        const double longer = (double)(m.shape[0] > m.shape[1] ? m.shape[0] : m.shape[1]);
        double *x = moved(&m, before, p, rate * 0.2 * sqrt(longer), &rows, &columns);
        for (size_t a = 0; a < rows; a++)
            for (size_t b = 0; b < rows; b++) {
                double dot = 0;
                for (size_t k = 0; k < columns; k++)
                    dot += x[a * columns + k] * x[b * columns + k];
                assert_true(a == b ? dot > 0.4 && dot < 1.5 : fabs(dot) < 0.3);
            }
        free(x);
    }
    free(p), free(before), free(m1), free(m2), free(tokens);
    engine_destroy(g);
}

static void bad_calls_are_named(void **state)
{
    (void)state;
    const struct model_config *c = &configs[0];
    struct engine *g = create_default(c);
    struct engine *forward = create(c, (struct engine_options){.threads = 1}, NULL);
    struct trained t = train(g, c, 2);
    uint32_t *tokens = random_tokens(c, 2 * c->seq, 14);
    float *gradient = malloc(t.n * sizeof *gradient), logits[96 * 24];
    double loss;
    struct err e = {0};
    assert_int_equal(engine_gradients(g, t.p, tokens, 2, c->seq + 1, gradient, &loss, &e),
                     ERR_RANGE);
    assert_int_equal(engine_gradients(g, t.p, tokens, 2, 1, gradient, &loss, &e), ERR_RANGE);
    assert_int_equal(engine_gradients(g, t.p, tokens, 0, 5, gradient, &loss, &e), ERR_RANGE);
    assert_int_equal(engine_gradients(forward, t.p, tokens, 2, 5, gradient, &loss, &e),
                     ERR_INVALID);
    assert_int_equal(engine_logits(forward, t.p, tokens, 0, logits, &e), ERR_RANGE);
    tokens[7] = c->vocab;
    assert_int_equal(engine_gradients(g, t.p, tokens, 2, c->seq, gradient, &loss, &e), ERR_RANGE);
    assert_non_null(strstr(e.message, "96"));
    assert_int_equal(engine_logits(forward, t.p, tokens, 8, logits, &e), ERR_RANGE);
    free(gradient), free(tokens);
    trained_free(&t);
    engine_destroy(g);
    engine_destroy(forward);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_change_no_bit),
        cmocka_unit_test(less_memory_changes_no_bit),
        cmocka_unit_test(instruction_sets_change_no_bit),
        cmocka_unit_test(memory_is_what_plan_says),
        cmocka_unit_test(gradients_are_slopes_of_the_loss),
        cmocka_unit_test(training_learns),
        cmocka_unit_test(losses_and_scores_agree_with_logits),
        cmocka_unit_test(a_step_that_is_not_finite_updates_nothing),
        cmocka_unit_test(bad_calls_are_named),
    };
    const struct CMUnitTest bf16[] = {
        cmocka_unit_test(threads_change_no_bit),
        cmocka_unit_test(less_memory_changes_no_bit),
        cmocka_unit_test(instruction_sets_change_no_bit),
        cmocka_unit_test(gradients_are_slopes_of_the_loss),
        cmocka_unit_test(training_learns),
        cmocka_unit_test(losses_and_scores_agree_with_logits),
        cmocka_unit_test(bf16_is_near_float32),
    };
    const struct CMUnitTest muon[] = {
        cmocka_unit_test(threads_change_no_bit),
        cmocka_unit_test(less_memory_changes_no_bit),
        cmocka_unit_test(instruction_sets_change_no_bit),
        cmocka_unit_test(memory_is_what_plan_says),
        cmocka_unit_test(training_learns),
        cmocka_unit_test(a_step_that_is_not_finite_updates_nothing),
        cmocka_unit_test(muon_makes_matrices_alone_orthogonal),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    arithmetic = ENGINE_BF16;
    failed += cmocka_run_group_tests_name("bf16", bf16, NULL, NULL);
    optimizer = OPTIMIZER_MUON;
    failed += cmocka_run_group_tests_name("Muon, bf16", muon, NULL, NULL);
    arithmetic = ENGINE_EXACT;
    return failed + cmocka_run_group_tests_name("Muon", muon, NULL, NULL);
}
