#include "coordinator/api/api.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "core/base/text.h"
#include "core/env/clock.h"
#include "core/protocol/messages.h"
#include "coordinator/api/access.h"
#include "coordinator/api/exchange.h"
#include "coordinator/api/web_pages.h"
#include "coordinator/api/problem.h"
#include "coordinator/api/tokens.h"
#include "coordinator/log.h"
#include "coordinator/run/events.h"
#include "coordinator/run/works.h"
#include "coordinator/tls/authority.h"

/* Of one request: a long list as JSON (run/reply.c), or a body's message. */
#define ARENA_MAX (96u << 20)

/* Whoever asks in this moment is let in by the one or the other. */
static int rotate_token(void *arg, int kind, char *token, struct err *e)
{
    struct api *a = arg;
    struct digest d;
    struct err left = {0};
    int rc = tokens_renew(a->service->dir, kind, token, e);

    if (rc)
        return rc;
    if (kind == TOKEN_JOIN && tls_join_token(a->service->dir, token, &left))
        log_warn("agent.join has the token of before: why=\"%s\"", left.message);
    digest_of(token, strlen(token), &d);
    env_mutex_lock(&a->mutex);
    a->tokens[kind] = d;
    env_mutex_unlock(&a->mutex);
    return 0;
}

int api_create(struct api **out, struct service *s, const struct api_tokens *t, struct err *e)
{
    struct api *a = calloc(1, sizeof *a);

    if (!a)
        return err_set(e, ERR_NO_MEMORY, "no memory for the API");
    a->service = s;
    digest_of(t->admin, strlen(t->admin), &a->tokens[TOKEN_ADMIN]);
    digest_of(t->join, strlen(t->join), &a->tokens[TOKEN_JOIN]);
    if (t->viewer)
        digest_of(t->viewer, strlen(t->viewer), &a->tokens[TOKEN_VIEWER]);
    int rc = streams_create(&a->streams, e);
    if (rc) {
        free(a);
        return rc;
    }
    env_mutex_init(&a->mutex);
    env_cond_init(&a->calm);
    s->api = a;
    s->jobs_ready_arg = a;
    s->jobs_ready = waiters_jobs_ready;
    s->rotate_token_arg = a;
    s->rotate_token = rotate_token;
    *out = a;
    return 0;
}

void api_destroy(struct api *a)
{
    if (!a)
        return;
    a->service->jobs_ready = NULL;
    env_cond_destroy(&a->calm);
    env_mutex_destroy(&a->mutex);
    streams_destroy(a->streams);
    free(a);
}

void api_on_deadline(struct api *a, void (*poke)(void *arg), void *arg)
{
    a->poke_arg = arg;
    a->poke = poke;
}

void api_stop(struct api *a)
{
    waiters_stop(a);
    streams_stop(a);
    env_mutex_lock(&a->mutex);
    while (a->deferred > 0)
        env_cond_wait(&a->calm, &a->mutex);
    env_mutex_unlock(&a->mutex);
}

struct api_exchange *api_exchange_create(struct api *a)
{
    struct exchange *x = calloc(1, sizeof *x);

    if (!x)
        return NULL;
    x->api = a;
    arena_init(&x->arena, ARENA_MAX);
    buf_init(&x->public.body, PROTOCOL_BODY_MAX);
    return &x->public;
}

void exchange_free(struct exchange *x)
{
    buf_free(&x->public.body);
    arena_free(&x->arena);
    free(x);
}

void api_exchange_end(struct api_exchange *public)
{
    struct exchange *x = exchange_of(public);

    listener_end(x);
    if (!transfer_break(x))
        exchange_free(x);
}

static enum api_step refuse_stopping(struct exchange *x)
{
    x->public.reply.close = true;
    return exchange_fail(x, 503, ERR_UNAVAILABLE, "the coordinator is stopping; try again later");
}

bool exchange_defer(struct exchange *x)
{
    env_mutex_lock(&x->api->mutex);
    bool stopping = x->api->stopping;
    x->api->deferred += !stopping;
    env_mutex_unlock(&x->api->mutex);
    if (stopping) {
        refuse_stopping(x);
        return false;
    }
    x->state = EXCHANGE_DEFERRED;
    x->public.suspend(x->public.shell);
    return true;
}

