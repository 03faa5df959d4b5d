/* For tests of the coordinator's store: a call that must succeed, and a hand with sqlite3. */
#ifndef TACIT_TESTS_COORDINATOR_STORE_STORE_CHECK_H
#define TACIT_TESTS_COORDINATOR_STORE_STORE_CHECK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <sqlite3.h>
#include <stdio.h>
#include "core/base/err.h"

#define OK(call) check_ok((call), &err, #call, __LINE__)

static struct err err;

static inline void check_ok(int rc, const struct err *e, const char *what, int line)
{
    if (rc)
        fail_msg("line %d: %s: %s (%s)", line, what, e->message, err_name(rc));
}

static inline void run_sql(const char *dir, const char *file, const char *sql)
{
    char path[128];
    sqlite3 *db;
    snprintf(path, sizeof path, "%s/%s", dir, file);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
        fail_msg("%s: %s", sql, sqlite3_errmsg(db));
    sqlite3_close(db);
}

#endif
