/* From likelihoods to figures. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "core/base/rng.h"
#include "core/mixture/scores.h"
#include "ops/cli/eval.h"

/* What a system says of a sequence: log p(judged | before). */
struct said {
    double judged;
    bool exact;
};

struct building {
    const struct eval_run *r;
    struct arena *arena;
    struct eval_system *list;
    uint32_t count;
    struct said *said; /* of each sequence */
};

static const struct eval_likelihood *of_model(const struct eval_run *r, uint32_t model, uint32_t i)
{
    return &r->likelihood[(size_t)model * r->sequence_count + i];
}

static void by_model(struct building *b, uint32_t model)
{
    for (uint32_t i = 0; i < b->r->sequence_count; i++) {
        const struct eval_likelihood *l = of_model(b->r, model, i);
        b->said[i] = (struct said){l->judged, l->exact};
    }
}

static double add_logs(double a, double b)
{
    const double most = a > b ? a : b, least = a > b ? b : a;
    return most == -INFINITY ? most : most + log1p(exp(least - most));
}

/* The k experts with the highest scores, best first; as METHOD, ties go to the lower number. */
static void best_experts(const struct eval_run *r, uint32_t i, uint32_t k, uint32_t *out)
{
    const float *scores = &r->scores[(size_t)i * r->experts];
    for (uint32_t n = 0; n < k; n++) {
        uint32_t best = UINT32_MAX;
        for (uint32_t x = 0; x < r->experts; x++) {
            bool taken = false;
            for (uint32_t t = 0; t < n; t++)
                taken |= out[t] == x;
            if (!taken && (best == UINT32_MAX || scores[x] > scores[best]))
                best = x;
        }
        out[n] = best;
    }
}

/* Eq. 2 with its k largest terms: Σ p(e | prefix) p(before, judged | e) / Σ p(e | prefix)
 * p(before | e). */
static void by_mixture(struct building *b, uint32_t k)
{
    uint32_t best[EVAL_CHOICES_MAX];
    const struct eval_run *r = b->r;
    for (uint32_t i = 0; i < r->sequence_count; i++) {
        best_experts(r, i, k, best);
        if (k == 1) {
            const struct eval_likelihood *l = of_model(r, best[0], i);
            b->said[i] = (struct said){l->judged, l->exact};
            continue;
        }
        double with = -INFINITY, without = -INFINITY;
        for (uint32_t n = 0; n < k; n++) {
            const struct eval_likelihood *l = of_model(r, best[n], i);
            const double weight = (double)r->scores[(size_t)i * r->experts + best[n]];
            without = add_logs(without, weight + (double)l->before);
            with = add_logs(with, weight + (double)l->before + (double)l->judged);
        }
        b->said[i] = (struct said){with - without, false};
    }
}

/* --- measures --------------------------------------------------------------------------------- */

/* The answer that is likeliest by weight(choice); ties go to the first. */
static uint32_t likeliest(const struct building *b, uint32_t first, uint32_t choices,
                          bool by_length)
{
    uint32_t best = 0;
    double most = -INFINITY;
    for (uint32_t c = 0; c < choices; c++) {
        double x = b->said[first + c].judged;
        if (by_length)
            x /= b->r->sequences[first + c].bytes;
        if (x > most) {
            most = x;
            best = c;
        }
    }
    return best;
}

static void measure_item(const struct building *b, struct eval_system *s, uint32_t item,
                         uint32_t first, uint32_t end, bool exact_known)
{
    const struct eval_item *x = &b->r->task->items[item];
    uint32_t from = first, to = end;
    if (x->kind == EVAL_CHOICE) {
        from = first + x->answer;
        to = from + 1;
        s->parts[EVAL_RAW][item] =
            (struct eval_part){likeliest(b, first, end - first, false) == x->answer, 1};
        s->parts[EVAL_BY_LENGTH][item] =
            (struct eval_part){likeliest(b, first, end - first, true) == x->answer, 1};
    } else if (x->kind == EVAL_CLOZE && exact_known) {
        s->parts[EVAL_RAW][item] = (struct eval_part){b->said[first].exact, 1};
    }
    for (uint32_t i = from; i < to; i++) {
        const struct eval_sequence *q = &b->r->sequences[i];
        s->parts[EVAL_PERPLEXITY][item].above -= b->said[i].judged;
        s->parts[EVAL_PERPLEXITY][item].below += q->length - q->from;
        s->parts[EVAL_BITS][item].above -= b->said[i].judged / log(2);
        s->parts[EVAL_BITS][item].below += q->bytes;
    }
}

/* A measure that no item has is none. */
static void drop_empty(const struct eval_run *r, struct eval_system *s)
{
    for (int m = 0; m < EVAL_MEASURES; m++) {
        bool any = false;
        for (uint32_t i = 0; i < r->task->count; i++)
            any |= s->parts[m][i].below > 0;
        if (!any)
            s->parts[m] = NULL;
    }
}

