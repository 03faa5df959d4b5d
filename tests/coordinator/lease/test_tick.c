/* A row that cannot be changed, whatever the reason, holds up its own job alone. */
#include "tests/coordinator/lease/lease_world.h"

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
    run_sql(w->dir, "tacit.db", sql);
    w->now_ms += LEASE_MS + 1000;
    tick(w);
    for (int i = 0; i < 3; i++)
        assert_int_equal(job_of(w, g[i].job).state, i == 1 ? JOB_LEASED : JOB_WAITING);
    /* It is tried again, not at every tick, and ends once it can. */
    run_sql(w->dir, "tacit.db", "DROP TRIGGER bad");
    w->now_ms += LEASE_MS + 1000;
    tick(w);
    assert_int_equal(job_of(w, g[1].job).state, JOB_WAITING);
}

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(a_bad_row_keeps_no_other_lease_from_ending)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
