/* The coordinator's housekeeping, on a thread of its own: collects blobs that nobody needs, drops
 * what ended runs leave, compares blobs with their names, ends backups that nobody goes on with.
 * In small steps, so that requests hardly notice. */
#ifndef TACIT_COORDINATOR_KEEP_KEEPER_H
#define TACIT_COORDINATOR_KEEP_KEEPER_H

#include <stdint.h>
#include "core/base/err.h"
#include "coordinator/service.h"

struct keeper;

struct keeper_options {
    int64_t grace_ms; /* of blobs that nobody names (store/gc.h) */
    int64_t first_ms; /* from the start until the first search through all blobs */
};
/* An agent that was told something before a crash has come back by then. */
#define KEEPER_FIRST_MS 60000

TACIT_MUST_CHECK int keeper_create(struct keeper **out, struct service *s,
                                   const struct keeper_options *o, struct err *e);
void keeper_destroy(struct keeper *k); /* before the store is closed; accepts NULL */

/* Operations on a works thread, without a snapshot of their own. */
call_fn keep_gc_show, keep_gc_run;         /* → msg_gc */
call_fn keep_scrub_start, keep_scrub_show; /* msg_scrub_start → msg_scrub; → msg_scrub */
call_fn keep_backup_start;                 /* → msg_backup */
/* {id}, in the writer's transaction. */
call_fn keep_backup_renew, keep_backup_end;

#endif
