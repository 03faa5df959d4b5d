#include "ops/serve/serve_http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <jansson.h>
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "core/base/text.h"
#include "core/env/clock.h"
#include "core/env/process.h"
#include "core/env/socket.h"
#include "ops/serve/serve_metrics.h"

#define BODY_MAX (4u << 20)
#define OUT_MAX (64u << 20)
#define CONNECTION_BYTES (32u << 10)
#define CONNECTION_SECONDS 60 /* without a byte; those that wait for an answer don't count */
#define READ_BYTES (16u << 10)
#define SCORES_SHOWN_MAX 64 /* of a header */
#define STOP_POLL_MS 20

struct http {
    struct serve *serve;
    struct http_options o;
    struct MHD_Daemon *daemon;
    char problem[200];
    bool starting;
    _Atomic int exchanges;
    _Atomic uint64_t responses[4]; /* 2xx … 5xx */
};

enum phase { PHASE_HEAD, PHASE_BODY, PHASE_SKIP, PHASE_WAIT, PHASE_REPLIED };

/* A request. Fields that the worker's wake touches are guarded by the serve lock. */
struct exchange {
    struct http *http;
    struct MHD_Connection *connection;
    const char *method, *url;
    enum phase phase;
    int status; /* of a refusal, its text in out */
    struct buf body, out;
    size_t sent; /* of out */
    struct question question;
    bool asked;
    bool suspended, abandoned;
    int fd;
};

/* --- replies ------------------------------------------------------------------------------------
 */

static enum MHD_Result queue(struct exchange *x, unsigned status, struct MHD_Response *r,
                             const char *type)
{
    if (!r)
        return MHD_NO;
    MHD_add_response_header(r, "Content-Type", type);
    MHD_add_response_header(r, "X-Content-Type-Options", "nosniff");
    if (status == 401)
        MHD_add_response_header(r, "WWW-Authenticate", "Bearer");
    if (status == 429 || status == 503)
        MHD_add_response_header(r, "Retry-After", "1");
    if (status >= 200 && status < 600)
        atomic_fetch_add(&x->http->responses[status / 100 - 2], 1);
    x->phase = PHASE_REPLIED;
    const enum MHD_Result done = MHD_queue_response(x->connection, status, r);
    MHD_destroy_response(r);
    return done;
}

static enum MHD_Result reply_text(struct exchange *x, unsigned status, const char *type)
{
    return queue(x, status,
                 MHD_create_response_from_buffer(
                     x->out.len, x->out.data ? x->out.data : (char[]){0}, MHD_RESPMEM_MUST_COPY),
                 type);
}

static enum MHD_Result reply_error(struct exchange *x, const struct err *why, const char *param,
                                   int status)
{
    buf_reset(&x->out);
    const int own = question_error(why, param, &x->out);
    return reply_text(x, (unsigned)(status ? status : own), "application/json");
}

/* --- answers ------------------------------------------------------------------------------------
 */

static void exchange_free(struct exchange *x)
{
    buf_free(&x->body);
    buf_free(&x->out);
    question_free(&x->question);
    serve_answer_destroy(x->question.answer);
    free(x);
}

/* Lock held. */
static void on_wake(struct serve_answer *a)
{
    struct exchange *x = a->arg;
    if (x->abandoned) {
        if (a->done)
            exchange_free(x);
        return;
    }
    if (x->suspended && (a->done || x->question.stream)) {
        x->suspended = false;
        MHD_resume_connection(x->connection);
    }
}

/* Without a byte to send, the server does not see that a client has gone. */
static bool has_gone(struct serve_answer *a)
{
    const struct exchange *x = a->arg;
    return !x->abandoned && env_socket_hung_up(x->fd);
}

