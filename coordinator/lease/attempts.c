#include "coordinator/lease/attempts.h"

#include <math.h>
#include <stdlib.h>
#include "core/env/clock.h"
#include "coordinator/lease/lease_clock.h"
#include "coordinator/lease/trails.h"

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

/* Writes what was heard (may be NULL) into the row, and into *row as it then stands. */
static int note(struct store_conn *c, struct arena *a, struct attempt_row *row,
                const struct trail_copy *heard, const struct attempt_end *end, struct err *e)
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
    int rc = join_logs(a, row->log, heard ? heard->log : NULL, end ? end->log : NULL, &n.log, e);
    if (!rc)
        rc = op_attempt_note(c, &row->fence, &n, e);
    row->step = n.step;
    row->log = n.log;
    return rc;
}

int attempt_end(struct service *s, struct store_conn *c, struct arena *a,
                const struct attempt_end *end, uint64_t wall_ms, struct attempt_row *out,
                bool *changed, struct err *e)
{
    struct attempt_row row = {0};
    struct err missing;
    bool ended = false;
    struct trail_copy *heard = arena_alloc(a, sizeof *heard);
    int rc = heard ? op_attempt_get(c, end->fence, a, &row, &missing)
                   : err_set(&missing, ERR_NO_MEMORY, "no memory for the end of an attempt");
    if (rc && rc != ERR_NOT_FOUND) {
        if (e)
            *e = missing;
        return rc;
    }
    if (!rc) {
        bool known = trails_copy(lease_clock_trails(s->leases), end->job, end->fence, true, heard);
        rc = note(c, a, &row, known ? heard : NULL, end, e);
        if (!rc)
            rc = op_attempt_end(c, end->fence, end->outcome, end->also, end->words, wall_ms, &ended,
                                e);
        if (ended)
            row.outcome = end->outcome;
    } else {
        row = (struct attempt_row){0};
        rc = 0;
    }
    if (out)
        *out = row;
    if (changed)
        *changed = ended;
    return rc;
}

/* --- once a minute -----------------------------------------------------------------------------
 */

struct flush {
    struct trail_copy trails[FLUSH_TRAILS];
    bool over[FLUSH_TRAILS];
    unsigned count;
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
            rc = note(c, &a, &row, &f->trails[i], NULL, e);
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
