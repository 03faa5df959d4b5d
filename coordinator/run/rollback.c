/* Rolling back: what a wrong or damaged checkpoint has led to is undone and computed anew.
 *
 * Undone are the model's links after the good step and all that was computed from them. To them are
 * added jobs whose results are right but not kept any more, where those that are undone need them
 * again. Undone jobs stay as a record, cancelled; new ones with their keys become due by the rules
 * alone. Since these rules look at the last round or chunk that a stage has reached, a stage is
 * always undone to its end. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "coordinator/log.h"
#include "coordinator/run/advance.h"
#include "coordinator/run/check_blobs.h"
#include "coordinator/run/reply.h"
#include "coordinator/run/events.h"
#include "coordinator/run/find.h"
#include "coordinator/run/runs.h"
#include "coordinator/run/settle.h"
#include "coordinator/run/works.h"
#include "coordinator/store/blobs.h"
#include "coordinator/store/ops_verify.h"

#define TOLD_MAX 100
#define ARENA_MAX (64u << 20)
#define ANY (-1)

struct kept_output {
    uint64_t job;
    struct digest digest;
};
/* What precedes the transaction finds. */
struct undo_plan {
    uint64_t step;  /* from where it goes on */
    uint64_t *jobs; /* besides those that the rules name; in the call's arena, as all lists are */
    uint32_t count;
    struct kept_output *keep; /* that retention has dropped, but that are there */
    uint32_t keep_count, keep_capacity;
    struct digest *damaged; /* blobs to forget, or the result computed anew would not be taken */
    uint32_t damaged_count, damaged_capacity;
    struct undo_filter *rests; /* ends of stages, which may have grown meanwhile */
    uint32_t rest_count, rest_capacity;
};

/* Room for one more in a list of the plan. */
static int make_room(struct arena *a, void **list, uint32_t count, uint32_t *capacity, size_t size,
                     struct err *e)
{
    if (count < *capacity)
        return 0;
    uint32_t grown = *capacity ? 2 * *capacity : 16;
    void *items = arena_alloc_array(a, grown, size);
    if (!items)
        return err_set(e, ERR_NO_MEMORY, "no memory for what is to be undone");
    if (count)
        memcpy(items, *list, count * size);
    *list = items;
    *capacity = grown;
    return 0;
}

/* --- what depends on what ---------------------------------------------------------------------
 */

#define FILTERS_MAX 12

/* All that is wrong where a model is wrong after a step. */
static uint32_t invalid(const struct msg_rollback *m, uint64_t step,
                        struct undo_filter out[FILTERS_MAX])
{
    const struct undo_filter any = {.kind = ANY, .target = ANY, .index = ANY, .final = ANY};
    uint32_t n = 0;
    if (m->target != TARGET_ROUTER) {
        out[n] = any;
        out[n].kind = JOB_TRAIN;
        out[n].target = m->target;
        out[n].index = (int64_t)m->index;
        out[n++].step_first = step;
        out[n] = out[0];
        out[n].kind = JOB_EVAL;
        out[n].step_first = 0;
        out[n++].step_last = step + 1;
    } else {
        static const int of_rounds[] = {JOB_TRAIN_ROUTER, JOB_SCORE, JOB_ASSIGN};
        static const int of_corpus[] = {JOB_SCORE, JOB_ASSIGN, JOB_SEGMENT};
        static const int targets[] = {TARGET_ROUTER, TARGET_EXPERT};
        out[n] = any;
        out[n].kind = JOB_TRAIN_ROUTER;
        out[n].index = (int64_t)m->index;
        out[n++].round = step;
        for (int i = 0; i < 3; i++) { /* a round's scores are by the routers of the round before */
            out[n] = any;
            out[n].kind = of_rounds[i];
            out[n].final = false;
            out[n++].round = step + 1;
        }
        for (int i = 0; i < 3; i++) {
            out[n] = any;
            out[n].kind = of_corpus[i];
            out[n++].final = true;
        }
        for (int i = 0; i < 2; i++) {
            out[n] = any;
            out[n].kind = JOB_EVAL;
            out[n++].target = targets[i];
        }
        out[n] = any;
        out[n].kind = JOB_TRAIN;
        out[n++].target = TARGET_EXPERT;
    }
    out[n] = any;
    out[n++].kind = JOB_REPORT;
    return n;
}

