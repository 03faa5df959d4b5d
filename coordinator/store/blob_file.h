/* Files of the blobs that are too large for rows: FOLDER/ID.blob, by the number of the row in
 * blobs.db, which is never used twice once it is committed. The row says how many of a file's bytes
 * are durable; what is beyond them counts for nothing and is written over. A file comes before its
 * row and goes after it, so that what is left of either by a power loss is a file that nobody
 * knows: the next start removes it. Private to store/. */
#ifndef TACIT_COORDINATOR_STORE_BLOB_FILE_H
#define TACIT_COORDINATOR_STORE_BLOB_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "core/base/digest.h"
#include "core/base/err.h"
#include "coordinator/store/store.h"

/* What an upload has written into a file and not yet made durable: the disk works on it while more
 * bytes come, and is waited for now and then only. Its owner's fields are the blob writer's; the
 * list of all is the store's (blob_files). */
struct blob_ahead {
    struct blob_ahead *next;
    uint64_t id; /* the row's; 0: nothing is ahead */
    uint64_t end;
    struct digest_state hash; /* of all bytes up to its end */
    int fd;
    int lost; /* why it counts for nothing any more: an error's code */
};

/* Writes at offset. fresh: the row is being made, and the file with it; what an earlier row of this
 * number that was never committed has left goes. hash: of all bytes up to the end of these. The
 * blob writer's, like what follows. */
TACIT_MUST_CHECK int blob_ahead_write(struct store *s, struct blob_ahead *a, uint64_t id,
                                      bool fresh, uint64_t offset, const void *data, size_t len,
                                      const struct digest_state *hash, struct err *e);
/* Makes it durable. Where that fails, it is lost: the system takes it for written. */
TACIT_MUST_CHECK int blob_ahead_sync(struct store *s, struct blob_ahead *a, struct err *e);
/* Its row says so, and is committed; or its upload ends. Any thread. */
void blob_ahead_end(struct store *s, struct blob_ahead *a);
/* Two uploads of a blob write into one file. Who meets what another has ahead makes it durable for
 * him, in this transaction: *met. Then both ask what is there, and go on from that; so neither
 * writes over what the other counts on, and each such meeting brings the blob on. */
TACIT_MUST_CHECK int blob_ahead_meet(struct store *s, struct store_conn *c,
                                     const struct blob_ahead *own, uint64_t id, bool *met,
                                     struct err *e);
/* ERR_NOT_FOUND where it is gone. Any thread. */
TACIT_MUST_CHECK int blob_file_read(const char *folder, uint64_t id, uint64_t offset, void *out,
                                    size_t len, struct err *e);
/* After the row is gone. */
void blob_file_remove(const char *folder, uint64_t id);
/* Removes the files of numbers that blobs.db does not know. Before anything is written. */
TACIT_MUST_CHECK int blob_files_sweep(struct store *s, struct err *e);

#endif
