/* GET /metrics: figures over all, for Prometheus (text format 0.0.4). Labels are bounded: states,
 * classes of answers, and the newest active runs. */
#include <string.h>
#include "core/base/buf.h"
#include "core/protocol/messages.h"
#include "coordinator/run/advance.h"
#include "coordinator/run/run_share.h"
#include "coordinator/run/runs.h"
#include "coordinator/store/ops.h"

#define RUNS_SHOWN 64
#define TEXT_MAX (1u << 20)

struct metrics {
    struct call *c;
    struct buf text;
    struct err *e;
    int rc;
};

static void family(struct metrics *m, const char *name, const char *type, const char *help)
{
    if (!m->rc)
        m->rc = buf_printf(&m->text, m->e, "# HELP tacit_%s %s\n# TYPE tacit_%s %s\n", name, help,
                           name, type);
}

/* label NULL: none. Names of runs and states need no escaping. */
static void value(struct metrics *m, const char *name, const char *label, const char *of, double v)
{
    if (m->rc)
        return;
    if (label)
        m->rc = buf_printf(&m->text, m->e, "tacit_%s{%s=\"%s\"} %.17g\n", name, label, of, v);
    else
        m->rc = buf_printf(&m->text, m->e, "tacit_%s %.17g\n", name, v);
}

static void gauge(struct metrics *m, const char *name, const char *help, double v)
{
    family(m, name, "gauge", help);
    value(m, name, NULL, NULL, v);
}

static void say_jobs(struct metrics *m, const struct msg_status *s)
{
    uint64_t heard = s->jobs_running + s->jobs_moving + s->jobs_silent;
    const struct {
        const char *state;
        uint64_t count;
    } of[] = {
        {"waiting", s->jobs_waiting - s->jobs_backing_off},
        {"backing_off", s->jobs_backing_off},
        {"granted", s->jobs_leased > heard ? s->jobs_leased - heard : 0},
        {"running", s->jobs_running},
        {"moving", s->jobs_moving},
        {"silent", s->jobs_silent},
        {"quarantined", s->jobs_quarantined},
    };
    family(m, "jobs", "gauge",
           "Jobs that are not done, by what they are at; moving: fetching, saving, uploading.");
    for (size_t i = 0; i < sizeof of / sizeof of[0]; i++)
        value(m, "jobs", "state", of[i].state, (double)of[i].count);
}

static void say_agents(struct metrics *m, const struct msg_status *s)
{
    uint64_t here = s->agents_working + s->agents_idle + s->agents_benched;
    family(m, "agents", "gauge", "Agents that have joined, by state.");
    value(m, "agents", "state", "working", (double)s->agents_working);
    value(m, "agents", "state", "idle", (double)s->agents_idle);
    value(m, "agents", "state", "benched", (double)s->agents_benched);
    value(m, "agents", "state", "silent", (double)(s->agents > here ? s->agents - here : 0));
    gauge(m, "agent_threads", "Threads of agents that were heard of in the last minute.",
          (double)s->threads);
}

static void say_storage(struct metrics *m, const struct msg_status *s)
{
    gauge(m, "storage_ok", "1 where the coordinator can write, 0 where something keeps it from it.",
          strcmp(s->storage, "ok") == 0);
    gauge(m, "disk_free_bytes", "Free on the coordinator's file system and within blobs.db.",
          (double)s->disk_free);
    gauge(m, "disk_used_bytes", "Taken by the coordinator's databases.", (double)s->disk_used);
    gauge(m, "disk_planned_bytes", "That active runs will still add, at most.",
          (double)s->disk_planned);
    gauge(m, "blobs", "Blobs in the store.", (double)s->blobs);
    gauge(m, "blob_bytes", "Their bytes.", (double)s->blob_bytes);
}

