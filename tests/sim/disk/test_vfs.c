/* SQLite on the simulated disk behaves as on a real one: otherwise what simulations say of the
 * store would be about another database. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include "core/env/clock.h"
#include "tests/sim/disk/one_machine.h"
#include "tests/sim/vfs.h"

static struct sim_disk *fresh(uint64_t seed)
{
    struct sim_disk *d = sim_disk_create(seed);
    machine_seed(seed);
    machine_use(d);
    sim_vfs_register();
    return d;
}

static sqlite3 *open_db(void)
{
    sqlite3 *db;
    assert_int_equal(sqlite3_open("t.db", &db), SQLITE_OK);
    return db;
}

static int run(sqlite3 *db, const char *sql)
{
    return sqlite3_exec(db, sql, NULL, NULL, NULL);
}

static int64_t number(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *st;
    int64_t n = -1;
    if (sqlite3_prepare_v2(db, sql, -1, &st, NULL) == SQLITE_OK && sqlite3_step(st) == SQLITE_ROW)
        n = sqlite3_column_int64(st, 0);
    sqlite3_finalize(st);
    return n;
}

static void test_readers_see_what_is_committed(void **state)
{
    struct sim_disk *d = fresh(1);
    sqlite3 *writer = open_db(), *reader;
    (void)state;
    assert_int_equal(run(writer, "PRAGMA journal_mode = WAL; CREATE TABLE t (x)"), SQLITE_OK);
    reader = open_db();
    assert_int_equal(run(writer, "BEGIN; INSERT INTO t VALUES (1)"), SQLITE_OK);
    assert_int_equal(number(reader, "SELECT count(*) FROM t"), 0);
    assert_int_equal(run(reader, "BEGIN IMMEDIATE"), SQLITE_BUSY);
    assert_int_equal(run(writer, "COMMIT"), SQLITE_OK);
    assert_int_equal(number(reader, "SELECT count(*) FROM t"), 1);
    assert_int_equal(run(reader, "BEGIN"), SQLITE_OK);
    assert_int_equal(number(reader, "SELECT count(*) FROM t"), 1);
    assert_int_equal(run(writer, "INSERT INTO t VALUES (2)"), SQLITE_OK);
    assert_int_equal(number(reader, "SELECT count(*) FROM t"), 1); /* its snapshot */
    assert_int_equal(run(reader, "COMMIT"), SQLITE_OK);
    assert_int_equal(number(reader, "SELECT count(*) FROM t"), 2);
    sqlite3_close(reader);
    sqlite3_close(writer);
    struct sim_disk_stat st;
    assert_int_not_equal(sim_disk_stat(d, "t.db-wal", &st), 0); /* the last one put it away */
    sim_disk_destroy(d);
}

static void test_rollback_journals_lock_and_roll_back(void **state)
{
    struct sim_disk *d = fresh(2);
    sqlite3 *a = open_db(), *b = open_db();
    (void)state;
    assert_int_equal(run(a, "CREATE TABLE t (x); INSERT INTO t VALUES (1)"), SQLITE_OK);
    assert_int_equal(run(b, "BEGIN; SELECT * FROM t"), SQLITE_OK);
    assert_int_equal(run(a, "BEGIN; UPDATE t SET x = 2"), SQLITE_OK);
    assert_int_equal(run(a, "COMMIT"), SQLITE_BUSY); /* b still reads */
    assert_int_equal(run(b, "COMMIT"), SQLITE_OK);
    assert_int_equal(run(a, "COMMIT"), SQLITE_OK);
    assert_int_equal(number(b, "SELECT x FROM t"), 2);
    /* A kill in the middle of a transaction whose pages have reached the file already. */
    assert_int_equal(run(a, "PRAGMA cache_size = 1; BEGIN;"
                            "WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000)"
                            "INSERT INTO t SELECT randomblob(500) FROM n"),
                     SQLITE_OK);
    sim_disk_kill(d);
    sqlite3_close(a); /* which does nothing to the disk any more */
    a = open_db();
    assert_int_equal(number(a, "SELECT count(*) FROM t"), 1);
    assert_int_equal(number(a, "SELECT count(*) FROM pragma_integrity_check"
                               " WHERE integrity_check = 'ok'"),
                     1);
    sqlite3_close(a);
    sqlite3_close(b);
    sim_disk_destroy(d);
}

/* Commits rows one by one, and loses power after each: what was committed is there, whatever else
 * was on its way. Returns how many of the losses lost something that was committed. */
static unsigned lose_power(const char *pragmas, uint64_t seed)
{
    struct sim_disk *d = fresh(seed);
    sqlite3 *db = open_db();
    unsigned lost = 0;
    assert_int_equal(run(db, pragmas), SQLITE_OK);
    assert_int_equal(run(db, "CREATE TABLE t (x INTEGER PRIMARY KEY, y)"), SQLITE_OK);
    for (int i = 1; i <= 40; i++) {
        assert_int_equal(run(db, "INSERT INTO t (y) VALUES (randomblob(3000))"), SQLITE_OK);
        if (i % 8 == 0) /* and one that is on its way */
            assert_int_equal(run(db, "PRAGMA cache_size = 1; BEGIN; UPDATE t SET y = 1"),
                             SQLITE_OK);
        if (i % 3 == 0)
            sim_disk_kill(d);
        else
            sim_disk_power_loss(d, SIM_DISK_LOSS_DRAWN, seed * 100 + (uint64_t)i);
        sqlite3_close(db);
        db = open_db();
        run(db, pragmas);
        bool whole = number(db, "SELECT max(x) FROM t") == i &&
                     number(db, "SELECT count(*) FROM t WHERE length(y) = 3000") == i &&
                     number(db, "SELECT count(*) FROM pragma_integrity_check"
                                " WHERE integrity_check = 'ok'") == 1;
        if (!whole) {
            lost++;
            break;
        }
    }
    sqlite3_close(db);
    sim_disk_destroy(d);
    return lost;
}