void exchange_resume(struct exchange *x)
{
    struct api *a = x->api;

    x->state = EXCHANGE_DONE;
    x->public.resume(x->public.shell); /* from here on x is its shell's */
    env_mutex_lock(&a->mutex);
    if (--a->deferred == 0)
        env_cond_broadcast(&a->calm);
    env_mutex_unlock(&a->mutex);
}

enum api_step exchange_refuse(struct exchange *x, int status)
{
    problem_reply(&x->public.reply, &x->arena, status, &x->err, x->public.id);
    return API_REPLY;
}

/* --- the head of a request ------------------------------------------------------------------- */

static enum api_step plain(struct exchange *x, int status, const char *text)
{
    x->public.reply = (struct api_reply){
        .status = status, .type = "text/plain; charset=utf-8", .body = text, .len = strlen(text)};
    return API_REPLY;
}

/* "/v2/…" of a program of another version. */
static bool other_version(const char *path, uint64_t *version)
{
    char number[24];
    size_t len = path[0] == '/' && path[1] == 'v' ? strcspn(path + 2, "/") : 0;

    if (len == 0 || len >= sizeof number)
        return false;
    memcpy(number, path + 2, len);
    number[len] = 0;
    return text_to_u64(number, version) && *version != PROTOCOL_VERSION;
}

/* Paths that lead to a route; what is elsewhere has been answered where it returns API_REPLY. */
static enum api_step outside(struct exchange *x)
{
    const char *path = x->public.request.path;
    uint64_t version;

    if (strcmp(path, "/healthz") == 0) {
        const char *method = x->public.request.method;
        if (strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0)
            return plain(x, 200, "ok\n");
        exchange_fail(x, 405, ERR_INVALID, "/healthz has no %.20s, only GET, HEAD", method);
        reply_add_header(&x->public.reply, "Allow", "GET, HEAD");
        return API_REPLY;
    }
    if (other_version(path, &version))
        return exchange_fail(x, 404, ERR_VERSION,
                             "this coordinator speaks protocol %d, the request is of protocol "
                             "%llu: install the same version of tacit on both sides",
                             PROTOCOL_VERSION, (unsigned long long)version);
    if (strcmp(path, "/metrics") == 0)
        return API_BODY;
    if (pages_serve(x) == API_REPLY)
        return API_REPLY;
    if (strncmp(path, "/v1/", 4) != 0 && strcmp(path, "/v1") != 0)
        return exchange_fail(x, 404, ERR_NOT_FOUND,
                             "there is nothing at this path; the API is below /v%d",
                             PROTOCOL_VERSION);
    return API_BODY;
}

/* allow: the methods that the path has, or NULL. */
static enum api_step refuse_path(struct exchange *x, const char *allow)
{
    const struct api_request *r = &x->public.request;

    if (!allow)
        return exchange_fail(x, 404, ERR_NOT_FOUND, "there is nothing at %.200s", r->path);
    exchange_fail(x, 405, ERR_INVALID, "%.200s has no %.20s, only %s", r->path, r->method, allow);
    reply_add_header(&x->public.reply, "Allow", allow);
    return API_REPLY;
}

static enum api_step read_query(struct exchange *x)
{
    const struct api_request *r = &x->public.request;

    x->call.query_run = r->query_run;
    x->call.query_state = r->query_state;
    if (r->query_limit && !text_to_u64(r->query_limit, &x->call.query_limit))
        return exchange_fail(x, 400, ERR_INVALID, "limit: not a whole number");
    if (r->query_since && !text_to_u64(r->query_since, &x->call.query_since))
        return exchange_fail(x, 400, ERR_INVALID, "since: not a whole number");
    if (r->query_after && !text_to_u64(r->query_after, &x->call.query_after))
        return exchange_fail(x, 400, ERR_INVALID, "after: not a whole number");
    return API_BODY;
}

/* What is said of the body before any of it is read. */
static enum api_step check_body(struct exchange *x)
{
    const struct api_request *r = &x->public.request;
    uint64_t length;

    if (r->content_length && r->transfer_encoding)
        return exchange_fail(x, 400, ERR_PROTOCOL,
                             "Content-Length and Transfer-Encoding exclude each other");
    if (r->content_length && !text_to_u64(r->content_length, &length))
        return exchange_fail(x, 400, ERR_PROTOCOL, "Content-Length: not a whole number");
    if (r->content_length && length > PROTOCOL_BODY_MAX && x->route->kind != ROUTE_BLOB)
        return api_body_too_large(&x->public);
    return API_BODY;
}

