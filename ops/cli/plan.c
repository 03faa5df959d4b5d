#include "ops/cli/plan.h"

#include <string.h>
#include "core/model/engine.h"

/* What data-parallel training moves: gradients in and out, float32, a parameter, node and step
 * (METHOD, "Cost formulas"). */
#define DATA_PARALLEL_BYTES 8.0

static void plan_bytes(struct plan *p)
{
    const struct run_spec *s = &p->spec;
    uint64_t publish = s->checkpoint.publish_steps;
    double experts = s->experts, sequence = (double)spec_sequence_bytes(p->data.vocab, p->data.seq);
    double router = p->router_model_bytes + p->router_state_bytes;
    double expert = p->expert_model_bytes + p->expert_state_bytes;
    double rounds = s->router.mode == SPEC_EM ? s->router.rounds : 0;
    double drawn = rounds * (double)s->router.sequences, corpus = (double)p->draw;
    double chains = experts * (double)spec_links(s->expert.steps, publish) +
                    (double)spec_links(p->dense_steps, publish) +
                    (double)spec_links(p->dense_flops_steps, publish);
    /* Each thing once up, and down once where another job reads it: shards for rounds (training and
     * scoring), for scoring and parting the corpus, for the dense models; pieces up and down. */
    double shards = (2 * drawn + 2 * corpus) * sequence +
                    ((p->dense_steps > 0) + (p->dense_flops_steps > 0)) * corpus * sequence;
    double assignments = rounds > 0 ? rounds - 1 + (double)spec_chunks(s, p->data.sequences) : 0;
    p->moved_bytes = shards + 2 * p->disk.pieces + p->disk.scores + rounds * experts * router +
                     assignments * experts * p->router_model_bytes + chains * expert;
    p->data_parallel_bytes =
        DATA_PARALLEL_BYTES * (double)p->expert_parameters * (double)s->expert.steps * experts;
}

static void plan_flops(struct plan *p)
{
    const struct run_spec *s = &p->spec;
    struct cost_result *c = &p->cost;
    bool em = s->router.mode == SPEC_EM;
    cost_compute(&p->run, c);
    if (!em) { /* a hash routes: no model is trained for it or read */
        c->routers_training = c->routers_training_prefix = 0;
        c->routers_sharding = c->experts_sharding = 0;
        c->training_overhead = c->training_overhead_prefix = c->inference_overhead = 0;
    }
    double step = cost_step(s->dense.batch, p->data.seq, &p->expert, spec_optimizer(s, false));
    p->dense_training = step * (double)p->dense_steps;
    p->dense_flops_training = step * (double)p->dense_flops_steps;
    p->total = c->experts_training + c->training_overhead_prefix + p->dense_training +
               p->dense_flops_training;
    p->overhead_training = c->training_overhead_prefix / c->experts_training;
    p->overhead_training_paper = c->training_overhead / c->experts_training;
    p->overhead_inference = c->inference_overhead / c->dense_inference;
    double chain = (c->routers_training_prefix + c->experts_training) / s->experts;
    chain = p->dense_training > chain ? p->dense_training : chain;
    p->longest_chain = p->dense_flops_training > chain ? p->dense_flops_training : chain;
}

int plan_make(const struct run_spec *spec, const struct plan_data *data, struct plan *p,
              struct err *e)
{
    memset(p, 0, sizeof *p);
    int rc = spec_check_dataset(spec, data->vocab, data->seq, data->sequences, 1, e);
    if (rc)
        return rc;
    p->spec = *spec;
    p->data = *data;
    bool em = spec->router.mode == SPEC_EM;
    spec_expert_model(spec, data->vocab, data->seq, &p->expert);
    p->expert_parameters = model_parameters(&p->expert);
    p->expert_memory = engine_memory(&p->expert, true, spec_optimizer(spec, false));
    if (em) {
        spec_router_model(spec, data->vocab, data->seq, &p->router);
        p->router_parameters = model_parameters(&p->router);
        p->router_memory = engine_memory(&p->router, true, spec_optimizer(spec, true));
        p->router_steps = spec_router_steps(spec, 0) * spec->router.rounds;
    }
    p->mixture_parameters = spec->experts * (p->expert_parameters + p->router_parameters);
    if (spec->dense.enabled) {
        p->dense_steps = spec_dense_steps(spec);
        if (spec->dense.match == SPEC_MATCH_BOTH)
            p->dense_flops_steps =
                spec_dense_flops_steps(spec, data->vocab, data->seq, data->sequences);
    }
    p->draw = spec_expert_draw(spec, data->sequences);
    p->router_model_bytes = SPEC_FLOAT_BYTES * (double)p->router_parameters;
    p->router_state_bytes =
        em ? SPEC_FLOAT_BYTES * (double)optimizer_moments(spec_optimizer(spec, true), &p->router)
           : 0;
    p->expert_model_bytes = SPEC_FLOAT_BYTES * (double)p->expert_parameters;
    p->expert_state_bytes =
        SPEC_FLOAT_BYTES * (double)optimizer_moments(spec_optimizer(spec, false), &p->expert);
    spec_cost(spec, data->vocab, data->seq, data->sequences, &p->run);
    spec_disk(spec, data->vocab, data->seq, data->sequences,
              data->heldout ? data->heldout : data->sequences / 20, &p->disk);
    plan_flops(p);
    plan_bytes(p);
    return 0;
}

double plan_seconds(const struct plan *p, const uint64_t *threads, uint32_t agents, double flops_s)
{
    double all = 0, largest = 0;
    for (uint32_t i = 0; i < agents; i++) {
        all += (double)threads[i];
        largest = (double)threads[i] > largest ? (double)threads[i] : largest;
    }
    double shared = p->total / (all * flops_s), alone = p->longest_chain / (largest * flops_s);
    return shared > alone ? shared : alone;
}
