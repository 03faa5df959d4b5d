#include "coordinator/store/ops_attempts.h"

#include <stdio.h>
#include "core/base/text.h"
#include "coordinator/store/conn.h"

#define WORDS_BYTES 4096

/* The schema's numbers. */
_Static_assert(ATTEMPT_OPEN == 0 && ATTEMPT_DONE == 1 && ATTEMPT_FAILED == 2 &&
                   ATTEMPT_EXPIRED == 3 && ATTEMPT_RELEASED == 4 && ATTEMPT_OVERTAKEN == 5 &&
                   ATTEMPT_CANCELLED == 6,
               "outcomes of attempts");

static int trim(struct store_conn *c, uint64_t job, uint64_t number, uint64_t id, struct err *e)
{
    static const char of_job[] = "DELETE FROM attempt WHERE job = ? AND number > ? AND number <= ?"
                                 " AND outcome <> 0";
    static const char ended_well[] =
        "UPDATE attempt SET log = NULL WHERE id = ? AND outcome IN (1, 4) AND log IS NOT NULL";
    static const char others[] = "UPDATE attempt SET log = NULL WHERE id = ? AND log IS NOT NULL";
    struct query q;
    int rc = 0;
    if (number > ATTEMPTS_FIRST + ATTEMPTS_LAST) {
        query_open(&q, c, of_job);
        query_u64(&q, job);
        query_u64(&q, ATTEMPTS_FIRST);
        query_u64(&q, number - ATTEMPTS_LAST);
        rc = query_run(&q, NULL, e);
    }
    if (!rc && id > ATTEMPTS_LOGS_WELL) {
        query_open(&q, c, ended_well);
        query_u64(&q, id - ATTEMPTS_LOGS_WELL);
        rc = query_run(&q, NULL, e);
    }
    if (!rc && id > ATTEMPTS_LOGS) {
        query_open(&q, c, others);
        query_u64(&q, id - ATTEMPTS_LOGS);
        rc = query_run(&q, NULL, e);
    }
    return rc;
}

int op_attempt_begin(struct store_conn *c, uint64_t job, uint64_t agent, const struct msg_fence *f,
                     uint64_t step_first, uint64_t wall_ms, struct err *e)
{
    static const char begin[] =
        "INSERT INTO attempt (job, number, agent, fence_incarnation, fence_counter, started_ms,"
        " step_first, step) VALUES (?1,"
        " 1 + ifnull((SELECT max(number) FROM attempt WHERE job = ?1), 0), ?2, ?3, ?4, ?5, ?6, ?6)"
        " RETURNING id, number";
    struct query q;
    uint64_t id = 0, number = 0;
    query_open(&q, c, begin);
    query_u64(&q, job);
    query_u64_or_null(&q, agent);
    query_u64(&q, f->incarnation);
    query_u64(&q, f->counter);
    query_u64(&q, wall_ms);
    query_u64(&q, step_first);
    int rc = query_step(&q, e);
    if (rc == 1) {
        id = column_u64(&q, 0);
        number = column_u64(&q, 1);
        rc = query_step(&q, e);
    }
    query_close(&q);
    return rc ? rc : trim(c, job, number, id, e);
}

/* What is not UTF-8 could not be shown to anybody. */
static const char *shown(const char *text, char *kept, size_t cap)
{
    if (!text)
        return NULL;
    snprintf(kept, cap, "%s", text);
    text_make_utf8(kept);
    return kept;
}

int op_attempt_end(struct store_conn *c, const struct msg_fence *f, int outcome, int also,
                   uint64_t wall_ms, bool *changed, struct err *e)
{
    static const char end[] =
        "UPDATE attempt SET outcome = ?, ended_ms = iif(ended_ms = 0, ?, ended_ms)"
        " WHERE fence_incarnation = ? AND fence_counter = ? AND outcome IN (0, ?)"
        " AND outcome <> 1";
    uint64_t rows = 0;
    struct query q;
    query_open(&q, c, end);
    query_i64(&q, outcome);
    query_u64(&q, wall_ms);
    query_u64(&q, f->incarnation);
    query_u64(&q, f->counter);
    query_i64(&q, also);
    int rc = query_run(&q, &rows, e);
    if (changed)
        *changed = !rc && rows > 0;
    return rc;
}

int op_attempt_reopen(struct store_conn *c, const struct msg_fence *f, struct err *e)
{
    static const char reopen[] =
        "UPDATE attempt SET outcome = 0, ended_ms = 0, words = NULL"
        " WHERE fence_incarnation = ? AND fence_counter = ? AND outcome = 3";
    struct query q;
    query_open(&q, c, reopen);
    query_u64(&q, f->incarnation);
    query_u64(&q, f->counter);
    return query_run(&q, NULL, e);
}

int op_attempt_note(struct store_conn *c, const struct msg_fence *f, const struct attempt_note *n,
                    struct err *e)
{
    static const char note[] =
        "UPDATE attempt SET step = max(step, ?1), loss_first = ifnull(loss_first, ?2),"
        " loss = ifnull(?3, loss), words = ifnull(?4, words), log = ifnull(?5, log)"
        " WHERE fence_incarnation = ?6 AND fence_counter = ?7";
    char words[WORDS_BYTES + 1], log[PROTOCOL_TAIL_MAX + 1];
    struct query q;
    query_open(&q, c, note);
    query_u64(&q, n->step);
    query_double(&q, n->loss_first);
    query_double(&q, n->loss);
    query_text(&q, shown(n->words, words, sizeof words));
    query_text(&q, shown(n->log, log, sizeof log));
    query_u64(&q, f->incarnation);
    query_u64(&q, f->counter);
    return query_run(&q, NULL, e);
}

