/* Uploads. A handle holds the chunks being filled and the running hash; each flush writes the
 * chunks (small blobs into rows; larger ones, which a log would write twice, into a file that is
 * synced before COMMIT), the hash's state, and moves `durable` in one transaction, so that whatever
 * is durable is there to go on from, at once: hashing gigabytes anew would keep the client waiting
 * for longer than it bears. Long uploads have two buffers: while one is written, the other is
 * filled and hashed. At most one flush of a handle is under way; what is asked for meanwhile starts
 * when it has ended, so that `durable` moves in order. */
#include "coordinator/store/blobs.h"

#include <stdlib.h>
#include <string.h>
#include "core/base/text.h"
#include "core/env/clock.h"
#include "core/env/file.h"
#include "core/env/thread.h"
#include "core/protocol/messages.h"
#include "coordinator/store/blob_file.h"
#include "coordinator/store/blob_rows.h"
#include "coordinator/store/ops.h"
#include "coordinator/store/store_parts.h"

/* What makes room in a file is made durable once it is so much or so old: a wait for the disk each
 * time would leave it idle in between. A coordinator that is killed has lost no more than that. */
#define SETTLE_BYTES (32ull << 20)
#define SETTLE_MS 1000
/* A flush waits for the disk once, so long uploads gather several chunks for it; only so many of
 * them at a time, since every buffer is memory (16 MiB in all; the others do with one chunk each,
 * and the disk is busy anyway). */
#define WIDE_BYTES (4 * BLOB_CHUNK)
#define WIDE_MAX 2

_Static_assert(PROTOCOL_BLOB_MAX / BLOB_CHUNK == 1u << 20, "chunk numbers have 20 bits");

struct buffer {
    uint8_t *data;
    uint64_t chunk; /* number of the first */
    size_t fill;
    struct digest_state hash; /* of all bytes up to its end */
};

/* ROOM and BEHIND make room; the others make durable, too. */
enum flush_kind { FLUSH_NONE, FLUSH_BEHIND, FLUSH_ROOM, FLUSH_WHOLE, FLUSH_LAST };

struct blob_upload {
    struct store *store;
    struct digest digest;
    uint64_t size;
    size_t cap;            /* bytes that fit into a buffer: whole chunks */
    struct buffer now;     /* being filled */
    struct buffer written; /* by the flush under way; its data, when there is none, is spare */
    uint64_t durable;      /* bytes in blobs.db, from the blob's start */
    bool fresh; /* nothing durable was there of this size: the first flush makes the row */
    struct blob_ahead ahead; /* beyond durable */
    int64_t settled_ms;      /* when durable last moved; monotonic */
    bool settles;            /* the flush under way moves durable */
    bool mismatch, met;      /* it found wrong bytes; another upload's */

    struct env_mutex mutex; /* guards what follows; nothing is called while it is held */
    enum flush_kind going, next;
    bool closed; /* goes once the flush under way has ended */
    int rc;      /* of a flush behind that failed, with err: for whoever asks next */
    struct err err;
    store_done_fn *done, *next_done;
    void *arg, *next_arg;
};

/* --- opening --------------------------------------------------------------- */

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
    digest_init(&u->now.hash);
    if (u->durable == 0)
        return 0;
    u->now.chunk = u->durable / BLOB_CHUNK;
    u->now.fill = (size_t)(u->durable % BLOB_CHUNK);
    int rc = store__blob_read_begin(u->store, &c, e);
    if (rc)
        return rc;
    size_t got;
    rc = load_hash(c, b, &u->now.hash, e);
    if (!rc && u->now.fill > 0)
        rc = blob_chunk_read(c, b, u->now.chunk * BLOB_CHUNK, u->now.data, BLOB_CHUNK, &got, e);
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
    env_mutex_init(&u->mutex);
    u->now.data = aligned_alloc(ENV_FILE_ALIGN, u->cap);
    if (u->cap > BLOB_CHUNK)
        u->written.data = aligned_alloc(ENV_FILE_ALIGN, u->cap);
    if (u->now.data && (u->written.data || u->cap == BLOB_CHUNK))
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
    rc = store__room_for_upload(s, size - b.durable, e);
    if (rc)
        return rc;
    struct blob_upload *u = upload_create(s, size - b.durable);
    if (!u)
        return err_set(e, ERR_NO_MEMORY, "no memory for an upload");
    u->digest = *d;
    u->size = size;
    u->durable = b.durable;
    u->settled_ms = env_monotonic_ms();
    u->fresh = fresh;
    rc = take_up(u, &b, e);
    if (rc)
        blob_upload_close(u);
    else
        *out = u;
    return rc;
}

