/* The calls of kernels.h: work cut into ranges of outputs for the pool. */
#include "core/kernels/kernels.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "core/kernels/kern_parts.h"
#include "core/kernels/mathfn.h"

/* Below these a second thread costs more to wake than it saves. */
#define ALONE_ELEMENTS 16384
#define ALONE_MULTIPLY_ADDS 200000
/* About the rows of a product that one packing of B serves. */
#define ROWS_A_PACKING 384
/* Bounds of a product's parts are multiples of whole tiles of every instruction set. */
#define PART_ROWS 24
#define PART_COLUMNS 48
/* ---- context ---- */

static size_t scratch_floats(const struct kern_options *o)
{
    size_t attention = o->seq == 0 ? 0 : kern_attention_scratch(o->seq, o->head);
    size_t n = attention > KERN_WORD_SCRATCH ? attention : KERN_WORD_SCRATCH;
    return (n + 15) / 16 * 16 + 16;
}

uint64_t kern_memory(const struct kern_options *o, int threads)
{
    return sizeof(struct kern) +
           (uint64_t)threads * (sizeof(struct kern_slot) + scratch_floats(o) * sizeof(float));
}

int kern_create(struct kern **out, struct pool *pool, const struct kern_options *o, struct err *e)
{
    const struct kern_lanes *lanes = kern__lanes_choose(o->isa, e);
    if (lanes == NULL)
        return ERR_INVALID;
    struct blas blas = {0};
    int rc = o->arithmetic == KERN_BLAS ? blas_open(&blas, e) : 0;
    if (rc != 0)
        return rc;
    struct kern *k = calloc(1, sizeof *k);
    size_t floats = scratch_floats(o);
    int threads = pool_threads(pool);
    if (k != NULL) {
        k->blas = blas;
        k->slots = calloc((size_t)threads, sizeof *k->slots);
        k->memory = aligned_alloc(64, (size_t)threads * floats * sizeof(float));
    }
    if (k == NULL || k->slots == NULL || k->memory == NULL) {
        if (k == NULL)
            blas_close(&blas);
        kern_destroy(k);
        return err_set(e, ERR_NO_MEMORY,
                       "no memory for the workspaces of %d threads (%zu bytes each)", threads,
                       floats * sizeof(float));
    }
    k->lanes = lanes;
    k->bf16 = o->arithmetic == KERN_BF16;
    k->pool = pool;
    k->threads = threads;
    /* Every call of BLAS holds a slot, so this bounds them too. */
    k->slot_count =
        o->arithmetic == KERN_BLAS && threads > BLAS_CALLERS_MAX ? BLAS_CALLERS_MAX : threads;
    for (int i = 0; i < threads; i++) {
        atomic_flag_clear(&k->slots[i].taken);
        k->slots[i].scratch = k->memory + (size_t)i * floats;
    }
    pool_flush_denormals();
    *out = k;
    return 0;
}

void kern_destroy(struct kern *k)
{
    if (k == NULL)
        return;
    blas_close(&k->blas);
    free(k->slots);
    free(k->memory);
    free(k);
}

const char *kern_isa(const struct kern *k)
{
    return k->lanes->name;
}

struct pool *kern_pool(const struct kern *k)
{
    return k->pool;
}

