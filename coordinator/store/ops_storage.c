#include "coordinator/store/ops_storage.h"

#include <stdio.h>
#include "core/protocol/messages.h"
#include "coordinator/store/conn.h"

/* Checkpoints of a model that one publication can make superfluous: usually one. */
#define RETAIN_MAX 64
/* Outputs of an ended run that one transaction drops. */
#define SWEEP_OUTPUTS 64
struct swept_output {
    uint64_t job;
    int role;
};
/* Replays of a run that gave something else, whose outputs are there to be looked at: a machine
 * that computes wrongly makes one after the other. */
#define EVIDENCE_KEPT 8

_Static_assert(ROLE_MODEL == 0 && ROLE_STATE == 1 && ROLE_PIECE == 3 && ROLE_ASSIGNMENT == 4 &&
                   ROLE_SCORES == 5,
               "the schema's numbers of roles");
_Static_assert(TARGET_ROUTER == 1, "the schema's number of routers");
_Static_assert(JOB_TRAIN_ROUTER == 0 && JOB_TRAIN == 4 && JOB_EVAL == 5 && JOB_DONE == 2 &&
                   RUN_DONE == 1 && RUN_CANCELLED == 3,
               "the schema's numbers of kinds and states");

/* Runs a query without rows whose parameter is one digest. */
static int run_digest(struct store_conn *c, const char *sql, const struct digest *d, struct err *e)
{
    struct query q;
    query_open(&q, c, sql);
    query_digest(&q, d);
    return query_run(&q, NULL, e);
}

/* --- who needs a blob --------------------------------------------------------------------------
 */

int op_blob_used(struct store_conn *c, const struct digest *d, bool *used, struct err *e)
{
    static const char get[] =
        "SELECT EXISTS (SELECT 1 FROM output WHERE digest = ?1 AND dropped = 0)"
        " OR EXISTS (SELECT 1 FROM shard WHERE digest = ?1)"
        " OR EXISTS (SELECT 1 FROM dataset WHERE tokenizer = ?1)"
        " OR EXISTS (SELECT 1 FROM run WHERE spec = ?1)"
        " OR EXISTS (SELECT 1 FROM backup WHERE snapshot = ?1 OR list = ?1)"
        " OR EXISTS (SELECT 1 FROM job_save WHERE model = ?1 OR state = ?1)";
    struct query q;
    *used = true;
    query_open(&q, c, get);
    query_digest(&q, d);
    int rc = query_step(&q, e);
    if (rc == 1)
        *used = column_u64(&q, 0) != 0;
    query_close(&q);
    return rc < 0 ? rc : 0;
}

/* One row's words; the job's are those of its key. */
static const char *output_words(const struct query *q, struct arena *a, const char *run)
{
    int kind = (int)column_u64(q, 4), target = (int)column_u64(q, 5);
    unsigned long long index = column_u64(q, 6), round = column_u64(q, 7), first = column_u64(q, 8),
                       last = column_u64(q, 9);
    const char *role = blob_role_words[column_u64(q, 10)], *of = job_target_words[target];
    if (kind == JOB_TRAIN)
        return arena_printf(a, "run %s: train %s %llu, steps %llu to %llu: %s", run, of, index,
                            first, last, role);
    if (kind == JOB_TRAIN_ROUTER)
        return arena_printf(a, "run %s: train router %llu, round %llu: %s", run, index, round + 1,
                            role);
    return arena_printf(a, "run %s: %s: %s", run, job_kind_words[kind], role);
}

static int names_of_outputs(struct store_conn *c, const struct digest *d, uint64_t run,
                            struct arena *a, struct blob_names *out, struct err *e)
{
    static const char get[] =
        "SELECT job.run, output.dropped, job.since_ms, run.name, job.kind, job.target, job.idx,"
        " job.round, job.step_first, job.step_last, output.role"
        " FROM output JOIN job ON job.id = output.job JOIN run ON run.id = job.run"
        " WHERE output.digest = ? ORDER BY output.dropped, job.id LIMIT 64";
    struct query q;
    bool in_run = false;
    int rc;
    query_open(&q, c, get);
    query_digest(&q, d);
    while ((rc = query_step(&q, e)) == 1) {
        bool dropped = column_u64(&q, 1) != 0, of_run = !dropped && column_u64(&q, 0) == run;
        uint64_t since = column_u64(&q, 2);
        const char *name;
        if ((rc = column_text(&q, 3, a, &name, e)))
            break;
        if (!out->text || (of_run && !in_run))
            out->text = output_words(&q, a, name);
        in_run |= of_run;
        if (dropped) {
            out->dropped_run = column_u64(&q, 0);
            out->dropped_ms = since > out->dropped_ms ? since : out->dropped_ms;
        }
    }
    query_close(&q);
    return rc;
}

