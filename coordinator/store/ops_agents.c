#include "coordinator/store/ops.h"

#include "coordinator/store/conn.h"

static const char *or_empty(const char *s)
{
    return s ? s : "";
}

int op_agent_put(struct store_conn *c, const struct msg_join *m, const struct digest *token_hash,
                 uint64_t wall_ms, uint64_t *id, struct err *e)
{
    static const char put[] =
        "INSERT INTO agent (identity, token_hash, name, host, processor, isa, version, threads,"
        " memory, joined_ms, seen_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?10) "
        "ON CONFLICT (identity) DO UPDATE SET token_hash_before = token_hash,"
        " token_hash = excluded.token_hash,"
        " name = excluded.name, host = excluded.host, processor = excluded.processor,"
        " isa = excluded.isa, version = excluded.version, threads = excluded.threads,"
        " memory = excluded.memory, seen_ms = excluded.seen_ms RETURNING id";
    struct query q;
    query_open(&q, c, put);
    query_text(&q, m->identity);
    query_digest(&q, token_hash);
    query_text(&q, or_empty(m->name));
    query_text(&q, or_empty(m->host));
    query_text(&q, or_empty(m->processor));
    query_text(&q, or_empty(m->isa));
    query_text(&q, or_empty(m->version));
    query_u64(&q, m->threads);
    query_u64(&q, m->memory);
    query_u64(&q, wall_ms);
    return query_returned(&q, id, e);
}

int op_agent_by_token(struct store_conn *c, const struct digest *token_hash, uint64_t *id,
                      struct err *e)
{
    struct query q;
    query_open(&q, c,
               "SELECT id FROM agent WHERE (token_hash = ?1 OR token_hash_before = ?1)"
               " AND revoked_ms = 0");
    query_digest(&q, token_hash);
    int rc = query_number(&q, id, e);
    if (rc == 0)
        return err_set(e, ERR_NOT_FOUND, "no agent has this token");
    return rc < 0 ? rc : 0;
}

int op_agent_by_identity(struct store_conn *c, const char *identity, uint64_t *id, struct err *e)
{
    struct query q;
    query_open(&q, c, "SELECT id FROM agent WHERE identity = ?");
    query_text(&q, identity);
    int rc = query_number(&q, id, e);
    if (rc == 0)
        return err_set(e, ERR_NOT_FOUND, "no agent has this identity");
    return rc < 0 ? rc : 0;
}

#define AGENT_COLUMNS                                                                              \
    "id, name, host, processor, isa, version, threads, memory, jobs_done, failures, joined_ms,"    \
    " seen_ms, bench_ms, benched_ms, bench_reason, drain, revoked_ms, owner "

static int agent_read(const struct query *q, struct arena *a, struct agent_row *out, struct err *e)
{
    const char **texts[] = {&out->name, &out->host, &out->processor, &out->isa, &out->version};
    uint64_t *numbers[] = {&out->threads,  &out->memory,    &out->jobs_done,
                           &out->failures, &out->joined_ms, &out->seen_ms};
    int rc = 0;
    out->id = column_u64(q, 0);
    for (int i = 0; !rc && i < 5; i++)
        rc = column_text(q, 1 + i, a, texts[i], e);
    for (int i = 0; i < 6; i++)
        *numbers[i] = column_u64(q, 6 + i);
    out->bench_ms = (int64_t)column_u64(q, 12);
    out->benched_ms = column_u64(q, 13);
    out->drain = (int)column_u64(q, 15);
    out->revoked_ms = column_u64(q, 16);
    if (!rc)
        rc = column_text(q, 14, a, &out->bench_reason, e);
    return rc ? rc : column_text(q, 17, a, &out->owner, e);
}

int op_agent_get(struct store_conn *c, uint64_t id, struct arena *a, struct agent_row *out,
                 struct err *e)
{
    struct query q;
    query_open(&q, c, "SELECT " AGENT_COLUMNS "FROM agent WHERE id = ?");
    query_u64(&q, id);
    int rc = query_step(&q, e);
    if (rc == 1)
        rc = agent_read(&q, a, out, e);
    else if (rc == 0)
        rc = err_set(e, ERR_NOT_FOUND, "there is no agent %llu", (unsigned long long)id);
    query_close(&q);
    return rc;
}

int op_agents(struct store_conn *c, struct arena *a, struct agent_row **rows, uint32_t *count,
              struct err *e)
{
    struct rows list = {.arena = a, .item_size = sizeof **rows};
    struct query q;
    int rc;
    query_open(&q, c, "SELECT " AGENT_COLUMNS "FROM agent ORDER BY id");
    while ((rc = query_step(&q, e)) == 1) {
        struct agent_row *row = rows_add(&list, e);
        rc = row ? agent_read(&q, a, row, e) : ERR_NO_MEMORY;
        if (rc)
            break;
    }
    query_close(&q);
    *rows = list.items;
    *count = list.count;
    return rc;
}

int op_agent_seen(struct store_conn *c, uint64_t id, uint64_t wall_ms, struct err *e)
{
    struct query q;
    query_open(&q, c, "UPDATE agent SET seen_ms = ? WHERE id = ?");
    query_u64(&q, wall_ms);
    query_u64(&q, id);
    return query_run(&q, NULL, e);
}
