#include "coordinator/lease/lease.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "core/base/text.h"
#include "core/env/clock.h"
#include "core/protocol/messages.h"
#include "coordinator/lease/attempts.h"
#include "coordinator/lease/bench.h"
#include "coordinator/lease/handover.h"
#include "coordinator/lease/lease_clock.h"
#include "coordinator/lease/replays.h"
#include "coordinator/store/ops_curves.h"
#include "coordinator/store/ops_verify.h"
#include "coordinator/lease/lease_parts.h"
#include "coordinator/lease/poison.h"
#include "coordinator/lease/steering.h"
#include "coordinator/run/advance.h"
#include "coordinator/run/settle.h"
#include "coordinator/store/blobs.h"
#include "coordinator/store/ops.h"
#include "coordinator/store/ops_queue.h"

#define GIVEN_UP_MAX 16

/* --- claiming -------------------------------------------------------------- */

/* The job has just been taken under this fence: the answer, and its deadline. */
static int grant(struct call *c, struct job_row *job, const struct msg_fence *fence,
                 struct msg_grant *out, struct err *e)
{
    struct msg_fence *kept = arena_alloc(c->arena, sizeof *kept);
    if (!kept)
        return err_set(e, ERR_NO_MEMORY, "no memory for a grant");
    *kept = *fence;
    job->state = JOB_LEASED;
    job->agent = c->agent;
    job->fence = *fence;
    int rc = run_grant(c, job, out, e);
    if (rc == ERR_NOT_FOUND) /* which would read as "no work" */
        return err_set(e, ERR_INTERNAL, "job %" PRIu64 " lacks an input", job->id);
    if (rc)
        return rc;
    out->fence = kept;
    out->lease_ms = LEASE_MS;
    rc = attempt_begin(c, out, fence, e);
    if (rc)
        return rc;
    return lease_clock_lease(c->service->leases, job->id, fence, c->now_ms + LEASE_MS, NULL, e);
}

/* A job that this agent failed last is kept from it while another one could take it. */
static int claim_withheld(struct call *c, const struct msg_fence *fence, struct job_row *job,
                          struct err *e)
{
    uint64_t id;
    bool others;
    int rc = op_queue_first(c->conn, c->agent, true, &id, e);
    if (rc)
        return rc;
    rc = poison_others(c, c->agent, &others, e);
    if (rc)
        return rc;
    if (others) {
        c->ready = 1;
        return err_set(e, ERR_NOT_FOUND, "no job is ready that this agent has not just failed");
    }
    rc = op_job_take(c->conn, id, c->agent, fence, (uint64_t)c->wall_ms, e);
    return rc ? rc : op_job_get(c->conn, id, c->arena, job, e);
}

/* What the agent holds; a duplicate of what has ended meanwhile is taken from it. */
static int held_job(struct call *c, struct job_row *job, struct err *e)
{
    bool moot = true;
    int rc = 0;
    while (!rc && moot) {
        rc = op_job_held_by(c->conn, c->agent, c->arena, job, e);
        if (!rc)
            rc = replay_is_moot(c, job, &moot, e);
        if (!rc && moot)
            rc = attempt_overtaken(c, job, NULL, e);
        if (!rc && moot)
            rc = op_replay_cancel(c->conn, job->id, (uint64_t)c->wall_ms, e);
    }
    return rc;
}

/* *failed: what the agent held was taken from it, which is to be kept whatever else comes. */
static int next_job(struct call *c, const struct msg_claim *m, struct msg_fence *fence,
                    struct job_row *job, bool *failed, struct err *e)
{
    int rc = steering_trusts(c, e);
    if (!rc)
        rc = op_fence_next(c->conn, fence, e);
    if (rc)
        return rc;
    rc = held_job(c, job, e);
    if (!rc)
        rc = lease__claimed_again(c, job, failed, e);
    if (!rc && !*failed)
        return op_job_refence(c->conn, job->id, fence, e);
    if (rc && rc != ERR_NOT_FOUND)
        return rc;
    rc = bench_check(c, e);
    if (!rc)
        rc = steering_allows(c, e);
    if (rc)
        return rc;
    rc = handover_claim(c, m, fence, job, e);
    if (rc == ERR_NOT_FOUND)
        rc = op_job_claim(c->conn, false, c->agent, fence, (uint64_t)c->wall_ms, c->arena, job, e);
    if (rc == ERR_NOT_FOUND)
        rc = claim_withheld(c, fence, job, e);
    if (rc == ERR_NOT_FOUND)
        rc = replay_claim(c, fence, job, e);
    return rc == ERR_NOT_FOUND ? steering_pass_on(c, e) : rc;
}

