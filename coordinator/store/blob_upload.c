/* Uploads. A handle holds the chunk being filled and the running hash; each flush writes the
 * chunk's row, the hash's state, and moves `durable` in one transaction, so that whatever is
 * durable is there to go on from, at once: hashing gigabytes anew would keep the client waiting for
 * longer than it bears. */
#include "coordinator/store/blobs.h"

#include <stdlib.h>
#include <string.h>
#include "core/base/text.h"
#include "core/env/clock.h"
#include "core/env/file.h"
#include "core/protocol/messages.h"
#include "coordinator/store/blob_rows.h"
#include "coordinator/store/ops.h"
#include "coordinator/store/store_parts.h"

/* The WAL grows to 64 MiB before it is written back; the rest is for tacit.db to live on. */
#define SPACE_RESERVE (128ull << 20)
/* A flush waits for the disk once, so long uploads gather several chunks for it; only so many of
 * them at a time, since every buffer is memory (16 MiB in all; the others do with one chunk each).
 */
#define WIDE_BYTES (4 * BLOB_CHUNK)
#define WIDE_MAX 4

_Static_assert(PROTOCOL_BLOB_MAX / BLOB_CHUNK == 1u << 20, "chunk numbers have 20 bits");

struct blob_upload {
    struct store *store;
    struct digest digest;
    uint64_t size;
    uint64_t chunk;           /* number of the buffer's first */
    size_t fill, cap;         /* bytes taken into the buffer, and that fit: whole chunks */
    uint64_t durable;         /* bytes in blobs.db, from the blob's start */
    struct digest_state hash; /* of all bytes taken */
    uint8_t *data;            /* cap bytes */
    bool fresh;    /* nothing durable was there of this size: the first flush makes the row */
    bool flushing; /* the blob writer works on it */
    bool last, mismatch;
    store_done_fn *done;
    void *arg;
};

/* --- opening --------------------------------------------------------------- */

/* Pages that dropped blobs left in the file. */
static int free_in_file(struct store *s, uint64_t *bytes, struct err *e)
{
    struct store_conn *c;
    struct query q;
    int rc = store__blob_read_begin(s, &c, e);
    if (rc)
        return rc;
    query_open(&q, c, "PRAGMA freelist_count");
    rc = query_step(&q, e);
    *bytes = rc == 1 ? column_u64(&q, 0) * 65536 : 0;
    query_close(&q);
    store__blob_read_end(s, c);
    return rc < 0 ? rc : 0;
}

int store_disk_free(struct store *s, uint64_t *bytes, struct err *e)
{
    uint64_t inside;
    int rc = env_disk_free(s->dir, bytes, e);
    if (!rc)
        rc = free_in_file(s, &inside, e);
    if (!rc)
        *bytes += inside;
    return rc;
}

int store_disk_used(struct store *s, uint64_t *bytes, struct err *e)
{
    static const char *const names[] = {"tacit.db", "tacit.db-wal", "blobs.db", "blobs.db-wal"};
    int rc = 0;
    *bytes = 0;
    for (size_t i = 0; !rc && i < sizeof names / sizeof names[0]; i++) {
        uint64_t size = 0;
        char *path = env_path_join(s->dir, names[i]);
        if (!path)
            rc = err_set(e, ERR_NO_MEMORY, "no memory for a path");
        else if (env_file_exists(path))
            rc = env_file_size(path, &size, e);
        *bytes += size;
        free(path);
    }
    return rc;
}

int store__room_for_copy(struct store *s, uint64_t bytes, struct err *e)
{
    uint64_t file, all, taken = atomic_load(&s->upload_bytes) + SPACE_RESERVE;
    char has[16], needs[16];
    int rc = env_disk_free(s->dir, &file, e);
    if (!rc)
        rc = store_disk_free(s, &all, e);
    if (rc || (file >= bytes + taken && all >= 2 * bytes + taken))
        return rc;
    return err_set(e, ERR_NO_SPACE,
                   "no room for a backup: %s are free in %s, %s are needed while it is made; make "
                   "room there, or see what `tacit gc` can let go",
                   text_bytes(all, has), s->dir, text_bytes(2 * bytes + taken, needs));
}

