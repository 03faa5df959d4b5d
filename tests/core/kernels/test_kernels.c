/* Every instruction set gives the definition's bytes, on every shape, at 1, 2 and 3 threads. If one
 * of these fails, two machines disagree about a training step: resumed runs and replays break. */
#include "core/kernels/scalar.h"
#include "tests/core/kernels/kernel_check.h"

/* ---- products ---- */

struct shape {
    size_t M, N, K;
};

static void one_product(const struct check *c, struct shape s, bool ta, bool tb, size_t pad,
                        bool accumulate)
{
    size_t a_row = ta ? 1 : s.K + pad, a_col = ta ? s.M + pad : 1;
    size_t b_row = tb ? 1 : s.N + pad, b_col = tb ? s.K + pad : 1;
    size_t a_size = (s.M - 1) * a_row + (s.K - 1) * a_col + 1;
    size_t b_size = (s.K - 1) * b_row + (s.N - 1) * b_col + 1;
    size_t c_row = s.N + pad, c_size = (s.M - 1) * c_row + s.N;
    float *A = check_array(a_size), *B = check_array(b_size);
    float *start = check_array(c_size), *want = check_copy(start, c_size);
    char what[96];

    snprintf(what, sizeof what, "product %zux%zux%zu ta %d tb %d pad %zu acc %d", s.M, s.N, s.K, ta,
             tb, pad, accumulate);
    kern_matmul(c->definition, s.M, s.N, s.K, A, a_row, a_col, B, b_row, b_col, want, c_row,
                accumulate);
    for (size_t i = 0; i < c->count; i++) {
        float *got = check_copy(start, c_size); /* what lies between rows must stay */
        kern_matmul(c->sets[i], s.M, s.N, s.K, A, a_row, a_col, B, b_row, b_col, got, c_row,
                    accumulate);
        check_same(want, got, c_size, what, c->names[i]);
        free(got);
    }
    free(A);
    free(B);
    free(start);
    free(want);
}

static void products_equal_the_definition(void **state)
{
    static const struct shape small[] = {
        {1, 1, 1},    {1, 16, 5},   {2, 31, 3},   {3, 33, 17}, {5, 7, 64},   {6, 16, 16},
        {7, 48, 33},  {11, 15, 2},  {12, 32, 32}, {13, 17, 1}, {25, 65, 40}, {1, 100, 130},
        {64, 96, 16}, {100, 1, 37}, {31, 64, 96}, {4, 4, 385}, {12, 513, 3}, {1, 32, 16},
        {1, 33, 95},  {1, 97, 384}, {1, 16, 31},
    };
    static const struct shape large[] = {
        {97, 130, 400}, {400, 33, 48},   {193, 520, 70},
        {390, 96, 32},  {64, 1040, 130}, {17, 30, 1024},
    };
    for (size_t i = 0; i < sizeof small / sizeof *small; i++) {
        for (int v = 0; v < 16; v++)
            one_product(*state, small[i], v & 1, v & 2, v & 4 ? 3 : 0, v & 8);
    }
    for (size_t i = 0; i < sizeof large / sizeof *large; i++) {
        for (int v = 0; v < 4; v++)
            one_product(*state, large[i], v & 1, v & 2, v == 3 ? 5 : 0, v & 1);
    }
}

/* A weight put in order once gives what it would give anew each time, or a step would depend on how
 * much memory the machine has. */