static void upload_free(struct blob_upload *u)
{
    atomic_fetch_sub(&u->store->upload_bytes, u->size - u->durable);
    blob_ahead_end(u->store, &u->ahead);
    if (u->cap == WIDE_BYTES)
        atomic_fetch_sub(&u->store->uploads_wide, 1);
    env_mutex_destroy(&u->mutex);
    free(u->now.data);
    free(u->written.data);
    free(u);
}

void blob_upload_close(struct blob_upload *u)
{
    if (!u)
        return;
    env_mutex_lock(&u->mutex);
    u->closed = true;
    bool idle = u->going == FLUSH_NONE;
    env_mutex_unlock(&u->mutex);
    if (idle)
        upload_free(u);
}

static uint64_t buffer_end(const struct buffer *b)
{
    return b->chunk * BLOB_CHUNK + b->fill;
}

uint64_t blob_upload_offset(const struct blob_upload *u)
{
    return buffer_end(&u->now);
}

size_t blob_upload_take(struct blob_upload *u, const void *data, size_t len)
{
    uint64_t left = u->size - blob_upload_offset(u);
    env_mutex_lock(&u->mutex);
    bool whole = u->going > FLUSH_BEHIND || u->next != FLUSH_NONE;
    env_mutex_unlock(&u->mutex);
    if (whole)
        return 0;
    if (len > u->cap - u->now.fill)
        len = u->cap - u->now.fill;
    if (len > left)
        len = (size_t)left;
    memcpy(u->now.data + u->now.fill, data, len);
    digest_update(&u->now.hash, data, len);
    u->now.fill += len;
    return len;
}

/* --- flushing -------------------------------------------------------------- */

static int insert_blob(struct store_conn *c, const struct blob_upload *u, struct blob_row *b,
                       struct err *e)
{
    static const char insert[] = "INSERT INTO blob (digest, size, durable, complete, apart)"
                                 " VALUES (?, ?, 0, 0, ?) RETURNING id";
    struct query q;
    *b = (struct blob_row){.size = u->size};
    int rc = blob_choose_place(c, u->size, &b->apart, e);
    if (rc)
        return rc;
    query_open(&q, c, insert);
    query_digest(&q, &u->digest);
    query_u64(&q, u->size);
    query_u64(&q, b->apart);
    return query_returned(&q, &b->id, e);
}

static int changed(struct err *e)
{
    return err_set(e, ERR_CONFLICT,
                   "another upload of this blob has changed what is there; ask for its offset "
                   "and go on from it");
}

/* The row that this upload goes on with: as the handle left it, or another upload was quicker.
 * *made: it is a new one. */
static int own_row(struct store_conn *c, const struct blob_upload *u, struct blob_row *b,
                   bool *made, struct err *e)
{
    int rc = blob_row_find(c, &u->digest, b, e);
    *made = rc == ERR_NOT_FOUND && u->fresh;
    if (*made)
        return insert_blob(c, u, b, e);
    if (rc && rc != ERR_NOT_FOUND)
        return rc;
    bool going = !rc && b->complete && blob_is_going(u->store, &u->digest);
    if (!rc && b->complete && !going)
        return err_set(e, ERR_EXISTS, "the blob is there already");
    *made = !rc && (going || b->size != u->size) && u->fresh;
    if (*made) {
        rc = blob_row_drop(c, b->id, e);
        return rc ? rc : insert_blob(c, u, b, e);
    }
    if (rc || b->size != u->size || b->durable != u->durable)
        return changed(e);
    return 0;
}