/* The end of the stage that a job belongs to, from this one on. False: it is in none. */
static bool rest_of_stage(const struct job_key *k, struct undo_filter *out)
{
    *out = (struct undo_filter){.kind = k->kind, .target = ANY, .index = ANY, .final = ANY};
    switch (k->kind) {
    case JOB_TRAIN_ROUTER:
        out->round = k->round + 1;
        return true;
    case JOB_SCORE:
    case JOB_ASSIGN:
    case JOB_SEGMENT:
        out->final = k->final;
        out->round = k->final ? 0 : k->round + 1;
        out->chunk = k->final ? k->chunk + 1 : 0;
        return true;
    case JOB_TRAIN:
        out->target = k->target;
        out->index = k->index;
        out->step_first = k->step_last;
        return true;
    default:
        return false;
    }
}

/* --- the set of jobs -------------------------------------------------------------------------- */

struct planning {
    struct call call; /* of the reader's snapshot, with an arena of one job */
    struct arena scratch, lists, *answer;
    uint64_t run;
    struct undo_plan *plan;
    uint64_t *jobs; /* owned; those from `looked` on are still to be looked at */
    uint32_t count, capacity, looked;
    uint64_t *set; /* owned; open addressing, 0: free */
    uint32_t set_capacity;
};

static uint32_t slot_of(const struct planning *p, uint64_t job)
{
    uint32_t i = (uint32_t)(job * 0x9E3779B97F4A7C15u >> 32) & (p->set_capacity - 1);
    while (p->set[i] && p->set[i] != job)
        i = (i + 1) & (p->set_capacity - 1);
    return i;
}

static int grow(struct planning *p, struct err *e)
{
    uint32_t capacity = p->capacity ? 2 * p->capacity : 512;
    uint64_t *jobs = reallocarray(p->jobs, capacity, sizeof *jobs);
    if (jobs)
        p->jobs = jobs;
    free(p->set);
    p->set = calloc(2 * (size_t)capacity, sizeof *p->set);
    if (!jobs || !p->set)
        return err_set(e, ERR_NO_MEMORY, "no memory for the jobs to undo");
    p->capacity = capacity;
    p->set_capacity = 2 * capacity;
    for (uint32_t i = 0; i < p->count; i++)
        p->set[slot_of(p, jobs[i])] = jobs[i];
    return 0;
}

static int add(struct planning *p, uint64_t job, struct err *e)
{
    if (p->set_capacity && p->set[slot_of(p, job)] == job)
        return 0;
    int rc = p->count == p->capacity ? grow(p, e) : 0;
    if (rc)
        return rc;
    p->set[slot_of(p, job)] = job;
    p->jobs[p->count++] = job;
    return 0;
}

static int add_filter(struct planning *p, const struct undo_filter *f, struct err *e)
{
    struct job_row *rows;
    uint32_t count;
    arena_reset(&p->lists);
    int rc = op_jobs_to_undo(p->call.conn, p->run, f, &p->lists, &rows, &count, e);
    for (uint32_t i = 0; !rc && i < count; i++)
        rc = add(p, rows[i].id, e);
    return rc;
}

/* --- what they need again ---------------------------------------------------------------------
 */

static int look_at(struct planning *p, const struct digest *d, bool *there, struct err *e)
{
    struct undo_plan *plan = p->plan;
    enum blob_state state;
    /* Gigabytes are read, one after the other; the transaction looks at the jobs again. */
    int rc = store_read_renew(p->call.conn, e);
    if (rc)
        return rc;
    rc = blob_check(p->call.service, d, &state, e);
    *there = state == BLOB_WHOLE;
    if (rc || state != BLOB_DAMAGED)
        return rc;
    for (uint32_t i = 0; i < plan->damaged_count; i++)
        if (digest_equal(&plan->damaged[i], d))
            return 0;
    rc = make_room(p->answer, (void **)&plan->damaged, plan->damaged_count, &plan->damaged_capacity,
                   sizeof *plan->damaged, e);
    if (!rc)
        plan->damaged[plan->damaged_count++] = *d;
    return rc;
}

/* Of what is dropped, gc may take the blob at any time: not any more, once it is promised. */
static int keep(struct planning *p, uint64_t job, const struct msg_blob *b, bool *there,
                struct err *e)
{
    struct undo_plan *plan = p->plan;
    struct blob_info info;
    int rc = blob_promise(p->call.service->store, &b->digest, &info, e);
    *there = !rc && info.complete;
    if (rc || !*there)
        return rc == ERR_NOT_FOUND ? 0 : rc;
    rc = make_room(p->answer, (void **)&plan->keep, plan->keep_count, &plan->keep_capacity,
                   sizeof *plan->keep, e);
    if (!rc)
        plan->keep[plan->keep_count++] = (struct kept_output){job, b->digest};
    return rc;
}