static void held_weights_equal_the_definition(void **state)
{
    static const struct shape shapes[] = {
        {1, 1, 1}, {3, 5, 2}, {9, 17, 48}, {40, 100, 33}, {200, 96, 288}, {130, 520, 97},
    };
    struct check *c = *state;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        const size_t rows = shapes[i].M, in = shapes[i].K, out = shapes[i].N;
        float *W = check_array(out * in), *X = check_array(rows * in);
        float *start = check_array(rows * out), *dX = check_array(rows * in);
        float *Y = check_copy(start, rows * out);
        kern_linear(c->definition, Y, X, W, rows, in, out, true);
        kern_linear_dx(c->definition, dX, start, W, rows, in, out, false);
        for (size_t k = 0; k <= c->count; k++) {
            struct kern *set = k == 0 ? c->definition : c->sets[k - 1];
            float *held = check_array(kern_hold_floats(in, out, false));
            float *back = check_array(kern_hold_floats(in, out, true));
            float *Y2 = check_copy(start, rows * out), *dX2 = check_array(rows * in);
            kern_hold(set, held, W, in, out, false);
            kern_hold(set, back, W, in, out, true);
            kern_linear_held(set, Y2, X, W, held, rows, in, out, true);
            kern_linear_dx_held(set, dX2, start, W, back, rows, in, out);
            check_same(Y, Y2, rows * out, "held weight", kern_isa(set));
            check_same(dX, dX2, rows * in, "weight held for dX", kern_isa(set));
            free(held), free(back), free(Y2), free(dX2);
        }
        free(W), free(X), free(start), free(Y), free(dX);
    }
}

/* A chain cut in two continues: what gradient accumulation over micro-batches rests on. */
static void a_product_continues_where_it_stopped(void **state)
{
    struct check *c = *state;
    size_t rows = 75, out = 20, in = 37;
    float *dy = check_array(rows * out), *x = check_array(rows * in);
    float *want = calloc(out * in, sizeof *want);

    kern_linear_dw(c->definition, want, dy, x, rows, in, out);
    for (size_t i = 0; i < c->count; i++) {
        float *got = calloc(out * in, sizeof *got);
        kern_linear_dw(c->sets[i], got, dy, x, 31, in, out);
        kern_linear_dw(c->sets[i], got, dy + 31 * out, x + 31 * in, rows - 31, in, out);
        check_same(want, got, out * in, "weight gradient in two parts", c->names[i]);
        free(got);
    }
    free(dy);
    free(x);
    free(want);
}

/* Decoding reads weights in panels: an answer must not depend on how many others are computed
 * beside it, nor differ from what scoring computes. */
static void panels_equal_the_definition(void **state)
{
    static const struct shape shapes[] = {
        {1, 1, 1},    {1, 16, 5},    {1, 48, 2},    {1, 200, 33},  {2, 97, 31},
        {2, 33, 64},  {3, 49, 40},   {5, 384, 96},  {8, 192, 17},  {9, 100, 130},
        {16, 50, 65}, {70, 37, 300}, {1, 30, 8999}, {2, 20, 8200}, {27, 17, 9000},
    };
    struct check *c = *state;
    for (size_t i = 0; i < 2 * sizeof shapes / sizeof *shapes; i++) {
        const struct shape s = shapes[i / 2];
        float *W = check_array(s.N * s.K), *X = check_array(s.M * s.K);
        float *start = check_array(s.M * s.N), *want = check_copy(start, s.M * s.N);
        kern_linear(c->definition, want, X, W, s.M, s.K, s.N, i % 2);
        for (size_t k = 0; k <= c->count; k++) {
            struct kern *set = k < c->count ? c->sets[k] : c->definition;
            float *panels = check_array(kern_panels_floats(set, s.K, s.N));
            float *got = check_copy(start, s.M * s.N);
            kern_panels_pack(set, panels, W, s.K, s.N);
            kern_panels_linear(set, got, X, panels, s.M, s.K, s.N, i % 2);
            check_same(want, got, s.M * s.N, "panels", k < c->count ? c->names[k] : "definition");
            free(panels), free(got);
        }
        free(W), free(X), free(start), free(want);
    }
}

static void nothing_times_nothing_is_zero(void **state)
{
    struct check *c = *state;
    for (size_t i = 0; i < c->count; i++) {
        float y[6] = {1, 2, 3, 4, 5, 6}, none = 0;
        kern_matmul(c->sets[i], 2, 3, 0, &none, 0, 1, &none, 3, 1, y, 3, true);
        assert_true(y[0] == 1.0f && y[5] == 6.0f);
        kern_matmul(c->sets[i], 2, 3, 0, &none, 0, 1, &none, 3, 1, y, 3, false);
        assert_true(y[0] == 0.0f && y[5] == 0.0f);
    }
}