static int check_space(struct store *s, uint64_t bytes, struct err *e)
{
    uint64_t room, inside;
    uint64_t wanted = bytes + atomic_load(&s->upload_bytes) + SPACE_RESERVE;
    int rc = env_disk_free(s->dir, &room, e);
    if (!rc && room < wanted) {
        rc = free_in_file(s, &inside, e);
        room += inside;
    }
    if (rc)
        return rc;
    if (room >= wanted) {
        atomic_store(&s->room_wanted, 0);
        health_note(&s->health, HEALTH_ROOM, 0, NULL);
        return 0;
    }
    char has[16], needs[16];
    rc = err_set(e, ERR_NO_SPACE,
                 "no room for the upload: %s are free in %s, %s are needed; make room there, or "
                 "see what `tacit gc` can let go",
                 text_bytes(room, has), s->dir, text_bytes(wanted, needs));
    atomic_store(&s->room_wanted, bytes);
    health_note(&s->health, HEALTH_ROOM, rc, e->message);
    return rc;
}

static int touch_meta(struct store_conn *c, void *arg, struct err *e)
{
    struct msg_fence unused; /* counters of fences may have gaps */
    (void)arg;
    return op_fence_next(c, &unused, e);
}

/* Blob 0 never was; it is cleared away like any other. */
static int touch_blobs(struct store_conn *c, void *arg, struct err *e)
{
    struct query q;
    (void)arg;
    query_open(&q, c, "INSERT OR REPLACE INTO dropped (blob) VALUES (0)");
    return query_run(&q, NULL, e);
}

void store_probe(struct store *s)
{
    struct err e;
    uint64_t wanted = atomic_load(&s->room_wanted);
    if (health_is_bad(&s->health, HEALTH_TACIT))
        (void)!store_write_wait(s, touch_meta, NULL, &e);
    if (health_is_bad(&s->health, HEALTH_BLOBS) &&
        !writer_wait(s->blob_writer, touch_blobs, NULL, &e))
        store__drop_start(s);
    if (!health_is_bad(&s->health, HEALTH_BLOBS))
        blob_touch_again(s);
    if (wanted)
        (void)!check_space(s, wanted, &e);
}

/* The hash of what is durable. A row that has changed since is not found. */
static int load_hash(struct store_conn *c, const struct blob_row *b, struct digest_state *hash,
                     struct err *e)
{
    static const char find[] = "SELECT hash FROM blob WHERE id = ? AND durable = ?";
    struct query q;
    query_open(&q, c, find);
    query_u64(&q, b->id);
    query_u64(&q, b->durable);
    int rc = query_step(&q, e);
    bool found = rc == 1 && column_bytes(&q, 0, hash->opaque, sizeof hash->opaque);
    query_close(&q);
    return rc < 0 ? rc : found ? 0 : err_set(e, ERR_NOT_FOUND, "the upload is not there");
}

/* Takes up where the last flush ended: the hash, and the chunk that is not full. */
static int take_up(struct blob_upload *u, const struct blob_row *b, struct err *e)
{
    struct store_conn *c;
    digest_init(&u->hash);
    if (u->durable == 0)
        return 0;
    u->chunk = u->durable / BLOB_CHUNK;
    u->fill = (size_t)(u->durable % BLOB_CHUNK);
    int rc = store__blob_read_begin(u->store, &c, e);
    if (rc)
        return rc;
    size_t got;
    rc = load_hash(c, b, &u->hash, e);
    if (!rc && u->fill > 0)
        rc = blob_chunk_read(c, b, u->chunk * BLOB_CHUNK, u->data, BLOB_CHUNK, &got, e);
    store__blob_read_end(u->store, c);
    if (rc == ERR_NOT_FOUND)
        return err_set(e, ERR_CONFLICT,
                       "what was there of the blob has just changed; ask for its offset again");
    return rc;
}

