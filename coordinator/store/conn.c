#include "coordinator/store/conn.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "core/env/clock.h"
#include "coordinator/store/health.h"
#include "coordinator/store/log_rewrite.h"
#include "coordinator/store/store_parts.h"

/* Waits are rare (another program has the file open and writes): long enough for a backup or a
 * shell's statement, short enough that a person hears of a forgotten transaction. */
#define BUSY_MS 30000

/* synchronous=FULL in WAL mode: each COMMIT is on the disk when it returns. page_size does nothing
 * to a file that has tables. Caches: dirty pages beyond them go to the WAL before COMMIT, so they
 * bound memory and nothing else. Checkpoints (pages of the file's own size): 4 MiB of tacit.db's
 * WAL; 64 MiB of blobs.db's, since its speed grows with that length. */
static const char setup_common[] = "PRAGMA foreign_keys = ON;"
                                   "PRAGMA trusted_schema = OFF;"
                                   "PRAGMA temp_store = MEMORY;"
                                   "PRAGMA synchronous = FULL;";
static const char setup_tacit_writer[] = "PRAGMA page_size = 4096;"
                                         "PRAGMA journal_mode = WAL;"
                                         "PRAGMA journal_size_limit = 16777216;"
                                         "PRAGMA cache_size = -8192;";
static const char setup_blobs_writer[] = "PRAGMA page_size = 65536;"
                                         "PRAGMA journal_mode = WAL;"
                                         "PRAGMA journal_size_limit = 67108864;"
                                         "PRAGMA cache_size = -4096;";
static const char setup_reader[] = "PRAGMA query_only = ON;"
                                   "PRAGMA cache_size = -2048;";

/* For readers that are in the way of a log that has grown too long. */
#define RESTART_WAIT_MS 500
#define RESTART_AGAIN_MS 250 /* doubled while another program reads on and on */
#define RESTART_AGAIN_MS_MAX 32000

/* Writes the log back as far as readers allow. Where they allow a part, SQLite counts it as done
 * before it is synced; should the file's sync fail after that, a later one that succeeds has lost
 * it. */
static int write_back(struct store_conn *c, int how)
{
    int pages, done; /* −1 where another program had the lock */
    int rc = sqlite3_wal_checkpoint_v2(c->db, NULL, how, &pages, &done);
    if ((rc == SQLITE_OK || rc == SQLITE_BUSY) && done >= 0)
        c->log_part = done < pages ? (uint32_t)done : 0;
    else if ((rc & 0xff) == SQLITE_IOERR && c->log_part > 0)
        c->log_unsure = true;
    sqlite3_db_config(c->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, c->log_unsure, NULL);
    return rc;
}

/* After every COMMIT that wrote: the log has so many pages. */
static int on_log(void *arg, sqlite3 *db, const char *name, int pages)
{
    struct store_conn *c = arg;
    bool tacit = c->file == CONN_TACIT;
    (void)name;
    if (c->health)
        health_note(c->health, tacit ? HEALTH_TACIT : HEALTH_BLOBS, 0, NULL);
    if (c->moved)
        moved_committed(c->moved);
    if (pages < (tacit ? CONN_TACIT_WAL : CONN_BLOBS_WAL))
        return SQLITE_OK;
    if (c->log_unsure && log_rewrite(db, c->log_part) != SQLITE_OK)
        return SQLITE_OK; /* the log keeps everything until that works */
    c->log_unsure = false;
    int64_t now = env_monotonic_ms();
    int how = SQLITE_CHECKPOINT_PASSIVE;
    if (pages >= (tacit ? CONN_TACIT_WAL_MAX : CONN_BLOBS_WAL_MAX) && now >= c->restart_at_ms) {
        how = SQLITE_CHECKPOINT_RESTART;
        sqlite3_busy_timeout(db, RESTART_WAIT_MS);
    }
    /* What can't be written back now can at the next COMMIT: this one is through. */
    int rc = write_back(c, how);
    sqlite3_busy_timeout(db, BUSY_MS);
    if (how == SQLITE_CHECKPOINT_RESTART && rc != SQLITE_OK) {
        if (c->restart_pause_ms < RESTART_AGAIN_MS)
            c->restart_pause_ms = RESTART_AGAIN_MS;
        else if (c->restart_pause_ms < RESTART_AGAIN_MS_MAX)
            c->restart_pause_ms *= 2;
        c->restart_at_ms = env_monotonic_ms() + c->restart_pause_ms;
    } else if (how == SQLITE_CHECKPOINT_RESTART) {
        c->restart_pause_ms = 0;
    }
    return SQLITE_OK;
}