/* ---- attention ---- */

struct attention_case {
    uint32_t B, S, A, D;
};

struct attention_arrays {
    float *qkv, *dout, *cos, *sin;
    size_t n; /* B·S·H */
    struct kern_attention a;
};

static struct attention_arrays attention_arrays(struct attention_case s)
{
    struct attention_arrays r = {.n = (size_t)s.B * s.S * s.A * s.D};
    r.qkv = check_array(3 * r.n);
    r.dout = check_array(r.n);
    r.cos = check_array((size_t)s.S * (s.D / 2));
    r.sin = check_array((size_t)s.S * (s.D / 2));
    kern_rotary_table(r.cos, r.sin, s.S, s.D);
    r.a = (struct kern_attention){s.B, s.S, s.A, s.D, r.cos, r.sin};
    return r;
}

static void attention_arrays_free(struct attention_arrays *r)
{
    free(r->qkv);
    free(r->dout);
    free(r->cos);
    free(r->sin);
}

static void attention_equals_the_definition(void **state)
{
    static const struct attention_case cases[] = {
        {1, 1, 1, 2},   {2, 5, 2, 8},   {1, 16, 1, 16}, {2, 31, 3, 16},  {1, 32, 2, 4},
        {1, 33, 1, 24}, {2, 70, 2, 16}, {1, 128, 2, 8}, {1, 100, 1, 64}, {3, 40, 1, 34},
    };
    struct check *c = *state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct attention_case s = cases[i];
        struct attention_arrays r = attention_arrays(s);
        size_t n = r.n, stats_n = (size_t)s.B * s.A * s.S * 2;
        float *y = check_array(n), *stats = check_array(stats_n), *d = check_array(3 * n);
        kern_attention_forward(c->definition, &r.a, y, stats, r.qkv);
        kern_attention_backward(c->definition, &r.a, d, r.dout, y, stats, r.qkv);
        for (size_t k = 0; k < c->count; k++) {
            float *y2 = check_array(n), *stats2 = check_array(stats_n), *d2 = check_array(3 * n);
            kern_attention_forward(c->sets[k], &r.a, y2, stats2, r.qkv);
            check_same(y, y2, n, "attention", c->names[k]);
            check_same(stats, stats2, stats_n, "attention's statistics", c->names[k]);
            kern_attention_backward(c->sets[k], &r.a, d2, r.dout, y2, stats2, r.qkv);
            check_same(d, d2, 3 * n, "attention's gradient", c->names[k]);
            kern_attention_forward(c->sets[k], &r.a, y2, NULL, r.qkv);
            check_same(y, y2, n, "attention without statistics", c->names[k]);
            free(y2);
            free(stats2);
            free(d2);
        }
        free(y);
        free(stats);
        free(d);
        attention_arrays_free(&r);
    }
}

/* Generated text must not depend on whether the keys came from a cache. */
static void decoding_equals_the_full_pass(void **state)
{
    static const struct attention_case cases[] = {{1, 70, 2, 16}, {1, 37, 3, 6}, {1, 33, 1, 64}};
    struct check *c = *state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct attention_case s = cases[i];
        struct attention_arrays r = attention_arrays(s);
        size_t H = (size_t)s.A * s.D, cache = kern_attention_cache(s.A, s.D, s.S);
        float *want = check_array(r.n);
        kern_attention_forward(c->definition, &r.a, want, NULL, r.qkv);
        for (size_t k = 0; k <= c->count; k++) {
            struct kern *set = k < c->count ? c->sets[k] : c->definition;
            float *kc = check_array(2 * cache), *vc = check_array(2 * cache);
            float *y = check_array(2 * r.n), *x = check_array(6 * r.n);
            /* One sequence token by token, the same beside it in longer and longer runs. */
            for (uint32_t pos = 0, other = 0; pos < s.S; pos++) {
                const uint32_t more = other + pos + 1 < s.S ? pos + 1 : s.S - other;
                const struct kern_attention_run runs[] = {{kc, vc, pos, 1, 0},
                                                          {kc + cache, vc + cache, other, more, 1}};
                memcpy(x, r.qkv + pos * 3 * H, 3 * H * sizeof *x);
                memcpy(x + 3 * H, r.qkv + other * 3 * H, more * 3 * H * sizeof *x);
                kern_attention_decode(set, &r.a, y, x, runs, more ? 2 : 1, s.S);
                check_same(want + pos * H, y, H, "decoding", kern_isa(set));
                check_same(want + other * H, y + H, more * H, "decoding in runs", kern_isa(set));
                other += more;
            }
            free(kc);
            free(vc);
            free(y);
            free(x);
        }
        free(want);
        attention_arrays_free(&r);
    }
}

