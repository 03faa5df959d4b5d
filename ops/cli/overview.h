/* What the coordinator knows, as one look brought it: fetched on one thread, shown on another. */
#ifndef TACIT_OPS_CLI_OVERVIEW_H
#define TACIT_OPS_CLI_OVERVIEW_H

#include "core/client/client.h"
#include "core/protocol/messages.h"

#define OVERVIEW_JOBS 200   /* of each state */
#define OVERVIEW_POINTS 120 /* of a learning curve */
#define OVERVIEW_EVENTS 100

/* What is wanted beyond the lists. */
struct overview_want {
    const char *run; /* whose models are looked at; NULL: of the first one that is active */
    bool curves, jobs, events;
    uint64_t events_after; /* those above this number; 0: of the last hour */
    bool models;           /* of every active run, as `tacit status` has it */
};

struct overview {
    struct arena arena; /* holds all that follows */
    int64_t wall_ms;    /* this machine's clock when it was fetched */
    double took_s;
    struct msg_status status;
    struct msg_run *runs; /* newest first, without models but where those are wanted */
    uint32_t run_count;
    struct msg_agent *agents;
    uint32_t agent_count;
    struct msg_job *jobs; /* quarantined, leased, backing off, other waiting ones; of each state at
                             most OVERVIEW_JOBS: `status` counts all */
    uint32_t job_count;
    const struct msg_run *chosen; /* of runs, with its models; NULL: there is none */
    struct msg_curve *curves;     /* of its models */
    uint32_t curve_count;
    struct msg_event *events; /* of the last hour, newest last */
    uint32_t event_count;
};

/* Looks once. On success *out is a new one: free it with overview_free. timeout_ms: of each
 * exchange. */
TACIT_MUST_CHECK int overview_fetch(struct client *c, const struct overview_want *want,
                                    long timeout_ms, struct overview **out, struct err *e);
void overview_free(struct overview *s); /* accepts NULL */
/* The curve of a model of `chosen`, or NULL. */
const struct msg_curve *overview_curve(const struct overview *s, int target, uint64_t index);

#endif