/* What the flush under way writes. */
static struct buffer *written(struct blob_upload *u)
{
    return u->going == FLUSH_BEHIND ? &u->written : &u->now;
}

/* The buffer's chunks, those left out that were durable as they are. */
static int put_chunks(struct store_conn *c, struct blob_upload *u, uint64_t id, struct err *e)
{
    static const char put[] = "INSERT OR REPLACE INTO chunk (id, data) VALUES (?, ?)";
    const struct buffer *b = written(u);
    int rc = 0;
    for (size_t at = 0; !rc && at < b->fill; at += BLOB_CHUNK) {
        size_t len = b->fill - at < BLOB_CHUNK ? b->fill - at : BLOB_CHUNK;
        if (b->chunk * BLOB_CHUNK + at + len <= u->durable)
            continue;
        struct query q;
        query_open(&q, c, put);
        query_u64(&q, BLOB_ROW_ID(id, b->chunk + at / BLOB_CHUNK));
        query_bytes(&q, b->data + at, len);
        rc = query_run(&q, NULL, e);
    }
    return rc;
}

/* The same into the blob's file. After COMMIT the row says that they are durable: so they are,
 * before. */
static int put_file(struct store_conn *c, struct blob_upload *u, uint64_t id, bool made,
                    struct err *e)
{
    const struct buffer *b = written(u);
    uint64_t start = b->chunk * BLOB_CHUNK;
    int rc = blob_ahead_meet(u->store, c, &u->ahead, id, &u->met, e);
    if (rc || u->met)
        return rc;
    uint64_t have = u->ahead.id && !made ? u->ahead.end : u->durable;
    size_t from = have > start ? (size_t)(have - start) : 0;
    if (from < b->fill || made)
        rc = blob_ahead_write(u->store, &u->ahead, id, made, start + from, b->data + from,
                              b->fill - from, &b->hash, e);
    if (!rc && u->settles && u->ahead.id)
        rc = blob_ahead_sync(u->store, &u->ahead, e);
    if (rc)
        health_note(&u->store->health, HEALTH_BLOBS, rc, e->message);
    return rc;
}

/* What is ahead of the handle must be of the row that it has now. */
static int check_ahead(const struct blob_upload *u, const struct blob_row *row, bool made,
                       struct err *e)
{
    if (u->ahead.lost && u->ahead.lost != ERR_CONFLICT)
        return err_set(e, u->ahead.lost, "the disk has lost what was sent; send it again");
    if (u->ahead.lost || (u->ahead.id && u->ahead.id != row->id && !made))
        return changed(e);
    return 0;
}

static int flush_fn(struct store_conn *c, void *arg, struct err *e)
{
    struct blob_upload *u = arg;
    const struct buffer *b = written(u);
    bool last = u->going == FLUSH_LAST, made;
    uint64_t durable = buffer_end(b);
    struct blob_row row;
    u->mismatch = u->met = false;
    if (last && durable != u->size)
        return err_set(e, ERR_INVALID, "the upload ended after %llu of %llu bytes",
                       (unsigned long long)durable, (unsigned long long)u->size);
    int rc = own_row(c, u, &row, &made, e);
    if (!rc)
        rc = check_ahead(u, &row, made, e);
    if (rc)
        return rc;
    if (last) {
        struct digest_state hash = b->hash;
        struct digest d;
        digest_final(&hash, &d);
        u->mismatch = !digest_equal(&d, &u->digest);
        if (u->mismatch)
            return blob_row_drop(c, row.id, e);
    }
    u->settles = made || !row.apart || u->going > FLUSH_ROOM ||
                 durable - u->durable >= SETTLE_BYTES ||
                 env_monotonic_ms() - u->settled_ms >= SETTLE_MS;
    rc = row.apart ? put_file(c, u, row.id, made, e) : put_chunks(c, u, row.id, e);
    if (rc || u->met || !u->settles)
        return rc;
    return blob_row_move(c, row.id, durable, last ? NULL : &b->hash, e);
}

