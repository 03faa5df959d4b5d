/* A grant ends otherwise than with a result: given back, failed, or with its process. */
#include <inttypes.h>
#include "core/protocol/messages.h"
#include "coordinator/lease/attempts.h"
#include "coordinator/lease/handover.h"
#include "coordinator/lease/lease_clock.h"
#include "coordinator/lease/lease_parts.h"
#include "coordinator/lease/poison.h"
#include "coordinator/lease/replays.h"
#include "coordinator/lease/steering.h"
#include "coordinator/store/ops_poison.h"

#define BACKOFF_MS_MAX (5 * 60 * 1000)

int lease_release(struct call *c, const void *in, void *out, struct err *e)
{
    const struct msg_release *m = in;
    struct job_row job;
    (void)out;
    bool over = false;
    int rc = lease__load(c, m->fence, &job, e);
    if (!rc && m->output_count > 0 && !job.duplicate &&
        (job.state == JOB_LEASED || lease__is_former(c, &job)))
        rc = handover_keep(c, &job, m, e);
    if (rc || job.state != JOB_LEASED) /* ended, or released already: nothing is held */
        return rc;
    struct attempt_ended ended;
    struct attempt_end end = {.job = job.id,
                              .fence = m->fence,
                              .outcome = ATTEMPT_RELEASED,
                              .words = m->output_count > 0 ? "handed over half done" : "given back",
                              .step = m->step,
                              .log = m->log};
    rc = attempt_end(c, &end, &ended, e);
    if (!rc && attempt_progressed(&ended.row))
        rc = op_vanished_clear(c->conn, job.id, e);
    if (!rc)
        rc = replay_given_back(c, &job, &over, e);
    if (rc || over)
        return rc;
    if (!rc)
        rc = op_job_return(c->conn, job.id, true, NULL, (uint64_t)c->wall_ms, e);
    if (!rc)
        c->ready++;
    return rc ? rc : steering_freed(c, e);
}

static int64_t backoff_ms(uint64_t failures)
{
    int64_t ms = LEASE_BACKOFF_MS;
    for (uint64_t i = 1; i < failures && ms < BACKOFF_MS_MAX; i++)
        ms *= 2;
    return ms < BACKOFF_MS_MAX ? ms : BACKOFF_MS_MAX;
}

/* The caller holds the job, and has failed it. */
static int fail_held(struct call *c, const struct job_row *job, const char *error, struct err *e)
{
    bool quarantined = false;
    int rc = op_job_return(c->conn, job->id, false, error, (uint64_t)c->wall_ms, e);
    if (!rc)
        rc = poison_failed(c, job, c->agent, error, true, &quarantined, e);
    if (rc || quarantined)
        return rc;
    return lease_clock_backoff(c->service->leases, job->id, &job->fence,
                               c->now_ms + backoff_ms(job->failures + 1), e);
}

int lease_fail(struct call *c, const void *in, void *out, struct err *e)
{
    const struct msg_fail *m = in;
    const char *error = m->error && *m->error ? m->error : "no reason was given";
    struct job_row job;
    bool over = false;
    (void)out;
    int rc = lease__load(c, m->fence, &job, e);
    if (!rc && job.state == JOB_DONE)
        return lease__not_held(&job, e);
    if (rc || job.state != JOB_LEASED) /* said before, or the run has ended */
        return rc;
    struct attempt_end end = {
        .job = job.id, .fence = m->fence, .outcome = ATTEMPT_FAILED, .words = error, .log = m->log};
    rc = attempt_end(c, &end, NULL, e);
    if (!rc)
        rc = replay_given_back(c, &job, &over, e);
    if (rc || over)
        return rc;
    return m->settings && job.key.kind != JOB_REPLAY ? poison_settings(c, &job, error, e)
                                                     : fail_held(c, &job, error, e);
}

/* How many of the job's last attempts in a row were this agent's and came to nothing. */
static int count_vain(struct call *c, uint64_t job, unsigned *times, struct err *e)
{
    struct attempt_row *rows;
    uint32_t count;
    int rc = op_attempts(c->conn, job, c->arena, &rows, &count, e);
    *times = 0;
    for (; !rc && count > 0; count--, ++*times) {
        const struct attempt_row *r = &rows[count - 1];
        bool vain = r->outcome == ATTEMPT_OVERTAKEN || r->outcome == ATTEMPT_FAILED;
        if (!vain || r->agent != c->agent || attempt_progressed(r))
            break;
    }
    return rc;
}

