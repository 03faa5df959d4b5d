/* Operators steer agents, many at a time. */
#include <fnmatch.h>
#include <inttypes.h>
#include <string.h>
#include "core/base/text.h"
#include "core/protocol/messages.h"
#include "coordinator/lease/attempts.h"
#include "coordinator/lease/lease.h"
#include "coordinator/lease/replays.h"
#include "coordinator/lease/steering.h"
#include "coordinator/run/events.h"
#include "coordinator/store/ops_queue.h"
#include "coordinator/store/ops_steer.h"

/* --- which ------------------------------------------------------------------------------------ */

static int is_meant(struct call *c, const struct agent_row *a, const struct msg_fleet *m, bool *yes,
                    struct err *e)
{
    *yes = m->name_count == 0;
    for (uint32_t i = 0; !*yes && i < m->name_count; i++)
        *yes = fnmatch(m->names[i].pattern, a->name, 0) == 0;
    for (uint32_t i = 0; *yes && i < m->having_count; i++) {
        int rc = op_agent_has_label(c->conn, a->id, m->having[i].name, m->having[i].value, yes, e);
        if (rc)
            return rc;
    }
    return 0;
}

int fleet_unknown(struct call *c, const char *name, struct err *e)
{
    struct agent_row *all;
    uint32_t count;
    const char *near = NULL;
    int rc = op_agents(c->conn, c->arena, &all, &count, e);
    const char **names = rc ? NULL : arena_alloc_array(c->arena, count + 1, sizeof *names);
    for (uint32_t i = 0; names && i < count; i++)
        names[i] = all[i].name;
    if (names)
        near = text_nearest(name, names, count);
    if (rc)
        return rc;
    if (near)
        return err_set(e, ERR_NOT_FOUND, "there is no agent \"%s\"; did you mean \"%s\"?", name,
                       near);
    return err_set(e, ERR_NOT_FOUND, "there is no agent \"%s\": `tacit agents` shows them", name);
}

/* A plain name that nobody has is a slip of the hand. */
static int check_names(struct call *c, const struct msg_fleet *m, const struct agent_row *all,
                       uint32_t count, struct err *e)
{
    for (uint32_t n = 0; n < m->name_count; n++) {
        const char *name = m->names[n].pattern;
        bool found = strpbrk(name, "*?[\\") != NULL;
        for (uint32_t i = 0; !found && i < count; i++)
            found = strcmp(all[i].name, name) == 0;
        if (found)
            continue;
        return fleet_unknown(c, name, e);
    }
    return 0;
}

typedef int steer_fn(struct call *c, const struct agent_row *a, const struct msg_fleet *m,
                     struct err *e);

/* Does it to each agent that is meant, and names them. */
static int for_fleet(struct call *c, const struct msg_fleet *m, steer_fn *fn,
                     struct msg_fleet_done *out, struct err *e)
{
    struct agent_row *all;
    uint32_t count;
    if (m->name_count == 0 && m->having_count == 0)
        return err_set(e, ERR_INVALID,
                       "no agents are named: give names, patterns ('*': all), or --label k=v");
    int rc = op_agents(c->conn, c->arena, &all, &count, e);
    if (!rc)
        rc = check_names(c, m, all, count, e);
    out->agents = rc ? NULL : arena_alloc_array(c->arena, count + 1, sizeof *out->agents);
    if (!rc && !out->agents)
        rc = err_set(e, ERR_NO_MEMORY, "no memory for %u agents", count);
    for (uint32_t i = 0; !rc && i < count; i++) {
        bool meant;
        rc = is_meant(c, &all[i], m, &meant, e);
        if (!rc && meant)
            rc = fn(c, &all[i], m, e);
        if (!rc && meant)
            out->agents[out->agent_count++] = (struct msg_steered){all[i].id, all[i].name};
    }
    if (!rc && out->agent_count == 0)
        rc = err_set(e, ERR_NOT_FOUND, "no agent is meant by that: `tacit agents` shows them");
    return rc;
}

/* --- what ------------------------------------------------------------------------------------- */

static int drain(struct call *c, const struct agent_row *a, const struct msg_fleet *m,
                 struct err *e)
{
    int wanted = m->now ? AGENT_HANDS_OVER : AGENT_DRAINS;
    if (a->drain == wanted)
        return 0;
    int rc = op_agent_set_drain(c->conn, a->id, wanted, e);
    return rc ? rc
              : event_tell(c, &(struct event){.kind = "agent.drained", .agent = a->id}, e,
                           "%s gets no more jobs%s", a->name,
                           m->now ? ", and hands over the one that it has" : "");
}