/* After the transaction: what the handle is now. Returns what the caller hears. */
static int flush_finish(struct blob_upload *u, int rc, struct err *e)
{
    struct buffer *b = written(u);
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
    if (u->met)
        return changed(e);
    if (u->settles) {
        uint64_t durable = buffer_end(b);
        atomic_fetch_sub(&u->store->upload_bytes, durable - u->durable);
        u->durable = durable;
        u->fresh = false;
        u->settled_ms = env_monotonic_ms();
        blob_ahead_end(u->store, &u->ahead);
    }
    if (b->fill == u->cap) {
        b->chunk += u->cap / BLOB_CHUNK;
        b->fill = 0;
    }
    return 0;
}

static void flush_done(void *arg, int rc, const struct err *e);

/* The next flush, `going`, of the handle, which has none under way. Its caller hears at once of one
 * behind: there is room again. */
static void flush_start(struct blob_upload *u)
{
    bool behind = u->going == FLUSH_BEHIND;
    store_done_fn *done = u->done;
    void *arg = u->arg;
    struct err none = {0};
    if (behind) {
        uint8_t *spare = u->written.data;
        u->written = u->now;
        u->now.data = spare;
        u->now.chunk += u->cap / BLOB_CHUNK;
        u->now.fill = 0;
    }
    writer_put(u->store->blob_writer, flush_fn, flush_done, u);
    if (behind) /* the handle may be gone once this was called */
        done(arg, 0, &none);
}

/* Ends the flush under way, rc in err; true where another is to be started. What was to follow one
 * that failed fails with it. */
static bool flush_end(struct blob_upload *u, int rc, const struct err *e, bool *closed)
{
    bool behind = u->going == FLUSH_BEHIND;
    store_done_fn *done = NULL;
    void *arg = NULL;
    env_mutex_lock(&u->mutex);
    *closed = u->closed;
    if (behind && rc) {
        u->rc = rc;
        u->err = *e;
    }
    if (!behind || (rc && u->next != FLUSH_NONE)) {
        done = behind ? u->next_done : u->done;
        arg = behind ? u->next_arg : u->arg;
        u->next = FLUSH_NONE;
    }
    u->going = u->next;
    u->done = u->next_done;
    u->arg = u->next_arg;
    u->next = FLUSH_NONE;
    bool more = u->going != FLUSH_NONE;
    env_mutex_unlock(&u->mutex);
    if (done)
        done(arg, rc, e);
    return more;
}

static void flush_done(void *arg, int rc, const struct err *e)
{
    struct blob_upload *u = arg;
    struct err own = *e;
    bool closed;
    rc = flush_finish(u, rc, &own);
    if (flush_end(u, rc, &own, &closed))
        flush_start(u);
    else if (closed)
        upload_free(u);
}

static void flush_ask(struct blob_upload *u, enum flush_kind kind, store_done_fn *done, void *arg)
{
    struct err e = {0};
    env_mutex_lock(&u->mutex);
    int rc = u->rc;
    bool start = !rc && u->going == FLUSH_NONE;
    if (rc) {
        e = u->err;
    } else if (start) {
        u->going = kind;
        u->done = done;
        u->arg = arg;
    } else {
        u->next = kind;
        u->next_done = done;
        u->next_arg = arg;
    }
    env_mutex_unlock(&u->mutex);
    if (rc)
        done(arg, rc, &e);
    else if (start)
        flush_start(u);
}

void blob_upload_flush(struct blob_upload *u, bool last, store_done_fn *done, void *arg)
{
    flush_ask(u, last ? FLUSH_LAST : FLUSH_WHOLE, done, arg);
}

void blob_upload_make_room(struct blob_upload *u, store_done_fn *done, void *arg)
{
    bool behind = u->written.data && u->now.fill == u->cap;
    flush_ask(u, behind ? FLUSH_BEHIND : FLUSH_ROOM, done, arg);
}

/* --- the coordinator's own ------------------------------------------------- */

int blob_upload_flush_wait(struct blob_upload *u, bool last, struct err *e)
{
    u->going = last ? FLUSH_LAST : FLUSH_ROOM; /* nobody else has the handle */
    int rc = flush_finish(u, writer_wait(u->store->blob_writer, flush_fn, u, e), e);
    u->going = FLUSH_NONE;
    return rc;
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
