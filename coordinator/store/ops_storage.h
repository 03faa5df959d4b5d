/* Operations of tacit.db on what is kept: who needs a blob, what retention lets go, backups under
 * way. As those of ops.h. */
#ifndef TACIT_COORDINATOR_STORE_OPS_STORAGE_H
#define TACIT_COORDINATOR_STORE_OPS_STORAGE_H

#include <stdbool.h>
#include <stdint.h>
#include "core/base/arena.h"
#include "core/base/digest.h"
#include "core/base/err.h"
#include "coordinator/store/store.h"

/* The one definition of which blobs are in use: outputs that are not dropped, shards, tokenizers,
 * specs, saves handed over,
 * what a backup under way is made of. Whatever else comes to name blobs is added there. */
TACIT_MUST_CHECK int op_blob_used(struct store_conn *c, const struct digest *d, bool *used,
                                  struct err *e);
/* Who names the blob, for people: "run demo: train expert 2, steps 500 to 1000: state", of this run
 * (0: of any) rather than of another; NULL: nobody. dropped_run, dropped_ms: of outputs that are
 * dropped, the run, and when the last of their jobs was done, or 0; the blob may be in use for all
 * that. */
struct blob_names {
    const char *text;
    uint64_t dropped_run, dropped_ms;
};
TACIT_MUST_CHECK int op_blob_names(struct store_conn *c, const struct digest *d, uint64_t run,
                                   struct arena *a, struct blob_names *out, struct err *e);
/* The next digests after `after` (NULL: the first) that outputs name and have not dropped, each
 * once, of one run or (0) all, with their sizes. */
struct named_blob {
    struct digest digest;
    uint64_t bytes;
};
TACIT_MUST_CHECK int op_named_blobs(struct store_conn *c, uint64_t run, const struct digest *after,
                                    uint32_t limit, struct arena *a, struct named_blob **rows,
                                    uint32_t *count, struct err *e);

/* Rows of digest and bytes, into the arena; closes. Private to store/. */
struct query;
TACIT_MUST_CHECK int store__named_blobs(struct query *q, struct arena *a, struct named_blob **rows,
                                        uint32_t *count, struct err *e);

/* Number and bytes of the blobs that a run names: outputs that are not dropped, data, spec;
 * *data: bytes of its data set alone. */
TACIT_MUST_CHECK int op_named_totals(struct store_conn *c, uint64_t run, uint64_t *blobs,
                                     uint64_t *bytes, uint64_t *data, struct err *e);

/* --- retention ------------------------------------------------------------------------------- */

/* What a spec says of a model's checkpoints; last: the step that is always kept. */
struct retention {
    uint64_t keep, milestone_steps, last;
};
/* Drops checkpoints of a chain (target, index; a router's are its rounds) but for: the last `keep`,
 * the one at `last`, milestones, those whose evaluation is not done, the last that was verified
 * (of those still there: links that are dropped are verified, too). */
TACIT_MUST_CHECK int op_retain(struct store_conn *c, uint64_t run, int target, uint32_t index,
                               const struct retention *r, uint64_t wall_ms, struct err *e);
/* A replay of the job gave the same content. */
TACIT_MUST_CHECK int op_job_verified(struct store_conn *c, uint64_t job, struct err *e);
/* Drops what only an ended run's own jobs have read: scores of one that is done; of one that was
 * cancelled, also assignments, pieces, and all checkpoints but the last model of each. A few a
 * call; *more false once all are through. */
TACIT_MUST_CHECK int op_sweep(struct store_conn *c, uint64_t wall_ms, bool *more, struct err *e);

/* After a replay gave something else: drops the outputs of the run's older such replays. */
TACIT_MUST_CHECK int op_evidence_trim(struct store_conn *c, uint64_t replay, struct err *e);

/* Whether op_sweep has anything to do. */
TACIT_MUST_CHECK int op_to_sweep(struct store_conn *c, bool *yes, struct err *e);

/* What op_retain, op_sweep and op_backup_end let go, not looked at by gc yet; by digest. */
struct released_row {
    struct digest digest;
    uint64_t dropped_ms;
};
TACIT_MUST_CHECK int op_released(struct store_conn *c, const struct digest *after, uint32_t limit,
                                 struct released_row *rows, uint32_t *count, struct err *e);
TACIT_MUST_CHECK int op_released_forget(struct store_conn *c, const struct digest *d,
                                        struct err *e);

/* --- backups --------------------------------------------------------------------------------- */

/* Begins one: from the COMMIT on, gc collects nothing. */
TACIT_MUST_CHECK int op_backup_insert(struct store_conn *c, uint64_t wall_ms, uint64_t *id,
                                      struct err *e);
/* It is made: gc leaves blobs with ids up to pinned alone. */
TACIT_MUST_CHECK int op_backup_made(struct store_conn *c, uint64_t id,
                                    const struct digest *snapshot, const struct digest *list,
                                    uint64_t pinned, uint64_t wall_ms, struct err *e);
TACIT_MUST_CHECK int op_backup_renew(struct store_conn *c, uint64_t id, uint64_t wall_ms,
                                     struct err *e);
TACIT_MUST_CHECK int op_backup_end(struct store_conn *c, uint64_t id, struct err *e);
/* Ends those that nobody has renewed since before_ms. */
TACIT_MUST_CHECK int op_backups_expire(struct store_conn *c, uint64_t before_ms, uint64_t *ended,
                                       struct err *e);
/* After a start: all get a full term. */
TACIT_MUST_CHECK int op_backups_renew_all(struct store_conn *c, uint64_t wall_ms, struct err *e);
/* Blobs with ids up to *id are pinned (INT64_MAX: all; 0: none), by *count backups. */
TACIT_MUST_CHECK int op_backups_pinned(struct store_conn *c, uint64_t *id, uint64_t *count,
                                       struct err *e);
/* Every blob that the database names: outputs that are not dropped, shards, tokenizers, specs.
 * Each once, by digest; fn's error ends it. */
typedef int blob_named_fn(void *arg, const struct digest *d, struct err *e);
TACIT_MUST_CHECK int op_all_named(struct store_conn *c, blob_named_fn *fn, void *arg,
                                  struct err *e);

#endif