int agents_drain(struct call *c, const void *in, void *out, struct err *e)
{
    return for_fleet(c, in, drain, out, e);
}

/* Whoever waits may find something now. */
static int wake_all(struct call *c, int rc, struct err *e)
{
    return rc ? rc : op_queue_length(c->conn, &c->ready, e);
}

static int undrain(struct call *c, const struct agent_row *a, const struct msg_fleet *m,
                   struct err *e)
{
    (void)m;
    if (a->drain == AGENT_WORKS)
        return 0;
    int rc = op_agent_set_drain(c->conn, a->id, AGENT_WORKS, e);
    return rc ? rc
              : event_tell(c, &(struct event){.kind = "agent.undrained", .agent = a->id}, e,
                           "%s gets jobs again", a->name);
}

int agents_undrain(struct call *c, const void *in, void *out, struct err *e)
{
    return wake_all(c, for_fleet(c, in, undrain, out, e), e);
}

/* Its job waits for others at once. */
static int end_lease(struct call *c, uint64_t agent, struct err *e)
{
    struct job_row job;
    bool over = false;
    int rc = op_job_held_by(c->conn, agent, c->arena, &job, e);
    if (rc)
        return rc == ERR_NOT_FOUND ? 0 : rc;
    struct attempt_end end = {.job = job.id,
                              .fence = &job.fence,
                              .outcome = ATTEMPT_RELEASED,
                              .words = "its agent was revoked"};
    rc = attempt_end(c, &end, NULL, e);
    if (!rc)
        rc = replay_given_back(c, &job, &over, e);
    if (rc || over)
        return rc;
    rc = op_job_return(c->conn, job.id, true, NULL, (uint64_t)c->wall_ms, e);
    c->ready += !rc;
    return rc;
}

static int revoke(struct call *c, const struct agent_row *a, const struct msg_fleet *m,
                  struct err *e)
{
    (void)m;
    if (a->revoked_ms)
        return 0;
    int rc = op_agent_set_revoked(c->conn, a->id, (uint64_t)c->wall_ms, e);
    if (!rc)
        rc = end_lease(c, a->id, e);
    return rc ? rc
              : event_tell(c, &(struct event){.kind = "agent.revoked", .agent = a->id}, e,
                           "the token of %s is good for nothing", a->name);
}

int agents_revoke(struct call *c, const void *in, void *out, struct err *e)
{
    return for_fleet(c, in, revoke, out, e);
}

static int restore(struct call *c, const struct agent_row *a, const struct msg_fleet *m,
                   struct err *e)
{
    (void)m;
    if (a->revoked_ms == 0)
        return 0;
    int rc = op_agent_set_revoked(c->conn, a->id, 0, e);
    return rc ? rc
              : event_tell(c, &(struct event){.kind = "agent.restored", .agent = a->id}, e,
                           "%s is trusted again", a->name);
}

int agents_restore(struct call *c, const void *in, void *out, struct err *e)
{
    return for_fleet(c, in, restore, out, e);
}

/* The label "owner" is whose quota the agent's jobs count for. */
static int label(struct call *c, const struct agent_row *a, const struct msg_fleet *m,
                 struct err *e)
{
    int rc = 0;
    for (uint32_t i = 0; !rc && i < m->set_count; i++) {
        const struct msg_tag *t = &m->set[i];
        const char *value = *t->value ? t->value : NULL;
        rc = op_agent_set_label(c->conn, a->id, t->name, value, e);
        if (!rc && strcmp(t->name, "owner") == 0)
            rc = op_agent_set_owner(c->conn, a->id, value, e);
        if (!rc)
            rc = event_tell(c, &(struct event){.kind = "agent.labelled", .agent = a->id}, e,
                            value ? "%s: %s=%s" : "%s: no %s any more%.0s", a->name, t->name,
                            value ? value : "");
    }
    return rc;
}

int agents_label(struct call *c, const void *in, void *out, struct err *e)
{
    const struct msg_fleet *m = in;
    if (m->set_count == 0)
        return err_set(e, ERR_INVALID, "no label is given: name=value, or name= to take it away");
    for (uint32_t i = 0; i < m->set_count; i++)
        if (!text_is_name(m->set[i].name) || (*m->set[i].value && !text_is_name(m->set[i].value)))
            return err_set(e, ERR_INVALID,
                           "%s=%s: a label's name and value are letters, digits, '.', '_' and '-', "
                           "the first not '.' or '-'",
                           m->set[i].name, m->set[i].value);
    return wake_all(c, for_fleet(c, m, label, out, e), e);
}
