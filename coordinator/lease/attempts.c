#include "coordinator/lease/attempts.h"

#include <math.h>
#include <stdlib.h>
#include "core/env/clock.h"
#include "coordinator/lease/lease_clock.h"
#include "coordinator/lease/trails.h"
#include "coordinator/store/ops_curves.h"
#include "coordinator/store/ops_poison.h"

#define FLUSH_TRAILS 64 /* a transaction */
#define FLUSH_ARENA (4u << 20)

bool attempt_progressed(const struct attempt_row *r)
{
    return r->step > r->step_first;
}

/* The log of the row with what was heard since, and what comes with the end. */
static int join_logs(struct arena *a, const char *old, const char *heard, const char *last,
                     const char **out, struct err *e)
{
    char *text = arena_alloc(a, 2 * (PROTOCOL_TAIL_MAX + 1));
    if (!text)
        return err_set(e, ERR_NO_MEMORY, "no memory for the log of an attempt");
    char *joined = text + PROTOCOL_TAIL_MAX + 1;
    trail_join(old, heard, text);
    trail_join(text, last, joined);
    *out = *joined ? joined : NULL;
    return 0;
}

/* Writes what was heard, and what its end says (each may be NULL), into the row, and into *row as
 * it then stands. */
static int note(struct store_conn *c, struct arena *a, struct attempt_row *row,
                const struct trail_copy *heard, const struct attempt_end *end, int64_t wall_ms,
                struct err *e)
{
    struct attempt_note n = {.step = row->step, .loss_first = NAN, .loss = NAN};
    if (heard && heard->step > n.step)
        n.step = heard->step;
    if (end && end->step > n.step)
        n.step = end->step;
    if (heard) {
        n.loss_first = heard->loss_first;
        n.loss = heard->loss;
    }
    if (end && (!end->weak || !row->words))
        n.words = end->words;
    int rc = join_logs(a, row->log, heard ? heard->log : NULL, end ? end->log : NULL, &n.log, e);
    if (!rc)
        rc = op_attempt_note(c, &row->fence, &n, e);
    bool curve_comes = end && end->whole_curve;
    if (!rc && heard && !curve_comes &&
        row->outcome == ATTEMPT_OPEN) /* else it has them, or more */
        rc = op_curve_put(c, row->job, heard->points, heard->point_count, row->started_ms,
                          (uint64_t)wall_ms, e);
    row->step = n.step;
    row->log = n.log;
    return rc;
}

/* What is known of it, written down. out->row.id 0 where there is no such attempt. */
static int write_down(struct call *c, const struct attempt_end *end, bool ending,
                      struct attempt_ended *out, struct err *e)
{
    struct err missing;
    struct trail_copy *heard = arena_alloc(c->arena, sizeof *heard);
    *out = (struct attempt_ended){0};
    if (!heard)
        return err_set(e, ERR_NO_MEMORY, "no memory for the end of an attempt");
    int rc = op_attempt_get(c->conn, end->fence, c->arena, &out->row, &missing);
    if (rc) {
        out->row = (struct attempt_row){0};
        if (rc != ERR_NOT_FOUND && e)
            *e = missing;
        return rc == ERR_NOT_FOUND ? 0 : rc;
    }
    bool known =
        trails_copy(lease_clock_trails(c->service->leases), end->job, end->fence, ending, heard);
    out->begun = known && heard->phase != PHASE_FETCHING;
    return note(c->conn, c->arena, &out->row, known ? heard : NULL, end, c->wall_ms, e);
}

int attempt_note(struct call *c, const struct attempt_end *end, struct err *e)
{
    struct attempt_ended ignored;
    return write_down(c, end, false, &ignored, e);
}

int attempt_end(struct call *c, const struct attempt_end *end, struct attempt_ended *out,
                struct err *e)
{
    struct attempt_ended x;
    int rc = write_down(c, end, true, &x, e);
    if (!rc && x.row.id)
        rc = op_attempt_end(c->conn, end->fence, end->outcome, end->also, (uint64_t)c->wall_ms,
                            &x.changed, e);
    if (x.changed)
        x.row.outcome = end->outcome;
    if (out)
        *out = x;
    return rc;
}

/* --- the ways of a grant -----------------------------------------------------------------------
 */

int attempt_begin(struct call *c, const struct msg_grant *g, const struct msg_fence *f,
                  struct err *e)
{
    uint64_t from = g->resume_step         ? g->resume_step
                    : g->kind == JOB_TRAIN ? g->step_first
                                           : g->prior_steps;
    return op_attempt_begin(c->conn, g->job, c->agent, f, from, (uint64_t)c->wall_ms, e);
}

static bool is_stalled(struct call *c, const struct job_row *job)
{
    return trails_stalled(lease_clock_trails(c->service->leases), job->id, &job->fence);
}

