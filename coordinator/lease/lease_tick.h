/* lease_tick on a given time, for tests and simulations. */
#ifndef TACIT_COORDINATOR_LEASE_LEASE_TICK_H
#define TACIT_COORDINATOR_LEASE_LEASE_TICK_H

#include "coordinator/lease/lease.h"

TACIT_MUST_CHECK int lease_tick_at(struct service *s, int64_t now_ms, int64_t wall_ms,
                                   int64_t *next_ms, struct err *e);

#endif
