#include "coordinator/run/runs.h"

#include <math.h>
#include <string.h>
#include "core/base/text.h"
#include "core/mixture/draw.h"
#include "coordinator/lease/lease.h"
#include "coordinator/run/advance.h"
#include "coordinator/run/events.h"
#include "coordinator/run/find.h"
#include "coordinator/run/reply.h"
#include "coordinator/run/run_pace.h"
#include "coordinator/run/run_share.h"
#include "coordinator/run/run_words.h"
#include "coordinator/store/blobs.h"
#include "coordinator/store/ops_steer.h"

static int parse_request(const struct msg_run_create *m, struct run_spec *spec,
                         struct buf *canonical, struct err *e)
{
    int rc = spec_parse(m->spec, strlen(m->spec), m->file ? m->file : "spec", spec, e);
    return rc ? rc : spec_canonical(spec, canonical, e);
}

/* The data set of a spec, and whether the two fit. */
static int find_dataset(struct call *c, const struct run_spec *spec, uint64_t *id,
                        struct msg_dataset *d, struct err *e)
{
    struct run_facts facts;
    int rc = dataset_find(c, spec->dataset, id, e);
    if (!rc)
        rc = op_dataset_get(c->conn, *id, false, c->arena, d, e);
    if (!rc)
        rc = spec_check_dataset(spec, (uint32_t)d->vocab, (uint32_t)d->seq, d->train_sequences,
                                d->heldout_sequences, e);
    if (rc)
        return rc;
    run_facts_init(&facts, spec, d);
    return run_inputs_check(&facts, e);
}

/* All that can be wrong with a new run. */
static int check_new(struct call *c, const struct run_spec *spec, uint64_t *dataset_id,
                     struct msg_dataset *dataset, struct err *e)
{
    struct run_row taken;
    int rc = find_dataset(c, spec, dataset_id, dataset, e);
    if (!rc && op_run_find(c->conn, spec->name, c->arena, &taken, NULL) == 0)
        rc = err_set(e, ERR_EXISTS, "a run \"%s\" exists already: choose another [run] name",
                     spec->name);
    return rc;
}

/* What is refused, or only tried out, leaves nothing behind: so all is looked at on a snapshot
 * first. runs_create does it again in its transaction, where nobody comes between. */
int runs_prepare_create(struct call *c, const void *in, struct err *e)
{
    const struct msg_run_create *m = in;
    struct call look = *c;
    struct run_spec spec;
    struct msg_dataset dataset;
    uint64_t id;
    struct digest d;
    struct buf canonical;
    buf_init(&canonical, SPEC_BYTES_MAX);
    int rc = parse_request(m, &spec, &canonical, e);
    if (!rc)
        rc = store_read_begin(c->service->store, &look.conn, e);
    if (!rc) {
        rc = check_new(&look, &spec, &id, &dataset, e);
        store_read_end(c->service->store, look.conn);
    }
    if (!rc && !m->dry_run)
        rc = blob_put(c->service->store, canonical.data, canonical.len, &d, e);
    buf_free(&canonical);
    return rc;
}

/* The labels that its agents must have: the queue looks at them. */
static int add_needs(struct call *c, uint64_t run, const struct run_spec *spec, struct err *e)
{
    struct spec_need need;
    int rc = 0;
    for (const char *at = spec->needs; !rc && spec_need_next(&at, &need);)
        rc = op_run_need_add(c->conn, run, need.name, need.value, e);
    return rc;
}

static int set_fork(struct call *c, uint64_t run, const char *of, struct err *e)
{
    struct run_row row;
    int rc = op_run_find(c->conn, of, c->arena, &row, e);
    return rc ? rc : op_run_set_fork(c->conn, run, row.id, e);
}

