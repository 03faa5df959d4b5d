#include "ops/serve/pick.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

int picker_init(struct picker *p, uint32_t vocab, struct err *e)
{
    *p = (struct picker){.vocab = vocab,
                         .x = calloc(vocab, sizeof *p->x),
                         .order = calloc(vocab, sizeof *p->order),
                         .counts = calloc(vocab, sizeof *p->counts)};
    if (p->x && p->order && p->counts)
        return 0;
    picker_free(p);
    return err_set(e, ERR_NO_MEMORY, "no memory for sampling");
}

void picker_free(struct picker *p)
{
    free(p->x);
    free(p->order);
    free(p->counts);
    *p = (struct picker){0};
}

static uint32_t likeliest(const float *x, uint32_t n)
{
    uint32_t best = 0;
    for (uint32_t i = 1; i < n; i++)
        if (x[i] > x[best])
            best = i;
    return best;
}

double pick_log_sum(const float *logits, uint32_t vocab)
{
    const float max = logits[likeliest(logits, vocab)];
    double sum = 0;
    for (uint32_t i = 0; i < vocab; i++)
        sum += expf(logits[i] - max);
    return max + log(sum);
}

/* --- penalties -------------------------------------------------------------------------------- */

/* counts is left as it was found: zeros. */
static void punish(struct picker *p, const struct pick *o, const uint32_t *seen, uint32_t count,
                   uint32_t prompt)
{
    for (uint32_t i = 0; o->repetition != 1 && i < count; i++) {
        float *x = &p->x[seen[i]];
        if (p->counts[seen[i]]++ == 0)
            *x = (float)(*x > 0 ? *x / o->repetition : *x * o->repetition);
    }
    for (uint32_t i = 0; i < count; i++)
        p->counts[seen[i]] = 0;
    for (uint32_t i = prompt; i < count; i++) {
        const bool first = p->counts[seen[i]]++ == 0;
        p->x[seen[i]] -= (float)(o->frequency + (first ? o->presence : 0));
    }
    for (uint32_t i = prompt; i < count; i++)
        p->counts[seen[i]] = 0;
}

/* --- a heap of tokens, the likeliest on top ----------------------------------------------------
 */

static bool before(const float *x, uint32_t a, uint32_t b)
{
    return x[a] > x[b] || (x[a] == x[b] && a < b);
}

static void sink(const float *x, uint32_t *heap, uint32_t n, uint32_t i)
{
    for (;;) {
        uint32_t child = 2 * i + 1;
        if (child >= n)
            return;
        if (child + 1 < n && before(x, heap[child + 1], heap[child]))
            child++;
        if (!before(x, heap[child], heap[i]))
            return;
        const uint32_t t = heap[i];
        heap[i] = heap[child];
        heap[child] = t;
        i = child;
    }
}

static void heap_make(const float *x, uint32_t *heap, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        heap[i] = i;
    for (uint32_t i = n / 2; i > 0; i--)
        sink(x, heap, n, i - 1);
}

/* The top one, moved behind the heap: heap[n-1] afterwards. */
static uint32_t heap_take(const float *x, uint32_t *heap, uint32_t n)
{
    const uint32_t top = heap[0];
    heap[0] = heap[n - 1];
    heap[n - 1] = top;
    sink(x, heap, n - 1, 0);
    return top;
}

void pick_top(struct picker *p, const float *logits, uint32_t n, uint32_t *top)
{
    heap_make(logits, p->order, p->vocab);
    for (uint32_t i = 0; i < n && i < p->vocab; i++)
        top[i] = heap_take(logits, p->order, p->vocab - i);
}

/* --- drawing -----------------------------------------------------------------------------------
 */

/* Of the weights x, whose largest is 1: takes the likeliest ones until the options are met, then
 * one of them. They lie at the end of order, the likeliest last. */
static uint32_t draw_some(struct picker *p, const struct pick *o, double u)
{
    const uint32_t V = p->vocab, most = o->top_k > 0 && o->top_k < V ? o->top_k : V;
    double all = 0, kept = 0, seen = 0;
    uint32_t n = 0;
    heap_make(p->x, p->order, V);
    if (most == V) {
        for (uint32_t i = 0; i < V; i++)
            all += p->x[i];
    }
    for (; n < most; n++) {
        const float x = p->x[heap_take(p->x, p->order, V - n)];
        if (most == V && (kept >= o->top_p * all || x < o->min_p) && n > 0)
            break;
        kept += x;
    }
    if (most < V) { /* top_p is of what top_k left */
        const double total = kept;
        uint32_t left = 0;
        for (kept = 0; left < n; left++) {
            const float x = p->x[p->order[V - 1 - left]];
            if ((kept >= o->top_p * total || x < o->min_p) && left > 0)
                break;
            kept += x;
        }
        n = left;
    }
    for (uint32_t i = 0; i < n; i++) {
        seen += p->x[p->order[V - 1 - i]];
        if (seen > u * kept)
            return p->order[V - 1 - i];
    }
    return p->order[V - 1];
}

uint32_t pick_token(struct picker *p, const float *logits, const struct pick *o,
                    const uint32_t *seen, uint32_t count, uint32_t prompt, double u)
{
    const uint32_t V = p->vocab;
    memcpy(p->x, logits, V * sizeof *p->x);
    if (o->repetition != 1 || o->presence != 0 || o->frequency != 0)
        punish(p, o, seen, count, prompt);
    const uint32_t best = likeliest(p->x, V);
    if (o->temperature <= 0)
        return best;
    const float max = p->x[best], scale = (float)(1.0 / o->temperature);
    double sum = 0, so_far = 0;
    for (uint32_t i = 0; i < V; i++) {
        p->x[i] = expf((p->x[i] - max) * scale);
        sum += p->x[i];
    }
    if (o->top_k > 0 || o->top_p < 1 || o->min_p > 0)
        return draw_some(p, o, u);
    for (uint32_t i = 0; i < V; i++) {
        so_far += p->x[i];
        if (so_far > u * sum)
            return i;
    }
    return best;
}
