/* Heartbeats: a lease goes on, and what is heard of its job. */
#include <stdlib.h>
#include "core/protocol/messages.h"
#include "coordinator/lease/lease_clock.h"
#include "coordinator/lease/lease_parts.h"
#include "coordinator/lease/replays.h"
#include "coordinator/lease/trails.h"
#include "coordinator/log.h"
#include "coordinator/run/advance.h"
#include "coordinator/store/ops_attempts.h"
#include "coordinator/store/ops_poison.h"
#include "coordinator/store/ops_steer.h"

/* A lease that ran out, of an agent that was cut off and is back. */
struct retake {
    struct lease_clock *leases;
    uint64_t job, agent, wall_ms;
    struct msg_fence fence;
    int64_t due_ms;
};

static int retake_fn(struct store_conn *c, void *arg, struct err *e)
{
    const struct retake *r = arg;
    int rc = op_job_retake(c, r->job, r->agent, &r->fence, r->wall_ms, e);
    if (!rc)
        rc = op_attempt_reopen(c, &r->fence, e);
    return rc ? rc : op_vanished_remove(c, r->job, r->agent, e);
}

static void retake_done(void *arg, int rc, const struct err *e)
{
    struct retake *r = arg;
    struct err ignored; /* without memory the next heartbeat sets the deadline */
    (void)e;            /* somebody else was quicker: the next heartbeat tells */
    if (!rc)
        rc = lease_clock_lease(r->leases, r->job, &r->fence, r->due_ms, NULL, &ignored);
    (void)rc;
    free(r);
}

/* Queued, since a heartbeat is answered from a reader's snapshot. */
static void retake(struct call *c, const struct job_row *job)
{
    struct retake *r = malloc(sizeof *r);
    if (!r)
        return; /* the next heartbeat tries again */
    *r = (struct retake){.leases = c->service->leases,
                         .job = job->id,
                         .agent = c->agent,
                         .wall_ms = (uint64_t)c->wall_ms,
                         .fence = job->fence,
                         .due_ms = c->now_ms + LEASE_MS};
    store_write(c->service->store, retake_fn, retake_done, r);
}

static void tell(struct call *c, const struct job_row *job, enum trail_verdict v,
                 const struct lease_progress *p)
{
    log_warn("stalled job=%llu agent=%llu what=\"%s\" step=%llu for_s=%lld%s",
             (unsigned long long)job->id, (unsigned long long)c->agent,
             run_job_words(c->arena, &job->key), (unsigned long long)p->step,
             (long long)p->stalled_ms / 1000,
             v == TRAIL_HUNG ? ": it does not start again; its lease is not renewed any more"
                             : ": it is told to start again from its last save");
}

int lease_heartbeat(struct call *c, const void *in, void *out, struct err *e)
{
    const struct msg_heartbeat *m = in;
    struct msg_command *command = out;
    struct lease_clock *leases = c->service->leases;
    struct job_row job;
    bool news;
    int rc = lease__load(c, m->fence, &job, e);
    if (rc)
        return rc;
    struct lease_progress p = {
        .step = m->step, .total = m->total, .loss = m->loss, .rate = m->rate, .seen_ms = c->now_ms};
    bool links = job.key.kind == JOB_TRAIN || job.key.kind == JOB_REPLAY;
    struct trail_key key = {.job = job.id,
                            .run = job.run,
                            .last = links ? job.key.step_last : 0,
                            .kind = job.key.kind,
                            .target = job.key.target,
                            .fence = *m->fence};
    bool former = lease__is_former(c, &job), moot;
    rc = replay_is_moot(c, &job, &moot, e);
    if (rc)
        return rc;
    if (former && trails_hung(lease_clock_trails(leases), job.id, m->fence))
        return lease__not_held(&job, e);
    enum trail_verdict v = trails_beat(lease_clock_trails(leases), &key, m, c->now_ms, &p, &news);
    command->command = v == TRAIL_WELL ? COMMAND_CONTINUE : COMMAND_RESTART;
    command->lease_ms = LEASE_MS;
    if (moot || job.state == JOB_CANCELLED || job.state == JOB_QUARANTINED) {
        command->command = COMMAND_ABANDON;
        return 0;
    }
    if (news)
        tell(c, &job, v, &p);
    bool hands_over = false;
    rc = op_hands_over(c->conn, job.run, c->agent, &hands_over, e);
    if (rc)
        return rc;
    if (hands_over && v == TRAIL_WELL)
        command->command = COMMAND_HAND_OVER;
    if (former) {
        retake(c, &job);
        return 0;
    }
    if (job.state != JOB_LEASED)
        return lease__not_held(&job, e);
    if (v == TRAIL_HUNG)
        return 0;
    return lease_clock_lease(leases, job.id, m->fence, c->now_ms + LEASE_MS, &p, e);
}
