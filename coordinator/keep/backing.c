/* Backups: a copy of tacit.db and the list of its blobs become blobs themselves, so that they are
 * fetched, and gone on with after a break, like any other. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "core/env/clock.h"
#include "core/env/file.h"
#include "core/version.h"
#include "coordinator/keep/keeper_parts.h"
#include "coordinator/log.h"
#include "coordinator/store/blobs.h"
#include "coordinator/store/ops_storage.h"
#include "coordinator/store/snapshot.h"

#define PREFIX "snapshot-"
#define TOKEN_FILE_MAX 512

/* Files of a backup: snapshot-NUMBER.db with SQLite's own beside it, and snapshot-NUMBER.list with
 * the one that becomes it. Whatever else is in the folder is not ours to remove. */
static bool is_snapshot(const char *name)
{
    static const char *const ends[] = {".db", ".db-journal", ".db-wal", ".db-shm", ".list"};
    static const char half[] = ".list.new-";
    if (strncmp(name, PREFIX, sizeof PREFIX - 1) != 0)
        return false;
    name += sizeof PREFIX - 1;
    size_t digits = strspn(name, "0123456789");
    name += digits;
    for (size_t i = 0; digits && i < sizeof ends / sizeof ends[0]; i++)
        if (strcmp(name, ends[i]) == 0)
            return true;
    return digits && strncmp(name, half, sizeof half - 1) == 0;
}

void keep_sweep_snapshots(const char *dir)
{
    char **names;
    size_t count;
    struct err e;
    if (env_dir_list(dir, &names, &count, &e))
        return;
    for (size_t i = 0; i < count; i++) {
        char *path = is_snapshot(names[i]) ? env_path_join(dir, names[i]) : NULL;
        if (path)
            (void)!env_file_remove(path, &e);
        free(path);
    }
    env_dir_list_free(names, count);
}

static int begin_fn(struct store_conn *c, void *arg, struct err *e)
{
    struct msg_backup *m = arg;
    return op_backup_insert(c, m->created_at, &m->backup, e);
}

static int end_fn(struct store_conn *c, void *arg, struct err *e)
{
    const struct msg_backup *m = arg;
    return op_backup_end(c, m->backup, e);
}

struct made {
    const struct msg_backup *m;
    uint64_t last;
};

static int made_fn(struct store_conn *c, void *arg, struct err *e)
{
    const struct made *d = arg;
    return op_backup_made(c, d->m->backup, &d->m->snapshot, &d->m->list, d->last,
                          (uint64_t)env_wall_ms(), e);
}

/* Copies, lists, and stores both; the files go in any case. */
static int make(struct service *s, struct msg_backup *m, struct err *e)
{
    char name[64];
    struct snapshot_sum sum = {0};
    struct made done = {.m = m};
    snprintf(name, sizeof name, PREFIX "%llu.db", (unsigned long long)m->backup);
    char *copy = env_path_join(s->dir, name);
    snprintf(name, sizeof name, PREFIX "%llu.list", (unsigned long long)m->backup);
    char *list = env_path_join(s->dir, name);
    int rc = copy && list ? snapshot_write(s->store, copy, e)
                          : err_set(e, ERR_NO_MEMORY, "no memory for a backup");
    if (!rc)
        rc = snapshot_list(s->store, copy, list, &sum, e);
    if (!rc)
        rc = blob_put_file(s->store, copy, &m->snapshot, &m->snapshot_bytes, e);
    if (!rc)
        rc = blob_put_file(s->store, list, &m->list, &m->list_bytes, e);
    if (!rc)
        rc = snapshot_last_blob(s->store, &done.last, e);
    if (!rc)
        rc = store_write_wait(s->store, made_fn, &done, e);
    m->blobs = sum.blobs;
    m->blob_bytes = sum.bytes;
    m->missing = sum.missing;
    struct err ignored;
    if (copy)
        (void)!env_file_remove(copy, &ignored);
    if (list)
        (void)!env_file_remove(list, &ignored);
    free(copy);
    free(list);
    return rc;
}

static int read_token(struct call *c, const char *name, const char **out, struct err *e)
{
    struct buf b;
    char *path = env_path_join(c->service->dir, name);
    if (!path)
        return err_set(e, ERR_NO_MEMORY, "no memory for a token");
    int rc = env_file_read(path, TOKEN_FILE_MAX, &b, e);
    free(path);
    if (rc)
        return rc;
    *out = arena_strndup(c->arena, b.data, strcspn(b.data, "\r\n"));
    buf_free(&b);
    return *out ? 0 : err_set(e, ERR_NO_MEMORY, "no memory for a token");
}

int keep_backup_start(struct call *c, const void *in, void *out, struct err *e)
{
    struct msg_backup *m = out;
    struct err ignored;
    (void)in;
    m->created_at = (uint64_t)env_wall_ms();
    m->incarnation = store_incarnation(c->service->store);
    m->version = TACIT_VERSION;
    int rc = read_token(c, "admin.token", &m->admin_token, e);
    if (!rc)
        rc = read_token(c, "join.token", &m->join_token, e);
    /* From its COMMIT on, nothing is collected that the copy may name. */
    if (!rc)
        rc = store_write_wait(c->service->store, begin_fn, m, e);
    if (rc)
        return rc;
    rc = make(c->service, m, e);
    if (rc)
        (void)!store_write_wait(c->service->store, end_fn, m, &ignored);
    else
        log_info("backup=%llu begun blobs=%llu bytes=%llu missing=%llu",
                 (unsigned long long)m->backup, (unsigned long long)m->blobs,
                 (unsigned long long)m->blob_bytes, (unsigned long long)m->missing);
    return rc;
}

int keep_backup_renew(struct call *c, const void *in, void *out, struct err *e)
{
    (void)in;
    (void)out;
    return op_backup_renew(c->conn, c->id, (uint64_t)c->wall_ms, e);
}

int keep_backup_end(struct call *c, const void *in, void *out, struct err *e)
{
    (void)in;
    (void)out;
    return op_backup_end(c->conn, c->id, e);
}
