#include "coordinator/lease/handover.h"

#include <inttypes.h>
#include "coordinator/store/ops_queue.h"

int handover_keep(struct call *c, const struct job_row *job, const struct msg_release *m,
                  struct err *e)
{
    if (!c->checked)
        return err_set(e, ERR_UNAVAILABLE,
                       "job %" PRIu64 " changed hands while its save was to be checked", job->id);
    struct job_save s = {.step = m->step, .model = m->outputs[0], .state = m->outputs[1]};
    return op_save_put(c->conn, job->id, c->agent, &s, (uint64_t)c->wall_ms, e);
}

int handover_claim(struct call *c, const struct msg_claim *m, const struct msg_fence *fence,
                   struct job_row *job, struct err *e)
{
    for (uint32_t i = 0; i < m->save_count; i++) {
        struct err gone; /* an offer that is of no use is no error */
        if (op_job_get(c->conn, m->saves[i].job, c->arena, job, &gone) != 0 ||
            job->state != JOB_WAITING || !job->ready || job->failed_agent == c->agent ||
            job->key.kind == JOB_ASSIGN || job->key.kind == JOB_REPORT)
            continue;
        bool open = false;
        int rc = op_run_is_open(c->conn, job->run, c->agent, &open, e);
        if (rc)
            return rc;
        if (!open)
            continue;
        rc = op_job_take(c->conn, job->id, c->agent, fence, (uint64_t)c->wall_ms, e);
        return rc ? rc : op_job_get(c->conn, job->id, c->arena, job, e);
    }
    return err_set(e, ERR_NOT_FOUND, "none of the jobs that were offered waits");
}
