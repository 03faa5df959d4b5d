#include "coordinator/run/advance.h"

#include <string.h>
#include "core/data/shard.h"
#include "core/mixture/draw.h"
#include "coordinator/run/events.h"
#include "coordinator/run/works.h"
#include "coordinator/store/ops_steer.h"
#include "coordinator/store/ops_storage.h"

/* Rounds and chunks go in order through each stage, so the last one that has jobs of a stage tells
 * that all before it are through: *next is that one, or the one after it where it is through, too.
 * none: what *next is where there are no jobs yet. */
static int load_stage(struct store_conn *c, uint64_t run, const struct run_facts *f, int kind,
                      bool final, uint32_t none, uint32_t *next, struct err *e)
{
    struct job_key last;
    uint64_t done, wanted = 1;
    *next = none;
    int rc = op_job_last_stage(c, run, kind, final, &last, e);
    if (rc == ERR_NOT_FOUND)
        return 0;
    if (!rc)
        rc = op_job_count(c, run, &last, JOB_DONE, &done, e);
    if (rc)
        return rc;
    uint32_t at = final ? last.chunk : last.round;
    if (kind == JOB_TRAIN_ROUTER)
        wanted = f->spec->experts;
    else if (kind == JOB_SCORE)
        wanted = due_score_parts(f, final, at);
    else if (kind == JOB_SEGMENT)
        wanted = due_segment_parts(f, at);
    *next = at + (done >= wanted);
    return 0;
}

/* Draws, and with them scores and assignments, are numbered from 1. */
static int load_round_facts(struct store_conn *c, uint64_t run, struct run_facts *f, struct err *e)
{
    uint32_t scored = 1, assigned = 1;
    if (f->spec->router.mode == SPEC_RANDOM)
        return 0;
    int rc = load_stage(c, run, f, JOB_TRAIN_ROUTER, false, 0, &f->rounds_trained, e);
    if (!rc)
        rc = load_stage(c, run, f, JOB_SCORE, false, 1, &scored, e);
    if (!rc)
        rc = load_stage(c, run, f, JOB_ASSIGN, false, 1, &assigned, e);
    f->rounds_scored = scored - 1;
    f->rounds_assigned = assigned - 1;
    return rc;
}

static int load_chunk_facts(struct store_conn *c, uint64_t run, struct run_facts *f, struct err *e)
{
    int rc = load_stage(c, run, f, JOB_SCORE, true, 0, &f->chunks_scored, e);
    if (!rc)
        rc = load_stage(c, run, f, JOB_ASSIGN, true, 0, &f->chunks_assigned, e);
    return rc ? rc : load_stage(c, run, f, JOB_SEGMENT, true, 0, &f->chunks_segmented, e);
}

static int load_evals(struct store_conn *c, uint64_t run, struct run_facts *f, struct err *e)
{
    uint64_t evals = 0;
    struct job_key eval = {.kind = JOB_EVAL};
    int rc = op_job_count(c, run, &eval, JOB_DONE, &evals, e);
    f->evals_done = (uint32_t)evals;
    return rc;
}

/* Room for expert_step, zeros. */
static uint64_t *steps_alloc(struct run_view *v, struct arena *a, struct err *e)
{
    uint64_t *steps = arena_alloc_array(a, v->spec.experts, sizeof *steps);
    if (!steps)
        err_set(e, ERR_NO_MEMORY, "no memory for the facts of run %s", v->row.name);
    v->facts.expert_step = steps;
    return steps;
}

static int load_expert_steps(struct store_conn *c, const struct run_view *v, uint64_t *steps,
                             struct err *e)
{
    int rc = 0;
    for (uint32_t i = 0; !rc && i < v->spec.experts; i++)
        rc = op_model_step(c, v->row.id, TARGET_EXPERT, i, &steps[i], e);
    return rc;
}

static int load_facts(struct store_conn *c, struct run_view *v, struct arena *a, struct err *e)
{
    struct run_facts *f = &v->facts;
    uint64_t run = v->row.id, *steps = steps_alloc(v, a, e);
    int rc = steps ? load_round_facts(c, run, f, e) : ERR_NO_MEMORY;
    if (!rc)
        rc = load_chunk_facts(c, run, f, e);
    if (!rc)
        rc = load_expert_steps(c, v, steps, e);
    if (!rc)
        rc = op_model_step(c, run, TARGET_DENSE, 0, &f->dense_step, e);
    if (!rc)
        rc = op_model_step(c, run, TARGET_DENSE_FLOPS, 0, &f->dense_flops_step, e);
    return rc ? rc : load_evals(c, run, f, e);
}

/* What due_after needs to know after this job: a few look-ups, however many models there are. */
static int load_facts_after(struct store_conn *c, struct run_view *v, const struct job_key *done,
                            struct arena *a, struct err *e)
{
    struct run_facts *f = &v->facts;
    uint64_t run = v->row.id, open = 0, *steps = steps_alloc(v, a, e);
    int rc = steps ? 0 : ERR_NO_MEMORY;
    if (rc)
        return rc;
    if (done->kind == JOB_EVAL) {
        rc = op_jobs_open(c, run, &open, e);
        return rc || open ? rc : load_evals(c, run, f, e);
    }
    if (done->kind == JOB_TRAIN) {
        uint64_t *step = done->target == TARGET_EXPERT  ? &steps[done->index]
                         : done->target == TARGET_DENSE ? &f->dense_step
                                                        : &f->dense_flops_step;
        rc = op_model_step(c, run, done->target, done->index, step, e);
        return rc || done->target != TARGET_EXPERT ? rc : load_chunk_facts(c, run, f, e);
    }
    rc = load_round_facts(c, run, f, e);
    if (!rc)
        rc = load_chunk_facts(c, run, f, e);
    if (!rc && done->kind == JOB_SEGMENT && f->chunks_segmented > done->chunk)
        rc = load_expert_steps(c, v, steps, e);
    return rc;
}