int lease__claimed_again(struct call *c, const struct job_row *job, bool *failed, struct err *e)
{
    struct attempt_ended ended;
    unsigned times = 0;
    bool over = false;
    *failed = false;
    int rc = attempt_overtaken(c, job, &ended, e);
    /* A grant whose answer was lost was never begun; words are of a process that ended. */
    bool vain = ended.row.id && !attempt_progressed(&ended.row) && (ended.begun || ended.row.words);
    if (!rc && vain)
        rc = count_vain(c, job->id, &times, e);
    if (rc || times < LEASE_VAIN_MAX)
        return rc;
    const char *error =
        arena_printf(c->arena,
                     "its agent began it %u times in a row and ended each time before a step was "
                     "done, as a machine does that has too little memory for it",
                     times);
    if (!error)
        return err_set(e, ERR_NO_MEMORY, "no memory for the reason of a failure");
    struct attempt_end end = {.job = job->id,
                              .fence = &job->fence,
                              .outcome = ATTEMPT_FAILED,
                              .also = ATTEMPT_OVERTAKEN,
                              .words = error,
                              .weak = true};
    *failed = true;
    rc = attempt_end(c, &end, NULL, e);
    if (!rc)
        rc = replay_given_back(c, job, &over, e);
    return rc || over ? rc : fail_held(c, job, error, e);
}

/* --- of a process that ended without a word ----------------------------------------------------
 */

/* The attempt of {id} that this agent had under the fence; id 0 where it is not known (any more).
 */
static int find_attempt(struct call *c, const struct msg_fence *f, struct attempt_row *row,
                        struct err *e)
{
    struct err missing;
    int rc = op_attempt_get(c->conn, f, c->arena, row, &missing);
    if (rc == ERR_NOT_FOUND || (!rc && row->job != c->id)) {
        *row = (struct attempt_row){0};
        return 0;
    }
    if (rc && e)
        *e = missing;
    if (!rc && row->agent != c->agent)
        rc = err_set(e, ERR_FENCED, "job %" PRIu64 " was another agent's under this fence", c->id);
    return rc;
}

/* A crash is a failure of the job, whoever holds it now, once. */
static int count_crash(struct call *c, const struct job_row *job, const struct msg_fence *f,
                       const char *words, struct err *e)
{
    bool same = lease_fence_compare(&job->fence, f) == 0;
    if (job->state != JOB_WAITING && job->state != JOB_LEASED)
        return 0;
    if (job->state == JOB_LEASED && same && job->agent == c->agent)
        return fail_held(c, job, words, e);
    int rc = op_job_blame(c->conn, job->id, c->agent, words, e);
    if (rc)
        return rc;
    return poison_failed(c, job, c->agent, words, job->state == JOB_WAITING, NULL, e);
}

int lease_words(struct call *c, const void *in, void *out, struct err *e)
{
    const struct msg_words *m = in;
    struct attempt_row row;
    struct job_row job;
    struct attempt_ended ended;
    (void)out;
    lease_clock_seen(c->service->leases, c->agent, c->now_ms);
    int rc = op_job_get(c->conn, c->id, c->arena, &job, e);
    if (!rc)
        rc = find_attempt(c, m->fence, &row, e);
    if (rc || row.id == 0)
        return rc;
    bool over = row.outcome == ATTEMPT_EXPIRED || row.outcome == ATTEMPT_OVERTAKEN;
    bool counts = m->crash && (over || row.outcome == ATTEMPT_OPEN);
    struct attempt_end end = {.job = c->id,
                              .fence = m->fence,
                              .outcome = counts ? ATTEMPT_FAILED : row.outcome,
                              .also = row.outcome,
                              .step = m->step,
                              .words = m->end,
                              .log = m->log};
    if (counts || over) {
        rc = attempt_end(c, &end, &ended, e);
    } else if (row.outcome == ATTEMPT_OPEN) { /* its words are kept until it ends */
        rc = attempt_note(c, &end, e);
    }
    return rc || !counts ? rc : count_crash(c, &job, m->fence, m->end, e);
}