static void test_commits_survive_power_loss(void **state)
{
    unsigned lost = 0;
    (void)state;
    for (uint64_t seed = 1; seed <= 12; seed++) {
        assert_int_equal(lose_power("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
                                    "PRAGMA wal_autocheckpoint = 5",
                                    seed),
                         0);
        assert_int_equal(lose_power("PRAGMA synchronous = EXTRA", seed), 0);
        lost += lose_power("PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF", seed);
    }
    assert_true(lost > 6); /* or the disk would forgive everything */
}

static void test_full_and_failing_disks_are_reported(void **state)
{
    struct sim_disk *d = fresh(3);
    sqlite3 *db = open_db();
    (void)state;
    assert_int_equal(run(db, "PRAGMA journal_mode = WAL; CREATE TABLE t (x)"), SQLITE_OK);
    sim_disk_set_faults(d, &(struct sim_disk_faults){.bytes_max = sim_disk_used(d) + 8192});
    assert_int_equal(run(db, "INSERT INTO t VALUES (randomblob(100000))"), SQLITE_FULL);
    sim_disk_set_faults(d, &(struct sim_disk_faults){.sync_ppm = 1000000});
    assert_int_equal(run(db, "INSERT INTO t VALUES (1)"), SQLITE_IOERR);
    sim_disk_set_faults(d, &(struct sim_disk_faults){.read_only = true});
    assert_int_equal(run(db, "INSERT INTO t VALUES (1)"), SQLITE_IOERR);
    sim_disk_set_faults(d, &(struct sim_disk_faults){0});
    assert_int_equal(run(db, "INSERT INTO t VALUES (2)"), SQLITE_OK);
    assert_int_equal(number(db, "SELECT count(*) FROM t WHERE x = 2"), 1);
    sqlite3_close(db);
    sim_disk_destroy(d);
}

/* The bytes that a fixed piece of work leaves. */
static uint64_t fingerprint(uint64_t seed)
{
    struct sim_disk *d = fresh(seed);
    sqlite3 *db = open_db();
    static uint8_t bytes[1 << 20];
    uint64_t hash = 14695981039346656037u;
    assert_int_equal(run(db, "PRAGMA journal_mode = WAL; CREATE TABLE t (x);"
                             "INSERT INTO t VALUES (randomblob(100)), (datetime('now'))"),
                     SQLITE_OK);
    int fd = sim_disk_open(d, "t.db-wal", 0);
    int64_t n = sim_disk_read_at(d, fd, 0, bytes, sizeof bytes);
    for (int64_t i = 0; i < n; i++)
        hash = (hash ^ bytes[i]) * 1099511628211u;
    sqlite3_close(db);
    sim_disk_destroy(d);
    return hash;
}

static void test_a_seed_gives_the_same_bytes(void **state)
{
    (void)state;
    assert_int_equal(fingerprint(5), fingerprint(5));
    assert_int_not_equal(fingerprint(5), fingerprint(6));
}

static void test_machines_do_not_meet(void **state)
{
    struct sim_disk *one = fresh(1), *two = fresh(2);
    (void)state;
    machine_use(one);
    sqlite3 *a = open_db();
    assert_int_equal(run(a, "PRAGMA journal_mode = WAL; CREATE TABLE t (x); BEGIN IMMEDIATE"),
                     SQLITE_OK);
    machine_use(two);
    sqlite3 *b = open_db();
    assert_int_equal(run(b, "PRAGMA journal_mode = WAL; CREATE TABLE t (x); BEGIN IMMEDIATE;"
                            "INSERT INTO t VALUES (1); COMMIT"),
                     SQLITE_OK);
    machine_use(one);
    assert_int_equal(run(a, "COMMIT"), SQLITE_OK);
    assert_int_equal(number(a, "SELECT count(*) FROM t"), 0);
    /* The first is killed: its connection is left behind, and a new one starts afresh. */
    assert_int_equal(run(a, "BEGIN IMMEDIATE; INSERT INTO t VALUES (7)"), SQLITE_OK);
    sim_disk_kill(one);
    sqlite3_close(a);
    a = open_db();
    assert_int_equal(run(a, "INSERT INTO t VALUES (1)"), SQLITE_OK);
    assert_int_equal(number(a, "SELECT sum(x) FROM t"), 1);
    sqlite3_close(a);
    machine_use(two);
    sqlite3_close(b);
    sim_disk_destroy(one);
    sim_disk_destroy(two);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_readers_see_what_is_committed),
        cmocka_unit_test(test_rollback_journals_lock_and_roll_back),
        cmocka_unit_test(test_commits_survive_power_loss),
        cmocka_unit_test(test_full_and_failing_disks_are_reported),
        cmocka_unit_test(test_a_seed_gives_the_same_bytes),
        cmocka_unit_test(test_machines_do_not_meet),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
