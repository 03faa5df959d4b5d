/* Private to core/client: what is kept of an answer beside a blob's bytes, and how it becomes an
 * error in plain words. */
#ifndef TACIT_CLIENT_HTTP_REPLY_H
#define TACIT_CLIENT_HTTP_REPLY_H

#include <stdbool.h>
#include <stdint.h>
#include "core/base/buf.h"
#include "core/base/err.h"

/* Bytes of an answer of JSON: lists and grants grow with what they name; a server of 10,000 agents
 * tells of them in about 4 MiB. */
#define CLIENT_ANSWER_MAX (64u << 20)

struct client {
    uint64_t job; /* whose outputs are uploaded; 0: none's */
    struct env_http *http;
    char *url;               /* without a path or trailing '/' */
    int64_t linger_until_ms; /* exchanges go on through a stop until then; 0: they do not */
    int64_t retry_after_ms;  /* of the last exchange */
};

/* Whether an exchange that begins now may go on although a stop was requested. */
bool client__lingers(const struct client *c);

struct reply {
    struct buf body;
    bool too_long;          /* the body was longer than a JSON body may be */
    bool versioned;         /* the protocol header was there */
    uint64_t version;       /* and said so */
    bool has_offset;        /* Upload-Offset was there */
    uint64_t retry_after;   /* seconds; 0: not said */
    uint64_t offset, total; /* total: of a blob, from Content-Range or Content-Length; 0: unknown */
};

void reply_init(struct reply *r);
void reply_free(struct reply *r);
/* A callback's part: takes len bytes of the body; non-zero where there are too many. */
int reply_take(struct reply *r, const char *data, size_t len);
void reply_header(struct reply *r, const char *name, const char *value);

/* reply_check, keeping the other side's wish for client_retry_after_ms. */
TACIT_MUST_CHECK int client__check(struct client *c, const struct reply *r, int status, int rc,
                                   struct err *e);
/* After an exchange that returned rc: 0 where it brought a success (2xx) of this protocol; else the
 * problem that the server told, or what else is wrong. */
TACIT_MUST_CHECK int reply_check(const struct reply *r, const char *url, int status, int rc,
                                 struct err *e);

#endif