/* Shards, tokenizers, specs and what was handed over. */
static int names_of_data(struct store_conn *c, const struct digest *d, struct arena *a,
                         struct blob_names *out, struct err *e)
{
    static const char get[] =
        "SELECT 'shard', dataset.name, 0 FROM shard JOIN dataset"
        " ON dataset.id = shard.dataset WHERE shard.digest = ?1"
        " UNION ALL SELECT 'tokenizer', name, 0 FROM dataset WHERE tokenizer = ?1"
        " UNION ALL SELECT 'spec', name, 1 FROM run WHERE spec = ?1"
        " UNION ALL SELECT 'a save handed over', run.name, 1 FROM job_save"
        " JOIN job ON job.id = job_save.job JOIN run ON run.id = job.run"
        " WHERE job_save.model = ?1 OR job_save.state = ?1 LIMIT 64";
    struct query q;
    int rc;
    query_open(&q, c, get);
    query_digest(&q, d);
    while ((rc = query_step(&q, e)) == 1) {
        const char *what, *name;
        rc = column_text(&q, 0, a, &what, e);
        if (!rc)
            rc = column_text(&q, 1, a, &name, e);
        if (rc)
            break;
        bool of_a_run = column_u64(&q, 2) != 0;
        out->text = arena_printf(a, of_a_run ? "run %s: %s" : "data set %s: %s", name, what);
    }
    query_close(&q);
    return rc;
}

int op_blob_names(struct store_conn *c, const struct digest *d, uint64_t run, struct arena *a,
                  struct blob_names *out, struct err *e)
{
    *out = (struct blob_names){0};
    int rc = names_of_outputs(c, d, run, a, out, e);
    return rc ? rc : names_of_data(c, d, a, out, e);
}

int store__named_blobs(struct query *q, struct arena *a, struct named_blob **rows, uint32_t *count,
                       struct err *e)
{
    struct rows list = {.arena = a, .item_size = sizeof **rows};
    int rc;
    while ((rc = query_step(q, e)) == 1) {
        struct named_blob *b = rows_add(&list, e);
        if (!b) {
            rc = ERR_NO_MEMORY;
            break;
        }
        column_digest(q, 0, &b->digest);
        b->bytes = column_u64(q, 1);
    }
    query_close(q);
    *rows = list.items;
    *count = list.count;
    return rc;
}

int op_named_blobs(struct store_conn *c, uint64_t run, const struct digest *after, uint32_t limit,
                   struct arena *a, struct named_blob **rows, uint32_t *count, struct err *e)
{
    static const char get[] = "SELECT digest, max(bytes) FROM output WHERE digest > ?1"
                              " AND dropped = 0 AND (?2 = 0 OR ?2 ="
                              " (SELECT job.run FROM job WHERE job.id = output.job))"
                              " GROUP BY digest ORDER BY digest LIMIT ?3";
    static const struct digest first;
    struct query q;
    query_open(&q, c, get);
    query_digest(&q, after ? after : &first);
    query_u64(&q, run);
    query_u64(&q, limit);
    return store__named_blobs(&q, a, rows, count, e);
}

