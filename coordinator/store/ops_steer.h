/* The named operations by which operators steer runs and agents. As those of ops.h, of which they
 * are a part. */
#ifndef TACIT_COORDINATOR_STORE_OPS_STEER_H
#define TACIT_COORDINATOR_STORE_OPS_STEER_H

#include "coordinator/store/ops.h"

#define RUN_PRIORITY_MAX 1000 /* either way; 0 is usual */

/* --- runs ------------------------------------------------------------------------------------- */
/* resume_ms: when it goes on by itself (wall clock); 0: when somebody resumes it. */
TACIT_MUST_CHECK int op_run_pause(struct store_conn *c, uint64_t run, uint64_t resume_ms,
                                  struct err *e);
TACIT_MUST_CHECK int op_run_resume(struct store_conn *c, uint64_t run, struct err *e);
/* Paused runs whose time has come. */
TACIT_MUST_CHECK int op_runs_rested(struct store_conn *c, uint64_t wall_ms, struct arena *a,
                                    uint64_t **runs, uint32_t *count, struct err *e);
/* When the first of the paused runs goes on by itself: *at_ms 0 where none does. */
TACIT_MUST_CHECK int op_runs_rest_until(struct store_conn *c, uint64_t *at_ms, struct err *e);
TACIT_MUST_CHECK int op_run_set_priority(struct store_conn *c, uint64_t run, int priority,
                                         struct err *e);
/* A label that an agent must have to get the run's jobs. */
TACIT_MUST_CHECK int op_run_need_add(struct store_conn *c, uint64_t run, const char *name,
                                     const char *value, struct err *e);
/* Its experts do so many steps in all, more than before. */
TACIT_MUST_CHECK int op_run_extend(struct store_conn *c, uint64_t run, uint64_t steps,
                                   uint64_t wall_ms, struct err *e);
/* The ends that operators gave it, in order. */
TACIT_MUST_CHECK int op_run_ends(struct store_conn *c, uint64_t run, struct arena *a,
                                 uint64_t **steps, uint32_t *count, struct err *e);
TACIT_MUST_CHECK int op_run_set_fork(struct store_conn *c, uint64_t run, uint64_t of,
                                     struct err *e);

/* Whether the agent is to hand over a job of the run: one of the two is told to rest. */
TACIT_MUST_CHECK int op_hands_over(struct store_conn *c, uint64_t run, uint64_t agent, bool *yes,
                                   struct err *e);

/* --- agents ----------------------------------------------------------------------------------- */
enum agent_drain { AGENT_WORKS, AGENT_DRAINS, AGENT_HANDS_OVER };
struct agent_steer {
    const char *name, *owner; /* owner: or NULL */
    int drain;                /* enum agent_drain */
    uint64_t revoked_ms;      /* 0: it is not */
    uint64_t invitation;      /* by which it joined last; 0: the join token */
};
TACIT_MUST_CHECK int op_agent_steer(struct store_conn *c, uint64_t agent, struct arena *a,
                                    struct agent_steer *out, struct err *e);
TACIT_MUST_CHECK int op_agent_set_drain(struct store_conn *c, uint64_t agent, int drain,
                                        struct err *e);
/* revoked_ms 0: it is trusted again. */
TACIT_MUST_CHECK int op_agent_set_revoked(struct store_conn *c, uint64_t agent, uint64_t revoked_ms,
                                          struct err *e);
/* NULL: nobody's. */
TACIT_MUST_CHECK int op_agent_set_owner(struct store_conn *c, uint64_t agent, const char *owner,
                                        struct err *e);
/* value NULL: the label goes. */
TACIT_MUST_CHECK int op_agent_set_label(struct store_conn *c, uint64_t agent, const char *name,
                                        const char *value, struct err *e);
/* "gpu=no,site=lab", or NULL. */
TACIT_MUST_CHECK int op_agent_labels(struct store_conn *c, uint64_t agent, struct arena *a,
                                     const char **text, struct err *e);
TACIT_MUST_CHECK int op_agent_has_label(struct store_conn *c, uint64_t agent, const char *name,
                                        const char *value, bool *yes, struct err *e);

/* --- quotas ----------------------------------------------------------------------------------- */
struct quota {
    const char *owner;
    bool limited;
    uint64_t jobs, held, agents; /* held: now, by all of its agents */
};
/* limited false: as many as they like. */
TACIT_MUST_CHECK int op_quota_set(struct store_conn *c, const char *owner, bool limited,
                                  uint64_t jobs, struct err *e);
/* Of the agent's owner: *limited false where it has none, or no quota. */
TACIT_MUST_CHECK int op_quota_of(struct store_conn *c, uint64_t agent, struct arena *a,
                                 struct quota *out, struct err *e);
/* Every owner that has agents or a quota. */
TACIT_MUST_CHECK int op_quotas(struct store_conn *c, struct arena *a, struct quota **rows,
                               uint32_t *count, struct err *e);

/* --- invitations ------------------------------------------------------------------------------ */
struct invitation {
    uint64_t id;
    const char *owner;               /* or NULL */
    uint64_t uses, used;             /* uses 0: as often as wanted */
    uint64_t created_ms, expires_ms; /* expires_ms 0: never */
};
TACIT_MUST_CHECK int op_invitation_add(struct store_conn *c, const struct digest *token_hash,
                                       const struct invitation *i, uint64_t *id, struct err *e);
TACIT_MUST_CHECK int op_invitation_by_token(struct store_conn *c, const struct digest *token_hash,
                                            uint64_t *id, struct err *e);
TACIT_MUST_CHECK int op_invitation_get(struct store_conn *c, uint64_t id, struct arena *a,
                                       struct invitation *out, struct err *e);
TACIT_MUST_CHECK int op_invitations(struct store_conn *c, struct arena *a, struct invitation **rows,
                                    uint32_t *count, struct err *e);
/* The agent has joined by it (0: by the join token): counted, and the agent is its owner's. */
TACIT_MUST_CHECK int op_invitation_take(struct store_conn *c, uint64_t invitation, uint64_t agent,
                                        struct err *e);
/* It is of no use any more; agents that joined by it stay. */
TACIT_MUST_CHECK int op_invitation_end(struct store_conn *c, uint64_t id, uint64_t wall_ms,
                                       struct err *e);

/* --- data sets -------------------------------------------------------------------------------- */
/* Runs that need the data set: those that are not cancelled, and, done_too, those that are done.
 * The first `limit` names; *all: how many. */
TACIT_MUST_CHECK int op_dataset_users(struct store_conn *c, uint64_t dataset, bool done_too,
                                      uint32_t limit, struct arena *a, const char **names,
                                      uint64_t *all, struct err *e);
/* Its shards and labels go, its name is free; the blobs are collected as what nobody names. */
TACIT_MUST_CHECK int op_dataset_delete(struct store_conn *c, uint64_t dataset, uint64_t wall_ms,
                                       struct err *e);

#endif
