/* After a failed sync of the database file, what a power loss would take from it is written there
 * again from the log, on a real disk as on the simulated one (tests/sim/disk/test_store_faults). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "coordinator/store/conn.h"
#include "coordinator/store/log_rewrite.h"
#include "tests/coordinator/store/temp_dir.h"

static void run(sqlite3 *db, const char *sql)
{
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
}

static sqlite3_int64 number(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *st;
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &st, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(st), SQLITE_ROW);
    sqlite3_int64 n = sqlite3_column_int64(st, 0);
    sqlite3_finalize(st);
    return n;
}

/* As if nothing of the file had ever reached the disk. */
static void wipe(const char *path)
{
    static const uint8_t zeros[4096];
    FILE *f = fopen(path, "r+b");
    assert_non_null(f);
    fseek(f, 0, SEEK_END);
    for (long left = ftell(f), at = 0; at < left; at += (long)sizeof zeros) {
        fseek(f, at, SEEK_SET);
        assert_int_equal(fwrite(zeros, 1, sizeof zeros, f), sizeof zeros);
    }
    fclose(f);
}

static void test_lost_pages_come_back(void **state)
{
    struct store_conn *writer, *reader;
    struct err err;
    char dir[64], path[80];
    int pages = 0, done = 0;
    (void)state;
    temp_dir_make(dir);
    snprintf(path, sizeof path, "%s/tacit.db", dir);
    assert_int_equal(conn_open(&writer, path, CONN_TACIT, true, &err), 0);
    assert_int_equal(conn_open(&reader, path, CONN_TACIT, false, &err), 0);
    run(writer->db, "CREATE TABLE t (x)");
    for (int i = 0; i < 50; i++)
        run(writer->db, "INSERT INTO t VALUES (randomblob(1000))");
    run(reader->db, "BEGIN; SELECT count(*) FROM t");
    run(writer->db, "INSERT INTO t VALUES (randomblob(1000))");
    assert_int_equal(
        sqlite3_wal_checkpoint_v2(writer->db, NULL, SQLITE_CHECKPOINT_PASSIVE, &pages, &done),
        SQLITE_OK);
    assert_true(done > 50 && done < pages);

    wipe(path);
    assert_int_equal(log_rewrite(writer->db, (uint32_t)done), SQLITE_OK);

    /* Its lock is given back: the log can be written back as ever. */
    run(reader->db, "COMMIT");
    assert_int_equal(
        sqlite3_wal_checkpoint_v2(writer->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL),
        SQLITE_OK);
    conn_close(reader);
    conn_close(writer);
    assert_int_equal(conn_open(&reader, path, CONN_TACIT, false, &err), 0);
    assert_int_equal(number(reader->db, "SELECT count(*) FROM t WHERE length(x) = 1000"), 51);
    assert_int_equal(number(reader->db, "SELECT count(*) FROM pragma_integrity_check"
                                        " WHERE integrity_check = 'ok'"),
                     1);
    conn_close(reader);
    temp_dir_remove(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lost_pages_come_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
