/* The charts of a report's page. */
#include <math.h>
#include "ops/cli/format.h"
#include "ops/cli/report.h"

#define LINES_MAX 64 /* experts or routers drawn, evenly spread where there are more */

/* One axis for all: tokens that the mixture, or the dense model, has been trained on in all. An
 * expert's are counted for all experts, since they go on side by side. */
static double *tokens_of(struct arena *a, const struct msg_curve *c, double models)
{
    double *x = arena_alloc_array(a, c->step_count + 1, sizeof *x);
    for (uint32_t i = 0; x && i < c->step_count; i++)
        x[i] = c->steps[i] * (double)c->step_tokens * models;
    return x;
}

static uint32_t add_lines(struct arena *a, const struct report_facts *f, int target,
                          const char *name, unsigned color, double models, struct chart_line *out)
{
    uint32_t n = 0, of = 0, seen = 0;
    for (uint32_t i = 0; i < f->curve_count; i++)
        of += f->curves[i].target == target;
    uint32_t every = (of + LINES_MAX - 1) / LINES_MAX;
    for (uint32_t i = 0; i < f->curve_count; i++) {
        const struct msg_curve *c = &f->curves[i];
        if (c->target != target || seen++ % every != 0)
            continue;
        double *x = tokens_of(a, c, models);
        if (x)
            out[n] = (struct chart_line){.name = n == 0 ? name : NULL,
                                         .x = x,
                                         .y = c->losses,
                                         .count = c->step_count,
                                         .color = color,
                                         .thin = of > 1};
        n += x != NULL;
    }
    return n;
}

static void draw_validation(struct doc *d, const struct msg_report *r)
{
    struct arena *a = d->arena;
    uint32_t n = r->curve_count;
    double *x = arena_alloc_array(a, 3 * (size_t)n + 1, sizeof *x);
    if (n < 2 || !x)
        return;
    for (uint32_t i = 0; i < n; i++) {
        x[i] = (double)r->curve[i].step;
        x[n + i] = r->curve[i].mixture;
        x[2 * n + i] = r->curve[i].dense;
    }
    const struct chart_line lines[] = {
        {.name = "mixture", .x = x, .y = x + n, .count = n, .color = 0},
        {.name = "dense, equal tokens", .x = x, .y = x + 2 * n, .count = n, .color = 1}};
    const struct chart_lines c = {.title = "Held-out perplexity while experts train",
                                  .about = "Perplexity of mixture and dense model by step; the "
                                           "table has the same figures.",
                                  .x_name = "steps of an expert",
                                  .y_name = "perplexity",
                                  .log_y = true,
                                  .lines = lines,
                                  .count = r->dense ? 2 : 1};
    doc_lines(d, &c);
}

void report_learning(struct doc *d, const struct report_facts *f)
{
    struct chart_line lines[LINES_MAX + 2];
    struct arena *a = d->arena;
    double experts = (double)f->report.experts;
    if (d->form != DOC_HTML)
        return;
    doc_heading(d, "Learning curves");
    uint32_t n = add_lines(a, f, TARGET_EXPERT, "experts, each on its own text", 0, experts, lines);
    n += add_lines(a, f, TARGET_DENSE, "dense, equal tokens", 1, 1, lines + n);
    n += add_lines(a, f, TARGET_DENSE_FLOPS, "dense, equal FLOPs", 2, 1, lines + n);
    const struct chart_lines models = {
        .title = "Training loss",
        .about = "Experts' and dense models' training loss by tokens; experts go on side by side, "
                 "so an expert's tokens are counted for all of them.",
        .x_name = "tokens of all experts together, or of the dense model",
        .y_name = "nats a token",
        .lines = lines,
        .count = n};
    if (n > 0)
        doc_lines(d, &models);
    n = add_lines(a, f, TARGET_ROUTER, "routers", 3, experts, lines);
    const struct chart_lines routers = {
        .title = "Routers: training loss on prefixes, over all rounds",
        .about = "Each router's loss on the prefixes of what it was assigned.",
        .x_name = "tokens of all routers together",
        .y_name = "nats a token",
        .lines = lines,
        .count = n};
    if (n > 0)
        doc_lines(d, &routers);
    draw_validation(d, &f->report);
}

void report_gaps(struct doc *d, const struct report_facts *f)
{
    const struct msg_report *r = &f->report;
    struct chart_bar bars[LINES_MAX];
    uint32_t n = r->expert_report_count < LINES_MAX ? r->expert_report_count : LINES_MAX;
    if (d->form != DOC_HTML || !r->dense)
        return;
    for (uint32_t i = 0; i < n; i++) {
        const struct msg_expert_report *x = &r->expert_reports[i];
        bars[i] = (struct chart_bar){
            .name = arena_printf(d->arena, "expert %u", i),
            .value_words = format_gap(d->arena, x->perplexity, x->dense_perplexity),
            .value = (x->perplexity - x->dense_perplexity) / x->dense_perplexity};
    }
    const struct chart_bars c = {
        .title = "Perplexity of each expert against the dense model on the expert's own sequences "
                 "(the paper's Fig. 5); to the left, the expert is better",
        .about = "A bar an expert; the table has the same figures.",
        .bars = bars,
        .count = n,
        .low_is_good = true};
    doc_bars(d, &c);
}

void report_prefixes(struct doc *d, const struct report_facts *f)
{
    const struct msg_report *r = &f->report;
    uint32_t n = r->prefix_count;
    double *x = arena_alloc_array(d->arena, 2 * (size_t)n + 1, sizeof *x);
    if (d->form != DOC_HTML || n < 2 || !x)
        return;
    for (uint32_t i = 0; i < n; i++) {
        x[i] = (double)r->prefixes[i].prefix;
        x[n + i] = r->prefixes[i].perplexity;
    }
    double ends[2] = {0, x[n - 1]}, dense[2] = {r->dense ? r->dense->perplexity : NAN,
                                                r->dense ? r->dense->perplexity : NAN};
    const struct chart_line lines[] = {
        {.name = "mixture", .x = x, .y = x + n, .count = n, .color = 0},
        {.name = "dense, equal tokens", .x = ends, .y = dense, .count = 2, .color = 1}};
    const struct chart_lines c = {
        .title = "Perplexity by the number of tokens that are routed on (the paper's Fig. 4b)",
        .about = "The table has the same figures.",
        .x_name = "tokens of the prefix",
        .y_name = "perplexity",
        .lines = lines,
        .count = r->dense ? 2 : 1};
    doc_lines(d, &c);
}