int op_named_totals(struct store_conn *c, uint64_t run, uint64_t *blobs, uint64_t *bytes,
                    uint64_t *data, struct err *e)
{
    static const char get[] =
        "SELECT count(*), coalesce(sum(bytes), 0), (SELECT coalesce(sum(bytes), 0) FROM shard"
        " WHERE dataset = (SELECT dataset FROM run WHERE id = ?1))"
        " FROM (SELECT DISTINCT output.digest, output.bytes"
        " FROM job JOIN output ON output.job = job.id WHERE job.run = ?1 AND output.dropped = 0"
        " UNION ALL SELECT digest, bytes FROM shard"
        " WHERE dataset = (SELECT dataset FROM run WHERE id = ?1)"
        " UNION ALL SELECT tokenizer, tokenizer_bytes FROM dataset"
        " WHERE id = (SELECT dataset FROM run WHERE id = ?1)"
        " UNION ALL SELECT spec, length(CAST (spec_text AS BLOB)) FROM run WHERE id = ?1)";
    struct query q;
    query_open(&q, c, get);
    query_u64(&q, run);
    int rc = query_step(&q, e);
    if (rc == 1) {
        *blobs = column_u64(&q, 0);
        *bytes = column_u64(&q, 1);
        *data = column_u64(&q, 2);
    }
    query_close(&q);
    return rc < 0 ? rc : 0;
}

/* --- retention ---------------------------------------------------------------------------------
 */

/* Drops the outputs of a job with roles from…to, and lets gc know. */
static int drop_outputs(struct store_conn *c, uint64_t job, int from, int to, uint64_t wall_ms,
                        struct err *e)
{
    static const char release[] =
        "INSERT OR IGNORE INTO released (digest, dropped_ms) SELECT digest, ?4 FROM output"
        " WHERE job = ?1 AND role BETWEEN ?2 AND ?3 AND dropped = 0";
    static const char drop[] = "UPDATE output SET dropped = 1"
                               " WHERE job = ?1 AND role BETWEEN ?2 AND ?3 AND dropped = 0";
    int rc = 0;
    for (int i = 0; !rc && i < 2; i++) {
        struct query q;
        query_open(&q, c, i ? drop : release);
        query_u64(&q, job);
        query_i64(&q, from);
        query_i64(&q, to);
        if (!i)
            query_u64(&q, wall_ms);
        rc = query_run(&q, NULL, e);
    }
    return rc;
}

/* The model's checkpoints, newest first: those to drop. A router's step is the round's number. */
static int find_superfluous(struct query *q, const struct retention *r, uint64_t *jobs,
                            uint32_t *count, struct err *e)
{
    uint64_t seen = 0;
    bool verified = false;
    int rc;
    *count = 0;
    while (*count < RETAIN_MAX && (rc = query_step(q, e)) == 1) {
        uint64_t step = column_u64(q, 1);
        bool awaited = column_u64(q, 3) != 0, there = column_u64(q, 4) != 0;
        bool last_verified = there && column_u64(q, 2) && !verified;
        bool milestone = step == r->last || (r->milestone_steps && step % r->milestone_steps == 0);
        verified |= last_verified;
        if (seen++ >= r->keep && there && !last_verified && !awaited && !milestone)
            jobs[(*count)++] = column_u64(q, 0);
    }
    query_close(q);
    return rc < 0 ? rc : 0;
}

/* A replay that is still to be done may read any of the model's checkpoints, and scores the
 * routers': then all wait for the next publication. */
static int is_replayed(struct store_conn *c, uint64_t run, int target, uint32_t index, bool *yes,
                       struct err *e)
{
    /* +: by the index of replays, of which there are few. */
    static const char get[] =
        "SELECT EXISTS (SELECT 1 FROM job WHERE replays IS NOT NULL AND +state IN (0, 1)"
        " AND +run = ?1 AND (?2 = 1 OR (+target = ?2 AND +idx = ?3)))";
    struct query q;
    query_open(&q, c, get);
    query_u64(&q, run);
    query_i64(&q, target);
    query_u64(&q, index);
    int rc = query_step(&q, e);
    *yes = rc == 1 && column_u64(&q, 0);
    query_close(&q);
    return rc < 0 ? rc : 0;
}

