/* What has moved: the rows of runs, jobs and agents that commits have changed, for those who watch.
 * Told after the COMMIT, so that who looks then sees it. */
#ifndef TACIT_COORDINATOR_STORE_MOVED_H
#define TACIT_COORDINATOR_STORE_MOVED_H

#include <stdbool.h>
#include <stdint.h>
#include "core/base/arena.h"
#include "coordinator/store/store.h"

#define MOVED_MAX 256 /* of each that are named; of more, all are meant */

struct moved {
    uint32_t run_count, job_count;
    uint64_t runs[MOVED_MAX], jobs[MOVED_MAX];
    bool many; /* there were more */
    bool agents;
};

/* No mutex here: these are the caller's. */
void moved_add_run(struct moved *m, uint64_t run);
void moved_add_job(struct moved *m, uint64_t job);

/* Those since it was last asked. Any thread. */
void store_moved_take(struct store *s, struct moved *out);

/* The names of the runs that they belong to, at most cap, once each. Where `many`, those of the
 * newest active runs. */
TACIT_MUST_CHECK int op_moved_runs(struct store_conn *c, const struct moved *m, uint32_t cap,
                                   struct arena *a, const char ***names, uint32_t *count,
                                   struct err *e);

#endif
