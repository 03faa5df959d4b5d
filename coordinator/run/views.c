/* Data sets, jobs, agents and the coordinator's state as operators see them. */
#include "coordinator/run/runs.h"

#include <math.h>
#include <string.h>
#include "core/base/text.h"
#include "core/data/shard.h"
#include "core/env/process.h"
#include "core/version.h"
#include "coordinator/lease/lease.h"
#include "coordinator/run/advance.h"
#include "coordinator/run/reply.h"
#include "coordinator/store/blobs.h"

/* An agent that has not been heard of for two heartbeats is silent. */
#define AGENT_SILENT_MS (2 * LEASE_MS / 3)
#define JOBS_LIMIT_DEFAULT 1000

static int check_shards(struct call *c, const struct msg_dataset *d, const char *split,
                        const struct msg_shard *shards, uint32_t count, uint64_t sequences,
                        struct err *e)
{
    uint64_t sum = 0, per_shard = shard_sequences((uint32_t)d->seq, (uint32_t)d->vocab);
    for (uint32_t i = 0; i < count; i++) {
        struct blob_info info;
        int rc = blob_stat(c->service->store, &shards[i].digest, &info, e);
        if (rc == ERR_NOT_FOUND || (rc == 0 && !info.complete))
            return err_set(e, ERR_CONFLICT,
                           "%s shard %u of data set \"%s\" has not been uploaded: upload it "
                           "first",
                           split, i, d->name);
        if (rc)
            return rc;
        if (info.size != shards[i].bytes)
            return err_set(e, ERR_INVALID, "%s shard %u has %llu bytes, not %llu", split, i,
                           (unsigned long long)info.size, (unsigned long long)shards[i].bytes);
        if (i + 1 < count ? shards[i].sequences != per_shard : shards[i].sequences > per_shard)
            return err_set(
                e, ERR_INVALID, "%s shard %u has %llu sequences; every shard but the last has %llu",
                split, i, (unsigned long long)shards[i].sequences, (unsigned long long)per_shard);
        sum += shards[i].sequences;
    }
    if (sum != sequences)
        return err_set(e, ERR_INVALID, "the %s shards have %llu sequences in all, not %llu", split,
                       (unsigned long long)sum, (unsigned long long)sequences);
    return 0;
}

int datasets_create(struct call *c, const void *in, void *out, struct err *e)
{
    const struct msg_dataset *d = in;
    struct blob_info info;
    uint64_t id;
    if (!text_is_name(d->name))
        return err_set(e, ERR_INVALID,
                       "\"%s\" is no name for a data set: up to 64 letters, digits, '.', '_', '-'",
                       d->name);
    if (op_dataset_find(c->conn, d->name, &id, NULL) == 0)
        return err_set(e, ERR_EXISTS, "a data set \"%s\" exists already: choose another name",
                       d->name);
    int rc = blob_stat(c->service->store, &d->tokenizer, &info, e);
    if (rc == ERR_NOT_FOUND || (rc == 0 && !info.complete))
        return err_set(e, ERR_CONFLICT, "the tokenizer of data set \"%s\" has not been uploaded",
                       d->name);
    if (!rc)
        rc = check_shards(c, d, "train", d->train, d->train_count, d->train_sequences, e);
    if (!rc)
        rc = check_shards(c, d, "held-out", d->heldout, d->heldout_count, d->heldout_sequences, e);
    if (!rc)
        rc = op_dataset_insert(c->conn, d, (uint64_t)c->wall_ms, &id, e);
    return rc ? rc : op_dataset_get(c->conn, id, false, c->arena, out, e);
}

int datasets_list(struct call *c, const void *in, void *out, struct err *e)
{
    (void)in;
    (void)out;
    struct msg_dataset *rows;
    uint32_t count;
    int rc = op_datasets(c->conn, c->arena, &rows, &count, e);
    return rc ? rc : reply_array(c, &message_dataset_listed, rows, count, e);
}

