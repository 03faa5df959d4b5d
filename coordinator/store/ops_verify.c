#include "coordinator/store/ops_verify.h"

#include "coordinator/store/conn.h"

int op_job_undo(struct store_conn *c, uint64_t job, uint64_t wall_ms, struct err *e)
{
    static const char released[] =
        "INSERT INTO released (digest, dropped_ms) SELECT DISTINCT digest, ?2 FROM output"
        " WHERE job = ?1 OR job IN (SELECT id FROM job WHERE replays = ?1) ON CONFLICT DO NOTHING";
    static const char outputs[] =
        "DELETE FROM output WHERE job = ?1 OR job IN (SELECT id FROM job WHERE replays = ?1)";
    static const char undo[] =
        "UPDATE job SET state = 4, undone = 1, agent = NULL, failed_agent = NULL, verdict = NULL,"
        " since_ms = ?2 WHERE (id = ?1 OR replays = ?1) AND undone = 0";
    static const char attempts[] =
        "UPDATE attempt SET outcome = 6, ended_ms = ?2, words = 'rolled back' WHERE outcome = 0"
        " AND job IN (SELECT id FROM job WHERE id = ?1 OR replays = ?1)";
    struct query q;
    query_open(&q, c, attempts);
    query_u64(&q, job);
    query_u64(&q, wall_ms);
    int rc = query_run(&q, NULL, e);
    if (rc)
        return rc;
    query_open(&q, c, released);
    query_u64(&q, job);
    query_u64(&q, wall_ms);
    rc = query_run(&q, NULL, e);
    if (rc)
        return rc;
    query_open(&q, c, outputs);
    query_u64(&q, job);
    rc = query_run(&q, NULL, e);
    if (!rc)
        rc = op_save_drop(c, job, e);
    if (rc)
        return rc;
    query_open(&q, c, undo);
    query_u64(&q, job);
    query_u64(&q, wall_ms);
    return query_run(&q, NULL, e);
}

int op_output_keep(struct store_conn *c, uint64_t job, const struct digest *d, struct err *e)
{
    struct query q;
    query_open(&q, c, "UPDATE output SET dropped = 0 WHERE job = ? AND digest = ?");
    query_u64(&q, job);
    query_digest(&q, d);
    return query_run(&q, NULL, e);
}

int op_run_reopen(struct store_conn *c, uint64_t run, struct err *e)
{
    struct query q;
    query_open(&q, c,
               "UPDATE run SET state = 0, reason = NULL, ended_ms = 0, swept = 0"
               " WHERE id = ? AND state IN (0, 1)");
    query_u64(&q, run);
    return query_run(&q, NULL, e);
}
