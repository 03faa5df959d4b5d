/* Copies of tacit.db, what they need of blobs.db, and what becomes of one that is put back. */
#ifndef TACIT_COORDINATOR_STORE_SNAPSHOT_H
#define TACIT_COORDINATOR_STORE_SNAPSHOT_H

#include <stdint.h>
#include "core/base/digest.h"
#include "core/base/err.h"
#include "coordinator/store/store.h"

/* Writes a copy of tacit.db, as of one moment, to path, which must not exist. Writers go on. */
TACIT_MUST_CHECK int snapshot_write(struct store *s, const char *path, struct err *e);
/* Writes the list of the blobs that the copy names to path: PROTOCOL_BACKUP_ROW bytes each.
 * *missing are named, but not in blobs.db: they are left out. */
struct snapshot_sum {
    uint64_t blobs, bytes, missing;
};
TACIT_MUST_CHECK int snapshot_list(struct store *s, const char *snapshot, const char *path,
                                   struct snapshot_sum *out, struct err *e);
/* The highest id of a blob so far: later ones are not in any copy that is made already. */
TACIT_MUST_CHECK int snapshot_last_blob(struct store *s, uint64_t *id, struct err *e);

/* A copy was put back and opened: fences of the coordinator that it was made of, and of any other
 * that was made of it, must not be met again; what was under way there is not here. */
TACIT_MUST_CHECK int snapshot_settle(struct store *s, struct err *e);

#endif
