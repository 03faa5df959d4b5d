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
    bool complete;
};
/* ERR_NOT_FOUND where nothing is known. */
TACIT_MUST_CHECK int blob_row_find(struct store_conn *c, const struct digest *d,
                                   struct blob_row *out, struct err *e);
/* Up to cap bytes from offset < durable, within one chunk, whether the blob is complete or not. */
TACIT_MUST_CHECK int blob_chunk_read(struct store_conn *c, const struct blob_row *b,
                                     uint64_t offset, void *out, size_t cap, size_t *got,
                                     struct err *e);

#endif
