#include "core/client/http_reply.h"

#include <stdlib.h>
#include <string.h>
#include "core/base/text.h"
#include "core/env/clock.h"
#include "core/protocol/messages.h"

#define RETRY_AFTER_MAX_S 86400 /* beyond a day it is no number of ours */

bool client__lingers(const struct client *c)
{
    return c->linger_until_ms != 0 && env_monotonic_ms() < c->linger_until_ms;
}

void reply_init(struct reply *r)
{
    memset(r, 0, sizeof *r);
    buf_init(&r->body, CLIENT_ANSWER_MAX);
}

void reply_free(struct reply *r)
{
    buf_free(&r->body);
}

int reply_take(struct reply *r, const char *data, size_t len)
{
    struct err ignored = {0}; /* too_long says it */
    if (buf_append(&r->body, data, len, &ignored) != 0) {
        r->too_long = true;
        return -1;
    }
    return 0;
}

void reply_header(struct reply *r, const char *name, const char *value)
{
    uint64_t n;
    if (!strcmp(name, "tacit-protocol")) {
        r->versioned = text_to_u64(value, &r->version);
    } else if (!strcmp(name, "upload-offset")) {
        r->has_offset = text_to_u64(value, &r->offset);
    } else if (!strcmp(name, "retry-after")) {
        r->retry_after = text_to_u64(value, &n) && n <= RETRY_AFTER_MAX_S ? n : 0;
    } else if (!strcmp(name, "content-length") && r->total == 0 && text_to_u64(value, &n)) {
        r->total = n;
    } else if (!strcmp(name, "content-range")) {
        const char *slash = strchr(value, '/');
        if (slash && text_to_u64(slash + 1, &n)) {
            r->total = n;
        }
    }
}

static int code_of_name(const char *name)
{
    static const struct {
        const char *name;
        int code;
    } list[] = {
#define REPLY_CODE_(code, number, text) {#code, number},
        ERR_LIST(REPLY_CODE_)
#undef REPLY_CODE_
    };
    for (size_t i = 0; name && i < sizeof list / sizeof *list; i++) {
        if (!strcmp(list[i].name, name)) {
            return list[i].code;
        }
    }
    return ERR_OK;
}

static int code_of_status(int status)
{
    switch (status) {
    case 400:
        return ERR_INVALID;
    case 401:
    case 403:
        return ERR_DENIED;
    case 404:
        return ERR_NOT_FOUND;
    case 409:
        return ERR_CONFLICT;
    case 413:
        return ERR_TOO_LARGE;
    case 429:
        return ERR_UNAVAILABLE;
    default:
        return status >= 500 ? ERR_UNAVAILABLE : ERR_PROTOCOL;
    }
}

/* A fault of the other side's machine is not one of this side's: for who asked, it is away. A full
 * disk keeps its name, since a person has to do something about it. */
static int as_seen_from_here(int code, int status)
{
    return status >= 500 && (code == ERR_NO_MEMORY || code == ERR_IO) ? ERR_UNAVAILABLE : code;
}

static int problem(const struct reply *r, const char *url, int status, struct err *e)
{
    struct arena a;
    struct msg_problem p;
    struct err ignored = {0};
    int rc;
    arena_init(&a, PROTOCOL_BODY_MAX);
    if (r->body.len > 0 &&
        message_decode(&message_problem, r->body.data, r->body.len, &p, &a, &ignored) == 0) {
        int code = as_seen_from_here(code_of_name(p.code), status);
        const char *text = p.detail && p.detail[0] ? p.detail : p.title;
        rc = err_set(e, code ? code : code_of_status(status), "%s",
                     text && text[0] ? text : "the coordinator refused without a reason");
    } else {
        rc = err_set(e, code_of_status(status), "%s answered with HTTP status %d", url, status);
    }
    arena_free(&a);
    return rc;
}

int reply_check(const struct reply *r, const char *url, int status, int rc, struct err *e)
{
    if (r->too_long) {
        return err_set(e, ERR_TOO_LARGE, "the answer of %s is longer than %u bytes", url,
                       CLIENT_ANSWER_MAX);
    }
    if (rc) {
        return rc;
    }
    if (r->versioned && r->version != PROTOCOL_VERSION) {
        return err_set(
            e, ERR_VERSION,
            "the coordinator at %s speaks protocol %llu, this program speaks %d: install "
            "the same version of tacit on both sides",
            url, (unsigned long long)r->version, PROTOCOL_VERSION);
    }
    if (!r->versioned && (status == 429 || status == 502 || status == 503 || status == 504)) {
        return err_set(e, ERR_UNAVAILABLE, "a proxy answers at %s with HTTP status %d", url,
                       status);
    }
    if (!r->versioned) {
        return err_set(e, ERR_PROTOCOL,
                       "what answers at %s is not tacitd (HTTP status %d, no %s header): check the "
                       "address and port",
                       url, status, PROTOCOL_HEADER);
    }
    return status >= 200 && status < 300 ? 0 : problem(r, url, status, e);
}

int client__check(struct client *c, const struct reply *r, int status, int rc, struct err *e)
{
    bool later = status == 429 || status == 503 || status == 507;
    c->retry_after_ms = rc == 0 && later ? (int64_t)r->retry_after * 1000 : 0;
    return reply_check(r, c->url, status, rc, e);
}
