/* A row that cannot be changed, whatever the reason, holds up its own job alone. */
#include "tests/coordinator/lease/lease_world.h"

static void run_sql(const struct world *w, const char *sql)
{
    char path[80];
    sqlite3 *db;
    snprintf(path, sizeof path, "%s/tacit.db", w->dir);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
        fail_msg("%s: %s", sql, sqlite3_errmsg(db));
    sqlite3_close(db);
}

static void a_bad_row_keeps_no_other_lease_from_ending(void **state)
{
    struct world *w = *state;
    struct msg_grant g[3];
    char sql[200];
    for (int i = 0; i < 3; i++)
        OK(claim(w, i, &g[i]));
    tick(w); /* a start gives full terms */
    snprintf(sql, sizeof sql,
             "CREATE TRIGGER bad BEFORE UPDATE ON job WHEN old.id = %llu"
             " BEGIN SELECT raise(ABORT, 'bad'); END",
             (unsigned long long)g[1].job);
    run_sql(w, sql);
    w->now_ms += LEASE_MS + 1000;
    tick(w);
    for (int i = 0; i < 3; i++)
        assert_int_equal(job_of(w, g[i].job).state, i == 1 ? JOB_LEASED : JOB_WAITING);
    /* It is tried again, not at every tick, and ends once it can. */
    run_sql(w, "DROP TRIGGER bad");
    w->now_ms += LEASE_MS + 1000;
    tick(w);
    assert_int_equal(job_of(w, g[1].job).state, JOB_WAITING);
}

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(a_bad_row_keeps_no_other_lease_from_ending)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
