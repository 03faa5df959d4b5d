#include "coordinator/api/problem.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include "core/base/text.h"
#include "core/protocol/messages.h"

#define RETRY_AFTER_S "2"       /* what is busy here is busy for a second, or stopping */
#define RETRY_AFTER_FULL_S "10" /* a full disk is made room on by a person, or by what ages */

int problem_status(int code)
{
    switch (code) {
    case ERR_FORMAT:
    case ERR_PROTOCOL:
        return 400;
    case ERR_INVALID:
    case ERR_RANGE:
    case ERR_DIGEST:
    case ERR_NOT_FINITE:
        return 422;
    case ERR_DENIED:
    case ERR_BENCHED:
    case ERR_DRAINED:
        return 403;
    case ERR_NOT_FOUND:
    case ERR_VERSION:
        return 404;
    case ERR_EXISTS:
    case ERR_CONFLICT:
    case ERR_FENCED:
        return 409;
    case ERR_TOO_LARGE:
        return 413;
    case ERR_NO_SPACE:
        return 507;
    case ERR_NO_MEMORY:
    case ERR_BUSY:
    case ERR_UNAVAILABLE:
    case ERR_TIMEOUT:
    case ERR_STOPPED:
        return 503;
    default:
        return 500;
    }
}

void reply_add_header(struct api_reply *r, const char *name, const char *value)
{
    assert(r->header_count < API_HEADERS_MAX);
    if (value)
        r->headers[r->header_count++] = (struct api_header){name, value};
}

void problem_retry_after(struct api_reply *r, struct arena *a, uint64_t seconds)
{
    const char *value = arena_printf(a, "%llu", (unsigned long long)seconds);

    for (uint32_t i = 0; value && i < r->header_count; i++)
        if (strcmp(r->headers[i].name, "Retry-After") == 0)
            r->headers[i].value = value;
}

void problem_reply(struct api_reply *r, struct arena *a, int status, const struct err *e,
                   const char *request)
{
    char detail[sizeof e->message], instance[120];
    struct msg_problem p = {.type = "about:blank",
                            .title = err_text(e->code),
                            .detail = detail,
                            .code = err_name(e->code),
                            .status = (uint64_t)(status ? status : problem_status(e->code))};
    if (e->code == ERR_IO) { /* this machine's disk, not the caller's: he may come again */
        p.code = err_name(ERR_UNAVAILABLE);
        p.status = (uint64_t)(status ? status : 503);
    }
    snprintf(instance, sizeof instance, "urn:tacit:request:%s", request);
    p.instance = request[0] ? instance : NULL;
    struct buf b;
    struct err ignored; /* a problem that cannot be written goes without a body */

    memcpy(detail, e->message, sizeof detail);
    text_make_utf8(detail); /* it may carry what a client sent, or be cut within a character */
    *r = (struct api_reply){.status = (int)p.status, .close = r->close};
    buf_init(&b, 8192);
    if (message_encode(&message_problem, &p, &b, &ignored) == 0) {
        r->body = arena_strndup(a, b.data, b.len);
        r->len = r->body ? b.len : 0;
        r->type = r->body ? "application/problem+json" : NULL;
    }
    buf_free(&b);
    if (r->status == 503)
        reply_add_header(r, "Retry-After", RETRY_AFTER_S);
    if (r->status == 507)
        reply_add_header(r, "Retry-After", RETRY_AFTER_FULL_S);
    if (r->status == 401)
        reply_add_header(r, "WWW-Authenticate", "Bearer realm=\"tacit\"");
}
