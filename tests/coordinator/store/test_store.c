/* What the coordinator acknowledged is there after kill -9; one bad request does not take others
 * with it; a data folder that another tacitd uses, or that a newer one wrote, is left alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <signal.h>
#include <sqlite3.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "coordinator/store/conn.h"
#include "coordinator/store/migrate.h"
#include "coordinator/store/ops.h"
#include "coordinator/store/store.h"
#include "tests/coordinator/store/store_check.h"
#include "tests/coordinator/store/temp_dir.h"

static struct store *open_stepped(const char *dir)
{
    struct store *s;
    OK(store_open_with(&s, dir, &(struct store_options){.lock_ms = 0, .stepped = true}, &err));
    while (store_writer_step(s))
        ;
    return s;
}

/* A write that joins an agent with this number as its name, or fails afterwards. */
struct join {
    unsigned number;
    bool fails, ended_transaction;
    uint64_t id;
    int done, rc;
};

static int join_fn(struct store_conn *c, void *arg, struct err *e)
{
    struct join *j = arg;
    char identity[65], name[16];
    struct digest hash;
    snprintf(identity, sizeof identity, "%064u", j->number);
    snprintf(name, sizeof name, "agent-%u", j->number);
    digest_of(identity, 64, &hash);
    struct msg_join m = {.identity = identity, .name = name, .threads = 1};
    int rc = op_agent_put(c, &m, &hash, 1000, &j->id, e);
    if (!rc && j->ended_transaction) /* as SQLite does by itself when the disk is full */
        sqlite3_exec(c->db, "ROLLBACK", NULL, NULL, NULL);
    if (!rc && (j->fails || j->ended_transaction))
        return err_set(e, ERR_INVALID, "refused on purpose");
    return rc;
}

static void join_done(void *arg, int rc, const struct err *e)
{
    struct join *j = arg;
    (void)e;
    j->done++;
    j->rc = rc;
}

static uint32_t count_agents(struct store *s)
{
    struct store_conn *c;
    struct arena a;
    struct agent_row *rows;
    uint32_t count;
    arena_init(&a, 64u << 20);
    OK(store_read_begin(s, &c, &err));
    OK(op_agents(c, &a, &rows, &count, &err));
    store_read_end(s, c);
    arena_free(&a);
    return count;
}

static void test_failed_piece_rolls_back_alone(void **state)
{
    char dir[64];
    (void)state;
    temp_dir_make(dir);
    struct store *s = open_stepped(dir);
    struct join j[3] = {{.number = 1}, {.number = 2, .fails = true}, {.number = 3}};
    for (int i = 0; i < 3; i++)
        store_write(s, join_fn, join_done, &j[i]);
    assert_int_equal(j[0].done, 0); /* nothing is answered before the commit */
    assert_int_equal(store_writer_step(s), 3);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(j[i].done, 1);
        assert_int_equal(j[i].rc, i == 1 ? ERR_INVALID : 0);
    }
    assert_int_equal(count_agents(s), 2);
    store_close(s);
    temp_dir_remove(dir);
}

/* A piece that loses the whole transaction: the others are done alone, none twice. */
static void test_lost_transaction_tries_each_alone(void **state)
{
    char dir[64];
    (void)state;
    temp_dir_make(dir);
    struct store *s = open_stepped(dir);
    struct join j[4] = {
        {.number = 1}, {.number = 2, .ended_transaction = true}, {.number = 3}, {.number = 4}};
    for (int i = 0; i < 4; i++)
        store_write(s, join_fn, join_done, &j[i]);
    assert_int_equal(store_writer_step(s), 4);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(j[i].done, 1);
        assert_int_equal(j[i].rc, i == 1 ? ERR_INVALID : 0);
    }
    assert_int_equal(count_agents(s), 3);
    store_close(s);
    temp_dir_remove(dir);
}

static void acknowledge(void *arg, int rc, const struct err *e)
{
    struct join *j = arg;
    (void)e;
    if (!rc && write(j->done, &j->number, sizeof j->number) != sizeof j->number)
        _exit(3);
}

/* The child writes until it is killed, and tells of every commit through the pipe. */
static void write_forever(const char *dir, int out, unsigned first)
{
    struct store *s;
    struct err e;
    static struct join j[1u << 17];
    if (store_open(&s, dir, &e))
        _exit(2);
    for (unsigned i = 0; i < 1u << 17; i++) {
        j[i] = (struct join){.number = first + i, .done = out};
        store_write(s, join_fn, acknowledge, &j[i]);
        if (i % 64 == 0)
            usleep(200);
    }
    pause();
}

