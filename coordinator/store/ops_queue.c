#include "coordinator/store/ops_queue.h"

#include "coordinator/store/conn.h"

/* Of the agent ?1 and the run in `run`. */
#define IS_OPEN                                                                                    \
    "run.paused = 0 AND NOT EXISTS (SELECT 1 FROM run_need AS need WHERE need.run = run.id"        \
    " AND NOT EXISTS (SELECT 1 FROM agent_label AS label WHERE label.agent = ?1"                   \
    " AND label.name = need.name AND label.value = need.value))"

struct candidate {
    uint64_t run, job;
    int64_t run_priority, job_priority;
};

/* Runs with ready jobs: from one to the next in the index, however many jobs each has. */
static int open_runs(struct store_conn *c, uint64_t agent, struct rows *out, struct err *e)
{
    static const char get[] =
        "WITH RECURSIVE queued (id) AS ("
        " SELECT (SELECT run FROM job INDEXED BY job_queue WHERE state = 0 AND ready = 1"
        "  AND kind NOT IN (2, 6) ORDER BY run LIMIT 1)"
        " UNION ALL"
        " SELECT (SELECT run FROM job INDEXED BY job_queue WHERE state = 0 AND ready = 1"
        "  AND kind NOT IN (2, 6) AND run > queued.id ORDER BY run LIMIT 1)"
        " FROM queued WHERE queued.id IS NOT NULL)"
        " SELECT run.id, run.priority FROM queued CROSS JOIN run ON run.id = queued.id"
        " WHERE " IS_OPEN;
    struct query q;
    int rc;
    query_open(&q, c, get);
    query_u64(&q, agent);
    while ((rc = query_step(&q, e)) == 1) {
        struct candidate *x = rows_add(out, e);
        if (!x) {
            rc = ERR_NO_MEMORY;
            break;
        }
        x->run = column_u64(&q, 0);
        x->run_priority = (int64_t)column_u64(&q, 1);
    }
    query_close(&q);
    return rc;
}

/* The first ready job of a run: job 0 where there is none for this agent. */
static int first_of_run(struct store_conn *c, uint64_t agent, bool withheld, struct candidate *x,
                        struct err *e)
{
#define FIRST(failed)                                                                              \
    "SELECT id, priority FROM job INDEXED BY job_queue WHERE run = ? AND state = 0 AND ready = 1"  \
    " AND kind NOT IN (2, 6) AND " failed " ORDER BY priority DESC, id LIMIT 1"
    static const char first_free[] = FIRST("(failed_agent IS NULL OR failed_agent <> ?)");
    static const char first_withheld[] = FIRST("failed_agent = ?");
    struct query q;
    query_open(&q, c, withheld ? first_withheld : first_free);
    query_u64(&q, x->run);
    query_u64(&q, agent);
    int rc = query_step(&q, e);
    if (rc == 1) {
        x->job = column_u64(&q, 0);
        x->job_priority = (int64_t)column_u64(&q, 1);
    }
    query_close(&q);
    return rc < 0 ? rc : 0;
}

static bool comes_before(const struct candidate *a, const struct candidate *b)
{
    if (a->run_priority != b->run_priority)
        return a->run_priority > b->run_priority;
    if (a->job_priority != b->job_priority)
        return a->job_priority > b->job_priority;
    return a->job < b->job;
}

int op_queue_first(struct store_conn *c, uint64_t agent, bool withheld, uint64_t *id, struct err *e)
{
    struct arena a;
    struct candidate best = {0};
    arena_init(&a, 1u << 20);
    struct rows runs = {.arena = &a, .item_size = sizeof best};
    int rc = open_runs(c, agent, &runs, e);
    struct candidate *x = runs.items;
    for (uint32_t i = 0; !rc && i < runs.count; i++) {
        if (best.job && x[i].run_priority < best.run_priority)
            continue;
        rc = first_of_run(c, agent, withheld, &x[i], e);
        if (!rc && x[i].job && (best.job == 0 || comes_before(&x[i], &best)))
            best = x[i];
    }
    arena_free(&a);
    *id = best.job;
    return rc || best.job ? rc : err_set(e, ERR_NOT_FOUND, "no job is ready");
}

int op_run_is_open(struct store_conn *c, uint64_t run, uint64_t agent, bool *yes, struct err *e)
{
    uint64_t found = 0;
    struct query q;
    query_open(&q, c, "SELECT count(*) FROM run WHERE run.id = ?2 AND " IS_OPEN);
    query_u64(&q, agent);
    query_u64(&q, run);
    int rc = query_number(&q, &found, e);
    *yes = found > 0;
    return rc < 0 ? rc : 0;
}

#define READY                                                                                      \
    "FROM job INDEXED BY job_queue WHERE state = 0 AND ready = 1 AND kind NOT IN (2, 6)"           \
    " AND run NOT IN (SELECT id FROM run WHERE paused = 1)"

int op_queue_has_more(struct store_conn *c, bool *yes, struct err *e)
{
    uint64_t found = 0;
    struct query q;
    query_open(&q, c, "SELECT 1 " READY " LIMIT 1");
    int rc = query_number(&q, &found, e);
    *yes = rc == 1;
    return rc < 0 ? rc : 0;
}

int op_queue_length(struct store_conn *c, uint64_t *jobs, struct err *e)
{
    struct query q;
    query_open(&q, c, "SELECT count(*) " READY);
    int rc = query_number(&q, jobs, e);
    return rc < 0 ? rc : 0;
}