/* The job has just been taken, and cannot be handed out: it does not stand in front of the queue
 * for ever. The agent is not to blame. */
static int give_up(struct call *c, const struct job_row *job, struct err *e)
{
    const char *error =
        arena_printf(c->arena, "the coordinator cannot hand it out: %s", e->message);
    if (!error)
        return err_set(e, ERR_NO_MEMORY, "no memory for the reason of a failure");
    int rc = op_job_return(c->conn, job->id, true, NULL, (uint64_t)c->wall_ms, e);
    return rc ? rc : poison_quarantine(c, job, error, e);
}

int lease_claim(struct call *c, const void *in, void *out, struct err *e)
{
    lease_clock_seen(c->service->leases, c->agent, c->now_ms);
    bool kept = false;
    for (unsigned given_up = 0;; given_up++) {
        bool failed = false;
        struct msg_fence fence;
        struct job_row job;
        struct msg_grant *g = out;
        *g = (struct msg_grant){0};
        int rc = next_job(c, in, &fence, &job, &failed, e);
        kept = kept || failed || given_up > 0;
        if (rc) /* no work: the fence is rolled back with the rest, or stays with what changed */
            return (rc == ERR_NOT_FOUND || rc == ERR_BENCHED || rc == ERR_DRAINED) && kept ? 0 : rc;
        rc = grant(c, &job, &fence, g, e);
        if (!rc)
            return op_agent_seen(c->conn, c->agent, (uint64_t)c->wall_ms, e);
        if (err_is_passing(rc) || (rc = give_up(c, &job, e)))
            return rc;
        if (given_up == GIVEN_UP_MAX) { /* a transaction is short; the next claim goes on */
            *g = (struct msg_grant){0};
            c->ready = 1;
            return 0;
        }
    }
}

/* --- holding --------------------------------------------------------------- */

static int check_fence(const struct call *c, const struct job_row *job,
                       const struct msg_fence *fence, struct err *e)
{
    if (!fence || lease_fence_compare(fence, &job->fence) != 0 ||
        (job->state == JOB_LEASED && job->agent != c->agent))
        return err_set(e, ERR_FENCED,
                       "job %" PRIu64 " was granted anew since: drop this work and claim again",
                       job->id);
    return 0;
}

int lease__load(struct call *c, const struct msg_fence *fence, struct job_row *job, struct err *e)
{
    lease_clock_seen(c->service->leases, c->agent, c->now_ms);
    int rc = op_job_get(c->conn, c->id, c->arena, job, e);
    return rc ? rc : check_fence(c, job, fence, e);
}

bool lease__is_former(const struct call *c, const struct job_row *job)
{
    return job->state == JOB_WAITING && job->former == c->agent && c->agent;
}

int lease__not_held(const struct job_row *job, struct err *e)
{
    return err_set(e, ERR_FENCED,
                   "job %" PRIu64 " is %s and not held by anybody: drop this work and claim again",
                   job->id, job_state_words[job->state]);
}

int lease_check_holder(const struct call *c, const struct job_row *job,
                       const struct msg_fence *fence, struct err *e)
{
    int rc = check_fence(c, job, fence, e);
    if (rc || job->state == JOB_LEASED || lease__is_former(c, job))
        return rc;
    return lease__not_held(job, e);
}

/* --- completing ------------------------------------------------------------ */

int lease__check_blobs(struct call *c, const struct msg_complete *m, struct err *e)
{
    for (uint32_t i = 0; i < m->output_count; i++) {
        struct blob_info info;
        const struct msg_blob *b = &m->outputs[i];
        int rc = blob_stat(c->service->store, &b->digest, &info, e);
        if (rc && rc != ERR_NOT_FOUND)
            return rc;
        char hex[DIGEST_HEX + 1];
        if (rc || !info.complete) /* collected just now: no failure, its agent sends it again */
            return err_set(e, ERR_CONFLICT,
                           "output %u, blob %s, is not in the store: upload it "
                           "first",
                           i, digest_to_hex(&b->digest, hex));
        if (info.size != b->bytes)
            return err_set(e, ERR_INVALID,
                           "output %u, blob %s, has %" PRIu64 " bytes, not %" PRIu64, i,
                           digest_to_hex(&b->digest, hex), info.size, b->bytes);
    }
    return 0;
}

