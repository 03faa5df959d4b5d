/* Content-addressed, immutable blobs in blobs.db: chunk rows of BLOB_CHUNK bytes. A blob becomes
 * visible once all its bytes are there, durable and of the right digest. Partial uploads live on
 * across restarts and go on by offset; a start drops those that nobody has touched for a week, and,
 * after an update of the library that hashes, all. */
#ifndef TACIT_COORDINATOR_STORE_BLOBS_H
#define TACIT_COORDINATOR_STORE_BLOBS_H

#include <stdbool.h>
#include <stdint.h>
#include "core/base/digest.h"
#include "core/base/err.h"
#include "coordinator/store/store.h"

#define BLOB_CHUNK (1u << 20)
/* A partial upload that nobody has gone on with for so long is abandoned: its agent has given up,
 * or somebody else has done its job. */
#define BLOB_ABANDONED_MS (7 * 24 * 3600 * (int64_t)1000)

struct blob_info {
    uint64_t size;   /* of the whole blob; 0 and complete false where nothing is known */
    uint64_t offset; /* durable bytes so far; = size where complete */
    bool complete;
};

/* What is there of d. ERR_NOT_FOUND where nothing. Any thread. */
TACIT_MUST_CHECK int blob_stat(struct store *s, const struct digest *d, struct blob_info *out,
                               struct err *e);

/* The same for somebody who, told that a blob is there, will not send it: from now on gc leaves it
 * alone for another grace time. */
TACIT_MUST_CHECK int blob_promise(struct store *s, const struct digest *d, struct blob_info *out,
                                  struct err *e);

/* --- upload: one handle a request ------------------------------------------------------------- */
struct blob_upload;

/* Quick at any offset. Opens at offset, which must be what is durable so far (else ERR_CONFLICT,
 * *durable filled). Says before any byte where there is no room: ERR_NO_SPACE. Already complete:
 * ERR_EXISTS. */
TACIT_MUST_CHECK int blob_upload_open(struct store *s, const struct digest *d, uint64_t size,
                                      uint64_t offset, struct blob_upload **out, uint64_t *durable,
                                      struct err *e);
/* Takes bytes into the handle's buffer; returns how many it took (less than len where the buffer is
 * full, one chunk or a few: then call blob_upload_make_room, and go on once its done has run).
 * Never blocks. */
size_t blob_upload_take(struct blob_upload *u, const void *data, size_t len);
/* Queues a full buffer for the blob writer. done once there is room for more bytes, on its thread
 * or, before this returns, on the caller's; what was taken is durable only after a flush, and of a
 * large blob lost where the handle is closed before. Where
 * writing fails later, the next call of this or of blob_upload_flush says so. */
void blob_upload_make_room(struct blob_upload *u, store_done_fn *done, void *arg);
/* Queues what is buffered for the blob writer. done(arg, rc, e) after COMMIT, on its thread.
 * last: all bytes are in; the digest is checked, and only then is the blob visible (ERR_DIGEST: all
 * of it is dropped). A connection that breaks flushes what it has, then closes. */
void blob_upload_flush(struct blob_upload *u, bool last, store_done_fn *done, void *arg);
/* Waiting: with last the same, else what blob_upload_make_room does; never together with that. Not
 * on a writer's thread. */
TACIT_MUST_CHECK int blob_upload_flush_wait(struct blob_upload *u, bool last, struct err *e);
uint64_t blob_upload_offset(const struct blob_upload *u); /* bytes taken, from the blob's start */
/* Not before done has run. */
void blob_upload_close(struct blob_upload *u);

/* --- reading ---------------------------------------------------------------------------------- */
/* Best with 256 KiB and more at a time. Copies up to cap bytes at offset of a complete blob; *got <
 * cap only at its end. Any thread. */
TACIT_MUST_CHECK int blob_read(struct store *s, const struct digest *d, uint64_t offset, void *out,
                               size_t cap, size_t *got, struct err *e);
/* Stores a small blob made by the coordinator itself, and waits until it is durable. */
TACIT_MUST_CHECK int blob_put(struct store *s, const void *data, uint64_t size, struct digest *d,
                              struct err *e);
/* Makes a blob that was found to be damaged unknown at once, so that it can be stored anew; its
 * bytes go with the next ones that are dropped. Waits; not on a writer's thread. */
TACIT_MUST_CHECK int blob_forget(struct store *s, const struct digest *d, struct err *e);
/* The same of a file, in pieces. */
TACIT_MUST_CHECK int blob_put_file(struct store *s, const char *path, struct digest *d,
                                   uint64_t *size, struct err *e);
/* Number and bytes of complete blobs. */
TACIT_MUST_CHECK int blob_totals(struct store *s, uint64_t *blobs, uint64_t *bytes, struct err *e);

#endif
