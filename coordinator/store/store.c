#include "coordinator/store/store.h"

#include <stdlib.h>
#include <string.h>
#include "core/env/file.h"
#include "coordinator/store/blob_rows.h"
#include "coordinator/store/migrate.h"
#include "coordinator/store/ops.h"
#include "coordinator/store/store_parts.h"

/* A dying predecessor finishes its transaction and goes. */
#define LOCK_MS 10000
/* Pieces of one transaction: enough that a sync is shared by a fleet, few enough that nobody waits
 * long for others. A piece of blobs.db is a chunk of 1 MiB. */
#define BATCH_TACIT 256
#define BATCH_BLOBS 32

static void pool_init(struct reader_pool *p)
{
    env_mutex_init(&p->mutex);
    env_cond_init(&p->changed);
}

/* One more connection, counted in `opened` already: the caller's. */
static int pool_add(struct reader_pool *p, struct store_conn **out, struct err *e)
{
    int rc = conn_open(out, p->path, p->file, false, e);
    env_mutex_lock(&p->mutex);
    if (rc) {
        p->opened--;
        env_cond_signal(&p->changed);
    } else {
        (*out)->folder = p->folder;
        p->all[p->made++] = *out;
    }
    env_mutex_unlock(&p->mutex);
    return rc;
}

static void pool_give(struct reader_pool *p, struct store_conn *c)
{
    env_mutex_lock(&p->mutex);
    p->idle[p->count++] = c;
    env_cond_signal(&p->changed);
    env_mutex_unlock(&p->mutex);
}

/* Takes the path over. */
static int pool_open(struct reader_pool *p, char *path, enum conn_file file, struct err *e)
{
    struct store_conn *c;
    p->path = path;
    p->file = file;
    p->opened = 1;
    int rc = pool_add(p, &c, e);
    if (!rc)
        pool_give(p, c);
    return rc;
}

static void pool_close(struct reader_pool *p)
{
    for (unsigned i = 0; i < p->made; i++)
        conn_close(p->all[i]);
    free(p->path);
    env_cond_destroy(&p->changed);
    env_mutex_destroy(&p->mutex);
}

static int pool_begin(struct reader_pool *p, struct store_conn **out, struct err *e)
{
    struct store_conn *c = NULL;
    env_mutex_lock(&p->mutex);
    while (p->count == 0 && p->opened == STORE_READERS)
        env_cond_wait(&p->changed, &p->mutex);
    if (p->count > 0)
        c = p->idle[--p->count];
    else
        p->opened++;
    env_mutex_unlock(&p->mutex);
    int rc = c ? 0 : pool_add(p, &c, e);
    if (rc)
        return rc;
    rc = conn_run(c, "BEGIN", e);
    if (rc)
        pool_give(p, c);
    else
        *out = c;
    return rc;
}

static void pool_end(struct reader_pool *p, struct store_conn *c)
{
    sqlite3_exec(c->db, "ROLLBACK", NULL, NULL, NULL); /* nothing was changed; nothing can fail */
    pool_give(p, c);
}

int store_read_begin(struct store *s, struct store_conn **c, struct err *e)
{
    return pool_begin(&s->readers, c, e);
}

void store_read_end(struct store *s, struct store_conn *c)
{
    pool_end(&s->readers, c);
}

int store_read_renew(struct store_conn *c, struct err *e)
{
    sqlite3_exec(c->db, "ROLLBACK", NULL, NULL, NULL); /* as in pool_end */
    return conn_run(c, "BEGIN", e);
}

int store__blob_read_begin(struct store *s, struct store_conn **c, struct err *e)
{
    return pool_begin(&s->blob_readers, c, e);
}

void store__blob_read_end(struct store *s, struct store_conn *c)
{
    pool_end(&s->blob_readers, c);
}

static char *file_path(const struct store *s, enum conn_file file, struct err *e)
{
    char *path = env_path_join(s->dir, file == CONN_TACIT ? "tacit.db" : "blobs.db");
    if (!path)
        err_set(e, ERR_NO_MEMORY, "no memory to open %s", s->dir);
    return path;
}

static const char *const file_names[] = {[CONN_TACIT] = "tacit", [CONN_BLOBS] = "blobs"};

/* Opens the file, which a newer version must not have written. */
static int file_open(struct store *s, enum conn_file file, struct store_conn **out, struct err *e)
{
    char *path = file_path(s, file, e);
    if (!path)
        return e->code;
    int rc = conn_open(out, path, file, true, e);
    if (!rc) {
        rc = store_migrate_check((*out)->db, store_migrations, file_names[file], e);
        if (rc)
            err_prefix(e, "%s", s->dir);
    }
    free(path);
    return rc;
}

/* Migrates and gives the file its writer, which takes the connection over, and readers. */
static int file_start(struct store *s, enum conn_file file, struct store_conn **c, struct err *e)
{
    bool tacit = file == CONN_TACIT;
    int rc = conn_settle(*c, e);
    if (!rc)
        rc = store_migrate((*c)->db, store_migrations, file_names[file], e);
    if (!rc)
        rc = writer_create(tacit ? &s->writer : &s->blob_writer, *c,
                           tacit ? BATCH_TACIT : BATCH_BLOBS, s->stepped, e);
    if (rc) {
        err_prefix(e, "%s", s->dir);
        return rc;
    }
    (*c)->health = &s->health;
    if (tacit)
        moved_watch(&s->moved, *c);
    (*c)->folder = s->blob_folder;
    *c = NULL;
    char *path = file_path(s, file, e);
    return path ? pool_open(tacit ? &s->readers : &s->blob_readers, path, file, e) : e->code;
}

