/* Once more: what was given up waits again. */
#include <inttypes.h>
#include "coordinator/lease/lease.h"
#include "coordinator/run/find.h"
#include "coordinator/run/runs.h"
#include "coordinator/run/settle.h"
#include "coordinator/store/ops_poison.h"

static int check_run(const struct run_row *run, struct err *e)
{
    if (run->state == RUN_ACTIVE || run->state == RUN_FAILED)
        return 0;
    return err_set(e, ERR_CONFLICT, "run \"%s\" %s: there is nothing to try again", run->name,
                   run->state == RUN_DONE ? "is done" : "was cancelled");
}

int jobs_retry(struct call *c, const void *in, void *out, struct err *e)
{
    struct job_row job;
    struct run_row run;
    int rc = op_job_get(c->conn, c->id, c->arena, &job, e);
    if (!rc)
        rc = op_run_get(c->conn, job.run, c->arena, &run, e);
    if (!rc)
        rc = check_run(&run, e);
    if (!rc && job.state != JOB_QUARANTINED && job.state != JOB_WAITING && job.state != JOB_LEASED)
        rc = err_set(e, ERR_CONFLICT,
                     "job %" PRIu64 " is %s: only what is in quarantine is tried again", job.id,
                     job_state_words[job.state]);
    if (!rc && job.state == JOB_QUARANTINED) { /* else it was said before, and its answer lost */
        rc = op_job_retry(c->conn, job.id, (uint64_t)c->wall_ms, e);
        if (!rc)
            rc = run_go_on(c, &run, e);
    }
    return rc ? rc : jobs_show(c, in, out, e);
}

int runs_retry(struct call *c, const void *in, void *out, struct err *e)
{
    struct run_row run;
    uint64_t *jobs;
    uint32_t count;
    int rc = run_find(c, &run, e);
    if (!rc)
        rc = check_run(&run, e);
    if (!rc)
        rc = op_jobs_quarantined(c->conn, run.id, c->arena, &jobs, &count, e);
    for (uint32_t i = 0; !rc && i < count; i++)
        rc = op_job_retry(c->conn, jobs[i], (uint64_t)c->wall_ms, e);
    if (!rc && (count > 0 || run.state == RUN_FAILED))
        rc = run_go_on(c, &run, e);
    return rc ? rc : runs_show(c, in, out, e);
}
