#include "coordinator/store/ops_verify.h"

#include <math.h>
#include <stdlib.h>
#include "coordinator/store/conn.h"
#include "coordinator/store/ops_storage.h"

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

/* --- replays ----------------------------------------------------------------------------------
 */

_Static_assert(REPLAY_AGREED == 0 && REPLAY_DIFFERED == 1 && REPLAY_WAS_FIRST == 2, "verdicts");

int op_replay_insert(struct store_conn *c, uint64_t job, bool duplicate, uint64_t not_first,
                     int priority, uint64_t wall_ms, uint64_t *id, struct err *e)
{
    static const char insert[] =
        "INSERT INTO job (run, kind, target, idx, round, chunk, part, final, step_first, step_last,"
        " priority, since_ms, replays, duplicate, failed_agent)"
        " SELECT run, 7, target, idx, round, chunk, part, final, step_first, step_last, ?, ?, id,"
        " ?, ? FROM job WHERE id = ? RETURNING id";
    struct query q;
    query_open(&q, c, insert);
    query_i64(&q, priority);
    query_u64(&q, wall_ms);
    query_u64(&q, duplicate);
    query_u64_or_null(&q, not_first);
    query_u64(&q, job);
    int rc = query_step(&q, e);
    if (rc == 1) {
        *id = column_u64(&q, 0);
        rc = query_step(&q, e);
    } else if (rc == 0) {
        rc = err_set(e, ERR_NOT_FOUND, "there is no such job");
    }
    query_close(&q);
    return rc;
}

int op_replay_open(struct store_conn *c, uint64_t job, uint64_t *id, struct err *e)
{
    struct query q;
    query_open(&q, c, "SELECT id FROM job WHERE replays = ? AND duplicate = 0 AND state IN (0, 1)");
    query_u64(&q, job);
    int rc = query_number(&q, id, e);
    if (rc == 0)
        return err_set(e, ERR_NOT_FOUND, "the job is not being replayed");
    return rc < 0 ? rc : 0;
}

int op_replay_verdict(struct store_conn *c, uint64_t id, int verdict, struct err *e)
{
    struct query q;
    query_open(&q, c, "UPDATE job SET verdict = ? WHERE id = ? AND state = 2");
    query_i64(&q, verdict);
    query_u64(&q, id);
    int rc = query_run(&q, NULL, e);
    return rc || verdict != REPLAY_DIFFERED ? rc : op_evidence_trim(c, id, e);
}

int op_replay_cancel(struct store_conn *c, uint64_t id, uint64_t wall_ms, struct err *e)
{
    struct query q;
    query_open(&q, c,
               "UPDATE job SET state = 4, agent = NULL, since_ms = ? WHERE id = ?"
               " AND kind = 7 AND state IN (0, 1)");
    query_u64(&q, wall_ms);
    query_u64(&q, id);
    return query_run(&q, NULL, e);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

#define TYPICAL 9
#define TYPICAL_AMONG 256 /* looked at: this runs in the writer's transaction */

int op_typical_seconds(struct store_conn *c, uint64_t run, int kind, int target, uint64_t agent,
                       double *seconds, struct err *e)
{
    static const char get[] =
        "SELECT seconds FROM (SELECT seconds, agent FROM job WHERE run = ?1 AND kind = ?2"
        " AND target = ?3 AND state = 2 ORDER BY id DESC LIMIT ?6)"
        " WHERE ?4 = 0 OR agent = ?4 LIMIT ?5";
    double last[TYPICAL];
    size_t n = 0;
    struct query q;
    int rc;
    query_open(&q, c, get);
    query_u64(&q, run);
    query_i64(&q, kind);
    query_i64(&q, target);
    query_u64(&q, agent);
    query_u64(&q, TYPICAL);
    query_u64(&q, TYPICAL_AMONG);
    while ((rc = query_step(&q, e)) == 1)
        last[n++] = column_double(&q, 0);
    query_close(&q);
    qsort(last, n, sizeof last[0], by_value);
    *seconds = n ? last[n / 2] : NAN;
    return rc;
}

int op_job_overtake(struct store_conn *c, uint64_t job, uint64_t agent, struct err *e)
{
    uint64_t changed = 0;
    struct query q;
    query_open(&q, c, "UPDATE job SET state = 1, agent = ? WHERE id = ? AND state IN (0, 1)");
    query_u64(&q, agent);
    query_u64(&q, job);
    int rc = query_run(&q, &changed, e);
    return rc || changed ? rc : err_set(e, ERR_CONFLICT, "the job has ended already");
}

/* --- alarms -----------------------------------------------------------------------------------
 */

int op_alarm_insert(struct store_conn *c, const struct alarm_row *a, bool *fresh, struct err *e)
{
    static const char insert[] =
        "INSERT INTO alarm (job, at_ms, agent, other, role, idx, published, found)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING";
    uint64_t changed = 0;
    struct query q;
    query_open(&q, c, insert);
    query_u64(&q, a->job);
    query_u64(&q, a->at_ms);
    query_u64_or_null(&q, a->agent);
    query_u64(&q, a->other);
    query_i64(&q, a->role);
    query_u64(&q, a->index);
    query_digest(&q, &a->published);
    query_digest(&q, &a->found);
    int rc = query_run(&q, &changed, e);
    *fresh = !rc && changed > 0;
    return rc;
}

int op_alarms(struct store_conn *c, uint64_t run, uint32_t limit, struct arena *a,
              struct alarm_row **rows, uint32_t *count, struct err *e)
{
    static const char get[] =
        "SELECT alarm.id, alarm.job, job.run, alarm.at_ms, alarm.agent, alarm.other, alarm.role,"
        " alarm.idx, alarm.published, alarm.found FROM alarm JOIN job ON job.id = alarm.job"
        " WHERE ?1 = 0 OR job.run = ?1 ORDER BY alarm.id DESC LIMIT ?2";
    struct rows list = {.arena = a, .item_size = sizeof **rows};
    struct query q;
    int rc;
    query_open(&q, c, get);
    query_u64(&q, run);
    query_u64(&q, limit);
    while ((rc = query_step(&q, e)) == 1) {
        struct alarm_row *r = rows_add(&list, e);
        if (!r) {
            rc = ERR_NO_MEMORY;
            break;
        }
        *r = (struct alarm_row){.id = column_u64(&q, 0),
                                .job = column_u64(&q, 1),
                                .run = column_u64(&q, 2),
                                .at_ms = column_u64(&q, 3),
                                .agent = column_u64(&q, 4),
                                .other = column_u64(&q, 5),
                                .role = (int)column_u64(&q, 6),
                                .index = column_u64(&q, 7)};
        column_digest(&q, 8, &r->published);
        column_digest(&q, 9, &r->found);
    }
    query_close(&q);
    *rows = list.items;
    *count = list.count;
    return rc;
}

int op_alarm_count(struct store_conn *c, uint64_t run, uint64_t *count, struct err *e)
{
    static const char get[] = "SELECT count(*) FROM alarm WHERE ?1 = 0 OR job IN"
                              " (SELECT id FROM job WHERE run = ?1)";
    struct query q;
    query_open(&q, c, get);
    query_u64(&q, run);
    int rc = query_number(&q, count, e);
    return rc < 0 ? rc : 0;
}
