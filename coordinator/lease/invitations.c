/* Who may join, and how much owners get: invitations and quotas. */
#include <inttypes.h>
#include <string.h>
#include "core/base/text.h"
#include "core/protocol/messages.h"
#include "coordinator/lease/lease.h"
#include "coordinator/run/events.h"
#include "coordinator/run/reply.h"
#include "coordinator/store/ops_queue.h"
#include "coordinator/store/ops_steer.h"

static int check_owner(const char *owner, struct err *e)
{
    if (text_is_name(owner))
        return 0;
    return err_set(e, ERR_INVALID,
                   "\"%s\" is no name for an owner: letters, digits, '.', '_' and '-', the first "
                   "not '.' or '-'",
                   owner);
}

/* --- invitations ------------------------------------------------------------------------------ */

static struct msg_invitation shown(const struct invitation *i)
{
    return (struct msg_invitation){.invitation = i->id,
                                   .owner = i->owner,
                                   .uses = i->uses,
                                   .used = i->used,
                                   .created_at = i->created_ms,
                                   .expires_at = i->expires_ms};
}

int invitations_make(struct call *c, const void *in, void *out, struct err *e)
{
    const struct msg_invitation *m = in;
    struct msg_invitation *made = out;
    struct digest hash;
    struct invitation i = {.owner = m->owner,
                           .uses = m->uses,
                           .created_ms = (uint64_t)c->wall_ms,
                           .expires_ms = m->expires_at};
    int rc = m->owner ? check_owner(m->owner, e) : 0;
    if (!rc && m->expires_at > 0 && (int64_t)m->expires_at <= c->wall_ms)
        rc = err_set(e, ERR_INVALID, "the invitation would be over already");
    if (rc)
        return rc;
    char *token = lease_new_token(c->arena);
    if (!token)
        return err_set(e, ERR_NO_MEMORY, "no memory for a token");
    digest_of(token, strlen(token), &hash);
    rc = op_invitation_add(c->conn, &hash, &i, &i.id, e);
    *made = shown(&i);
    made->token = token;
    return rc ? rc
              : event_tell(c, &(struct event){.kind = "invitation.made"}, e,
                           "invitation %" PRIu64 "%s%s, %s", i.id, i.owner ? " of " : "",
                           i.owner ? i.owner : "", i.uses ? "limited" : "for any number of agents");
}

int invitations_list(struct call *c, const void *in, void *out, struct err *e)
{
    struct invitation *rows;
    uint32_t count;
    (void)in;
    (void)out;
    int rc = op_invitations(c->conn, c->arena, &rows, &count, e);
    struct msg_invitation *list = rc ? NULL : arena_alloc_array(c->arena, count + 1, sizeof *list);
    if (!rc && !list)
        rc = err_set(e, ERR_NO_MEMORY, "no memory for %u invitations", count);
    for (uint32_t i = 0; !rc && i < count; i++)
        list[i] = shown(&rows[i]);
    return rc ? rc : reply_array(c, &message_invitation, list, count, e);
}

int invitations_end(struct call *c, const void *in, void *out, struct err *e)
{
    struct invitation i;
    (void)in;
    (void)out;
    int rc = op_invitation_get(c->conn, c->id, c->arena, &i, e);
    if (rc || (i.expires_ms > 0 && (int64_t)i.expires_ms <= c->wall_ms))
        return rc;
    rc = op_invitation_end(c->conn, c->id, (uint64_t)c->wall_ms, e);
    return rc ? rc
              : event_tell(c, &(struct event){.kind = "invitation.ended"}, e,
                           "invitation %" PRIu64 "; agents that joined by it stay", c->id);
}

/* --- quotas ----------------------------------------------------------------------------------- */

static struct msg_quota quota_shown(const struct quota *q)
{
    return (struct msg_quota){.owner = q->owner,
                              .limited = q->limited,
                              .jobs = q->jobs,
                              .held = q->held,
                              .agents = q->agents};
}

int quotas_set(struct call *c, const void *in, void *out, struct err *e)
{
    const struct msg_quota *m = in;
    struct msg_quota *set = out;
    int rc = check_owner(m->owner, e);
    if (!rc)
        rc = op_quota_set(c->conn, m->owner, m->limited, m->jobs, e);
    if (!rc && m->limited)
        rc = event_tell(c, &(struct event){.kind = "quota.set"}, e, "%s: %" PRIu64 " jobs at once",
                        m->owner, m->jobs);
    else if (!rc)
        rc = event_tell(c, &(struct event){.kind = "quota.set"}, e, "%s: no limit", m->owner);
    *set = *m;
    return rc ? rc : op_queue_length(c->conn, &c->ready, e);
}

int quotas_list(struct call *c, const void *in, void *out, struct err *e)
{
    struct quota *rows;
    uint32_t count;
    (void)in;
    (void)out;
    int rc = op_quotas(c->conn, c->arena, &rows, &count, e);
    struct msg_quota *list = rc ? NULL : arena_alloc_array(c->arena, count + 1, sizeof *list);
    if (!rc && !list)
        rc = err_set(e, ERR_NO_MEMORY, "no memory for %u owners", count);
    for (uint32_t i = 0; !rc && i < count; i++)
        list[i] = quota_shown(&rows[i]);
    return rc ? rc : reply_array(c, &message_quota, list, count, e);
}