static bool same_output(const struct msg_blob *a, const struct msg_blob *b)
{
    return a->role == b->role && a->index == b->index && a->bytes == b->bytes &&
           a->first == b->first && a->count == b->count && digest_equal(&a->digest, &b->digest) &&
           digest_equal(&a->content, &b->content);
}

/* The same completion again (its answer was lost) is a success; another one is not. */
static int complete_again(struct call *c, const struct job_row *job, const struct msg_complete *m,
                          struct err *e)
{
    struct msg_blob *rows;
    uint32_t count;
    if (job->agent != c->agent)
        return replay_late(c, job, m, e);
    if (job->key.kind == JOB_REPLAY) /* compared when it came first */
        return 0;
    int rc = op_outputs(c->conn, job->id, c->arena, &rows, &count, e);
    if (rc)
        return rc;
    bool same = count == m->output_count;
    for (uint32_t i = 0; same && i < count; i++)
        same = same_output(&rows[i], &m->outputs[i]);
    return same ? 0
                : err_set(e, ERR_CONFLICT, "job %" PRIu64 " is done already, with other outputs",
                          job->id);
}

/* The chain's next link goes to the same agent, which has its state at hand. What keeps it from
 * being granted must not cost the result that is just coming in: the next claim will tell. */
static int grant_next(struct call *c, const struct job_row *done, struct msg_completed *out,
                      struct err *e)
{
    struct err ignored;
    struct job_row next;
    struct msg_fence fence;
    if (done->key.kind != JOB_TRAIN ||
        op_job_next_link(c->conn, done->run, done->key.target, done->key.index, done->key.step_last,
                         c->arena, &next, &ignored) ||
        next.state != JOB_WAITING || !next.ready || !steering_goes_on(c, done->run))
        return 0;
    struct msg_grant *g = arena_alloc(c->arena, sizeof *g);
    if (!g)
        return 0;
    if (run_grant(c, &next, g, &ignored)) /* tried before anything is changed */
        return 0;
    int rc = op_fence_next(c->conn, &fence, e);
    if (!rc)
        rc = op_job_take(c->conn, next.id, c->agent, &fence, (uint64_t)c->wall_ms, e);
    if (!rc)
        rc = grant(c, &next, &fence, g, e);
    if (rc)
        return rc;
    if (c->ready > 0)
        c->ready--; /* it was counted when it was inserted, and waits for nobody else */
    out->next = g;
    return 0;
}

int lease_complete(struct call *c, const void *in, void *out, struct err *e)
{
    const struct msg_complete *m = in;
    struct msg_completed *completed = out;
    struct job_row job;
    completed->next = NULL;
    int rc = lease__load(c, m->fence, &job, e);
    if (rc)
        return rc;
    if (job.state == JOB_DONE)
        return complete_again(c, &job, m, e);
    rc = lease_check_holder(c, &job, m->fence, e);
    if (!rc && !c->checked)
        rc =
            err_set(e, ERR_UNAVAILABLE,
                    "job %" PRIu64 " changed hands while its outputs were to be checked: send them "
                    "again",
                    job.id);
    if (!rc)
        rc = lease__check_blobs(c, m, e);
    if (!rc && job.key.kind == JOB_REPLAY) {
        struct job_row replay = job;
        bool published = false;
        rc = replay_complete(c, &replay, m, &published, &job, e);
        if (rc || !published)
            return rc;
    } else if (!rc) {
        rc = op_job_done(c->conn, job.id, m, NULL, (uint64_t)c->wall_ms, e);
        if (!rc)
            rc = attempt_done(c, &job, m, e);
    }
    if (!rc)
        rc = op_curve_put(c->conn, job.id, m->points, m->point_count, job.since_ms,
                          (uint64_t)c->wall_ms, e);
    if (!rc)
        rc = run_advance(c, job.run, &job.key, e);
    if (!rc)
        rc = run_settle(c->conn, c->arena, job.run, (uint64_t)c->wall_ms, e);
    if (!rc)
        rc = grant_next(c, &job, completed, e);
    return rc || completed->next ? rc : steering_freed(c, e);
}
