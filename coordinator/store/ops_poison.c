#include "coordinator/store/ops_poison.h"

#include <stdio.h>
#include "core/base/text.h"
#include "coordinator/store/conn.h"

#define REASON_BYTES 512

/* Runs a query of one number, which is closed. */
static int count_of(struct query *q, uint64_t *count, struct err *e)
{
    int rc = query_number(q, count, e);
    return rc < 0 ? rc : 0;
}

static int run_with(struct store_conn *c, const char *sql, uint64_t id, struct err *e)
{
    struct query q;
    query_open(&q, c, sql);
    query_u64(&q, id);
    return query_run(&q, NULL, e);
}

/* --- failures ----------------------------------------------------------------------------------
 */

int op_job_failers(struct store_conn *c, uint64_t job, uint64_t *count, struct err *e)
{
    static const char get[] = "SELECT count(DISTINCT job_error.agent) FROM job_error"
                              " JOIN agent ON agent.id = job_error.agent"
                              " WHERE job = ? AND agent.bench_ms = 0";
    struct query q;
    query_open(&q, c, get);
    query_u64(&q, job);
    return count_of(&q, count, e);
}

int op_vanished_add(struct store_conn *c, uint64_t job, uint64_t agent, uint64_t *count,
                    struct err *e)
{
    struct query q;
    query_open(&q, c, "INSERT INTO vanished (job, agent) VALUES (?, ?) ON CONFLICT DO NOTHING");
    query_u64(&q, job);
    query_u64(&q, agent);
    int rc = query_run(&q, NULL, e);
    if (rc)
        return rc;
    query_open(&q, c, "SELECT count(*) FROM vanished WHERE job = ?");
    query_u64(&q, job);
    return count_of(&q, count, e);
}

int op_vanished_remove(struct store_conn *c, uint64_t job, uint64_t agent, struct err *e)
{
    struct query q;
    query_open(&q, c, "DELETE FROM vanished WHERE job = ? AND agent = ?");
    query_u64(&q, job);
    query_u64(&q, agent);
    return query_run(&q, NULL, e);
}

int op_vanished_clear(struct store_conn *c, uint64_t job, struct err *e)
{
    return run_with(c, "DELETE FROM vanished WHERE job = ?", job, e);
}

int op_failing_add(struct store_conn *c, uint64_t agent, uint64_t job, uint64_t *count,
                   struct err *e)
{
    struct query q;
    query_open(&q, c, "INSERT INTO failing (agent, job) VALUES (?, ?) ON CONFLICT DO NOTHING");
    query_u64(&q, agent);
    query_u64(&q, job);
    int rc = query_run(&q, NULL, e);
    if (rc)
        return rc;
    query_open(&q, c, "SELECT count(*) FROM failing WHERE agent = ?");
    query_u64(&q, agent);
    return count_of(&q, count, e);
}

int op_failing_clear(struct store_conn *c, uint64_t agent, struct err *e)
{
    static const char forget[] =
        "UPDATE agent SET benches = 0 WHERE id = ? AND benches > 0 AND bench_ms = 0";
    int rc = run_with(c, "DELETE FROM failing WHERE agent = ?", agent, e);
    return rc ? rc : run_with(c, forget, agent, e);
}

int op_failing_forgive(struct store_conn *c, uint64_t job, struct err *e)
{
    return run_with(c, "DELETE FROM failing WHERE job = ?", job, e);
}

/* --- benches -----------------------------------------------------------------------------------
 */

int op_bench_get(struct store_conn *c, uint64_t agent, struct arena *a, struct bench_row *out,
                 struct err *e)
{
    static const char get[] =
        "SELECT bench_ms, benched_ms, benches, name, bench_reason FROM agent WHERE id = ?";
    struct query q;
    *out = (struct bench_row){0};
    query_open(&q, c, get);
    query_u64(&q, agent);
    int rc = query_step(&q, e);
    if (rc == 1) {
        out->bench_ms = (int64_t)column_u64(&q, 0);
        out->benched_ms = column_u64(&q, 1);
        out->benches = column_u64(&q, 2);
        rc = column_text(&q, 3, a, &out->name, e);
        if (!rc)
            rc = column_text(&q, 4, a, &out->reason, e);
    }
    query_close(&q);
    return rc;
}

