/* Jobs change hands: taken, given back, finished. */
#include "coordinator/store/ops.h"

#include <stdio.h>
#include "core/base/text.h"
#include "coordinator/store/conn.h"
#include "coordinator/store/ops_queue.h"

#define ERRORS_KEPT 8
#define ERROR_BYTES 4096

int op_fence_next(struct store_conn *c, struct msg_fence *out, struct err *e)
{
    struct query q;
    query_open(&q, c, "UPDATE meta SET fence = fence + 1 RETURNING incarnation, fence");
    int rc = query_step(&q, e);
    if (rc == 1) {
        out->incarnation = column_u64(&q, 0);
        out->counter = column_u64(&q, 1);
        rc = query_step(&q, e);
    }
    query_close(&q);
    return rc;
}

static int claim_own(struct store_conn *c, const struct msg_fence *f, uint64_t wall_ms,
                     uint64_t *id, struct err *e)
{
    static const char claim[] =
        "UPDATE job SET state = 1, agent = NULL, fence_incarnation = ?1, fence_counter = ?2,"
        " attempts = attempts + 1, since_ms = ?3, failed_agent = NULL WHERE id ="
        " (SELECT id FROM job WHERE state = 0 AND ready = 1 AND kind IN (2, 6)"
        "  ORDER BY priority DESC, id LIMIT 1) RETURNING id";
    struct query q;
    query_open(&q, c, claim);
    query_u64(&q, f->incarnation);
    query_u64(&q, f->counter);
    query_u64(&q, wall_ms);
    int rc = query_step(&q, e);
    if (rc == 1) {
        *id = column_u64(&q, 0);
        rc = query_step(&q, e);
    } else if (rc == 0) {
        rc = err_set(e, ERR_NOT_FOUND, "no job is ready");
    }
    query_close(&q);
    return rc;
}

int op_job_claim(struct store_conn *c, bool own, uint64_t agent, const struct msg_fence *f,
                 uint64_t wall_ms, struct arena *a, struct job_row *out, struct err *e)
{
    uint64_t id = 0;
    int rc = own ? claim_own(c, f, wall_ms, &id, e) : op_queue_first(c, agent, false, &id, e);
    if (!rc && !own)
        rc = op_job_take(c, id, agent, f, wall_ms, e);
    return rc ? rc : op_job_get(c, id, a, out, e);
}

/* Runs an update that must change one row, and says `otherwise` where it did not. */
static int run_one(struct query *q, const char *otherwise, struct err *e)
{
    uint64_t changed;
    int rc = query_run(q, &changed, e);
    return rc || changed ? rc : err_set(e, ERR_CONFLICT, "%s", otherwise);
}

int op_job_take(struct store_conn *c, uint64_t id, uint64_t agent, const struct msg_fence *f,
                uint64_t wall_ms, struct err *e)
{
    static const char take[] =
        "UPDATE job SET state = 1, agent = ?, fence_incarnation = ?, fence_counter = ?,"
        " attempts = attempts + 1, since_ms = ?, failed_agent = NULL"
        " WHERE id = ? AND state = 0 AND ready = 1";
    struct query q;
    query_open(&q, c, take);
    query_u64_or_null(&q, agent);
    query_u64(&q, f->incarnation);
    query_u64(&q, f->counter);
    query_u64(&q, wall_ms);
    query_u64(&q, id);
    return run_one(&q, "the job is not waiting", e);
}

int op_job_refence(struct store_conn *c, uint64_t id, const struct msg_fence *f, struct err *e)
{
    static const char refence[] = "UPDATE job SET fence_incarnation = ?, fence_counter = ?"
                                  " WHERE id = ? AND state = 1";
    struct query q;
    query_open(&q, c, refence);
    query_u64(&q, f->incarnation);
    query_u64(&q, f->counter);
    query_u64(&q, id);
    return run_one(&q, "the job is not leased", e);
}

int op_job_expire(struct store_conn *c, uint64_t id, uint64_t wall_ms, struct err *e)
{
    static const char expire[] = "UPDATE job SET state = 0, ready = 1, since_ms = ?"
                                 " WHERE id = ? AND state = 1 AND agent IS NOT NULL";
    struct query q;
    query_open(&q, c, expire);
    query_u64(&q, wall_ms);
    query_u64(&q, id);
    return run_one(&q, "the job is not leased", e);
}