static void add_routing(struct exchange *x, struct MHD_Response *r)
{
    const struct serve_answer *a = x->question.answer;
    const uint32_t experts = serve_source_of(x->http->serve)->experts;
    struct err ignored = {0};
    struct buf text;
    buf_init(&text, 8192);
    for (uint32_t i = 0; i < a->choice_count; i += a->per_prompt)
        (void)!buf_printf(&text, &ignored, "%s%u", i ? "," : "", a->choices[i].expert);
    MHD_add_response_header(r, "X-Tacit-Expert", text.data);
    buf_reset(&text);
    for (uint32_t e = 0; e < experts && experts <= SCORES_SHOWN_MAX; e++)
        (void)!buf_printf(&text, &ignored, "%s%.4f", e ? "," : "", a->choices[0].scores[e]);
    if (text.len > 0)
        MHD_add_response_header(r, "X-Tacit-Scores", text.data);
    buf_free(&text);
}

/* The next bytes of a stream; suspends where there are none yet. */
static ssize_t stream_read(void *arg, uint64_t at, char *out, size_t max)
{
    struct exchange *x = arg;
    struct err e = {0};
    ssize_t n = 0;
    (void)at;
    serve_lock(x->http->serve);
    if (x->sent == x->out.len) {
        buf_reset(&x->out);
        x->sent = 0;
        if (question_events(&x->question, x->http->serve, &x->out, &e))
            n = MHD_CONTENT_READER_END_WITH_ERROR;
    }
    const size_t left = x->out.len - x->sent;
    if (n == 0 && left > 0) {
        n = (ssize_t)(left < max ? left : max);
        memcpy(out, x->out.data + x->sent, (size_t)n);
        x->sent += (size_t)n;
    } else if (n == 0 && x->question.ended) {
        n = MHD_CONTENT_READER_END_OF_STREAM;
    } else if (n == 0) {
        x->suspended = true;
        MHD_suspend_connection(x->connection);
    }
    serve_unlock(x->http->serve);
    return n;
}

static enum MHD_Result reply_stream(struct exchange *x)
{
    struct MHD_Response *r =
        MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, READ_BYTES, stream_read, x, NULL);
    if (!r)
        return MHD_NO;
    buf_reset(&x->out);
    MHD_add_response_header(r, "Cache-Control", "no-cache");
    MHD_add_response_header(r, "X-Accel-Buffering", "no");
    add_routing(x, r);
    return queue(x, 200, r, "text/event-stream; charset=utf-8");
}

/* Called again after each resumption, until there is something to reply. */
static enum MHD_Result reply_answer(struct exchange *x)
{
    struct serve_answer *a = x->question.answer;
    struct err e = {0};
    serve_lock(x->http->serve);
    const bool ready = a->done || (x->question.stream && a->routed && !a->err.code);
    if (!ready) {
        x->suspended = true;
        MHD_suspend_connection(x->connection);
        serve_unlock(x->http->serve);
        return MHD_YES;
    }
    if (a->done && a->err.code)
        e = a->err;
    else if (!x->question.stream)
        (void)!question_whole(&x->question, x->http->serve, &x->out, &e);
    serve_unlock(x->http->serve);
    if (e.code)
        return reply_error(x, &e, NULL, 0);
    if (x->question.stream)
        return reply_stream(x);
    struct MHD_Response *r =
        MHD_create_response_from_buffer(x->out.len, x->out.data, MHD_RESPMEM_MUST_COPY);
    if (r)
        add_routing(x, r);
    return queue(x, 200, r, "application/json");
}

static enum MHD_Result ask(struct exchange *x, bool chat)
{
    struct http *h = x->http;
    struct err e = {0};
    int rc = question_parse(&x->question, h->serve, h->o.chat, chat, x->body.data, x->body.len, &e);
    if (!rc) {
        x->question.answer->wake = on_wake;
        x->question.answer->gone = has_gone;
        x->question.answer->arg = x;
        rc = serve_ask(h->serve, x->question.answer, &e);
    }
    if (rc)
        return reply_error(x, &e, x->question.param, 0);
    x->asked = true;
    x->phase = PHASE_WAIT;
    return reply_answer(x);
}

/* --- what is no answer ---------------------------------------------------------------------------
 */

