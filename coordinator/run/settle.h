/* When a run can't go on: quarantined jobs do not end it while others are open; and when it can
 * again. */
#ifndef TACIT_COORDINATOR_RUN_SETTLE_H
#define TACIT_COORDINATOR_RUN_SETTLE_H

#include "coordinator/service.h"
#include "coordinator/store/ops.h"

/* In the writer's transaction: ends an active run as failed once nothing is open but quarantined
 * jobs, and what depends on them; its reason names them, why, and what to do. */
TACIT_MUST_CHECK int run_settle(struct store_conn *c, struct arena *a, uint64_t run,
                                uint64_t wall_ms, struct err *e);

/* Jobs of the run wait again: active, were it done or failed, with whatever is due; whoever does
 * its jobs is told after the COMMIT. */
TACIT_MUST_CHECK int run_go_on(struct call *c, const struct run_row *run, struct err *e);

#endif