int datasets_show(struct call *c, const void *in, void *out, struct err *e)
{
    (void)in;
    uint64_t id;
    int rc = op_dataset_find(c->conn, c->name, &id, e);
    if (rc == ERR_NOT_FOUND)
        return err_set(e, rc, "there is no data set \"%s\": `tacit datasets` lists them", c->name);
    return rc ? rc : op_dataset_get(c->conn, id, true, c->arena, out, e);
}

static int state_of_word(const char *word, int *state, struct err *e)
{
    *state = -1;
    if (!word)
        return 0;
    for (int i = 0; job_state_words[i]; i++)
        if (strcmp(job_state_words[i], word) == 0)
            *state = i;
    if (*state < 0)
        return err_set(e, ERR_INVALID,
                       "state=%s: a job is waiting, leased, done, quarantined or cancelled", word);
    return 0;
}

static const char *job_reason(const struct job_row *j)
{
    if (j->errors)
        return j->errors;
    bool own = j->key.kind == JOB_ASSIGN || j->key.kind == JOB_REPORT;
    if (j->state == JOB_WAITING && j->ready)
        return own ? "for the coordinator" : "for an agent";
    if (j->state == JOB_WAITING)
        return "backing off after a failure";
    return NULL;
}

static int fill_job(struct call *c, const struct job_row *j, struct msg_job *m, struct err *e)
{
    struct run_row run;
    int rc = op_run_get(c->conn, j->run, c->arena, &run, e);
    if (rc)
        return rc;
    *m = (struct msg_job){.job = j->id,
                          .run = run.name,
                          .kind = j->key.kind,
                          .target = j->key.target,
                          .state = j->state,
                          .index = j->key.index,
                          .round = j->key.round,
                          .chunk = j->key.chunk,
                          .part = j->key.part,
                          .step_first = j->key.step_first,
                          .step_last = j->key.step_last,
                          .step = j->state == JOB_DONE ? j->key.step_last : j->key.step_first,
                          .attempts = j->attempts,
                          .failures = j->failures,
                          .since_at = j->since_ms,
                          .reason = job_reason(j),
                          .loss = j->state == JOB_DONE ? j->loss : NAN,
                          .rate = NAN};
    struct agent_row agent;
    if (j->agent && op_agent_get(c->conn, j->agent, c->arena, &agent, NULL) == 0)
        m->agent = agent.name;
    struct lease_progress p;
    if (j->state == JOB_LEASED && lease_progress_of(c->service->leases, j->id, &p)) {
        m->step = p.step;
        m->loss = p.loss;
        m->rate = p.rate;
    }
    return 0;
}

int status_jobs(struct call *c, const void *in, void *out, struct err *e)
{
    (void)in;
    (void)out;
    struct run_row run = {0};
    struct job_row *rows;
    uint32_t count, limit = JOBS_LIMIT_DEFAULT;
    int state;
    int rc = state_of_word(c->query_state, &state, e);
    if (!rc && c->query_run && (rc = op_run_find(c->conn, c->query_run, c->arena, &run, e)))
        return err_set(e, rc, "there is no run \"%s\": `tacit run list` shows them", c->query_run);
    if (c->query_limit > 0 && c->query_limit < 10 * JOBS_LIMIT_DEFAULT)
        limit = (uint32_t)c->query_limit;
    if (!rc)
        rc = op_jobs(c->conn, run.id, -1, state, limit, c->arena, &rows, &count, e);
    struct msg_job *jobs = rc ? NULL : arena_alloc_array(c->arena, count + 1, sizeof *jobs);
    if (!rc && !jobs)
        rc = err_set(e, ERR_NO_MEMORY, "no memory for %u jobs", count);
    for (uint32_t i = 0; !rc && i < count; i++)
        rc = fill_job(c, &rows[i], &jobs[i], e);
    return rc ? rc : reply_array(c, &message_job, jobs, count, e);
}