static enum MHD_Result reply_json(struct exchange *x, json_t *root)
{
    char *text = root ? json_dumps(root, JSON_COMPACT) : NULL;
    json_decref(root);
    if (!text)
        return MHD_NO;
    const enum MHD_Result done =
        queue(x, 200, MHD_create_response_from_buffer(strlen(text), text, MHD_RESPMEM_MUST_FREE),
              "application/json");
    return done;
}

static json_t *model_json(const struct http *h)
{
    const struct serve_source *s = serve_source_of(h->serve);
    return json_pack("{s:s, s:s, s:i, s:s, s:i, s:i, s:i}", "id", s->name, "object", "model",
                     "created", 0, "owned_by", "tacit", "max_model_len", (int)s->expert.seq,
                     "experts", (int)s->experts, "prefix", (int)s->prefix);
}

static enum MHD_Result reply_models(struct exchange *x)
{
    const char *name = x->url + strlen("/v1/models");
    struct err e = {0};
    if (*name == 0)
        return reply_json(x,
                          json_pack("{s:s, s:[o]}", "object", "list", "data", model_json(x->http)));
    if (strcmp(name + 1, serve_source_of(x->http->serve)->name) == 0)
        return reply_json(x, model_json(x->http));
    err_set(&e, ERR_NOT_FOUND, "the model \"%.80s\" is not here", name + 1);
    return reply_error(x, &e, "model", 0);
}

/* {"prompt": …} → {"expert": …, "tokens": …, "routed_on": …, "scores": […]}. */
static enum MHD_Result reply_route(struct exchange *x)
{
    const struct serve_source *s = serve_source_of(x->http->serve);
    json_t *root = json_loadb(x->body.data ? x->body.data : "", x->body.len, 0, NULL);
    const char *prompt = json_string_value(json_object_get(root, "prompt"));
    float *scores = calloc(s->experts, sizeof *scores);
    uint32_t *ids = NULL, expert = 0, on = 0;
    size_t count = 0, cap = 0;
    struct err e = {0};
    int rc = scores ? 0 : err_set(&e, ERR_NO_MEMORY, "no memory for scores");
    if (!rc && !prompt)
        rc = err_set(&e, ERR_INVALID, "{\"prompt\": text} is wanted");
    if (!rc)
        rc = tokenizer_encode(s->tokenizer, prompt, strlen(prompt), &ids, &count, &cap, &e);
    if (!rc && count > 0)
        rc = serve_route(x->http->serve, ids, (uint32_t)(count < s->prefix ? count : s->prefix),
                         scores, &expert, &on, &e);
    json_t *list = json_array();
    for (uint32_t i = 0; !rc && i < s->experts; i++)
        json_array_append_new(list, json_real(scores[i]));
    free(scores);
    free(ids);
    json_decref(root);
    if (rc) {
        json_decref(list);
        return reply_error(x, &e, "prompt", 0);
    }
    return reply_json(x, json_pack("{s:i, s:i, s:i, s:i, s:o}", "expert", (int)expert, "tokens",
                                   (int)count, "routed_on", (int)on, "prefix", (int)s->prefix,
                                   "scores", list));
}

static enum MHD_Result reply_page(struct exchange *x, const struct page_file *f)
{
    struct MHD_Response *r = MHD_create_response_from_buffer(
        (size_t)(f->end - f->begin), (void *)(uintptr_t)f->begin, MHD_RESPMEM_PERSISTENT);
    if (!r)
        return MHD_NO;
    MHD_add_response_header(r, "Content-Security-Policy",
                            "default-src 'none'; script-src 'self'; style-src 'self'; "
                            "connect-src 'self'; img-src data:; base-uri 'none'; form-action "
                            "'none'; frame-ancestors 'none'");
    MHD_add_response_header(r, "Referrer-Policy", "no-referrer");
    MHD_add_response_header(r, "Cache-Control", "no-cache");
    return queue(x, 200, r, f->type);
}

