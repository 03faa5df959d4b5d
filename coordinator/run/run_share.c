#include "coordinator/run/run_share.h"

#include "core/mixture/cost.h"

/* A figure for each part of a run: its FLOPs, or the share of it that is done. */
struct parts {
    double routers, scoring, experts, dense, dense_flops, evaluation;
};

static void weigh(const struct run_view *v, struct parts *w)
{
    struct cost_run run;
    struct cost_result cost;
    const struct run_facts *f = &v->facts;
    spec_cost(&v->spec, f->vocab, f->seq, f->train_sequences, &run);
    cost_compute(&run, &cost);
    bool em = v->spec.router.mode == SPEC_EM;
    double dense_step = cost_step(v->spec.dense.batch, f->seq, &run.expert, run.expert_optimizer);
    /* Routers' evaluations read prefixes of small models: nothing beside the others. */
    double evals = (double)due_evals_total(f) - (em ? v->spec.experts : 0);
    w->routers = em ? cost.routers_training_prefix + cost.routers_sharding : 0;
    w->scoring = em ? cost.experts_sharding : 0;
    w->experts = cost.experts_training;
    w->dense = dense_step * (double)due_steps(f, TARGET_DENSE);
    w->dense_flops = dense_step * (double)due_steps(f, TARGET_DENSE_FLOPS);
    w->evaluation = evals * cost_forward((double)f->heldout_sequences, f->seq, &run.expert);
}

static double share_of(uint64_t done, uint64_t total)
{
    return total == 0 ? 1 : done < total ? (double)done / (double)total : 1;
}

static void published(const struct run_view *v, struct parts *d)
{
    const struct run_facts *f = &v->facts;
    *d = (struct parts){
        .routers = share_of(f->rounds_trained, v->spec.router.rounds),
        .scoring = share_of(f->chunks_scored, spec_chunks(&v->spec, f->train_sequences)),
        .dense = share_of(f->dense_step, due_steps(f, TARGET_DENSE)),
        .dense_flops = share_of(f->dense_flops_step, due_steps(f, TARGET_DENSE_FLOPS)),
        .evaluation = share_of(f->evals_done, due_evals_total(f)),
    };
    for (uint32_t i = 0; i < v->spec.experts; i++)
        d->experts += share_of(f->expert_step[i], due_steps(f, TARGET_EXPERT)) / v->spec.experts;
}

static void reported(const struct run_view *v, const struct msg_model_progress *models,
                     uint32_t count, struct parts *d)
{
    double routers = 0, experts = 0;
    for (uint32_t i = 0; i < count; i++) {
        double share = share_of(models[i].step, models[i].steps);
        switch (models[i].target) {
        case TARGET_ROUTER:
            routers += share / v->spec.experts;
            break;
        case TARGET_EXPERT:
            experts += share / v->spec.experts;
            break;
        case TARGET_DENSE:
            d->dense = share;
            break;
        default:
            d->dense_flops = share;
        }
    }
    d->experts = experts;
    if (v->spec.router.mode == SPEC_EM)
        d->routers = routers;
}

double run_share(const struct run_view *v, const struct msg_model_progress *models, uint32_t count)
{
    struct parts w, d;
    weigh(v, &w);
    published(v, &d);
    if (models)
        reported(v, models, count, &d);
    double all = w.routers + w.scoring + w.experts + w.dense + w.dense_flops + w.evaluation;
    double done = w.routers * d.routers + w.scoring * d.scoring + w.experts * d.experts +
                  w.dense * d.dense + w.dense_flops * d.dense_flops + w.evaluation * d.evaluation;
    return all > 0 ? done / all : 0;
}
