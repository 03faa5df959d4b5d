#include "coordinator/run/settle.h"

#include <inttypes.h>
#include <string.h>
#include "coordinator/log.h"
#include "coordinator/run/advance.h"
#include "coordinator/run/works.h"
#include "coordinator/store/ops_poison.h"
#include "coordinator/store/ops_verify.h"

#define NAMED 8 /* jobs in a reason */
#define ERROR_CHARS 300

/* "train expert 1, steps 0 to 20 (job 12): no space left; …" */
static const char *name_jobs(struct arena *a, const struct job_row *rows, uint32_t count)
{
    const char *text = "";
    for (uint32_t i = 0; text && i < count; i++) {
        const char *error = rows[i].errors ? rows[i].errors : "no reason is known";
        int first = (int)strcspn(error, "\n");
        text = arena_printf(a, "%s%s%s (job %" PRIu64 "): %.*s", text, i ? "; " : "",
                            run_job_words(a, &rows[i].key), rows[i].id,
                            first < ERROR_CHARS ? first : ERROR_CHARS, error);
    }
    return text;
}

int run_settle(struct store_conn *c, struct arena *a, uint64_t run, uint64_t wall_ms, struct err *e)
{
    struct run_row row;
    struct job_row *jobs;
    uint64_t open = 0, states[5];
    uint32_t count;
    int rc = op_jobs_open(c, run, &open, e);
    if (rc || open)
        return rc;
    rc = op_job_states(c, run, states, e);
    if (rc || states[JOB_QUARANTINED] == 0)
        return rc;
    rc = op_run_get(c, run, a, &row, e);
    if (rc || row.state != RUN_ACTIVE)
        return rc;
    rc = op_jobs(c, run, -1, JOB_QUARANTINED, NAMED, a, &jobs, &count, e);
    if (rc)
        return rc;
    uint64_t all = states[JOB_QUARANTINED];
    const char *names = name_jobs(a, jobs, count);
    const char *more = all > count ? arena_printf(a, "; and %" PRIu64 " more", all - count) : "";
    const char *reason =
        names && more ? arena_printf(a,
                                     "nothing is left that can be done: %" PRIu64
                                     " job%s in quarantine. %s%s. `tacit logs JOB` shows what "
                                     "happened, `tacit retry %s` tries once more",
                                     all, all == 1 ? " is" : "s are", names, more, row.name)
                      : NULL;
    if (!reason)
        return err_set(e, ERR_NO_MEMORY, "no memory for the reason of a failure");
    log_warn("run failed run=%s quarantined=%" PRIu64, row.name, all);
    return op_run_end(c, run, RUN_FAILED, reason, wall_ms, e);
}

int run_go_on(struct call *c, const struct run_row *run, struct err *e)
{
    uint64_t states[5];
    int rc = 0;
    if (run->state == RUN_FAILED)
        rc = op_run_revive(c->conn, run->id, (uint64_t)c->wall_ms, e);
    else if (run->state == RUN_DONE)
        rc = op_run_reopen(c->conn, run->id, e);
    if (!rc)
        rc = run_advance(c, run->id, NULL, e);
    if (!rc)
        rc = op_job_states(c->conn, run->id, states, e);
    if (rc)
        return rc;
    c->ready = states[JOB_WAITING];
    if (c->service->works)
        works_wake(c->service->works);
    return 0;
}
