/* Data sets, agents and the coordinator's state as operators see them. */
#include "coordinator/run/runs.h"

#include <math.h>
#include <string.h>
#include "core/base/text.h"
#include "core/data/shard.h"
#include "core/env/process.h"
#include "core/version.h"
#include "coordinator/lease/lease.h"
#include "coordinator/run/advance.h"
#include "coordinator/run/find.h"
#include "coordinator/run/reply.h"
#include "coordinator/store/blobs.h"
#include "coordinator/store/ops_steer.h"
#include "coordinator/store/ops_verify.h"

#define DAY_MS (86400 * (int64_t)1000)
/* An agent that has not been heard of for two heartbeats is silent. */
#define AGENT_SILENT_MS (2 * LEASE_MS / 3)

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
    int rc = dataset_find(c, c->name, &id, e);
    return rc ? rc : op_dataset_get(c->conn, id, true, c->arena, out, e);
}

/* "benched for another 8m 20s: it failed 3 different jobs in a row, …" */
static void fill_bench(struct call *c, const struct agent_row *a, struct msg_agent *m)
{
    char left[24];
    int64_t until = lease_bench_until(c->service->leases, a->id);
    int64_t left_ms = until < 0 ? a->bench_ms : until - c->now_ms;
    if (a->bench_ms == 0 || (a->bench_ms > 0 && left_ms <= 0))
        return;
    m->state = "benched";
    const char *why = a->bench_reason ? a->bench_reason : "";
    m->reason = a->bench_ms < 0
                    ? arena_printf(c->arena, "until `tacit agents unbench %s`: %s", a->name, why)
                    : arena_printf(c->arena, "for another %s: %s",
                                   text_duration((double)left_ms / 1000, left), why);
}

/* What an operator has said of it. */
static void fill_steering(struct call *c, const struct agent_row *a, bool holds,
                          struct msg_agent *m)
{
    m->owner = a->owner;
    if (a->revoked_ms) {
        m->state = "revoked";
        m->reason = arena_printf(c->arena, "until `tacit agents restore %s`", a->name);
    } else if (a->drain != AGENT_WORKS) {
        m->state = holds ? "draining" : "drained";
        m->reason = arena_printf(c->arena, "until `tacit agents undrain %s`%s", a->name,
                                 holds ? "; it has a job still" : "; it may be stopped");
    }
}

static bool is_silent(const struct call *c, const struct agent_row *a)
{
    int64_t seen = lease_agent_seen(c->service->leases, a->id);
    return seen < 0 || c->now_ms - seen > AGENT_SILENT_MS;
}

static bool works(const struct agent_row *a, bool silent, bool holds)
{
    return holds && !silent && a->drain == AGENT_WORKS && a->revoked_ms == 0;
}