/* What is durable of the blob at this size; a row of another size does not count. */
static int look_up(struct store *s, const struct digest *d, uint64_t size, struct blob_row *b,
                   bool *fresh, struct err *e)
{
    struct store_conn *c;
    struct blob_info info;
    int rc = blob_promise(s, d, &info, e);
    if (!rc && info.complete)
        *b = (struct blob_row){.size = info.size};
    if (!rc && info.complete)
        return err_set(e, ERR_EXISTS, "the blob is there already");
    if (rc && rc != ERR_NOT_FOUND)
        return rc;
    rc = store__blob_read_begin(s, &c, e);
    if (rc)
        return rc;
    rc = blob_row_find(c, d, b, e);
    store__blob_read_end(s, c);
    *fresh = rc == ERR_NOT_FOUND;
    if (rc == ERR_NOT_FOUND)
        rc = 0;
    else if (!rc && (b->complete || b->size != size)) /* about to go; somebody's mistake */
        *fresh = true;
    if (*fresh)
        *b = (struct blob_row){.size = size};
    return rc;
}

static struct blob_upload *upload_create(struct store *s, uint64_t bytes)
{
    struct blob_upload *u = calloc(1, sizeof *u);
    if (!u)
        return NULL;
    u->store = s;
    u->cap = BLOB_CHUNK;
    if (bytes > BLOB_CHUNK && atomic_fetch_add(&s->uploads_wide, 1) < WIDE_MAX)
        u->cap = WIDE_BYTES;
    else if (bytes > BLOB_CHUNK)
        atomic_fetch_sub(&s->uploads_wide, 1);
    atomic_fetch_add(&s->upload_bytes, bytes);
    u->size = bytes; /* what blob_upload_close takes from the sum again */
    u->data = malloc(u->cap);
    if (u->data)
        return u;
    blob_upload_close(u);
    return NULL;
}

int blob_upload_open(struct store *s, const struct digest *d, uint64_t size, uint64_t offset,
                     struct blob_upload **out, uint64_t *durable, struct err *e)
{
    struct blob_row b;
    bool fresh;
    *durable = 0;
    if (size > PROTOCOL_BLOB_MAX)
        return err_set(e, ERR_TOO_LARGE, "a blob has at most %llu bytes, not %llu",
                       (unsigned long long)PROTOCOL_BLOB_MAX, (unsigned long long)size);
    int rc = look_up(s, d, size, &b, &fresh, e);
    if (rc == ERR_EXISTS)
        *durable = b.size;
    if (rc)
        return rc;
    *durable = b.durable;
    if (offset != b.durable)
        return err_set(e, ERR_CONFLICT, "the upload goes on at offset %llu, not %llu",
                       (unsigned long long)b.durable, (unsigned long long)offset);
    rc = check_space(s, size - b.durable, e);
    if (rc)
        return rc;
    struct blob_upload *u = upload_create(s, size - b.durable);
    if (!u)
        return err_set(e, ERR_NO_MEMORY, "no memory for an upload");
    u->digest = *d;
    u->size = size;
    u->durable = b.durable;
    u->fresh = fresh;
    rc = take_up(u, &b, e);
    if (rc)
        blob_upload_close(u);
    else
        *out = u;
    return rc;
}

void blob_upload_close(struct blob_upload *u)
{
    if (!u)
        return;
    atomic_fetch_sub(&u->store->upload_bytes, u->size - u->durable);
    if (u->cap == WIDE_BYTES)
        atomic_fetch_sub(&u->store->uploads_wide, 1);
    free(u->data);
    free(u);
}

uint64_t blob_upload_offset(const struct blob_upload *u)
{
    return u->chunk * BLOB_CHUNK + u->fill;
}

size_t blob_upload_take(struct blob_upload *u, const void *data, size_t len)
{
    uint64_t left = u->size - blob_upload_offset(u);
    if (u->flushing)
        return 0;
    if (len > u->cap - u->fill)
        len = u->cap - u->fill;
    if (len > left)
        len = (size_t)left;
    memcpy(u->data + u->fill, data, len);
    digest_update(&u->hash, data, len);
    u->fill += len;
    return len;
}

/* --- flushing -------------------------------------------------------------- */

static int insert_blob(struct store_conn *c, const struct blob_upload *u, uint64_t *id,
                       struct err *e)
{
    static const char insert[] =
        "INSERT INTO blob (digest, size, durable, complete) VALUES (?, ?, 0, 0) RETURNING id";
    struct query q;
    query_open(&q, c, insert);
    query_digest(&q, &u->digest);
    query_u64(&q, u->size);
    int rc = query_step(&q, e);
    if (rc == 1)
        *id = column_u64(&q, 0);
    if (rc == 1)
        rc = query_step(&q, e);
    query_close(&q);
    return rc;
}

