#include "ops/cli/plan_print.h"

#include <math.h>
#include <stdio.h>
#include "core/protocol/field.h"
#include "ops/cli/format.h"
#include "ops/cli/printed.h"
#include "ops/cli/text_table.h"

/* --- a spec ----------------------------------------------------------------------------------- */

static void model_row(struct table *t, const char *name, uint64_t count, uint64_t parameters,
                      uint64_t steps, uint32_t batch, double flops, double model_bytes,
                      double state_bytes, uint64_t memory)
{
    struct arena *a = t->arena;
    const char *cells[] = {name,
                           format_count(a, count),
                           format_count(a, parameters),
                           format_count(a, steps),
                           format_count(a, batch),
                           format_si(a, flops),
                           format_bytes(a, model_bytes),
                           format_bytes(a, state_bytes),
                           format_bytes(a, (double)memory)};
    table_row(t, cells);
}

static void print_models(struct cli *cli, const struct plan *p)
{
    static const char *const titles[] = {"model",  ">count", ">parameters", ">steps each", ">batch",
                                         ">FLOPs", ">model", ">state",      ">memory",     NULL};
    const struct run_spec *s = &p->spec;
    struct table t;
    table_init(&t, &cli->arena, titles);
    if (s->router.mode == SPEC_EM)
        model_row(&t, "router", s->experts, p->router_parameters, p->router_steps, s->router.batch,
                  p->cost.routers_training_prefix, p->router_model_bytes, p->router_state_bytes,
                  p->router_memory);
    model_row(&t, "expert", s->experts, p->expert_parameters, s->expert.steps, s->expert.batch,
              p->cost.experts_training, p->expert_model_bytes, p->expert_state_bytes,
              p->expert_memory);
    if (p->dense_steps)
        model_row(&t, "dense", 1, p->expert_parameters, p->dense_steps, s->dense.batch,
                  p->dense_training, p->expert_model_bytes, p->expert_state_bytes,
                  p->expert_memory);
    if (p->dense_flops_steps)
        model_row(&t, "dense, equal FLOPs", 1, p->expert_parameters, p->dense_flops_steps,
                  s->dense.batch, p->dense_flops_training, p->expert_model_bytes,
                  p->expert_state_bytes, p->expert_memory);
    cli_heading(cli, "Models");
    table_print(&t, stdout, cli->color);
    printf("Routers and experts together: %s parameters; one answer reads %s of them. Memory is an "
           "agent's\nwhile it trains one, at least; model and state are what a checkpoint "
           "holds.\n",
           format_count(&cli->arena, p->mixture_parameters),
           format_count(&cli->arena, p->expert_parameters + s->experts * p->router_parameters));
}

static void flops_row(struct table *t, const char *what, double flops, double base)
{
    const char *cells[] = {what, format_si(t->arena, flops),
                           format_percent(t->arena, flops / base)};
    table_row(t, cells);
}

static void print_flops(struct cli *cli, const struct plan *p)
{
    static const char *const titles[] = {"phase", ">FLOPs", ">of the experts' training", NULL};
    const struct cost_result *c = &p->cost;
    struct arena *a = &cli->arena;
    double base = c->experts_training;
    struct table t;
    table_init(&t, a, titles);
    if (p->spec.router.mode == SPEC_EM) {
        flops_row(&t,
                  arena_printf(a, "routers: training on their prefixes of %u tokens",
                               p->spec.router.prefix),
                  c->routers_training_prefix, base);
        flops_row(&t, arena_printf(a, "  (as Eq. 13 counts it, on all %u tokens)", p->data.seq),
                  c->routers_training, base);
        flops_row(&t, "routers: scoring between rounds", c->routers_sharding, base);
        flops_row(&t, "routers: scoring the experts' sequences", c->experts_sharding, base);
    }
    flops_row(&t, "experts: training", c->experts_training, base);
    if (p->dense_steps)
        flops_row(&t, "dense model, equal tokens", p->dense_training, base);
    if (p->dense_flops_steps)
        flops_row(&t, "dense model, equal FLOPs", p->dense_flops_training, base);
    flops_row(&t, "the whole run", p->total, base);
    cli_heading(cli, "FLOPs");
    table_print(&t, stdout, cli->color);
    printf("Routers add %s to the training (%s as the paper counts) and %s to an answer:\n"
           "%s a sequence for a dense model, %s for the mixture.\n",
           format_percent(a, p->overhead_training), format_percent(a, p->overhead_training_paper),
           format_percent(a, p->overhead_inference), format_flops(a, c->dense_inference),
           format_flops(a, c->dense_inference + c->inference_overhead));
}