enum api_step api_body_too_large(struct api_exchange *public)
{
    return exchange_fail(exchange_of(public), 413, ERR_TOO_LARGE,
                         "the body is larger than the %u bytes that are accepted",
                         PROTOCOL_BODY_MAX);
}

/* The caller's, where it can stand in a log and a header as it is; else one of ours. */
static void take_id(struct api_exchange *public)
{
    const char *given = public->request.request_id;
    size_t len = given ? strspn(given, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                       "0123456789-_.")
                       : 0;
    uint64_t random;

    if (len > 0 && len <= API_REQUEST_ID_MAX && given[len] == 0) {
        memcpy(public->id, given, len + 1);
        return;
    }
    env_random(&random, sizeof random);
    snprintf(public->id, sizeof public->id, "%016llx", (unsigned long long)random);
}

enum api_step api_begin(struct api_exchange *public)
{
    struct exchange *x = exchange_of(public);
    const char *allow;
    bool stopping;

    take_id(public);
    x->call.service = x->api->service;
    x->call.arena = &x->arena;
    if (outside(x) == API_REPLY)
        return API_REPLY;
    env_mutex_lock(&x->api->mutex);
    stopping = x->api->stopping;
    env_mutex_unlock(&x->api->mutex);
    if (stopping)
        return refuse_stopping(x);
    x->route =
        route_find(x->public.request.method, x->public.request.path, &x->arena, &x->match, &allow);
    if (access_check(x) == API_REPLY)
        return API_REPLY;
    if (!x->route)
        return refuse_path(x, allow);
    if (read_query(x) == API_REPLY || check_body(x) == API_REPLY)
        return API_REPLY;
    x->call.name = x->match.name;
    x->call.id = x->match.id;
    return x->route->kind == ROUTE_BLOB ? transfer_begin(x) : API_BODY;
}

/* --- the operation --------------------------------------------------------------------------- */

static bool is_act(const struct exchange *x)
{
    bool write = x->route->kind == ROUTE_WRITE || x->route->kind == ROUTE_LONG_WRITE;

    return write && x->call.caller == CALLER_ADMIN && !x->call.told && !(x->route->may & TELLS);
}

int exchange_run(struct store_conn *c, void *arg, struct err *e)
{
    struct exchange *x = arg;

    /* The second try after a failed COMMIT starts as the first did. */
    x->call.conn = c;
    x->call.ready = 0;
    x->call.told = false;
    x->call.raw = NULL;
    x->call.raw_len = 0;
    x->call.raw_type = NULL;
    x->call.now_ms = env_monotonic_ms();
    x->call.wall_ms = env_wall_ms();
    if (x->route->out)
        memset(x->out, 0, x->route->out->size);
    int rc = x->route->fn(&x->call, x->in, x->out, e);
    if (rc || !is_act(x))
        return rc;
    return event_tell(&x->call, &(struct event){.kind = "operator"}, e, "%s %s",
                      x->public.request.method, x->public.request.path);
}

static void write_done(void *arg, int rc, const struct err *e)
{
    struct exchange *x = arg;

    x->rc = rc;
    if (rc)
        x->err = *e;
    waiters_jobs_ready(x->api, rc ? 0 : x->call.ready);
    exchange_resume(x);
}

static void prepare(void *arg)
{
    struct exchange *x = arg;
    struct err e = {0};
    int rc;

    x->call.now_ms = env_monotonic_ms();
    x->call.wall_ms = env_wall_ms();
    rc = x->route->prepare(&x->call, x->in, &e);
    if (rc)
        write_done(x, rc, &e);
    else
        store_write(x->api->service->store, exchange_run, write_done, x);
}

/* Knows no jobs_ready: what takes so long makes none. */
static void work(void *arg)
{
    struct exchange *x = arg;

    x->rc = exchange_run(NULL, x, &x->err);
    exchange_resume(x);
}

static enum api_step success(struct exchange *x)
{
    struct api_reply *r = &x->public.reply;
    const struct message *m = x->route->out;

