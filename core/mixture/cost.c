#include "core/mixture/cost.h"

#include <assert.h>
#include <math.h>

double cost_forward(double batch, double length, const struct model_config *c)
{
    double h = c->hidden, v = c->vocab, tokens = batch * length;
    double layer = 8 * tokens * h * h + 4 * tokens * length * h + 4 * tokens * h * c->ffn;
    return tokens * h + c->layers * layer + 2 * tokens * h * v + 3 * tokens * v;
}

double cost_step(double batch, double length, const struct model_config *c, enum optimizer o)
{
    return 3 * cost_forward(batch, length, c) + optimizer_flops(o, c);
}

void cost_compute(const struct cost_run *r, struct cost_result *out)
{
    double experts = r->experts, s = r->expert.seq, m = r->prefix;
    /* Scoring one sequence takes every router. */
    double score = experts * cost_forward(1, m, &r->router);
    double for_routers = r->scored_for_routers < 0 ? r->router_steps * r->router_batch * experts
                                                   : r->scored_for_routers;
    double for_experts = r->scored_for_experts < 0 ? r->expert_steps * r->expert_batch * experts
                                                   : r->scored_for_experts;

    out->dense_training =
        r->dense_steps * cost_step(r->dense_batch, s, &r->expert, r->expert_optimizer);
    out->dense_inference = cost_forward(1, s, &r->expert);
    double router_runs = experts * r->router_steps;
    out->routers_training =
        router_runs * cost_step(r->router_batch, s, &r->router, r->router_optimizer);
    out->routers_training_prefix =
        router_runs * cost_step(r->router_batch, m, &r->router, r->router_optimizer);
    out->routers_sharding = for_routers * score;
    out->experts_sharding = for_experts * score;
    out->experts_training =
        experts * r->expert_steps * cost_step(r->expert_batch, s, &r->expert, r->expert_optimizer);

    double sharding = out->routers_sharding + out->experts_sharding;
    out->training_overhead = out->routers_training + sharding;
    out->training_overhead_prefix = out->routers_training_prefix + sharding;
    out->inference_overhead = score;
}

uint64_t cost_dense_steps_flops(const struct cost_run *r)
{
    struct cost_result cost;
    cost_compute(r, &cost);
    double mixture = cost.experts_training + cost.training_overhead_prefix;
    double step = cost_step(r->dense_batch, r->expert.seq, &r->expert, r->expert_optimizer);
    return step > 0 ? (uint64_t)ceil(mixture / step) : 0;
}

/* What differs from row to row: Table 2's steps and batches of the dense model, and Table 3. */
static const struct paper_row {
    const char *model;
    uint32_t experts;
    double dense_steps, dense_batch;
    double training, training_overhead, inference, inference_overhead;
    double dense_perplexity, mixture_perplexity;
} PAPER_ROWS[] = {
    {"335M", 4, 256e3, 512, 31.02, 0.22, 0.79, 0.01, 11.78, 10.78},
    {"335M", 8, 512e3, 512, 62.03, 0.75, 0.79, 0.02, 11.25, 10.20},
    {"335M", 16, 1024e3, 512, 124.06, 2.71, 0.79, 0.04, 10.80, 9.64},
    {"335M", 32, 2048e3, 512, 248.12, 10.28, 0.79, 0.08, 10.5, 9.07},
    {"1.3B", 4, 512e3, 512, 221.33, 0.36, 2.81, 0.01, 9.10, 8.75},
    {"1.3B", 16, 1024e3, 1024, 885.33, 4.87, 2.81, 0.04, 8.48, 7.42},
    {"1.3B", 32, 1024e3, 2048, 1770.65, 18.94, 2.81, 0.08, 8.20, 6.76},
};

const uint32_t cost_paper_count = sizeof PAPER_ROWS / sizeof PAPER_ROWS[0];

void cost_paper_row_at(uint32_t i, struct cost_paper_row *out)
{
    assert(i < cost_paper_count);
    const struct paper_row *row = &PAPER_ROWS[i];
    bool large = row->model[0] == '1';
    /* Table 1. The 335M model stands 24 layers of width 1,024, the 1.3B one as many of 2,048. */
    uint32_t hidden = large ? 2048 : 1024;
    struct cost_run run = {
        .router =
            {.vocab = 32000, .seq = 1024, .hidden = 96, .layers = 12, .heads = 12, .ffn = 384},
        .expert = {.vocab = 32000,
                   .seq = 1024,
                   .hidden = hidden,
                   .layers = 24,
                   .heads = 16,
                   .ffn = 4 * hidden},
        .experts = row->experts,
        .prefix = 256,
        .router_steps = 128e3,
        .router_batch = 32,
        .expert_steps = large ? 512e3 : 256e3,
        .expert_batch = 128,
        .dense_batch = row->dense_batch,
        .dense_steps = row->dense_steps,
        .scored_for_routers = -1,
        .scored_for_experts = -1,
    };
    *out = (struct cost_paper_row){
        .model = row->model,
        .experts = row->experts,
        .run = run,
        .printed_training = row->training,
        .printed_training_overhead = row->training_overhead,
        .printed_inference = row->inference,
        .printed_inference_overhead = row->inference_overhead,
        .printed_dense_perplexity = row->dense_perplexity,
        .printed_mixture_perplexity = row->mixture_perplexity,
    };
}

double cost_scores_bytes(double tokens, double experts, double seq)
{
    return 2 * 2 * tokens * experts / seq;
}
