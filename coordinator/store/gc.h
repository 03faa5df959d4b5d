/* Collection of blobs that nobody needs: uploaded and never named, dropped by retention, uploads
 * that were given up.
 *
 * Which blobs are needed stands in tacit.db, the blobs in blobs.db. So that nothing comes between:
 * a blob goes only if tacit.db's writer, in its own transaction, finds it unused; in the same
 * breath it is marked as going, from when on it is not there for anybody (blob_stat), so that who
 * completes a job after that is told to send it; then blobs.db's writer drops it. Who was told that
 * it is there (blob_promise) has the grace time to name it; who uploads it, too. */
#ifndef TACIT_COORDINATOR_STORE_GC_H
#define TACIT_COORDINATOR_STORE_GC_H

#include <stdbool.h>
#include <stdint.h>
#include "core/base/arena.h"
#include "core/base/digest.h"
#include "core/base/err.h"
#include "coordinator/store/store.h"

/* An agent uploads before it completes, ingest before it publishes: a blob that nobody names stays
 * for this long after it was last touched. A day, since a big data set takes long to send. */
#define GC_GRACE_MS (24 * 3600 * (int64_t)1000)
#define GC_LOOK 256 /* blobs looked at in one go */
#define GC_DROP 32  /* blobs dropped in one go */

enum gc_why {
    GC_UNNAMED, /* complete, and named by nothing: fenced out, failed, given up */
    GC_DROPPED, /* retention or a run's end dropped it */
    GC_PARTIAL, /* an upload that was given up */
};
struct gc_candidate {
    uint64_t id, size;
    struct digest digest;
    int64_t touched_ms;
    enum gc_why why;
    uint64_t run; /* GC_DROPPED: a run that had named it; 0: a backup's */
    bool later;   /* its grace time is not over, or a backup under way may name it */
};

/* The candidates among the next GC_LOOK blobs after *cursor (0 at first), of which there are at
 * most GC_LOOK; *cursor moves on; *end: there are no more blobs. Any thread; short snapshots. */
TACIT_MUST_CHECK int gc_look(struct store *s, int64_t grace_ms, int64_t wall_ms, uint64_t *cursor,
                             struct gc_candidate *out, uint32_t *count, bool *end, struct err *e);
/* The same of what was released lately (ops_storage.h), at most GC_DROP, after *cursor (a zero
 * digest at first). What need not be looked at again is forgotten. */
TACIT_MUST_CHECK int gc_look_released(struct store *s, int64_t grace_ms, int64_t wall_ms,
                                      struct digest *cursor, struct gc_candidate *out,
                                      uint32_t *count, bool *end, struct err *e);
/* Drops those of at most GC_DROP candidates that are not `later` and still as they were seen; adds
 * to *blobs and *bytes. Waits for both writers: not on a writer's thread. */
TACIT_MUST_CHECK int gc_drop(struct store *s, const struct gc_candidate *list, uint32_t count,
                             uint64_t *blobs, uint64_t *bytes, struct err *e);

#endif
