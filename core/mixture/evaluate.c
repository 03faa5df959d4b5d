#include "core/mixture/evaluate.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

int evaluate_counts_init(struct evaluate_counts *c, uint32_t parts, uint32_t labels, struct err *e)
{
    *c = (struct evaluate_counts){.parts = parts, .labels = labels};
    c->counts = calloc((size_t)parts * labels, sizeof *c->counts);
    if (c->counts == NULL)
        return err_set(e, ERR_NO_MEMORY, "counts: no memory for %u parts of %u labels", parts,
                       labels);
    return 0;
}

void evaluate_counts_free(struct evaluate_counts *c)
{
    free(c->counts);
    c->counts = NULL;
}

void evaluate_counts_add(struct evaluate_counts *c, uint32_t part, uint32_t label)
{
    assert(part < c->parts && label < c->labels);
    c->counts[(size_t)part * c->labels + label]++;
    c->total++;
}

/* Over one index of the counts, the largest over the other: outer·outer_step + inner·inner_step. */
static double largest_shares(const struct evaluate_counts *c, uint32_t outer, size_t outer_step,
                             uint32_t inner, size_t inner_step)
{
    if (c->total == 0)
        return NAN;
    uint64_t sum = 0;
    for (uint32_t o = 0; o < outer; o++) {
        uint64_t most = 0;
        for (uint32_t i = 0; i < inner; i++) {
            uint64_t count = c->counts[o * outer_step + i * inner_step];
            most = count > most ? count : most;
        }
        sum += most;
    }
    return (double)sum / (double)c->total;
}

double evaluate_counts_purity(const struct evaluate_counts *c)
{
    return largest_shares(c, c->parts, c->labels, c->labels, 1);
}

double evaluate_counts_inverse_purity(const struct evaluate_counts *c)
{
    return largest_shares(c, c->labels, 1, c->parts, c->labels);
}

uint64_t evaluate_counts_part(const struct evaluate_counts *c, uint32_t part)
{
    uint64_t sum = 0;
    for (uint32_t l = 0; l < c->labels; l++)
        sum += c->counts[(size_t)part * c->labels + l];
    return sum;
}

double evaluate_counts_share(const struct evaluate_counts *c, uint32_t part)
{
    return c->total == 0 ? NAN : (double)evaluate_counts_part(c, part) / (double)c->total;
}

/* Powers of two show where short prefixes begin to route badly; M is what routers were trained on.
 */
static void choose_prefixes(struct evaluate *v)
{
    if (v->o.routed)
        return;
    for (uint32_t m = 2; m < v->o.prefix; m *= 2)
        v->prefixes[v->prefix_count++] = m;
    v->prefixes[v->prefix_count++] = v->o.prefix;
}

int evaluate_init(struct evaluate *v, const struct evaluate_options *o, struct err *e)
{
    memset(v, 0, sizeof *v);
    v->o = *o;
    if (o->experts < 1 || o->labels < 1 || o->seq < 2 || o->seq > 1u << 16 || o->prefix < 1 ||
        o->prefix > o->seq)
        return err_set(e, ERR_RANGE, "evaluation: %u experts, %u labels, prefix %u of %u",
                       o->experts, o->labels, o->prefix, o->seq);
    choose_prefixes(v);
    int rc = evaluate_counts_init(&v->counts, o->experts, o->labels, e);
    if (rc != 0)
        return rc;
    v->expert = calloc(o->experts, sizeof *v->expert);
    v->expert_dense = calloc(o->experts, sizeof *v->expert_dense);
    v->reports = calloc(o->experts, sizeof *v->reports);
    v->sources = calloc((size_t)o->experts * o->labels, sizeof *v->sources);
    if (!v->expert || !v->expert_dense || !v->reports || !v->sources) {
        evaluate_free(v);
        return err_set(e, ERR_NO_MEMORY, "evaluation: no memory for %u experts", o->experts);
    }
    return 0;
}

void evaluate_free(struct evaluate *v)
{
    evaluate_counts_free(&v->counts);
    free(v->expert);
    free(v->expert_dense);
    free(v->reports);
    free(v->sources);
    memset(v, 0, sizeof *v);
}

