/* tacit report: a finished run's mixture against dense models. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "core/protocol/messages.h"
#include "ops/cli/command.h"
#include "ops/cli/format.h"
#include "ops/cli/text_table.h"

#define SOURCES_SHOWN 3
#define CURVE_SHOWN 12

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

/* A claim about the mixture names tokens, FLOPs with routers and perplexity after the prefix. */
static void print_claim(struct cli *cli, const struct msg_report *r, const char *against,
                        const struct msg_quality *dense)
{
    struct arena *a = &cli->arena;
    const struct msg_quality *m = r->mixture;
    printf("Against %s: perplexity %s, %s after the prefix;\n  %s tokens to %s, %s with "
           "routers to %s.\n",
           against, than(a, m->perplexity, dense->perplexity),
           than(a, m->perplexity_after_prefix, dense->perplexity_after_prefix),
           format_si(a, (double)m->tokens), format_si(a, (double)dense->tokens),
           format_flops(a, m->flops), format_flops(a, dense->flops));
}

static void print_quality(struct cli *cli, const struct msg_report *r)
{
    static const char *const titles[] = {
        "model",      ">perplexity", ">mixture is", ">after prefix", ">mixture is",
        ">bits/byte", ">tokens",     ">FLOPs",      ">parameters",   NULL};
    struct arena *a = &cli->arena;
    struct table t;
    table_init(&t, a, titles);
    if (r->mixture)
        quality_row(&t, "mixture", r->mixture, r->mixture);
    if (r->dense)
        quality_row(&t, "dense, equal tokens", r->dense, r->mixture);
    if (r->dense_flops)
        quality_row(&t, "dense, equal FLOPs", r->dense_flops, r->mixture);
    cli_heading(cli, "Mixture and dense");
    table_print(&t, stdout, cli->color);
    if (r->mixture && r->dense)
        print_claim(cli, r, "dense at equal tokens", r->dense);
    if (r->mixture && r->dense_flops)
        print_claim(cli, r, "dense at equal FLOPs", r->dense_flops);
    if (!r->dense && !r->dense_flops)
        puts(
            "No dense model was trained ([dense] enabled = no): there is nothing to compare with.");
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

static void print_experts(struct cli *cli, const struct msg_report *r)
{
    static const char *const titles[] = {
        "expert", ">share", ">perplexity", ">dense there", ">gap", "sources of its sequences",
        NULL};
    struct arena *a = &cli->arena;
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
    cli_heading(cli, "Experts, each on the held-out sequences that are routed to it");
    table_print(&t, stdout, cli->color);
    if (r->dense)
        printf("%u of %u experts are ahead of the dense model on their own sequences.\n", ahead,
               r->expert_report_count);
}

/* --- routing ---------------------------------------------------------------------------------- */

static void print_rounds(struct cli *cli, const struct msg_report *r)
{
    struct arena *a = &cli->arena;
    if (r->round_count == 0)
        return;
    cli_heading(cli, "How the routers parted the sources");
    printf("  a source's largest part with one expert, of 1 (chance: %s), and an expert's largest\n"
           "  source (purity)\n",
           format_number(a, 1.0 / (double)r->experts, 3));
    for (uint32_t i = 0; i < r->round_count; i++) {
        const struct msg_round_report *x = &r->rounds[i];
        const char *what = x->final
                               ? "experts' sequences"
                               : arena_printf(a, "after round %llu", (unsigned long long)x->round);
        printf("  %-20s %s   %s\n", what, format_number(a, x->inverse_purity, 3),
               format_number(a, x->purity, 3));
    }
}

static void print_prefixes(struct cli *cli, const struct msg_report *r)
{
    struct arena *a = &cli->arena;
    if (r->prefix_count < 2)
        return;
    cli_heading(cli, "Routed on fewer tokens at inference");
    for (uint32_t i = 0; i < r->prefix_count; i++)
        printf("  %4llu tokens   perplexity %s\n", (unsigned long long)r->prefixes[i].prefix,
               format_number(a, r->prefixes[i].perplexity, 3));
}

static void print_curve(struct cli *cli, const struct msg_report *r)
{
    static const char *const titles[] = {">step", ">dense", ">mixture", ">gap", NULL};
    struct arena *a = &cli->arena;
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
    cli_heading(cli, "Held-out perplexity on the way");
    table_print(&t, stdout, cli->color);
}

/* --- costs ------------------------------------------------------------------------------------ */

static void print_costs(struct cli *cli, const struct msg_report *r)
{
    struct arena *a = &cli->arena;
    const struct msg_overhead *o = r->overhead;
    const struct msg_costs *c = r->costs;
    if (!o || !c)
        return;
    cli_heading(cli, "What routing cost");
    printf("  training   %s on top of the experts' (%s as the paper counts)\n",
           format_percent(a, o->training), format_percent(a, o->training_paper));
    printf("             routers' training %s, scoring between rounds %s, scoring the "
           "experts' sequences %s\n",
           format_flops(a, c->routers_training), format_flops(a, c->routers_sharding),
           format_flops(a, c->experts_sharding));
    printf("  inference  %s: %s a sequence for the mixture, %s for a dense model\n",
           format_percent(a, o->inference), format_flops(a, c->mixture_inference),
           format_flops(a, c->dense_inference));
}

static void print_spent(struct cli *cli, const struct msg_report *r)
{
    struct arena *a = &cli->arena;
    const struct msg_seconds *s = r->seconds;
    const struct msg_bytes *b = r->bytes;
    if (s) {
        cli_heading(cli, "Time");
        printf("  %s from start to report; computing, all agents together:\n",
               format_duration(a, s->wall));
        printf(
            "  routers %s, scoring %s, segments %s, experts %s,\n  dense %s, dense at equal FLOPs "
            "%s, evaluation %s\n",
            format_duration(a, s->routers), format_duration(a, s->scoring),
            format_duration(a, s->segments), format_duration(a, s->experts),
            format_duration(a, s->dense), format_duration(a, s->dense_flops),
            format_duration(a, s->evaluation));
    }
    if (b) {
        double moved = (double)b->down + (double)b->up;
        cli_heading(cli, "Bytes");
        printf("  moved by agents: %s down, %s up\n", format_bytes(a, (double)b->down),
               format_bytes(a, (double)b->up));
        printf("  data-parallel training of the same steps would have moved %s, %s times as much\n",
               format_bytes(a, (double)b->data_parallel),
               format_si(a, moved > 0 ? (double)b->data_parallel / moved : NAN));
    }
}

static void print_report(struct cli *cli, const struct msg_report *r)
{
    struct arena *a = &cli->arena;
    printf("run %s: %s experts on data set %s, seed %llu, %s\n", r->run,
           format_count(a, r->experts), r->dataset, (unsigned long long)r->seed,
           strcmp(r->router_mode, "em") == 0
               ? arena_printf(a, "routed by the first %llu tokens", (unsigned long long)r->prefix)
               : "routed at random (control)");
    printf("%s held-out sequences, %s predictions\n", format_count(a, r->heldout_sequences),
           format_count(a, r->heldout_predictions));
    print_quality(cli, r);
    print_experts(cli, r);
    print_rounds(cli, r);
    print_prefixes(cli, r);
    print_curve(cli, r);
    print_costs(cli, r);
    print_spent(cli, r);
}

int cmd_report(struct cli *cli, int argc, char **argv)
{
    static const struct cli_options o = {
        .args = "NAME",
        .doc = "A finished run: the mixture against dense models at equal tokens and equal FLOPs, "
               "what each expert has specialised in, what routing cost.\v"
               "Examples:\n  tacit report my-run\n"
               "  tacit report my-run --json | jq '.mixture.perplexity / .dense.perplexity'",
        .args_min = 1,
        .args_max = 1,
        .json = true,
    };
    struct err e = {0};
    struct msg_report r;
    int code;
    if (!cli_parse(cli, &o, argc, argv, NULL, &code))
        return code;
    const char *path = cli_path(cli, "/v1/runs/", cli->args[0], "/report");
    int rc = cli_connect(cli, &e);
    if (!rc && cli->json)
        rc = cli_print_raw(cli, path, &e);
    else if (!rc && (rc = client_call(cli->client, "GET", path, NULL, NULL, &message_report, &r,
                                      &cli->arena, 0, &e)) == 0)
        print_report(cli, &r);
    return rc ? cli_fail(cli, &e) : 0;
}