/* The row that this upload goes on with: as the handle left it, or another upload was quicker. */
static int own_row(struct store_conn *c, const struct blob_upload *u, uint64_t *id, struct err *e)
{
    struct blob_row b;
    int rc = blob_row_find(c, &u->digest, &b, e);
    if (rc == ERR_NOT_FOUND && u->fresh)
        return insert_blob(c, u, id, e);
    if (rc && rc != ERR_NOT_FOUND)
        return rc;
    bool going = !rc && b.complete && blob_is_going(u->store, &u->digest);
    if (!rc && b.complete && !going)
        return err_set(e, ERR_EXISTS, "the blob is there already");
    if (!rc && (going || b.size != u->size) && u->fresh) {
        rc = blob_row_drop(c, b.id, e);
        return rc ? rc : insert_blob(c, u, id, e);
    }
    if (rc || b.size != u->size || b.durable != u->durable)
        return err_set(e, ERR_CONFLICT,
                       "another upload of this blob has changed what is there; ask for its offset "
                       "and go on from it");
    *id = b.id;
    return 0;
}

/* The buffer's chunks, those left out that were durable as they are. */
static int put_chunks(struct store_conn *c, const struct blob_upload *u, uint64_t id, struct err *e)
{
    static const char put[] = "INSERT OR REPLACE INTO chunk (id, data) VALUES (?, ?)";
    int rc = 0;
    for (size_t at = 0; !rc && at < u->fill; at += BLOB_CHUNK) {
        size_t len = u->fill - at < BLOB_CHUNK ? u->fill - at : BLOB_CHUNK;
        if (u->chunk * BLOB_CHUNK + at + len <= u->durable)
            continue;
        struct query q;
        query_open(&q, c, put);
        query_u64(&q, BLOB_ROW_ID(id, u->chunk + at / BLOB_CHUNK));
        query_bytes(&q, u->data + at, len);
        rc = query_run(&q, NULL, e);
    }
    return rc;
}

static int flush_fn(struct store_conn *c, void *arg, struct err *e)
{
    static const char move[] = "UPDATE blob SET durable = ?, complete = ?, hash = ?, hash_kind = ?,"
                               " touched_ms = ? WHERE id = ?";
    struct blob_upload *u = arg;
    char kind[64];
    uint64_t id = 0, durable = blob_upload_offset(u);
    u->mismatch = false;
    if (u->last && durable != u->size)
        return err_set(e, ERR_INVALID, "the upload ended after %llu of %llu bytes",
                       (unsigned long long)durable, (unsigned long long)u->size);
    int rc = own_row(c, u, &id, e);
    if (rc)
        return rc;
    if (u->last) {
        struct digest_state hash = u->hash;
        struct digest d;
        digest_final(&hash, &d);
        u->mismatch = !digest_equal(&d, &u->digest);
        if (u->mismatch)
            return blob_row_drop(c, id, e);
    }
    if ((rc = put_chunks(c, u, id, e)))
        return rc;
    struct query q;
    query_open(&q, c, move);
    query_u64(&q, durable);
    query_u64(&q, u->last);
    query_bytes(&q, u->last ? NULL : u->hash.opaque, sizeof u->hash.opaque);
    query_text(&q, u->last ? NULL : digest_state_kind(kind));
    query_i64(&q, env_wall_ms());
    query_u64(&q, id);
    return query_run(&q, NULL, e);
}

/* After the transaction: what the handle is now. Returns what the caller hears. */
static int flush_finish(struct blob_upload *u, int rc, struct err *e)
{
    u->flushing = false;
    if (rc)
        return rc;
    if (u->mismatch) {
        char hex[DIGEST_HEX + 1];
        store__drop_start(u->store);
        return err_set(
            e, ERR_DIGEST,
            "the bytes are not those of %s: they were damaged on the way, or the name is "
            "wrong; nothing of them is kept, send them again",
            digest_to_hex(&u->digest, hex));
    }
    uint64_t durable = blob_upload_offset(u);
    atomic_fetch_sub(&u->store->upload_bytes, durable - u->durable);
    u->durable = durable;
    u->fresh = false;
    if (u->fill == u->cap) {
        u->chunk += u->cap / BLOB_CHUNK;
        u->fill = 0;
    }
    return 0;
}

