/* What a run costs before it is spent: FLOPs, bytes, memory, time. */
#ifndef TACIT_OPS_CLI_PLAN_H
#define TACIT_OPS_CLI_PLAN_H

#include "core/base/err.h"
#include "core/mixture/cost.h"
#include "core/protocol/spec.h"

/* The data set that a plan is made for: the real one, or assumed sizes. */
struct plan_data {
    uint32_t vocab, seq;
    uint64_t sequences, heldout; /* heldout 0: a twentieth of the others, as ingest has it */
};

struct plan {
    struct run_spec spec;
    struct plan_data data;
    struct model_config router, expert;
    uint64_t router_parameters, expert_parameters, mixture_parameters; /* routers and experts */
    struct cost_run run;
    struct cost_result cost;                 /* routers' figures are 0 in the random control */
    uint64_t router_steps;                   /* of one router, all rounds */
    uint64_t dense_steps, dense_flops_steps; /* 0: not trained */
    double dense_training, dense_flops_training;
    double total; /* FLOPs of everything that the run trains and scores */
    double overhead_training, overhead_training_paper, overhead_inference; /* shares */
    uint64_t draw; /* sequences that experts train on, scored and assigned */
    double router_model_bytes, router_state_bytes, expert_model_bytes, expert_state_bytes;
    struct spec_disk disk; /* of the coordinator; pieces are the experts' corpus, once */
    double moved_bytes, data_parallel_bytes;
    uint64_t router_memory, expert_memory; /* an agent's, while it trains one */
    double longest_chain; /* FLOPs that no second agent can take over: of one model */
};

/* Everything but time. Errors: spec_check_dataset's, but for held-out sequences. */
TACIT_MUST_CHECK int plan_make(const struct run_spec *spec, const struct plan_data *data,
                               struct plan *out, struct err *e);

/* FLOPs a second of one thread of this machine on the plan's expert: a training step or two, timed
 * now, of fewer layers and tokens where the model is large. */
TACIT_MUST_CHECK int plan_measure(const struct plan *p, double *flops_s, struct err *e);
/* Seconds that the plan takes on agents of so many threads each at `flops_s` a thread: all work
 * shared out evenly, but never less than the longest chain on the largest agent. */
double plan_seconds(const struct plan *p, const uint64_t *threads, uint32_t agents, double flops_s);

/* --- Table 3 ---------------------------------------------------------------------------------- */

struct plan_paper_row {
    const char *model;
    uint64_t experts;
    double training, inference, training_overhead, inference_overhead; /* FLOPs */
};
struct plan_paper {
    struct plan_paper_row *rows;
    uint32_t row_count;
};
extern const struct message message_plan_paper;
/* rows: cost_paper_count of them. */
void plan_paper_rows(struct plan_paper_row *rows);

#endif
