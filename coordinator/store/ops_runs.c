#include "coordinator/store/ops.h"

#include <stdio.h>
#include "core/base/text.h"
#include "coordinator/store/conn.h"
#include "coordinator/store/ops_attempts.h"
#include "coordinator/store/ops_events.h"

/* The schema's numbers. */
_Static_assert(RUN_ACTIVE == 0 && RUN_DONE == 1 && RUN_FAILED == 2 && RUN_CANCELLED == 3,
               "states of runs");

int op_run_insert(struct store_conn *c, const char *name, uint64_t dataset,
                  const struct digest *spec, const char *spec_text, uint64_t wall_ms, uint64_t *id,
                  struct err *e)
{
    static const char insert[] = "INSERT INTO run (name, dataset, spec, spec_text, created_ms)"
                                 " VALUES (?, ?, ?, ?, ?) RETURNING id";
    struct query q;
    query_open(&q, c, insert);
    query_text(&q, name);
    query_u64(&q, dataset);
    query_digest(&q, spec);
    query_text(&q, spec_text);
    query_u64(&q, wall_ms);
    int rc = query_returned(&q, id, e);
    if (rc == ERR_EXISTS)
        err_set(e, ERR_EXISTS, "run %s exists already; give this one another name", name);
    return rc;
}

#define RUN_COLUMNS                                                                                \
    "id, dataset, name, spec_text, reason, spec, state, created_ms, ended_ms, paused, resume_ms,"  \
    " priority, (SELECT origin.name FROM run AS origin WHERE origin.id = run.forked_from) "

static int run_read(const struct query *q, struct arena *a, struct run_row *out, struct err *e)
{
    const char **texts[] = {&out->name, &out->spec_text, &out->reason};
    int rc = 0;
    out->id = column_u64(q, 0);
    out->dataset = column_u64(q, 1);
    for (int i = 0; !rc && i < 3; i++)
        rc = column_text(q, 2 + i, a, texts[i], e);
    column_digest(q, 5, &out->spec);
    out->state = (int)column_u64(q, 6);
    out->created_ms = column_u64(q, 7);
    out->ended_ms = column_u64(q, 8);
    out->paused = column_u64(q, 9);
    out->resume_ms = column_u64(q, 10);
    out->priority = (int)(int64_t)column_u64(q, 11);
    return rc ? rc : column_text(q, 12, a, &out->forked_from, e);
}

int op_run_find(struct store_conn *c, const char *name, struct arena *a, struct run_row *out,
                struct err *e)
{
    struct query q;
    query_open(&q, c, "SELECT " RUN_COLUMNS "FROM run WHERE name = ?");
    query_text(&q, name);
    int rc = query_step(&q, e);
    if (rc == 1)
        rc = run_read(&q, a, out, e);
    else if (rc == 0)
        rc = err_set(e, ERR_NOT_FOUND, "there is no run %s; `tacit run list` lists them", name);
    query_close(&q);
    return rc;
}

int op_run_get(struct store_conn *c, uint64_t id, struct arena *a, struct run_row *out,
               struct err *e)
{
    struct query q;
    query_open(&q, c, "SELECT " RUN_COLUMNS "FROM run WHERE id = ?");
    query_u64(&q, id);
    int rc = query_step(&q, e);
    if (rc == 1)
        rc = run_read(&q, a, out, e);
    else if (rc == 0)
        rc = err_set(e, ERR_NOT_FOUND, "there is no run %llu", (unsigned long long)id);
    query_close(&q);
    return rc;
}

int op_runs(struct store_conn *c, struct arena *a, struct run_row **rows, uint32_t *count,
            struct err *e)
{
    struct rows list = {.arena = a, .item_size = sizeof **rows};
    struct query q;
    int rc;
    query_open(&q, c, "SELECT " RUN_COLUMNS "FROM run ORDER BY id DESC");
    while ((rc = query_step(&q, e)) == 1) {
        struct run_row *row = rows_add(&list, e);
        rc = row ? run_read(&q, a, row, e) : ERR_NO_MEMORY;
        if (rc)
            break;
    }
    query_close(&q);
    *rows = list.items;
    *count = list.count;
    return rc;
}