void run_facts_init(struct run_facts *f, const struct run_spec *spec, const struct msg_dataset *d)
{
    uint32_t vocab = (uint32_t)d->vocab, seq = (uint32_t)d->seq;
    *f = (struct run_facts){.spec = spec,
                            .vocab = vocab,
                            .seq = seq,
                            .train_sequences = d->train_sequences,
                            .heldout_sequences = d->heldout_sequences,
                            .shard_sequences = shard_sequences(seq, vocab)};
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
    if (rc)
        return rc;
    run_facts_init(&out->facts, &out->spec, &out->dataset);
    uint64_t *ends;
    rc = op_run_ends(c, run, a, &ends, &out->facts.end_count, e);
    out->facts.ends = ends;
    if (rc)
        return rc;
    return progress ? load_facts(c, out, a, e) : 0;
}

struct advance {
    struct call *call;
    uint64_t run;
};

/* The first job of a stage tells that the run has come to it. */
static int tell_phase(struct advance *v, const struct job_key *k, struct err *e)
{
    struct event event = {.kind = "run.phase", .run = v->run};
    if (k->index > 0 || k->part > 0)
        return 0;
    switch (k->kind) {
    case JOB_TRAIN_ROUTER:
        return event_tell(v->call, &event, e, "round %u: routers train", k->round + 1);
    case JOB_SCORE:
        return k->final
                   ? event_tell(v->call, &event, e, "chunk %u is scored", k->chunk)
                   : event_tell(v->call, &event, e, "round %u: sequences are scored", k->round + 1);
    case JOB_SEGMENT:
        return event_tell(v->call, &event, e, "chunk %u is parted among the experts", k->chunk);
    case JOB_TRAIN:
        if (k->step_first > 0)
            return 0;
        return event_tell(v->call, &event, e, "%s train",
                          k->target == TARGET_EXPERT ? "experts" : "dense models");
    case JOB_REPORT:
        return event_tell(v->call, &event, e, "all is evaluated: the report is made");
    default:
        return 0;
    }
}

static int insert_job(void *arg, const struct job_key *k, int priority, struct err *e)
{
    struct advance *v = arg;
    bool inserted;
    int rc =
        op_job_insert(v->call->conn, v->run, k, priority, (uint64_t)v->call->wall_ms, &inserted, e);
    if (!rc && inserted)
        rc = tell_phase(v, k, e);
    if (rc || !inserted)
        return rc;
    if (k->kind == JOB_ASSIGN || k->kind == JOB_REPORT)
        works_wake(v->call->service->works); /* its claim queues behind this very transaction */
    else
        v->call->ready++;
    return 0;
}

/* What the job that has just been done makes superfluous: its model's older checkpoints, or, of an
 * evaluation, the one that was kept for it. After the new jobs are there, whose inputs stay. */
static int retain(struct call *c, const struct run_view *v, const struct job_key *done,
                  struct err *e)
{
    bool chain = done->kind == JOB_TRAIN || (done->kind == JOB_EVAL && done->step_last > 0);
    if (!chain && done->kind != JOB_TRAIN_ROUTER)
        return 0;
    struct retention r = {.keep = v->spec.checkpoint.keep,
                          .milestone_steps = chain ? v->spec.checkpoint.milestone_steps : 0,
                          .last =
                              chain ? due_steps(&v->facts, done->target) : v->spec.router.rounds};
    return op_retain(c->conn, v->row.id, done->target, done->index, &r, (uint64_t)c->wall_ms, e);
}

int run_advance(struct call *c, uint64_t run, const struct job_key *done, struct err *e)
{
    struct run_view v;
    struct advance a = {c, run};
    int rc = run_view_load(c->conn, run, done == NULL, c->arena, &v, e);
    if (rc || v.row.state != RUN_ACTIVE)
        return rc;
    if (!done)
        return due_jobs(&v.facts, insert_job, &a, e);
    rc = load_facts_after(c->conn, &v, done, c->arena, e);
    if (!rc)
        rc = due_after(&v.facts, done, insert_job, &a, e);
    return rc ? rc : retain(c, &v, done, e);
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
    case JOB_REPLAY:
        return k->step_last ? arena_printf(a, "replay %s %u, steps %llu to %llu", target, k->index,
                                           (unsigned long long)k->step_first,
                                           (unsigned long long)k->step_last)
               : k->target
                   ? arena_printf(a, "replay %s %u, round %u", target, k->index, k->round + 1)
                   : arena_printf(a, "replay chunk %u or round %u, part %u", k->chunk, k->round + 1,
                                  k->part);
    default:
        return arena_printf(a, "report");
    }
}
