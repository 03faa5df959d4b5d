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

#endif