static int fill_agent(struct call *c, const struct agent_row *a, struct msg_agent *m, struct err *e)
{
    struct job_row job;
    int64_t seen = lease_agent_seen(c->service->leases, a->id);
    bool silent = seen < 0 || c->now_ms - seen > AGENT_SILENT_MS;
    *m = (struct msg_agent){.agent = a->id,
                            .name = a->name,
                            .host = a->host,
                            .processor = a->processor,
                            .isa = a->isa,
                            .version = a->version,
                            .state = silent ? "silent" : "idle",
                            .threads = a->threads,
                            .memory = a->memory,
                            .jobs_done = a->jobs_done,
                            .failures = a->failures,
                            .joined_at = a->joined_ms,
                            .seen_at =
                                seen < 0 ? a->seen_ms : (uint64_t)(c->wall_ms - (c->now_ms - seen)),
                            .rate = NAN};
    int rc = op_job_held_by(c->conn, a->id, c->arena, &job, e);
    if (rc == ERR_NOT_FOUND)
        return 0;
    struct run_row run;
    if (!rc)
        rc = op_run_get(c->conn, job.run, c->arena, &run, e);
    if (rc)
        return rc;
    struct lease_progress p;
    bool live = lease_progress_of(c->service->leases, job.id, &p);
    m->job = arena_printf(c->arena, "%s: %s", run.name, run_job_words(c->arena, &job.key));
    m->rate = live ? p.rate : NAN;
    if (!silent)
        m->state = "working";
    return 0;
}

int status_agents(struct call *c, const void *in, void *out, struct err *e)
{
    (void)in;
    (void)out;
    struct agent_row *rows;
    uint32_t count;
    int rc = op_agents(c->conn, c->arena, &rows, &count, e);
    struct msg_agent *agents = rc ? NULL : arena_alloc_array(c->arena, count + 1, sizeof *agents);
    if (!rc && !agents)
        rc = err_set(e, ERR_NO_MEMORY, "no memory for %u agents", count);
    for (uint32_t i = 0; !rc && i < count; i++)
        rc = fill_agent(c, &rows[i], &agents[i], e);
    return rc ? rc : reply_array(c, &message_agent, agents, count, e);
}

static int count_agents(struct call *c, struct msg_status *s, struct err *e)
{
    struct agent_row *rows;
    uint32_t count;
    int rc = op_agents(c->conn, c->arena, &rows, &count, e);
    for (uint32_t i = 0; !rc && i < count; i++) {
        struct msg_agent m;
        if ((rc = fill_agent(c, &rows[i], &m, e)))
            return rc;
        s->agents++;
        s->agents_working += strcmp(m.state, "working") == 0;
        s->agents_idle += strcmp(m.state, "idle") == 0;
        if (strcmp(m.state, "silent") != 0)
            s->threads += m.threads;
    }
    return rc;
}

int status_show(struct call *c, const void *in, void *out, struct err *e)
{
    (void)in;
    struct msg_status *s = out;
    struct run_row *runs;
    uint32_t count;
    uint64_t states[5];
    int rc = op_runs(c->conn, c->arena, &runs, &count, e);
    for (uint32_t i = 0; !rc && i < count; i++)
        s->runs_active += runs[i].state == RUN_ACTIVE;
    if (!rc)
        rc = op_job_states(c->conn, 0, states, e);
    if (rc)
        return rc;
    s->version = TACIT_VERSION;
    s->uptime_ms = (uint64_t)(c->now_ms - c->service->started_ms);
    s->jobs_waiting = states[JOB_WAITING];
    s->jobs_leased = states[JOB_LEASED];
    s->jobs_quarantined = states[JOB_QUARANTINED];
    s->memory_peak = env_memory_peak();
    rc = count_agents(c, s, e);
    return rc ? rc : blob_totals(c->service->store, &s->blobs, &s->blob_bytes, e);
}