#define ATTEMPT_COLUMNS                                                                            \
    "id, job, number, agent, fence_incarnation, fence_counter, started_ms, ended_ms, outcome,"     \
    " step_first, step, loss_first, loss, words, log "

static int attempt_read(const struct query *q, struct arena *a, struct attempt_row *out,
                        struct err *e)
{
    *out = (struct attempt_row){
        .id = column_u64(q, 0),
        .job = column_u64(q, 1),
        .number = column_u64(q, 2),
        .agent = column_u64(q, 3),
        .fence = {column_u64(q, 4), column_u64(q, 5)},
        .started_ms = column_u64(q, 6),
        .ended_ms = column_u64(q, 7),
        .outcome = (int)column_u64(q, 8),
        .step_first = column_u64(q, 9),
        .step = column_u64(q, 10),
        .loss_first = column_double(q, 11),
        .loss = column_double(q, 12),
    };
    int rc = column_text(q, 13, a, &out->words, e);
    return rc ? rc : column_text(q, 14, a, &out->log, e);
}

int op_attempt_get(struct store_conn *c, const struct msg_fence *f, struct arena *a,
                   struct attempt_row *out, struct err *e)
{
    static const char get[] =
        "SELECT " ATTEMPT_COLUMNS "FROM attempt WHERE fence_incarnation = ? AND fence_counter = ?";
    struct query q;
    query_open(&q, c, get);
    query_u64(&q, f->incarnation);
    query_u64(&q, f->counter);
    int rc = query_step(&q, e);
    if (rc == 1)
        rc = attempt_read(&q, a, out, e);
    else if (rc == 0)
        rc = err_set(e, ERR_NOT_FOUND, "there is no such attempt");
    query_close(&q);
    return rc;
}

int op_attempts(struct store_conn *c, uint64_t job, struct arena *a, struct attempt_row **rows,
                uint32_t *count, struct err *e)
{
    static const char get[] =
        "SELECT " ATTEMPT_COLUMNS "FROM attempt WHERE job = ? ORDER BY number";
    struct rows list = {.arena = a, .item_size = sizeof **rows};
    struct query q;
    int rc;
    query_open(&q, c, get);
    query_u64(&q, job);
    while ((rc = query_step(&q, e)) == 1) {
        struct attempt_row *row = rows_add(&list, e);
        rc = row ? attempt_read(&q, a, row, e) : ERR_NO_MEMORY;
        if (rc)
            break;
    }
    query_close(&q);
    *rows = list.items;
    *count = list.count;
    return rc;
}

static int span_read(const struct query *q, struct arena *a, struct span_row *out, struct err *e)
{
    *out = (struct span_row){
        .job = column_u64(q, 0),
        .number = column_u64(q, 1),
        .started_ms = column_u64(q, 2),
        .ended_ms = column_u64(q, 3),
        .outcome = (int)column_u64(q, 4),
        .key = {.kind = (int)column_u64(q, 5),
                .target = (int)column_u64(q, 6),
                .index = (uint32_t)column_u64(q, 7),
                .round = (uint32_t)column_u64(q, 8),
                .chunk = (uint32_t)column_u64(q, 9),
                .part = (uint32_t)column_u64(q, 10),
                .final = column_u64(q, 11) != 0,
                .step_first = column_u64(q, 12),
                .step_last = column_u64(q, 13)},
    };
    return column_text(q, 14, a, &out->agent, e);
}

int op_spans(struct store_conn *c, uint64_t run, uint32_t limit, struct arena *a,
             struct span_row **rows, uint32_t *count, struct err *e)
{
    /* CROSS JOIN: the run's jobs first; from the attempts, all other runs' would be looked at. The
     * newest are found by indexes alone: rows carry logs. */
    static const char get[] =
        "SELECT job.id, number, started_ms, ended_ms, outcome, kind, target, idx, round, chunk,"
        " part, final, attempt.step_first, step_last, agent.name FROM attempt"
        " JOIN job ON job.id = attempt.job LEFT JOIN agent ON agent.id = attempt.agent"
        " WHERE attempt.id IN (SELECT a.id FROM job j CROSS JOIN attempt a ON a.job = j.id"
        "  WHERE j.run = ? ORDER BY a.id DESC LIMIT ?) ORDER BY attempt.id DESC";
    struct rows list = {.arena = a, .item_size = sizeof **rows};
    struct query q;
    int rc;
    query_open(&q, c, get);
    query_u64(&q, run);
    query_u64(&q, limit);
    while ((rc = query_step(&q, e)) == 1) {
        struct span_row *row = rows_add(&list, e);
        rc = row ? span_read(&q, a, row, e) : ERR_NO_MEMORY;
        if (rc)
            break;
    }
    query_close(&q);
    *rows = list.items;
    *count = list.count;
    return rc;
}

int op_attempts_cancel(struct store_conn *c, uint64_t run, uint64_t wall_ms, struct err *e)
{
    static const char cancel[] =
        "UPDATE attempt SET outcome = 6, ended_ms = ?, words = 'the run has ended'"
        " WHERE outcome = 0 AND job IN (SELECT id FROM job WHERE run = ? AND state = 1)";
    struct query q;
    query_open(&q, c, cancel);
    query_u64(&q, wall_ms);
    query_u64(&q, run);
    return query_run(&q, NULL, e);
}
