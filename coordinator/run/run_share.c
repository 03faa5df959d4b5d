#include "coordinator/run/run_share.h"

#include "core/mixture/cost.h"
#include "coordinator/lease/lease.h"

#define LEASED_MAX 10000

void run_parts_planned(const struct run_view *v, struct run_parts *w)
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
    w->routers = em ? cost.routers_training_prefix : 0;
    w->routers_scoring = em ? cost.routers_sharding : 0;
    w->scoring = em ? cost.experts_sharding : 0;
    w->experts = cost.experts_training * (double)due_steps(f, TARGET_EXPERT) /
                 (double)v->spec.expert.steps; /* where they were extended */
    w->dense = dense_step * (double)due_steps(f, TARGET_DENSE);
    w->dense_flops = dense_step * (double)due_steps(f, TARGET_DENSE_FLOPS);
    w->evaluation = evals * cost_forward((double)f->heldout_sequences, f->seq, &run.expert);
}

static double share_of(uint64_t done, uint64_t total)
{
    return total == 0 ? 1 : done < total ? (double)done / (double)total : 1;
}

void run_parts_done(const struct run_view *v, struct run_parts *d)
{
    const struct run_facts *f = &v->facts;
    uint32_t rounds = v->spec.router.rounds;
    *d = (struct run_parts){
        .routers = share_of(f->rounds_trained, rounds),
        .routers_scoring = share_of(f->rounds_scored, rounds > 1 ? rounds - 1 : 0),
        .scoring = share_of(f->chunks_scored, spec_chunks(&v->spec, f->train_sequences)),
        .dense = share_of(f->dense_step, due_steps(f, TARGET_DENSE)),
        .dense_flops = share_of(f->dense_flops_step, due_steps(f, TARGET_DENSE_FLOPS)),
        .evaluation = share_of(f->evals_done, due_evals_total(f)),
    };
    for (uint32_t i = 0; i < v->spec.experts; i++)
        d->experts += share_of(f->expert_step[i], due_steps(f, TARGET_EXPERT)) / v->spec.experts;
}

/* What a job under way adds to its part. */
static void add_heard(const struct run_view *v, const struct job_row *j,
                      const struct lease_progress *p, struct run_parts *d)
{
    const struct run_facts *f = &v->facts;
    double experts = v->spec.experts, steps = (double)due_steps(f, j->key.target);
    double more = p->step > j->key.step_first ? (double)(p->step - j->key.step_first) : 0;
    uint64_t round =
        j->key.kind == JOB_TRAIN_ROUTER ? spec_router_steps(&v->spec, j->key.index) : 0;
    if (round > 0 && p->step > j->key.round * round)
        d->routers +=
            share_of(p->step - j->key.round * round, round) / experts / v->spec.router.rounds;
    else if (j->key.kind == JOB_TRAIN && j->key.target == TARGET_EXPERT)
        d->experts += more / steps / experts;
    else if (j->key.kind == JOB_TRAIN && j->key.target == TARGET_DENSE)
        d->dense += more / steps;
    else if (j->key.kind == JOB_TRAIN && j->key.target == TARGET_DENSE_FLOPS)
        d->dense_flops += more / steps;
}

int run_parts_now(struct call *c, const struct run_view *v, struct run_parts *d, struct err *e)
{
    struct job_key round = {
        .kind = JOB_TRAIN_ROUTER, .target = TARGET_ROUTER, .round = v->facts.rounds_trained};
    uint64_t routers = 0;
    struct job_row *rows;
    uint32_t count;
    run_parts_done(v, d);
    if (v->row.state != RUN_ACTIVE)
        return 0;
    int rc = op_job_count(c->conn, v->row.id, &round, JOB_DONE, &routers, e);
    d->routers += (double)routers / v->spec.experts / v->spec.router.rounds;
    if (!rc)
        rc = op_jobs(c->conn, v->row.id, -1, JOB_LEASED, LEASED_MAX, c->arena, &rows, &count, e);
    for (uint32_t i = 0; !rc && i < count; i++) {
        struct lease_progress p;
        if (lease_progress_of(c->service->leases, rows[i].id, &p))
            add_heard(v, &rows[i], &p, d);
    }
    return rc;
}

double run_parts_share(const struct run_parts *w, const struct run_parts *d)
{
    double all = w->routers + w->routers_scoring + w->scoring + w->experts + w->dense +
                 w->dense_flops + w->evaluation;
    double done = w->routers * d->routers + w->routers_scoring * d->routers_scoring +
                  w->scoring * d->scoring + w->experts * d->experts + w->dense * d->dense +
                  w->dense_flops * d->dense_flops + w->evaluation * d->evaluation;
    return all > 0 ? done / all : 0;
}

static void reported(const struct run_view *v, const struct msg_model_progress *models,
                     uint32_t count, struct run_parts *d)
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
    struct run_parts w, d;
    run_parts_planned(v, &w);
    run_parts_done(v, &d);
    if (models)
        reported(v, models, count, &d);
    return run_parts_share(&w, &d);
}
