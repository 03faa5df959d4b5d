#include "coordinator/lease/replays.h"

#include <inttypes.h>
#include <math.h>
#include "core/protocol/spec.h"
#include "coordinator/lease/attempts.h"
#include "coordinator/lease/lease.h"
#include "coordinator/lease/lease_clock.h"
#include "coordinator/lease/lease_parts.h"
#include "coordinator/log.h"
#include "coordinator/run/advance.h"
#include "coordinator/run/events.h"
#include "coordinator/store/ops_attempts.h"
#include "coordinator/store/ops_queue.h"
#include "coordinator/store/ops_storage.h"
#include "coordinator/store/ops_verify.h"

#define SLOW_JOBS 16 /* looked at for one claim */
/* A duplicate fetches inputs and sends results, and times vary. */
#define MARGIN 1.25
#define MARGIN_S 2.0
/* Of a job that nothing is known of: so many times as long as usual is suspicious. */
#define SILENT_TIMES 3.0

/* --- slow jobs -------------------------------------------------------------------------------- */

/* How much of the job is done, 0…1; NaN where that is not known. */
static double share_done(struct call *c, const struct job_row *job)
{
    struct lease_progress p;
    struct run_view v;
    const struct job_key *k = &job->key;
    double first = 0, last;
    if (!lease_progress_of(c->service->leases, job->id, &p) || p.total == 0)
        return NAN;
    last = (double)p.total;
    if (k->kind == JOB_TRAIN) {
        first = (double)k->step_first;
        last = (double)k->step_last;
    } else if (k->kind == JOB_TRAIN_ROUTER) {
        struct err ignored;
        if (run_view_load(c->conn, job->run, false, c->arena, &v, &ignored))
            return NAN;
        double steps = (double)spec_router_steps(&v.spec, k->index);
        first = steps * k->round;
        last = first + steps;
    }
    double done = ((double)p.step - first) / (last - first);
    return done > 0 && done <= 1 ? done : NAN;
}

/* What jobs usually take, of one claim: slow ones are mostly of the same kind. */
struct usuals {
    struct usual {
        uint64_t run;
        int kind, target;
        double seconds;
    } items[SLOW_JOBS];
    uint32_t count;
};

static int usual_seconds(struct call *c, const struct job_row *job, struct usuals *u,
                         double *seconds, struct err *e)
{
    const struct job_key *k = &job->key;
    for (uint32_t i = 0; i < u->count; i++) {
        const struct usual *x = &u->items[i];
        if (x->run == job->run && x->kind == k->kind && x->target == k->target) {
            *seconds = x->seconds;
            return 0;
        }
    }
    int rc = op_typical_seconds(c->conn, job->run, k->kind, k->target, c->agent, seconds, e);
    if (!rc && isnan(*seconds)) /* it has done none yet: as others do */
        rc = op_typical_seconds(c->conn, job->run, k->kind, k->target, 0, seconds, e);
    if (!rc)
        u->items[u->count++] = (struct usual){job->run, k->kind, k->target, *seconds};
    return rc;
}

/* Whether the agent would probably be through before the holder is. */
static int would_overtake(struct call *c, const struct job_row *job, struct usuals *u, bool *yes,
                          struct err *e)
{
    double usual, elapsed = ((double)c->wall_ms - (double)job->since_ms) / 1000;
    bool open = false;
    *yes = false;
    if (elapsed * 1000 < REPLAY_ELAPSED_MS_MIN)
        return 0;
    int rc = op_run_is_open(c->conn, job->run, c->agent, &open, e);
    if (rc || !open)
        return rc;
    rc = usual_seconds(c, job, u, &usual, e);
    if (rc || isnan(usual) || elapsed <= usual)
        return rc;
    double done = share_done(c, job);
    if (isnan(done))
        *yes = elapsed > SILENT_TIMES * usual + MARGIN_S;
    else
        *yes = elapsed * (1 - done) / done > MARGIN * usual + MARGIN_S;
    return 0;
}

static int duplicate(struct call *c, const struct job_row *slow, const struct msg_fence *fence,
                     struct job_row *job, struct err *e)
{
    uint64_t id = 0;
    int rc = op_replay_insert(c->conn, slow->id, true, 0, RUN_REPLAY_PRIORITY, (uint64_t)c->wall_ms,
                              &id, e);
    if (!rc)
        rc = op_job_take(c->conn, id, c->agent, fence, (uint64_t)c->wall_ms, e);
    if (!rc)
        rc = op_job_get(c->conn, id, c->arena, job, e);
    if (!rc)
        log_info("duplicated job=%" PRIu64 " as=%" PRIu64 " holder=%" PRIu64 " agent=%" PRIu64,
                 slow->id, id, slow->agent, c->agent);
    return rc;
}