static void test_kill_keeps_what_was_acknowledged(void **state)
{
    char dir[64];
    uint64_t total = 0;
    (void)state;
    temp_dir_make(dir);
    for (unsigned round = 0; round < 3; round++) {
        int fds[2];
        unsigned number, acknowledged = 0;
        assert_int_equal(pipe(fds), 0);
        pid_t child = fork();
        if (child == 0) {
            close(fds[0]);
            write_forever(dir, fds[1], round << 20);
        }
        close(fds[1]);
        while (acknowledged < 500 * (round + 1) &&
               read(fds[0], &number, sizeof number) == sizeof number)
            acknowledged = number - (round << 20) + 1;
        kill(child, SIGKILL);
        while (read(fds[0], &number, sizeof number) == sizeof number)
            acknowledged = number - (round << 20) + 1;
        waitpid(child, NULL, 0);
        close(fds[0]);
        assert_true(acknowledged >= 500);
        total += acknowledged;
        struct store *s = open_stepped(dir);
        assert_true(count_agents(s) >= total);
        total = count_agents(s);
        assert_int_equal(store_incarnation(s), 2 * round + 2);
        store_close(s);
    }
    temp_dir_remove(dir);
}

static void test_folder_in_use_is_refused(void **state)
{
    char dir[64];
    struct store *first, *second;
    (void)state;
    temp_dir_make(dir);
    first = open_stepped(dir);
    assert_int_equal(store_open_with(&second, dir, &(struct store_options){.lock_ms = 50}, &err),
                     ERR_BUSY);
    assert_non_null(strstr(err.message, dir));
    assert_non_null(strstr(err.message, "--data"));
    store_close(first);
    OK(store_open_with(&second, dir, &(struct store_options){.lock_ms = 0}, &err));
    store_close(second);
    temp_dir_remove(dir);
}

/* A predecessor that is on its way out is waited for. */
static void test_dying_predecessor_is_waited_for(void **state)
{
    char dir[64], byte;
    int fds[2];
    (void)state;
    temp_dir_make(dir);
    assert_int_equal(pipe(fds), 0);
    pid_t child = fork();
    if (child == 0) {
        struct store *s;
        struct err e;
        if (store_open(&s, dir, &e))
            _exit(2);
        if (write(fds[1], "x", 1) != 1)
            _exit(3);
        usleep(300000);
        _exit(0);
    }
    assert_int_equal(read(fds[0], &byte, 1), 1);
    struct store *s;
    OK(store_open(&s, dir, &err));
    store_close(s);
    waitpid(child, NULL, 0);
    close(fds[0]);
    close(fds[1]);
    temp_dir_remove(dir);
}

static int64_t ask_sql(const char *dir, const char *file, const char *sql)
{
    char path[96];
    sqlite3 *db;
    sqlite3_stmt *st;
    snprintf(path, sizeof path, "%s/%s", dir, file);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &st, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(st), SQLITE_ROW);
    int64_t value = sqlite3_column_int64(st, 0);
    sqlite3_finalize(st);
    sqlite3_close(db);
    return value;
}

static void test_newer_schema_is_refused(void **state)
{
    static const char *const files[] = {"tacit.db", "blobs.db"};
    char sql[64];
    (void)state;
    for (int i = 0; i < 2; i++) {
        char dir[64];
        struct store *s;
        temp_dir_make(dir);
        store_close(open_stepped(dir));
        int64_t known = ask_sql(dir, files[i], "PRAGMA user_version");
        int64_t incarnation = ask_sql(dir, "tacit.db", "SELECT incarnation FROM meta");
        run_sql(dir, files[i], "PRAGMA user_version = 999");
        assert_int_equal(store_open(&s, dir, &err), ERR_VERSION);
        assert_non_null(strstr(err.message, "999"));
        assert_non_null(strstr(err.message, files[i]));
        assert_non_null(strstr(err.message, "newer"));
        assert_int_equal(ask_sql(dir, files[i], "PRAGMA user_version"), 999);
        assert_int_equal(ask_sql(dir, "tacit.db", "SELECT incarnation FROM meta"), incarnation);
        snprintf(sql, sizeof sql, "PRAGMA user_version = %d", (int)known);
        run_sql(dir, files[i], sql);
        store_close(open_stepped(dir));
        temp_dir_remove(dir);
    }
}