static void print_bytes(struct cli *cli, const struct plan *p)
{
    struct arena *a = &cli->arena;
    cli_heading(cli, "Bytes");
    printf("scores       %s in all: %u bytes a sequence\n", format_bytes(a, p->disk.scores),
           2 * p->spec.experts + 4);
    printf("segments     %s: %s sequences, parted among the experts\n",
           format_bytes(a, p->disk.pieces), format_count(a, p->draw));
    printf("stored       up to %s with the coordinator while it runs, %s once it is done\n",
           format_bytes(a, p->disk.peak), format_bytes(a, p->disk.after));
    printf("             (checkpoints %s, then %s; segments, scores, evaluations); its data set "
           "besides\n",
           format_bytes(a, p->disk.checkpoints_peak), format_bytes(a, p->disk.checkpoints_after));
    printf("moved        about %s by all agents: checkpoints, shards, scores, segments\n",
           format_bytes(a, p->moved_bytes));
    printf("             data-parallel training of the same steps: %s (8 bytes a parameter, node "
           "and step),\n             %s times as much\n",
           format_bytes(a, p->data_parallel_bytes),
           format_si(a, p->data_parallel_bytes / p->moved_bytes));
}

static void print_time(struct cli *cli, const struct plan *p, const struct plan_context *x)
{
    struct arena *a = &cli->arena;
    cli_heading(cli, "Time");
    if (x->flops_s > 0)
        printf("One thread of this machine, timed now in %s: %s/s, %s tokens/s of an expert's "
               "training.\nAlone it would take %s.\n",
               p->spec.precision == SPEC_BF16 ? "bf16" : "float32", format_flops(a, x->flops_s),
               format_count(a, (uint64_t)(x->flops_s * p->data.seq /
                                          (3 * cost_forward(1, p->data.seq, &p->expert)))),
               format_duration(a, p->total / x->flops_s));
    else
        printf("Not estimated: %s.\n", x->why_untimed);
    if (!x->asked)
        printf("No agents asked: no coordinator answered.\n");
    else if (x->agents == 0)
        printf("No agents are connected now.\n");
    else if (x->flops_s > 0)
        printf("About %s on the %u agent%s connected now (%s threads), if each thread is as fast "
               "as\none here, and no model's steps are shared out.\n",
               format_duration(a, x->seconds), x->agents, x->agents == 1 ? "" : "s",
               format_count(a, x->threads));
}

void plan_print(struct cli *cli, const struct plan *p, const struct plan_context *x)
{
    struct arena *a = &cli->arena;
    printf("%s: run %s, %u experts, vocabulary %s, %u tokens a sequence, %s sequences to train "
           "on\n(%s)\n",
           x->file, p->spec.name, p->spec.experts, format_count(a, p->data.vocab), p->data.seq,
           format_count(a, p->data.sequences), x->dataset_note);
    print_models(cli, p);
    print_flops(cli, p);
    print_bytes(cli, p);
    print_time(cli, p, x);
}

/* --- the same as JSON ------------------------------------------------------------------------- */

struct plan_json {
    const char *run, *data;
    uint64_t experts, vocab, seq, sequences;
    uint64_t router_parameters, expert_parameters, mixture_parameters;
    uint64_t router_steps, expert_steps, dense_steps, dense_flops_steps;
    double routers_training, routers_training_paper, routers_sharding, experts_sharding;
    double experts_training, dense_training, dense_flops_training, total;
    double dense_inference, mixture_inference;
    double overhead_training, overhead_training_paper, overhead_inference;
    double router_model_bytes, router_state_bytes, expert_model_bytes, expert_state_bytes;
    double scores_bytes, segments_bytes, moved_bytes, data_parallel_bytes;
    uint64_t router_memory, expert_memory;
    bool agents_asked;
    uint64_t agents, threads;
    double thread_flops_per_second, seconds;
};

#define JSON_FIELD(kind, member)                                                                   \
    {                                                                                              \
        .name = #member, .type = FIELD_##kind, .offset = offsetof(struct plan_json, member)        \
    }
static const struct field plan_fields[] = {
    JSON_FIELD(STRING, run),
    JSON_FIELD(STRING, data),
    JSON_FIELD(U64, experts),
    JSON_FIELD(U64, vocab),
    JSON_FIELD(U64, seq),
    JSON_FIELD(U64, sequences),
    JSON_FIELD(U64, router_parameters),
    JSON_FIELD(U64, expert_parameters),
    JSON_FIELD(U64, mixture_parameters),
    JSON_FIELD(U64, router_steps),
    JSON_FIELD(U64, expert_steps),
    JSON_FIELD(U64, dense_steps),
    JSON_FIELD(U64, dense_flops_steps),
    JSON_FIELD(DOUBLE, routers_training),
    JSON_FIELD(DOUBLE, routers_training_paper),
    JSON_FIELD(DOUBLE, routers_sharding),
    JSON_FIELD(DOUBLE, experts_sharding),
    JSON_FIELD(DOUBLE, experts_training),
    JSON_FIELD(DOUBLE, dense_training),
    JSON_FIELD(DOUBLE, dense_flops_training),
    JSON_FIELD(DOUBLE, total),
    JSON_FIELD(DOUBLE, dense_inference),
    JSON_FIELD(DOUBLE, mixture_inference),
    JSON_FIELD(DOUBLE, overhead_training),
    JSON_FIELD(DOUBLE, overhead_training_paper),
    JSON_FIELD(DOUBLE, overhead_inference),
    JSON_FIELD(DOUBLE, router_model_bytes),
    JSON_FIELD(DOUBLE, router_state_bytes),
    JSON_FIELD(DOUBLE, expert_model_bytes),
    JSON_FIELD(DOUBLE, expert_state_bytes),
    JSON_FIELD(DOUBLE, scores_bytes),
    JSON_FIELD(DOUBLE, segments_bytes),
    JSON_FIELD(DOUBLE, moved_bytes),
    JSON_FIELD(DOUBLE, data_parallel_bytes),
    JSON_FIELD(U64, router_memory),
    JSON_FIELD(U64, expert_memory),
    JSON_FIELD(BOOL, agents_asked),
    JSON_FIELD(U64, agents),
    JSON_FIELD(U64, threads),
    JSON_FIELD(DOUBLE, thread_flops_per_second),
    JSON_FIELD(DOUBLE, seconds),
};
const struct message message_plan = {
    .name = "plan",
    .size = sizeof(struct plan_json),
    .fields = plan_fields,
    .field_count = sizeof plan_fields / sizeof plan_fields[0],
};