    if (x->call.session) /* a browser's back button is not to show what a log-out has hidden */
        reply_add_header(r, "Cache-Control", "no-store");
    if (x->call.raw) {
        r->body = x->call.raw;
        r->len = x->call.raw_len;
    } else if (m) {
        /* The body has done its duty: its buffer takes the answer. */
        struct buf *b = &x->public.body;
        buf_free(b);
        b->max = ARENA_MAX;
        x->err.code = 0;
        x->rc = message_encode(m, x->out, b, &x->err);
        if (x->rc) {
            err_prefix(&x->err, "the answer");
            return exchange_refuse(x, 500);
        }
        r->body = b->data;
        r->len = b->len;
    }
    r->status = r->body ? 200 : 204;
    r->type = !r->body ? NULL : x->call.raw_type ? x->call.raw_type : "application/json";
    return API_REPLY;
}

/* Operators' changes, and what is refused to whom changes something: the rest, thousands of agents'
 * lines, is told where it is asked for. */
static void log_outcome(const struct exchange *x)
{
    bool write = x->route->kind == ROUTE_WRITE || x->route->kind == ROUTE_LONG_WRITE;
    const char *path = x->public.request.path;
    char who[48];

    if (!write || x->rc == ERR_UNAVAILABLE)
        return;
    snprintf(who, sizeof who,
             x->call.agent     ? "agent=%llu"
             : x->call.session ? "session=%llu"
                               : "operator",
             (unsigned long long)(x->call.agent ? x->call.agent : x->call.session));
    if (x->rc)
        log_warn("refused path=%s by=\"%s\" id=%s code=%s why=\"%s\"", path, who, x->public.id,
                 err_name(x->rc), x->err.message);
    else
        log_event(x->call.caller == CALLER_ADMIN ? "info" : "debug", "done path=%s by=\"%s\" id=%s",
                  path, x->call.caller == CALLER_JOIN ? "join" : who, x->public.id);
}

static enum api_step finish(struct exchange *x)
{
    log_outcome(x);
    if (!x->rc)
        return success(x);
    if (x->route->kind == ROUTE_CLAIM && x->rc == ERR_NOT_FOUND) {
        x->public.reply = (struct api_reply){.status = 204};
        return API_REPLY;
    }
    return exchange_refuse(x, 0);
}

static enum api_step read_now(struct exchange *x)
{
    struct store_conn *c;

    x->rc = store_read_begin(x->api->service->store, &c, &x->err);
    if (!x->rc) {
        x->rc = exchange_run(c, x, &x->err);
        store_read_end(x->api->service->store, c);
    }
    return finish(x);
}

static int decode_body(struct exchange *x)
{
    const struct message *in = x->route->in, *out = x->route->out;
    const struct buf *b = &x->public.body;

    x->in = in ? arena_alloc(&x->arena, in->size) : NULL;
    x->out = out ? arena_alloc(&x->arena, out->size) : NULL;
    if ((in && !x->in) || (out && !x->out))
        return err_set(&x->err, ERR_NO_MEMORY, "no memory for the request");
    if (in && b->len == 0)
        return err_set(&x->err, ERR_FORMAT, "a body is needed: a %s as JSON", in->name);
    return in ? message_decode(in, b->data, b->len, x->in, &x->arena, &x->err) : 0;
}

/* A job that is given back with nothing to check does not wait for those that check. */
static bool needs_prepare(const struct exchange *x)
{
    return x->route->prepare && !(x->route->in == &message_release &&
                                  ((const struct msg_release *)x->in)->output_count == 0);
}

enum api_step api_handle(struct api_exchange *public)
{
    struct exchange *x = exchange_of(public);

    if (x->state == EXCHANGE_DONE)
        return finish(x);
    x->rc = decode_body(x);
    if (x->rc)
        return exchange_refuse(x, 0);
    if (x->route->kind == ROUTE_SESSION)
        return access_session(x) == API_REPLY ? API_REPLY : finish(x);
    if (x->route->kind == ROUTE_EVENTS)
        return listener_begin(x);
    if (x->route->kind == ROUTE_READ)
        return read_now(x);
    bool claim = x->route->kind == ROUTE_CLAIM;
    if (claim && !waiters_have_room(x))
        return API_REPLY;
    if (!exchange_defer(x)) {
        waiters_leave(x);
        return API_REPLY;
    }
    if (claim)
        waiters_claim(x);
    else if (x->route->kind == ROUTE_WORK)
        works_submit_long(x->api->service->works, work, x);
    else if (x->route->kind == ROUTE_LONG_WRITE)
        works_submit_long(x->api->service->works, prepare, x);
    else if (needs_prepare(x))
        works_submit(x->api->service->works, prepare, x);
    else
        store_write(x->api->service->store, exchange_run, write_done, x);
    return API_WAIT;
}
