/* The named operations on the queue: which job an agent gets next. As those of ops.h, of which they
 * are a part. */
#ifndef TACIT_COORDINATOR_STORE_OPS_QUEUE_H
#define TACIT_COORDINATOR_STORE_OPS_QUEUE_H

#include "coordinator/store/ops.h"

/* The ready job that comes first: of the runs that are not paused, and whose labels the agent has,
 * those of the highest priority; of their jobs that of the highest priority, then the lowest id.
 * Not the coordinator's own kinds. withheld false: that the agent has not failed last; true: that
 * it has. ERR_NOT_FOUND. */
TACIT_MUST_CHECK int op_queue_first(struct store_conn *c, uint64_t agent, bool withheld,
                                    uint64_t *id, struct err *e);
/* Whether any agent may find a ready job. */
TACIT_MUST_CHECK int op_queue_has_more(struct store_conn *c, bool *yes, struct err *e);
/* Jobs that are ready in runs that are not paused: so many claims may find something. */
TACIT_MUST_CHECK int op_queue_length(struct store_conn *c, uint64_t *jobs, struct err *e);
/* Whether the run gives jobs to the agent: it is not paused, and the agent has its labels. */
TACIT_MUST_CHECK int op_run_is_open(struct store_conn *c, uint64_t run, uint64_t agent, bool *yes,
                                    struct err *e);

#endif
