#include "coordinator/store/moved.h"

#include <string.h>
#include "coordinator/store/conn.h"
#include "coordinator/store/store_parts.h"

static void add(uint64_t *list, uint32_t *count, bool *many, uint64_t id)
{
    for (uint32_t i = *count; i > 0; i--) /* mostly it is the last one again */
        if (list[i - 1] == id)
            return;
    if (*count < MOVED_MAX)
        list[(*count)++] = id;
    else
        *many = true;
}

void moved_add_run(struct moved *m, uint64_t run)
{
    if (!m->many)
        add(m->runs, &m->run_count, &m->many, run);
}

void moved_add_job(struct moved *m, uint64_t job)
{
    if (!m->many)
        add(m->jobs, &m->job_count, &m->many, job);
}

/* sqlite3_update_hook: a row was changed, in a transaction that is still open. */
static void on_row(void *arg, int what, const char *db, const char *table, sqlite3_int64 row)
{
    struct moved *pending = arg;
    (void)what;
    (void)db;
    if (strcmp(table, "job") == 0 || strcmp(table, "curve") == 0)
        moved_add_job(pending, (uint64_t)row);
    else if (strcmp(table, "run") == 0)
        moved_add_run(pending, (uint64_t)row);
    else if (strcmp(table, "agent") == 0)
        pending->agents = true;
}

void moved_watch(struct moved_board *b, struct store_conn *c)
{
    c->moved = b;
    sqlite3_update_hook(c->db, on_row, &b->pending);
}

void moved_committed(struct moved_board *b)
{
    struct moved *p = &b->pending;
    if (p->run_count == 0 && p->job_count == 0 && !p->agents && !p->many)
        return;
    env_mutex_lock(&b->mutex);
    for (uint32_t i = 0; i < p->run_count; i++)
        moved_add_run(&b->told, p->runs[i]);
    for (uint32_t i = 0; i < p->job_count; i++)
        moved_add_job(&b->told, p->jobs[i]);
    b->told.many |= p->many;
    b->told.agents |= p->agents;
    env_mutex_unlock(&b->mutex);
    p->run_count = p->job_count = 0;
    p->many = p->agents = false;
}

void store_moved_take(struct store *s, struct moved *out)
{
    struct moved_board *b = &s->moved;
    env_mutex_lock(&b->mutex);
    *out = b->told;
    b->told.run_count = b->told.job_count = 0;
    b->told.many = b->told.agents = false;
    env_mutex_unlock(&b->mutex);
}

/* --- names ------------------------------------------------------------------------------------ */

struct names {
    struct arena *arena;
    const char **list;
    uint32_t count, cap;
};

static int add_name(struct names *n, struct query *q, struct err *e)
{
    const char *name;
    int rc = column_text(q, 0, n->arena, &name, e);
    for (uint32_t i = 0; !rc && i < n->count; i++)
        if (strcmp(n->list[i], name) == 0)
            return 0;
    if (!rc && n->count < n->cap)
        n->list[n->count++] = name;
    return rc;
}

/* Those that the query finds. */
static int add_names(struct names *n, struct query *q, struct err *e)
{
    int rc;
    while ((rc = query_step(q, e)) == 1)
        if ((rc = add_name(n, q, e)))
            break;
    query_close(q);
    return rc;
}

int op_moved_runs(struct store_conn *c, const struct moved *m, uint32_t cap, struct arena *a,
                  const char ***names, uint32_t *count, struct err *e)
{
    struct names n = {.arena = a, .list = arena_alloc_array(a, cap, sizeof *n.list), .cap = cap};
    struct query q;
    int rc = n.list ? 0 : err_set(e, ERR_NO_MEMORY, "no memory for names of runs");
    for (uint32_t i = 0; !rc && i < m->run_count; i++) {
        query_open(&q, c, "SELECT name FROM run WHERE id = ?");
        query_u64(&q, m->runs[i]);
        rc = add_names(&n, &q, e);
    }
    for (uint32_t i = 0; !rc && i < m->job_count; i++) {
        query_open(&q, c, "SELECT name FROM job JOIN run ON run.id = job.run WHERE job.id = ?");
        query_u64(&q, m->jobs[i]);
        rc = add_names(&n, &q, e);
    }
    if (!rc && m->many) {
        query_open(&q, c, "SELECT name FROM run WHERE state = 0 ORDER BY id DESC LIMIT ?");
        query_u64(&q, cap);
        rc = add_names(&n, &q, e);
    }
    *names = n.list;
    *count = n.count;
    return rc;
}
