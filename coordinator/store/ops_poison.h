/* The named operations on what goes wrong: who failed what, which jobs are given up, which agents
 * are benched. As those of ops.h, of which they are a part. */
#ifndef TACIT_COORDINATOR_STORE_OPS_POISON_H
#define TACIT_COORDINATOR_STORE_OPS_POISON_H

#include "coordinator/store/ops.h"

/* How many agents, those that are benched left out, are behind the job's last errors. */
TACIT_MUST_CHECK int op_job_failers(struct store_conn *c, uint64_t job, uint64_t *count,
                                    struct err *e);

/* An agent went silent with the job, without a step; *count: how many have. */
TACIT_MUST_CHECK int op_vanished_add(struct store_conn *c, uint64_t job, uint64_t agent,
                                     uint64_t *count, struct err *e);
/* It is back under the same lease: it was only out of reach. */
TACIT_MUST_CHECK int op_vanished_remove(struct store_conn *c, uint64_t job, uint64_t agent,
                                        struct err *e);
TACIT_MUST_CHECK int op_vanished_clear(struct store_conn *c, uint64_t job, struct err *e);

/* The agent has failed the job; *count: different ones since it last did one. */
TACIT_MUST_CHECK int op_failing_add(struct store_conn *c, uint64_t agent, uint64_t job,
                                    uint64_t *count, struct err *e);
/* It has done one. */
TACIT_MUST_CHECK int op_failing_clear(struct store_conn *c, uint64_t agent, struct err *e);
/* It was the job's fault. */
TACIT_MUST_CHECK int op_failing_forgive(struct store_conn *c, uint64_t job, struct err *e);

struct bench_row {
    int64_t bench_ms; /* 0: not benched; −1: until it is unbenched */
    uint64_t benched_ms, benches;
    const char *name, *reason;
};
TACIT_MUST_CHECK int op_bench_get(struct store_conn *c, uint64_t agent, struct arena *a,
                                  struct bench_row *out, struct err *e);
/* Benches; what it has failed is forgotten: it starts anew when it is back. */
TACIT_MUST_CHECK int op_bench_put(struct store_conn *c, uint64_t agent, int64_t bench_ms,
                                  const char *reason, uint64_t wall_ms, struct err *e);
/* forgiven: how often it was benched is forgotten, too. */
TACIT_MUST_CHECK int op_bench_lift(struct store_conn *c, uint64_t agent, bool forgiven,
                                   struct err *e);
TACIT_MUST_CHECK int op_benched(struct store_conn *c, struct arena *a, uint64_t **agents,
                                uint32_t *count, struct err *e);
/* Agents of this name, benched or not. */
TACIT_MUST_CHECK int op_agents_named(struct store_conn *c, const char *name, struct arena *a,
                                     uint64_t **agents, uint32_t *count, struct err *e);
/* Quarantined jobs of active runs that this agent failed, and no two agents but benched ones. */
TACIT_MUST_CHECK int op_jobs_unproved(struct store_conn *c, uint64_t agent, struct arena *a,
                                      uint64_t **jobs, uint32_t *count, struct err *e);

/* From quarantine to waiting; its failures are forgotten. ERR_CONFLICT where it is not there. */
TACIT_MUST_CHECK int op_job_retry(struct store_conn *c, uint64_t job, uint64_t wall_ms,
                                  struct err *e);
/* The quarantined jobs of a run. */
TACIT_MUST_CHECK int op_jobs_quarantined(struct store_conn *c, uint64_t run, struct arena *a,
                                         uint64_t **jobs, uint32_t *count, struct err *e);
/* A failed run is active again, and what was cancelled with it waits again. */
TACIT_MUST_CHECK int op_run_revive(struct store_conn *c, uint64_t run, uint64_t wall_ms,
                                   struct err *e);

#endif