static void say_process(struct metrics *m, const struct msg_status *s)
{
    static const char *const classes[] = {"2xx", "3xx", "4xx", "5xx"};
    family(m, "build_info", "gauge", "1, labelled with the version.");
    value(m, "build_info", "version", s->version, 1);
    gauge(m, "uptime_seconds", "Since the coordinator's start.", (double)s->uptime_ms / 1000);
    gauge(m, "memory_peak_bytes", "Largest resident memory of the coordinator so far.",
          (double)s->memory_peak);
    if (s->tls_until_at)
        gauge(m, "certificate_expiry_timestamp_seconds", "When the coordinator's certificate ends.",
              (double)(s->tls_until_at / 1000));
    gauge(m, "alarms", "Jobs with two different results, of which one is wrong.",
          (double)s->alarms);
    family(m, "http_responses_total", "counter", "Answers since the start, by class.");
    for (int i = 0; i < 4; i++)
        value(m, "http_responses_total", "code", classes[i],
              (double)atomic_load(&m->c->service->answers[i]));
}

struct shown {
    const char *name;
    double progress;
    uint64_t states[5];
};

/* As far as is published, and heard of what is under way: without a look at each model. */
static int look_at(struct call *c, uint64_t id, struct shown *out, struct err *e)
{
    struct run_view v;
    struct run_parts planned, done;
    int rc = run_view_load(c->conn, id, true, c->arena, &v, e);
    if (!rc)
        rc = run_parts_now(c, &v, &done, e);
    if (!rc)
        rc = op_job_states(c->conn, id, out->states, e);
    if (rc)
        return rc;
    run_parts_planned(&v, &planned);
    out->progress = run_parts_share(&planned, &done);
    out->name = v.row.name;
    return 0;
}

/* Names as labels are as many as there are active runs, 64 at most. */
static void say_runs(struct metrics *m)
{
    uint64_t states[4], *ids;
    uint32_t shown;
    struct shown runs[RUNS_SHOWN];
    if (!m->rc)
        m->rc = op_run_states(m->c->conn, states, m->e);
    if (!m->rc)
        m->rc = op_runs_active(m->c->conn, RUNS_SHOWN, m->c->arena, &ids, &shown, m->e);
    for (uint32_t i = 0; !m->rc && i < shown; i++)
        m->rc = look_at(m->c, ids[i], &runs[i], m->e);
    if (m->rc)
        return;
    family(m, "runs", "gauge", "Runs by state.");
    for (int i = RUN_ACTIVE; i <= RUN_CANCELLED; i++)
        value(m, "runs", "state", run_state_words[i], (double)states[i]);
    if (shown == 0)
        return;
    family(m, "run_progress_ratio", "gauge", "Share of an active run's FLOPs that is done.");
    for (uint32_t i = 0; i < shown; i++)
        value(m, "run_progress_ratio", "run", runs[i].name, runs[i].progress);
    family(m, "run_jobs_done", "gauge", "Jobs of an active run that are done.");
    for (uint32_t i = 0; i < shown; i++)
        value(m, "run_jobs_done", "run", runs[i].name, (double)runs[i].states[JOB_DONE]);
    family(m, "run_jobs_quarantined", "gauge", "Jobs of an active run that are in quarantine.");
    for (uint32_t i = 0; i < shown; i++)
        value(m, "run_jobs_quarantined", "run", runs[i].name,
              (double)runs[i].states[JOB_QUARANTINED]);
}

int status_metrics(struct call *c, const void *in, void *out, struct err *e)
{
    struct msg_status s = {0};
    struct metrics m = {.c = c, .e = e};
    (void)in;
    (void)out;
    int rc = status_show(c, NULL, &s, e);
    if (rc)
        return rc;
    buf_init(&m.text, TEXT_MAX);
    say_process(&m, &s);
    say_runs(&m);
    say_jobs(&m, &s);
    say_agents(&m, &s);
    say_storage(&m, &s);
    if (!m.rc) {
        c->raw = arena_strndup(c->arena, m.text.data, m.text.len);
        c->raw_len = m.text.len;
        c->raw_type = "text/plain; version=0.0.4; charset=utf-8";
        m.rc = c->raw ? 0 : err_set(e, ERR_NO_MEMORY, "no memory for the metrics");
    }
    buf_free(&m.text);
    return m.rc;
}