int replay_claim(struct call *c, const struct msg_fence *fence, struct job_row *job, struct err *e)
{
    struct job_row *slow = NULL;
    struct usuals usuals = {.count = 0};
    uint32_t count = 0;
    int rc = c->service->no_duplicates
                 ? 0
                 : op_slow_jobs(c->conn, c->agent, SLOW_JOBS, c->arena, &slow, &count, e);
    for (uint32_t i = 0; !rc && i < count; i++) {
        bool yes;
        rc = would_overtake(c, &slow[i], &usuals, &yes, e);
        if (!rc && yes)
            return duplicate(c, &slow[i], fence, job, e);
    }
    return rc ? rc : err_set(e, ERR_NOT_FOUND, "no job is ready, and none is slow");
}

int replay_is_moot(struct call *c, const struct job_row *job, bool *yes, struct err *e)
{
    struct job_row replayed;
    *yes = false;
    if (job->key.kind != JOB_REPLAY || !job->duplicate)
        return 0;
    int rc = op_job_get(c->conn, job->replays, c->arena, &replayed, e);
    *yes = !rc && replayed.state != JOB_WAITING && replayed.state != JOB_LEASED;
    return rc;
}

int replay_given_back(struct call *c, const struct job_row *job, bool *over, struct err *e)
{
    *over = job->key.kind == JOB_REPLAY && job->duplicate;
    return *over ? op_replay_cancel(c->conn, job->id, (uint64_t)c->wall_ms, e) : 0;
}

/* --- results ---------------------------------------------------------------------------------- */

/* By content, where that is not the bytes. */
static const struct digest *name_of(const struct msg_blob *b)
{
    static const struct digest none;
    return digest_equal(&b->content, &none) ? &b->digest : &b->content;
}

/* The first output in which they differ: *at; count where they agree. */
static uint32_t first_difference(const struct msg_blob *a, uint32_t count,
                                 const struct msg_complete *m)
{
    for (uint32_t i = 0; i < count; i++) {
        const struct msg_blob *b = &m->outputs[i];
        if (i >= m->output_count || a[i].role != b->role || a[i].index != b->index ||
            a[i].count != b->count || !digest_equal(name_of(&a[i]), name_of(b)))
            return i;
    }
    return count;
}

static int tell(struct call *c, const struct job_row *job, const struct alarm_row *a, struct err *e)
{
    char published[DIGEST_HEX + 1], found[DIGEST_HEX + 1];
    log_error("ALARM two results of one job run=%" PRIu64 " job=%" PRIu64
              " what=\"%s\" agent=%" PRIu64 " published=%s other=%" PRIu64 " found=%s",
              job->run, job->id, run_job_words(c->arena, &job->key), a->agent,
              digest_to_hex(&a->published, published), a->other, digest_to_hex(&a->found, found));
    return event_tell(
        c, &(struct event){.kind = "alarm", .run = job->run, .job = job->id, .agent = a->other}, e,
        "two results of %s: `tacit alarms` names them", run_job_words(c->arena, &job->key));
}

/* The caller's result of a job that is done, beside the one that was published. *fresh: they
 * differ, and it was not known. */
static int compare(struct call *c, const struct job_row *job, const struct msg_complete *m,
                   bool *agrees, bool *fresh, struct err *e)
{
    static const struct digest nothing;
    struct msg_blob *rows;
    uint32_t count;
    *fresh = false;
    int rc = op_outputs(c->conn, job->id, c->arena, &rows, &count, e);
    if (rc)
        return rc;
    uint32_t at = first_difference(rows, count, m);
    *agrees = at == count && m->output_count == count;
    if (*agrees)
        return 0;
    if (at == count) /* it gives more */
        at = count ? count - 1 : 0;
    struct alarm_row a = {.job = job->id,
                          .at_ms = (uint64_t)c->wall_ms,
                          .agent = job->agent,
                          .other = c->agent,
                          .role = at < count ? rows[at].role : 0,
                          .index = at < count ? rows[at].index : 0,
                          .published = at < count ? *name_of(&rows[at]) : nothing,
                          .found = at < m->output_count ? *name_of(&m->outputs[at]) : nothing};
    rc = op_alarm_insert(c->conn, &a, fresh, e);
    if (!rc && *fresh)
        rc = tell(c, job, &a, e);
    return rc;
}

static int end_replay(struct call *c, const struct job_row *job, const struct msg_complete *m,
                      int verdict, struct err *e)
{
    struct msg_complete kept = *m;
    if (verdict != REPLAY_DIFFERED) /* what differs is kept as evidence */
        kept.output_count = 0;
    int rc = op_job_done(c->conn, job->id, &kept, NULL, (uint64_t)c->wall_ms, e);
    if (!rc)
        rc = op_replay_verdict(c->conn, job->id, verdict, e);
    return rc ? rc : attempt_done(c, job, m, e);
}