int runs_create(struct call *c, const void *in, void *out, struct err *e)
{
    const struct msg_run_create *m = in;
    struct run_spec spec;
    struct digest d;
    uint64_t dataset_id, id;
    struct msg_dataset dataset;
    struct buf canonical;
    buf_init(&canonical, SPEC_BYTES_MAX);
    int rc = parse_request(m, &spec, &canonical, e);
    if (!rc)
        rc = check_new(c, &spec, &dataset_id, &dataset, e);
    if (!rc && m->dry_run) {
        struct msg_run *r = out;
        *r = (struct msg_run){.name = arena_strndup(c->arena, spec.name, strlen(spec.name)),
                              .dataset = dataset.name,
                              .phase = "dry run",
                              .experts = spec.experts,
                              .seed = spec.seed,
                              .rounds = spec.router.rounds};
        digest_of(canonical.data, canonical.len, &r->spec);
    } else if (!rc) {
        digest_of(canonical.data, canonical.len, &d);
        rc = op_run_insert(c->conn, spec.name, dataset_id, &d, canonical.data, (uint64_t)c->wall_ms,
                           &id, e);
        if (!rc)
            rc = add_needs(c, id, &spec, e);
        if (!rc && m->fork_of)
            rc = set_fork(c, id, m->fork_of, e);
        if (!rc)
            rc = event_tell(c, &(struct event){.kind = "run.created", .run = id}, e,
                            "%u experts on data set %s%s%s", spec.experts, spec.dataset,
                            m->fork_of ? ", forked from " : "", m->fork_of ? m->fork_of : "");
        if (!rc)
            rc = run_advance(c, id, NULL, e);
        c->name = arena_strndup(c->arena, spec.name, strlen(spec.name));
        if (!rc)
            rc = runs_show(c, NULL, out, e);
    }
    buf_free(&canonical);
    return rc;
}

static int fill_run(struct call *c, const struct run_view *v, struct msg_run *r, struct err *e)
{
    uint64_t states[5];
    int rc = op_job_states(c->conn, v->row.id, states, e);
    if (rc)
        return rc;
    *r = (struct msg_run){
        .name = v->row.name,
        .dataset = v->dataset.name,
        .state = v->row.state,
        .reason = v->row.reason,
        .experts = v->spec.experts,
        .seed = v->spec.seed,
        .round = v->facts.rounds_trained,
        .rounds = v->spec.router.mode == SPEC_EM ? v->spec.router.rounds : 0,
        .jobs_waiting = states[JOB_WAITING],
        .jobs_leased = states[JOB_LEASED],
        .jobs_done = states[JOB_DONE],
        .jobs_quarantined = states[JOB_QUARANTINED],
        .created_at = v->row.created_ms,
        .ended_at = v->row.ended_ms,
        .progress = v->row.state == RUN_DONE ? 1 : run_share(v, NULL, 0),
        .spec = v->row.spec,
        .paused = v->row.paused,
        .resume_at = v->row.resume_ms,
        .priority = v->row.priority,
        .expert_steps = due_steps(&v->facts, TARGET_EXPERT),
        .extended_from = v->facts.end_count ? v->spec.expert.steps : 0,
        .forked_from = v->row.forked_from,
        .needs =
            *v->spec.needs ? arena_strndup(c->arena, v->spec.needs, strlen(v->spec.needs)) : NULL,
    };
    r->left_least = r->left_most = NAN;
    if (v->row.state == RUN_ACTIVE)
        (void)run_paces_left(c->service->paces, v->row.id, &r->left_least, &r->left_most);
    return run_words(c, v, states, r, e);
}

int runs_list(struct call *c, const void *in, void *out, struct err *e)
{
    (void)in;
    (void)out;
    struct run_row *rows;
    uint32_t count;
    int rc = op_runs(c->conn, c->arena, &rows, &count, e);
    struct msg_run *runs = rc ? NULL : arena_alloc_array(c->arena, count + 1, sizeof *runs);
    if (!rc && !runs)
        rc = err_set(e, ERR_NO_MEMORY, "no memory for %u runs", count);
    for (uint32_t i = 0; !rc && i < count; i++) {
        struct run_view v;
        rc = run_view_load(c->conn, rows[i].id, true, c->arena, &v, e);
        if (!rc)
            rc = fill_run(c, &v, &runs[i], e);
    }
    return rc ? rc : reply_array(c, &message_run, runs, count, e);
}

