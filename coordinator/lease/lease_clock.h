/* What leases keep in memory: deadlines of leases and of backoffs, the last progress of each job,
 * and when each agent was heard of. It only says when to look: whether a lease really ends is
 * decided by the database's row, in the writer's transaction, so an entry of a transaction that
 * failed does no harm. Private to lease/. Any thread. */
#ifndef TACIT_COORDINATOR_LEASE_LEASE_CLOCK_H
#define TACIT_COORDINATOR_LEASE_LEASE_CLOCK_H

#include "coordinator/lease/lease.h"
#include "core/protocol/messages.h"

/* Whether a is the same grant as b, an older (< 0) or a newer one. */
int lease_fence_compare(const struct msg_fence *a, const struct msg_fence *b);

/* The job is leased under this fence until due_ms; an older fence than what is known changes
 * nothing. p (may be NULL: a new grant) is its progress. */
TACIT_MUST_CHECK int lease_clock_lease(struct lease_clock *l, uint64_t job,
                                       const struct msg_fence *fence, int64_t due_ms,
                                       const struct lease_progress *p, struct err *e);
void lease_clock_seen(struct lease_clock *l, uint64_t agent, int64_t now_ms);
/* How many agents were heard of since then, `but` and those in except[] left out. */
unsigned lease_clock_alive(struct lease_clock *l, int64_t since_ms, uint64_t but,
                           const uint64_t *except, uint32_t count);
/* Of a bench of bench_ms that is told from others by when it began (wall clock): how long it still
 * lasts. A process that does not know it yet gives it a full term. */
int64_t lease_clock_bench(struct lease_clock *l, uint64_t agent, uint64_t benched_ms,
                          int64_t now_ms, int64_t bench_ms);

/* What is heard of attempts: trails.h. */
struct trails *lease_clock_trails(struct lease_clock *l);
/* Whether it is time to write that down; every LEASE_NOTES_MS. */
#define LEASE_NOTES_MS 60000
bool lease_clock_notes_due(struct lease_clock *l, int64_t now_ms);
/* Whether it is time to see which runs' pauses are over; every LEASE_RESTS_MS. */
#define LEASE_RESTS_MS 1000
bool lease_clock_rests_due(struct lease_clock *l, int64_t now_ms);

struct lease_due {
    uint64_t job;
    bool backoff;
    struct msg_fence fence;
};
/* Up to cap entries whose time has come, and in *next_ms the time of the earliest other one
 * (INT64_MAX where there is none; now_ms where more are due than fit). */
size_t lease_clock_due(struct lease_clock *l, int64_t now_ms, struct lease_due *out, size_t cap,
                       int64_t *next_ms);
/* Whether it is still due (a heartbeat may have come in between). */
bool lease_clock_still_due(struct lease_clock *l, const struct lease_due *d, int64_t now_ms);
/* Forgets the entry, if it is still due. */
void lease_clock_forget(struct lease_clock *l, const struct lease_due *d, int64_t now_ms);

/* True the first time. */
bool lease_clock_start(struct lease_clock *l);
/* Undoes that, where the start failed. */
void lease_clock_start_again(struct lease_clock *l);

#endif
