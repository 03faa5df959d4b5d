/* Operators steer runs: pause and resume, cancel, priorities, more steps. */
#include <inttypes.h>
#include <math.h>
#include "core/base/text.h"
#include "coordinator/lease/lease.h"
#include "coordinator/run/advance.h"
#include "coordinator/run/events.h"
#include "coordinator/run/find.h"
#include "coordinator/run/runs.h"
#include "coordinator/run/settle.h"
#include "coordinator/run/steer.h"
#include "coordinator/store/ops_queue.h"
#include "coordinator/store/ops_steer.h"
#include "coordinator/store/ops_verify.h"

#define NAMED 8 /* runs in a reason */
#define STEPS_MAX 1000000000u

/* The active run {name}. */
static int find_active(struct call *c, struct run_row *row, struct err *e)
{
    int rc = run_find(c, row, e);
    if (!rc && row->state != RUN_ACTIVE)
        rc = err_set(e, ERR_CONFLICT, "run \"%s\" has ended already: %s", row->name,
                     run_state_words[row->state]);
    return rc;
}

int runs_pause(struct call *c, const void *in, void *out, struct err *e)
{
    const struct msg_pause *m = in;
    struct run_row row;
    char left[24];
    int rc = find_active(c, &row, e);
    if (!rc && m->until > 0 && (int64_t)m->until <= c->wall_ms)
        rc = err_set(e, ERR_INVALID, "the pause would be over already: give a time to come");
    if (!rc)
        rc = op_run_pause(c->conn, row.id, m->until, e);
    if (!rc && (!row.paused || row.resume_ms != m->until)) /* else it was said before */
        rc = event_tell(
            c, &(struct event){.kind = "run.paused", .run = row.id}, e, "%s%s",
            m->until ? "for " : "until it is resumed",
            m->until ? text_duration((double)((int64_t)m->until - c->wall_ms) / 1000, left) : "");
    return rc ? rc : runs_show(c, NULL, out, e);
}

int runs_resume(struct call *c, const void *in, void *out, struct err *e)
{
    struct run_row row;
    int rc = find_active(c, &row, e);
    (void)in;
    if (!rc && row.paused) {
        rc = op_run_resume(c->conn, row.id, e);
        if (!rc)
            rc = event_tell(c, &(struct event){.kind = "run.resumed", .run = row.id}, e,
                            "agents get its jobs again");
        if (!rc)
            rc = op_queue_length(c->conn, &c->ready, e);
    }
    return rc ? rc : runs_show(c, NULL, out, e);
}

int runs_rested(struct call *c, struct err *e)
{
    uint64_t *runs;
    uint32_t count;
    int rc = op_runs_rested(c->conn, (uint64_t)c->wall_ms, c->arena, &runs, &count, e);
    for (uint32_t i = 0; !rc && i < count; i++) {
        rc = op_run_resume(c->conn, runs[i], e);
        if (!rc)
            rc = event_tell(c, &(struct event){.kind = "run.resumed", .run = runs[i]}, e,
                            "its pause is over");
    }
    return rc || count == 0 ? rc : op_queue_length(c->conn, &c->ready, e);
}

int runs_cancel(struct call *c, const void *in, void *out, struct err *e)
{
    static const char reason[] = "cancelled by an operator";
    struct run_row row;
    int rc = run_find(c, &row, e);
    (void)in;
    if (!rc && row.state == RUN_DONE)
        rc = err_set(e, ERR_CONFLICT, "run \"%s\" has ended already: %s", row.name,
                     run_state_words[row.state]);
    if (!rc && row.state == RUN_ACTIVE)
        rc = op_run_end(c->conn, row.id, RUN_CANCELLED, reason, (uint64_t)c->wall_ms, e);
    else if (!rc && row.state == RUN_FAILED)
        rc = op_run_give_up(c->conn, row.id, reason, e);
    if (!rc && row.state != RUN_CANCELLED) /* else it was said before */
        rc = event_tell(c, &(struct event){.kind = "run.cancelled", .run = row.id}, e,
                        "its agents are told at their next heartbeat");
    return rc ? rc : runs_show(c, NULL, out, e);
}