/* The newest model that a done job published. */
static int fill_model_blob(struct call *c, uint64_t run, const struct job_key *done,
                           struct msg_model_progress *m, struct err *e)
{
    struct job_row job;
    struct msg_blob *outputs;
    uint32_t count;
    int rc = op_job_find(c->conn, run, done, c->arena, &job, e);
    if (!rc)
        rc = op_outputs(c->conn, job.id, c->arena, &outputs, &count, e);
    for (uint32_t i = 0; !rc && i < count; i++)
        if (outputs[i].role == ROLE_MODEL) {
            m->content = outputs[i].content;
            m->model = outputs[i].digest;
            m->model_bytes = outputs[i].bytes;
        }
    if (!rc)
        m->loss = job.loss;
    return rc;
}

/* What the holder of a job is at, as far as it was heard of (NULL: not yet). */
static const char *at_work(const struct call *c, const struct lease_progress *p)
{
    if (!p)
        return "granted";
    if (c->now_ms - p->seen_ms > LEASE_SILENT_MS)
        return "silent";
    if (p->stalled_ms > 0)
        return "stalled";
    return p->phase == PHASE_RUNNING ? "training" : job_phase_words[p->phase];
}

/* The job that a model is in now, where there is one: its holder, step and loss. */
static int fill_current(struct call *c, uint64_t run, const struct job_key *now,
                        struct msg_model_progress *m, struct err *e)
{
    struct job_row job;
    int rc = op_job_find(c->conn, run, now, c->arena, &job, NULL);
    if (rc == ERR_NOT_FOUND)
        return 0;
    if (rc)
        return err_set(e, rc, "can't read the job of %s %u", job_target_words[now->target],
                       now->index);
    struct lease_progress p;
    bool heard = job.state == JOB_LEASED && lease_progress_of(c->service->leases, job.id, &p);
    m->state = job.state == JOB_LEASED        ? at_work(c, heard ? &p : NULL)
               : job.state == JOB_WAITING     ? (job.ready ? "waiting" : "backing off")
               : job.state == JOB_QUARANTINED ? "quarantined"
               : job.state == JOB_CANCELLED   ? "cancelled"
                                              : "done";
    if (job.state != JOB_LEASED)
        return 0;
    struct agent_row agent;
    if (op_agent_get(c->conn, job.agent, c->arena, &agent, NULL) == 0)
        m->agent = agent.name;
    if (heard) {
        if (p.step > m->step)
            m->step = p.step;
        m->loss = p.loss;
        m->rate = p.rate;
    }
    return 0;
}

static int fill_router(struct call *c, const struct run_view *v, uint32_t i,
                       struct msg_model_progress *m, struct err *e)
{
    *m =
        (struct msg_model_progress){.target = TARGET_ROUTER,
                                    .index = i,
                                    .steps = v->spec.router.rounds * spec_router_steps(&v->spec, i),
                                    .state = "waiting",
                                    .loss = NAN,
                                    .rate = NAN};
    struct job_key k = {.kind = JOB_TRAIN_ROUTER,
                        .target = TARGET_ROUTER,
                        .index = i,
                        .round = v->facts.rounds_trained};
    uint32_t done = v->facts.rounds_trained;
    struct job_row job;
    if (op_job_find(c->conn, v->row.id, &k, c->arena, &job, NULL) == 0 && job.state == JOB_DONE)
        done++;
    m->step = m->steps * done / v->spec.router.rounds;
    int rc = 0;
    if (done > 0) {
        struct job_key last = k;
        last.round = done - 1;
        rc = fill_model_blob(c, v->row.id, &last, m, e);
    }
    k.round = done;
    if (done == v->spec.router.rounds)
        m->state = "done";
    return rc ? rc : fill_current(c, v->row.id, &k, m, e);
}

static int fill_chain(struct call *c, const struct run_view *v, int target, uint32_t i,
                      uint64_t step, struct msg_model_progress *m, struct err *e)
{
    uint64_t steps = due_steps(&v->facts, target);
    *m = (struct msg_model_progress){.target = target,
                                     .index = i,
                                     .step = step,
                                     .steps = steps,
                                     .state = step == steps ? "done" : "waiting",
                                     .loss = NAN,
                                     .rate = NAN};
    struct job_key k = {.kind = JOB_TRAIN, .target = target, .index = i, .step_last = step};
    int rc = 0;
    if (step > 0) {
        k.step_first = due_link_first(&v->facts, target, step);
        rc = fill_model_blob(c, v->row.id, &k, m, e);
    }
    k.step_first = step;
    if (step < steps)
        k.step_last = due_link_last(&v->facts, target, step);
    return rc || step == steps ? rc : fill_current(c, v->row.id, &k, m, e);
}

