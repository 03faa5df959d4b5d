/* Power may go while a new version takes over an old one's databases, from whatever version: they
 * are the old or the new, and open. Nobody makes a backup before a start. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "coordinator/store/migrate.h"
#include "coordinator/store/store.h"
#include "core/env/file.h"
#include "tests/sim/disk/one_machine.h"
#include "tests/sim/power_loss/replay.h"
#include "tests/sim/power_loss/store_scene.h"
#include "tests/sim/vfs.h"

#define STARTS 41 /* of the old version */

static struct err err;

static void run(sqlite3 *db, const char *sql)
{
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
        fail_msg("%s: %.200s", sqlite3_errmsg(db), sql);
}

/* A database as version `number` of the program has left it. */
static void make_old(const char *database, int number)
{
    sqlite3 *db;
    char path[64];
    snprintf(path, sizeof path, "data/%s.db", database);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    bool tacit = strcmp(database, "tacit") == 0;
    run(db, tacit ? "PRAGMA page_size = 4096" : "PRAGMA page_size = 65536");
    run(db, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON");
    for (const struct store_migration *m = store_migrations; m->database; m++) {
        if (strcmp(m->database, database) != 0 || m->number > number)
            continue;
        run(db, "BEGIN");
        run(db, m->sql);
        run(db, "COMMIT");
    }
    if (tacit && number > 0)
        run(db, "UPDATE meta SET incarnation = 41");
    sqlite3_close(db);
}

static int newest(const char *database)
{
    int number = 0;
    for (const struct store_migration *m = store_migrations; m->database; m++)
        if (strcmp(m->database, database) == 0)
            number = m->number;
    return number;
}

static int start(struct store **s)
{
    return store_open_with(s, "data", &(struct store_options){.lock_ms = 0, .stepped = true}, &err);
}

/* The old version's last start is remembered, and the new one's that was acknowledged. */
static bool check(void *arg, size_t acknowledged, char *why, size_t cap)
{
    struct store *s;
    (void)arg;
    if (acknowledged == 0)
        return true;
    if (start(&s)) {
        snprintf(why, cap, "%s", err.message);
        return false;
    }
    uint64_t starts = store_incarnation(s);
    store_close(s);
    snprintf(why, cap, "it counts %llu starts", (unsigned long long)starts);
    return starts >= STARTS + acknowledged;
}

static void migrate_from(int tacit, int blobs)
{
    struct sim_disk *d = sim_disk_create(1);
    struct store *s;
    machine_use(d);
    machine_seed(1);
    sim_vfs_register();
    struct sim_journal *j = sim_disk_record(d);
    assert_int_equal(env_dir_make("data", &err), 0);
    make_old("blobs", blobs);
    make_old("tacit", tacit);
    sim_disk_mark(d, 0);
    if (start(&s))
        fail_msg("%s", err.message);
    sim_disk_mark(d, 1);
    store_close(s);
    struct replay r = {
        .journal = j,
        .drawn = getenv("TACIT_SLOW") ? 8 : 1,
        .check_every = getenv("TACIT_SLOW") ? 1 : 6,
        .state = scene_state,
        .check = check,
    };
    struct replay_result result = replay_run(&r);
    print_message("from tacit %d, blobs %d: opened after %zu of %zu operations; of %zu disks "
                  "built, %zu opened\n",
                  tacit, blobs, result.opened, result.operations, result.builds, result.checks);
    if (result.violations)
        fail_msg("%s", result.first);
    assert_true(r.check_every > 1 || result.opened == result.operations);
    assert_int_equal(result.marks, 2);
    machine_use(d);
    sim_disk_destroy(d);
}

static void test_every_old_version_becomes_new_or_stays(void **state)
{
    int tacit = newest("tacit"), blobs = newest("blobs");
    (void)state;
    assert_true(tacit > 1 && blobs > 1);
    for (int k = 1; k <= tacit; k++)
        migrate_from(k, k < blobs ? k : blobs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_old_version_becomes_new_or_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
