/* The heartbeat: a thread with a client of its own that keeps the lease of the job in hand, tells
 * its progress, and brings back commands into struct job_progress. While the coordinator is away it
 * keeps trying; the job does not notice. */
#ifndef TACIT_AGENT_HEARTBEAT_H
#define TACIT_AGENT_HEARTBEAT_H

#include <stdint.h>
#include "agent/job_log.h"
#include "core/runners/job.h"
#include "core/client/client.h"

struct heartbeat;

TACIT_MUST_CHECK int heartbeat_create(struct heartbeat **out, const struct client_options *o,
                                      struct err *e);
void heartbeat_destroy(struct heartbeat *h); /* accepts NULL; waits for the thread */
void heartbeat_set_token(struct heartbeat *h, const char *token);
/* From now on for this job (fence copied; progress and log, which may be NULL, borrowed until
 * heartbeat_end). */
void heartbeat_begin(struct heartbeat *h, uint64_t job, const struct msg_fence *fence,
                     uint64_t lease_ms, struct job_progress *progress, struct job_log *log);
/* Goes on after a stop was requested, until this time (monotonic): an upload may outlast a lease.
 */
void heartbeat_linger(struct heartbeat *h, int64_t until_ms);
/* No more for any job; what is on its way for the last one will change nothing. */
void heartbeat_end(struct heartbeat *h);

#endif
