/* Jobs and their attempts as operators see them: the state that they are in, why, and since when.
 */
#include <inttypes.h>
#include <math.h>
#include <string.h>
#include "core/base/text.h"
#include "coordinator/lease/lease.h"
#include "coordinator/run/advance.h"
#include "coordinator/run/reply.h"
#include "coordinator/run/runs.h"
#include "coordinator/store/ops_attempts.h"

#define JOBS_LIMIT_DEFAULT 1000
#define JOBS_LIMIT_MAX 10000
#define REASON_CHARS 7000

/* A word of ?state=: what the database is asked for, and what of it is then shown. */
struct wanted {
    int state, status; /* enum job_state or −1; enum job_status or −1: all of that state */
};

static int wanted_of_word(const char *word, struct wanted *w, struct err *e)
{
    w->state = w->status = -1;
    if (!word)
        return 0;
    for (int i = 0; job_status_words[i]; i++)
        if (strcmp(job_status_words[i], word) == 0) {
            bool is_state = i <= JOB_CANCELLED;
            w->state = is_state ? i : i == JOB_BACKING_OFF ? JOB_WAITING : JOB_LEASED;
            w->status = is_state ? -1 : i;
            return 0;
        }
    return err_set(e, ERR_INVALID,
                   "state=%s: a job is waiting (of these, backing off), leased (fetching, running, "
                   "saving, uploading, silent), done, quarantined or cancelled",
                   word);
}

static const char *or_somebody(const char *name)
{
    return name ? name : "an agent";
}

static uint64_t wall_of(const struct call *c, int64_t monotonic_ms)
{
    int64_t wall = c->wall_ms - (c->now_ms - monotonic_ms);
    return wall > 0 ? (uint64_t)wall : 0;
}

static const char *waiting_reason(struct call *c, const struct job_row *j)
{
    if (j->key.kind == JOB_ASSIGN || j->key.kind == JOB_REPORT)
        return j->ready ? "for the coordinator, which does it itself" : "rests after a failure";
    if (!j->ready)
        return arena_printf(c->arena, "rests after failure %" PRIu64, j->failures);
    if (j->failed_agent)
        return arena_printf(c->arena, "for another agent than %s, which failed it last",
                            or_somebody(reply_agent_name(c, j->failed_agent)));
    if (j->former)
        return arena_printf(c->arena, "for an agent; nothing is heard of %s, which had it",
                            or_somebody(reply_agent_name(c, j->former)));
    return "for an agent";
}

static const char *running_reason(struct call *c, const struct lease_progress *p)
{
    char time[24], step[28], total[28];
    text_count(p->step, step);
    text_count(p->total, total);
    switch (p->phase) {
    case PHASE_FETCHING:
        return "fetches what it needs";
    case PHASE_UPLOADING:
        return "sends what it made";
    default:
        break;
    }
    const char *at = p->total ? arena_printf(c->arena, "at %s of %s", step, total)
                              : arena_printf(c->arena, "at %s", step);
    if (p->stalled_ms > 0)
        return arena_printf(c->arena,
                            "stalled %s: no step for %s, more than ten times its usual; told to "
                            "start again from its last save",
                            at, text_duration((double)p->stalled_ms / 1000, time));
    return p->phase == PHASE_SAVING ? arena_printf(c->arena, "saves %s", at) : at;
}

static void fill_leased(struct call *c, const struct job_row *j, struct msg_job *m)
{
    static const int of_phase[] = {JOB_FETCHING, JOB_RUNNING, JOB_SAVING, JOB_UPLOADING};
    struct lease_progress p;
    char time[24];
    if (!j->agent) {
        m->state = JOB_RUNNING;
        m->reason = "the coordinator does it";
        return;
    }
    if (!lease_progress_of(c->service->leases, j->id, &p)) {
        bool silent = c->wall_ms - (int64_t)j->since_ms > LEASE_SILENT_MS;
        m->state = silent ? JOB_SILENT : JOB_LEASED;
        m->reason = silent ? "granted, and nothing was heard of it since, or since the coordinator "
                             "started"
                           : "granted, and not heard of yet";
        return;
    }
    m->step = p.step;
    m->loss = p.loss;
    m->rate = p.rate;
    m->state = of_phase[p.phase];
    m->since_at = wall_of(c, p.phase_ms);
    m->reason = running_reason(c, &p);
    int64_t quiet_ms = c->now_ms - p.seen_ms;
    if (quiet_ms > LEASE_SILENT_MS) {
        m->state = JOB_SILENT;
        m->since_at = wall_of(c, p.seen_ms);
        m->reason = arena_printf(c->arena, "nothing heard for %s; a lease ends after a minute",
                                 text_duration((double)quiet_ms / 1000, time));
        m->rate = NAN;
    }
}

/* What went wrong before goes behind the reason. */
static const char *with_errors(struct call *c, const struct job_row *j, const char *reason)
{
    if (!j->errors || j->state == JOB_DONE)
        return reason;
    if (j->state == JOB_QUARANTINED)
        reason = "given up";
    char *text = arena_printf(c->arena, "%s; failed %" PRIu64 " time%s: %.*s", reason ? reason : "",
                              j->failures, j->failures == 1 ? "" : "s", REASON_CHARS, j->errors);
    if (text)
        text_make_utf8(text);
    return text ? text : reason;
}

