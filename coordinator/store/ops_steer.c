/* Runs and data sets; agents, quotas and invitations are in ops_fleet.c. */
#include "coordinator/store/ops_steer.h"

#include "coordinator/store/conn.h"

static int run_on(struct store_conn *c, const char *sql, uint64_t a, uint64_t b, struct err *e)
{
    struct query q;
    query_open(&q, c, sql);
    query_u64(&q, a);
    query_u64(&q, b);
    return query_run(&q, NULL, e);
}

int op_run_pause(struct store_conn *c, uint64_t run, uint64_t resume_ms, struct err *e)
{
    return run_on(c, "UPDATE run SET paused = 1, resume_ms = ?2 WHERE id = ?1 AND state = 0", run,
                  resume_ms, e);
}

int op_run_resume(struct store_conn *c, uint64_t run, struct err *e)
{
    struct query q;
    query_open(&q, c, "UPDATE run SET paused = 0, resume_ms = 0 WHERE id = ?");
    query_u64(&q, run);
    return query_run(&q, NULL, e);
}

int op_runs_rested(struct store_conn *c, uint64_t wall_ms, struct arena *a, uint64_t **runs,
                   uint32_t *count, struct err *e)
{
    struct query q;
    query_open(&q, c,
               "SELECT id FROM run WHERE paused = 1 AND resume_ms > 0 AND resume_ms <= ?"
               " ORDER BY id");
    query_u64(&q, wall_ms);
    return query_numbers(&q, a, runs, count, e);
}

int op_runs_rest_until(struct store_conn *c, uint64_t *at_ms, struct err *e)
{
    struct query q;
    query_open(&q, c,
               "SELECT ifnull(min(resume_ms), 0) FROM run WHERE paused = 1 AND resume_ms > 0");
    int rc = query_number(&q, at_ms, e);
    return rc < 0 ? rc : 0;
}

int op_run_set_priority(struct store_conn *c, uint64_t run, int priority, struct err *e)
{
    struct query q;
    query_open(&q, c, "UPDATE run SET priority = ? WHERE id = ?");
    query_i64(&q, priority);
    query_u64(&q, run);
    return query_run(&q, NULL, e);
}

int op_run_need_add(struct store_conn *c, uint64_t run, const char *name, const char *value,
                    struct err *e)
{
    struct query q;
    query_open(&q, c, "INSERT INTO run_need (run, name, value) VALUES (?, ?, ?)");
    query_u64(&q, run);
    query_text(&q, name);
    query_text(&q, value);
    return query_run(&q, NULL, e);
}

int op_run_extend(struct store_conn *c, uint64_t run, uint64_t steps, uint64_t wall_ms,
                  struct err *e)
{
    struct query q;
    query_open(&q, c, "INSERT INTO extension (run, steps, at_ms) VALUES (?, ?, ?)");
    query_u64(&q, run);
    query_u64(&q, steps);
    query_u64(&q, wall_ms);
    return query_run(&q, NULL, e);
}

int op_run_ends(struct store_conn *c, uint64_t run, struct arena *a, uint64_t **steps,
                uint32_t *count, struct err *e)
{
    struct query q;
    query_open(&q, c, "SELECT steps FROM extension WHERE run = ? ORDER BY steps");
    query_u64(&q, run);
    return query_numbers(&q, a, steps, count, e);
}

int op_run_set_fork(struct store_conn *c, uint64_t run, uint64_t of, struct err *e)
{
    return run_on(c, "UPDATE run SET forked_from = ?2 WHERE id = ?1", run, of, e);
}

int op_hands_over(struct store_conn *c, uint64_t run, uint64_t agent, bool *yes, struct err *e)
{
    uint64_t found = 0;
    struct query q;
    query_open(&q, c,
               "SELECT (SELECT paused FROM run WHERE id = ?1) OR"
               " ifnull((SELECT drain = 2 FROM agent WHERE id = ?2), 0)");
    query_u64(&q, run);
    query_u64(&q, agent);
    int rc = query_number(&q, &found, e);
    *yes = found > 0;
    return rc < 0 ? rc : 0;
}

/* --- data sets -------------------------------------------------------------------------------- */

int op_dataset_users(struct store_conn *c, uint64_t dataset, bool done_too, uint32_t limit,
                     struct arena *a, const char **names, uint64_t *all, struct err *e)
{
#define USERS "FROM run WHERE dataset = ?1 AND (state IN (0, 2) OR (state = 1 AND ?2))"
    struct query q;
    query_open(&q, c,
               "SELECT group_concat(name, ', ') FROM (SELECT name " USERS
               " ORDER BY name LIMIT ?3)");
    query_u64(&q, dataset);
    query_u64(&q, done_too);
    query_u64(&q, limit);
    int rc = query_step(&q, e);
    if (rc == 1)
        rc = column_text(&q, 0, a, names, e);
    query_close(&q);
    if (rc)
        return rc;
    query_open(&q, c, "SELECT count(*) " USERS);
    query_u64(&q, dataset);
    query_u64(&q, done_too);
    rc = query_number(&q, all, e);
    return rc < 0 ? rc : 0;
}

/* Rows of cancelled runs refer to it still: then its row stays, under a name that no data set can
 * have. */
int op_dataset_delete(struct store_conn *c, uint64_t dataset, uint64_t wall_ms, struct err *e)
{
    static const char hide[] =
        "UPDATE dataset SET deleted_ms = ?2, name = name || ' (deleted ' || id || ')'"
        " WHERE id = ?1";
    static const char forget[] =
        "DELETE FROM dataset WHERE id = ?1 AND ?2 >= 0"
        " AND NOT EXISTS (SELECT 1 FROM run WHERE run.dataset = dataset.id)";
    int rc = run_on(c, "DELETE FROM shard WHERE dataset = ?1 AND ?2 >= 0", dataset, 0, e);
    if (!rc)
        rc = run_on(c, "DELETE FROM label WHERE dataset = ?1 AND ?2 >= 0", dataset, 0, e);
    if (!rc)
        rc = run_on(c, hide, dataset, wall_ms, e);
    return rc ? rc : run_on(c, forget, dataset, 0, e);
}
