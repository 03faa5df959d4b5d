/* Agents join, by the join token or by an invitation, and are told from each other by their tokens.
 */
#include <inttypes.h>
#include <string.h>
#include "core/base/text.h"
#include "core/env/clock.h"
#include "core/protocol/messages.h"
#include "coordinator/lease/lease.h"
#include "coordinator/lease/lease_clock.h"
#include "coordinator/run/events.h"
#include "coordinator/store/ops.h"
#include "coordinator/store/ops_steer.h"

#define TOKEN_BYTES 32

char *lease_new_token(struct arena *a)
{
    uint8_t bytes[TOKEN_BYTES];
    char *hex = arena_alloc(a, 2 * TOKEN_BYTES + 1);
    env_random(bytes, sizeof bytes);
    for (size_t i = 0; hex && i < TOKEN_BYTES; i++) {
        hex[2 * i] = "0123456789abcdef"[bytes[i] >> 4];
        hex[2 * i + 1] = "0123456789abcdef"[bytes[i] & 15];
    }
    return hex;
}

/* Whether the invitation still lets somebody in: who joined by it before may come back by it. */
static int check_invitation(struct call *c, const struct agent_steer *known, struct invitation *i,
                            struct err *e)
{
    *i = (struct invitation){0};
    if (c->invitation == 0)
        return 0;
    int rc = op_invitation_get(c->conn, c->invitation, c->arena, i, e);
    if (rc || known->invitation == c->invitation)
        return rc;
    if (i->expires_ms > 0 && (int64_t)i->expires_ms <= c->wall_ms)
        return err_set(e, ERR_DENIED,
                       "this invitation is over: ask whoever runs the coordinator for another one "
                       "(`tacit invite`)");
    if (i->uses > 0 && i->used >= i->uses)
        return err_set(e, ERR_DENIED,
                       "this invitation was for %" PRIu64
                       " agents, and they have joined: ask whoever runs the coordinator for "
                       "another one (`tacit invite`)",
                       i->uses);
    return 0;
}

static int find_known(struct call *c, const char *identity, struct agent_steer *known, bool *is_new,
                      struct err *e)
{
    uint64_t id = 0;
    *known = (struct agent_steer){0};
    int rc = op_agent_by_identity(c->conn, identity, &id, e);
    *is_new = rc == ERR_NOT_FOUND;
    if (rc)
        return *is_new ? 0 : rc;
    rc = op_agent_steer(c->conn, id, c->arena, known, e);
    if (!rc && known->revoked_ms)
        rc = err_set(e, ERR_DENIED,
                     "this agent, %s, was revoked by an operator; `tacit agents restore %s` takes "
                     "it back",
                     known->name, known->name);
    return rc;
}

/* The owner is told by a label, too, so that agents can be picked by it. */
static int take_invitation(struct call *c, const struct invitation *i, uint64_t agent,
                           struct err *e)
{
    int rc = op_invitation_take(c->conn, i->id, agent, e);
    return rc || !i->owner ? rc : op_agent_set_label(c->conn, agent, "owner", i->owner, e);
}

int lease_join(struct call *c, const void *in, void *out, struct err *e)
{
    const struct msg_join *m = in;
    struct msg_joined *joined = out;
    struct digest identity, hash;
    struct agent_steer known;
    struct invitation invitation;
    bool is_new;
    if (!m->identity || !digest_from_hex(&identity, m->identity, strlen(m->identity)))
        return err_set(e, ERR_INVALID, "join.identity must be 64 hexadecimal digits");
    if (!m->name || !text_is_name(m->name))
        return err_set(
            e, ERR_INVALID,
            "join.name must be 1 to 64 of A-Z, a-z, 0-9, '.', '_' and '-', and not start "
            "with '.' or '-'");
    int rc = find_known(c, m->identity, &known, &is_new, e);
    if (!rc)
        rc = check_invitation(c, &known, &invitation, e);
    if (rc)
        return rc;
    joined->token = lease_new_token(c->arena);
    if (!joined->token)
        return err_set(e, ERR_NO_MEMORY, "no memory for a token");
    digest_of(joined->token, 2 * TOKEN_BYTES, &hash);
    rc = op_agent_put(c->conn, m, &hash, (uint64_t)c->wall_ms, &joined->agent, e);
    if (!rc && invitation.id && known.invitation != invitation.id)
        rc = take_invitation(c, &invitation, joined->agent, e);
    if (!rc && is_new)
        rc = event_tell(c, &(struct event){.kind = "agent.joined", .agent = joined->agent}, e,
                        "%s on %s, %" PRIu64 " threads%s%s", m->name, m->host ? m->host : "a host",
                        m->threads, invitation.owner ? ", of " : "",
                        invitation.owner ? invitation.owner : "");
    if (!rc)
        lease_clock_seen(c->service->leases, joined->agent, c->now_ms);
    return rc;
}

int lease_agent_of_token(struct store_conn *c, const char *token, uint64_t *agent, struct err *e)
{
    struct digest hash;
    digest_of(token, strlen(token), &hash);
    int rc = op_agent_by_token(c, &hash, agent, e);
    if (rc == ERR_NOT_FOUND)
        return err_set(e, ERR_DENIED, "the token is not known here; join (again) for a new one");
    return rc;
}
