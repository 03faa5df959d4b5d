/* Jobs: what there is of them, in which state, with which results. Taking and giving back:
 * ops_claims.c. */
#include "coordinator/store/ops.h"

#include <math.h>
#include "core/base/text.h"
#include "coordinator/store/conn.h"
#include "coordinator/store/job_rows.h"
#include "coordinator/store/ops_verify.h"

/* The schema's numbers. */
_Static_assert(JOB_ASSIGN == 2 && JOB_TRAIN == 4 && JOB_REPORT == 6 && JOB_REPLAY == 7,
               "kinds in indexes");
_Static_assert(JOB_WAITING == 0 && JOB_LEASED == 1 && JOB_DONE == 2 && JOB_QUARANTINED == 3 &&
                   JOB_CANCELLED == 4,
               "states of jobs");
_Static_assert(PROTOCOL_TEXT_MAX == 8192, "bytes of errors");
_Static_assert(ROLE_MODEL == 0 && ROLE_REPORT == 7 && TARGET_DENSE_FLOPS == 4, "roles, targets");

int op_job_insert(struct store_conn *c, uint64_t run, const struct job_key *k, int priority,
                  uint64_t wall_ms, bool *inserted, struct err *e)
{
    static const char insert[] =
        "INSERT INTO job (run, kind, target, idx, round, chunk, part, final, step_first, step_last,"
        " priority, since_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (run, kind, final, round, chunk, target, idx, part, step_first, step_last)"
        " WHERE undone = 0 AND kind <> 7 DO NOTHING";
    uint64_t changed = 0;
    struct query q;
    query_open(&q, c, insert);
    query_u64(&q, run);
    query_key(&q, k);
    query_i64(&q, priority);
    query_u64(&q, wall_ms);
    int rc = query_run(&q, &changed, e);
    *inserted = !rc && changed > 0;
    return rc;
}

void query_key(struct query *q, const struct job_key *k)
{
    query_i64(q, k->kind);
    query_i64(q, k->target);
    query_u64(q, k->index);
    query_u64(q, k->round);
    query_u64(q, k->chunk);
    query_u64(q, k->part);
    query_u64(q, k->final);
    query_u64(q, k->step_first);
    query_u64(q, k->step_last);
}

/* errors: newest first, a line each, as many bytes of them as a message takes. */
#define JOB_COLUMNS                                                                                \
    "id, run, kind, target, idx, round, chunk, part, final, step_first, step_last, state,"         \
    " priority, ready, agent, fence_incarnation, fence_counter, attempts, failures, since_ms,"     \
    " tokens, bytes_down, bytes_up, loss, seconds, detail, failed_agent, replays, duplicate, "     \
    "ifnull(verdict, -1), undone,"                                                                 \
    " (SELECT substr(CAST(group_concat(message, char(10)) AS BLOB), 1, 8192) FROM"                 \
    "  (SELECT message FROM job_error WHERE job_error.job = job.id ORDER BY job_error.id DESC)) "

static int job_read(const struct query *q, struct arena *a, struct job_row *out, struct err *e)
{
    *out = (struct job_row){
        .id = column_u64(q, 0),
        .run = column_u64(q, 1),
        .key = {.kind = (int)column_u64(q, 2),
                .target = (int)column_u64(q, 3),
                .index = (uint32_t)column_u64(q, 4),
                .round = (uint32_t)column_u64(q, 5),
                .chunk = (uint32_t)column_u64(q, 6),
                .part = (uint32_t)column_u64(q, 7),
                .final = column_u64(q, 8) != 0,
                .step_first = column_u64(q, 9),
                .step_last = column_u64(q, 10)},
        .state = (int)column_u64(q, 11),
        .priority = (int)(int64_t)column_u64(q, 12),
        .ready = column_u64(q, 13) != 0,
        .agent = column_u64(q, 14),
        .failed_agent = column_u64(q, 26),
        .replays = column_u64(q, 27),
        .duplicate = column_u64(q, 28) != 0,
        .verdict = (int)(int64_t)column_u64(q, 29),
        .undone = column_u64(q, 30) != 0,
        .fence = {column_u64(q, 15), column_u64(q, 16)},
        .attempts = column_u64(q, 17),
        .failures = column_u64(q, 18),
        .since_ms = column_u64(q, 19),
        .tokens = column_u64(q, 20),
        .bytes_down = column_u64(q, 21),
        .bytes_up = column_u64(q, 22),
        .loss = column_double(q, 23),
        .seconds = column_double(q, 24),
    };
    if (out->state == JOB_WAITING) {
        out->former = out->agent;
        out->agent = 0;
    }
    int rc = column_text(q, 25, a, &out->detail, e);
    if (!rc)
        rc = column_text(q, 31, a, &out->errors, e);
    if (!rc && out->errors)
        text_make_utf8((char *)out->errors); /* our copy, which may be cut within a character */
    return rc;
}