/* ---- rows ---- */

static void norms_equal_the_definition(void **state)
{
    static const size_t widths[] = {1, 2, 15, 16, 17, 32, 33, 96, 384, 1000}, rows = 70;
    struct check *c = *state;
    for (size_t i = 0; i < sizeof widths / sizeof *widths; i++) {
        size_t H = widths[i], n = rows * H;
        float *x = check_array(n), *w = check_array(H), *dy = check_array(n), *add = check_array(n);
        float *y = check_array(n), *stats = check_array(2 * rows), *dx = check_array(n);
        float *dw0 = check_array(H), *dw = check_copy(dw0, H), *dx0 = check_array(n);
        kern_layernorm_forward(c->definition, y, stats, x, w, rows, H);
        kern_layernorm_backward(c->definition, dx, dw, dy, add, x, stats, w, rows, H);
        kern_layernorm_backward(c->definition, dx0, dw, dy, NULL, x, stats, w, rows, H);
        for (size_t k = 0; k < c->count; k++) {
            float *y2 = check_copy(x, n), *s2 = check_array(2 * rows), *dx2 = check_copy(add, n);
            float *dw2 = check_copy(dw0, H);
            kern_layernorm_forward(c->sets[k], y2, s2, y2, w, rows, H);
            check_same(y, y2, n, "norm in place", c->names[k]);
            check_same(stats, s2, 2 * rows, "norm's statistics", c->names[k]);
            kern_layernorm_backward(c->sets[k], dx2, dw2, dy, dx2, x, s2, w, rows, H);
            check_same(dx, dx2, n, "norm's gradient", c->names[k]);
            /* dx over dy, in two parts: the weight's chain continues */
            memcpy(dx2, dy, n * sizeof *dx2);
            kern_layernorm_backward(c->sets[k], dx2, dw2, dx2, NULL, x, s2, w, 30, H);
            kern_layernorm_backward(c->sets[k], dx2 + 30 * H, dw2, dx2 + 30 * H, NULL, x + 30 * H,
                                    s2 + 60, w, rows - 30, H);
            check_same(dx0, dx2, n, "norm's gradient without residual", c->names[k]);
            check_same(dw, dw2, H, "norm's weight gradient", c->names[k]);
            free(y2);
            free(s2);
            free(dx2);
            free(dw2);
        }
        float *all[] = {x, w, dy, add, y, stats, dx, dw0, dw, dx0};
        for (size_t k = 0; k < sizeof all / sizeof *all; k++)
            free(all[k]);
    }
}

static void elementwise_equals_the_definition(void **state)
{
    static const size_t sizes[] = {1, 15, 16, 100, 1023, 40001};
    struct check *c = *state;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        size_t n = sizes[i];
        float *x = check_array(n), *g = check_array(n), *want = check_array(5 * n);
        for (size_t k = 0; k < n; k++)
            x[k] *= 5.0f;
        for (size_t k = 0; k <= c->count; k++) {
            struct kern *set = k == 0 ? c->definition : c->sets[k - 1];
            float *y = check_array(5 * n);
            kern_gelu_forward(set, y, x, n);
            kern_gelu_backward(set, y + n, g, x, n);
            kern_add(set, y + 2 * n, x, g, n);
            kern_scale(set, y + 3 * n, x, 0.37f, n);
            kern_mix(set, y + 4 * n, 2.0315f, x, -4.775f, g, n);
            if (k == 0)
                memcpy(want, y, 5 * n * sizeof *y);
            check_same(want, y, 5 * n, "elementwise", kern_isa(set));
            assert_true(kern_sum_squares(set, x, n) == kern_sum_squares(c->definition, x, n));
            free(y);
        }
        free(x);
        free(g);
        free(want);
    }
}