/* *run: that of the job before, most often this one's, too; 0 before the first. */
static int fill_job(struct call *c, const struct job_row *j, struct run_row *run, struct msg_job *m,
                    struct err *e)
{
    int rc = j->run == run->id ? 0 : op_run_get(c->conn, j->run, c->arena, run, e);
    if (rc)
        return rc;
    *m = (struct msg_job){.job = j->id,
                          .run = run->name,
                          REPLY_JOB_KEY(&j->key),
                          .state = j->state,
                          .step = j->state == JOB_DONE ? j->key.step_last : j->key.step_first,
                          .agent = reply_agent_name(c, j->agent),
                          .attempts = j->attempts,
                          .failures = j->failures,
                          .since_at = j->since_ms,
                          .loss = j->state == JOB_DONE ? j->loss : NAN,
                          .rate = NAN};
    if (j->state == JOB_LEASED) {
        fill_leased(c, j, m);
    } else if (j->state == JOB_WAITING) {
        m->state = j->ready ? JOB_WAITING : JOB_BACKING_OFF;
        m->reason = waiting_reason(c, j);
    } else if (j->state == JOB_CANCELLED) {
        m->reason = run->state == RUN_CANCELLED ? "its run was cancelled" : "its run failed";
    }
    m->reason = with_errors(c, j, m->reason);
    return 0;
}

int status_jobs(struct call *c, const void *in, void *out, struct err *e)
{
    (void)in;
    (void)out;
    struct run_row run = {0};
    struct job_row *rows;
    struct wanted wanted;
    uint32_t count, shown = 0, limit = JOBS_LIMIT_DEFAULT;
    int rc = wanted_of_word(c->query_state, &wanted, e);
    if (!rc && c->query_run && (rc = op_run_find(c->conn, c->query_run, c->arena, &run, e)))
        return err_set(e, rc, "there is no run \"%s\": `tacit run list` shows them", c->query_run);
    if (c->query_limit > 0 && c->query_limit < JOBS_LIMIT_MAX)
        limit = (uint32_t)c->query_limit;
    if (!rc)
        rc = op_jobs(c->conn, run.id, -1, wanted.state, wanted.status < 0 ? limit : JOBS_LIMIT_MAX,
                     c->arena, &rows, &count, e);
    struct msg_job *jobs = rc ? NULL : arena_alloc_array(c->arena, count + 1, sizeof *jobs);
    if (!rc && !jobs)
        rc = err_set(e, ERR_NO_MEMORY, "no memory for %u jobs", count);
    for (uint32_t i = 0; !rc && i < count && shown < limit; i++) {
        rc = fill_job(c, &rows[i], &run, &jobs[shown], e);
        shown += wanted.status < 0 || (!rc && jobs[shown].state == wanted.status);
    }
    return rc ? rc : reply_array(c, &message_job, jobs, shown, e);
}

static int no_job(const struct call *c, struct err *e)
{
    return err_set(e, ERR_NOT_FOUND, "there is no job %" PRIu64 ": `tacit jobs` shows them", c->id);
}

int jobs_show(struct call *c, const void *in, void *out, struct err *e)
{
    (void)in;
    struct job_row row;
    struct run_row run = {0};
    int rc = op_job_get(c->conn, c->id, c->arena, &row, e);
    if (rc == ERR_NOT_FOUND)
        return no_job(c, e);
    return rc ? rc : fill_job(c, &row, &run, out, e);
}

static int fill_attempt(struct call *c, const struct attempt_row *r, struct msg_attempt *m,
                        struct err *e)
{
    struct agent_row agent = {0};
    int rc = r->agent ? op_agent_get(c->conn, r->agent, c->arena, &agent, e) : 0;
    *m = (struct msg_attempt){.job = r->job,
                              .number = r->number,
                              .agent = agent.name,
                              .host = agent.host,
                              .outcome = r->outcome,
                              .started_at = r->started_ms,
                              .ended_at = r->ended_ms,
                              .step_first = r->step_first,
                              .step = r->step,
                              .loss_first = r->loss_first,
                              .loss = r->loss,
                              .end = r->words,
                              .log = r->log};
    return rc ? rc : lease_heard_of(c, r, m, e);
}

int jobs_attempts(struct call *c, const void *in, void *out, struct err *e)
{
    (void)in;
    (void)out;
    struct job_row job;
    struct attempt_row *rows;
    uint32_t count;
    int rc = op_job_get(c->conn, c->id, c->arena, &job, e);
    if (rc == ERR_NOT_FOUND)
        return no_job(c, e);
    if (!rc)
        rc = op_attempts(c->conn, c->id, c->arena, &rows, &count, e);
    struct msg_attempt *list = rc ? NULL : arena_alloc_array(c->arena, count + 1, sizeof *list);
    if (!rc && !list)
        rc = err_set(e, ERR_NO_MEMORY, "no memory for %u attempts", count);
    for (uint32_t i = 0; !rc && i < count; i++)
        rc = fill_attempt(c, &rows[i], &list[i], e);
    return rc ? rc : reply_array(c, &message_attempt, list, count, e);
}
