/* Agents, quotas and invitations, as operators steer them. */
#include "coordinator/store/conn.h"
#include "coordinator/store/ops_steer.h"

_Static_assert(AGENT_WORKS == 0 && AGENT_DRAINS == 1 && AGENT_HANDS_OVER == 2, "the schema's");

/* Sets one number of an agent. */
static int set_number(struct store_conn *c, const char *sql, uint64_t agent, uint64_t n,
                      struct err *e)
{
    struct query q;
    query_open(&q, c, sql);
    query_u64(&q, n);
    query_u64(&q, agent);
    return query_run(&q, NULL, e);
}

int op_agent_steer(struct store_conn *c, uint64_t agent, struct arena *a, struct agent_steer *out,
                   struct err *e)
{
    struct query q;
    *out = (struct agent_steer){0};
    query_open(&q, c, "SELECT drain, revoked_ms, invitation, name, owner FROM agent WHERE id = ?");
    query_u64(&q, agent);
    int rc = query_step(&q, e);
    if (rc == 1) {
        out->drain = (int)column_u64(&q, 0);
        out->revoked_ms = column_u64(&q, 1);
        out->invitation = column_u64(&q, 2);
        rc = column_text(&q, 3, a, &out->name, e);
        if (!rc)
            rc = column_text(&q, 4, a, &out->owner, e);
    }
    query_close(&q);
    return rc;
}

int op_agent_set_drain(struct store_conn *c, uint64_t agent, int drain, struct err *e)
{
    return set_number(c, "UPDATE agent SET drain = ? WHERE id = ?", agent, (uint64_t)drain, e);
}

int op_agent_set_revoked(struct store_conn *c, uint64_t agent, uint64_t revoked_ms, struct err *e)
{
    return set_number(c, "UPDATE agent SET revoked_ms = ? WHERE id = ?", agent, revoked_ms, e);
}

int op_agent_set_owner(struct store_conn *c, uint64_t agent, const char *owner, struct err *e)
{
    struct query q;
    query_open(&q, c, "UPDATE agent SET owner = ? WHERE id = ?");
    query_text(&q, owner);
    query_u64(&q, agent);
    return query_run(&q, NULL, e);
}

int op_agent_set_label(struct store_conn *c, uint64_t agent, const char *name, const char *value,
                       struct err *e)
{
    struct query q;
    query_open(&q, c,
               value ? "INSERT INTO agent_label (agent, name, value) VALUES (?1, ?2, ?3)"
                       " ON CONFLICT DO UPDATE SET value = ?3"
                     : "DELETE FROM agent_label WHERE agent = ?1 AND name = ?2 AND ?3 IS NULL");
    query_u64(&q, agent);
    query_text(&q, name);
    query_text(&q, value);
    return query_run(&q, NULL, e);
}

int op_agent_labels(struct store_conn *c, uint64_t agent, struct arena *a, const char **text,
                    struct err *e)
{
    static const char get[] = "SELECT group_concat(name || '=' || value, ',') FROM"
                              " (SELECT name, value FROM agent_label WHERE agent = ?"
                              "  ORDER BY name)";
    struct query q;
    *text = NULL;
    query_open(&q, c, get);
    query_u64(&q, agent);
    int rc = query_step(&q, e);
    if (rc == 1)
        rc = column_text(&q, 0, a, text, e);
    query_close(&q);
    return rc;
}

int op_agent_has_label(struct store_conn *c, uint64_t agent, const char *name, const char *value,
                       bool *yes, struct err *e)
{
    uint64_t found = 0;
    struct query q;
    query_open(&q, c,
               "SELECT count(*) FROM agent_label WHERE agent = ? AND name = ? AND value = ?");
    query_u64(&q, agent);
    query_text(&q, name);
    query_text(&q, value);
    int rc = query_number(&q, &found, e);
    *yes = found > 0;
    return rc < 0 ? rc : 0;
}

/* --- quotas ----------------------------------------------------------------------------------- */

int op_quota_set(struct store_conn *c, const char *owner, bool limited, uint64_t jobs,
                 struct err *e)
{
    struct query q;
    query_open(&q, c,
               limited ? "INSERT INTO quota (owner, jobs) VALUES (?1, ?2)"
                         " ON CONFLICT DO UPDATE SET jobs = ?2"
                       : "DELETE FROM quota WHERE owner = ?1 AND ?2 >= 0");
    query_text(&q, owner);
    query_u64(&q, jobs);
    return query_run(&q, NULL, e);
}

/* Jobs that agents of the owner in `owned.owner` hold. */
#define HELD                                                                                       \
    "(SELECT count(*) FROM agent AS mate JOIN job ON job.agent = mate.id AND job.state = 1"        \
    " WHERE mate.owner = owned.owner)"

static int quota_read(const struct query *q, struct arena *a, struct quota *out, struct err *e)
{
    out->limited = column_u64(q, 1);
    out->jobs = column_u64(q, 2);
    out->held = column_u64(q, 3);
    out->agents = column_u64(q, 4);
    return column_text(q, 0, a, &out->owner, e);
}