static enum MHD_Result reply_get(struct exchange *x)
{
    struct err e = {0};
    for (const struct page_file *f = page_files; f->path; f++)
        if (strcmp(x->url, f->path) == 0)
            return reply_page(x, f);
    if (strncmp(x->url, "/v1/models", 10) == 0 && (x->url[10] == 0 || x->url[10] == '/'))
        return reply_models(x);
    if (strcmp(x->url, "/metrics") == 0) {
        metrics_write(x->http->serve, x->http->responses, &x->out);
        return reply_text(x, 200, "text/plain; version=0.0.4; charset=utf-8");
    }
    if (strcmp(x->url, "/healthz") == 0)
        return reply_json(x, json_pack("{s:s}", "status", "ok"));
    err_set(&e, ERR_NOT_FOUND, "there is nothing at %.100s", x->url);
    return reply_error(x, &e, NULL, 404);
}

/* --- who may -------------------------------------------------------------------------------------
 */

static bool is_public(const struct exchange *x)
{
    for (const struct page_file *f = page_files; f->path; f++)
        if (strcmp(x->url, f->path) == 0)
            return true;
    return strcmp(x->url, "/healthz") == 0;
}

static bool has_key(const struct http *h, const char *authorization)
{
    struct digest d;
    bool found = false;
    if (!authorization || strncasecmp(authorization, "Bearer ", 7) != 0)
        return false;
    digest_of(authorization + 7, strlen(authorization + 7), &d);
    for (uint32_t i = 0; i < h->o.key_count; i++)
        found = digest_equal(&d, &h->o.keys[i]) || found;
    return found;
}

/* Without keys, a page of another site could ask by a name that it makes point here. */
static bool is_local_name(const char *host)
{
    static const char *const names[] = {"localhost", "127.0.0.1", "[::1]"};
    if (!host)
        return true;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const size_t len = strlen(names[i]);
        if (strncasecmp(host, names[i], len) == 0 && (host[len] == 0 || host[len] == ':'))
            return true;
    }
    return strncmp(host, "127.", 4) == 0;
}

/* 0, or the status with the reason. */
static int refuse(struct exchange *x, struct err *e)
{
    struct MHD_Connection *c = x->connection;
    const struct http *h = x->http;
#define HEADER(name) MHD_lookup_connection_value(c, MHD_HEADER_KIND, name)
    const char *length = HEADER("Content-Length"), *type = HEADER("Content-Type");
    const bool post = strcmp(x->method, "POST") == 0;
    uint64_t bytes = 0;
    if (h->o.key_count == 0 && h->o.loopback && !is_local_name(HEADER("Host"))) {
        err_set(e, ERR_DENIED, "only names of this machine are answered without API keys");
        return 403;
    }
    if (h->o.key_count > 0 && !is_public(x) && !has_key(h, HEADER("Authorization"))) {
        err_set(e, ERR_DENIED, "an API key is needed: Authorization: Bearer KEY");
        return 401;
    }
    if (!post && strcmp(x->method, "GET") != 0 && strcmp(x->method, "HEAD") != 0) {
        err_set(e, ERR_INVALID, "%.20s is not known here", x->method);
        return 405;
    }
    if (length && HEADER("Transfer-Encoding")) {
        err_set(e, ERR_INVALID, "Content-Length and Transfer-Encoding: one of them");
        return 400;
    }
    if (length && (!text_to_u64(length, &bytes) || bytes > BODY_MAX)) {
        err_set(e, ERR_TOO_LARGE, "the body may have %u bytes", BODY_MAX);
        return 413;
    }
    /* Pages of other sites can send this type only after asking, and are never allowed to. */
    if (post && (!type || strncasecmp(type, "application/json", 16) != 0)) {
        err_set(e, ERR_INVALID, "Content-Type: application/json is wanted");
        return 415;
    }
    return 0;
#undef HEADER
}

/* --- requests ------------------------------------------------------------------------------------
 */

