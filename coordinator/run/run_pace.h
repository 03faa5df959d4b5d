/* How long runs still take, from how fast they went: what keep/ sees of them now and then. In
 * memory alone; a restart begins anew. Any thread. */
#ifndef TACIT_COORDINATOR_RUN_RUN_PACE_H
#define TACIT_COORDINATOR_RUN_RUN_PACE_H

#include <stdbool.h>
#include <stdint.h>
#include "core/base/err.h"

struct run_paces;

TACIT_MUST_CHECK int run_paces_create(struct run_paces **out, struct err *e);
void run_paces_destroy(struct run_paces *p); /* accepts NULL */

/* A run's share that is done (run_share.h) at this time. busy: agents work for it; time in which
 * none did counts for nothing, so that a pause or a night without agents makes no run look slow. */
void run_paces_note(struct run_paces *p, uint64_t run, double share, bool busy, int64_t now_ms);
/* Seconds that it will still take while agents work as they did: from the fastest of its last
 * stretches to the slowest. False where too little was seen (or p is NULL). */
bool run_paces_left(struct run_paces *p, uint64_t run, double *least_s, double *most_s);
/* What is known of runs that are not in runs[] is forgotten. */
void run_paces_keep(struct run_paces *p, const uint64_t *runs, uint32_t count);

#endif