/* The duplicate was first. The holder's fence stays the job's, so that it is told. */
static int publish(struct call *c, const struct job_row *job, const struct msg_complete *m,
                   struct job_row *first, struct err *e)
{
    struct attempt_end end = {.job = first->id,
                              .fence = &first->fence,
                              .outcome = ATTEMPT_OVERTAKEN,
                              .words = "another agent that did it too was first"};
    int rc = first->state == JOB_LEASED ? attempt_end(c, &end, NULL, e) : 0;
    if (!rc)
        rc = end_replay(c, job, m, REPLAY_WAS_FIRST, e);
    if (!rc)
        rc = op_job_overtake(c->conn, first->id, c->agent, e);
    return rc ? rc : op_job_done(c->conn, first->id, m, NULL, (uint64_t)c->wall_ms, e);
}

int replay_complete(struct call *c, const struct job_row *job, const struct msg_complete *m,
                    bool *published, struct job_row *first, struct err *e)
{
    bool agrees, fresh;
    *published = false;
    int rc = op_job_get(c->conn, job->replays, c->arena, first, e);
    if (rc)
        return rc;
    if (first->state == JOB_DONE) {
        rc = compare(c, first, m, &agrees, &fresh, e);
        if (!rc)
            rc = end_replay(c, job, m, agrees ? REPLAY_AGREED : REPLAY_DIFFERED, e);
        return rc || !agrees || first->agent == c->agent ? rc
                                                         : op_job_verified(c->conn, first->id, e);
    }
    if (!job->duplicate || (first->state != JOB_WAITING && first->state != JOB_LEASED))
        return err_set(e, ERR_FENCED, "job %" PRIu64 " is not wanted any more: claim again",
                       job->id);
    *published = true;
    return publish(c, job, m, first, e);
}

/* ERR_NOT_FOUND: it has never held the job under this fence. */
static int check_attempt(struct store_conn *c, uint64_t agent, const struct job_row *job,
                         const struct msg_fence *fence, struct arena *a, struct err *e)
{
    struct attempt_row row;
    int rc = op_attempt_get(c, fence, a, &row, e);
    if (!rc && (row.job != job->id || row.agent != agent))
        rc = err_set(e, ERR_NOT_FOUND, "the attempt is another's");
    return rc;
}

int lease_differs_late(const struct call *c, struct store_conn *conn, const struct job_row *job,
                       const struct msg_complete *m, struct arena *a, bool *yes, struct err *e)
{
    struct msg_blob *rows;
    uint32_t count;
    *yes = false;
    if (job->agent == c->agent || job->key.kind == JOB_REPLAY || !m->fence ||
        lease_fence_compare(m->fence, &job->fence) != 0)
        return 0;
    int rc = check_attempt(conn, c->agent, job, m->fence, a, e);
    if (rc)
        return rc == ERR_NOT_FOUND ? 0 : rc;
    rc = op_outputs(conn, job->id, a, &rows, &count, e);
    *yes = !rc && (m->output_count != count || first_difference(rows, count, m) != count);
    return rc;
}

/* The other result, as that of a replay that differs: who is right can be decided later. */
static int keep_evidence(struct call *c, const struct job_row *job, const struct msg_complete *m,
                         struct err *e)
{
    uint64_t id = 0;
    int rc = op_replay_insert(c->conn, job->id, true, 0, RUN_REPLAY_PRIORITY, (uint64_t)c->wall_ms,
                              &id, e);
    if (!rc)
        rc = op_job_take(c->conn, id, c->agent, m->fence, (uint64_t)c->wall_ms, e);
    if (!rc)
        rc = op_job_done(c->conn, id, m, NULL, (uint64_t)c->wall_ms, e);
    return rc ? rc : op_replay_verdict(c->conn, id, REPLAY_DIFFERED, e);
}

int replay_late(struct call *c, const struct job_row *job, const struct msg_complete *m,
                struct err *e)
{
    bool differs, agrees, fresh;
    int rc = check_attempt(c->conn, c->agent, job, m->fence, c->arena, e);
    if (rc)
        return rc == ERR_NOT_FOUND ? lease__not_held(job, e) : rc;
    rc = lease_differs_late(c, c->conn, job, m, c->arena, &differs, e);
    if (rc || !differs)
        return rc;
    if (!c->checked)
        return err_set(e, ERR_UNAVAILABLE,
                       "job %" PRIu64 " was done while this result was under way: send it again",
                       job->id);
    rc = lease__check_blobs(c, m, e);
    if (!rc)
        rc = compare(c, job, m, &agrees, &fresh, e);
    return rc || !fresh ? rc : keep_evidence(c, job, m, e);
}
