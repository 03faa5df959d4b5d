/* What attempts have let be heard since the process began: step, losses, the newest part of the
 * learning curve, the tail of the log, and whether steps still come. In memory alone, so that a
 * heartbeat costs no write; attempts.c carries it into the database. Private to lease/. Any thread.
 */
#ifndef TACIT_COORDINATOR_LEASE_TRAILS_H
#define TACIT_COORDINATOR_LEASE_TRAILS_H

#include <stdbool.h>
#include <stdint.h>
#include "core/base/err.h"
#include "core/protocol/messages.h"
#include "coordinator/lease/lease.h"

struct trails;

TACIT_MUST_CHECK int trails_create(struct trails **out, struct err *e);
void trails_destroy(struct trails *t); /* accepts NULL */

/* Which attempt, and what its step times are compared with. */
struct trail_key {
    uint64_t job, run, last; /* last: its last step; 0: as heartbeats say */
    int kind, target;
    struct msg_fence fence;
};

enum trail_verdict {
    TRAIL_WELL,
    TRAIL_STALLED, /* to be told to restart */
    TRAIL_HUNG,    /* it was told, for a whole lease, and does not: its lease is not renewed */
};
/* A heartbeat; fills what of *p is not in m. *news: the verdict is new. Without memory the attempt
 * leaves no trail: no harm. */
enum trail_verdict trails_beat(struct trails *t, const struct trail_key *k,
                               const struct msg_heartbeat *m, int64_t now_ms,
                               struct lease_progress *p, bool *news);
/* Whether the attempt is hung: its agent does not get it back by a heartbeat. */
bool trails_hung(struct trails *t, uint64_t job, const struct msg_fence *f);
/* Whether it was told to restart, and has not done a step since. */
bool trails_stalled(struct trails *t, uint64_t job, const struct msg_fence *f);

/* Points of a learning curve that wait to be written: those of a minute's heartbeats, and of one
 * that comes too early. More are a gap until the job's result brings all. */
#define TRAIL_POINTS_MAX (4 * PROTOCOL_POINTS_MAX)

/* What is to be written of an attempt. */
struct trail_copy {
    uint64_t job;
    struct msg_fence fence;
    uint64_t step;
    int phase;
    double loss_first, loss;
    char log[PROTOCOL_TAIL_MAX + 1];
    struct msg_point points[TRAIL_POINTS_MAX];
    uint32_t point_count;
    uint64_t version; /* for trails_written */
};
/* False where nothing was heard of it. ending: its attempt ends. */
bool trails_copy(struct trails *t, uint64_t job, const struct msg_fence *f, bool ending,
                 struct trail_copy *out);
/* Up to cap trails whose log has grown since it was written, or of which nothing was heard for a
 * lease; each once a round. */
void trails_round(struct trails *t);
unsigned trails_collect(struct trails *t, int64_t now_ms, struct trail_copy *out, unsigned cap);
/* What was copied is durable; over: its attempt has ended, so the trail is forgotten. */
void trails_written(struct trails *t, const struct trail_copy *c, bool over);

/* old and more joined, the last lines that fit. What more repeats of old's end (an answer that was
 * lost, a tail that was sent whole) is not there twice. */
void trail_join(const char *old, const char *more, char out[PROTOCOL_TAIL_MAX + 1]);

#endif
