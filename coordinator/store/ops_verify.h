/* Operations of tacit.db on what was rolled back, replayed, and found to differ. As those of ops.h.
 */
#ifndef TACIT_COORDINATOR_STORE_OPS_VERIFY_H
#define TACIT_COORDINATOR_STORE_OPS_VERIFY_H

#include "coordinator/store/ops.h"

/* --- rolling back ----------------------------------------------------------------------------- */

/* Jobs of a run, by what they are about. −1: any. */
struct undo_filter {
    int kind, target;
    int64_t index;
    int final;
    uint64_t round, chunk, step_first, step_last; /* at least */
};
/* Those that are not undone yet, in whatever state, in the order of their ids; no replays. */
TACIT_MUST_CHECK int op_jobs_to_undo(struct store_conn *c, uint64_t run,
                                     const struct undo_filter *f, struct arena *a,
                                     struct job_row **rows, uint32_t *count, struct err *e);
/* Cancels the job for good, whatever its state, and its replays; its outputs and what was handed
 * over of it are forgotten. Its key is free for a new job. */
TACIT_MUST_CHECK int op_job_undo(struct store_conn *c, uint64_t job, uint64_t wall_ms,
                                 struct err *e);
/* An output that retention has dropped is needed again, and its blob is still there. */
TACIT_MUST_CHECK int op_output_keep(struct store_conn *c, uint64_t job, const struct digest *d,
                                    struct err *e);
/* A run that is done goes on. */
TACIT_MUST_CHECK int op_run_reopen(struct store_conn *c, uint64_t run, struct err *e);

/* --- replays ---------------------------------------------------------------------------------- */

enum replay_verdict { REPLAY_AGREED, REPLAY_DIFFERED, REPLAY_WAS_FIRST };

/* A waiting replay of the job. not_first: who does not get it before others had a chance, or 0. */
TACIT_MUST_CHECK int op_replay_insert(struct store_conn *c, uint64_t job, bool duplicate,
                                      uint64_t not_first, int priority, uint64_t wall_ms,
                                      uint64_t *id, struct err *e);
/* A waiting or leased replay of the job that is no duplicate: ERR_NOT_FOUND. */
TACIT_MUST_CHECK int op_replay_open(struct store_conn *c, uint64_t job, uint64_t *id,
                                    struct err *e);
/* Of a replay that is done. */
TACIT_MUST_CHECK int op_replay_verdict(struct store_conn *c, uint64_t id, int verdict,
                                       struct err *e);
/* A replay that nobody needs any more, waiting or leased. */
TACIT_MUST_CHECK int op_replay_cancel(struct store_conn *c, uint64_t id, uint64_t wall_ms,
                                      struct err *e);
/* Replays of a run that are no duplicates, with ids above `after`, in their order. */
TACIT_MUST_CHECK int op_replays(struct store_conn *c, uint64_t run, uint64_t after, uint32_t limit,
                                struct arena *a, struct job_row **rows, uint32_t *count,
                                struct err *e);
/* The jobs that others hold for longest, of active runs, at most limit, the longest first. Not
 * those of which a duplicate is under way, or three were given up, or the agent itself gave up one.
 */
TACIT_MUST_CHECK int op_slow_jobs(struct store_conn *c, uint64_t agent, uint32_t limit,
                                  struct arena *a, struct job_row **rows, uint32_t *count,
                                  struct err *e);
/* The median of what the last jobs of this kind and target took, of this agent (0: of all): NaN
 * where there are none among the last few hundred. */
TACIT_MUST_CHECK int op_typical_seconds(struct store_conn *c, uint64_t run, int kind, int target,
                                        uint64_t agent, double *seconds, struct err *e);
/* The job, waiting or leased, is this agent's, whose duplicate of it is done first: op_job_done
 * follows. Its fence stays. ERR_CONFLICT where it has ended. */
TACIT_MUST_CHECK int op_job_overtake(struct store_conn *c, uint64_t job, uint64_t agent,
                                     struct err *e);

/* --- alarms ----------------------------------------------------------------------------------- */

struct alarm_row {
    uint64_t id, job, run, at_ms, agent, other; /* agent: whose result was published; 0: nobody's */
    int role;
    uint64_t index;
    struct digest published, found;
};
/* *fresh false where it is known already. */
TACIT_MUST_CHECK int op_alarm_insert(struct store_conn *c, const struct alarm_row *a, bool *fresh,
                                     struct err *e);
/* Of a run (0: of all), newest first. */
TACIT_MUST_CHECK int op_alarms(struct store_conn *c, uint64_t run, uint32_t limit, struct arena *a,
                               struct alarm_row **rows, uint32_t *count, struct err *e);
TACIT_MUST_CHECK int op_alarm_count(struct store_conn *c, uint64_t run, uint64_t *count,
                                    struct err *e);

#endif