/* The one row of an opened query, which is closed; missing: what to say where there is none. */
static int job_one(struct query *q, const char *missing, struct arena *a, struct job_row *out,
                   struct err *e)
{
    int rc = query_step(q, e);
    if (rc == 1)
        rc = job_read(q, a, out, e);
    else if (rc == 0)
        rc = err_set(e, ERR_NOT_FOUND, "%s", missing);
    query_close(q);
    return rc;
}

static int job_list(struct query *q, struct arena *a, struct job_row **rows, uint32_t *count,
                    struct err *e)
{
    struct rows list = {.arena = a, .item_size = sizeof **rows};
    int rc;
    while ((rc = query_step(q, e)) == 1) {
        struct job_row *row = rows_add(&list, e);
        rc = row ? job_read(q, a, row, e) : ERR_NO_MEMORY;
        if (rc)
            break;
    }
    query_close(q);
    *rows = list.items;
    *count = list.count;
    return rc;
}

int op_job_get(struct store_conn *c, uint64_t id, struct arena *a, struct job_row *out,
               struct err *e)
{
    struct query q;
    query_open(&q, c, "SELECT " JOB_COLUMNS "FROM job WHERE id = ?");
    query_u64(&q, id);
    return job_one(&q, "there is no such job", a, out, e);
}

int op_job_find(struct store_conn *c, uint64_t run, const struct job_key *k, struct arena *a,
                struct job_row *out, struct err *e)
{
    static const char find[] =
        "SELECT " JOB_COLUMNS "FROM job WHERE run = ? AND kind = ? AND target = ? AND idx = ?"
        " AND round = ? AND chunk = ? AND part = ? AND final = ? AND step_first = ?"
        " AND step_last = ? AND undone = 0 AND kind <> 7";
    struct query q;
    query_open(&q, c, find);
    query_u64(&q, run);
    query_key(&q, k);
    return job_one(&q, "the run has no such job", a, out, e);
}

int op_job_next_link(struct store_conn *c, uint64_t run, int target, uint32_t index,
                     uint64_t step_first, struct arena *a, struct job_row *out, struct err *e)
{
    static const char find[] =
        "SELECT " JOB_COLUMNS "FROM job WHERE run = ? AND kind = 4 AND final = 0 AND round = 0"
        " AND chunk = 0 AND target = ? AND idx = ? AND part = 0 AND step_first = ?"
        " AND undone = 0 AND kind <> 7";
    struct query q;
    query_open(&q, c, find);
    query_u64(&q, run);
    query_i64(&q, target);
    query_u64(&q, index);
    query_u64(&q, step_first);
    return job_one(&q, "the chain has no link from there", a, out, e);
}

int op_job_held_by(struct store_conn *c, uint64_t agent, struct arena *a, struct job_row *out,
                   struct err *e)
{
    struct query q;
    query_open(&q, c, "SELECT " JOB_COLUMNS "FROM job WHERE agent = ? AND state = 1 LIMIT 1");
    query_u64(&q, agent);
    return job_one(&q, "the agent holds no job", a, out, e);
}

int op_jobs(struct store_conn *c, uint64_t run, int kind, int state, uint32_t limit,
            struct arena *a, struct job_row **rows, uint32_t *count, struct err *e)
{
    static const char any_state[] =
        "SELECT " JOB_COLUMNS "FROM job WHERE (?1 = 0 OR run = ?1) AND (?2 < 0 OR kind = ?2)"
        " AND ?3 < 0 ORDER BY since_ms DESC, id DESC LIMIT ?4";
    static const char one_state[] =
        "SELECT " JOB_COLUMNS "FROM job WHERE (?1 = 0 OR run = ?1) AND (?2 < 0 OR kind = ?2)"
        " AND state = ?3 ORDER BY since_ms DESC, id DESC LIMIT ?4";
    struct query q;
    query_open(&q, c, state < 0 ? any_state : one_state);
    query_u64(&q, run);
    query_i64(&q, kind);
    query_i64(&q, state);
    query_u64(&q, limit);
    return job_list(&q, a, rows, count, e);
}