int store_sqlite_error(sqlite3 *db, int rc, const char *operation, struct err *e)
{
    int extended = db ? sqlite3_extended_errcode(db) : rc;
    const char *text = db ? sqlite3_errmsg(db) : sqlite3_errstr(rc);
    int code = ERR_INTERNAL;
    switch (rc & 0xff) {
    case SQLITE_CONSTRAINT:
        code = ERR_CONFLICT;
        if (extended == SQLITE_CONSTRAINT_UNIQUE || extended == SQLITE_CONSTRAINT_PRIMARYKEY)
            code = ERR_EXISTS;
        if (extended == SQLITE_CONSTRAINT_CHECK)
            code = ERR_RANGE;
        break;
    case SQLITE_FULL:
        code = ERR_NO_SPACE;
        break;
    case SQLITE_NOMEM:
        code = ERR_NO_MEMORY;
        break;
    case SQLITE_TOOBIG:
        code = ERR_TOO_LARGE;
        break;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return err_set(e, ERR_UNAVAILABLE,
                       "%s: another program has locked the database; end it, or try again",
                       operation);
    case SQLITE_IOERR:
        code = db && sqlite3_system_errno(db) == ENOSPC ? ERR_NO_SPACE : ERR_IO;
        break;
    case SQLITE_NOTADB:
    case SQLITE_CORRUPT:
        code = ERR_FORMAT;
        break;
    case SQLITE_READONLY: /* remounted so, after an error of the disk mostly */
        code = ERR_IO;
        break;
    case SQLITE_PERM:
    case SQLITE_AUTH:
        code = ERR_DENIED;
        break;
    case SQLITE_CANTOPEN:
        code = ERR_IO;
        break;
    default:
        break;
    }
    return err_set(e, code, "%s: %s (SQLite %d)", operation, text, extended);
}

static int conn_setup(struct store_conn *c, enum conn_file file, bool writer, struct err *e)
{
    sqlite3_extended_result_codes(c->db, 1);
    sqlite3_busy_timeout(c->db, BUSY_MS);
    /* Plans that depend on bound values (whether a partial index serves) are made anew at every
     * call: a quarter of all time. Queries that want such an index name its values. */
    sqlite3_db_config(c->db, SQLITE_DBCONFIG_ENABLE_QPSG, 1, NULL);
    const char *own = setup_reader;
    if (writer)
        own = file == CONN_TACIT ? setup_tacit_writer : setup_blobs_writer;
    c->file = file;
    int rc = sqlite3_exec(c->db, setup_common, NULL, NULL, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_exec(c->db, own, NULL, NULL, NULL);
    if (writer)
        sqlite3_wal_hook(c->db, on_log, c);
    return rc == SQLITE_OK ? 0 : store_sqlite_error(c->db, rc, "setting up the connection", e);
}

int conn_open(struct store_conn **out, const char *path, enum conn_file file, bool writer,
              struct err *e)
{
    struct store_conn *c = calloc(1, sizeof *c);
    if (!c)
        return err_set(e, ERR_NO_MEMORY, "%s: no memory for a connection", path);
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | (writer ? SQLITE_OPEN_CREATE : 0);
    int rc = sqlite3_open_v2(path, &c->db, flags, NULL);
    rc = rc == SQLITE_OK ? conn_setup(c, file, writer, e)
                         : store_sqlite_error(c->db, rc, "opening", e);
    if (rc) {
        conn_close(c);
        return err_prefix(e, "%s", path);
    }
    *out = c;
    return 0;
}

void conn_close(struct store_conn *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < CONN_STATEMENTS; i++)
        sqlite3_finalize(c->prepared[i].st);
    sqlite3_close(c->db);
    free(c);
}

