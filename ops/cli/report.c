#include "ops/cli/report.h"

#include <math.h>
#include <string.h>
#include "core/version.h"
#include "ops/cli/format.h"

#define SOURCES_SHOWN 3
#define CURVE_SHOWN 12
#define HEAT_EXPERTS 16 /* columns of the heat map */
#define MACHINES_SHOWN 50
#define DIGEST_SHOWN 16
#define LINEAGE_SHOWN 24

/* "12.3 % lower", "1.0 % higher". */
static const char *than(struct arena *a, double x, double base)
{
    double gap = (x - base) / base;
    if (!isfinite(gap))
        return "–";
    return arena_printf(a, "%.1f %% %s", 100 * fabs(gap), gap <= 0 ? "lower" : "higher");
}

/* --- mixture and dense ------------------------------------------------------------------------ */

static void quality_row(struct table *t, const char *name, const struct msg_quality *q,
                        const struct msg_quality *mixture)
{
    struct arena *a = t->arena;
    bool self = q == mixture;
    const char *cells[] = {
        name,
        format_number(a, q->perplexity, 3),
        self ? "" : format_gap(a, mixture->perplexity, q->perplexity),
        format_number(a, q->perplexity_after_prefix, 3),
        self ? "" : format_gap(a, mixture->perplexity_after_prefix, q->perplexity_after_prefix),
        format_number(a, q->bits_per_byte, 4),
        format_si(a, (double)q->tokens),
        format_si(a, q->flops),
        format_si(a, (double)q->parameters)};
    table_row(t, cells);
}

/* A mixture that was extended has seen more than the dense model: then nothing says "equal". */
static bool is_as_many(double one, double other)
{
    return fabs(one - other) <= 0.01 * other;
}

static const char *dense_name(struct arena *a, const struct msg_report *r, const char *before)
{
    if (!r->mixture || is_as_many((double)r->dense->tokens, (double)r->mixture->tokens))
        return arena_printf(a, "dense%s equal tokens", before);
    return arena_printf(a, "dense%s %s tokens", before, format_si(a, (double)r->dense->tokens));
}

static const char *dense_flops_name(struct arena *a, const struct msg_report *r, const char *before)
{
    if (!r->mixture || is_as_many(r->dense_flops->flops, r->mixture->flops))
        return arena_printf(a, "dense%s equal FLOPs", before);
    return arena_printf(a, "dense%s %s", before, format_flops(a, r->dense_flops->flops));
}

/* A claim about the mixture names tokens, FLOPs with routers and perplexity after the prefix. */
static void say_claim(struct doc *d, const struct msg_report *r, const char *against,
                      const struct msg_quality *dense)
{
    struct arena *a = d->arena;
    const struct msg_quality *m = r->mixture;
    doc_say(d,
            "Against %s: perplexity %s, %s after the prefix; %s tokens to %s, %s with routers to "
            "%s.",
            against, than(a, m->perplexity, dense->perplexity),
            than(a, m->perplexity_after_prefix, dense->perplexity_after_prefix),
            format_si(a, (double)m->tokens), format_si(a, (double)dense->tokens),
            format_flops(a, m->flops), format_flops(a, dense->flops));
}

static void say_quality(struct doc *d, const struct msg_report *r)
{
    static const char *const titles[] = {
        "model",      ">perplexity", ">mixture is", ">after prefix", ">mixture is",
        ">bits/byte", ">tokens",     ">FLOPs",      ">parameters",   NULL};
    struct table t;
    table_init(&t, d->arena, titles);
    if (r->mixture)
        quality_row(&t, "mixture", r->mixture, r->mixture);
    if (r->dense)
        quality_row(&t, dense_name(d->arena, r, ","), r->dense, r->mixture);
    if (r->dense_flops)
        quality_row(&t, dense_flops_name(d->arena, r, ","), r->dense_flops, r->mixture);
    doc_heading(d, "Mixture and dense");
    doc_table(d, &t);
    if (r->mixture && r->dense)
        say_claim(d, r, dense_name(d->arena, r, " at"), r->dense);
    if (r->mixture && r->dense_flops)
        say_claim(d, r, dense_flops_name(d->arena, r, " at"), r->dense_flops);
    if (!r->dense && !r->dense_flops)
        doc_say(d, "No dense model was trained ([dense] enabled = no): there is nothing to compare "
                   "with.");
}