static void flush_done(void *arg, int rc, const struct err *e)
{
    struct blob_upload *u = arg;
    struct err own = *e;
    rc = flush_finish(u, rc, &own);
    u->done(u->arg, rc, &own);
}

void blob_upload_flush(struct blob_upload *u, bool last, store_done_fn *done, void *arg)
{
    u->last = last;
    u->done = done;
    u->arg = arg;
    u->flushing = true;
    writer_put(u->store->blob_writer, flush_fn, flush_done, u);
}

/* --- the coordinator's own ------------------------------------------------- */

int blob_upload_flush_wait(struct blob_upload *u, bool last, struct err *e)
{
    u->last = last;
    return flush_finish(u, writer_wait(u->store->blob_writer, flush_fn, u, e), e);
}

static int put_once(struct store *s, const uint8_t *data, uint64_t size, const struct digest *d,
                    uint64_t *offset, struct err *e)
{
    struct blob_upload *u;
    int rc = blob_upload_open(s, d, size, *offset, &u, offset, e);
    if (rc)
        return rc;
    while (!rc) {
        uint64_t at = blob_upload_offset(u);
        size_t part = size - at < BLOB_CHUNK ? (size_t)(size - at) : BLOB_CHUNK;
        bool last = at + blob_upload_take(u, data + at, part) == size;
        rc = blob_upload_flush_wait(u, last, e);
        if (last)
            break;
    }
    blob_upload_close(u);
    return rc;
}

int blob_put(struct store *s, const void *data, uint64_t size, struct digest *d, struct err *e)
{
    uint64_t offset = 0;
    int rc = 0;
    digest_of(data, size, d);
    /* Somebody else may be sending the same bytes, or wrong ones: go on from what is there. */
    for (int attempt = 0; attempt < 16; attempt++) {
        rc = put_once(s, data, size, d, &offset, e);
        if (!rc || rc == ERR_EXISTS)
            return 0;
        if (rc != ERR_CONFLICT && rc != ERR_DIGEST)
            return rc;
    }
    return rc;
}

static int hash_file(int fd, void *chunk, struct digest *d, uint64_t *size, struct err *e)
{
    struct digest_state hash;
    size_t got = 1;
    int rc = 0;
    *size = 0;
    digest_init(&hash);
    while (!rc && got > 0) {
        rc = env_file_read_some(fd, chunk, BLOB_CHUNK, &got, e);
        if (!rc)
            digest_update(&hash, chunk, got);
        *size += rc ? 0 : got;
    }
    digest_final(&hash, d);
    return rc;
}

static int send_file(struct store *s, int fd, uint8_t *chunk, const struct digest *d, uint64_t size,
                     struct err *e)
{
    struct blob_upload *u;
    uint64_t at;
    int rc = blob_upload_open(s, d, size, 0, &u, &at, e);
    if (rc == ERR_CONFLICT) /* what a broken try has left */
        rc = blob_upload_open(s, d, size, at, &u, &at, e);
    if (rc)
        return rc == ERR_EXISTS ? 0 : rc;
    do {
        size_t part = size - at < BLOB_CHUNK ? (size_t)(size - at) : BLOB_CHUNK, took = 0;
        rc = env_file_read_at(fd, at, chunk, part, e);
        while (!rc && took < part) {
            took += blob_upload_take(u, chunk + took, part - took);
            if (took < part)
                rc = blob_upload_flush_wait(u, false, e);
        }
        at += part;
    } while (!rc && at < size);
    if (!rc)
        rc = blob_upload_flush_wait(u, true, e);
    blob_upload_close(u);
    return rc;
}

int blob_put_file(struct store *s, const char *path, struct digest *d, uint64_t *size,
                  struct err *e)
{
    int fd;
    uint8_t *chunk = malloc(BLOB_CHUNK);
    if (!chunk)
        return err_set(e, ERR_NO_MEMORY, "no memory to store %s", path);
    int rc = env_file_open_read(path, &fd, e);
    if (!rc) {
        rc = hash_file(fd, chunk, d, size, e);
        if (!rc)
            rc = send_file(s, fd, chunk, d, *size, e);
        env_file_close(fd);
    }
    free(chunk);
    return rc;
}