static int add_rest(struct planning *p, const struct undo_filter *f, struct err *e)
{
    struct undo_plan *plan = p->plan;
    for (uint32_t i = 0; i < plan->rest_count; i++) {
        const struct undo_filter *x = &plan->rests[i];
        if (x->kind == f->kind && x->target == f->target && x->index == f->index &&
            x->final == f->final && x->round == f->round && x->chunk == f->chunk &&
            x->step_first == f->step_first)
            return 0;
    }
    int rc = make_room(p->answer, (void **)&plan->rests, plan->rest_count, &plan->rest_capacity,
                       sizeof *plan->rests, e);
    if (!rc)
        plan->rests[plan->rest_count++] = *f;
    return rc ? rc : add_filter(p, f, e);
}

static int need_again(struct planning *p, const struct msg_blob *b, struct err *e)
{
    const struct digest *d = &b->digest;
    struct job_row maker;
    struct undo_filter rest;
    uint64_t job;
    bool there;
    int rc = op_maker(p->call.conn, d, &job, e);
    if (rc == ERR_NOT_FOUND) /* of the data set */
        return 0;
    if (rc || p->set[slot_of(p, job)] == job)
        return rc;
    rc = look_at(p, d, &there, e);
    if (!rc && there && b->dropped)
        rc = keep(p, job, b, &there, e);
    if (rc || there)
        return rc;
    rc = op_job_get(p->call.conn, job, &p->scratch, &maker, e);
    if (!rc && maker.run != p->run) /* an equal result of another run, which is gone as well */
        rc = err_set(e, ERR_CONFLICT, "an input is not kept any more, and was made by another run");
    if (!rc)
        rc = add(p, job, e);
    return rc || !rest_of_stage(&maker.key, &rest) ? rc : add_rest(p, &rest, e);
}

static int look_at_job(struct planning *p, uint64_t id, struct err *e)
{
    struct job_row job;
    struct msg_grant g;
    struct msg_blob *outputs;
    uint32_t count;
    bool there;
    arena_reset(&p->scratch);
    int rc = op_job_get(p->call.conn, id, &p->scratch, &job, e);
    if (!rc && job.state == JOB_DONE) {
        rc = op_outputs(p->call.conn, id, &p->scratch, &outputs, &count, e);
        for (uint32_t i = 0; !rc && i < count; i++)
            rc = look_at(p, &outputs[i].digest, &there, e);
    }
    if (!rc)
        rc = run_inputs(&p->call, &job, &g, e);
    for (uint32_t i = 0; !rc && i < g.input_count; i++)
        if (g.inputs[i].role != ROLE_SHARD)
            rc = need_again(p, &g.inputs[i], e);
    return rc;
}

/* --- what was asked for ----------------------------------------------------------------------- */

static int check_target(const struct run_view *v, const struct msg_rollback *m, struct err *e)
{
    const struct run_spec *s = &v->spec;
    bool numbered = m->target == TARGET_EXPERT || m->target == TARGET_ROUTER;
    if (v->row.state == RUN_CANCELLED)
        return err_set(e, ERR_CONFLICT, "run \"%s\" was cancelled: it does not go on", v->row.name);
    if (m->target == TARGET_NONE || (numbered && m->index >= s->experts) ||
        (!numbered && m->index > 0))
        return err_set(e, ERR_INVALID,
                       "run \"%s\" has no such model: expert:N and router:N with N below %u, "
                       "dense and dense-flops are models",
                       v->row.name, s->experts);
    if (m->target == TARGET_ROUTER
            ? s->router.mode != SPEC_EM
            : m->target != TARGET_EXPERT && due_steps(&v->facts, m->target) == 0)
        return err_set(e, ERR_INVALID, "run \"%s\" trains no %s", v->row.name,
                       job_target_words[m->target]);
    return 0;
}

