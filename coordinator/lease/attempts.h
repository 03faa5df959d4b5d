/* Attempts: a row for every grant, written in the transaction of the claim and closed by whoever
 * ends it. What heartbeats tell stays in memory (trails.h) and goes along when the attempt ends, or
 * once a minute where its log has grown. Private to lease/, except for the coordinator's own jobs
 * (run/works.c). Inside the writer's transactions. */
#ifndef TACIT_COORDINATOR_LEASE_ATTEMPTS_H
#define TACIT_COORDINATOR_LEASE_ATTEMPTS_H

#include "coordinator/service.h"
#include "coordinator/store/ops.h"
#include "coordinator/store/ops_attempts.h"

struct attempt_end {
    uint64_t job;
    const struct msg_fence *fence;
    int outcome;       /* enum attempt_outcome */
    int also;          /* an ended outcome that this one may replace, or ATTEMPT_OPEN */
    const char *words; /* or NULL */
    uint64_t step;     /* that whoever ends it knows of, or 0 */
    const char *log;   /* that comes with its end, or NULL */
};
/* Ends the attempt with all that was heard of it. *out (may be NULL): how it stands then; id 0
 * where it is not known (any more): no harm. *changed (may be NULL): whether this ended it. */
TACIT_MUST_CHECK int attempt_end(struct service *s, struct store_conn *c, struct arena *a,
                                 const struct attempt_end *end, uint64_t wall_ms,
                                 struct attempt_row *out, bool *changed, struct err *e);
/* Whether it came beyond the step where it began. */
bool attempt_progressed(const struct attempt_row *r);

/* Writes what memory has and the database has not yet, and forgets what is over. Not on the
 * writer's thread. */
TACIT_MUST_CHECK int attempts_flush(struct service *s, int64_t now_ms, struct err *e);

#endif