int conn_settle(struct store_conn *c, struct err *e)
{
    int rc = write_back(c, SQLITE_CHECKPOINT_PASSIVE);
    /* A full disk: the log has been synced by then, and a start must not need room. */
    if (rc == SQLITE_OK || rc == SQLITE_FULL)
        return 0;
    return store_sqlite_error(c->db, rc, "writing back the log", e);
}

/* Open addressing by the constant's address. */
static int conn_prepare(struct store_conn *c, const char *sql, sqlite3_stmt **out)
{
    size_t i = ((uintptr_t)sql >> 3) * 0x9e3779b1u % CONN_STATEMENTS;
    while (c->prepared[i].sql && c->prepared[i].sql != sql)
        i = (i + 1) % CONN_STATEMENTS;
    if (!c->prepared[i].sql) {
        assert(c->prepared_count < CONN_STATEMENTS / 2);
        int rc =
            sqlite3_prepare_v3(c->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &c->prepared[i].st, NULL);
        if (rc != SQLITE_OK)
            return rc;
        c->prepared[i].sql = sql;
        c->prepared_count++;
    }
    *out = c->prepared[i].st;
    return SQLITE_OK;
}

void query__open(struct query *q, struct store_conn *c, const char *sql, const char *operation)
{
    *q = (struct query){.conn = c, .operation = operation};
    q->rc = conn_prepare(c, sql, &q->st);
    assert(q->rc != SQLITE_OK || !sqlite3_stmt_busy(q->st));
}

int conn_run(struct store_conn *c, const char *sql, struct err *e)
{
    struct query q;
    query__open(&q, c, sql, sql);
    return query_run(&q, NULL, e);
}

static void query_set(struct query *q, int rc)
{
    if (q->rc == SQLITE_OK)
        q->rc = rc;
}

void query_i64(struct query *q, int64_t v)
{
    query_set(q, sqlite3_bind_int64(q->st, ++q->parameter, v));
}

void query_u64(struct query *q, uint64_t v)
{
    if (v > INT64_MAX) {
        query_set(q, SQLITE_RANGE);
        v = 0;
    }
    query_i64(q, (int64_t)v);
}

void query_u64_or_null(struct query *q, uint64_t v)
{
    if (v)
        query_u64(q, v);
    else
        query_set(q, sqlite3_bind_null(q->st, ++q->parameter));
}

void query_double(struct query *q, double v)
{
    query_set(q, sqlite3_bind_double(q->st, ++q->parameter, v));
}

void query_text(struct query *q, const char *v)
{
    query_set(q, sqlite3_bind_text(q->st, ++q->parameter, v, -1, SQLITE_STATIC));
}

void query_bytes(struct query *q, const void *v, size_t len)
{
    query_set(q, sqlite3_bind_blob64(q->st, ++q->parameter, v, len, SQLITE_STATIC));
}

void query_digest(struct query *q, const struct digest *d)
{
    query_bytes(q, d->bytes, DIGEST_BYTES);
}

void query_digest_or_null(struct query *q, const struct digest *d)
{
    static const struct digest zero;
    query_bytes(q, digest_equal(d, &zero) ? NULL : d->bytes, DIGEST_BYTES);
}