/* Whether anything was published after step, and step is the end of a link. */
static int check_step(struct store_conn *c, const struct run_view *v, const struct msg_rollback *m,
                      struct arena *a, struct err *e)
{
    struct undo_filter f[FILTERS_MAX];
    struct job_row *rows;
    uint32_t count, published = 0;
    uint64_t length = v->spec.checkpoint.publish_steps;
    bool router = m->target == TARGET_ROUTER;
    invalid(m, m->step, f);
    int rc = op_jobs_to_undo(c, v->row.id, &f[0], a, &rows, &count, e);
    for (uint32_t i = 0; !rc && i < count; i++)
        published += rows[i].state == JOB_DONE;
    if (rc)
        return rc;
    if (published == 0)
        return err_set(e, ERR_CONFLICT,
                       "run \"%s\" has published nothing of this model after %s %" PRIu64,
                       v->row.name, router ? "round" : "step", m->step);
    if (!router && m->step % length)
        return err_set(e, ERR_INVALID,
                       "links of run \"%s\" end at multiples of %" PRIu64 ": --to %" PRIu64
                       " is one",
                       v->row.name, length, m->step / length * length);
    return 0;
}

static int plan_all(struct planning *p, const struct msg_rollback *m, struct err *e)
{
    struct undo_filter f[FILTERS_MAX];
    uint32_t n = invalid(m, m->step, f);
    int rc = 0;
    p->plan->step = m->step;
    for (uint32_t i = 0; !rc && i < n; i++)
        rc = add_filter(p, &f[i], e);
    while (!rc && p->looked < p->count) {
        rc = works_stopping(p->call.service->works)
                 ? err_set(e, ERR_UNAVAILABLE, "the coordinator is being stopped")
                 : look_at_job(p, p->jobs[p->looked++], e);
    }
    return rc;
}

/* Where the link before is done again, too, the model goes on from further back. */
static int lower_step(struct planning *p, const struct msg_rollback *m, struct err *e)
{
    struct job_row job;
    int rc = 0;
    for (uint32_t i = 0; !rc && i < p->count; i++) {
        arena_reset(&p->scratch);
        rc = op_job_get(p->call.conn, p->jobs[i], &p->scratch, &job, e);
        if (rc || job.key.target != m->target || job.key.index != m->index)
            continue;
        uint64_t from = job.key.kind == JOB_TRAIN_ROUTER ? job.key.round : job.key.step_first;
        if ((job.key.kind == JOB_TRAIN || job.key.kind == JOB_TRAIN_ROUTER) && from < p->plan->step)
            p->plan->step = from;
    }
    return rc;
}

static int keep_plan(struct planning *p, struct arena *a, struct err *e)
{
    p->plan->jobs = arena_alloc_array(a, p->count + 1, sizeof *p->plan->jobs);
    if (!p->plan->jobs)
        return err_set(e, ERR_NO_MEMORY, "no memory for the jobs to undo");
    for (uint32_t i = 0; i < p->count; i++)
        p->plan->jobs[i] = p->jobs[i];
    p->plan->count = p->count;
    return 0;
}

int runs_prepare_rollback(struct call *c, const void *in, struct err *e)
{
    const struct msg_rollback *m = in;
    struct run_row run = {0};
    struct run_view v;
    struct planning p = {.call = *c, .answer = c->arena};
    p.plan = arena_alloc(c->arena, sizeof *p.plan);
    arena_init(&p.scratch, ARENA_MAX);
    arena_init(&p.lists, ARENA_MAX);
    p.call.arena = &p.scratch;
    int rc = p.plan ? store_read_begin(c->service->store, &p.call.conn, e)
                    : err_set(e, ERR_NO_MEMORY, "no memory for what to undo");
    if (!rc) {
        rc = op_run_find(p.call.conn, c->name, c->arena, &run, e);
        if (!rc)
            rc = run_view_load(p.call.conn, run.id, false, c->arena, &v, e);
        p.run = run.id;
        if (!rc)
            rc = check_target(&v, m, e);
        if (!rc)
            rc = check_step(p.call.conn, &v, m, &p.lists, e);
        if (!rc)
            rc = plan_all(&p, m, e);
        if (!rc)
            rc = lower_step(&p, m, e);
        store_read_end(c->service->store, p.call.conn);
    }
    if (!rc)
        rc = keep_plan(&p, c->arena, e);
    arena_free(&p.scratch);
    arena_free(&p.lists);
    free(p.jobs);
    free(p.set);
    c->prepared = p.plan;
    return rc;
}

/* --- doing it --------------------------------------------------------------------------------- */

