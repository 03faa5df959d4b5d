/* Whether there is room, what is used, and whether writing works. */
#include "coordinator/store/blobs.h"

#include <stdlib.h>
#include "core/base/text.h"
#include "core/env/file.h"
#include "core/protocol/messages.h"
#include "coordinator/store/blob_rows.h"
#include "coordinator/store/ops.h"
#include "coordinator/store/store_parts.h"

/* The WAL grows to 64 MiB before it is written back; the rest is for tacit.db to live on. */
#define SPACE_RESERVE (128ull << 20)
#define PAGE_BYTES 65536u /* of blobs.db */

static const char free_pages[] = "PRAGMA freelist_count";

/* What so many bytes take as rows. */
static uint64_t in_pages(uint64_t bytes)
{
    return bytes + bytes / 64 + PAGE_BYTES;
}

/* Pages that dropped blobs left in the file. */
static int free_in_file(struct store *s, uint64_t *bytes, struct err *e)
{
    struct store_conn *c;
    struct query q;
    int rc = store__blob_read_begin(s, &c, e);
    if (rc)
        return rc;
    query_open(&q, c, free_pages);
    rc = query_step(&q, e);
    *bytes = rc == 1 ? column_u64(&q, 0) * PAGE_BYTES : 0;
    query_close(&q);
    store__blob_read_end(s, c);
    return rc < 0 ? rc : 0;
}

/* What a blob of so many bytes can be put into: a file; or pages, where it has room in them alone.
 */
static int room_for(struct store *s, uint64_t bytes, uint64_t *room, struct err *e)
{
    uint64_t inside;
    int rc = env_disk_free(s->dir, room, e);
    if (!rc)
        rc = free_in_file(s, &inside, e);
    if (!rc && (bytes <= BLOB_CHUNK || inside >= in_pages(bytes)))
        *room += inside;
    return rc;
}

int store_disk_free(struct store *s, uint64_t *bytes, struct err *e)
{
    return room_for(s, 0, bytes, e);
}

/* Bytes of the files of large blobs. */
static int files_bytes(struct store *s, uint64_t *bytes, struct err *e)
{
    struct store_conn *c;
    struct query q;
    int rc = store__blob_read_begin(s, &c, e);
    if (rc)
        return rc;
    query_open(&q, c, "SELECT coalesce(sum(durable), 0) FROM blob WHERE apart = 1");
    rc = query_number(&q, bytes, e);
    store__blob_read_end(s, c);
    return rc < 0 ? rc : 0;
}

int store_disk_used(struct store *s, uint64_t *bytes, struct err *e)
{
    static const char *const names[] = {"tacit.db", "tacit.db-wal", "blobs.db", "blobs.db-wal"};
    int rc = files_bytes(s, bytes, e);
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
        rc = room_for(s, bytes, &all, e);
    if (rc || (file >= bytes + taken && all >= 2 * bytes + taken))
        return rc;
    return err_set(e, ERR_NO_SPACE,
                   "no room for a backup: %s are free in %s, %s are needed while it is made; make "
                   "room there, or see what `tacit gc` can let go",
                   text_bytes(all, has), s->dir, text_bytes(2 * bytes + taken, needs));
}

int store__room_for_upload(struct store *s, uint64_t bytes, struct err *e)
{
    uint64_t room;
    uint64_t wanted = bytes + atomic_load(&s->upload_bytes) + SPACE_RESERVE;
    int rc = env_disk_free(s->dir, &room, e);
    if (!rc && room < wanted)
        rc = room_for(s, bytes, &room, e);
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
        (void)!store__room_for_upload(s, wanted, &e);
}

int blob_choose_place(struct store_conn *c, uint64_t size, bool *apart, struct err *e)
{
    uint64_t pages = 0;
    struct query q;
    *apart = size > BLOB_CHUNK;
    if (!*apart)
        return 0;
    query_open(&q, c, free_pages);
    int rc = query_number(&q, &pages, e);
    *apart = pages * PAGE_BYTES < in_pages(size);
    return rc < 0 ? rc : 0;
}