static struct exchange *exchange_create(struct http *h, struct MHD_Connection *c, const char *url,
                                        const char *method)
{
    struct exchange *x = calloc(1, sizeof *x);
    const union MHD_ConnectionInfo *fd =
        MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD);
    if (!x)
        return NULL;
    *x = (struct exchange){
        .http = h, .connection = c, .url = url, .method = method, .fd = fd ? fd->connect_fd : -1};
    buf_init(&x->body, BODY_MAX);
    buf_init(&x->out, OUT_MAX);
    atomic_fetch_add(&h->exchanges, 1);
    return x;
}

static enum MHD_Result take_head(struct exchange *x)
{
    struct err e = {0};
    x->status = refuse(x, &e);
    x->phase = x->status ? PHASE_SKIP : PHASE_BODY;
    if (!x->status)
        return MHD_YES;
    if (strcmp(x->method, "POST") == 0) /* the body may be on its way */
        return reply_error(x, &e, NULL, x->status);
    (void)question_error(&e, NULL, &x->out);
    return MHD_YES;
}

static enum MHD_Result take_end(struct exchange *x)
{
    struct err e = {0};
    if (x->phase == PHASE_WAIT)
        return reply_answer(x);
    if (x->phase == PHASE_SKIP)
        return reply_text(x, (unsigned)x->status, "application/json");
    if (strcmp(x->method, "POST") != 0)
        return reply_get(x);
    if (strcmp(x->url, "/v1/completions") == 0)
        return ask(x, false);
    if (strcmp(x->url, "/v1/chat/completions") == 0)
        return ask(x, true);
    if (strcmp(x->url, "/v1/route") == 0)
        return reply_route(x);
    err_set(&e, ERR_NOT_FOUND, "there is nothing at %.100s", x->url);
    return reply_error(x, &e, NULL, 404);
}

static enum MHD_Result on_request(void *arg, struct MHD_Connection *c, const char *url,
                                  const char *method, const char *version, const char *data,
                                  size_t *size, void **context)
{
    struct exchange *x = *context;
    struct err e = {0};
    (void)version;
    if (!x) {
        x = exchange_create(arg, c, url, method);
        *context = x;
        return x ? take_head(x) : MHD_NO;
    }
    if (*size == 0)
        return x->phase == PHASE_REPLIED ? MHD_YES : take_end(x);
    if (x->phase == PHASE_BODY && buf_append(&x->body, data, *size, &e)) {
        x->phase = PHASE_SKIP;
        x->status = 413;
        (void)question_error(&e, NULL, &x->out);
    }
    *size = 0;
    return MHD_YES;
}

static void on_completed(void *arg, struct MHD_Connection *c, void **context,
                         enum MHD_RequestTerminationCode code)
{
    struct http *h = arg;
    struct exchange *x = *context;
    (void)c;
    (void)code;
    if (!x)
        return;
    *context = NULL;
    atomic_fetch_sub(&h->exchanges, 1);
    if (!x->asked) {
        exchange_free(x);
        return;
    }
    serve_lock(h->serve);
    const bool done = x->question.answer->done;
    x->abandoned = true;
    x->question.answer->cancelled = true;
    serve_unlock(h->serve);
    if (done) /* otherwise the worker's last wake frees it */
        exchange_free(x);
}

/* --- starting and stopping -----------------------------------------------------------------------
 */