/* What one is to see first, for better or worse. */
static void say_headline(struct doc *d, const struct msg_report *r)
{
    struct arena *a = d->arena;
    struct doc_figure figures[3];
    uint32_t n = 0;
    const struct msg_quality *m = r->mixture;
    if (!m)
        return;
    figures[n++] = (struct doc_figure){
        format_number(a, m->perplexity, 2),
        arena_printf(a, "perplexity of the mixture on held-out text, %s after the prefix",
                     format_number(a, m->perplexity_after_prefix, 2))};
    const struct {
        const struct msg_quality *dense;
        const char *words;
    } against[] = {{r->dense, r->dense && is_as_many((double)r->dense->tokens, (double)m->tokens)
                                  ? "as many tokens"
                                  : "fewer tokens"},
                   {r->dense_flops, r->dense_flops && is_as_many(r->dense_flops->flops, m->flops)
                                        ? "as many FLOPs, routers included"
                                        : "fewer FLOPs"}};
    for (int i = 0; i < 2; i++)
        if (against[i].dense)
            figures[n++] = (struct doc_figure){
                format_gap(a, m->perplexity, against[i].dense->perplexity),
                arena_printf(a, "against a dense model of %s (%s after the prefix)",
                             against[i].words,
                             format_gap(a, m->perplexity_after_prefix,
                                        against[i].dense->perplexity_after_prefix))};
    doc_figures(d, figures, n);
}

/* --- experts ---------------------------------------------------------------------------------- */

static const char *sources_words(struct arena *a, const struct msg_expert_report *x)
{
    const char *words = "";
    for (uint32_t i = 0; i < x->source_count && i < SOURCES_SHOWN; i++)
        words = arena_printf(a, "%s%s%s %.0f %%", words, i ? ", " : "", x->sources[i].source,
                             100 * x->sources[i].share);
    if (x->source_count > SOURCES_SHOWN)
        words = arena_printf(a, "%s, %u more", words, x->source_count - SOURCES_SHOWN);
    return words;
}

static void say_experts(struct doc *d, const struct msg_report *r)
{
    static const char *const titles[] = {
        "expert", ">share", ">perplexity", ">dense there", ">gap", "sources of its sequences",
        NULL};
    struct arena *a = d->arena;
    struct table t;
    uint32_t ahead = 0;
    table_init(&t, a, titles);
    for (uint32_t i = 0; i < r->expert_report_count; i++) {
        const struct msg_expert_report *x = &r->expert_reports[i];
        const char *cells[] = {format_count(a, x->index),
                               format_percent(a, x->share),
                               format_number(a, x->perplexity, 3),
                               format_number(a, x->dense_perplexity, 3),
                               format_gap(a, x->perplexity, x->dense_perplexity),
                               sources_words(a, x)};
        table_row(&t, cells);
        ahead += x->perplexity < x->dense_perplexity;
    }
    doc_heading(d, "Experts, each on the held-out sequences that are routed to it");
    doc_table(d, &t);
    if (r->dense)
        doc_say(d, "%u of %u experts are ahead of the dense model on their own sequences.", ahead,
                r->expert_report_count);
}

/* --- routing ---------------------------------------------------------------------------------- */

static void say_rounds(struct doc *d, const struct msg_report *r)
{
    static const char *const titles[] = {"assignment", ">source in one expert",
                                         ">expert of one source", NULL};
    struct arena *a = d->arena;
    struct table t;
    if (r->round_count == 0)
        return;
    doc_heading(d, "How the routers parted the sources");
    doc_say(d,
            "A source's largest part with one expert, of 1 (chance: %s), and an expert's largest "
            "source (purity).",
            format_number(a, 1.0 / (double)r->experts, 3));
    table_init(&t, a, titles);
    for (uint32_t i = 0; i < r->round_count; i++) {
        const struct msg_round_report *x = &r->rounds[i];
        const char *cells[] = {
            x->final ? "experts' sequences"
                     : arena_printf(a, "after round %llu", (unsigned long long)x->round),
            format_number(a, x->inverse_purity, 3), format_number(a, x->purity, 3)};
        table_row(&t, cells);
    }
    doc_table(d, &t);
}