int attempt_overtaken(struct call *c, const struct job_row *job, struct attempt_ended *out,
                      struct err *e)
{
    struct attempt_end end = {.job = job->id,
                              .fence = &job->fence,
                              .outcome = ATTEMPT_OVERTAKEN,
                              .words = is_stalled(c, job)
                                           ? "it had stalled, and started again from its last save"
                                           : "its agent asked for work again",
                              .weak = true};
    return attempt_end(c, &end, out, e);
}

int attempt_done(struct call *c, const struct job_row *job, const struct msg_complete *m,
                 struct err *e)
{
    struct attempt_end end = {.job = job->id,
                              .fence = &job->fence,
                              .outcome = ATTEMPT_DONE,
                              .also = ATTEMPT_EXPIRED,
                              .whole_curve = m->point_count > 0,
                              .step = job->key.kind == JOB_TRAIN ? job->key.step_last : 0};
    int rc = attempt_end(c, &end, NULL, e);
    if (!rc)
        rc = op_failing_clear(c->conn, c->agent, e);
    return rc ? rc : op_vanished_clear(c->conn, job->id, e);
}

int attempt_expired(struct call *c, const struct job_row *job, struct attempt_ended *out,
                    struct err *e)
{
    struct attempt_end end = {.job = job->id,
                              .fence = &job->fence,
                              .outcome = ATTEMPT_EXPIRED,
                              .words = is_stalled(c, job)
                                           ? "it had stalled, and did not start again when told to"
                                           : "nothing was heard of it for a whole lease",
                              .weak = true};
    return attempt_end(c, &end, out, e);
}

int lease_heard_of(struct call *c, const struct attempt_row *r, struct msg_attempt *m,
                   struct err *e)
{
    struct trail_copy *heard = arena_alloc(c->arena, sizeof *heard);
    if (!heard)
        return err_set(e, ERR_NO_MEMORY, "no memory for an attempt");
    if (r->outcome != ATTEMPT_OPEN ||
        !trails_copy(lease_clock_trails(c->service->leases), r->job, &r->fence, false, heard))
        return 0;
    if (heard->step > m->step)
        m->step = heard->step;
    if (isnan(m->loss_first))
        m->loss_first = heard->loss_first;
    if (!isnan(heard->loss))
        m->loss = heard->loss;
    return join_logs(c->arena, r->log, heard->log, NULL, &m->log, e);
}

void lease_heard_curve(struct call *c, const struct curve_row *row, struct curve *curve)
{
    struct trail_copy heard;
    if (row->state == JOB_LEASED &&
        trails_copy(lease_clock_trails(c->service->leases), row->job, &row->fence, false, &heard))
        curve_join(curve, heard.points, heard.point_count, row->since_ms, (uint64_t)c->wall_ms);
}

/* --- once a minute -----------------------------------------------------------------------------
 */

struct flush {
    struct trail_copy trails[FLUSH_TRAILS];
    bool over[FLUSH_TRAILS];
    unsigned count;
    int64_t wall_ms;
};

static int flush_fn(struct store_conn *c, void *arg, struct err *e)
{
    struct flush *f = arg;
    struct arena a;
    int rc = 0;
    arena_init(&a, FLUSH_ARENA);
    for (unsigned i = 0; !rc && i < f->count; i++) {
        struct attempt_row row;
        struct err missing;
        rc = op_attempt_get(c, &f->trails[i].fence, &a, &row, &missing);
        f->over[i] = rc || row.outcome != ATTEMPT_OPEN;
        if (rc == 0)
            rc = note(c, &a, &row, &f->trails[i], NULL, f->wall_ms, e);
        else if (rc == ERR_NOT_FOUND)
            rc = 0;
        else if (e)
            *e = missing;
        arena_reset(&a);
    }
    arena_free(&a);
    return rc;
}

int attempts_flush(struct service *s, int64_t now_ms, struct err *e)
{
    struct trails *t = lease_clock_trails(s->leases);
    struct flush *f = malloc(sizeof *f);
    int rc = 0;
    if (!f)
        return err_set(e, ERR_NO_MEMORY, "no memory for the logs of attempts");
    f->wall_ms = env_wall_ms();
    trails_round(t);
    while (!rc && (f->count = trails_collect(t, now_ms, f->trails, FLUSH_TRAILS)) > 0) {
        rc = store_write_wait(s->store, flush_fn, f, e);
        for (unsigned i = 0; !rc && i < f->count; i++)
            trails_written(t, &f->trails[i], f->over[i]);
    }
    free(f);
    return rc;
}

int lease_flush(struct service *s, struct err *e)
{
    return attempts_flush(s, env_monotonic_ms(), e);
}
