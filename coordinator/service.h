/* What the coordinator's parts share: one struct service a process, and the one signature of every
 * operation that a path leads to. api/ finds the operation in its table of routes, decodes the body
 * into `in`, runs the operation inside a writer's savepoint or on a reader's snapshot, and encodes
 * `out`; lease/ and run/ hold the operations and know nothing of HTTP. */
#ifndef TACIT_COORDINATOR_SERVICE_H
#define TACIT_COORDINATOR_SERVICE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include "core/base/arena.h"
#include "core/base/err.h"
#include "coordinator/store/store.h"

struct lease_clock; /* deadlines of leases on the monotonic clock: lease/lease.h */
struct run_paces;   /* how fast runs go: run/run_pace.h */
struct keeper;      /* housekeeping: keep/keeper.h */
struct api;         /* who asks: api/api.h */
struct works; /* the threads that check results and do the coordinator's own jobs: run/works.h */

struct service {
    struct store *store;
    struct lease_clock *leases;
    struct works *works;
    struct keeper *keeper;
    struct run_paces *paces; /* keep/ fills it; NULL before that */
    const char *dir;
    int64_t started_ms;
    _Atomic uint64_t disk_planned; /* that active runs may still store: keep/ looks now and then */
    _Atomic uint64_t answers[4];   /* since the start: 2xx, 3xx, 4xx, 5xx */
    bool open_figures; /* it listens on loopback alone: figures over all are read without a token */
    bool tls;          /* it is asked by HTTPS */
#define SERVICE_TLS_WARN_DAYS 30  /* before its certificate ends, it is said wherever one looks */
    _Atomic int64_t tls_until_ms; /* when its certificate ends, since 1970; 0: without TLS */
    bool no_duplicates;           /* idle agents do not do what others are slow with */
    struct api *api;              /* for api/'s own operations */
    /* Called after a COMMIT that made `jobs` more jobs ready to claim: wakes as many waiting
     * claims. Any thread. Set by api/ before the works start. */
    void (*jobs_ready)(void *arg, uint64_t jobs);
    void *jobs_ready_arg;
    /* Makes another token of a kind (api/tokens.h), writes it to dir, and takes no other from then
     * on; api/ sets it. */
    int (*rotate_token)(void *arg, int kind, char *token, struct err *e);
    void *rotate_token_arg;
};

enum caller { CALLER_NONE, CALLER_JOIN, CALLER_AGENT, CALLER_ADMIN, CALLER_VIEWER };

struct call {
    struct service *service;
    struct store_conn *conn;
    struct arena *arena; /* lives until the reply is sent: strings of `out` may point into it */
    enum caller caller;
    uint64_t agent;      /* CALLER_AGENT */
    uint64_t invitation; /* CALLER_JOIN: by which one; 0: the join token */
    uint64_t session;    /* CALLER_ADMIN, CALLER_VIEWER: of the web page; 0: the token itself */
    const char *name;    /* the path's {name}, or NULL */
    uint64_t id;         /* the path's {id}, or 0 */
    const char *query_run, *query_state;
    uint64_t query_limit, query_after, query_since;
    int64_t now_ms, wall_ms;
    bool told;            /* out: an event tells of this call (run/events.h) */
    bool checked;         /* out of a prepare: what the agent sent was checked, all of it */
    const void *prepared; /* out of a prepare: what the operation is to answer */
    uint64_t ready;       /* out: jobs that became ready to claim in this call */
    const char *raw;      /* out: a ready-made body instead of `out` */
    size_t raw_len;
    const char *raw_type; /* out: of it; NULL: JSON */
};
typedef int call_fn(struct call *c, const void *in, void *out, struct err *e);

#endif