/* A folder that is refused stays as it was, the half of it that could have been migrated, too. */
static void test_newer_blobs_leave_an_older_tacit_alone(void **state)
{
    char dir[64], path[96];
    struct store *s;
    (void)state;
    temp_dir_make(dir);
    store_close(open_stepped(dir));
    run_sql(dir, "blobs.db", "PRAGMA user_version = 999");
    snprintf(path, sizeof path, "%s/tacit.db", dir);
    assert_int_equal(unlink(path), 0);
    run_sql(dir, "tacit.db", "CREATE TABLE older (v INTEGER) STRICT");
    assert_int_equal(store_open(&s, dir, &err), ERR_VERSION);
    assert_int_equal(ask_sql(dir, "tacit.db", "PRAGMA user_version"), 0);
    assert_int_equal(ask_sql(dir, "tacit.db", "SELECT count(*) FROM sqlite_schema"), 1);
    temp_dir_remove(dir);
}

static void test_not_a_database_is_named(void **state)
{
    char dir[64], path[96];
    struct store *s;
    (void)state;
    temp_dir_make(dir);
    snprintf(path, sizeof path, "%s/tacit.db", dir);
    FILE *f = fopen(path, "w");
    for (int i = 0; i < 200; i++)
        fputs("this is not a database, but a long letter\n", f);
    fclose(f);
    assert_int_equal(store_open(&s, dir, &err), ERR_FORMAT);
    assert_non_null(strstr(err.message, path));
    temp_dir_remove(dir);
}

/* An interrupted or failing migration leaves the file at the version before it. */
static void test_migrations_apply_in_order_or_not_at_all(void **state)
{
    static const struct store_migration good[] = {
        {"x", 1, "one", "CREATE TABLE a (v INTEGER) STRICT; PRAGMA user_version = 1;"},
        {"y", 1, "other", "CREATE TABLE y (v INTEGER) STRICT; PRAGMA user_version = 1;"},
        {"x", 2, "two", "INSERT INTO a VALUES (7); PRAGMA user_version = 2;"},
        {0}};
    static const struct store_migration bad[] = {
        {"x", 1, "one", ""},
        {"x", 2, "two", ""},
        {"x", 3, "three",
         "INSERT INTO a VALUES (8); INSERT INTO missing VALUES (1); PRAGMA user_version = 3;"},
        {0}};
    char dir[64], path[96];
    sqlite3 *db;
    (void)state;
    temp_dir_make(dir);
    snprintf(path, sizeof path, "%s/x.db", dir);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    OK(store_migrate(db, good, "x", &err));
    OK(store_migrate(db, good, "x", &err));
    assert_int_equal(ask_sql(dir, "x.db", "PRAGMA user_version"), 2);
    assert_int_equal(ask_sql(dir, "x.db", "SELECT count(*) FROM a"), 1);
    assert_int_not_equal(store_migrate(db, bad, "x", &err), 0);
    assert_non_null(strstr(err.message, "three"));
    assert_int_equal(ask_sql(dir, "x.db", "PRAGMA user_version"), 2);
    assert_int_equal(ask_sql(dir, "x.db", "SELECT count(*) FROM a"), 1);
    sqlite3_close(db);
    temp_dir_remove(dir);
}

/* A coordinator's database of an older version, with jobs in it, is taken over whole; one whose
 * references would hang in the air is not touched. */
static void test_a_table_is_made_anew_with_what_refers_to_it(void **state)
{
    static const char rows[] =
        "INSERT INTO dataset VALUES (1, 'd', 9, 9, zeroblob(32), 1, 1, 1, 1, 1, 1, 0, 0);"
        "INSERT INTO run (id, name, dataset, spec, spec_text, created_ms)"
        " VALUES (1, 'r', 1, zeroblob(32), '', 0);"
        "INSERT INTO job (id, run, kind, target, idx, round, chunk, part, final, step_first,"
        " step_last, priority, since_ms, state) VALUES (7, 1, 4, 2, 0, 0, 0, 0, 0, 0, 10, 1, 0, 2);"
        "INSERT INTO output VALUES (7, 0, 0, 0, zeroblob(32), NULL, 5, 0, 0);";
    struct store_migration old[32];
    char dir[64], path[96];
    sqlite3 *db;
    int n = 0;
    (void)state;
    for (const struct store_migration *m = store_migrations; m->database; m++)
        if (strcmp(m->database, "tacit") == 0 && m->number < 4)
            old[n++] = *m;
    old[n] = (struct store_migration){0};
    temp_dir_make(dir);
    snprintf(path, sizeof path, "%s/tacit.db", dir);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "PRAGMA foreign_keys = ON", NULL, NULL, NULL), SQLITE_OK);
    OK(store_migrate(db, old, "tacit", &err));
    assert_int_equal(sqlite3_exec(db, rows, NULL, NULL, NULL), SQLITE_OK);
    OK(store_migrate(db, store_migrations, "tacit", &err));
    assert_int_equal(ask_sql(dir, "tacit.db", "SELECT count(*) FROM job WHERE id = 7"), 1);
    assert_int_equal(ask_sql(dir, "tacit.db",
                             "SELECT count(*) FROM pragma_foreign_key_list('output')"
                             " WHERE \"table\" = 'job'"),
                     1);
    assert_int_equal(ask_sql(dir, "tacit.db",
                             "SELECT count(*) FROM pragma_foreign_key_list('job')"
                             " WHERE \"table\" = 'job'"),
                     1);
    assert_int_not_equal(sqlite3_exec(db, "DELETE FROM job WHERE id = 7", NULL, NULL, NULL),
                         SQLITE_OK); /* the references are held to again */
    static const struct store_migration breaking[] = {
        {"tacit", 1000, "break", "DELETE FROM job; PRAGMA user_version = 1000;"}, {0}};
    assert_int_equal(store_migrate(db, breaking, "tacit", &err), ERR_FORMAT);
    assert_non_null(strstr(err.message, "output"));
    assert_int_equal(ask_sql(dir, "tacit.db", "SELECT count(*) FROM job"), 1);
    sqlite3_close(db);
    temp_dir_remove(dir);
}