int http_address(const char *text, struct http_options *o, struct err *e)
{
    const char *colon = strrchr(text, ':');
    char host[64];
    uint64_t port;
    const size_t len = colon ? (size_t)(colon - text) : 0;
    if (!colon || !text_to_u64(colon + 1, &port) || port > 65535 || len >= sizeof host)
        return err_set(e, ERR_INVALID,
                       "--listen %.100s: HOST:PORT is wanted, such as 127.0.0.1:8000", text);
    memcpy(host, text, len);
    host[len] = 0;
    if (host[0] == '[' && host[len - 1] == ']') {
        host[len - 1] = 0;
        o->address.v6 =
            (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
        o->loopback = strcmp(host + 1, "::1") == 0;
        if (inet_pton(AF_INET6, host + 1, &o->address.v6.sin6_addr) == 1)
            return 0;
    }
    const char *v4 = len == 0 ? "0.0.0.0" : strcmp(host, "localhost") == 0 ? "127.0.0.1" : host;
    o->address.v4 = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    if (inet_pton(AF_INET, v4, &o->address.v4.sin_addr) != 1)
        return err_set(e, ERR_INVALID, "--listen %.100s: \"%s\" is no address of this machine",
                       text, host);
    o->loopback = ntohl(o->address.v4.sin_addr.s_addr) >> 24 == 127;
    return 0;
}

static void on_log(void *arg, const char *fmt, va_list args) __attribute__((format(printf, 2, 0)));

static void on_log(void *arg, const char *fmt, va_list args)
{
    struct http *h = arg;
    if (h->starting)
        vsnprintf(h->problem, sizeof h->problem, fmt, args);
}

static struct MHD_Daemon *daemon_start(struct http *h)
{
    const struct http_options *o = &h->o;
    /* Not epoll: with it, one thread and many clients that break off, libmicrohttpd 0.9.75 left
     * connections lying for a minute now and then. So few are polled as fast. */
    unsigned flags = MHD_USE_POLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG;
    struct MHD_OptionItem tls[] = {
        {MHD_OPTION_HTTPS_MEM_CERT, 0, (void *)(uintptr_t)o->certificate},
        {MHD_OPTION_HTTPS_MEM_KEY, 0, (void *)(uintptr_t)o->key},
        {MHD_OPTION_END, 0, NULL}};
    if (o->address.any.sa_family == AF_INET6)
        flags |= MHD_USE_IPv6;
    if (o->certificate)
        flags |= MHD_USE_TLS;
    else
        tls[0].option = MHD_OPTION_END;
    return MHD_start_daemon(flags, 0, NULL, NULL, on_request, h, MHD_OPTION_EXTERNAL_LOGGER, on_log,
                            h, MHD_OPTION_SOCK_ADDR, &o->address.any, MHD_OPTION_CONNECTION_LIMIT,
                            o->connections, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
                            (size_t)CONNECTION_BYTES, MHD_OPTION_CONNECTION_TIMEOUT,
                            (unsigned)CONNECTION_SECONDS, MHD_OPTION_LISTEN_BACKLOG_SIZE, 1024u,
                            MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_NOTIFY_COMPLETED,
                            on_completed, h, MHD_OPTION_ARRAY, tls, MHD_OPTION_END);
}

int http_start(struct http **out, struct serve *s, const struct http_options *o, struct err *e)
{
    struct http *h = calloc(1, sizeof *h);
    *out = NULL;
    if (!h)
        return err_set(e, ERR_NO_MEMORY, "no memory for the server");
    h->serve = s;
    h->o = *o;
    h->starting = true;
    h->daemon = daemon_start(h);
    if (!h->daemon) {
        h->problem[strcspn(h->problem, "\n")] = 0;
        const int rc = errno == EADDRINUSE
                           ? err_set(e, ERR_BUSY,
                                     "the port is in use by another program; give another --listen "
                                     "(port 0 takes a free one)")
                           : err_set(e, ERR_UNAVAILABLE, "cannot listen: %s",
                                     h->problem[0] ? h->problem : strerror(errno));
        free(h);
        return rc;
    }
    h->starting = false;
    *out = h;
    return 0;
}

uint16_t http_port(const struct http *h)
{
    const union MHD_DaemonInfo *i = MHD_get_daemon_info(h->daemon, MHD_DAEMON_INFO_BIND_PORT);
    return i ? i->port : 0;
}

void http_stop(struct http *h, int64_t grace_ms)
{
    const int64_t deadline = env_monotonic_ms() + grace_ms;
    while (!serve_drain(h->serve) && env_monotonic_ms() < deadline)
        env_sleep_ms(STOP_POLL_MS);
    serve_end(h->serve); /* fails what is left, which wakes all that are suspended */
    while (atomic_load(&h->exchanges) > 0 && env_monotonic_ms() < deadline + 1000)
        env_sleep_ms(STOP_POLL_MS);
    MHD_stop_daemon(h->daemon);
    free(h);
}