int op_quota_of(struct store_conn *c, uint64_t agent, struct arena *a, struct quota *out,
                struct err *e)
{
    static const char get[] = "SELECT owned.owner, 1, quota.jobs, " HELD ", 0 FROM agent AS owned"
                              " JOIN quota ON quota.owner = owned.owner WHERE owned.id = ?";
    struct query q;
    *out = (struct quota){0};
    query_open(&q, c, get);
    query_u64(&q, agent);
    int rc = query_step(&q, e);
    if (rc == 1)
        rc = quota_read(&q, a, out, e);
    query_close(&q);
    return rc;
}

int op_quotas(struct store_conn *c, struct arena *a, struct quota **rows, uint32_t *count,
              struct err *e)
{
    static const char get[] =
        "SELECT owned.owner, quota.jobs IS NOT NULL, quota.jobs, " HELD ","
        " (SELECT count(*) FROM agent WHERE agent.owner = owned.owner) FROM"
        " (SELECT owner FROM agent WHERE owner IS NOT NULL UNION SELECT owner FROM quota) AS owned"
        " LEFT JOIN quota ON quota.owner = owned.owner ORDER BY owned.owner";
    struct rows list = {.arena = a, .item_size = sizeof **rows};
    struct query q;
    int rc;
    query_open(&q, c, get);
    while ((rc = query_step(&q, e)) == 1) {
        struct quota *row = rows_add(&list, e);
        rc = row ? quota_read(&q, a, row, e) : ERR_NO_MEMORY;
        if (rc)
            break;
    }
    query_close(&q);
    *rows = list.items;
    *count = list.count;
    return rc;
}

/* --- invitations ------------------------------------------------------------------------------ */

int op_invitation_add(struct store_conn *c, const struct digest *token_hash,
                      const struct invitation *i, uint64_t *id, struct err *e)
{
    static const char add[] = "INSERT INTO invitation (token_hash, owner, uses, created_ms,"
                              " expires_ms) VALUES (?, ?, ?, ?, ?) RETURNING id";
    struct query q;
    query_open(&q, c, add);
    query_digest(&q, token_hash);
    query_text(&q, i->owner);
    query_u64(&q, i->uses);
    query_u64(&q, i->created_ms);
    query_u64(&q, i->expires_ms);
    return query_returned(&q, id, e);
}

int op_invitation_by_token(struct store_conn *c, const struct digest *token_hash, uint64_t *id,
                           struct err *e)
{
    struct query q;
    query_open(&q, c, "SELECT id FROM invitation WHERE token_hash = ?");
    query_digest(&q, token_hash);
    int rc = query_number(&q, id, e);
    if (rc == 0)
        return err_set(e, ERR_NOT_FOUND, "no invitation has this token");
    return rc < 0 ? rc : 0;
}

#define INVITATION_COLUMNS "id, uses, used, created_ms, expires_ms, owner "

static int invitation_read(const struct query *q, struct arena *a, struct invitation *out,
                           struct err *e)
{
    *out = (struct invitation){.id = column_u64(q, 0),
                               .uses = column_u64(q, 1),
                               .used = column_u64(q, 2),
                               .created_ms = column_u64(q, 3),
                               .expires_ms = column_u64(q, 4)};
    return column_text(q, 5, a, &out->owner, e);
}

int op_invitation_get(struct store_conn *c, uint64_t id, struct arena *a, struct invitation *out,
                      struct err *e)
{
    struct query q;
    query_open(&q, c, "SELECT " INVITATION_COLUMNS "FROM invitation WHERE id = ?");
    query_u64(&q, id);
    int rc = query_step(&q, e);
    if (rc == 1)
        rc = invitation_read(&q, a, out, e);
    else if (rc == 0)
        rc = err_set(e, ERR_NOT_FOUND,
                     "there is no invitation %llu: `tacit invite --list` shows them",
                     (unsigned long long)id);
    query_close(&q);
    return rc;
}

int op_invitations(struct store_conn *c, struct arena *a, struct invitation **rows, uint32_t *count,
                   struct err *e)
{
    struct rows list = {.arena = a, .item_size = sizeof **rows};
    struct query q;
    int rc;
    query_open(&q, c, "SELECT " INVITATION_COLUMNS "FROM invitation ORDER BY id");
    while ((rc = query_step(&q, e)) == 1) {
        struct invitation *row = rows_add(&list, e);
        rc = row ? invitation_read(&q, a, row, e) : ERR_NO_MEMORY;
        if (rc)
            break;
    }
    query_close(&q);
    *rows = list.items;
    *count = list.count;
    return rc;
}

int op_invitation_take(struct store_conn *c, uint64_t invitation, uint64_t agent, struct err *e)
{
    static const char whose[] =
        "UPDATE agent SET invitation = ?1, owner = ifnull((SELECT owner FROM invitation"
        " WHERE invitation.id = ?1), owner) WHERE id = ?2";
    struct query q;
    query_open(&q, c, "UPDATE invitation SET used = used + 1 WHERE id = ?");
    query_u64(&q, invitation);
    int rc = query_run(&q, NULL, e);
    if (rc)
        return rc;
    query_open(&q, c, whose);
    query_u64_or_null(&q, invitation);
    query_u64(&q, agent);
    return query_run(&q, NULL, e);
}

int op_invitation_end(struct store_conn *c, uint64_t id, uint64_t wall_ms, struct err *e)
{
    struct query q;
    query_open(&q, c, "UPDATE invitation SET expires_ms = ? WHERE id = ?");
    query_u64(&q, wall_ms);
    query_u64(&q, id);
    return query_run(&q, NULL, e);
}