static int add_system(struct building *b, const char *name, bool exact_known, struct err *e)
{
    const struct eval_run *r = b->r;
    struct eval_system *s = &b->list[b->count];
    s->name = name;
    for (int m = 0; m < EVAL_MEASURES; m++)
        if (!(s->parts[m] = arena_alloc_array(b->arena, r->task->count, sizeof **s->parts)))
            return err_set(e, ERR_NO_MEMORY, "no memory for the figures of a task");
    for (uint32_t first = 0, end; first < r->sequence_count; first = end) {
        const uint32_t item = r->sequences[first].item;
        for (end = first; end < r->sequence_count && r->sequences[end].item == item;)
            end++;
        measure_item(b, s, item, first, end, exact_known);
    }
    drop_empty(r, s);
    b->count++;
    return name ? 0 : err_set(e, ERR_NO_MEMORY, "no memory for the figures of a task");
}

int eval_systems(const struct eval_run *r, uint32_t top, struct arena *a, struct eval_system **out,
                 uint32_t *count, struct err *e)
{
    static const char *const dense[2] = {"dense, equal tokens", "dense, equal FLOPs"};
    struct building b = {.r = r, .arena = a};
    top = top > r->experts ? r->experts : top > EVAL_CHOICES_MAX ? EVAL_CHOICES_MAX : top;
    b.list = arena_alloc_array(a, top + 3 + r->experts, sizeof *b.list);
    b.said = calloc(r->sequence_count, sizeof *b.said);
    int rc = b.list && b.said ? 0 : err_set(e, ERR_NO_MEMORY, "no memory for figures");
    for (uint32_t k = 1; !rc && k <= top; k++) {
        by_mixture(&b, k);
        rc = add_system(&b, k == 1 ? "mixture" : arena_printf(a, "mixture of the %u best", k),
                        k == 1, e);
    }
    uint32_t model = r->experts;
    for (int d = 0; !rc && d < 2; d++)
        if (r->dense[d]) {
            by_model(&b, model++);
            rc = add_system(&b, dense[d], true, e);
        }
    for (uint32_t x = 0; !rc && x < r->experts; x++) {
        by_model(&b, x);
        rc = add_system(&b, arena_printf(a, "expert %u", x), true, e);
    }
    free(b.said);
    *out = b.list;
    *count = b.count;
    return rc;
}

/* --- intervals -------------------------------------------------------------------------------- */

static double figure_of(enum eval_measure m, double above, double below)
{
    const double ratio = above / below;
    return m == EVAL_PERPLEXITY ? exp(ratio) : ratio;
}

/* Of accuracies the difference, of the others how much lower or higher, as a share. */
static double difference(enum eval_measure m, double x, double base)
{
    return m == EVAL_RAW || m == EVAL_BY_LENGTH ? x - base : x / base - 1;
}

static int by_size(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The middle 95 % of the draws. */
static void interval(double *draws, struct eval_figure *out)
{
    qsort(draws, EVAL_RESAMPLES, sizeof *draws, by_size);
    out->low = draws[EVAL_RESAMPLES * 25 / 1000];
    out->high = draws[EVAL_RESAMPLES * 975 / 1000 - 1];
}

static double total(const struct eval_part *parts, enum eval_measure m, const uint32_t *picks,
                    uint32_t items)
{
    double above = 0, below = 0;
    for (uint32_t i = 0; i < items; i++) {
        const struct eval_part *p = &parts[picks ? picks[i] : i];
        above += p->above;
        below += p->below;
    }
    return figure_of(m, above, below);
}

int eval_bootstrap(const struct eval_system *systems, uint32_t count, enum eval_measure m,
                   uint32_t items, uint32_t base, uint64_t seed, struct eval_figure *values,
                   struct eval_figure *differences, struct err *e)
{
    double *draws = malloc((size_t)count * EVAL_RESAMPLES * sizeof *draws),
           *gaps = malloc(EVAL_RESAMPLES * sizeof *gaps);
    uint32_t *picks = malloc(items * sizeof *picks);
    int rc = draws && gaps && picks ? 0 : err_set(e, ERR_NO_MEMORY, "no memory for a bootstrap");
    for (uint64_t b = 0; !rc && b < EVAL_RESAMPLES; b++) {
        for (uint32_t i = 0; i < items; i++)
            picks[i] = (uint32_t)(rng_u64(seed, RNG_EVAL, b, i) % items);
        for (uint32_t s = 0; s < count; s++)
            if (systems[s].parts[m])
                draws[(size_t)s * EVAL_RESAMPLES + b] = total(systems[s].parts[m], m, picks, items);
    }
    for (uint32_t s = 0; !rc && s < count; s++) {
        values[s] = differences[s] = (struct eval_figure){NAN, NAN, NAN};
        if (!systems[s].parts[m])
            continue;
        values[s].value = total(systems[s].parts[m], m, NULL, items);
        if (base < count && systems[base].parts[m]) {
            for (uint32_t b = 0; b < EVAL_RESAMPLES; b++)
                gaps[b] = difference(m, draws[(size_t)s * EVAL_RESAMPLES + b],
                                     draws[(size_t)base * EVAL_RESAMPLES + b]);
            differences[s].value =
                difference(m, values[s].value, total(systems[base].parts[m], m, NULL, items));
            interval(gaps, &differences[s]);
        }
    }
    for (uint32_t s = 0; !rc && s < count; s++)
        if (systems[s].parts[m]) /* last: it sorts */
            interval(draws + (size_t)s * EVAL_RESAMPLES, &values[s]);
    free(draws);
    free(gaps);
    free(picks);
    return rc;
}