int op_retain(struct store_conn *c, uint64_t run, int target, uint32_t index,
              const struct retention *r, uint64_t wall_ms, struct err *e)
{
#define THERE                                                                                      \
    "EXISTS (SELECT 1 FROM output WHERE output.job = job.id AND role IN (0, 1) AND dropped = 0)"
    static const char chain[] =
        "SELECT id, step_last, verified, EXISTS (SELECT 1 FROM job AS eval WHERE eval.run = ?1"
        " AND eval.kind = 5 AND eval.final = 0 AND eval.round = 0 AND eval.chunk = 0"
        " AND eval.target = ?2 AND eval.idx = ?3 AND eval.part = 0 AND eval.step_first = 0"
        " AND eval.step_last = job.step_last AND eval.state <> 2), " THERE
        " FROM job WHERE run = ?1 AND target = ?2 AND idx = ?3 AND kind = 4 AND state = 2"
        " ORDER BY step_last DESC";
    static const char rounds[] = "SELECT id, round + 1, verified, 0, " THERE
                                 " FROM job WHERE run = ?1 AND idx = ?2 AND kind = 0 AND state = 2"
                                 " ORDER BY round DESC";
    uint64_t jobs[RETAIN_MAX];
    uint32_t count;
    struct query q;
    bool router = target == TARGET_ROUTER, replayed;
    int rc = is_replayed(c, run, target, index, &replayed, e);
    if (rc || replayed)
        return rc;
    query_open(&q, c, router ? rounds : chain);
    query_u64(&q, run);
    if (!router)
        query_i64(&q, target);
    query_u64(&q, index);
    rc = find_superfluous(&q, r, jobs, &count, e);
    for (uint32_t i = 0; !rc && i < count; i++)
        rc = drop_outputs(c, jobs[i], ROLE_MODEL, ROLE_STATE, wall_ms, e);
    return rc;
}

int op_job_verified(struct store_conn *c, uint64_t job, struct err *e)
{
    struct query q;
    query_open(&q, c, "UPDATE job SET verified = 1 WHERE id = ? AND state = 2");
    query_u64(&q, job);
    return query_run(&q, NULL, e);
}

/* A run that has ended and is not swept; *id 0 where there is none. */
static int run_to_sweep(struct store_conn *c, uint64_t *id, bool *cancelled, struct err *e)
{
    struct query q;
    query_open(&q, c, "SELECT id, state FROM run WHERE state IN (1, 3) AND swept = 0 LIMIT 1");
    int rc = query_step(&q, e);
    *id = rc == 1 ? column_u64(&q, 0) : 0;
    *cancelled = rc == 1 && column_u64(&q, 1) == RUN_CANCELLED;
    query_close(&q);
    return rc < 0 ? rc : 0;
}

int op_to_sweep(struct store_conn *c, bool *yes, struct err *e)
{
    uint64_t id;
    bool cancelled;
    int rc = run_to_sweep(c, &id, &cancelled, e);
    *yes = !rc && id;
    return rc;
}

/* Whatever is not done is waited for by nobody: the run has ended. Of one that was cancelled, the
 * last checkpoint of each model stays, to be used, but nobody goes on with training it. */
static int find_swept(struct store_conn *c, uint64_t run, bool cancelled,
                      struct swept_output out[SWEEP_OUTPUTS], uint32_t *count, struct err *e)
{
    static const char of_done[] =
        "SELECT output.job, output.role FROM job JOIN output ON output.job = job.id"
        " WHERE job.run = ?1 AND job.kind IN (1, 2, 3) AND job.state = 2"
        " AND output.role = 5 AND output.dropped = 0 GROUP BY 1, 2 LIMIT ?2";
    static const char of_cancelled[] =
        "SELECT output.job, output.role FROM job JOIN output ON output.job = job.id"
        " WHERE job.run = ?1 AND job.state = 2 AND output.dropped = 0"
        " AND ((job.kind IN (1, 2, 3) AND output.role BETWEEN 3 AND 5)"
        " OR (job.kind IN (0, 4) AND output.role = 1)"
        " OR (job.kind = 4 AND output.role = 0 AND EXISTS (SELECT 1 FROM job AS later"
        " WHERE later.run = ?1 AND later.target = job.target AND later.idx = job.idx"
        " AND later.kind = 4 AND later.state = 2 AND later.step_last > job.step_last))"
        " OR (job.kind = 0 AND output.role = 0 AND EXISTS (SELECT 1 FROM job AS later"
        " WHERE later.run = ?1 AND later.idx = job.idx AND later.kind = 0 AND later.state = 2"
        " AND later.round > job.round))) GROUP BY 1, 2 LIMIT ?2";
    struct query q;
    int rc = 0;
    *count = 0;
    query_open(&q, c, cancelled ? of_cancelled : of_done);
    query_u64(&q, run);
    query_u64(&q, SWEEP_OUTPUTS);
    while (*count < SWEEP_OUTPUTS && (rc = query_step(&q, e)) == 1) {
        out[*count].job = column_u64(&q, 0);
        out[(*count)++].role = (int)column_u64(&q, 1);
    }
    query_close(&q);
    return rc < 0 ? rc : 0;
}

