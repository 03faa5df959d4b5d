/* What the files of api/ share about an exchange beside its public part. */
#ifndef TACIT_COORDINATOR_API_EXCHANGE_H
#define TACIT_COORDINATOR_API_EXCHANGE_H

#include <stdatomic.h>
#include "core/env/thread.h"
#include "coordinator/api/api.h"
#include "coordinator/api/routes.h"
#include "coordinator/api/sessions.h"
#include "coordinator/api/tokens.h"
#include "coordinator/store/blobs.h"

struct exchange;
struct streams;
struct listener;

struct api {
    struct service *service;
    void (*poke)(void *arg);
    void *poke_arg;

    struct env_mutex
        mutex; /* guards what follows; nothing outside this struct is called under it */
    struct digest tokens[TOKEN_KINDS]; /* of those that are taken now */
    struct sessions sessions;
    struct env_cond calm;          /* deferred has become 0 */
    struct exchange *first, *last; /* claims that wait, oldest first */
    uint64_t sequence;             /* of the newest claim */
    uint64_t owed;                 /* wake-ups of claims that then failed */
    int64_t owed_at_ms;            /* when they go to others */
    uint32_t claiming;             /* claims that were not tried yet */
    uint32_t deferred;             /* exchanges between suspend and resume */
    uint32_t uploads;
    struct exchange *uploading; /* linked by next and previous, newest first */
    struct streams *streams;
    bool stopping;
};

enum exchange_state { EXCHANGE_NEW, EXCHANGE_DEFERRED, EXCHANGE_DONE };

struct exchange {
    struct api_exchange public; /* first: the shell holds a pointer to it */
    struct api *api;
    struct arena arena;
    const struct route *route;
    struct route_match match;
    struct call call;
    struct digest token; /* of the coordinator's own, or of the session, by which it asks */
    void *in, *out;
    enum exchange_state state;
    int rc;
    struct err err;

    /* A claim that waits. */
    struct exchange *previous, *next; /* also of uploads, and of listeners */
    uint64_t sequence;
    int64_t deadline_ms;
    bool claiming; /* it was not tried yet */
    bool woken;    /* a job became ready, and this claim was told */

    /* An upload. */
    struct blob_upload *upload;
    uint64_t size, offset;    /* of the blob; where this request goes on */
    bool whole;               /* the last chunk is on its way, or written */
    uint64_t job, began_ms;   /* for which it is, or 0; when it began (wall clock) */
    _Atomic uint64_t arrived; /* of the blob's bytes */
    bool buffered;            /* bytes were taken that no flush has written */

    struct listener *listener; /* of events: listeners.c */
};

static inline struct exchange *exchange_of(struct api_exchange *x)
{
    return (struct exchange *)(void *)x;
}

/* Suspends and counts; every deferral ends in exchange_resume, on any thread. False, with the reply
 * ready, once the coordinator stops. */
bool exchange_defer(struct exchange *x);
void exchange_resume(struct exchange *x);
/* The reply of x->rc and x->err; headers are added to it afterwards. */
enum api_step exchange_refuse(struct exchange *x, int status);
/* Sets x->err and x->rc first. */
#define exchange_fail(x, status, code_, ...)                                                       \
    ((x)->rc = err_set(&(x)->err, (code_), __VA_ARGS__), exchange_refuse((x), (status)))

/* waiters.c: whether one more claim can be queued; where not, the reply is ready, and says when to
 * come back. */
bool waiters_have_room(struct exchange *x);
/* It was not queued after all. */
void waiters_leave(struct exchange *x);
/* Queues the claim. */
void waiters_claim(struct exchange *x);
void waiters_jobs_ready(void *api, uint64_t jobs);
void waiters_stop(struct api *a);
/* listeners.c */
TACIT_MUST_CHECK int streams_create(struct streams **out, struct err *e);
void streams_destroy(struct streams *s);
enum api_step listener_begin(struct exchange *x);
void listener_end(struct exchange *x); /* where it has one */
/* Sees what is new, once a second while somebody listens. *next_ms: when again, if sooner. */
void streams_tick(struct api *a, int64_t now_ms, int64_t *next_ms);
void streams_stop(struct api *a); /* `stopping` is set */
/* access.c: whether the token or session by which it asks is still good. With a->mutex held. */
bool access_still(struct exchange *x, int64_t now_ms);
/* handle.c: the operation in a transaction (store_write_fn). */
int exchange_run(struct store_conn *c, void *x, struct err *e);

/* transfer.c */
enum api_step transfer_begin(struct exchange *x);
call_fn transfers_list; /* GET /v1/transfers → raw array of msg_transfer */
/* True where the exchange goes on without its connection, and frees itself. */
bool transfer_break(struct exchange *x);
void exchange_free(struct exchange *x);

#endif