static void test_files_are_as_the_design_says(void **state)
{
    char dir[64];
    (void)state;
    temp_dir_make(dir);
    store_close(open_stepped(dir));
    assert_int_equal(ask_sql(dir, "blobs.db", "PRAGMA page_size"), 65536);
    assert_int_equal(ask_sql(dir, "tacit.db", "PRAGMA page_size"), 4096);
    assert_int_equal(
        ask_sql(dir, "tacit.db",
                "SELECT count(*) FROM pragma_table_list WHERE schema = 'main' AND strict = 0"
                " AND name NOT LIKE 'sqlite_%'"),
        0);
    assert_int_equal(
        ask_sql(dir, "tacit.db", "SELECT journal_mode = 'wal' FROM pragma_journal_mode"), 1);
    assert_int_equal(
        ask_sql(dir, "blobs.db", "SELECT journal_mode = 'wal' FROM pragma_journal_mode"), 1);
    temp_dir_remove(dir);
}

/* Requests come while another program holds the database: they wait, and none sees "busy". */
static void test_other_program_makes_writes_wait(void **state)
{
    char dir[64], path[96];
    sqlite3 *db;
    struct store *s;
    (void)state;
    temp_dir_make(dir);
    OK(store_open(&s, dir, &err));
    snprintf(path, sizeof path, "%s/tacit.db", dir);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    struct join j = {.number = 5}, k = {.number = 6};
    store_write(s, join_fn, join_done, &j);
    assert_int_equal(count_agents(s), 0); /* readers do not wait */
    usleep(200000);
    assert_int_equal(sqlite3_exec(db, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    OK(store_write_wait(s, join_fn, &k, &err));
    assert_int_equal(count_agents(s), 2);
    store_close(s);
    assert_int_equal(j.rc, 0);
    temp_dir_remove(dir);
}

static void test_close_finishes_what_is_queued(void **state)
{
    char dir[64];
    struct store *s;
    static struct join j[2000];
    (void)state;
    temp_dir_make(dir);
    OK(store_open(&s, dir, &err));
    for (unsigned i = 0; i < 2000; i++) {
        j[i] = (struct join){.number = i};
        store_write(s, join_fn, join_done, &j[i]);
    }
    store_close(s);
    for (unsigned i = 0; i < 2000; i++)
        assert_true(j[i].done == 1 && j[i].rc == 0);
    s = open_stepped(dir);
    assert_int_equal(count_agents(s), 2000);
    store_close(s);
    temp_dir_remove(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_failed_piece_rolls_back_alone),
        cmocka_unit_test(test_lost_transaction_tries_each_alone),
        cmocka_unit_test(test_kill_keeps_what_was_acknowledged),
        cmocka_unit_test(test_folder_in_use_is_refused),
        cmocka_unit_test(test_dying_predecessor_is_waited_for),
        cmocka_unit_test(test_newer_schema_is_refused),
        cmocka_unit_test(test_newer_blobs_leave_an_older_tacit_alone),
        cmocka_unit_test(test_not_a_database_is_named),
        cmocka_unit_test(test_migrations_apply_in_order_or_not_at_all),
        cmocka_unit_test(test_a_table_is_made_anew_with_what_refers_to_it),
        cmocka_unit_test(test_files_are_as_the_design_says),
        cmocka_unit_test(test_other_program_makes_writes_wait),
        cmocka_unit_test(test_close_finishes_what_is_queued),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