/* Both are looked at before either is changed: a folder that is refused stays as it was. */
static int files_start(struct store *s, struct err *e)
{
    struct store_conn *tacit = NULL, *blobs = NULL;
    int rc = file_open(s, CONN_TACIT, &tacit, e);
    if (!rc)
        rc = file_open(s, CONN_BLOBS, &blobs, e);
    if (!rc)
        rc = file_start(s, CONN_TACIT, &tacit, e);
    if (!rc)
        rc = file_start(s, CONN_BLOBS, &blobs, e);
    conn_close(tacit);
    conn_close(blobs);
    return rc;
}

static int start_incarnation(struct store_conn *c, void *arg, struct err *e)
{
    struct query q;
    query_open(&q, c, "UPDATE meta SET incarnation = incarnation + 1 RETURNING incarnation");
    int rc = query_step(&q, e);
    if (rc == 1)
        *(uint64_t *)arg = column_u64(&q, 0);
    query_close(&q);
    return rc < 0 ? rc : op_jobs_restart(c, e);
}

static int blob_folder_start(struct store *s, struct err *e)
{
    s->blob_folder = env_path_join(s->dir, "blobs");
    s->blob_readers.folder = s->blob_folder;
    if (!s->blob_folder)
        return err_set(e, ERR_NO_MEMORY, "no memory to open %s", s->dir);
    int rc = env_dir_make(s->blob_folder, e);
    return rc ? rc : env_dir_keep(s->blob_folder, e);
}

static int store_start(struct store *s, int64_t lock_ms, struct err *e)
{
    int rc = env_dir_make(s->dir, e);
    if (!rc)
        rc = env_dir_keep(s->dir, e);
    char *path = env_path_join(s->dir, "lock");
    if (!rc && !path)
        rc = err_set(e, ERR_NO_MEMORY, "no memory to open %s", s->dir);
    if (!rc && (rc = env_lock_take(path, lock_ms, &s->lock, e)) == ERR_BUSY)
        err_prefix(e, "%s is in use; stop the other tacitd, or give this one another --data",
                   s->dir);
    free(path);
    if (!rc)
        rc = blob_folder_start(s, e);
    if (!rc)
        rc = files_start(s, e);
    if (!rc)
        rc = writer_wait(s->writer, start_incarnation, &s->incarnation, e);
    if (!rc)
        rc = store__blobs_start(s, e);
    return rc;
}

int store_open_with(struct store **out, const char *dir, const struct store_options *o,
                    struct err *e)
{
    struct store *s = calloc(1, sizeof *s);
    if (!s)
        return err_set(e, ERR_NO_MEMORY, "no memory to open %s", dir);
    s->dir = strdup(dir);
    s->lock = -1;
    s->stepped = o->stepped;
    pool_init(&s->readers);
    pool_init(&s->blob_readers);
    env_mutex_init(&s->guard.mutex);
    env_mutex_init(&s->files.mutex);
    health_init(&s->health);
    env_mutex_init(&s->moved.mutex);
    env_mutex_init(&s->gc);
    int rc = s->dir ? store_start(s, o->lock_ms, e)
                    : err_set(e, ERR_NO_MEMORY, "no memory to open %s", dir);
    if (rc)
        store_close(s);
    else
        *out = s;
    return rc;
}

int store_open(struct store **out, const char *dir, struct err *e)
{
    return store_open_with(out, dir, &(struct store_options){.lock_ms = LOCK_MS}, e);
}

void store_close(struct store *s)
{
    if (!s)
        return;
    atomic_store(&s->closing, true);
    writer_stop(s->writer);
    writer_stop(s->blob_writer);
    /* Writers close last: the last connection of a file puts its WAL away. */
    pool_close(&s->readers);
    pool_close(&s->blob_readers);
    writer_destroy(s->writer);
    writer_destroy(s->blob_writer);
    blob_guard_free(s);
    health_free(&s->health);
    env_mutex_destroy(&s->moved.mutex);
    env_mutex_destroy(&s->guard.mutex);
    env_mutex_destroy(&s->files.mutex);
    env_mutex_destroy(&s->gc);
    if (s->lock >= 0)
        env_lock_release(s->lock);
    free(s->blob_folder);
    free(s->dir);
    free(s);
}

uint64_t store_incarnation(const struct store *s)
{
    return s->incarnation;
}

void store_write(struct store *s, store_write_fn *fn, store_done_fn *done, void *arg)
{
    writer_put(s->writer, fn, done, arg);
}

int store_write_wait(struct store *s, store_write_fn *fn, void *arg, struct err *e)
{
    return writer_wait(s->writer, fn, arg, e);
}

unsigned store_writer_step(struct store *s)
{
    return writer_step(s->writer) + writer_step(s->blob_writer);
}
