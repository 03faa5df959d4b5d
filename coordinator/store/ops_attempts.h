/* The named operations on attempts: one a grant, with how it ended and the tail of its log. As
 * those of ops.h, of which they are a part. */
#ifndef TACIT_COORDINATOR_STORE_OPS_ATTEMPTS_H
#define TACIT_COORDINATOR_STORE_OPS_ATTEMPTS_H

#include "coordinator/store/ops.h"

/* Of a job the first ATTEMPTS_FIRST and the last ATTEMPTS_LAST attempts are kept. */
#define ATTEMPTS_FIRST 4
#define ATTEMPTS_LAST 16
/* Logs kept, over all jobs: of so many last attempts that ended well, and of so many others. */
#define ATTEMPTS_LOGS_WELL 8192
#define ATTEMPTS_LOGS 32768

struct attempt_row {
    uint64_t id, job, number, agent; /* agent 0: the coordinator */
    struct msg_fence fence;
    uint64_t started_ms, ended_ms, step_first, step;
    int outcome; /* enum attempt_outcome */
    double loss_first, loss;
    const char *words, *log; /* or NULL */
};

/* The job has just been granted under this fence; trims older attempts. */
TACIT_MUST_CHECK int op_attempt_begin(struct store_conn *c, uint64_t job, uint64_t agent,
                                      const struct msg_fence *f, uint64_t step_first,
                                      uint64_t wall_ms, struct err *e);
/* From open, or from `also` (an outcome that this one may replace; ATTEMPT_OPEN: none), but never
 * from done. No such attempt, or another outcome: *changed, unless NULL, false. */
TACIT_MUST_CHECK int op_attempt_end(struct store_conn *c, const struct msg_fence *f, int outcome,
                                    int also, uint64_t wall_ms, bool *changed, struct err *e);
/* An expired one goes on. */
TACIT_MUST_CHECK int op_attempt_reopen(struct store_conn *c, const struct msg_fence *f,
                                       struct err *e);

/* What has been heard of an attempt: the step only grows; a loss that is NaN changes nothing;
 * words NULL and log NULL neither. log: the whole tail, in place of the one that is there. */
struct attempt_note {
    uint64_t step;
    double loss_first, loss;
    const char *words, *log;
};
TACIT_MUST_CHECK int op_attempt_note(struct store_conn *c, const struct msg_fence *f,
                                     const struct attempt_note *n, struct err *e);
TACIT_MUST_CHECK int op_attempt_get(struct store_conn *c, const struct msg_fence *f,
                                    struct arena *a, struct attempt_row *out, struct err *e);
/* Oldest first. */
TACIT_MUST_CHECK int op_attempts(struct store_conn *c, uint64_t job, struct arena *a,
                                 struct attempt_row **rows, uint32_t *count, struct err *e);
/* The newest attempts of a run's jobs, newest first. */
struct span_row {
    uint64_t job, number, started_ms, ended_ms;
    int outcome;
    struct job_key key;
    const char *agent; /* its name, or NULL */
};
TACIT_MUST_CHECK int op_spans(struct store_conn *c, uint64_t run, uint32_t limit, struct arena *a,
                              struct span_row **rows, uint32_t *count, struct err *e);
/* The attempts under which jobs of the run are held end with it. */
TACIT_MUST_CHECK int op_attempts_cancel(struct store_conn *c, uint64_t run, uint64_t wall_ms,
                                        struct err *e);

#endif