int op_bench_put(struct store_conn *c, uint64_t agent, int64_t bench_ms, const char *reason,
                 uint64_t wall_ms, struct err *e)
{
    static const char put[] =
        "UPDATE agent SET bench_ms = ?, benched_ms = ?, benches = benches + 1,"
        " bench_reason = ? WHERE id = ?";
    char kept[REASON_BYTES + 1];
    struct query q;
    snprintf(kept, sizeof kept, "%s", reason);
    text_make_utf8(kept);
    query_open(&q, c, put);
    query_i64(&q, bench_ms);
    query_u64(&q, wall_ms);
    query_text(&q, kept);
    query_u64(&q, agent);
    int rc = query_run(&q, NULL, e);
    return rc ? rc : run_with(c, "DELETE FROM failing WHERE agent = ?", agent, e);
}

int op_bench_lift(struct store_conn *c, uint64_t agent, bool forgiven, struct err *e)
{
    static const char lift[] = "UPDATE agent SET bench_ms = 0, bench_reason = NULL,"
                               " benches = iif(?, 0, benches) WHERE id = ?";
    struct query q;
    query_open(&q, c, lift);
    query_u64(&q, forgiven);
    query_u64(&q, agent);
    int rc = query_run(&q, NULL, e);
    return rc ? rc : run_with(c, "DELETE FROM failing WHERE agent = ?", agent, e);
}

int op_benched(struct store_conn *c, struct arena *a, uint64_t **agents, uint32_t *count,
               struct err *e)
{
    struct query q;
    query_open(&q, c, "SELECT id FROM agent WHERE bench_ms <> 0");
    return query_numbers(&q, a, agents, count, e);
}

int op_agents_named(struct store_conn *c, const char *name, struct arena *a, uint64_t **agents,
                    uint32_t *count, struct err *e)
{
    struct query q;
    query_open(&q, c, "SELECT id FROM agent WHERE name = ?");
    query_text(&q, name);
    return query_numbers(&q, a, agents, count, e);
}

int op_jobs_unproved(struct store_conn *c, uint64_t agent, struct arena *a, uint64_t **jobs,
                     uint32_t *count, struct err *e)
{
    static const char get[] =
        "SELECT DISTINCT job.id FROM job JOIN run ON run.id = job.run"
        " JOIN job_error ON job_error.job = job.id"
        " WHERE job.state = 3 AND run.state = 0 AND job_error.agent = ?"
        " AND (SELECT count(DISTINCT x.agent) FROM job_error AS x JOIN agent ON agent.id = x.agent"
        "      WHERE x.job = job.id AND agent.bench_ms = 0) < 2";
    struct query q;
    query_open(&q, c, get);
    query_u64(&q, agent);
    return query_numbers(&q, a, jobs, count, e);
}

/* --- once more ---------------------------------------------------------------------------------
 */

int op_job_retry(struct store_conn *c, uint64_t job, uint64_t wall_ms, struct err *e)
{
    static const char retry[] = "UPDATE job SET state = 0, ready = 1, failures = 0, agent = NULL,"
                                " failed_agent = NULL, since_ms = ? WHERE id = ? AND state = 3";
    uint64_t changed = 0;
    struct query q;
    query_open(&q, c, retry);
    query_u64(&q, wall_ms);
    query_u64(&q, job);
    int rc = query_run(&q, &changed, e);
    if (!rc && changed == 0)
        rc = err_set(e, ERR_CONFLICT, "the job is not in quarantine");
    if (!rc)
        rc = run_with(c, "DELETE FROM job_error WHERE job = ?", job, e);
    return rc ? rc : op_vanished_clear(c, job, e);
}

int op_jobs_quarantined(struct store_conn *c, uint64_t run, struct arena *a, uint64_t **jobs,
                        uint32_t *count, struct err *e)
{
    struct query q;
    query_open(&q, c, "SELECT id FROM job WHERE run = ? AND state = 3 ORDER BY id");
    query_u64(&q, run);
    return query_numbers(&q, a, jobs, count, e);
}

int op_run_revive(struct store_conn *c, uint64_t run, uint64_t wall_ms, struct err *e)
{
    static const char revive[] =
        "UPDATE run SET state = 0, reason = NULL, ended_ms = 0 WHERE id = ? AND state = 2";
    static const char jobs[] = "UPDATE job SET state = 0, ready = 1, agent = NULL,"
                               " failed_agent = NULL, since_ms = ? WHERE run = ? AND state = 4"
                               " AND undone = 0 AND kind <> 7";
    uint64_t changed = 0;
    struct query q;
    query_open(&q, c, revive);
    query_u64(&q, run);
    int rc = query_run(&q, &changed, e);
    if (!rc && changed == 0)
        rc = err_set(e, ERR_CONFLICT, "the run has not failed");
    if (rc)
        return rc;
    query_open(&q, c, jobs);
    query_u64(&q, wall_ms);
    query_u64(&q, run);
    return query_run(&q, NULL, e);
}
