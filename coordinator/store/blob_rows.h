/* Rows of blobs.db. Private to store/. */
#ifndef TACIT_COORDINATOR_STORE_BLOB_ROWS_H
#define TACIT_COORDINATOR_STORE_BLOB_ROWS_H

#include <stdbool.h>
#include <stdint.h>
#include "core/base/digest.h"
#include "coordinator/store/blobs.h"
#include "coordinator/store/conn.h"

/* PROTOCOL_BLOB_MAX is 2^20 chunks. */
#define BLOB_ROW_ID(blob, chunk) (((uint64_t)(blob) << 20) | (chunk))

struct blob_row {
    uint64_t id, size, durable;
    int64_t touched_ms;
    bool complete, apart; /* apart: the bytes are in a file of their own */
};
/* ERR_NOT_FOUND where nothing is known. */
TACIT_MUST_CHECK int blob_row_find(struct store_conn *c, const struct digest *d,
                                   struct blob_row *out, struct err *e);
/* Up to cap bytes from offset < durable, within one chunk, whether the blob is complete or not. */
TACIT_MUST_CHECK int blob_chunk_read(struct store_conn *c, const struct blob_row *b,
                                     uint64_t offset, void *out, size_t cap, size_t *got,
                                     struct err *e);
/* Where a new blob of that size goes: pages that dropped rows left take large ones, too, since
 * nothing else would use them. The writer's connection. */
TACIT_MUST_CHECK int blob_choose_place(struct store_conn *c, uint64_t size, bool *apart,
                                       struct err *e);
/* So many bytes of it are durable. hash: of them; NULL: they are all, and it is complete. */
TACIT_MUST_CHECK int blob_row_move(struct store_conn *c, uint64_t id, uint64_t durable,
                                   const struct digest_state *hash, struct err *e);
/* Makes a blob unknown at once; its chunks go later (store__drop_start after COMMIT). */
TACIT_MUST_CHECK int blob_row_drop(struct store_conn *c, uint64_t id, struct err *e);

/* Between gc and those who are told that a blob is there; any thread. blob_touch: false where it is
 * being collected; else it is not from now on, but may have been just before. */
bool blob_touch(struct store *s, const struct digest *d);
void blob_touch_again(struct store *s); /* those that could not be written */
bool blob_is_going(struct store *s, const struct digest *d);
/* From here on the blob is not there for anybody. False where somebody was just promised it. */
TACIT_MUST_CHECK bool blob_guard_mark(struct store *s, const struct digest *d);
void blob_guard_clear(struct store *s);
void blob_guard_free(struct store *s);

#endif