static double share_of(const struct msg_expert_report *x, const char *source)
{
    for (uint32_t i = 0; i < x->source_count; i++)
        if (strcmp(x->sources[i].source, source) == 0)
            return x->sources[i].share;
    return 0;
}

/* Every source that any of the shown experts has, in the order in which they are met. */
static uint32_t all_sources(const struct msg_report *r, uint32_t experts, struct arena *a,
                            const char ***out)
{
    uint32_t most = 0, n = 0;
    for (uint32_t i = 0; i < experts; i++)
        most += r->expert_reports[i].source_count;
    const char **names = arena_alloc_array(a, most + 1, sizeof *names);
    for (uint32_t i = 0; names && i < experts; i++)
        for (uint32_t k = 0; k < r->expert_reports[i].source_count; k++) {
            uint32_t at = 0;
            while (at < n && strcmp(names[at], r->expert_reports[i].sources[k].source) != 0)
                at++;
            if (at == n)
                names[n++] = r->expert_reports[i].sources[k].source;
        }
    *out = names;
    return n;
}

/* A row a source: what part of it went where. */
static void say_specialisation(struct doc *d, const struct msg_report *r)
{
    struct arena *a = d->arena;
    struct table t;
    const char *titles[HEAT_EXPERTS + 3] = {"source"}, *cells[HEAT_EXPERTS + 3], **sources;
    uint32_t experts =
        r->expert_report_count < HEAT_EXPERTS ? r->expert_report_count : HEAT_EXPERTS;
    uint32_t count = all_sources(r, experts, a, &sources);
    for (uint32_t i = 0; i < experts; i++)
        titles[i + 1] = arena_printf(a, ">expert %u", i);
    table_init(&t, a, titles);
    for (uint32_t s = 0; sources && s < count; s++) {
        double all = 0;
        cells[0] = sources[s];
        for (uint32_t i = 0; i < r->expert_report_count; i++)
            all += r->expert_reports[i].share * share_of(&r->expert_reports[i], sources[s]);
        for (uint32_t i = 0; i < experts; i++)
            cells[i + 1] =
                arena_printf(a, "%.0f %%",
                             100 * r->expert_reports[i].share *
                                 share_of(&r->expert_reports[i], sources[s]) / (all > 0 ? all : 1));
        table_row(&t, cells);
    }
    doc_heading(d, "Where each source's held-out sequences are routed");
    doc_heat(d, &t);
    if (experts < r->expert_report_count)
        doc_say(d, "The first %u of %u experts are shown.", experts, r->expert_report_count);
}

static void say_prefixes(struct doc *d, const struct msg_report *r)
{
    static const char *const titles[] = {">tokens", ">perplexity", NULL};
    struct arena *a = d->arena;
    struct table t;
    if (r->prefix_count < 2)
        return;
    table_init(&t, a, titles);
    for (uint32_t i = 0; i < r->prefix_count; i++) {
        const char *cells[] = {format_count(a, r->prefixes[i].prefix),
                               format_number(a, r->prefixes[i].perplexity, 3)};
        table_row(&t, cells);
    }
    doc_heading(d, "Routed on fewer tokens at inference");
    doc_table(d, &t);
}

static void say_curve(struct doc *d, const struct msg_report *r)
{
    static const char *const titles[] = {">step", ">dense", ">mixture", ">gap", NULL};
    struct arena *a = d->arena;
    struct table t;
    if (r->curve_count == 0)
        return;
    table_init(&t, a, titles);
    /* The last point always, and as many more, evenly spread, as a person wants to see. */
    uint32_t every = (r->curve_count + CURVE_SHOWN - 1) / CURVE_SHOWN;
    for (uint32_t i = 0; i < r->curve_count; i++) {
        const struct msg_curve_point *p = &r->curve[i];
        const char *cells[] = {format_count(a, p->step), format_number(a, p->dense, 3),
                               format_number(a, p->mixture, 3),
                               format_gap(a, p->mixture, p->dense)};
        if ((r->curve_count - 1 - i) % every == 0)
            table_row(&t, cells);
    }
    doc_heading(d, "Held-out perplexity on the way");
    doc_table(d, &t);
}