/* Eq. 4–8 on the first m tokens: scores_route, down a column of (E, M). */
static uint32_t route_at(const struct evaluate *v, const float *cumulative, uint32_t m)
{
    uint32_t best = 0;
    float best_score = cumulative[m - 1];
    for (uint32_t x = 1; x < v->o.experts; x++) {
        float score = cumulative[(size_t)x * v->o.prefix + m - 1];
        if (score > best_score) {
            best = x;
            best_score = score;
        }
    }
    return best;
}

uint32_t evaluate_add(struct evaluate *v, const struct evaluate_sequence *s)
{
    uint32_t route = s->route;
    if (!v->o.routed)
        route = route_at(v, s->cumulative, v->o.prefix);
    assert(route < v->o.experts);
    for (uint32_t k = 0; k < v->prefix_count; k++)
        v->by_prefix[k] += s->all[route_at(v, s->cumulative, v->prefixes[k])];

    v->mixture.all += s->all[route];
    v->mixture.after += s->after[route];
    v->expert[route] += s->all[route];
    v->expert_dense[route] += s->baseline_all[EVALUATE_DENSE];
    for (int b = 0; b < EVALUATE_BASELINES; b++) {
        v->baseline[b].all += s->baseline_all[b];
        v->baseline[b].after += s->baseline_after[b];
    }
    v->text_bytes += s->text_bytes;
    evaluate_counts_add(&v->counts, route, s->label);
    return route;
}

static double perplexity(double loss, uint64_t predictions)
{
    return predictions == 0 ? NAN : exp(loss / (double)predictions);
}

static struct evaluate_quality quality(const struct evaluate *v, const struct evaluate_loss *loss)
{
    uint64_t n = v->counts.total;
    return (struct evaluate_quality){
        .perplexity = perplexity(loss->all, n * (v->o.seq - 1)),
        .perplexity_after_prefix = perplexity(loss->after, n * (v->o.seq - v->o.prefix)),
        .bits_per_byte = v->text_bytes == 0 ? NAN : loss->all / (log(2) * (double)v->text_bytes),
    };
}

static int source_compare(const void *a, const void *b)
{
    const struct evaluate_source *x = a, *y = b;
    if (x->share != y->share)
        return x->share > y->share ? -1 : 1;
    return x->label < y->label ? -1 : x->label > y->label;
}

static void expert_finish(struct evaluate *v, uint32_t x)
{
    struct evaluate_expert *out = &v->reports[x];
    uint64_t n = evaluate_counts_part(&v->counts, x), predictions = n * (v->o.seq - 1);
    *out = (struct evaluate_expert){
        .sequences = n,
        .share = evaluate_counts_share(&v->counts, x),
        .perplexity = perplexity(v->expert[x], predictions),
        .dense_perplexity =
            v->o.baseline[EVALUATE_DENSE] ? perplexity(v->expert_dense[x], predictions) : NAN,
        .sources = v->sources + (size_t)x * v->o.labels,
    };
    for (uint32_t l = 0; l < v->o.labels; l++) {
        uint64_t count = v->counts.counts[(size_t)x * v->o.labels + l];
        if (count > 0)
            out->sources[out->source_count++] =
                (struct evaluate_source){.label = l, .share = (double)count / (double)n};
    }
    qsort(out->sources, out->source_count, sizeof *out->sources, source_compare);
}

void evaluate_finish(struct evaluate *v, struct evaluate_report *out)
{
    const struct evaluate_quality none = {NAN, NAN, NAN};
    *out = (struct evaluate_report){
        .sequences = v->counts.total,
        .predictions = v->counts.total * (v->o.seq - 1),
        .mixture = quality(v, &v->mixture),
        .experts = v->reports,
        .purity = evaluate_counts_purity(&v->counts),
        .prefix_count = v->prefix_count,
    };
    for (int b = 0; b < EVALUATE_BASELINES; b++)
        out->baseline[b] = v->o.baseline[b] ? quality(v, &v->baseline[b]) : none;
    for (uint32_t x = 0; x < v->o.experts; x++)
        expert_finish(v, x);
    for (uint32_t k = 0; k < v->prefix_count; k++)
        out->prefixes[k] = (struct evaluate_prefix){
            .prefix = v->prefixes[k],
            .perplexity = perplexity(v->by_prefix[k], out->predictions),
        };
}
