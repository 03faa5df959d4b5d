#include "coordinator/lease/steering.h"

#include <inttypes.h>
#include "coordinator/store/ops_queue.h"
#include "coordinator/store/ops_steer.h"

int steering_trusts(struct call *c, struct err *e)
{
    struct agent_steer a;
    int rc = op_agent_steer(c->conn, c->agent, c->arena, &a, e);
    if (rc || a.revoked_ms == 0)
        return rc;
    return err_set(e, ERR_DENIED,
                   "this agent, %s, was revoked by an operator; `tacit agents restore %s` takes it "
                   "back",
                   a.name, a.name);
}

int steering_allows(struct call *c, struct err *e)
{
    struct agent_steer a;
    struct quota quota;
    int rc = op_agent_steer(c->conn, c->agent, c->arena, &a, e);
    if (!rc && a.drain != AGENT_WORKS)
        return err_set(e, ERR_DRAINED,
                       "this agent, %s, gets no more jobs until an operator says `tacit agents "
                       "undrain %s`; it holds none, and may be stopped",
                       a.name, a.name);
    if (!rc)
        rc = op_quota_of(c->conn, c->agent, c->arena, &quota, e);
    if (rc || !quota.limited || quota.held < quota.jobs)
        return rc;
    c->ready = 1;
    return err_set(e, ERR_NOT_FOUND,
                   "the agents of %s hold %" PRIu64 " jobs, as many as `tacit quota` lets them",
                   quota.owner, quota.held);
}

int steering_pass_on(struct call *c, struct err *e)
{
    bool others = false;
    int rc = op_queue_has_more(c->conn, &others, e);
    if (rc)
        return rc;
    if (others)
        c->ready = 1;
    return err_set(e, ERR_NOT_FOUND, "no job is ready, and none is slow");
}

bool steering_goes_on(struct call *c, uint64_t run)
{
    struct agent_steer a;
    struct quota quota;
    struct err ignored;
    bool open = false;
    if (op_run_is_open(c->conn, run, c->agent, &open, &ignored) || !open ||
        op_agent_steer(c->conn, c->agent, c->arena, &a, &ignored) || a.drain != AGENT_WORKS ||
        op_quota_of(c->conn, c->agent, c->arena, &quota, &ignored))
        return false;
    return !quota.limited || quota.held < quota.jobs;
}

int steering_freed(struct call *c, struct err *e)
{
    struct quota quota;
    int rc = op_quota_of(c->conn, c->agent, c->arena, &quota, e);
    if (!rc && quota.limited)
        c->ready++;
    return rc;
}