int op_run_states(struct store_conn *c, uint64_t out[4], struct err *e)
{
    struct query q;
    int rc;
    for (int i = 0; i < 4; i++)
        out[i] = 0;
    query_open(&q, c, "SELECT state, count(*) FROM run GROUP BY state");
    while ((rc = query_step(&q, e)) == 1)
        out[column_u64(&q, 0) & 3] = column_u64(&q, 1); /* the schema checks it */
    query_close(&q);
    return rc;
}

int op_runs_active(struct store_conn *c, uint32_t limit, struct arena *a, uint64_t **ids,
                   uint32_t *count, struct err *e)
{
    struct query q;
    query_open(&q, c, "SELECT id FROM run WHERE state = 0 ORDER BY id DESC LIMIT ?");
    query_u64(&q, limit);
    return query_numbers(&q, a, ids, count, e);
}

int op_run_end(struct store_conn *c, uint64_t id, int state, const char *reason, uint64_t wall_ms,
               struct err *e)
{
    static const char end[] =
        "UPDATE run SET state = ?, reason = ?, ended_ms = ?, paused = 0, resume_ms = 0"
        " WHERE id = ? AND state = 0";
    static const char cancel[] = "UPDATE job SET state = 4, agent = NULL, since_ms = ?"
                                 " WHERE run = ? AND state IN (0, 1)";
    char kept[PROTOCOL_TEXT_MAX + 1]; /* what is not UTF-8 could not be shown to anybody */
    uint64_t changed;
    struct query q;
    snprintf(kept, sizeof kept, "%s", reason ? reason : "");
    text_make_utf8(kept);
    query_open(&q, c, end);
    query_u64(&q, (uint64_t)state);
    query_text(&q, reason ? kept : NULL);
    query_u64(&q, wall_ms);
    query_u64(&q, id);
    int rc = query_run(&q, &changed, e);
    if (!rc && changed == 0)
        rc = err_set(e, ERR_CONFLICT, "the run has ended already");
    struct event ended = {.kind = state == RUN_DONE ? "run.done" : "run.failed",
                          .run = id,
                          .text = reason ? reason : "its report is there"};
    if (!rc && state != RUN_CANCELLED) /* who cancels it tells by whom */
        rc = op_event_add(c, &ended, wall_ms, e);
    if (rc || state == RUN_DONE)
        return rc;
    rc = op_attempts_cancel(c, id, wall_ms, e);
    if (rc)
        return rc;
    query_open(&q, c, cancel);
    query_u64(&q, wall_ms);
    query_u64(&q, id);
    return query_run(&q, NULL, e);
}

int op_run_give_up(struct store_conn *c, uint64_t id, const char *reason, struct err *e)
{
    struct query q;
    query_open(&q, c, "UPDATE run SET state = 3, reason = ? WHERE id = ? AND state = 2");
    query_text(&q, reason);
    query_u64(&q, id);
    int rc = query_run(&q, NULL, e);
    if (rc)
        return rc;
    query_open(&q, c, "UPDATE job SET state = 4, agent = NULL WHERE run = ? AND state = 3");
    query_u64(&q, id);
    return query_run(&q, NULL, e);
}

int op_run_names(struct store_conn *c, uint32_t limit, struct arena *a, const char ***names,
                 uint32_t *count, struct err *e)
{
    struct rows list = {.arena = a, .item_size = sizeof **names};
    struct query q;
    int rc;
    query_open(&q, c, "SELECT name FROM run ORDER BY id DESC LIMIT ?");
    query_u64(&q, limit);
    while ((rc = query_step(&q, e)) == 1) {
        const char **name = rows_add(&list, e);
        rc = name ? column_text(&q, 0, a, name, e) : ERR_NO_MEMORY;
        if (rc)
            break;
    }
    query_close(&q);
    *names = list.items;
    *count = list.count;
    return rc;
}
