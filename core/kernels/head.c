/* The head's losses and gradients at once. Logits are the largest thing in a step (B = 32 × 256
 * tokens of V = 32,000: a gigabyte), so what is done to them is done where they are in cache:
 *
 * - Some rows at a time, on one thread: their logits, losses, gradient d, and dx = d E. 8 MiB of
 *   logits, used again and again, stay in the third-level cache; E is held, since packing it would
 *   cost as much as multiplying it by so few rows.
 * - d is kept, packed, for KERN_HEAD_ROWS rows; then dE += dᵀ x, block by block of words. dE goes
 *   through memory once for so many rows. */
#include "core/kernels/kern_parts.h"

#include <string.h>

/* Rows whose d is kept, at most, and fewer where it would be longer than so many floats. */
#define ROWS_MAX 512
#define GRADIENT_FLOATS ((size_t)1 << 24)
/* Logits at a time on one thread, and rows of them at least and at most: whole tiles. */
#define LOGITS_FLOATS ((size_t)1 << 21)
#define LOGITS_ROWS_MIN 16
#define LOGITS_ROWS_MAX 128

struct layout {
    size_t rows, logits_rows,
        ld;       /* rows whose d is kept; rows of logits, and floats between them */
    size_t block; /* floats between blocks of d */
    /* Where d begins, x for dE, E for logits and for dx; in all. */
    size_t across, x, held, back, floats;
};

static size_t round_up(size_t n, size_t unit)
{
    return (n + unit - 1) / unit * unit;
}

static size_t bounded(size_t n, size_t least, size_t most)
{
    return n < least ? least : n > most ? most : n;
}

static struct layout layout_of(const struct kern_head *h, size_t threads)
{
    struct layout l;
    l.ld = round_up(h->V, 16);
    if (l.ld % 1024 == 0) /* rows would meet in the same sets of the caches */
        l.ld += 16;
    const size_t kept = bounded(GRADIENT_FLOATS / l.ld, LOGITS_ROWS_MIN, ROWS_MAX) / 8 * 8;
    l.rows = kept < h->rows ? kept : round_up(h->rows, 8);
    const size_t each = round_up((l.rows + threads - 1) / threads, 8);
    const size_t most = bounded(LOGITS_FLOATS / l.ld, LOGITS_ROWS_MIN, LOGITS_ROWS_MAX) / 8 * 8;
    l.logits_rows = each < most ? each : most;
    l.block = l.rows * KERN_HEAD_WORDS + 16; /* blocks neither meet in the same sets */
    l.across = threads * l.logits_rows * l.ld;
    l.x = l.across + round_up(h->V, KERN_HEAD_WORDS) / KERN_HEAD_WORDS * l.block;
    l.held = l.x + kern_hold_floats(h->H, l.rows, true);
    l.back = l.held + kern_hold_floats(h->H, h->V, false);
    l.floats = l.back + kern_hold_floats(h->H, h->V, true);
    return l;
}

uint64_t kern_head_space(const struct kern_head *h, int threads)
{
    return layout_of(h, (size_t)threads).floats;
}

struct head_job {
    struct kern *k;
    const struct kern_head *h;
    struct layout l;
    float *space, *loss, *dx, *dE;
    const float *x, *E;
    const uint32_t *targets;
    size_t rows; /* of x here */
    float scale;
};

/* A product with B of K rows at b and, but for BLAS, held at `held`. */
static struct kern_product product_of(const struct head_job *j, size_t K, const float *b,
                                      size_t b_row, size_t b_col, size_t held)
{
    struct kern_product p = {.K = K, .B = b, .b_row = b_row, .b_col = b_col, .bf16 = j->k->bf16};
    p.b_held = j->k->blas.library == NULL;
    if (p.b_held)
        p.B = j->space + held;
    return p;
}

void kern_head_hold(struct kern *k, const struct kern_head *h, float *space, const float *E)
{
    const struct layout l = layout_of(h, (size_t)k->threads);
    kern_hold(k, space + l.held, E, h->H, h->V, false);
    kern_hold(k, space + l.back, E, h->H, h->V, true);
}

/* Rows from r on, no more than a thread's logits take. */
static void some_rows(const struct head_job *j, size_t r, size_t n, float *logits, float *scratch)
{
    const size_t H = j->h->H, V = j->h->V, each = j->k->bf16 && j->k->lanes->pairs ? 2 : 1;
    struct kern_product p = product_of(j, H, j->E, 1, H, j->l.held);
    p.A = j->x + r * H;
    p.a_row = H;
    p.a_col = 1;
    p.C = logits;
    p.c_row = j->l.ld;
    kern__multiply(j->k, &p, n, V, scratch);
    j->k->lanes->head_rows(j->loss + r, logits, j->l.ld,
                           j->space + j->l.across + r / each * KERN_HEAD_WORDS, j->l.block,
                           j->targets + r, n, V, j->scale, j->k->bf16);
    p = product_of(j, V, j->E, H, 1, j->l.back);
    p.A = logits;
    p.a_row = j->l.ld;
    p.a_col = 1;
    p.a_held = true;
    p.C = j->dx + r * H;
    p.c_row = H;
    kern__multiply(j->k, &p, n, H, scratch);
}

static void rows_part(void *arg, size_t begin, size_t end)
{
    const struct head_job *j = arg;
    struct kern_slot *s = kern__slot_take(j->k);
    const size_t each = j->l.logits_rows;
    float *logits = j->space + (size_t)(s - j->k->slots) * each * j->l.ld;
    for (size_t r = begin; r < end; r += each)
        some_rows(j, r, end - r < each ? end - r : each, logits, s->scratch);
    kern__slot_give(s);
}

static void words_part(void *arg, size_t begin, size_t end)
{
    const struct head_job *j = arg;
    const size_t H = j->h->H, V = j->h->V;
    struct kern_slot *s = kern__slot_take(j->k);
    struct kern_product p = product_of(j, j->rows, j->x, H, 1, j->l.x);
    p.a_row = 1;
    p.a_col = KERN_HEAD_WORDS;
    p.a_held = true;
    p.c_row = H;
    p.accumulate = true;
    for (size_t b = begin; b < end; b++) {
        const size_t v = b * KERN_HEAD_WORDS, left = V - v;
        p.A = j->space + j->l.across + b * j->l.block;
        p.C = j->dE + v * H;
        kern__multiply(j->k, &p, left < KERN_HEAD_WORDS ? left : KERN_HEAD_WORDS, H, s->scratch);
    }
    kern__slot_give(s);
}

void kern_head_backward(struct kern *k, const struct kern_head *h, float *space, float *loss,
                        float *dx, float *dE, const float *x, const float *E,
                        const uint32_t *targets, size_t rows, float scale)
{
    struct head_job j = {
        k, h, layout_of(h, (size_t)k->threads), space, loss, dx, dE, x, E, targets, 0, scale};
    const size_t blocks = (h->V + KERN_HEAD_WORDS - 1) / KERN_HEAD_WORDS;
    for (size_t r = 0; r < rows; r += j.rows) {
        j.rows = rows - r < j.l.rows ? rows - r : j.l.rows;
        j.loss = loss + r;
        j.dx = dx + r * h->H;
        j.x = x + r * h->H;
        j.targets = targets + r;
        kern_hold(k, space + j.l.x, j.x, h->H, j.rows, true);
        if (k->blas.one_caller) {
            rows_part(&j, 0, j.rows);
            words_part(&j, 0, blocks);
            continue;
        }
        pool_for(k->pool, j.rows, j.l.logits_rows, rows_part, &j);
        pool_for(k->pool, blocks, 8, words_part, &j);
    }
}
