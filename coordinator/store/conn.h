/* A connection to one database file, its prepared statements, and queries on them. Private to
 * store/. One thread at a time. */
#ifndef TACIT_COORDINATOR_STORE_CONN_H
#define TACIT_COORDINATOR_STORE_CONN_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>
#include "core/base/arena.h"
#include "core/base/digest.h"
#include "core/base/err.h"
#include "coordinator/store/store.h"

#define CONN_STATEMENTS                                                                            \
    256 /* places for prepared statements; there are fewer than half as many                       \
         */

/* The log of a database grows while readers need what it holds. From the first bound on it is
 * written back at every COMMIT as far as readers allow; from the second, readers are waited for, a
 * moment at a time, until it can be begun anew. Readers of this process are brief. Pages. */
#define CONN_TACIT_WAL 1000
#define CONN_TACIT_WAL_MAX 8192 /* 32 MiB */
#define CONN_BLOBS_WAL 1024
#define CONN_BLOBS_WAL_MAX 2048 /* 128 MiB */

enum conn_file { CONN_TACIT, CONN_BLOBS };
struct health;
struct moved_board;

struct store_conn {
    sqlite3 *db;
    struct {
        const char *sql; /* identity: the constant's address */
        sqlite3_stmt *st;
    } prepared[CONN_STATEMENTS];
    unsigned prepared_count;
    const char *folder; /* of blobs.db: where large blobs' files are; borrowed */
    /* A writer's: */
    enum conn_file file;
    struct health *health;                   /* is told how writes go; or NULL */
    struct moved_board *moved;               /* is told what they changed; or NULL */
    int64_t restart_at_ms, restart_pause_ms; /* when its log may next be begun anew by force */
    uint32_t log_part; /* pages of the log's start that are in the file, unsynced */
    bool log_unsure;   /* and may be lost there: log_rewrite.h */
};

/* Opens and sets up; makes the file only where writer is true (readers cannot change anything). */
TACIT_MUST_CHECK int conn_open(struct store_conn **out, const char *path, enum conn_file file,
                               bool writer, struct err *e);
void conn_close(struct store_conn *c); /* accepts NULL */
/* Makes durable what an earlier process left in the log: it may have died between writing and
 * syncing, or its sync may have failed, after which the system no longer knows that those pages are
 * missing on the disk. Nothing may be told, or be written after them, before they are in the
 * database file. The writer's connection, once. */
TACIT_MUST_CHECK int conn_settle(struct store_conn *c, struct err *e);

/* BEGIN, COMMIT and their kin: a constant without parameters or rows. */
TACIT_MUST_CHECK int conn_run(struct store_conn *c, const char *sql, struct err *e);

/* Fills *e from SQLite's code and message, in front of them what was being done; returns the code.
 */
int store_sqlite_error(sqlite3 *db, int rc, const char *operation, struct err *e);

/* --- queries: open, parameters in order, step or run, close ------------------------------------
 */
struct query {
    struct store_conn *conn;
    sqlite3_stmt *st;
    const char *operation;
    int parameter; /* number of the last one set */
    int rc;        /* the first failure of preparing or setting */
};

/* sql: a constant, prepared once a connection. Not again while a query on it is open. */
#define query_open(q, c, sql) query__open((q), (c), (sql), __func__)
void query__open(struct query *q, struct store_conn *c, const char *sql, const char *operation);
void query_u64(struct query *q, uint64_t v); /* beyond 2^63−1: ERR_RANGE */
void query_i64(struct query *q, int64_t v);
void query_double(struct query *q, double v); /* NaN becomes NULL */
/* Strings and bytes are borrowed until the query is closed; NULL is NULL. */
void query_text(struct query *q, const char *v);
void query_bytes(struct query *q, const void *v, size_t len);
void query_digest(struct query *q, const struct digest *d);
/* 0 becomes NULL. */
void query_u64_or_null(struct query *q, uint64_t v);
/* An all-zero digest becomes NULL. */
void query_digest_or_null(struct query *q, const struct digest *d);
/* 1: a row is there; 0: no more; else an error. */
TACIT_MUST_CHECK int query_step(struct query *q, struct err *e);
void query_close(struct query *q);
/* Steps once and closes: 1 with the first column in *n, 0 where there is no row, else an error. */
TACIT_MUST_CHECK int query_number(struct query *q, uint64_t *n, struct err *e);
/* The same of an INSERT … RETURNING one number: to its end, where foreign keys are checked; 0. */
TACIT_MUST_CHECK int query_returned(struct query *q, uint64_t *n, struct err *e);
/* Steps to the end and closes; *changed (may be NULL): rows changed. */
TACIT_MUST_CHECK int query_run(struct query *q, uint64_t *changed, struct err *e);

/* The row's columns, from 0. */
uint64_t column_u64(const struct query *q, int column);                    /* NULL reads 0 */
double column_double(const struct query *q, int column);                   /* NULL reads NaN */
void column_digest(const struct query *q, int column, struct digest *out); /* NULL reads zero */
/* True where it has exactly len bytes, which are copied. */
bool column_bytes(const struct query *q, int column, void *out, size_t len);
/* A copy in the arena, or NULL for NULL. */
TACIT_MUST_CHECK int column_text(const struct query *q, int column, struct arena *a,
                                 const char **out, struct err *e);

/* An array in an arena that grows; the items' address changes when it does. */
struct rows {
    struct arena *arena;
    void *items;
    size_t item_size;
    uint32_t count, capacity;
};
/* A new zeroed item at the end, or NULL (ERR_NO_MEMORY). */
void *rows_add(struct rows *r, struct err *e);
/* The first column of all rows; closes. */
TACIT_MUST_CHECK int query_numbers(struct query *q, struct arena *a, uint64_t **numbers,
                                   uint32_t *count, struct err *e);

#endif