int op_jobs_done(struct store_conn *c, uint64_t run, uint64_t after, uint32_t limit,
                 struct arena *a, struct job_row **rows, uint32_t *count, struct err *e)
{
    static const char get[] = "SELECT " JOB_COLUMNS "FROM job WHERE run = ? AND state = 2"
                              " AND kind <> 7 AND id > ? ORDER BY id LIMIT ?";
    struct query q;
    query_open(&q, c, get);
    query_u64(&q, run);
    query_u64(&q, after);
    query_u64(&q, limit);
    return job_list(&q, a, rows, count, e);
}

int op_jobs_to_undo(struct store_conn *c, uint64_t run, const struct undo_filter *f,
                    struct arena *a, struct job_row **rows, uint32_t *count, struct err *e)
{
    static const char get[] =
        "SELECT " JOB_COLUMNS "FROM job WHERE run = ?1 AND undone = 0 AND kind <> 7"
        " AND (?2 < 0 OR kind = ?2) AND (?3 < 0 OR target = ?3)"
        " AND (?4 < 0 OR idx = ?4) AND (?5 < 0 OR final = ?5)"
        " AND round >= ?6 AND chunk >= ?7 AND step_first >= ?8"
        " AND step_last >= ?9 ORDER BY id";
    struct query q;
    query_open(&q, c, get);
    query_u64(&q, run);
    query_i64(&q, f->kind);
    query_i64(&q, f->target);
    query_i64(&q, f->index);
    query_i64(&q, f->final);
    query_u64(&q, f->round);
    query_u64(&q, f->chunk);
    query_u64(&q, f->step_first);
    query_u64(&q, f->step_last);
    return job_list(&q, a, rows, count, e);
}

int op_replays(struct store_conn *c, uint64_t run, uint64_t after, uint32_t limit, struct arena *a,
               struct job_row **rows, uint32_t *count, struct err *e)
{
    static const char get[] = "SELECT " JOB_COLUMNS "FROM job WHERE run = ? AND kind = 7"
                              " AND duplicate = 0 AND id > ? ORDER BY id LIMIT ?";
    struct query q;
    query_open(&q, c, get);
    query_u64(&q, run);
    query_u64(&q, after);
    query_u64(&q, limit);
    return job_list(&q, a, rows, count, e);
}

/* Of a job, the ones that were given up included: what nobody gets through is no straggler. */
#define DUPLICATES_MAX 3

int op_slow_jobs(struct store_conn *c, uint64_t agent, uint32_t limit, struct arena *a,
                 struct job_row **rows, uint32_t *count, struct err *e)
{
    static const char get[] =
        "SELECT " JOB_COLUMNS "FROM job WHERE state = 1 AND agent IS NOT NULL AND agent <> ?1"
        " AND kind <> 7 AND NOT EXISTS (SELECT 1 FROM job AS other WHERE other.replays = job.id"
        " AND other.duplicate = 1 AND (other.state <> 4 OR EXISTS (SELECT 1 FROM attempt"
        " WHERE attempt.job = other.id AND attempt.agent = ?1)))"
        " AND ?3 > (SELECT count(*) FROM job AS other WHERE other.replays = job.id"
        " AND other.duplicate = 1) ORDER BY since_ms LIMIT ?2";
    struct query q;
    query_open(&q, c, get);
    query_u64(&q, agent);
    query_u64(&q, limit);
    query_u64(&q, DUPLICATES_MAX);
    return job_list(&q, a, rows, count, e);
}

int op_jobs_leased(struct store_conn *c, struct arena *a, struct job_row **rows, uint32_t *count,
                   struct err *e)
{
    struct query q;
    query_open(&q, c, "SELECT " JOB_COLUMNS "FROM job WHERE state = 1");
    return job_list(&q, a, rows, count, e);
}

