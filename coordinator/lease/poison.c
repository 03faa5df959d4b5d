#include "coordinator/lease/poison.h"

#include <inttypes.h>
#include "core/base/text.h"
#include "coordinator/lease/bench.h"
#include "coordinator/lease/lease.h"
#include "coordinator/lease/lease_clock.h"
#include "coordinator/log.h"
#include "coordinator/run/advance.h"
#include "coordinator/run/events.h"
#include "coordinator/run/settle.h"
#include "coordinator/store/ops_poison.h"

/* --- who is there ------------------------------------------------------------------------------
 */

/* Agents heard of within a lease that are not benched, this one (0: none) left out. */
static int count_alive(struct call *c, uint64_t but, unsigned *alive, struct err *e)
{
    uint64_t *benched;
    uint32_t count;
    int rc = op_benched(c->conn, c->arena, &benched, &count, e);
    if (!rc)
        *alive = lease_clock_alive(c->service->leases, c->now_ms - LEASE_MS, but, benched, count);
    return rc;
}

int poison_others(struct call *c, uint64_t agent, bool *yes, struct err *e)
{
    unsigned alive = 0;
    int rc = count_alive(c, agent, &alive, e);
    *yes = alive > 0;
    return rc;
}

/* --- jobs --------------------------------------------------------------------------------------
 */

int poison_quarantine(struct call *c, const struct job_row *job, const char *error, struct err *e)
{
    int rc = op_job_quarantine(c->conn, job->id, error, (uint64_t)c->wall_ms, e);
    if (!rc)
        rc = op_failing_forgive(c->conn, job->id, e);
    if (!rc)
        rc = run_settle(c->conn, c->arena, job->run, (uint64_t)c->wall_ms, e);
    if (!rc)
        rc = event_tell(c,
                        &(struct event){.kind = "job.quarantined", .run = job->run, .job = job->id},
                        e, "%s: `tacit logs %" PRIu64 "` shows what happened",
                        run_job_words(c->arena, &job->key), job->id);
    if (!rc)
        log_warn("quarantined job=%" PRIu64 " run=%" PRIu64 " what=\"%s\"", job->id, job->run,
                 run_job_words(c->arena, &job->key));
    return rc;
}

int poison_settings(struct call *c, const struct job_row *job, const char *error, struct err *e)
{
    int rc = op_job_quarantine(c->conn, job->id, error, (uint64_t)c->wall_ms, e);
    if (rc)
        return rc;
    const char *reason = arena_printf(c->arena, "%s (job %" PRIu64 ") failed: %.1000s",
                                      run_job_words(c->arena, &job->key), job->id, error);
    if (!reason)
        return err_set(e, ERR_NO_MEMORY, "no memory for the reason of a failure");
    return op_run_end(c->conn, job->run, RUN_FAILED, reason, (uint64_t)c->wall_ms, e);
}

/* Whether enough agents have failed it. One broken machine must not end what others could finish.
 */
static int is_poison(struct call *c, uint64_t id, bool *yes, struct err *e)
{
    struct job_row job;
    uint64_t failers = 0;
    unsigned alive = 0;
    int rc = op_job_get(c->conn, id, c->arena, &job, e);
    if (!rc)
        rc = op_job_failers(c->conn, id, &failers, e);
    if (!rc && failers < LEASE_POISON_AGENTS && job.failures >= LEASE_FAILURES_MAX)
        rc = count_alive(c, 0, &alive, e);
    *yes = failers >= LEASE_POISON_AGENTS ||
           (job.failures >= LEASE_FAILURES_MAX && failers >= (alive < 2 ? 1 : 2));
    return rc;
}

int poison_failed(struct call *c, const struct job_row *job, uint64_t agent, const char *error,
                  bool free, bool *quarantined, struct err *e)
{
    uint64_t different = 0;
    bool poison = false;
    int rc = op_failing_add(c->conn, agent, job->id, &different, e);
    if (!rc && free)
        rc = is_poison(c, job->id, &poison, e);
    if (!rc && poison)
        rc = poison_quarantine(c, job, NULL, e);
    if (quarantined)
        *quarantined = poison;
    if (rc || poison || different < LEASE_BENCH_JOBS)
        return rc;
    return bench(c, agent, different, error, e);
}

int poison_expired(struct call *c, const struct job_row *job, const struct attempt_row *attempt,
                   bool heard, struct err *e)
{
    uint64_t count = 0;
    if (attempt_progressed(attempt))
        return op_vanished_clear(c->conn, job->id, e);
    /* Of an attempt of before a restart it is not known how far it came. */
    if (!heard || attempt->fence.incarnation != store_incarnation(c->service->store))
        return 0;
    int rc = op_vanished_add(c->conn, job->id, attempt->agent, &count, e);
    if (rc || count < LEASE_POISON_AGENTS)
        return rc;
    const char *error =
        arena_printf(c->arena,
                     "%" PRIu64 " agents went silent with it before they had done a step: it may "
                     "bring machines down",
                     count);
    return error ? poison_quarantine(c, job, error, e)
                 : err_set(e, ERR_NO_MEMORY, "no memory for the reason of a failure");
}