/* --- costs ------------------------------------------------------------------------------------ */

static void say_costs(struct doc *d, const struct msg_report *r)
{
    struct arena *a = d->arena;
    const struct msg_overhead *o = r->overhead;
    const struct msg_costs *c = r->costs;
    if (!o || !c)
        return;
    doc_heading(d, "What routing cost");
    doc_say(d,
            "Training: %s on top of the experts' %s (%s as the paper counts): routers' training "
            "%s, scoring between rounds %s, scoring the experts' sequences %s.",
            format_percent(a, o->training), format_flops(a, c->experts_training),
            format_percent(a, o->training_paper), format_flops(a, c->routers_training),
            format_flops(a, c->routers_sharding), format_flops(a, c->experts_sharding));
    doc_say(d, "Inference: %s: %s a sequence for the mixture, %s for a dense model.",
            format_percent(a, o->inference), format_flops(a, c->mixture_inference),
            format_flops(a, c->dense_inference));
}

static void say_spent(struct doc *d, const struct msg_report *r)
{
    struct arena *a = d->arena;
    const struct msg_seconds *s = r->seconds;
    const struct msg_bytes *b = r->bytes;
    if (s) {
        doc_heading(d, "Time");
        doc_say(d, "%s from start to report; computing, all agents together:",
                format_duration(a, s->wall));
        doc_say(d,
                "routers %s, scoring %s, segments %s, experts %s, dense %s, the second dense "
                "%s, evaluation %s.",
                format_duration(a, s->routers), format_duration(a, s->scoring),
                format_duration(a, s->segments), format_duration(a, s->experts),
                format_duration(a, s->dense), format_duration(a, s->dense_flops),
                format_duration(a, s->evaluation));
    }
    if (b) {
        double moved = (double)b->down + (double)b->up;
        doc_heading(d, "Bytes");
        doc_say(d, "Moved by agents: %s down, %s up.", format_bytes(a, (double)b->down),
                format_bytes(a, (double)b->up));
        doc_say(d,
                "Data-parallel training of the same steps would have moved %s, %s times as much.",
                format_bytes(a, (double)b->data_parallel),
                format_si(a, moved > 0 ? (double)b->data_parallel / moved : NAN));
    }
}

/* --- what pages have beyond ------------------------------------------------------------------- */

static void say_samples(struct doc *d, const struct report_facts *f)
{
    if (f->sample_count == 0)
        return;
    doc_heading(d, "Held-out beginnings, continued");
    doc_say(d, "The likeliest token each time; models of this size need not make sense.");
    for (uint32_t i = 0; i < f->sample_count; i++) {
        static const char *const titles[] = {"who", "text", NULL};
        const struct report_sample *s = &f->samples[i];
        struct table t;
        table_init(&t, d->arena, titles);
        table_row(
            &t, (const char *const[]){arena_printf(d->arena, "prompt (%s)", s->source), s->prompt});
        table_row(&t, (const char *const[]){arena_printf(d->arena, "mixture, expert %llu",
                                                         (unsigned long long)s->expert),
                                            s->mixture});
        if (s->dense)
            table_row(&t, (const char *const[]){"dense, equal tokens", s->dense});
        table_row(&t, (const char *const[]){"the text itself", s->truth});
        doc_table(d, &t);
    }
}