static int fill_agent(struct call *c, const struct agent_row *a, struct msg_agent *m, struct err *e)
{
    struct job_row job;
    int64_t seen = lease_agent_seen(c->service->leases, a->id);
    bool silent = is_silent(c, a);
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
    fill_bench(c, a, m);
    int rc = op_agent_labels(c->conn, a->id, c->arena, &m->labels, e);
    if (!rc)
        rc = op_job_held_by(c->conn, a->id, c->arena, &job, e);
    bool holds = rc == 0;
    if (!rc || rc == ERR_NOT_FOUND)
        fill_steering(c, a, holds, m);
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
    if (works(a, silent, holds))
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

static bool is_held_back(struct call *c, const struct agent_row *a)
{
    struct msg_agent m = {.state = NULL};
    if (a->revoked_ms || a->drain != AGENT_WORKS)
        return true;
    fill_bench(c, a, &m);
    return m.state != NULL;
}

/* The same states as fill_agent's, without a look-up for each. */
static int count_agents(struct call *c, struct msg_status *s, struct err *e)
{
    struct agent_row *rows;
    uint64_t *holders;
    uint32_t count, held, at = 0;
    int rc = op_agents(c->conn, c->arena, &rows, &count, e);
    if (!rc)
        rc = op_jobs_holders(c->conn, c->arena, &holders, &held, e);
    for (uint32_t i = 0; !rc && i < count; i++) {
        const struct agent_row *a = &rows[i];
        while (at < held && holders[at] < a->id)
            at++;
        bool holds = at < held && holders[at] == a->id, silent = is_silent(c, a);
        bool at_work = works(a, silent, holds);
        bool draining = holds && a->drain != AGENT_WORKS && a->revoked_ms == 0;
        bool back = !at_work && !draining && is_held_back(c, a);
        bool idle = !at_work && !draining && !back && !silent;
        s->agents++;
        s->agents_working += at_work || draining;
        /* Whoever gets no jobs, whether an operator said so or its failures. */
        s->agents_benched += back;
        s->agents_idle += idle;
        s->threads += at_work || idle ? a->threads : 0;
    }
    return rc;
}

/* What the leased jobs are at, and all that they do a second; and the longest silence. */
static int count_leased(struct call *c, struct msg_status *s, double *rate, int64_t *silence_ms,
                        struct err *e)
{
    uint64_t *ids;
    uint32_t count;
    int rc = op_jobs_leased_ids(c->conn, c->arena, &ids, &count, e);
    for (uint32_t i = 0; !rc && i < count; i++) {
        struct lease_progress p;
        if (!lease_progress_of(c->service->leases, ids[i], &p))
            continue;
        int64_t quiet_ms = c->now_ms - p.seen_ms;
        bool silent = quiet_ms > LEASE_SILENT_MS;
        *silence_ms = quiet_ms > *silence_ms ? quiet_ms : *silence_ms;
        *rate += !silent && p.rate > 0 ? p.rate : 0;
        s->jobs_silent += silent;
        s->jobs_running += !silent && p.phase == PHASE_RUNNING;
        s->jobs_moving += !silent && p.phase != PHASE_RUNNING;
    }
    return rc ? rc : op_jobs_backing_off(c->conn, 0, &s->jobs_backing_off, e);
}

static int fill_disk(struct call *c, struct msg_status *s, struct err *e)
{
    char words[400];
    int64_t since;
    (void)store_health(c->service->store, words, sizeof words, &since);
    text_make_utf8(words);
    s->storage = arena_strndup(c->arena, words, strlen(words));
    s->storage_since = (uint64_t)since;
    s->disk_planned = c->service->disk_planned;
    int rc = store_disk_free(c->service->store, &s->disk_free, e);
    return rc ? rc : store_disk_used(c->service->store, &s->disk_used, e);
}

static int count_jobs(struct call *c, struct msg_status *s, struct err *e)
{
    uint64_t states[5];
    int rc = op_job_states(c->conn, 0, states, e);
    if (rc)
        return rc;
    s->jobs_waiting = states[JOB_WAITING];
    s->jobs_leased = states[JOB_LEASED];
    s->jobs_quarantined = states[JOB_QUARANTINED];
    return 0;
}

static void fill_tls(struct call *c, struct msg_status *s)
{
    int64_t until = atomic_load(&c->service->tls_until_ms), left = until - c->wall_ms;
    s->tls = until == 0 ? "none" : "ok";
    s->tls_until_at = (uint64_t)until;
    if (until != 0 && left <= 0)
        s->tls = "its certificate has expired, and no client believes it: tacitd tls renew";
    else if (until != 0 && left < SERVICE_TLS_WARN_DAYS * DAY_MS)
        s->tls = arena_printf(c->arena, "its certificate ends in %d days: tacitd tls renew",
                              (int)((left + DAY_MS / 2) / DAY_MS));
}

int status_show(struct call *c, const void *in, void *out, struct err *e)
{
    (void)in;
    struct msg_status *s = out;
    uint64_t runs[4];
    double rate = 0;
    int64_t silence_ms = 0;
    int rc = op_run_states(c->conn, runs, e);
    if (!rc)
        rc = count_jobs(c, s, e);
    if (rc)
        return rc;
    s->version = TACIT_VERSION;
    s->uptime_ms = (uint64_t)(c->now_ms - c->service->started_ms);
    s->runs_active = runs[RUN_ACTIVE];
    s->memory_peak = env_memory_peak();
    fill_tls(c, s);
    rc = count_leased(c, s, &rate, &silence_ms, e);
    if (!rc)
        rc = op_alarm_count(c->conn, 0, &s->alarms, e);
    if (!rc)
        rc = count_agents(c, s, e);
    if (!rc)
        rc = fill_disk(c, s, e);
    return rc ? rc : blob_totals(c->service->store, &s->blobs, &s->blob_bytes, e);
}

int status_overview(struct call *c, const void *in, void *out, struct err *e)
{
    (void)in;
    struct msg_overview *m = out;
    struct msg_status s = {0};
    uint64_t states[4];
    int64_t silence_ms = 0;
    struct msg_overview_runs *runs = arena_alloc(c->arena, sizeof *runs);
    struct msg_overview_jobs *jobs = arena_alloc(c->arena, sizeof *jobs);
    struct msg_overview_agents *agents = arena_alloc(c->arena, sizeof *agents);
    if (!runs || !jobs || !agents)
        return err_set(e, ERR_NO_MEMORY, "no memory for an overview");
    int rc = op_run_states(c->conn, states, e);
    if (!rc)
        rc = count_jobs(c, &s, e);
    if (!rc)
        rc = count_leased(c, &s, &m->rate, &silence_ms, e);
    if (!rc)
        rc = count_agents(c, &s, e);
    if (rc)
        return rc;
    uint64_t heard = s.jobs_running + s.jobs_moving + s.jobs_silent;
    uint64_t seen = s.agents_working + s.agents_idle + s.agents_benched;
    *runs = (struct msg_overview_runs){states[RUN_ACTIVE], states[RUN_DONE], states[RUN_FAILED],
                                       states[RUN_CANCELLED]};
    *jobs = (struct msg_overview_jobs){
        .waiting = s.jobs_waiting > s.jobs_backing_off ? s.jobs_waiting - s.jobs_backing_off : 0,
        .backing_off = s.jobs_backing_off,
        .granted = s.jobs_leased > heard ? s.jobs_leased - heard : 0,
        .running = s.jobs_running,
        .moving = s.jobs_moving,
        .silent = s.jobs_silent,
        .quarantined = s.jobs_quarantined};
    *agents = (struct msg_overview_agents){.working = s.agents_working,
                                           .idle = s.agents_idle,
                                           .benched = s.agents_benched,
                                           .silent = s.agents > seen ? s.agents - seen : 0};
    m->version = TACIT_VERSION;
    m->uptime_ms = (uint64_t)(c->now_ms - c->service->started_ms);
    m->runs = runs;
    m->jobs = jobs;
    m->agents = agents;
    m->silence_ms = (uint64_t)silence_ms;
    return 0;
}
