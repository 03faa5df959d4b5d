/* coordinator/api/server.h without libmicrohttpd: drives the API's steps for wires of the simulated
 * network, a thread a request. */
#include "coordinator/api/server.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "core/env/clock.h"
#include "core/protocol/messages.h"
#include "coordinator/api/deadlines.h"
#include "coordinator/api/exchange.h"
#include "coordinator/store/blobs.h"
#include "tests/sim/ledger.h"
#include "tests/sim/net.h"

#define SILENCE_US (120 * SIM_SECOND) /* of a client, in a body: the connection is closed */
#define STOP_US (2 * SIM_SECOND)
#define READ_BYTES (32u << 10)
#define THINKING_US 2000 /* until a request's thread has its turn, at most */

struct server {
    struct api *api;
    struct service *service;
    struct deadlines *deadlines;
    struct machine *machine;
    unsigned exchanges;
    struct waiters idle;
    bool closed;
};

/* The one that listens. */
static struct server *listening;

struct request {
    struct server *server;
    struct wire *wire;
    struct api_exchange *exchange;
    bool suspended;
    struct waiters resumed;
};

static void on_suspend(void *arg)
{
    ((struct request *)arg)->suspended = true;
}

static void on_resume(void *arg)
{
    struct request *r = arg;
    ledger_committed(r->wire, (const struct exchange *)(const void *)r->exchange);
    r->suspended = false;
    world_wake_all(&r->resumed);
}

static void wait_resumed(struct request *r)
{
    while (r->suspended)
        world_wait(&r->resumed, SIM_NEVER);
}

/* --- replies --------------------------------------------------------------------------------- */

static void add_header(struct wire *w, const char *name, const char *value)
{
    char *n = strdup(name), *v = strdup(value);
    if (!n || !v || w->header_count == WIRE_HEADERS)
        abort();
    for (char *c = n; *c; c++)
        if (*c >= 'A' && *c <= 'Z')
            *c = (char)(*c - 'A' + 'a');
    w->names[w->header_count] = n;
    w->values[w->header_count++] = v;
}

static void announce(struct wire *w, size_t bytes)
{
    const struct link *l = net_link(w->client);
    w->down_at = world_now() + l->delay_us + (int64_t)world_draw((uint64_t)l->jitter_us + 1) +
                 (int64_t)(bytes / 16) * SIM_SECOND / l->bytes_s;
    world_wake_all(&w->client_waits);
}

static void append(struct wire *w, const void *data, size_t len)
{
    struct err ignored;
    if (len > 0 && buf_append(&w->down, data, len, &ignored))
        abort();
}

/* Piece by piece, as the client takes it. */
static void send_blob(struct request *r)
{
    struct wire *w = r->wire;
    const struct api_exchange *x = r->exchange;
    char piece[READ_BYTES];
    for (uint64_t at = 0; at < x->blob.count;) {
        struct err e = {0};
        size_t got = 0, cap = sizeof piece;
        while (w->down.len - w->down_read > WIRE_BUFFER && !w->client_done && !r->server->closed)
            world_wait(&w->server_waits, world_now() + SILENCE_US);
        if (w->client_done || r->server->closed)
            return;
        if (cap > x->blob.count - at)
            cap = (size_t)(x->blob.count - at);
        int rc = blob_read(r->server->service->store, &x->blob.digest, x->blob.first + at, piece,
                           cap, &got, &e);
        if (rc || got == 0) {
            ledger_broken_download(w, rc, e.message);
            w->server_gone = true;
            return;
        }
        append(w, piece, got);
        at += got;
        world_wake_all(&w->client_waits);
    }
    w->down_done = true;
    world_wake_all(&w->client_waits);
}

static void reply(struct request *r, bool blob)
{
    struct wire *w = r->wire;
    const struct api_reply *a = &r->exchange->reply;
    char number[24];
    ledger_reply(w, (const struct exchange *)(const void *)r->exchange);
    snprintf(number, sizeof number, "%d", PROTOCOL_VERSION);
    add_header(w, PROTOCOL_HEADER, number);
    if (a->type)
        add_header(w, "Content-Type", a->type);
    snprintf(number, sizeof number, "%zu", a->len);
    add_header(w, "Content-Length", number);
    for (uint32_t i = 0; i < a->header_count; i++)
        add_header(w, a->headers[i].name, a->headers[i].value);
    w->status = a->status;
    if (!blob)
        append(w, a->body, a->len);
    w->down_done = !blob || r->exchange->blob.count == 0 || strcmp(w->method, "HEAD") == 0;
    announce(w, w->down.len);
    if (!w->down_done)
        send_blob(r);
}

/* --- requests -------------------------------------------------------------------------------- */

