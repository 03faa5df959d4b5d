#include "coordinator/store/snapshot.h"

#include <stdlib.h>
#include <string.h>
#include "core/base/le.h"
#include "core/env/clock.h"
#include "core/env/file.h"
#include "core/protocol/messages.h"
#include "coordinator/store/blob_rows.h"
#include "coordinator/store/ops_storage.h"
#include "coordinator/store/store_parts.h"

/* Starts of a coordinator between a backup and its restoring are fewer; and the seconds since 1970
 * are ahead of every number of starts, and of what an earlier restoring took them for. */
#define INCARNATION_STRIDE (1u << 20)
#define RENEW_EVERY 256 /* look-ups on one snapshot of blobs.db */

/* What a copy takes at most: the pages in use, those of the log included. */
static int copy_bytes(struct store_conn *c, uint64_t *bytes, struct err *e)
{
    static const char get[] = "SELECT (page_count - freelist_count) * page_size"
                              " FROM pragma_page_count, pragma_freelist_count, pragma_page_size";
    struct query q;
    query_open(&q, c, get);
    int rc = query_step(&q, e);
    *bytes = rc == 1 ? column_u64(&q, 0) : 0;
    query_close(&q);
    return rc < 0 ? rc : 0;
}

int snapshot_write(struct store *s, const char *path, struct err *e)
{
    struct store_conn *c;
    uint64_t bytes;
    char *tacit = env_path_join(s->dir, "tacit.db");
    if (!tacit)
        return err_set(e, ERR_NO_MEMORY, "no memory for a backup");
    int rc = conn_open(&c, tacit, CONN_TACIT, false, e);
    free(tacit);
    if (rc)
        return rc;
    struct query q;
    rc = copy_bytes(c, &bytes, e);
    /* Before a byte of it: a run goes on when a backup has no room. */
    if (!rc && (rc = store__room_for_copy(s, bytes, e))) {
        conn_close(c);
        return rc;
    }
    if (!rc)
        rc = conn_run(c, "PRAGMA query_only = OFF", e); /* or the copy can't be written */
    if (!rc) {
        query_open(&q, c, "VACUUM INTO ?");
        query_text(&q, path);
        rc = query_run(&q, NULL, e);
    }
    conn_close(c);
    return rc ? err_prefix(e, "copying tacit.db to %s", path) : 0;
}

struct listing {
    struct store *store;
    struct store_conn *blobs;
    struct env_file_new file;
    struct snapshot_sum sum;
    unsigned looked;
};

static int list_one(void *arg, const struct digest *d, struct err *e)
{
    struct listing *l = arg;
    struct blob_row b;
    uint8_t row[PROTOCOL_BACKUP_ROW];
    int rc = ++l->looked % RENEW_EVERY == 0 ? store_read_renew(l->blobs, e) : 0;
    if (rc)
        return rc;
    rc = blob_row_find(l->blobs, d, &b, e);
    if (rc == ERR_NOT_FOUND || (!rc && !b.complete)) {
        l->sum.missing++;
        return 0;
    }
    memcpy(row, d->bytes, DIGEST_BYTES);
    le64_put(row + DIGEST_BYTES, b.size);
    if (!rc)
        rc = env_file_new_write(&l->file, row, sizeof row, e);
    l->sum.blobs++;
    l->sum.bytes += b.size;
    return rc;
}

_Static_assert(PROTOCOL_BACKUP_ROW == DIGEST_BYTES + 8, "a row of a backup's list");

int snapshot_list(struct store *s, const char *snapshot, const char *path, struct snapshot_sum *out,
                  struct err *e)
{
    struct listing l = {.store = s};
    struct store_conn *c;
    int rc = conn_open(&c, snapshot, CONN_TACIT, false, e);
    if (rc)
        return rc;
    rc = env_file_new_open(&l.file, path, 0600, e);
    if (!rc)
        rc = store__blob_read_begin(s, &l.blobs, e);
    if (!rc) {
        rc = op_all_named(c, list_one, &l, e);
        store__blob_read_end(s, l.blobs);
    }
    if (!rc)
        rc = env_file_new_commit(&l.file, e);
    env_file_new_abandon(&l.file);
    conn_close(c);
    *out = l.sum;
    return rc;
}

int snapshot_last_blob(struct store *s, uint64_t *id, struct err *e)
{
    struct store_conn *c;
    struct query q;
    int rc = store__blob_read_begin(s, &c, e);
    if (rc)
        return rc;
    query_open(&q, c, "SELECT max(id) FROM blob");
    rc = query_step(&q, e);
    *id = rc == 1 ? column_u64(&q, 0) : 0;
    query_close(&q);
    store__blob_read_end(s, c);
    return rc < 0 ? rc : 0;
}

static int settle_fn(struct store_conn *c, void *arg, struct err *e)
{
    static const char *const steps[] = {"DELETE FROM backup", "DELETE FROM released"};
    struct query q;
    (void)arg;
    query_open(&q, c, "UPDATE meta SET incarnation = max(incarnation + ?, ?)");
    query_u64(&q, INCARNATION_STRIDE);
    query_i64(&q, env_wall_ms() / 1000);
    int rc = query_run(&q, NULL, e);
    for (int i = 0; !rc && i < 2; i++)
        rc = conn_run(c, steps[i], e);
    return rc;
}

int snapshot_settle(struct store *s, struct err *e)
{
    return store_write_wait(s, settle_fn, NULL, e);
}
