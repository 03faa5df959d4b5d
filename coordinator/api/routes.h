/* The table of paths: who may call what, with which message, answered by which operation. */
#ifndef TACIT_COORDINATOR_API_ROUTES_H
#define TACIT_COORDINATOR_API_ROUTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "core/base/arena.h"
#include "core/protocol/field.h"
#include "coordinator/run/runs.h"
#include "coordinator/service.h"

enum route_kind {
    ROUTE_READ,       /* the operation runs on a reader's snapshot, at once */
    ROUTE_WRITE,      /* it runs in the writer's transaction, and is answered after COMMIT */
    ROUTE_LONG_WRITE, /* a write whose preparation may take as long as a ROUTE_WORK */
    ROUTE_WORK,       /* it takes long, or waits: on a works thread, without a snapshot */
    ROUTE_CLAIM,      /* a write that waits where it finds nothing */
    ROUTE_BLOB,       /* bytes: transfer.c */
    ROUTE_EVENTS,     /* a stream of server-sent events: listeners.c */
    ROUTE_SESSION,    /* of the web page: access.c */
};

#define MAY(caller) (1u << (caller))
/* An operator's writes are events, told by method and path, unless the operation tells what it did:
 * nothing, where it changed nothing, was only tried, or is said again and again on the way. */
#define TELLS (1u << 31)
/* For anybody, with or without a token; MAY(CALLER_NONE) is that on loopback alone. */
#define ANYWHERE (1u << 30)

struct route {
    const char *method, *pattern; /* "/v1/jobs/{id}/complete" */
    enum route_kind kind;
    unsigned may;              /* MAY(…) of each kind of caller; TELLS, ANYWHERE */
    const struct message *in;  /* NULL: no body is read */
    const struct message *out; /* NULL: the operation gives raw JSON, or nothing */
    call_fn *fn;
    prepare_fn *prepare; /* runs before, on a works thread; or NULL */
    /* For the description of the API (openapi.h). */
    const struct message *raw; /* what raw JSON is made of; NULL: there is none */
    bool list;                 /* an array of these */
    const char *text;          /* or the type of what is no JSON; or NULL */
    unsigned queries;          /* QUERY_… that it reads */
    const char *about;         /* what it does, in a few words */
};

#define QUERY_RUN 1u
#define QUERY_STATE 2u
#define QUERY_LIMIT 4u
#define QUERY_AFTER 8u
#define QUERY_SINCE 16u
#define QUERY_JOB 32u

/* What stands for {name}, {id} or {digest} in a path. */
struct route_match {
    const char *name;
    uint64_t id;
    struct digest digest;
};

/* The route of method and path. NULL where there is none: then *allow is a list of the methods that
 * the path has ("GET, POST"), or NULL where the path is unknown. HEAD is served as GET. */
const struct route *route_find(const char *method, const char *path, struct arena *a,
                               struct route_match *match, const char **allow);

/* The row at i; NULL behind the last one. */
const struct route *route_at(size_t i);

#endif