int op_sweep(struct store_conn *c, uint64_t wall_ms, bool *more, struct err *e)
{
    static const char *const last[] = {
        "UPDATE run SET swept = 1 WHERE id = ?",
        "DELETE FROM job_save WHERE job IN (SELECT id FROM job WHERE run = ?)"};
    struct swept_output found[SWEEP_OUTPUTS];
    uint64_t run;
    uint32_t count = 0;
    bool cancelled;
    int rc = run_to_sweep(c, &run, &cancelled, e);
    *more = !rc && run;
    if (!*more)
        return rc;
    rc = find_swept(c, run, cancelled, found, &count, e);
    for (uint32_t i = 0; !rc && i < count; i++)
        rc = drop_outputs(c, found[i].job, found[i].role, found[i].role, wall_ms, e);
    for (int i = 0; !rc && count < SWEEP_OUTPUTS && i < 2; i++) {
        struct query q;
        query_open(&q, c, last[i]);
        query_u64(&q, run);
        rc = query_run(&q, NULL, e);
    }
    return rc;
}

int op_evidence_trim(struct store_conn *c, uint64_t replay, struct err *e)
{
    /* +: by the index of replays, of which there are few. */
    static const char find[] =
        "SELECT old.id, new.since_ms FROM job AS new JOIN job AS old ON old.replays IS NOT NULL"
        " WHERE new.id = ?1 AND +old.run = new.run AND +old.verdict = 1"
        " ORDER BY old.id DESC LIMIT ?2 OFFSET ?3";
    uint64_t jobs[SWEEP_OUTPUTS], wall_ms = 0;
    uint32_t count = 0;
    struct query q;
    int rc = 0;
    query_open(&q, c, find);
    query_u64(&q, replay);
    query_u64(&q, SWEEP_OUTPUTS);
    query_u64(&q, EVIDENCE_KEPT);
    while (count < SWEEP_OUTPUTS && (rc = query_step(&q, e)) == 1) {
        jobs[count++] = column_u64(&q, 0);
        wall_ms = column_u64(&q, 1);
    }
    query_close(&q);
    rc = rc < 0 ? rc : 0;
    for (uint32_t i = 0; !rc && i < count; i++)
        rc = drop_outputs(c, jobs[i], ROLE_MODEL, ROLE_REPORT, wall_ms, e);
    return rc;
}

int op_released(struct store_conn *c, const struct digest *after, uint32_t limit,
                struct released_row *rows, uint32_t *count, struct err *e)
{
    static const struct digest first;
    struct query q;
    int rc = 0;
    *count = 0;
    query_open(&q, c,
               "SELECT digest, dropped_ms FROM released WHERE digest > ? ORDER BY digest LIMIT ?");
    query_digest(&q, after ? after : &first);
    query_u64(&q, limit);
    while (*count < limit && (rc = query_step(&q, e)) == 1) {
        rows[*count].dropped_ms = column_u64(&q, 1);
        column_digest(&q, 0, &rows[(*count)++].digest);
    }
    query_close(&q);
    return rc < 0 ? rc : 0;
}

int op_released_forget(struct store_conn *c, const struct digest *d, struct err *e)
{
    return run_digest(c, "DELETE FROM released WHERE digest = ?", d, e);
}

/* --- backups -----------------------------------------------------------------------------------
 */

int op_backup_insert(struct store_conn *c, uint64_t wall_ms, uint64_t *id, struct err *e)
{
    struct query q;
    query_open(&q, c, "INSERT INTO backup (created_ms, renewed_ms) VALUES (?1, ?1) RETURNING id");
    query_u64(&q, wall_ms);
    return query_returned(&q, id, e);
}

