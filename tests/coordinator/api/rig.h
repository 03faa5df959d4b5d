/* A coordinator in this process on a free loopback port, and a client of raw sockets that can say
 * what no proper one would. */
#ifndef TACIT_TESTS_COORDINATOR_API_RIG_H
#define TACIT_TESTS_COORDINATOR_API_RIG_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>
#include "core/env/clock.h"
#include "coordinator/api/server.h"
#include "coordinator/api/tokens.h"
#include "coordinator/lease/lease.h"
#include "coordinator/run/works.h"
#include "coordinator/store/blobs.h"
#include "coordinator/store/store.h"
#include "tests/coordinator/store/temp_dir.h"

struct rig {
    char dir[64];
    struct service service;
    struct tokens tokens;
    struct api *api;
    struct server *server;
};

struct answer {
    int status;
    char head[4096];
    char *body; /* NUL-terminated; answer_free */
    size_t len;
    bool continued; /* "100 Continue" came first */
};

static inline void must(int rc, const struct err *e)
{
    if (rc)
        fail_msg("%s (%s)", e->message, e->origin);
}

static inline void rig_open(struct rig *r)
{
    struct listen_address address;
    struct server_options o = {.address = &address};
    struct err e = {0};

    signal(SIGPIPE, SIG_IGN);
    r->service = (struct service){.dir = r->dir, .started_ms = env_monotonic_ms()};
    must(store_open(&r->service.store, r->dir, &e), &e);
    must(lease_clock_create(&r->service.leases, &e), &e);
    must(tokens_open(r->dir, &r->tokens, &e), &e);
    must(api_create(&r->api, &r->service,
                    &(struct api_tokens){r->tokens.admin, r->tokens.join, r->tokens.viewer}, &e),
         &e);
    must(works_create(&r->service.works, &r->service, &e), &e);
    must(listen_address_parse("127.0.0.1:0", &address, &e), &e);
    must(server_start(&r->server, r->api, &r->service, &o, &e), &e);
}

static inline void rig_close(struct rig *r)
{
    server_stop(r->server);
    works_destroy(r->service.works);
    store_close(r->service.store);
    server_destroy(r->server);
    api_destroy(r->api);
    lease_clock_destroy(r->service.leases);
}

static inline int rig_setup(void **state)
{
    struct rig *r = calloc(1, sizeof *r);
    temp_dir_make(r->dir);
    rig_open(r);
    *state = r;
    return 0;
}

static inline int rig_teardown(void **state)
{
    struct rig *r = *state;
    rig_close(r);
    temp_dir_remove(r->dir);
    free(r);
    return 0;
}

/* --- sockets --------------------------------------------------------------------------------- */

static inline int rig_connect(struct rig *r)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons(server_port(r->server)),
                            .sin_addr = {htonl(INADDR_LOOPBACK)}};
    struct timeval patience = {.tv_sec = 20};
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    assert_true(fd >= 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
    return fd;
}

/* What the other side has closed meanwhile does not count. */
static inline void rig_send(int fd, const void *data, size_t len)
{
    const char *p = data;
    while (len > 0) {
        ssize_t n = send(fd, p, len, MSG_NOSIGNAL);
        if (n <= 0)
            return;
        p += n;
        len -= (size_t)n;
    }
}

static inline void rig_say(int fd, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static inline void rig_say(int fd, const char *fmt, ...)
{
    char text[4096];
    va_list args;

    va_start(args, fmt);
    int n = vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    assert_true(n > 0 && n < (int)sizeof text);
    rig_send(fd, text, (size_t)n);
}

static inline const char *answer_header(const struct answer *a, const char *name)
{
    static char value[512];
    size_t len = strlen(name);
    for (const char *line = strstr(a->head, "\r\n"); line; line = strstr(line + 2, "\r\n")) {
        if (strncasecmp(line + 2, name, len) == 0 && line[2 + len] == ':') {
            const char *v = line + 2 + len + 1;
            v += strspn(v, " ");
            snprintf(value, sizeof value, "%.*s", (int)strcspn(v, "\r"), v);
            return value;
        }
    }
    return NULL;
}

static inline size_t rig_head(int fd, char *head, size_t cap)
{
    size_t n = 0;
    while (n + 1 < cap && (n < 4 || memcmp(head + n - 4, "\r\n\r\n", 4) != 0)) {
        if (recv(fd, head + n, 1, 0) != 1)
            break;
        n++;
    }
    head[n] = 0;
    return n;
}

/* Reads one answer; status 0 where the connection closed without any. */
static inline void rig_hear(int fd, bool head_only, struct answer *a)
{
    memset(a, 0, sizeof *a);
    a->body = calloc(1, 1);
    do {
        rig_head(fd, a->head, sizeof a->head);
        a->status = a->head[0] ? atoi(a->head + 9) : 0;
        a->continued |= a->status == 100;
    } while (a->status == 100);
    const char *length = a->status ? answer_header(a, "Content-Length") : NULL;
    size_t wanted = length ? strtoull(length, NULL, 10) : 0;
    if (head_only || wanted == 0)
        return;
    a->body = realloc(a->body, wanted + 1);
    while (a->len < wanted) {
        ssize_t n = recv(fd, a->body + a->len, wanted - a->len, 0);
        if (n <= 0)
            break;
        a->len += (size_t)n;
    }
    a->body[a->len] = 0;
}

static inline void answer_free(struct answer *a)
{
    free(a->body);
    a->body = NULL;
}

/* "METHOD PATH", a token or NULL, more header lines ("A: b\r\n…"), a body. */
static inline void rig_ask(int fd, const char *line, const char *token, const char *more,
                           const void *body, size_t len)
{
    rig_say(fd, "%s HTTP/1.1\r\nHost: x\r\n", line);
    if (token)
        rig_say(fd, "Authorization: Bearer %s\r\n", token);
    if (more)
        rig_say(fd, "%s", more);
    if (body)
        rig_say(fd, "Content-Length: %zu\r\n", len);
    rig_say(fd, "\r\n");
    if (body)
        rig_send(fd, body, len);
}

/* The same on a connection of its own, with the answer. */
static inline int rig_call(struct rig *r, const char *line, const char *token, const char *more,
                           const void *body, size_t len, struct answer *a)
{
    int fd = rig_connect(r);
    rig_ask(fd, line, token, more, body, len);
    rig_hear(fd, strncmp(line, "HEAD", 4) == 0, a);
    close(fd);
    return a->status;
}

/* JSON calls whose answer's body matters little. */
static inline int rig_json(struct rig *r, const char *line, const char *token, const char *json,
                           struct answer *a)
{
    return rig_call(r, line, token, NULL, json, json ? strlen(json) : 0, a);
}

/* Joins agent number n and writes its token. */
static inline void rig_join(struct rig *r, int n, char token[PROTOCOL_TOKEN_MAX + 1])
{
    struct answer a;
    char json[300], hex[DIGEST_HEX + 1];
    struct digest d;
    const char *at;

    digest_of(&n, sizeof n, &d);
    snprintf(json, sizeof json, "{\"identity\":\"%s\",\"name\":\"agent-%d\",\"threads\":1}",
             digest_to_hex(&d, hex), n);
    assert_int_equal(rig_json(r, "POST /v1/agents", r->tokens.join, json, &a), 200);
    at = strstr(a.body, "\"token\":\"");
    assert_non_null(at);
    snprintf(token, PROTOCOL_TOKEN_MAX + 1, "%.*s", (int)strcspn(at + 9, "\""), at + 9);
    answer_free(&a);
}

#endif
