/* handle(request) → reply or deferred, knowing nothing of the HTTP server: server.c is the thin
 * shell around libmicrohttpd, and a simulation may be another.
 *
 * A shell makes one exchange a request, fills what the request's head says, and goes on as the
 * steps tell it:
 *
 *     api_begin ─┬─ API_REPLY     the reply is in exchange.reply
 *                ├─ API_BODY      collect the body into exchange.body, then api_handle
 *                ├─ API_BLOB_GET  the reply's head is ready, its body is exchange.blob
 *                └─ API_BLOB_PUT  the body goes to api_put_take, then api_put_end
 *     api_handle, api_put_take, api_put_end may give API_WAIT: suspend was called before, resume
 *     will be, from any thread; after that, api_handle again gives API_REPLY, and a put goes on.
 *
 *     api_handle may give API_STREAM: the reply's head is ready, its body comes from
 * api_stream_read until that says that it is over.
 *
 * Replies and their strings live as long as their exchange. */
#ifndef TACIT_COORDINATOR_API_API_H
#define TACIT_COORDINATOR_API_API_H

#include <stdbool.h>
#include <stdint.h>
#include "core/base/arena.h"
#include "core/base/buf.h"
#include "core/base/digest.h"
#include "core/base/err.h"
#include "coordinator/service.h"

struct api;

struct api_tokens {
    const char *admin, *join, *viewer; /* copied as digests; viewer may be NULL: there is none */
};

TACIT_MUST_CHECK int api_create(struct api **out, struct service *s, const struct api_tokens *t,
                                struct err *e);
/* No exchange may be left. */
void api_destroy(struct api *a);
/* Refuses what comes from now on (503), answers all waiting claims so, and returns once nothing is
 * deferred any more. */
void api_stop(struct api *a);

/* Answers claims that have waited long enough. *next_ms: the next deadline on the monotonic clock,
 * INT64_MAX where none waits. Whenever a sooner one comes up, poke(arg) is called. */
void api_tick(struct api *a, int64_t now_ms, int64_t *next_ms);
void api_on_deadline(struct api *a, void (*poke)(void *arg), void *arg);

enum api_step { API_REPLY, API_BODY, API_WAIT, API_MORE, API_BLOB_GET, API_BLOB_PUT, API_STREAM };

#define API_HEADERS_MAX 12
struct api_header {
    const char *name, *value;
};
struct api_reply {
    int status;
    const char *type; /* Content-Type, or NULL without a body */
    const char *body;
    size_t len;
    struct api_header headers[API_HEADERS_MAX];
    uint32_t header_count;
    bool close; /* the connection is of no further use */
};

/* The head of a request, as far as anything depends on it. Absent: NULL. Borrowed until the
 * exchange ends. */
struct api_request {
    const char *method, *path; /* path: decoded, without query */
    const char *authorization, *content_length, *transfer_encoding, *range;
    const char *upload_offset, *upload_length;
    const char *host, *origin, *cookie, *if_none_match;
    const char *last_event_id;
    const char *intent; /* X-Tacit-Request: a script of our own page says that it means to */
    const char *client; /* the address that asks */
    const char *query_run, *query_state, *query_limit, *query_after, *query_since;
    const char *request_id; /* taken over where it is sane */
    const char *query_job;  /* of a PUT of a blob: for which job it is */
};

#define API_REQUEST_ID_MAX 64
struct api_exchange {
    char id[API_REQUEST_ID_MAX + 1]; /* once api_begin has been called: of the log and the reply */
    struct api_request request;
    struct buf body; /* the shell appends; PROTOCOL_BODY_MAX at most */
    struct api_reply reply;
    struct {
        struct digest digest;
        uint64_t first, count; /* the bytes to send */
    } blob;

    /* The shell's: suspend is called on the thread of the step that will give API_WAIT, before
     * resume can be; both once a wait. */
    void (*suspend)(void *shell);
    void (*resume)(void *shell);
    void *shell;
};

/* NULL without memory. */
struct api_exchange *api_exchange_create(struct api *a);
/* Ends an exchange, at whatever point, but not between suspend and resume. Bytes that an upload has
 * taken are kept even where its connection broke. */
void api_exchange_end(struct api_exchange *x);

enum api_step api_begin(struct api_exchange *x);
enum api_step api_handle(struct api_exchange *x);
/* Takes some of len bytes, *taken of them. API_MORE, or API_WAIT, or API_REPLY where the upload has
 * failed: the rest of the body is of no use, and is skipped before the reply. */
enum api_step api_put_take(struct api_exchange *x, const void *data, size_t len, size_t *taken);
/* The body is whole. API_WAIT (then call it again) or API_REPLY. */
enum api_step api_put_end(struct api_exchange *x);
/* The next bytes of a stream of events, `max` at most. 0: there are none for now; suspend was
 * called, resume will be, and then this again. −1: it is over. */
int64_t api_stream_read(struct api_exchange *x, char *out, size_t max);
/* The body was longer than its maximum, or not what its head said: fills the reply. */
enum api_step api_body_too_large(struct api_exchange *x);

#endif