static void say_machines(struct doc *d, const struct report_facts *f)
{
    static const char *const titles[] = {"machine", "processor", ">threads",   "instruction set",
                                         "version", ">jobs",     ">computing", NULL};
    struct arena *a = d->arena;
    struct table t;
    table_init(&t, a, titles);
    for (uint32_t i = 0; i < f->machine_count && i < MACHINES_SHOWN; i++) {
        const struct report_machine *m = &f->machines[i];
        const struct msg_agent *x = m->about;
        const char *cells[] = {
            m->agent == 0 ? "the coordinator"
            : x           ? x->name
                : arena_printf(a, "agent %llu, not known any more", (unsigned long long)m->agent),
            x ? x->processor : NULL,
            x ? format_count(a, x->threads) : NULL,
            x ? x->isa : NULL,
            x ? x->version : NULL,
            format_count(a, m->jobs),
            format_duration(a, m->seconds)};
        table_row(&t, cells);
    }
    doc_heading(d, "Machines that took part");
    doc_table(d, &t);
    if (f->machine_count > MACHINES_SHOWN)
        doc_say(d, "And %u more.", f->machine_count - MACHINES_SHOWN);
}

static void lineage_row(struct table *t, const char *what, const struct digest *digest)
{
    char hex[DIGEST_HEX + 1];
    table_row(
        t, (const char *const[]){what, arena_printf(t->arena, "%s", digest_to_hex(digest, hex))});
}

static void say_lineage(struct doc *d, const struct report_facts *f)
{
    static const char *const titles[] = {"model", "digest of its content (BLAKE2b-256)", NULL};
    const struct msg_report *r = &f->report;
    struct arena *a = d->arena;
    struct table t;
    table_init(&t, a, titles);
    for (uint32_t i = 0; i < r->expert_report_count && i < LINEAGE_SHOWN; i++)
        lineage_row(&t, arena_printf(a, "expert %u", i), &r->expert_reports[i].digest);
    for (uint32_t i = 0; i < r->router_count && i < LINEAGE_SHOWN; i++)
        lineage_row(&t, arena_printf(a, "router %u", i), &r->routers[i].digest);
    if (r->dense)
        lineage_row(&t, "dense, equal tokens", &r->dense->digest);
    if (r->dense_flops)
        lineage_row(&t, "dense, equal FLOPs", &r->dense_flops->digest);
    doc_heading(d, "Where it comes from, and how to check it");
    doc_say(d,
            "%s jobs made this run. Each has one right result, whoever computes it, on any "
            "processor: so anybody can compute any of them again.",
            format_count(a, f->jobs));
    doc_table(d, &t);
    doc_code(d, arena_printf(a,
                             "tacit verify %s --all     # every job again, and every stored blob\n"
                             "tacit lineage DIGEST      # what a model was made of, by whom",
                             r->run));
}

static void say_spec(struct doc *d, const struct report_facts *f)
{
    char hex[DIGEST_HEX + 1];
    doc_heading(d, "Exactly what was run");
    doc_say(d, "Data set %s; spec %s; reported by tacit %s.", f->report.dataset,
            digest_to_hex(&f->run.spec, hex), TACIT_VERSION);
    doc_code(d, f->spec);
}

void report_write(struct doc *d, const struct report_facts *f)
{
    const struct msg_report *r = &f->report;
    struct arena *a = d->arena;
    doc_say(d, "run %s: %s experts on data set %s, seed %llu, %s", r->run,
            format_count(a, r->experts), r->dataset, (unsigned long long)r->seed,
            strcmp(r->router_mode, "em") == 0
                ? arena_printf(a, "routed by the first %llu tokens", (unsigned long long)r->prefix)
                : "routed at random (control)");
    doc_say(d, "%s held-out sequences, %s predictions", format_count(a, r->heldout_sequences),
            format_count(a, r->heldout_predictions));
    if (f->whole)
        say_headline(d, r);
    say_quality(d, r);
    if (f->whole)
        report_learning(d, f);
    say_experts(d, r);
    report_gaps(d, f);
    if (f->whole)
        say_specialisation(d, r);
    say_rounds(d, r);
    say_prefixes(d, r);
    report_prefixes(d, f);
    say_curve(d, r);
    say_samples(d, f);
    say_costs(d, r);
    say_spent(d, r);
    if (f->whole) {
        say_machines(d, f);
        say_lineage(d, f);
        say_spec(d, f);
    }
}