int op_job_retake(struct store_conn *c, uint64_t id, uint64_t agent, const struct msg_fence *f,
                  uint64_t wall_ms, struct err *e)
{
    static const char retake[] =
        "UPDATE job SET state = 1, since_ms = ?1 WHERE id = ?2 AND state = 0 AND agent = ?3"
        " AND fence_incarnation = ?4 AND fence_counter = ?5"
        " AND NOT EXISTS (SELECT 1 FROM job AS held WHERE held.agent = ?3 AND held.state = 1)";
    struct query q;
    query_open(&q, c, retake);
    query_u64(&q, wall_ms);
    query_u64(&q, id);
    query_u64(&q, agent);
    query_u64(&q, f->incarnation);
    query_u64(&q, f->counter);
    return run_one(&q, "the job has gone to somebody else", e);
}

/* Keeps the error with the job, and counts it against the agent (0: the job's holder, if any). */
static int error_add(struct store_conn *c, uint64_t job, uint64_t agent, const char *error,
                     struct err *e)
{
#define BLAMED "ifnull(?2, (SELECT agent FROM job WHERE job.id = ?1 AND state = 1))"
    static const char add[] =
        "INSERT INTO job_error (job, message, agent) VALUES (?1, ?3, " BLAMED ")";
    static const char trim[] =
        "DELETE FROM job_error WHERE job = ?1 AND id NOT IN"
        " (SELECT id FROM job_error WHERE job = ?1 ORDER BY id DESC LIMIT ?2)";
    static const char blame[] = "UPDATE agent SET failures = failures + 1 WHERE id = " BLAMED;
    char kept[ERROR_BYTES + 1]; /* what is not UTF-8 could not be shown to anybody */
    snprintf(kept, sizeof kept, "%s", error);
    text_make_utf8(kept);
    struct query q;
    query_open(&q, c, add);
    query_u64(&q, job);
    query_u64_or_null(&q, agent);
    query_text(&q, kept);
    int rc = query_run(&q, NULL, e);
    if (rc)
        return rc;
    query_open(&q, c, trim);
    query_u64(&q, job);
    query_u64(&q, ERRORS_KEPT);
    rc = query_run(&q, NULL, e);
    if (rc)
        return rc;
    query_open(&q, c, blame);
    query_u64(&q, job);
    query_u64_or_null(&q, agent);
    return query_run(&q, NULL, e);
}

int op_job_return(struct store_conn *c, uint64_t id, bool ready, const char *error,
                  uint64_t wall_ms, struct err *e)
{
    static const char give_back[] =
        "UPDATE job SET state = 0, ready = ?1, failed_agent = iif(?2, agent, NULL), agent = NULL,"
        " failures = failures + ?2, since_ms = ?3 WHERE id = ?4 AND state = 1";
    int rc = error ? error_add(c, id, 0, error, e) : 0;
    if (rc)
        return rc;
    struct query q;
    query_open(&q, c, give_back);
    query_u64(&q, ready);
    query_u64(&q, error != NULL);
    query_u64(&q, wall_ms);
    query_u64(&q, id);
    return run_one(&q, "the job is not leased", e);
}

int op_job_note(struct store_conn *c, uint64_t id, const char *error, struct err *e)
{
    return error_add(c, id, 0, error, e); /* there is no agent to blame */
}

int op_job_blame(struct store_conn *c, uint64_t job, uint64_t agent, const char *error,
                 struct err *e)
{
    static const char count[] =
        "UPDATE job SET failures = failures + 1 WHERE id = ? AND state IN (0, 1)";
    uint64_t open = 0;
    struct query q;
    query_open(&q, c, count);
    query_u64(&q, job);
    int rc = query_run(&q, &open, e);
    return rc || open == 0 ? rc : error_add(c, job, agent, error, e);
}

int op_job_set_ready(struct store_conn *c, uint64_t id, struct err *e)
{
    struct query q;
    query_open(&q, c, "UPDATE job SET ready = 1 WHERE id = ? AND state = 0 AND ready = 0");
    query_u64(&q, id);
    return run_one(&q, "the job does not back off", e);
}