static int undo_one(struct call *c, const struct job_row *job, bool dry,
                    struct msg_rolled_back *out, struct err *e)
{
    if (job->state == JOB_DONE && out->job_count < TOLD_MAX)
        out->jobs[out->job_count++] = reply_result(job);
    out->undone += job->state == JOB_DONE;
    return dry ? 0 : op_job_undo(c->conn, job->id, (uint64_t)c->wall_ms, e);
}

static int undo_planned(struct call *c, const struct undo_plan *plan, bool dry,
                        struct msg_rolled_back *out, struct err *e)
{
    struct job_row job;
    int rc = 0;
    for (uint32_t i = 0; !rc && i < plan->count; i++) {
        rc = op_job_get(c->conn, plan->jobs[i], c->arena, &job, e);
        if (!rc && job.undone)
            rc = err_set(e, ERR_CONFLICT, "the run was rolled back meanwhile: try again");
        if (!rc)
            rc = undo_one(c, &job, dry, out, e);
    }
    return rc;
}

static int undo_filtered(struct call *c, uint64_t run, const struct undo_filter *f,
                         struct msg_rolled_back *out, struct err *e)
{
    struct job_row *rows;
    uint32_t count;
    int rc = op_jobs_to_undo(c->conn, run, f, c->arena, &rows, &count, e);
    for (uint32_t k = 0; !rc && k < count; k++)
        rc = undo_one(c, &rows[k], false, out, e);
    return rc;
}

/* What has come up since the plan was made, too. */
static int undo_since(struct call *c, uint64_t run, const struct msg_rollback *m,
                      const struct undo_plan *plan, struct msg_rolled_back *out, struct err *e)
{
    struct undo_filter f[FILTERS_MAX];
    uint32_t n = invalid(m, plan->step, f);
    int rc = 0;
    for (uint32_t i = 0; !rc && i < n; i++)
        rc = undo_filtered(c, run, &f[i], out, e);
    for (uint32_t i = 0; !rc && i < plan->rest_count; i++)
        rc = undo_filtered(c, run, &plan->rests[i], out, e);
    return rc;
}

/* Once nothing can be refused any more, and before the COMMIT: of a rollback that is done, damaged
 * bytes must not be left, whenever the coordinator ends. They are of use to nobody. */
static int forget(struct call *c, const struct undo_plan *plan, struct err *e)
{
    int rc = 0;
    for (uint32_t i = 0; !rc && i < plan->damaged_count; i++)
        rc = blob_forget(c->service->store, &plan->damaged[i], e);
    return rc;
}

int runs_rollback(struct call *c, const void *in, void *out, struct err *e)
{
    const struct msg_rollback *m = in;
    const struct undo_plan *plan = c->prepared;
    struct msg_rolled_back *o = out;
    struct run_row run;
    int rc = run_find(c, &run, e);
    if (rc)
        return rc;
    if (run.state == RUN_CANCELLED)
        return err_set(e, ERR_CONFLICT, "run \"%s\" was cancelled meanwhile", run.name);
    *o = (struct msg_rolled_back){.run = run.name,
                                  .step = plan->step,
                                  .damaged = plan->damaged_count,
                                  .jobs = arena_alloc_array(c->arena, TOLD_MAX, sizeof *o->jobs)};
    if (!o->jobs)
        return err_set(e, ERR_NO_MEMORY, "no memory for what was undone");
    rc = undo_planned(c, plan, m->dry_run, o, e);
    if (rc || m->dry_run)
        return rc;
    for (uint32_t i = 0; !rc && i < plan->keep_count; i++)
        rc = op_output_keep(c->conn, plan->keep[i].job, &plan->keep[i].digest, e);
    if (!rc)
        rc = undo_since(c, run.id, m, plan, o, e);
    if (!rc)
        rc = run_go_on(c, &run, e);
    if (!rc)
        rc = forget(c, plan, e);
    if (!rc)
        rc = event_tell(c, &(struct event){.kind = "run.rolled-back", .run = run.id}, e,
                        "%s %" PRIu64 " to step %" PRIu64 ": %" PRIu64 " jobs undone",
                        job_target_words[m->target], m->index, o->step, o->undone);
    if (!rc)
        log_warn("rolled back run=%s model=%s:%" PRIu64 " step=%" PRIu64 " undone=%" PRIu64
                 " damaged=%" PRIu64,
                 run.name, job_target_words[m->target], m->index, o->step, o->undone, o->damaged);
    return rc;
}
