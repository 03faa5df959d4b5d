#include "coordinator/store/migrate.h"

#include <string.h>
#include "coordinator/store/conn.h"

static int read_version(sqlite3 *db, int *version, struct err *e)
{
    sqlite3_stmt *st = NULL;
    int rc = sqlite3_prepare_v2(db, "PRAGMA user_version", -1, &st, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(st);
    if (rc == SQLITE_ROW)
        *version = sqlite3_column_int(st, 0);
    sqlite3_finalize(st);
    return rc == SQLITE_ROW ? 0 : store_sqlite_error(db, rc, "reading the schema's version", e);
}

static int newest(const struct store_migration *list, const char *database)
{
    int number = 0;
    for (const struct store_migration *m = list; m->database; m++)
        if (strcmp(m->database, database) == 0)
            number = m->number;
    return number;
}

int store_migrate_check(sqlite3 *db, const struct store_migration *list, const char *database,
                        struct err *e)
{
    int have = 0, known = newest(list, database);
    int rc = read_version(db, &have, e);
    if (rc || have <= known)
        return rc;
    return err_set(
        e, ERR_VERSION,
        "%s.db has schema %d, but this tacitd knows schemas up to %d: it was written by a "
        "newer version; run that one, or one newer still",
        database, have, known);
}

/* A table that is made anew is dropped while others refer to it: that they still find what they
 * refer to is seen at the end. */
static int check_references(sqlite3 *db, struct err *e)
{
    sqlite3_stmt *st = NULL;
    int rc = sqlite3_prepare_v2(db, "PRAGMA foreign_key_check", -1, &st, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(st);
    if (rc == SQLITE_ROW)
        err_set(e, ERR_FORMAT, "a row of table %s refers to one of %s that is not there",
                (const char *)sqlite3_column_text(st, 0), (const char *)sqlite3_column_text(st, 2));
    else if (rc != SQLITE_DONE)
        store_sqlite_error(db, rc, "checking references", e);
    sqlite3_finalize(st);
    return rc == SQLITE_DONE ? 0 : e->code;
}

/* In one transaction; references are not held to meanwhile. */
static int apply_in(sqlite3 *db, const struct store_migration *m, struct err *e)
{
    int rc = sqlite3_exec(db, "BEGIN EXCLUSIVE", NULL, NULL, NULL);
    if (rc != SQLITE_OK)
        return store_sqlite_error(db, rc, "locking the database", e);
    rc = sqlite3_exec(db, m->sql, NULL, NULL, NULL);
    if (rc != SQLITE_OK)
        rc = store_sqlite_error(db, rc, "migration", e);
    else
        rc = check_references(db, e);
    if (!rc && (rc = sqlite3_exec(db, "COMMIT", NULL, NULL, NULL)) != SQLITE_OK)
        rc = store_sqlite_error(db, rc, "migration", e);
    if (rc && !sqlite3_get_autocommit(db))
        sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    return rc;
}

static int apply(sqlite3 *db, const struct store_migration *m, struct err *e)
{
    int held = 0; /* it can't be changed inside a transaction */
    sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_FKEY, -1, &held);
    sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_FKEY, 0, NULL);
    int rc = apply_in(db, m, e);
    sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_FKEY, held, NULL);
    return rc ? err_prefix(e, "%s.db, migration %d (%s)", m->database, m->number, m->name) : 0;
}

int store_migrate(sqlite3 *db, const struct store_migration *list, const char *database,
                  struct err *e)
{
    int have = 0;
    int rc = store_migrate_check(db, list, database, e);
    if (!rc)
        rc = read_version(db, &have, e);
    for (const struct store_migration *m = list; !rc && m->database; m++)
        if (strcmp(m->database, database) == 0 && m->number > have)
            rc = apply(db, m, e);
    return rc;
}
