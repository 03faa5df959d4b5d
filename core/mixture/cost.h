/* Cost formulas (paper A.3, Eq. 10–16; A.4). All counts are exact in double up to 2^53 and are
 * computed in double beyond. */
#ifndef TACIT_MIXTURE_COST_H
#define TACIT_MIXTURE_COST_H

#include <stdint.h>
#include "core/model/model.h"
#include "core/model/optimizer.h"

/* F(B,S,H,L,V,Dff): forward FLOPs of B sequences of length S (c->seq is not read). */
double cost_forward(double batch, double length, const struct model_config *c);
/* Of one training step: three forward passes (Eq. 10), and what the optimizer computes beside what
 * AdamW does, which the paper does not count: Muon's products. */
double cost_step(double batch, double length, const struct model_config *c, enum optimizer o);

struct cost_run {
    struct model_config router, expert;
    enum optimizer router_optimizer, expert_optimizer; /* the dense model's is the expert's */
    uint32_t experts, prefix;
    double router_steps; /* of one router, all rounds together */
    double router_batch;
    double expert_steps, expert_batch;
    double dense_batch, dense_steps;
    double scored_for_routers; /* sequences scored for router assignments; <0: Eq. 14's count */
    double scored_for_experts; /* <0: Eq. 16's count */
};

struct cost_result {
    double dense_training, dense_inference;    /* Eq. 10; F(1,S) */
    double routers_training;                   /* Eq. 13 with S, as the paper charges */
    double routers_training_prefix;            /* the same with the M they really train on */
    double routers_sharding, experts_sharding; /* Eq. 14, 16 */
    double experts_training;                   /* Eq. 15 */
    double training_overhead, training_overhead_prefix; /* 13+14+16 with S; with M */
    double inference_overhead;                          /* E · F(1,M) */
};
void cost_compute(const struct cost_run *r, struct cost_result *out);

/* Steps of the dense model that costs as much as experts and routers together (M-count),
 * rounded up. */
uint64_t cost_dense_steps_flops(const struct cost_run *r);

/* Table 3's seven rows: settings from Tables 1 and 2, and what the paper prints beside them. */
struct cost_paper_row {
    const char *model; /* "335M" | "1.3B" */
    uint32_t experts;
    struct cost_run run;
    double printed_training, printed_training_overhead;   /* 1e19 */
    double printed_inference, printed_inference_overhead; /* 1e12 */
    double printed_dense_perplexity, printed_mixture_perplexity;
};
extern const uint32_t cost_paper_count;
void cost_paper_row_at(uint32_t i, struct cost_paper_row *out);

/* A.4: bytes of scores one router's exchange moves: 2·2·T·E/S for T tokens. */
double cost_scores_bytes(double tokens, double experts, double seq);

#endif