int plan_print_json(const struct plan *p, const struct plan_context *x, struct err *e)
{
    const struct cost_result *c = &p->cost;
    struct plan_json j = {
        .run = p->spec.name,
        .data = x->dataset_note,
        .experts = p->spec.experts,
        .vocab = p->data.vocab,
        .seq = p->data.seq,
        .sequences = p->data.sequences,
        .router_parameters = p->router_parameters,
        .expert_parameters = p->expert_parameters,
        .mixture_parameters = p->mixture_parameters,
        .router_steps = p->router_steps,
        .expert_steps = p->spec.expert.steps,
        .dense_steps = p->dense_steps,
        .dense_flops_steps = p->dense_flops_steps,
        .routers_training = c->routers_training_prefix,
        .routers_training_paper = c->routers_training,
        .routers_sharding = c->routers_sharding,
        .experts_sharding = c->experts_sharding,
        .experts_training = c->experts_training,
        .dense_training = p->dense_training,
        .dense_flops_training = p->dense_flops_training,
        .total = p->total,
        .dense_inference = c->dense_inference,
        .mixture_inference = c->dense_inference + c->inference_overhead,
        .overhead_training = p->overhead_training,
        .overhead_training_paper = p->overhead_training_paper,
        .overhead_inference = p->overhead_inference,
        .router_model_bytes = p->router_model_bytes,
        .router_state_bytes = p->router_state_bytes,
        .expert_model_bytes = p->expert_model_bytes,
        .expert_state_bytes = p->expert_state_bytes,
        .scores_bytes = p->disk.scores,
        .segments_bytes = p->disk.pieces,
        .moved_bytes = p->moved_bytes,
        .data_parallel_bytes = p->data_parallel_bytes,
        .router_memory = p->router_memory,
        .expert_memory = p->expert_memory,
        .agents_asked = x->asked,
        .agents = x->agents,
        .threads = x->threads,
        .thread_flops_per_second = x->flops_s > 0 ? x->flops_s : NAN,
        .seconds = x->seconds,
    };
    return cli_print_json(&message_plan, &j, e);
}

/* --- Table 3 ---------------------------------------------------------------------------------- */

/* "31.02 (31.02)": computed, then printed. */
static const char *beside(struct arena *a, double computed, double printed)
{
    return arena_printf(a, "%.2f (%.2f)", computed, printed);
}

void plan_print_paper(struct cli *cli)
{
    static const char *const titles[] = {"model",        ">experts",      ">dense ppl",
                                         ">mixture ppl", ">training",     ">routers add",
                                         ">inference",   ">routers add ", NULL};
    struct arena *a = &cli->arena;
    struct plan_paper_row *rows = arena_alloc_array(a, cost_paper_count, sizeof *rows);
    struct table t;
    if (!rows)
        return;
    plan_paper_rows(rows);
    table_init(&t, a, titles);
    for (uint32_t i = 0; i < cost_paper_count; i++) {
        struct cost_paper_row paper;
        cost_paper_row_at(i, &paper);
        const char *cells[] = {
            rows[i].model,
            format_count(a, rows[i].experts),
            format_number(a, paper.printed_dense_perplexity, 2),
            format_number(a, paper.printed_mixture_perplexity, 2),
            beside(a, rows[i].training / 1e19, paper.printed_training),
            beside(a, rows[i].training_overhead / 1e19, paper.printed_training_overhead),
            beside(a, rows[i].inference / 1e12, paper.printed_inference),
            beside(a, rows[i].inference_overhead / 1e12, paper.printed_inference_overhead)};
        table_row(&t, cells);
    }
    puts("Table 3 of \"No Need to Talk\" (arXiv 2410.03529): costs by the formulas of its A.3, and "
         "in\nbrackets as it prints them. Training in 1e19 FLOPs, inference in 1e12 FLOPs a "
         "sequence;\nperplexities are the paper's.\n");
    table_print(&t, stdout, cli->color);
}