int op_job_count(struct store_conn *c, uint64_t run, const struct job_key *like, int state,
                 uint64_t *count, struct err *e)
{
    static const char get[] =
        "SELECT count(*) FROM job WHERE run = ?1 AND kind = ?2 AND final = ?3 AND round = ?4"
        " AND chunk = ?5 AND (?6 = 0 OR target = ?6) AND state = ?7";
    struct query q;
    query_open(&q, c, get);
    query_u64(&q, run);
    query_i64(&q, like->kind);
    query_u64(&q, like->final);
    query_u64(&q, like->round);
    query_u64(&q, like->chunk);
    query_i64(&q, like->target);
    query_i64(&q, state);
    int rc = query_number(&q, count, e);
    return rc < 0 ? rc : 0;
}

int op_job_last_stage(struct store_conn *c, uint64_t run, int kind, bool final, struct job_key *out,
                      struct err *e)
{
    static const char get[] =
        "SELECT round, chunk FROM job WHERE run = ? AND kind = ?"
        " AND final = ? AND undone = 0 ORDER BY round DESC, chunk DESC LIMIT 1";
    struct query q;
    query_open(&q, c, get);
    query_u64(&q, run);
    query_i64(&q, kind);
    query_u64(&q, final);
    int rc = query_step(&q, e);
    if (rc == 1) {
        *out = (struct job_key){.kind = kind,
                                .round = (uint32_t)column_u64(&q, 0),
                                .chunk = (uint32_t)column_u64(&q, 1),
                                .final = final};
        rc = 0;
    } else if (rc == 0) {
        rc = err_set(e, ERR_NOT_FOUND, "the run has no jobs of this kind yet");
    }
    query_close(&q);
    return rc;
}

int op_jobs_open(struct store_conn *c, uint64_t run, uint64_t *open, struct err *e)
{
    static const char get[] = "SELECT EXISTS (SELECT 1 FROM job WHERE run = ?1 AND state = 0"
                              " AND kind <> 7)"
                              " OR EXISTS (SELECT 1 FROM job WHERE run = ?1 AND state = 1"
                              " AND kind <> 7)";
    struct query q;
    query_open(&q, c, get);
    query_u64(&q, run);
    int rc = query_number(&q, open, e);
    return rc < 0 ? rc : 0;
}

int op_model_step(struct store_conn *c, uint64_t run, int target, uint32_t index, uint64_t *step,
                  struct err *e)
{
    static const char get[] = "SELECT max(step_last) FROM job WHERE run = ? AND target = ?"
                              " AND idx = ? AND kind = 4 AND state = 2";
    struct query q;
    query_open(&q, c, get);
    query_u64(&q, run);
    query_i64(&q, target);
    query_u64(&q, index);
    int rc = query_number(&q, step, e);
    return rc < 0 ? rc : 0;
}

int op_job_states(struct store_conn *c, uint64_t run, uint64_t out[5], struct err *e)
{
    static const char of_run[] = "SELECT state, count(*) FROM job WHERE run = ?"
                                 " AND kind <> 7 GROUP BY state";
    static const char of_all[] = "SELECT state, count(*) FROM job GROUP BY state";
    struct query q;
    int rc;
    for (int i = 0; i < 5; i++)
        out[i] = 0;
    query_open(&q, c, run ? of_run : of_all);
    if (run)
        query_u64(&q, run);
    while ((rc = query_step(&q, e)) == 1)
        out[column_u64(&q, 0)] = column_u64(&q, 1); /* states are checked by the schema */
    query_close(&q);
    return rc;
}

int op_jobs_leased_kinds(struct store_conn *c, uint64_t run, struct arena *a,
                         struct job_kinds **rows, uint32_t *count, struct err *e)
{
    static const char get[] = "SELECT kind, target, count(*) FROM job WHERE run = ? AND state = 1"
                              " GROUP BY kind, target ORDER BY count(*) DESC";
    struct rows list = {.arena = a, .item_size = sizeof **rows};
    struct query q;
    int rc;
    query_open(&q, c, get);
    query_u64(&q, run);
    while ((rc = query_step(&q, e)) == 1) {
        struct job_kinds *k = rows_add(&list, e);
        if (!k) {
            rc = ERR_NO_MEMORY;
            break;
        }
        *k = (struct job_kinds){(int)column_u64(&q, 0), (int)column_u64(&q, 1), column_u64(&q, 2)};
    }
    query_close(&q);
    *rows = list.items;
    *count = list.count;
    return rc;
}