static void embeddings_equal_the_definition(void **state)
{
    static const size_t widths[] = {2, 16, 30, 400}, rows = 300, V = 19;
    struct check *c = *state;
    uint32_t tokens[300];
    for (size_t r = 0; r < rows; r++)
        tokens[r] = (uint32_t)(check_uniform() * (float)V);
    for (size_t i = 0; i < sizeof widths / sizeof *widths; i++) {
        size_t H = widths[i];
        float *E = check_array(V * H), *dx = check_array(rows * H), *dE0 = check_array(V * H);
        float *dE = check_copy(dE0, V * H);
        kern_embed_backward(c->definition, dE, dx, tokens, rows, H);
        for (size_t k = 0; k < c->count; k++) {
            float *x = check_array(rows * H), *dE2 = check_copy(dE0, V * H);
            kern_embed_forward(c->sets[k], x, E, tokens, rows, H);
            for (size_t r = 0; r < rows; r++)
                check_same(E + tokens[r] * H, x + r * H, H, "embedding", c->names[k]);
            kern_embed_backward(c->sets[k], dE2, dx, tokens, 123, H);
            kern_embed_backward(c->sets[k], dE2, dx + 123 * H, tokens + 123, rows - 123, H);
            check_same(dE, dE2, V * H, "embedding's gradient", c->names[k]);
            free(x);
            free(dE2);
        }
        free(E);
        free(dx);
        free(dE0);
        free(dE);
    }
}

static void losses_equal_the_definition(void **state)
{
    static const size_t sizes[] = {1, 2, 16, 31, 100, 1024, 5003}, rows = 9;
    struct check *c = *state;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        size_t V = sizes[i], ld = V + 7, n = (rows - 1) * ld + V;
        uint32_t targets[9];
        for (size_t r = 0; r < rows; r++)
            targets[r] = r == 4 ? KERN_NO_TARGET : (uint32_t)(check_uniform() * (float)V);
        float *x = check_array(n), loss[9], loss2[9];
        for (size_t k = 0; k < n; k++)
            x[k] *= 8.0f;
        kern_loss_forward(c->definition, loss, x, ld, targets, rows, V);
        assert_true(loss[4] == 0.0f);
        for (size_t k = 0; k < c->count; k++) {
            kern_loss_forward(c->sets[k], loss2, x, ld, targets, rows, V);
            check_same(loss, loss2, rows, "loss", c->names[k]);
        }
        free(x);
    }
}

/* What the head's gradients are, step by step: d from the whole logits, then two products. */
static void head_by_steps(struct kern *k, const struct kern_head *h, float *loss, float *dx,
                          float *dE, const float *x, const float *E, const uint32_t *targets,
                          float scale)
{
    const size_t rows = h->rows, V = h->V;
    float *d = check_array(rows * V);
    kern_linear(k, d, x, E, rows, h->H, V, false);
    kern_loss_forward(k, loss, d, V, targets, rows, V);
    for (size_t r = 0; r < rows; r++) {
        float *y = d + r * V, max = -INFINITY, lane[16] = {0};
        for (size_t v = 0; v < V; v++)
            max = fmaxf(max, y[v]);
        for (size_t v = 0; v < V; v++)
            lane[v % 16] += f1_exp(y[v] - max);
        for (int w = 8; w > 0; w /= 2) {
            for (int l = 0; l < w; l++)
                lane[l] += lane[l + w];
        }
        for (size_t v = 0; v < V; v++)
            y[v] = targets[r] == KERN_NO_TARGET ? 0.0f : f1_exp(y[v] - max) * (scale / lane[0]);
        if (targets[r] != KERN_NO_TARGET)
            y[targets[r]] -= scale;
    }
    kern_linear_dx(k, dx, d, E, rows, h->H, V, false);
    kern_linear_dw(k, dE, d, x, rows, h->H, V);
    free(d);
}

