#include "coordinator/run/advance.h"

#include <string.h>
#include "core/data/shard.h"
#include "core/mixture/draw.h"
#include "coordinator/run/works.h"

static int count_done(struct store_conn *c, uint64_t run, struct job_key like, uint64_t *n,
                      struct err *e)
{
    return op_job_count(c, run, &like, JOB_DONE, n, e);
}

static int load_round_facts(struct store_conn *c, uint64_t run, struct run_facts *f, struct err *e)
{
    uint32_t rounds = f->spec->router.rounds;
    if (f->spec->router.mode == SPEC_RANDOM)
        return 0;
    for (uint32_t r = 0; r < rounds; r++) {
        uint64_t n;
        struct job_key train = {.kind = JOB_TRAIN_ROUTER, .target = TARGET_ROUTER, .round = r};
        int rc = count_done(c, run, train, &n, e);
        if (rc)
            return rc;
        if (n < f->spec->experts)
            return 0;
        f->rounds_trained = r + 1;
        if (r + 1 == rounds)
            return 0;
        struct job_key score = {.kind = JOB_SCORE, .round = r + 1};
        if ((rc = count_done(c, run, score, &n, e)))
            return rc;
        if (n < due_score_parts(f, false, r + 1))
            return 0;
        f->rounds_scored = r + 1;
        struct job_key assign = {.kind = JOB_ASSIGN, .round = r + 1};
        if ((rc = count_done(c, run, assign, &n, e)))
            return rc;
        if (n == 0)
            return 0;
        f->rounds_assigned = r + 1;
    }
    return 0;
}

/* Chunks go in order through each stage, so the first that is not through ends a count. */
static int load_chunk_facts(struct store_conn *c, uint64_t run, struct run_facts *f, struct err *e)
{
    uint32_t chunks = (uint32_t)spec_chunks(f->spec, f->train_sequences);
    uint32_t *stage_done[] = {&f->chunks_scored, &f->chunks_assigned, &f->chunks_segmented};
    const int kind[] = {JOB_SCORE, JOB_ASSIGN, JOB_SEGMENT};
    for (int s = 0; s < 3; s++) {
        uint32_t limit = s == 0 ? chunks : *stage_done[s - 1];
        for (uint32_t k = 0; k < limit; k++) {
            struct job_key like = {.kind = kind[s], .final = true, .chunk = k};
            uint64_t n, wanted = kind[s] == JOB_ASSIGN  ? 1
                                 : kind[s] == JOB_SCORE ? due_score_parts(f, true, k)
                                                        : due_segment_parts(f, k);
            int rc = count_done(c, run, like, &n, e);
            if (rc)
                return rc;
            if (n < wanted)
                break;
            *stage_done[s] = k + 1;
        }
    }
    return 0;
}

static int load_facts(struct store_conn *c, struct run_view *v, bool progress, struct arena *a,
                      struct err *e)
{
    struct run_facts *f = &v->facts;
    const struct msg_dataset *d = &v->dataset;
    *f = (struct run_facts){.spec = &v->spec,
                            .vocab = (uint32_t)d->vocab,
                            .seq = (uint32_t)d->seq,
                            .train_sequences = d->train_sequences,
                            .heldout_sequences = d->heldout_sequences,
                            .shard_sequences =
                                shard_sequences((uint32_t)d->seq, (uint32_t)d->vocab)};
    if (!progress)
        return 0;
    uint64_t *steps = arena_alloc_array(a, v->spec.experts, sizeof *steps);
    if (!steps)
        return err_set(e, ERR_NO_MEMORY, "no memory for the facts of run %s", v->row.name);
    f->expert_step = steps;
    int rc = load_round_facts(c, v->row.id, f, e);
    if (!rc)
        rc = load_chunk_facts(c, v->row.id, f, e);
    for (uint32_t i = 0; !rc && i < v->spec.experts; i++)
        rc = op_model_step(c, v->row.id, TARGET_EXPERT, i, &steps[i], e);
    if (!rc)
        rc = op_model_step(c, v->row.id, TARGET_DENSE, 0, &f->dense_step, e);
    if (!rc)
        rc = op_model_step(c, v->row.id, TARGET_DENSE_FLOPS, 0, &f->dense_flops_step, e);
    uint64_t evals = 0;
    struct job_key eval = {.kind = JOB_EVAL};
    if (!rc)
        rc = count_done(c, v->row.id, eval, &evals, e);
    f->evals_done = (uint32_t)evals;
    return rc;
}

int run_view_load(struct store_conn *c, uint64_t run, bool progress, struct arena *a,
                  struct run_view *out, struct err *e)
{
    memset(out, 0, sizeof *out);
    int rc = op_run_get(c, run, a, &out->row, e);
    if (!rc)
        rc = spec_parse(out->row.spec_text, strlen(out->row.spec_text), out->row.name, &out->spec,
                        e);
    if (!rc)
        rc = op_dataset_get(c, out->row.dataset, false, a, &out->dataset, e);
    return rc ? rc : load_facts(c, out, progress, a, e);
}

struct advance {
    struct call *call;
    uint64_t run;
};

static int insert_job(void *arg, const struct job_key *k, int priority, struct err *e)
{
    struct advance *v = arg;
    bool inserted;
    int rc =
        op_job_insert(v->call->conn, v->run, k, priority, (uint64_t)v->call->wall_ms, &inserted, e);
    if (rc || !inserted)
        return rc;
    if (k->kind == JOB_ASSIGN || k->kind == JOB_REPORT)
        works_wake(v->call->service->works); /* its claim queues behind this very transaction */
    else
        v->call->ready++;
    return 0;
}

int run_advance(struct call *c, uint64_t run, struct err *e)
{
    struct run_view v;
    int rc = run_view_load(c->conn, run, true, c->arena, &v, e);
    if (rc || v.row.state != RUN_ACTIVE)
        return rc;
    struct advance a = {c, run};
    return due_jobs(&v.facts, insert_job, &a, e);
}

const char *run_job_words(struct arena *a, const struct job_key *k)
{
    const char *target = job_target_words[k->target];
    switch (k->kind) {
    case JOB_TRAIN_ROUTER:
        return arena_printf(a, "train router %u, round %u", k->index, k->round + 1);
    case JOB_SCORE:
        return k->final ? arena_printf(a, "score the corpus, chunk %u, part %u", k->chunk, k->part)
                        : arena_printf(a, "score round %u, part %u", k->round + 1, k->part);
    case JOB_ASSIGN:
        return k->final ? arena_printf(a, "assign chunk %u", k->chunk)
                        : arena_printf(a, "assign round %u", k->round + 1);
    case JOB_SEGMENT:
        return arena_printf(a, "segment chunk %u, part %u", k->chunk, k->part);
    case JOB_TRAIN:
        if (k->target == TARGET_EXPERT)
            return arena_printf(a, "train expert %u, steps %llu to %llu", k->index,
                                (unsigned long long)k->step_first,
                                (unsigned long long)k->step_last);
        return arena_printf(a, "train %s, steps %llu to %llu", target,
                            (unsigned long long)k->step_first, (unsigned long long)k->step_last);
    case JOB_EVAL:
        return k->step_last ? arena_printf(a, "evaluate %s %u at step %llu", target, k->index,
                                           (unsigned long long)k->step_last)
                            : arena_printf(a, "evaluate %s %u", target, k->index);
    default:
        return arena_printf(a, "report");
    }
}
