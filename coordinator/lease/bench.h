/* Agents that get nothing for a while: poison.h says which. Private to lease/; inside the writer's
 * transactions, but for bench_left_ms. */
#ifndef TACIT_COORDINATOR_LEASE_BENCH_H
#define TACIT_COORDINATOR_LEASE_BENCH_H

#include "coordinator/service.h"

/* It has failed so many different jobs in a row, the last one with this error. Not the last agent
 * alive. Quarantined jobs that only it and its like have failed are free again. */
TACIT_MUST_CHECK int bench(struct call *c, uint64_t agent, uint64_t jobs, const char *error,
                           struct err *e);
/* ERR_BENCHED where the caller is benched, saying why, until when, and what ends it. Lifts a bench
 * whose time is over. */
TACIT_MUST_CHECK int bench_check(struct call *c, struct err *e);

#endif