int query_step(struct query *q, struct err *e)
{
    if (q->rc == SQLITE_RANGE)
        return err_set(e, ERR_RANGE, "%s: a number is beyond 2^63-1", q->operation);
    int rc = q->rc == SQLITE_OK ? sqlite3_step(q->st) : q->rc;
    if (rc == SQLITE_ROW)
        return 1;
    if (rc == SQLITE_DONE)
        return 0;
    rc = store_sqlite_error(q->conn->db, rc, q->operation, e);
    if (q->conn->health && e)
        health_note(q->conn->health, q->conn->file == CONN_TACIT ? HEALTH_TACIT : HEALTH_BLOBS, rc,
                    e->message);
    return rc;
}

void query_close(struct query *q)
{
    if (q->st) {
        sqlite3_reset(q->st);
        sqlite3_clear_bindings(q->st);
    }
    q->st = NULL;
}

int query_number(struct query *q, uint64_t *n, struct err *e)
{
    int rc = query_step(q, e);
    if (rc == 1)
        *n = column_u64(q, 0);
    query_close(q);
    return rc;
}

int query_returned(struct query *q, uint64_t *n, struct err *e)
{
    int rc = query_step(q, e);
    if (rc == 1) {
        *n = column_u64(q, 0);
        rc = query_step(q, e);
    }
    query_close(q);
    return rc;
}

int query_run(struct query *q, uint64_t *changed, struct err *e)
{
    int rc;
    while ((rc = query_step(q, e)) == 1)
        ;
    if (!rc && changed)
        *changed = (uint64_t)sqlite3_changes64(q->conn->db);
    query_close(q);
    return rc;
}

uint64_t column_u64(const struct query *q, int column)
{
    return (uint64_t)sqlite3_column_int64(q->st, column);
}

double column_double(const struct query *q, int column)
{
    if (sqlite3_column_type(q->st, column) == SQLITE_NULL)
        return NAN;
    return sqlite3_column_double(q->st, column);
}

bool column_bytes(const struct query *q, int column, void *out, size_t len)
{
    const void *bytes = sqlite3_column_blob(q->st, column);
    if (!bytes || (size_t)sqlite3_column_bytes(q->st, column) != len)
        return false;
    memcpy(out, bytes, len);
    return true;
}

void column_digest(const struct query *q, int column, struct digest *out)
{
    if (!column_bytes(q, column, out->bytes, DIGEST_BYTES))
        *out = (struct digest){{0}};
}

int column_text(const struct query *q, int column, struct arena *a, const char **out, struct err *e)
{
    const char *text = (const char *)sqlite3_column_text(q->st, column);
    *out = NULL;
    if (!text) /* NULL, or no memory to make the text of it */
        return sqlite3_column_type(q->st, column) == SQLITE_NULL
                   ? 0
                   : err_set(e, ERR_NO_MEMORY, "%s: no memory for a text", q->operation);
    *out = arena_strndup(a, text, (size_t)sqlite3_column_bytes(q->st, column));
    return *out ? 0 : err_set(e, ERR_NO_MEMORY, "%s: the answer is too large", q->operation);
}

void *rows_add(struct rows *r, struct err *e)
{
    if (r->count == r->capacity) {
        uint32_t capacity = r->capacity ? 2 * r->capacity : 16;
        char *items = arena_alloc_array(r->arena, capacity, r->item_size);
        if (!items) {
            err_set(e, ERR_NO_MEMORY, "the list is too large after %u items", r->count);
            return NULL;
        }
        if (r->count)
            memcpy(items, r->items, r->count * r->item_size);
        r->items = items;
        r->capacity = capacity;
    }
    return (char *)r->items + r->item_size * r->count++;
}

int query_numbers(struct query *q, struct arena *a, uint64_t **numbers, uint32_t *count,
                  struct err *e)
{
    struct rows list = {.arena = a, .item_size = sizeof **numbers};
    int rc;
    while ((rc = query_step(q, e)) == 1) {
        uint64_t *n = rows_add(&list, e);
        if (!n) {
            rc = ERR_NO_MEMORY;
            break;
        }
        *n = column_u64(q, 0);
    }
    query_close(q);
    *numbers = list.items;
    *count = list.count;
    return rc;
}