int op_jobs_leased_ids(struct store_conn *c, struct arena *a, uint64_t **ids, uint32_t *count,
                       struct err *e)
{
    struct query q;
    query_open(&q, c, "SELECT id FROM job WHERE state = 1 AND agent IS NOT NULL");
    return query_numbers(&q, a, ids, count, e);
}

int op_jobs_holders(struct store_conn *c, struct arena *a, uint64_t **agents, uint32_t *count,
                    struct err *e)
{
    struct query q;
    query_open(&q, c,
               "SELECT DISTINCT agent FROM job WHERE state = 1 AND agent IS NOT NULL"
               " ORDER BY agent");
    return query_numbers(&q, a, agents, count, e);
}

int op_jobs_backing_off(struct store_conn *c, uint64_t run, uint64_t *count, struct err *e)
{
    static const char of_run[] =
        "SELECT count(*) FROM job WHERE run = ? AND state = 0 AND ready = 0";
    static const char of_all[] = "SELECT count(*) FROM job WHERE state = 0 AND ready = 0";
    struct query q;
    query_open(&q, c, run ? of_run : of_all);
    if (run)
        query_u64(&q, run);
    int rc = query_number(&q, count, e);
    return rc < 0 ? rc : 0;
}

int op_job_sums(struct store_conn *c, uint64_t run, struct arena *a, struct job_sum **rows,
                uint32_t *count, struct err *e)
{
    /* total: what agents say of themselves must not overflow a sum. */
    static const char get[] =
        "SELECT kind, target, total(min(seconds, 1e15)), total(bytes_down), total(bytes_up),"
        " total(tokens)"
        " FROM job WHERE run = ? AND state = 2 AND kind <> 7 GROUP BY kind, target";
    static const double most = 9e18;
    struct rows list = {.arena = a, .item_size = sizeof **rows};
    struct query q;
    int rc;
    query_open(&q, c, get);
    query_u64(&q, run);
    while ((rc = query_step(&q, e)) == 1) {
        struct job_sum *s = rows_add(&list, e);
        if (!s) {
            rc = ERR_NO_MEMORY;
            break;
        }
        s->kind = (int)column_u64(&q, 0);
        s->target = (int)column_u64(&q, 1);
        s->seconds = column_double(&q, 2);
        s->bytes_down = (uint64_t)fmin(column_double(&q, 3), most);
        s->bytes_up = (uint64_t)fmin(column_double(&q, 4), most);
        s->tokens = (uint64_t)fmin(column_double(&q, 5), most);
    }
    query_close(&q);
    *rows = list.items;
    *count = list.count;
    return rc;
}

#define OUTPUT_COLUMNS "role, idx, digest, content, bytes, first, count, dropped "

static void output_read(const struct query *q, struct msg_blob *b)
{
    b->role = (int)column_u64(q, 0);
    b->index = column_u64(q, 1);
    column_digest(q, 2, &b->digest);
    column_digest(q, 3, &b->content);
    b->bytes = column_u64(q, 4);
    b->first = column_u64(q, 5);
    b->count = column_u64(q, 6);
    b->dropped = column_u64(q, 7) != 0;
}

int op_output(struct store_conn *c, uint64_t job, uint32_t number, struct msg_blob *out,
              struct err *e)
{
    struct query q;
    query_open(&q, c, "SELECT " OUTPUT_COLUMNS "FROM output WHERE job = ? AND number = ?");
    query_u64(&q, job);
    query_u64(&q, number);
    int rc = query_step(&q, e);
    if (rc == 1) {
        output_read(&q, out);
        rc = 0;
    } else if (rc == 0) {
        rc = err_set(e, ERR_NOT_FOUND, "the job has no output %u", number);
    }
    query_close(&q);
    return rc;
}

int op_outputs(struct store_conn *c, uint64_t job, struct arena *a, struct msg_blob **rows,
               uint32_t *count, struct err *e)
{
    static const char get[] = "SELECT " OUTPUT_COLUMNS "FROM output WHERE job = ? ORDER BY number";
    struct rows list = {.arena = a, .item_size = sizeof **rows};
    struct query q;
    int rc;
    query_open(&q, c, get);
    query_u64(&q, job);
    while ((rc = query_step(&q, e)) == 1) {
        struct msg_blob *b = rows_add(&list, e);
        if (!b) {
            rc = ERR_NO_MEMORY;
            break;
        }
        output_read(&q, b);
    }
    query_close(&q);
    *rows = list.items;
    *count = list.count;
    return rc;
}