/* The head's gradients at once are those step by step, whatever rows are taken together, and the
 * embedding's continues over calls: or a step would depend on micro-batches, threads and caches. */
static void the_head_equals_its_steps(void **state)
{
    static const struct kern_head shapes[] = {{1, 8, 2},    {3, 16, 15},   {2, 50, 33},
                                              {41, 18, 37}, {90, 33, 800}, {531, 7, 449}};
    struct check *c = *state;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        const struct kern_head *h = &shapes[i];
        const size_t rows = h->rows, H = h->H, V = h->V, first = rows / 3;
        float *x = check_array(rows * H), *E = check_array(V * H), *dE0 = check_array(V * H);
        float *dE = check_copy(dE0, V * H), *dx = check_array(rows * H), *loss = check_array(rows);
        float *dx2 = check_array(rows * H), *loss2 = check_array(rows);
        uint32_t *targets = malloc(rows * sizeof *targets);
        for (size_t r = 0; r < rows; r++)
            targets[r] = r % 11 == 2 ? KERN_NO_TARGET : (uint32_t)(check_uniform() * (float)V);
        head_by_steps(c->definition, h, loss, dx, dE, x, E, targets, 0.125f);
        for (size_t k = 0; k <= c->count; k++) {
            struct kern *set = k == 0 ? c->definition : c->sets[k - 1];
            const int threads = pool_threads(kern_pool(set));
            float *space = check_array(kern_head_space(h, threads)), *dE2 = check_copy(dE0, V * H);
            kern_head_hold(set, h, space, E);
            kern_head_backward(set, h, space, loss2, dx2, dE2, x, E, targets, first, 0.125f);
            kern_head_backward(set, h, space, loss2 + first, dx2 + first * H, dE2, x + first * H, E,
                               targets + first, rows - first, 0.125f);
            check_same(loss, loss2, rows, "the head's losses", kern_isa(set));
            check_same(dx, dx2, rows * H, "the head's dx", kern_isa(set));
            check_same(dE, dE2, V * H, "the head's dE", kern_isa(set));
            free(space), free(dE2);
        }
        free(x), free(E), free(dE0), free(dE), free(dx), free(loss), free(dx2), free(loss2);
        free(targets);
    }
}

/* Scores' losses: block by block as by whole rows, but for rounding; the same bytes from every set,
 * any number of threads and whatever rows are beside them, or a router's score would depend on who
 * computed it. */
static void word_losses_equal_the_definition(void **state)
{
    static const struct {
        size_t rows, H, V;
    } shapes[] = {{1, 8, 2}, {3, 16, 15}, {7, 18, 37}, {200, 32, 512}, {40, 33, 1100}};
    struct check *c = *state;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        size_t rows = shapes[i].rows, H = shapes[i].H, V = shapes[i].V;
        float *x = check_array(rows * H), *E = check_array(V * H), *logits = check_array(rows * V);
        float *want = check_array(rows), *got = check_array(rows), *usual = check_array(rows);
        uint32_t *targets = malloc(rows * sizeof *targets);
        for (size_t r = 0; r < rows; r++)
            targets[r] = (uint32_t)(check_uniform() * (float)V);
        for (size_t k = 0; k < rows * H; k++)
            x[k] *= 3.0f;
        kern_linear(c->definition, logits, x, E, rows, H, V, false);
        kern_loss_forward(c->definition, usual, logits, V, targets, rows, V);
        kern_word_losses(c->definition, want, x, E, targets, rows, H, V);
        for (size_t r = 0; r < rows; r++)
            assert_true(fabsf(want[r] - usual[r]) <= 2e-6f * (1.0f + fabsf(usual[r])));
        for (size_t k = 0; k < c->count; k++) {
            kern_word_losses(c->sets[k], got, x, E, targets, rows, H, V);
            check_same(want, got, rows, "word losses", c->names[k]);
            const size_t last = rows - 1;
            kern_word_losses(c->sets[k], got, x + last * H, E, targets + last, 1, H, V);
            check_same(want + last, got, 1, "word losses of a row alone", c->names[k]);
        }
        free(x), free(E), free(logits), free(want), free(got), free(usual), free(targets);
    }
}

