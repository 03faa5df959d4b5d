/* The service over HTTP: OpenAI's interface, a page to try it, figures for Prometheus. */
#ifndef TACIT_OPS_SERVE_SERVE_HTTP_H
#define TACIT_OPS_SERVE_SERVE_HTTP_H

#include <netinet/in.h>
#include "core/base/digest.h"
#include "ops/serve/question.h"

struct http_options {
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } address;
    bool loopback;                 /* the address is one: other names of this host are refused */
    const struct digest *keys;     /* digests of API keys */
    uint32_t key_count;            /* 0: none is needed */
    const char *certificate, *key; /* PEM texts for TLS; NULL: none */
    const struct chat_template *chat;
    uint32_t connections; /* at most */
};

struct http;
/* "127.0.0.1:8420", "[::1]:80", "localhost:0", ":8080": everywhere. */
TACIT_MUST_CHECK int http_address(const char *text, struct http_options *o, struct err *e);
TACIT_MUST_CHECK int http_start(struct http **out, struct serve *s, const struct http_options *o,
                                struct err *e);
uint16_t http_port(const struct http *h);
/* Waits up to grace_ms for answers that were asked for, refusing others, then ends. */
void http_stop(struct http *h, int64_t grace_ms);

/* The page's files. */
struct page_file {
    const char *path, *type, *begin, *end;
};
extern const struct page_file page_files[]; /* ended by a NULL path */

#endif