int op_job_allow_all(struct store_conn *c, uint64_t id, struct err *e)
{
    struct query q;
    query_open(&q, c, "UPDATE job SET failed_agent = NULL WHERE id = ? AND state = 0");
    query_u64(&q, id);
    return run_one(&q, "the job does not wait", e);
}

int op_job_quarantine(struct store_conn *c, uint64_t id, const char *error, uint64_t wall_ms,
                      struct err *e)
{
    static const char quarantine[] = "UPDATE job SET state = 3, agent = NULL,"
                                     " failures = failures + ?, since_ms = ?"
                                     " WHERE id = ? AND state IN (0, 1)";
    int rc = error ? error_add(c, id, 0, error, e) : 0;
    if (rc)
        return rc;
    struct query q;
    query_open(&q, c, quarantine);
    query_u64(&q, error != NULL);
    query_u64(&q, wall_ms);
    query_u64(&q, id);
    return run_one(&q, "the job has ended already", e);
}

static int insert_outputs(struct store_conn *c, uint64_t job, const struct msg_complete *m,
                          struct err *e)
{
    static const char insert[] = "INSERT INTO output (job, number, role, idx, digest, content,"
                                 " bytes, first, count) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)";
    int rc = 0;
    for (uint32_t i = 0; !rc && i < m->output_count; i++) {
        const struct msg_blob *b = &m->outputs[i];
        struct query q;
        query_open(&q, c, insert);
        query_u64(&q, job);
        query_u64(&q, i);
        query_i64(&q, b->role);
        query_u64(&q, b->index);
        query_digest(&q, &b->digest);
        query_digest_or_null(&q, &b->content);
        query_u64(&q, b->bytes);
        query_u64(&q, b->first);
        query_u64(&q, b->count);
        rc = query_run(&q, NULL, e);
    }
    return rc;
}

int op_job_done(struct store_conn *c, uint64_t id, const struct msg_complete *m, const char *detail,
                uint64_t wall_ms, struct err *e)
{
    static const char done[] =
        "UPDATE job SET state = 2, loss = ?, seconds = ?, tokens = ?, bytes_down = ?,"
        " bytes_up = ?, detail = ?, since_ms = ? WHERE id = ?"
        " AND (state = 1 OR (state = 0 AND agent IS NOT NULL))";
    static const char praise[] = "UPDATE agent SET jobs_done = jobs_done + 1, seen_ms = ?1"
                                 " WHERE id = (SELECT agent FROM job WHERE job.id = ?2)";
    struct query q;
    query_open(&q, c, done);
    query_double(&q, m->loss);
    query_double(&q, m->seconds == m->seconds ? m->seconds : 0); /* the column takes no NaN */
    query_u64(&q, m->tokens);
    query_u64(&q, m->bytes_down);
    query_u64(&q, m->bytes_up);
    query_text(&q, detail);
    query_u64(&q, wall_ms);
    query_u64(&q, id);
    int rc = run_one(&q, "the job is not leased", e);
    if (!rc)
        rc = insert_outputs(c, id, m, e);
    if (!rc)
        rc = op_save_drop(c, id, e);
    if (rc)
        return rc;
    query_open(&q, c, praise);
    query_u64(&q, wall_ms);
    query_u64(&q, id);
    return query_run(&q, NULL, e);
}

int op_jobs_restart(struct store_conn *c, struct err *e)
{
    struct query q;
    query_open(&q, c,
               "UPDATE job SET ready = 1, failed_agent = NULL"
               " WHERE state = 0 AND kind <> 7 AND (ready = 0 OR failed_agent IS NOT NULL)");
    int rc = query_run(&q, NULL, e);
    if (rc)
        return rc;
    /* Who did a job does not become the first to replay it. */
    query_open(&q, c, "UPDATE job SET ready = 1 WHERE state = 0 AND kind = 7 AND ready = 0");
    rc = query_run(&q, NULL, e);
    if (rc)
        return rc;
    query_open(&q, c, "UPDATE job SET state = 0 WHERE state = 1 AND agent IS NULL");
    rc = query_run(&q, NULL, e);
    if (rc)
        return rc;
    query_open(&q, c,
               "UPDATE attempt SET outcome = 4, ended_ms = started_ms,"
               " words = 'the coordinator ended meanwhile'"
               " WHERE outcome = 0 AND agent IS NULL");
    return query_run(&q, NULL, e);
}