static size_t at_least(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* Rows a part for which waking a thread pays, where a row costs so many elements. */
static size_t grain_of_rows(size_t cost)
{
    return at_least(1, ALONE_ELEMENTS / 2 / at_least(cost, 1));
}

/* ---- products ---- */

struct product_job {
    struct kern *k;
    const struct kern_product *p;
    size_t M, N;
    bool by_rows;
};

static void product_part(void *arg, size_t begin, size_t end)
{
    const struct product_job *j = arg;
    struct kern_slot *s = kern__slot_take(j->k);
    size_t m0 = j->by_rows ? begin : 0, m1 = j->by_rows ? end : j->M;
    size_t n0 = j->by_rows ? 0 : begin, n1 = j->by_rows ? j->N : end;

    if (j->k->blas.library != NULL)
        blas_product(&j->k->blas, j->p, m0, m1, n0, n1);
    else
        j->k->lanes->product(j->p, m0, m1, n0, n1, s->scratch);
    kern__slot_give(s);
}

static void vector_part(void *arg, size_t begin, size_t end)
{
    const struct product_job *j = arg;
    struct kern_slot *s = kern__slot_take(j->k);
    j->k->lanes->vector(j->p, begin, end, s->scratch);
    kern__slot_give(s);
}

/* A token's product with weights, each of which is read once: by outputs, in parts long enough for
 * the memory to stream. */
static void vector_run(struct product_job *j)
{
    const size_t parts = (size_t)j->k->threads * 2;
    if (j->k->threads == 1 || j->N * j->p->K < ALONE_MULTIPLY_ADDS)
        vector_part(j, 0, j->N);
    else
        pool_for(j->k->pool, j->N, ((j->N + parts - 1) / parts + 31) / 32 * 32, vector_part, j);
}

/* A product is cut into two parts a thread: more pack the same again more often, fewer leave
 * nothing to the others where one is held up. By rows each part packs B, unless it is held, by
 * columns A; the less of it the better, where there are enough parts. Returns the rows or columns
 * of a part. */
static size_t product_split(struct product_job *j, size_t threads)
{
    const size_t M = j->M, N = j->N;
    const size_t blocks = (M + ROWS_A_PACKING - 1) / ROWS_A_PACKING;
    const size_t parts = threads * (M >= 4 * threads * ROWS_A_PACKING ? 4 : 2);
    const size_t again = parts > blocks && !j->p->b_held ? parts - blocks : 0;

    j->by_rows = again * N <= (parts - 1) * M;
    if (M < parts * PART_ROWS || N < parts * PART_COLUMNS)
        j->by_rows = M / PART_ROWS >= N / PART_COLUMNS;
    return parts;
}

static void multiply(struct kern *k, const struct kern_product *p, size_t M, size_t N)
{
    struct product_job j = {k, p, M, N, true};
    const size_t K = p->K;

    if (M == 0 || N == 0)
        return;
    if (M == 1 && p->b_row == 1 && K > 0 && K <= KERN_PACK && k->blas.library == NULL &&
        !p->b_held) {
        vector_run(&j);
        return;
    }
    if (k->threads == 1 || k->blas.one_caller || M * N * at_least(K, 1) < ALONE_MULTIPLY_ADDS) {
        product_part(&j, 0, M);
        return;
    }
    const size_t parts = product_split(&j, (size_t)k->threads);
    pool_for_parts(k->pool, j.by_rows ? M : N, j.by_rows ? PART_ROWS : PART_COLUMNS, parts,
                   product_part, &j);
}

void kern_matmul(struct kern *k, size_t M, size_t N, size_t K, const float *A, size_t a_row,
                 size_t a_col, const float *B, size_t b_row, size_t b_col, float *C, size_t c_row,
                 bool accumulate)
{
    const struct kern_product p = {K, A,     a_row,      a_col,   B,     b_row, b_col,
                                   C, c_row, accumulate, k->bf16, false, false};
    multiply(k, &p, M, N);
}

size_t kern_hold_floats(size_t in, size_t out, bool back)
{
    const size_t K = back ? out : in, N = back ? in : out;
    return (N + KERN_PANELS - 1) / KERN_PANELS * KERN_PANELS * K;
}

struct hold_job {
    const struct kern_lanes *lanes;
    struct kern_product p;
    float *to;
    size_t N;
};

static void hold_part(void *arg, size_t begin, size_t end)
{
    const struct hold_job *j = arg;
    const size_t n1 = end * KERN_PANELS;
    j->lanes->hold(j->to, &j->p, begin * KERN_PANELS, n1 < j->N ? n1 : j->N);
}

static void linear_b(struct kern_product *p, const float *W, size_t in, size_t out, bool back)
{
    p->K = back ? out : in;
    p->B = W;
    p->b_row = back ? in : 1;
    p->b_col = back ? 1 : in;
}

void kern_hold(struct kern *k, float *to, const float *W, size_t in, size_t out, bool back)
{
    struct hold_job j = {.lanes = k->lanes, .to = to, .N = back ? in : out};
    if (k->blas.library != NULL)
        return;
    j.p.bf16 = k->bf16;
    linear_b(&j.p, W, in, out, back);
    pool_for(k->pool, (j.N + KERN_PANELS - 1) / KERN_PANELS, grain_of_rows(KERN_PANELS * j.p.K),
             hold_part, &j);
}

static void linear_held(struct kern *k, float *C, const float *A, const float *W, const float *held,
                        size_t rows, size_t in, size_t out, bool back, bool accumulate)
{
    struct kern_product p = {.A = A, .a_col = 1, .C = C, .accumulate = accumulate, .bf16 = k->bf16};
    linear_b(&p, W, in, out, back);
    p.a_row = p.K;
    p.c_row = back ? in : out;
    p.b_held = held != NULL && k->blas.library == NULL;
    if (p.b_held)
        p.B = held;
    multiply(k, &p, rows, p.c_row);
}

void kern_linear_held(struct kern *k, float *Y, const float *X, const float *W, const float *held,
                      size_t rows, size_t in, size_t out, bool accumulate)
{
    linear_held(k, Y, X, W, held, rows, in, out, false, accumulate);
}

void kern_linear_dx_held(struct kern *k, float *dX, const float *dY, const float *W,
                         const float *held, size_t rows, size_t in, size_t out)
{
    linear_held(k, dX, dY, W, held, rows, in, out, true, false);
}

double kern_peak(struct kern *k, size_t rounds)
{
    float *x = k->memory;
    for (int i = 0; i < 64; i++)
        x[i] = 0x1p-20f * (float)i;
    return k->lanes->peak(x, rounds, k->bf16);
}

/* ---- attention ---- */

void kern_rotary_table(float *cos, float *sin, uint32_t seq, uint32_t head)
{
    size_t half = head / 2;
    for (size_t i = 0; i < half; i++) {
        double turn = mathfn_exp(-(double)(2 * i) / (double)head * mathfn_log(10000.0));
        for (size_t s = 0; s < seq; s++) {
            cos[s * half + i] = (float)mathfn_cos((double)s * turn);
            sin[s * half + i] = (float)mathfn_sin((double)s * turn);
        }
    }
}

struct attention_job {
    struct kern *k;
    const struct kern_attention *a;
    float *out, *stats_out;
    const float *dout, *y, *stats, *qkv;
    const struct kern_attention_run *runs;
    size_t cache_seq;
};

static void attention_forward_part(void *arg, size_t begin, size_t end)
{
    struct attention_job *j = arg;
    struct kern_slot *s = kern__slot_take(j->k);
    j->k->lanes->attention_forward(j->a, j->k->bf16, j->out, j->stats_out, j->qkv, begin, end,
                                   s->scratch);
    kern__slot_give(s);
}

void kern_attention_forward(struct kern *k, const struct kern_attention *a, float *out,
                            float *stats, const float *qkv)
{
    struct attention_job j = {.k = k, .a = a, .out = out, .stats_out = stats, .qkv = qkv};
    pool_for(k->pool, (size_t)a->batch * a->heads, grain_of_rows((size_t)a->seq * a->seq),
             attention_forward_part, &j);
}

static void attention_backward_part(void *arg, size_t begin, size_t end)
{
    struct attention_job *j = arg;
    struct kern_slot *s = kern__slot_take(j->k);
    j->k->lanes->attention_backward(j->a, j->k->bf16, j->out, j->dout, j->y, j->stats, j->qkv,
                                    begin, end, s->scratch);
    kern__slot_give(s);
}

void kern_attention_backward(struct kern *k, const struct kern_attention *a, float *dqkv,
                             const float *dout, const float *out, const float *stats,
                             const float *qkv)
{
    struct attention_job j = {
        .k = k, .a = a, .out = dqkv, .dout = dout, .y = out, .stats = stats, .qkv = qkv};
    pool_for(k->pool, (size_t)a->batch * a->heads, grain_of_rows((size_t)a->seq * a->seq),
             attention_backward_part, &j);
}

/* Unit u is head u mod A of run u / A. */
static void attention_decode_part(void *arg, size_t begin, size_t end)
{
    struct attention_job *j = arg;
    struct kern_slot *s = kern__slot_take(j->k);
    const size_t heads = j->a->heads;
    while (begin < end) {
        const size_t run = begin / heads, last = (run + 1) * heads < end ? (run + 1) * heads : end;
        j->k->lanes->attention_decode(j->a, j->k->bf16, j->out, j->qkv, &j->runs[run], j->cache_seq,
                                      begin - run * heads, last - run * heads, s->scratch);
        begin = last;
    }
    kern__slot_give(s);
}

void kern_attention_decode(struct kern *k, const struct kern_attention *a, float *out,
                           const float *qkv, const struct kern_attention_run *runs, size_t count,
                           uint32_t cache_seq)
{
    struct attention_job j = {
        .k = k, .a = a, .out = out, .qkv = qkv, .runs = runs, .cache_seq = cache_seq};
    size_t seen = 0;
    for (size_t i = 0; i < count; i++)
        seen += (size_t)runs[i].count * (runs[i].pos + runs[i].count);
    pool_for(k->pool, count * a->heads, grain_of_rows(seen / at_least(count, 1) * a->head / 4),
             attention_decode_part, &j);
}

/* ---- rows ---- */

struct rows_job {
    const struct kern_lanes *lanes;
    float *to, *to2;
    const float *x, *y, *z, *stats;
    const uint32_t *tokens;
    size_t rows, width, ld;
    float scale;
};

static void layernorm_forward_part(void *arg, size_t r0, size_t r1)
{
    const struct rows_job *j = arg;
    j->lanes->layernorm_forward(j->to + r0 * j->width, j->to2 == NULL ? NULL : j->to2 + 2 * r0,
                                j->x + r0 * j->width, j->y, r1 - r0, j->width);
}

void kern_layernorm_forward(struct kern *k, float *y, float *stats, const float *x, const float *w,
                            size_t rows, size_t H)
{
    struct rows_job j = {.lanes = k->lanes, .to = y, .to2 = stats, .x = x, .y = w, .width = H};
    pool_for(k->pool, rows, grain_of_rows(H), layernorm_forward_part, &j);
}

static void layernorm_backward_part(void *arg, size_t r0, size_t r1)
{
    const struct rows_job *j = arg;
    size_t at = r0 * j->width;
    j->lanes->layernorm_backward(j->to + at, j->x + at, j->z == NULL ? NULL : j->z + at, j->y + at,
                                 j->stats + 2 * r0, j->to2, r1 - r0, j->width);
}

static void layernorm_weight_part(void *arg, size_t c0, size_t c1)
{
    const struct rows_job *j = arg;
    j->lanes->layernorm_weight(j->to, j->x, j->y, j->stats, j->rows, j->width, c0, c1);
}

void kern_layernorm_backward(struct kern *k, float *dx, float *dw, const float *dy,
                             const float *add, const float *x, const float *stats, const float *w,
                             size_t rows, size_t H)
{
    /* The weight's gradient first, since dx may overwrite dy. */
    struct rows_job j = {
        .lanes = k->lanes, .to = dw, .x = dy, .y = x, .stats = stats, .rows = rows, .width = H};
    pool_for(k->pool, H, (grain_of_rows(rows) + 15) / 16 * 16, layernorm_weight_part, &j);
    j.to = dx;
    j.to2 = (float *)w; /* read alone */
    j.z = add;
    pool_for(k->pool, rows, grain_of_rows(H), layernorm_backward_part, &j);
}

static void gelu_forward_part(void *arg, size_t i0, size_t i1)
{
    const struct rows_job *j = arg;
    j->lanes->gelu_forward(j->to + i0, j->x + i0, i1 - i0);
}

void kern_gelu_forward(struct kern *k, float *y, const float *x, size_t n)
{
    struct rows_job j = {.lanes = k->lanes, .to = y, .x = x};
    pool_for(k->pool, n, ALONE_ELEMENTS / 2, gelu_forward_part, &j);
}

static void gelu_backward_part(void *arg, size_t i0, size_t i1)
{
    const struct rows_job *j = arg;
    j->lanes->gelu_backward(j->to + i0, j->y + i0, j->x + i0, i1 - i0);
}

void kern_gelu_backward(struct kern *k, float *dx, const float *dy, const float *x, size_t n)
{
    struct rows_job j = {.lanes = k->lanes, .to = dx, .x = x, .y = dy};
    pool_for(k->pool, n, ALONE_ELEMENTS / 2, gelu_backward_part, &j);
}

static void add_part(void *arg, size_t i0, size_t i1)
{
    const struct rows_job *j = arg;
    j->lanes->add(j->to + i0, j->x + i0, j->y + i0, i1 - i0);
}

void kern_add(struct kern *k, float *y, const float *a, const float *b, size_t n)
{
    struct rows_job j = {.lanes = k->lanes, .to = y, .x = a, .y = b};
    pool_for(k->pool, n, ALONE_ELEMENTS, add_part, &j);
}

static void scale_part(void *arg, size_t i0, size_t i1)
{
    const struct rows_job *j = arg;
    j->lanes->scale(j->to + i0, j->x + i0, j->scale, i1 - i0);
}

void kern_scale(struct kern *k, float *y, const float *x, float s, size_t n)
{
    struct rows_job j = {.lanes = k->lanes, .to = y, .x = x, .scale = s};
    pool_for(k->pool, n, ALONE_ELEMENTS, scale_part, &j);
}

struct mix_job {
    const struct kern_lanes *lanes;
    float *y, s, t;
    const float *x, *z;
};

static void mix_part(void *arg, size_t i0, size_t i1)
{
    const struct mix_job *j = arg;
    j->lanes->mix(j->y + i0, j->s, j->x + i0, j->t, j->z + i0, i1 - i0);
}

void kern_mix(struct kern *k, float *y, float s, const float *x, float t, const float *z, size_t n)
{
    struct mix_job j = {k->lanes, y, s, t, x, z};
    pool_for(k->pool, n, ALONE_ELEMENTS, mix_part, &j);
}

static void embed_forward_part(void *arg, size_t r0, size_t r1)
{
    const struct rows_job *j = arg;
    for (size_t r = r0; r < r1; r++)
        memcpy(j->to + r * j->width, j->x + j->tokens[r] * j->width, j->width * sizeof(float));
}

void kern_embed_forward(struct kern *k, float *x, const float *E, const uint32_t *tokens,
                        size_t rows, size_t H)
{
    struct rows_job j = {.lanes = k->lanes, .to = x, .x = E, .tokens = tokens, .width = H};
    pool_for(k->pool, rows, grain_of_rows(H), embed_forward_part, &j);
}

static void embed_backward_part(void *arg, size_t c0, size_t c1)
{
    const struct rows_job *j = arg;
    j->lanes->embed_backward(j->to, j->x, j->tokens, j->rows, j->width, c0, c1);
}

void kern_embed_backward(struct kern *k, float *dE, const float *dx, const uint32_t *tokens,
                         size_t rows, size_t H)
{
    struct rows_job j = {
        .lanes = k->lanes, .to = dE, .x = dx, .tokens = tokens, .rows = rows, .width = H};
    pool_for(k->pool, H, (grain_of_rows(rows) + 15) / 16 * 16, embed_backward_part, &j);
}

static void loss_part(void *arg, size_t r0, size_t r1)
{
    const struct rows_job *j = arg;
    j->lanes->loss(j->to + r0, j->x + r0 * j->ld, j->ld, j->tokens + r0, r1 - r0, j->width);
}

void kern_loss_forward(struct kern *k, float *loss, const float *logits, size_t ld,
                       const uint32_t *targets, size_t rows, size_t V)
{
    struct rows_job j = {
        .lanes = k->lanes, .to = loss, .x = logits, .ld = ld, .tokens = targets, .width = V};
    pool_for(k->pool, rows, grain_of_rows(V), loss_part, &j);
}

struct words_job {
    struct kern *k;
    float *loss;
    const float *x, *E;
    const uint32_t *targets;
    size_t H, V;
};

/* Rows of one block: all words pass by, KERN_WORDS at a time. */
static void words_rows(const struct words_job *j, size_t r0, size_t rows, float *scratch)
{
    struct kern *k = j->k;
    float *logits = scratch + KERN_PACK, *state = logits + KERN_WORD_ROWS * (KERN_WORDS + 16);
    float *at = state + 32 * KERN_WORD_ROWS;
    struct kern_product p = {.K = j->H,
                             .A = j->x + r0 * j->H,
                             .a_row = j->H,
                             .a_col = 1,
                             .b_row = 1,
                             .b_col = j->H,
                             .C = logits,
                             .c_row = KERN_WORDS + 16,
                             .bf16 = k->bf16};

    for (size_t i = 0; i < 32 * rows; i++)
        state[i] = i % 32 < 16 ? -FLT_MAX : 0.0f;
    for (size_t v = 0; v < j->V; v += KERN_WORDS) {
        const size_t n = j->V - v < KERN_WORDS ? j->V - v : KERN_WORDS;
        p.B = j->E + v * j->H;
        kern__multiply(k, &p, rows, n, scratch);
        k->lanes->words_block(state, logits, p.c_row, rows, n);
        for (size_t r = 0; r < rows; r++) {
            const size_t target = j->targets[r0 + r];
            if (target >= v && target < v + n)
                at[r] = logits[r * p.c_row + target - v];
        }
    }
    k->lanes->words_loss(j->loss + r0, state, at, rows);
}

static void words_part(void *arg, size_t r0, size_t r1)
{
    const struct words_job *j = arg;
    struct kern_slot *s = kern__slot_take(j->k);
    for (size_t r = r0; r < r1; r += KERN_WORD_ROWS)
        words_rows(j, r, r1 - r < KERN_WORD_ROWS ? r1 - r : KERN_WORD_ROWS, s->scratch);
    kern__slot_give(s);
}

void kern_word_losses(struct kern *k, float *loss, const float *x, const float *E,
                      const uint32_t *targets, size_t rows, size_t H, size_t V)
{
    struct words_job j = {k, loss, x, E, targets, H, V};
    const size_t each = (rows + (size_t)k->threads - 1) / (size_t)k->threads;
    const bool alone = k->threads == 1 || k->blas.one_caller || rows * H * V < ALONE_MULTIPLY_ADDS;

    if (alone)
        words_part(&j, 0, rows);
    else
        pool_for(k->pool, rows, each < KERN_WORD_ROWS ? (each + 11) / 12 * 12 : KERN_WORD_ROWS,
                 words_part, &j);
}

/* ---- optimizer ---- */

struct adamw_job {
    const struct kern_lanes *lanes;
    float *p, *m, *v;
    const float *g;
    struct kern_adamw_f f;
};

static void adamw_part(void *arg, size_t i0, size_t i1)
{
    const struct adamw_job *j = arg;
    j->lanes->adamw(j->p + i0, j->m + i0, j->v + i0, j->g + i0, i1 - i0, &j->f);
}

void kern_adamw_update(struct kern *k, float *p, float *m, float *v, const float *g, size_t n,
                       const struct kern_adamw *o)
{
    struct adamw_job j = {.lanes = k->lanes, .p = p, .m = m, .v = v, .g = g};
    j.f = (struct kern_adamw_f){
        .scale = o->grad_scale,
        .beta1 = (float)o->beta1,
        .rest1 = (float)(1.0 - o->beta1),
        .beta2 = (float)o->beta2,
        .rest2 = (float)(1.0 - o->beta2),
        .unbias1 = (float)(1.0 / o->bias1),
        .unbias2 = (float)(1.0 / o->bias2),
        .rate = (float)o->learning_rate,
        .keep = (float)(1.0 - o->learning_rate * o->weight_decay),
        .epsilon = (float)o->epsilon,
    };
    pool_for(k->pool, n, ALONE_ELEMENTS, adamw_part, &j);
}

struct squares_job {
    struct kern *k;
    const float *x;
    size_t n;
};

static void squares_part(void *arg, size_t b0, size_t b1)
{
    const struct squares_job *j = arg;
    for (size_t b = b0; b < b1; b++) {
        size_t at = b * KERN_SQUARES, rest = j->n - at;
        j->k->squares[b] =
            j->k->lanes->squares(j->x + at, rest < KERN_SQUARES ? rest : KERN_SQUARES);
    }
}

double kern_sum_squares(struct kern *k, const float *x, size_t n)
{
    double sum = 0.0;
    while (n > 0) {
        size_t most = (size_t)KERN_SQUARES_AT_ONCE * KERN_SQUARES, now = n < most ? n : most;
        size_t blocks = (now + KERN_SQUARES - 1) / KERN_SQUARES;
        struct squares_job j = {k, x, now};
        pool_for(k->pool, blocks, ALONE_ELEMENTS / KERN_SQUARES, squares_part, &j);
        for (size_t b = 0; b < blocks; b++)
            sum += (double)k->squares[b];
        x += now;
        n -= now;
    }
    return sum;
}