static int fill_models(struct call *c, const struct run_view *v, struct msg_run *r, struct err *e)
{
    uint32_t experts = v->spec.experts, n = 0;
    struct msg_model_progress *m = arena_alloc_array(c->arena, 2 * experts + 2, sizeof *m);
    if (!m)
        return err_set(e, ERR_NO_MEMORY, "no memory for %u models", 2 * experts + 2);
    int rc = 0;
    for (uint32_t i = 0; !rc && v->spec.router.mode == SPEC_EM && i < experts; i++)
        rc = fill_router(c, v, i, &m[n++], e);
    for (uint32_t i = 0; !rc && i < experts; i++)
        rc = fill_chain(c, v, TARGET_EXPERT, i, v->facts.expert_step[i], &m[n++], e);
    if (!rc && due_steps(&v->facts, TARGET_DENSE))
        rc = fill_chain(c, v, TARGET_DENSE, 0, v->facts.dense_step, &m[n++], e);
    if (!rc && due_steps(&v->facts, TARGET_DENSE_FLOPS))
        rc = fill_chain(c, v, TARGET_DENSE_FLOPS, 0, v->facts.dense_flops_step, &m[n++], e);
    r->models = m;
    r->model_count = n;
    return rc;
}

int runs_share(struct call *c, uint64_t run, double *share, bool *busy, struct err *e)
{
    struct run_view v;
    struct msg_run r;
    uint64_t states[5];
    int rc = run_view_load(c->conn, run, true, c->arena, &v, e);
    if (!rc)
        rc = op_job_states(c->conn, run, states, e);
    if (!rc)
        rc = fill_models(c, &v, &r, e);
    if (rc)
        return rc;
    *share = run_share(&v, r.models, r.model_count);
    *busy = states[JOB_LEASED] > 0;
    return 0;
}

int runs_show(struct call *c, const void *in, void *out, struct err *e)
{
    (void)in;
    struct run_row row;
    struct run_view v;
    int rc = run_find(c, &row, e);
    if (!rc)
        rc = run_view_load(c->conn, row.id, true, c->arena, &v, e);
    if (!rc)
        rc = fill_run(c, &v, out, e);
    if (!rc)
        rc = fill_models(c, &v, out, e);
    struct msg_run *r = out;
    if (!rc && r->state != RUN_DONE)
        r->progress = run_share(&v, r->models, r->model_count);
    return rc;
}

int runs_report(struct call *c, const void *in, void *out, struct err *e)
{
    (void)in;
    (void)out;
    struct run_row row;
    struct job_row job;
    struct job_key k = {.kind = JOB_REPORT};
    struct msg_blob *outputs;
    uint32_t count;
    int rc = run_find(c, &row, e);
    if (rc)
        return rc;
    rc = op_job_find(c->conn, row.id, &k, c->arena, &job, NULL);
    if (rc == ERR_NOT_FOUND || (rc == 0 && job.state != JOB_DONE))
        return err_set(e, ERR_CONFLICT,
                       row.state == RUN_ACTIVE
                           ? "run \"%s\" has no report yet: `tacit run wait %s` waits for it"
                           : "run \"%s\" ended without a report: `tacit run show %s` says why",
                       row.name, row.name);
    if (!rc)
        rc = op_outputs(c->conn, job.id, c->arena, &outputs, &count, e);
    if (rc || count == 0)
        return err_set(e, ERR_INTERNAL, "the report of run \"%s\" can't be found", row.name);
    size_t got;
    char *json = arena_alloc(c->arena, outputs[0].bytes + 1);
    if (!json)
        return err_set(e, ERR_NO_MEMORY, "no memory for a report");
    rc = blob_read(c->service->store, &outputs[0].digest, 0, json, outputs[0].bytes, &got, e);
    c->raw = json;
    c->raw_len = got;
    return rc;
}