/* One row must change: the backup's. */
static int change_backup(struct query *q, uint64_t id, struct err *e)
{
    uint64_t changed;
    int rc = query_run(q, &changed, e);
    return rc || changed ? rc
                         : err_set(e, ERR_NOT_FOUND,
                                   "backup %llu is not under way: it was not heard of for too "
                                   "long; start again",
                                   (unsigned long long)id);
}

int op_backup_made(struct store_conn *c, uint64_t id, const struct digest *snapshot,
                   const struct digest *list, uint64_t pinned, uint64_t wall_ms, struct err *e)
{
    struct query q;
    query_open(&q, c,
               "UPDATE backup SET snapshot = ?, list = ?, pinned = ?, renewed_ms = ? WHERE id = ?");
    query_digest(&q, snapshot);
    query_digest(&q, list);
    query_u64(&q, pinned);
    query_u64(&q, wall_ms);
    query_u64(&q, id);
    return change_backup(&q, id, e);
}

int op_backup_renew(struct store_conn *c, uint64_t id, uint64_t wall_ms, struct err *e)
{
    struct query q;
    query_open(&q, c, "UPDATE backup SET renewed_ms = ? WHERE id = ?");
    query_u64(&q, wall_ms);
    query_u64(&q, id);
    return change_backup(&q, id, e);
}

int op_backup_end(struct store_conn *c, uint64_t id, struct err *e)
{
    /* Snapshot and list go with it, like any output that is dropped. */
    static const char release[] =
        "INSERT OR IGNORE INTO released (digest, dropped_ms)"
        " SELECT snapshot, renewed_ms FROM backup WHERE id = ?1 AND snapshot IS NOT NULL"
        " UNION ALL SELECT list, renewed_ms FROM backup WHERE id = ?1 AND list IS NOT NULL";
    struct query q;
    query_open(&q, c, release);
    query_u64(&q, id);
    int rc = query_run(&q, NULL, e);
    if (rc)
        return rc;
    query_open(&q, c, "DELETE FROM backup WHERE id = ?");
    query_u64(&q, id);
    return query_run(&q, NULL, e);
}

int op_backups_expire(struct store_conn *c, uint64_t before_ms, uint64_t *ended, struct err *e)
{
    struct query q;
    uint64_t id = 0;
    int rc;
    *ended = 0;
    do {
        query_open(&q, c, "SELECT id FROM backup WHERE renewed_ms < ? LIMIT 1");
        query_u64(&q, before_ms);
        rc = query_step(&q, e);
        id = rc == 1 ? column_u64(&q, 0) : 0;
        query_close(&q);
        if (rc == 1 && !(rc = op_backup_end(c, id, e)))
            ++*ended;
    } while (!rc && id);
    return rc;
}

int op_backups_renew_all(struct store_conn *c, uint64_t wall_ms, struct err *e)
{
    struct query q;
    query_open(&q, c, "UPDATE backup SET renewed_ms = ?1 WHERE renewed_ms < ?1");
    query_u64(&q, wall_ms);
    return query_run(&q, NULL, e);
}

int op_backups_pinned(struct store_conn *c, uint64_t *id, uint64_t *count, struct err *e)
{
    struct query q;
    *id = *count = 0;
    query_open(&q, c, "SELECT count(*), count(pinned), max(pinned) FROM backup");
    int rc = query_step(&q, e);
    if (rc == 1) {
        *count = column_u64(&q, 0);
        *id = *count > column_u64(&q, 1) ? INT64_MAX : column_u64(&q, 2);
    }
    query_close(&q);
    return rc < 0 ? rc : 0;
}

int op_all_named(struct store_conn *c, blob_named_fn *fn, void *arg, struct err *e)
{
    static const char get[] = "SELECT digest FROM output WHERE dropped = 0"
                              " UNION SELECT digest FROM shard UNION SELECT tokenizer FROM dataset"
                              " UNION SELECT spec FROM run UNION SELECT model FROM job_save"
                              " UNION SELECT state FROM job_save ORDER BY 1";
    struct query q;
    int rc;
    query_open(&q, c, get);
    while ((rc = query_step(&q, e)) == 1) {
        struct digest d;
        column_digest(&q, 0, &d);
        if ((rc = fn(arg, &d, e)))
            break;
    }
    query_close(&q);
    return rc;
}
