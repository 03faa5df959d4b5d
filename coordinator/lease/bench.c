#include "coordinator/lease/bench.h"

#include <inttypes.h>
#include "core/base/text.h"
#include "coordinator/lease/lease.h"
#include "coordinator/lease/lease_clock.h"
#include "coordinator/lease/poison.h"
#include "coordinator/lease/steering.h"
#include "coordinator/log.h"
#include "coordinator/run/events.h"
#include "coordinator/run/runs.h"
#include "coordinator/store/ops_poison.h"

static int64_t bench_length(uint64_t before)
{
    return before < LEASE_BENCHES_TIMED ? (int64_t)LEASE_BENCH_MS << before : -1;
}

static int free_unproved(struct call *c, uint64_t agent, struct err *e)
{
    uint64_t *jobs;
    uint32_t count;
    int rc = op_jobs_unproved(c->conn, agent, c->arena, &jobs, &count, e);
    for (uint32_t i = 0; !rc && i < count; i++) {
        rc = op_job_retry(c->conn, jobs[i], (uint64_t)c->wall_ms, e);
        if (!rc)
            c->ready++;
    }
    return rc;
}

int bench(struct call *c, uint64_t agent, uint64_t jobs, const char *error, struct err *e)
{
    struct bench_row row;
    bool others = false;
    int rc = op_bench_get(c->conn, agent, c->arena, &row, e);
    if (!rc && row.bench_ms == 0)
        rc = poison_others(c, agent, &others, e);
    if (rc || !others)
        return rc;
    const char *reason = arena_printf(c->arena,
                                      "it failed %" PRIu64 " different jobs in a row, the last one "
                                      "with: %.200s",
                                      jobs, error);
    if (!reason)
        return err_set(e, ERR_NO_MEMORY, "no memory for the reason of a bench");
    int64_t ms = bench_length(row.benches);
    rc = op_bench_put(c->conn, agent, ms, reason, (uint64_t)c->wall_ms, e);
    if (!rc)
        rc = free_unproved(c, agent, e);
    if (!rc)
        rc = event_tell(c, &(struct event){.kind = "agent.benched", .agent = agent}, e, "%s",
                        reason);
    if (rc)
        return rc;
    (void)lease_clock_bench(c->service->leases, agent, (uint64_t)c->wall_ms, c->now_ms, ms);
    log_warn("benched agent=%" PRIu64 " name=%s for_s=%" PRId64 " why=\"%s\"", agent, row.name,
             ms < 0 ? -1 : ms / 1000, reason);
    return 0;
}

int bench_check(struct call *c, struct err *e)
{
    struct bench_row row;
    char left[24];
    int rc = op_bench_get(c->conn, c->agent, c->arena, &row, e);
    if (rc || row.bench_ms == 0)
        return rc;
    int64_t left_ms =
        lease_clock_bench(c->service->leases, c->agent, row.benched_ms, c->now_ms, row.bench_ms);
    if (row.bench_ms > 0 && left_ms <= 0)
        return op_bench_lift(c->conn, c->agent, false, e);
    const char *why = row.reason ? row.reason : "an operator benched it";
    if (row.bench_ms < 0)
        return err_set(e, ERR_BENCHED,
                       "this agent, %s, gets no jobs until an operator says `tacit agents unbench "
                       "%s`: %s",
                       row.name, row.name, why);
    return err_set(e, ERR_BENCHED,
                   "this agent, %s, gets no jobs for another %s, or until an operator says `tacit "
                   "agents unbench %s`: %s",
                   row.name, text_duration((double)left_ms / 1000, left), row.name, why);
}

int agents_unbench(struct call *c, const void *in, void *out, struct err *e)
{
    uint64_t *agents;
    uint32_t count;
    (void)in;
    (void)out;
    int rc = op_agents_named(c->conn, c->name, c->arena, &agents, &count, e);
    if (!rc && count == 0)
        rc = fleet_unknown(c, c->name, e);
    for (uint32_t i = 0; !rc && i < count; i++)
        rc = op_bench_lift(c->conn, agents[i], true, e);
    for (uint32_t i = 0; !rc && i < count; i++)
        rc = event_tell(c, &(struct event){.kind = "agent.unbenched", .agent = agents[i]}, e,
                        "it gets jobs again");
    return rc;
}