int runs_priority(struct call *c, const void *in, void *out, struct err *e)
{
    const struct msg_priority *m = in;
    struct run_row row;
    if (!(fabs(m->priority) <= RUN_PRIORITY_MAX) || m->priority != floor(m->priority))
        return err_set(e, ERR_INVALID, "a priority is a whole number from -%d to %d; 0 is usual",
                       RUN_PRIORITY_MAX, RUN_PRIORITY_MAX);
    int rc = find_active(c, &row, e);
    if (!rc && row.priority != (int)m->priority) {
        rc = op_run_set_priority(c->conn, row.id, (int)m->priority, e);
        if (!rc)
            rc = event_tell(c, &(struct event){.kind = "run.priority", .run = row.id}, e,
                            "%d instead of %d", (int)m->priority, row.priority);
    }
    return rc ? rc : runs_show(c, NULL, out, e);
}

/* Whether the run can be told its inputs, and shown, at so many steps. */
static int check_extended(const struct run_view *v, uint64_t *ends, uint64_t steps, struct err *e)
{
    struct run_facts f = v->facts;
    uint64_t every = v->spec.eval.every_steps;
    for (uint32_t i = 0; i < f.end_count; i++)
        ends[i] = f.ends[i];
    ends[f.end_count++] = steps;
    f.ends = ends;
    if (steps > STEPS_MAX)
        return err_set(e, ERR_RANGE, "%" PRIu64 " steps in all are more than %u", steps, STEPS_MAX);
    if (every > 0 && steps / every > SPEC_CURVE_MAX)
        return err_set(e, ERR_RANGE,
                       "%" PRIu64 " steps in all make more than %u points of the validation curve, "
                       "at one every %" PRIu64 " steps",
                       steps, SPEC_CURVE_MAX, every);
    return run_inputs_check(&f, e);
}

/* It is made again, of the experts as they will be. */
static int undo_report(struct call *c, uint64_t run, struct err *e)
{
    struct job_key k = {.kind = JOB_REPORT};
    struct job_row job;
    int rc = op_job_find(c->conn, run, &k, c->arena, &job, e);
    if (rc)
        return rc == ERR_NOT_FOUND ? 0 : rc;
    return op_job_undo(c->conn, job.id, (uint64_t)c->wall_ms, e);
}

int runs_extend(struct call *c, const void *in, void *out, struct err *e)
{
    const struct msg_extend *m = in;
    struct run_row row;
    struct run_view v;
    uint64_t steps = 0, *ends = NULL;
    int rc = run_find(c, &row, e);
    if (!rc && row.state != RUN_ACTIVE && row.state != RUN_DONE)
        rc = err_set(e, ERR_CONFLICT, "run \"%s\" has ended: %s%s", row.name,
                     run_state_words[row.state],
                     row.state == RUN_FAILED ? "; `tacit retry` goes on with it first" : "");
    if (!rc)
        rc = run_view_load(c->conn, row.id, false, c->arena, &v, e);
    if (!rc)
        ends = arena_alloc_array(c->arena, v.facts.end_count + 1, sizeof *ends);
    if (!rc && !ends)
        rc = err_set(e, ERR_NO_MEMORY, "no memory for the ends of a run");
    if (!rc) {
        steps = due_steps(&v.facts, TARGET_EXPERT) + m->steps;
        rc = check_extended(&v, ends, steps, e);
    }
    if (!rc)
        rc = op_run_extend(c->conn, row.id, steps, (uint64_t)c->wall_ms, e);
    if (!rc)
        rc = undo_report(c, row.id, e);
    if (!rc)
        rc = event_tell(c, &(struct event){.kind = "run.extended", .run = row.id}, e,
                        "by %" PRIu64 " steps of each expert, to %" PRIu64, m->steps, steps);
    if (!rc)
        rc = run_go_on(c, &row, e);
    return rc ? rc : runs_show(c, NULL, out, e);
}

int datasets_delete(struct call *c, const void *in, void *out, struct err *e)
{
    const struct msg_delete *m = in;
    uint64_t id, users = 0;
    const char *names = NULL;
    (void)out;
    int rc = dataset_find(c, c->name, &id, e);
    if (!rc)
        rc = op_dataset_users(c->conn, id, !m->force, NAMED, c->arena, &names, &users, e);
    if (!rc && users > 0)
        return err_set(e, ERR_CONFLICT,
                       "data set \"%s\" is needed by run%s %.200s%s: `tacit run cancel NAME` ends "
                       "one that is active or failed%s",
                       c->name, users == 1 ? "" : "s", names, users > NAMED ? " and others" : "",
                       m->force ? "" : "; --force deletes what only runs that are done need");
    if (!rc)
        rc = op_dataset_delete(c->conn, id, (uint64_t)c->wall_ms, e);
    return rc ? rc
              : event_tell(c, &(struct event){.kind = "dataset.deleted"}, e, "data set %s",
                           c->name);
}