/* Some bytes of the body, or its end (*len 0); false where the connection is gone. */
static bool body_bytes(struct request *r, const char **data, size_t *len)
{
    struct wire *w = r->wire;
    int64_t until = world_now() + SILENCE_US;
    while (w->up_read == w->up.len && !w->up_done) {
        if ((w->client_done && !w->shadow) || r->server->closed || world_now() >= until)
            return false;
        world_wait(&w->server_waits, until);
    }
    *data = w->up.data + w->up_read;
    *len = w->up.len - w->up_read;
    return true;
}

static void body_taken(struct wire *w, size_t len)
{
    w->up_read += len;
    world_wake_all(&w->client_waits);
}

/* JSON, to its end. */
static bool take_body(struct request *r, enum api_step *step)
{
    const char *data;
    size_t len;
    for (;;) {
        struct err e;
        if (!body_bytes(r, &data, &len))
            return false;
        if (len == 0)
            break;
        if (buf_append(&r->exchange->body, data, len, &e)) {
            *step = api_body_too_large(r->exchange);
            return true;
        }
        body_taken(r->wire, len);
    }
    ledger_arrived(r->wire);
    *step = api_handle(r->exchange);
    if (*step == API_WAIT) {
        wait_resumed(r);
        *step = api_handle(r->exchange);
    }
    return true;
}

static bool take_upload(struct request *r, enum api_step *step)
{
    const char *data;
    size_t len;
    for (;;) {
        size_t taken = 0;
        if (!body_bytes(r, &data, &len))
            return false;
        *step = len > 0 ? api_put_take(r->exchange, data, len, &taken) : api_put_end(r->exchange);
        body_taken(r->wire, taken);
        if (*step == API_WAIT)
            wait_resumed(r);
        if (*step == API_REPLY)
            return true;
    }
}

static void serve(void *arg)
{
    struct request *r = arg;
    struct wire *w = r->wire;
    struct api_exchange *x = api_exchange_create(r->server->api);
    if (!x)
        abort();
    r->exchange = x;
    x->suspend = on_suspend;
    x->resume = on_resume;
    x->shell = r;
    x->request = (struct api_request){.method = w->method,
                                      .path = w->path,
                                      .authorization = w->authorization,
                                      .content_length = w->content_length,
                                      .range = w->range,
                                      .upload_offset = w->upload_offset,
                                      .upload_length = w->upload_length,
                                      .query_run = w->query_run,
                                      .query_state = w->query_state,
                                      .query_limit = w->query_limit};
    world_sleep_until(world_now() + (int64_t)world_draw(THINKING_US));
    bool whole = true;
    enum api_step step = api_begin(x);
    bool blob = step == API_BLOB_GET;
    if (step == API_BODY)
        whole = take_body(r, &step);
    else if (step == API_BLOB_PUT)
        whole = take_upload(r, &step);
    if (whole)
        reply(r, blob);
    api_exchange_end(x);
    w->server_gone = w->server_gone || !w->down_done;
    wire_server_done(w);
    if (--r->server->exchanges == 0)
        world_wake_all(&r->server->idle);
    free(r);
}

bool server_accepts(struct machine *m)
{
    return listening && listening->machine == m && m->up && !listening->closed;
}

void server_accept(struct wire *w)
{
    struct request *r = calloc(1, sizeof *r);
    if (!r)
        abort();
    r->server = listening;
    r->wire = w;
    listening->exchanges++;
    world_spawn(listening->machine, serve, r, "request");
}

void server_forget(void)
{
    listening = NULL;
}

/* --- starting and stopping ------------------------------------------------------------------- */

int server_start(struct server **out, struct api *a, struct service *service,
                 const struct server_options *o, struct err *e)
{
    (void)o;
    struct server *s = calloc(1, sizeof *s);
    if (!s)
        return err_set(e, ERR_NO_MEMORY, "no memory for the server");
    s->api = a;
    s->service = service;
    s->machine = world_here();
    int rc = deadlines_start(&s->deadlines, a, e);
    if (rc) {
        free(s);
        return rc;
    }
    listening = s;
    *out = s;
    return 0;
}

uint16_t server_port(const struct server *s)
{
    (void)s;
    return 8420;
}

void server_stop(struct server *s)
{
    int64_t until = world_now() + STOP_US;
    api_stop(s->api);
    while (s->exchanges > 0 && world_wait(&s->idle, until))
        ;
    s->closed = true;
    for (struct wire *w = net_first(); w; w = w->next)
        if (w->server == s->machine)
            world_wake_all(&w->server_waits);
    while (s->exchanges > 0)
        world_wait(&s->idle, SIM_NEVER);
    deadlines_stop(s->deadlines);
}

void server_destroy(struct server *s)
{
    if (listening == s)
        listening = NULL;
    free(s);
}
