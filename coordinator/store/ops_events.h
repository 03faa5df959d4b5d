/* The named operations on events: what has happened, and who did it. As those of ops.h, of which
 * they are a part. */
#ifndef TACIT_COORDINATOR_STORE_OPS_EVENTS_H
#define TACIT_COORDINATOR_STORE_OPS_EVENTS_H

#include "coordinator/store/ops.h"

/* The newest so many are kept: at a thousand a day, those of half a year. */
#define EVENTS_KEPT 200000

struct event {
    const char *kind; /* what was concerned, and what happened: "run.paused", "agent.joined" */
    uint64_t run, job, agent; /* whom it concerns; 0: nobody */
    const char *who;          /* the operator's token; NULL: nobody asked for it */
    const char *text;         /* what a reader is told; one line */
    /* Of what was read: */
    uint64_t id, at_ms;
    const char *run_name, *agent_name; /* or NULL */
};

/* Adds it in the caller's transaction, and forgets what is too old. */
TACIT_MUST_CHECK int op_event_add(struct store_conn *c, const struct event *event, uint64_t wall_ms,
                                  struct err *e);
/* The first `limit` with ids above `after`, oldest first. */
TACIT_MUST_CHECK int op_events_since(struct store_conn *c, uint64_t after, uint32_t limit,
                                     struct arena *a, struct event **rows, uint32_t *count,
                                     struct err *e);
/* The id after which come those from at_ms on (wall clock): the newest one's where there are none.
 */
TACIT_MUST_CHECK int op_events_before(struct store_conn *c, uint64_t at_ms, uint64_t *id,
                                      struct err *e);
/* The newest one's id; 0: there are none. */
TACIT_MUST_CHECK int op_events_last(struct store_conn *c, uint64_t *id, struct err *e);

#endif
