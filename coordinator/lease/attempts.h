/* Attempts: a row for every grant, written in the transaction of the claim and closed by whoever
 * ends it. What heartbeats tell stays in memory (trails.h) and goes along when the attempt ends, or
 * once a minute where its log has grown. Private to lease/; inside the writer's transactions. */
#ifndef TACIT_COORDINATOR_LEASE_ATTEMPTS_H
#define TACIT_COORDINATOR_LEASE_ATTEMPTS_H

#include "coordinator/service.h"
#include "coordinator/store/ops.h"
#include "coordinator/store/ops_attempts.h"

struct attempt_end {
    uint64_t job;
    const struct msg_fence *fence;
    int outcome;       /* enum attempt_outcome */
    int also;          /* an outcome that this one may replace, or ATTEMPT_OPEN */
    const char *words; /* or NULL */
    bool weak;         /* words: only where there are none yet */
    uint64_t step;     /* that whoever ends it knows of, or 0 */
    const char *log;   /* that comes with its end, or NULL */
    bool whole_curve;  /* whoever ends it writes the learning curve, all of it */
};
struct attempt_ended {
    struct attempt_row row; /* as it stands then; id 0: it is not known (any more): no harm */
    bool changed;           /* this ended it */
    bool begun;             /* heard of by this process, beyond the fetching of its inputs */
};
/* Ends the attempt with all that was heard of it; out may be NULL. */
TACIT_MUST_CHECK int attempt_end(struct call *c, const struct attempt_end *end,
                                 struct attempt_ended *out, struct err *e);
/* The same words, step and log, but it goes on. */
TACIT_MUST_CHECK int attempt_note(struct call *c, const struct attempt_end *end, struct err *e);

/* The job was just granted to the caller under this fence. */
TACIT_MUST_CHECK int attempt_begin(struct call *c, const struct msg_grant *g,
                                   const struct msg_fence *f, struct err *e);
/* The job's holder claims it anew; out may be NULL. */
TACIT_MUST_CHECK int attempt_overtaken(struct call *c, const struct job_row *job,
                                       struct attempt_ended *out, struct err *e);
/* Its result m came, under the job's fence; the caller writes its learning curve. */
TACIT_MUST_CHECK int attempt_done(struct call *c, const struct job_row *job,
                                  const struct msg_complete *m, struct err *e);
/* Its lease ran out. */
TACIT_MUST_CHECK int attempt_expired(struct call *c, const struct job_row *job,
                                     struct attempt_ended *out, struct err *e);
/* Whether it came beyond the step where it began. */
bool attempt_progressed(const struct attempt_row *r);

/* Writes what memory has and the database has not yet, and forgets what is over. Not on the
 * writer's thread. */
TACIT_MUST_CHECK int attempts_flush(struct service *s, int64_t now_ms, struct err *e);

#endif
