/* Agents by time: who had which job of a run when. */
#include "coordinator/run/find.h"
#include "coordinator/run/reply.h"
#include "coordinator/run/runs.h"
#include "coordinator/store/ops_attempts.h"

static struct msg_span span_of(const struct span_row *r)
{
    const struct job_key *k = &r->key;
    return (struct msg_span){.job = r->job,
                             .number = r->number,
                             .agent = r->agent,
                             REPLY_JOB_KEY(k),
                             .outcome = r->outcome,
                             .final = k->final,
                             .started_at = r->started_ms,
                             .ended_at = r->ended_ms};
}

int runs_timeline(struct call *c, const void *in, void *out, struct err *e)
{
    (void)in;
    struct msg_timeline *m = out;
    struct run_row run;
    struct span_row *rows;
    uint32_t count, limit = PROTOCOL_TIMELINE_MAX;
    int rc = run_find(c, &run, e);
    if (c->query_limit > 0 && c->query_limit < limit)
        limit = (uint32_t)c->query_limit;
    if (!rc)
        rc = op_spans(c->conn, run.id, limit + 1, c->arena, &rows, &count, e);
    if (rc)
        return rc;
    m->more = count > limit;
    m->attempt_count = m->more ? limit : count;
    m->attempts = arena_alloc_array(c->arena, m->attempt_count + 1, sizeof *m->attempts);
    if (!m->attempts)
        return err_set(e, ERR_NO_MEMORY, "no memory for %u attempts", count);
    for (uint32_t i = 0; i < m->attempt_count; i++)
        m->attempts[i] = span_of(&rows[m->attempt_count - 1 - i]);
    return 0;
}