static void adamw_equals_the_definition(void **state)
{
    static const size_t sizes[] = {1, 16, 23, 60001};
    struct check *c = *state;
    struct kern_adamw o = {3e-3, 0.9, 0.99, 1e-8, 0.1, 1 - 0.9 * 0.9, 1 - 0.99 * 0.99, 0.7f};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        size_t n = sizes[i];
        float *start = check_array(3 * n), *g = check_array(n), *want = check_copy(start, 3 * n);
        for (size_t k = 0; k < n; k++) /* second moments are not negative */
            start[2 * n + k] = want[2 * n + k] = fabsf(start[2 * n + k]);
        kern_adamw_update(c->definition, want, want + n, want + 2 * n, g, n, &o);
        for (size_t k = 0; k < c->count; k++) {
            float *got = check_copy(start, 3 * n);
            kern_adamw_update(c->sets[k], got, got + n, got + 2 * n, g, n, &o);
            check_same(want, got, 3 * n, "AdamW", c->names[k]);
            free(got);
        }
        free(start);
        free(g);
        free(want);
    }
}

/* ---- choice of the set ---- */

static void an_unknown_set_is_refused_by_name(void **state)
{
    struct check *c = *state;
    struct kern_options o = {.isa = "avx1024"};
    struct kern *k;
    struct err e = {0};
    assert_int_equal(kern_create(&k, c->pools[0], &o, &e), ERR_INVALID);
    assert_non_null(strstr(e.message, "avx1024"));
    assert_non_null(strstr(e.message, "plain"));

    assert_int_equal(setenv("TACIT_ISA", "plain", 1), 0);
    o.isa = NULL;
    assert_int_equal(kern_create(&k, c->pools[0], &o, &e), 0);
    assert_string_equal(kern_isa(k), "plain");
    kern_destroy(k);
    assert_int_equal(setenv("TACIT_ISA", "fast", 1), 0);
    assert_int_equal(kern_create(&k, c->pools[0], &o, &e), ERR_INVALID);
    assert_non_null(strstr(e.message, "TACIT_ISA"));
    unsetenv("TACIT_ISA");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(products_equal_the_definition),
        cmocka_unit_test(held_weights_equal_the_definition),
        cmocka_unit_test(a_product_continues_where_it_stopped),
        cmocka_unit_test(nothing_times_nothing_is_zero),
        cmocka_unit_test(panels_equal_the_definition),
        cmocka_unit_test(attention_equals_the_definition),
        cmocka_unit_test(decoding_equals_the_full_pass),
        cmocka_unit_test(norms_equal_the_definition),
        cmocka_unit_test(elementwise_equals_the_definition),
        cmocka_unit_test(embeddings_equal_the_definition),
        cmocka_unit_test(losses_equal_the_definition),
        cmocka_unit_test(the_head_equals_its_steps),
        cmocka_unit_test(word_losses_equal_the_definition),
        cmocka_unit_test(adamw_equals_the_definition),
        cmocka_unit_test(an_unknown_set_is_refused_by_name),
    };
    /* What multiplies matrices, on factors rounded to bfloat16. */
    const struct CMUnitTest bf16[] = {
        cmocka_unit_test(products_equal_the_definition),
        cmocka_unit_test(held_weights_equal_the_definition),
        cmocka_unit_test(a_product_continues_where_it_stopped),
        cmocka_unit_test(panels_equal_the_definition),
        cmocka_unit_test(nothing_times_nothing_is_zero),
        cmocka_unit_test(attention_equals_the_definition),
        cmocka_unit_test(decoding_equals_the_full_pass),
        cmocka_unit_test(the_head_equals_its_steps),
    };
    int failed = cmocka_run_group_tests(tests, check_setup, check_teardown);
    return failed + cmocka_run_group_tests_name("bf16", bf16, check_setup_bf16, check_teardown);
}
