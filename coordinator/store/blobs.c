/* What is there of blobs, and reading them. */
#include "coordinator/store/blobs.h"

#include <string.h>
#include "core/env/clock.h"
#include "coordinator/store/blob_file.h"
#include "coordinator/store/blob_rows.h"
#include "coordinator/store/store_parts.h"

int blob_row_find(struct store_conn *c, const struct digest *d, struct blob_row *out, struct err *e)
{
    static const char find[] = "SELECT id, size, durable, complete, touched_ms, apart"
                               " FROM blob WHERE digest = ?";
    struct query q;
    query_open(&q, c, find);
    query_digest(&q, d);
    int rc = query_step(&q, e);
    if (rc == 1) {
        out->id = column_u64(&q, 0);
        out->size = column_u64(&q, 1);
        out->durable = column_u64(&q, 2);
        out->complete = column_u64(&q, 3) != 0;
        out->touched_ms = (int64_t)column_u64(&q, 4);
        out->apart = column_u64(&q, 5) != 0;
    }
    query_close(&q);
    if (rc == 0) {
        char hex[DIGEST_HEX + 1];
        return err_set(e, ERR_NOT_FOUND, "there is no blob %s", digest_to_hex(d, hex));
    }
    return rc < 0 ? rc : 0;
}

int blob_row_move(struct store_conn *c, uint64_t id, uint64_t durable,
                  const struct digest_state *hash, struct err *e)
{
    static const char move[] = "UPDATE blob SET durable = ?, complete = ?, hash = ?, hash_kind = ?,"
                               " touched_ms = ? WHERE id = ?";
    char kind[64];
    struct query q;
    query_open(&q, c, move);
    query_u64(&q, durable);
    query_u64(&q, hash == NULL);
    query_bytes(&q, hash ? hash->opaque : NULL, sizeof hash->opaque);
    query_text(&q, hash ? digest_state_kind(kind) : NULL);
    query_i64(&q, env_wall_ms());
    query_u64(&q, id);
    return query_run(&q, NULL, e);
}

int blob_chunk_read(struct store_conn *c, const struct blob_row *b, uint64_t offset, void *out,
                    size_t cap, size_t *got, struct err *e)
{
    uint64_t chunk = offset / BLOB_CHUNK;
    size_t from = (size_t)(offset % BLOB_CHUNK), len = BLOB_CHUNK - from;
    if (len > b->durable - offset)
        len = (size_t)(b->durable - offset);
    if (len > cap)
        len = cap;
    *got = len;
    if (b->apart)
        return blob_file_read(c->folder, b->id, offset, out, len, e);
    /* Incremental reading: the row is never held whole beside the caller's buffer. */
    sqlite3_blob *row;
    int rc = sqlite3_blob_open(c->db, "main", "chunk", "data",
                               (sqlite3_int64)BLOB_ROW_ID(b->id, chunk), 0, &row);
    if (rc == SQLITE_OK) {
        rc = sqlite3_blob_read(row, out, (int)len, (int)from);
        sqlite3_blob_close(row);
    }
    if ((rc & 0xff) == SQLITE_ERROR)
        return err_set(e, ERR_NOT_FOUND, "chunk %llu of the blob is not there",
                       (unsigned long long)chunk);
    if (rc != SQLITE_OK)
        return store_sqlite_error(c->db, rc, "reading a blob", e);
    return 0;
}

int blob_stat(struct store *s, const struct digest *d, struct blob_info *out, struct err *e)
{
    struct store_conn *c;
    struct blob_row b;
    char hex[DIGEST_HEX + 1];
    memset(out, 0, sizeof *out);
    /* Before reading: once it is through, the snapshot tells. */
    if (blob_is_going(s, d))
        return err_set(e, ERR_NOT_FOUND, "blob %s has just been collected", digest_to_hex(d, hex));
    int rc = store__blob_read_begin(s, &c, e);
    if (rc)
        return rc;
    rc = blob_row_find(c, d, &b, e);
    store__blob_read_end(s, c);
    if (!rc)
        *out = (struct blob_info){b.size, b.durable, b.complete};
    return rc;
}

int blob_promise(struct store *s, const struct digest *d, struct blob_info *out, struct err *e)
{
    int rc = blob_stat(s, d, out, e);
    if (rc || !out->complete)
        return rc;
    (void)blob_touch(s, d); /* where it was too late, the second look says so */
    return blob_stat(s, d, out, e);
}

int blob_read(struct store *s, const struct digest *d, uint64_t offset, void *out, size_t cap,
              size_t *got, struct err *e)
{
    struct store_conn *c;
    struct blob_row b;
    *got = 0;
    int rc = store__blob_read_begin(s, &c, e);
    if (rc)
        return rc;
    rc = blob_row_find(c, d, &b, e);
    if (!rc && !b.complete)
        rc = err_set(e, ERR_NOT_FOUND, "the blob is not complete yet");
    if (!rc && offset > b.size)
        rc = err_set(e, ERR_RANGE, "offset %llu is beyond the blob's %llu bytes",
                     (unsigned long long)offset, (unsigned long long)b.size);
    while (!rc && *got < cap && offset + *got < b.size) {
        size_t part;
        rc = blob_chunk_read(c, &b, offset + *got, (char *)out + *got, cap - *got, &part, e);
        if (!rc)
            *got += part;
    }
    store__blob_read_end(s, c);
    return rc;
}

int blob_totals(struct store *s, uint64_t *blobs, uint64_t *bytes, struct err *e)
{
    static const char totals[] =
        "SELECT count(*), coalesce(sum(size), 0) FROM blob WHERE complete = 1";
    struct store_conn *c;
    int rc = store__blob_read_begin(s, &c, e);
    if (rc)
        return rc;
    struct query q;
    query_open(&q, c, totals);
    rc = query_step(&q, e);
    if (rc == 1) {
        *blobs = column_u64(&q, 0);
        *bytes = column_u64(&q, 1);
    }
    query_close(&q);
    store__blob_read_end(s, c);
    return rc < 0 ? rc : 0;
}
