#include "coordinator/api/server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "core/base/text.h"
#include "core/env/clock.h"
#include "core/env/process.h"
#include "core/protocol/messages.h"
#include "coordinator/api/deadlines.h"
#include "coordinator/log.h"
#include "coordinator/store/blobs.h"
#include "coordinator/tls/server_identity.h"

#define SERVER_THREADS 2      /* parsing and copying; what waits is on other threads */
#define CONNECTIONS_MAX 20000 /* 10,000 agents with a claim and a transfer each */
#define CONNECTION_BYTES (32u << 10)
#define CONNECTION_SECONDS 120    /* without a byte; suspended ones don't count */
#define READ_BYTES (128u << 10)   /* of a blob at a time, held once a download */
#define STREAM_BYTES 4096         /* of a stream of events at a time, held once a stream */
#define SKIP_BYTES_MAX (4u << 20) /* of a refused body that are read so that the reply is seen */
#define STOP_MS 2000              /* for replies that are on their way when stopping */
#define PORT_RETRY_MS 100

struct server {
    struct api *api;
    struct service *service;
    struct MHD_Daemon *daemon;
    char problem[200]; /* what libmicrohttpd last said while starting */
    bool starting;
    const struct tls_identity *identity;
    atomic_int exchanges;

    struct deadlines *deadlines;
};

/* One request. */
enum phase {
    PHASE_HEAD,
    PHASE_BODY,  /* JSON */
    PHASE_PUT,   /* a blob's bytes */
    PHASE_SKIP,  /* of a body that is refused */
    PHASE_READY, /* the reply waits for the end of a request without a body */
};
struct request {
    struct server *server;
    struct MHD_Connection *connection;
    struct api_exchange *exchange;
    enum phase phase;
    int64_t begun_ms;
    bool blob; /* the reply's body is the exchange's blob */
    uint64_t skipped;
    char client[INET6_ADDRSTRLEN];
};

/* --- replies --------------------------------------------------------------------------------- */

struct source {
    struct store *store;
    struct digest digest;
    uint64_t first;
};

static ssize_t source_read(void *arg, uint64_t at, char *out, size_t max)
{
    struct source *s = arg;
    struct err e = {0};
    size_t got = 0;

    if (blob_read(s->store, &s->digest, s->first + at, out, max, &got, &e) || got == 0) {
        log_error("a download broke off: %s", e.message);
        return MHD_CONTENT_READER_END_WITH_ERROR;
    }
    return (ssize_t)got;
}

static struct MHD_Response *blob_response(struct request *r)
{
    const struct api_exchange *x = r->exchange;
    struct source *s = malloc(sizeof *s);

    if (!s)
        return NULL;
    *s = (struct source){r->server->service->store, x->blob.digest, x->blob.first};
    struct MHD_Response *response =
        MHD_create_response_from_callback(x->blob.count, READ_BYTES, source_read, s, free);
    if (!response)
        free(s);
    return response;
}

/* Suspended where there is nothing for now: then it is asked again once resumed. */
static ssize_t stream_read(void *arg, uint64_t at, char *out, size_t max)
{
    struct request *r = arg;
    int64_t n = api_stream_read(r->exchange, out, max);

    (void)at;
    return n < 0 ? MHD_CONTENT_READER_END_OF_STREAM : (ssize_t)n;
}

static enum MHD_Result send_reply(struct request *r, struct MHD_Response *response)
{
    const struct api_reply *reply = &r->exchange->reply;
    char version[12];
    enum MHD_Result done;

    if (!response)
        return MHD_NO;
    snprintf(version, sizeof version, "%d", PROTOCOL_VERSION);
    MHD_add_response_header(response, PROTOCOL_HEADER, version);
    MHD_add_response_header(response, "X-Request-Id", r->exchange->id);
    MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
    if (reply->type)
        MHD_add_response_header(response, "Content-Type", reply->type);
    for (uint32_t i = 0; i < reply->header_count; i++)
        MHD_add_response_header(response, reply->headers[i].name, reply->headers[i].value);
    if (reply->close)
        MHD_add_response_header(response, "Connection", "close");
    /* What is busy says so to many. */
    log_event(reply->status >= 500 && reply->status != 503 ? "warn" : "debug",
              "answered status=%d method=%s path=\"%s\" ms=%lld id=%s problem=\"%.*s\"",
              reply->status, r->exchange->request.method, r->exchange->request.path,
              (long long)(env_monotonic_ms() - r->begun_ms), r->exchange->id,
              reply->status >= 400 ? (int)reply->len : 0, reply->body ? reply->body : "");
    if (reply->status >= 200 && reply->status < 600)
        atomic_fetch_add_explicit(&r->server->service->answers[reply->status / 100 - 2], 1,
                                  memory_order_relaxed);
    done = MHD_queue_response(r->connection, (unsigned)reply->status, response);
    MHD_destroy_response(response);
    return done;
}

static enum MHD_Result reply_now(struct request *r)
{
    const struct api_reply *reply = &r->exchange->reply;

    if (r->blob && r->exchange->blob.count > 0)
        return send_reply(r, blob_response(r));
    return send_reply(r, MHD_create_response_from_buffer(reply->len, (void *)(uintptr_t)reply->body,
                                                         MHD_RESPMEM_PERSISTENT));
}

/* An early reply closes the connection: libmicrohttpd takes it for the refusal of a body, and it is
 * one where there is a body. Otherwise the connection is worth keeping. */
static enum MHD_Result reply_to_head(struct request *r)
{
    const struct api_request *head = &r->exchange->request;
    uint64_t length = 0;

    if (head->content_length && !text_to_u64(head->content_length, &length))
        length = 1;
    if (length > 0 || head->transfer_encoding)
        return reply_now(r);
    r->phase = PHASE_READY;
    return MHD_YES;
}

/* --- requests -------------------------------------------------------------------------------- */

static void on_suspend(void *arg)
{
    MHD_suspend_connection(((struct request *)arg)->connection);
}

static void on_resume(void *arg)
{
    MHD_resume_connection(((struct request *)arg)->connection);
}

/* Of IPv6 the network: whoever has one has all of its addresses. */
static void tell_client(struct MHD_Connection *c, char out[INET6_ADDRSTRLEN])
{
    const union MHD_ConnectionInfo *i =
        MHD_get_connection_info(c, MHD_CONNECTION_INFO_CLIENT_ADDRESS);

    if (i && i->client_addr->sa_family == AF_INET6) {
        struct in6_addr v6 = ((const struct sockaddr_in6 *)(const void *)i->client_addr)->sin6_addr;
        memset(v6.s6_addr + 8, 0, 8);
        (void)inet_ntop(AF_INET6, &v6, out, INET6_ADDRSTRLEN);
    } else if (i) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)i->client_addr;
        (void)inet_ntop(AF_INET, &v4->sin_addr, out, INET6_ADDRSTRLEN);
    }
}

static struct request *request_create(struct server *s, struct MHD_Connection *c, const char *url,
                                      const char *method)
{
    struct request *r = calloc(1, sizeof *r);
    struct api_exchange *x = r ? api_exchange_create(s->api) : NULL;

    if (!x) {
        free(r);
        return NULL;
    }
    *r = (struct request){
        .server = s, .connection = c, .exchange = x, .begun_ms = env_monotonic_ms()};
    x->suspend = on_suspend;
    x->resume = on_resume;
    x->shell = r;
    tell_client(c, r->client);
#define HEADER(name) MHD_lookup_connection_value(c, MHD_HEADER_KIND, name)
#define QUERY(name) MHD_lookup_connection_value(c, MHD_GET_ARGUMENT_KIND, name)
    x->request = (struct api_request){.method = method,
                                      .path = url,
                                      .authorization = HEADER("Authorization"),
                                      .content_length = HEADER("Content-Length"),
                                      .transfer_encoding = HEADER("Transfer-Encoding"),
                                      .range = HEADER("Range"),
                                      .upload_offset = HEADER("Upload-Offset"),
                                      .upload_length = HEADER("Upload-Length"),
                                      .host = HEADER("Host"),
                                      .origin = HEADER("Origin"),
                                      .cookie = HEADER("Cookie"),
                                      .if_none_match = HEADER("If-None-Match"),
                                      .last_event_id = HEADER("Last-Event-ID"),
                                      .intent = HEADER("X-Tacit-Request"),
                                      .client = r->client,
                                      .query_run = QUERY("run"),
                                      .query_state = QUERY("state"),
                                      .query_limit = QUERY("limit"),
                                      .query_after = QUERY("after"),
                                      .query_since = QUERY("since"),
                                      .request_id = HEADER("X-Request-Id"),
                                      .query_job = QUERY("job")};
    atomic_fetch_add(&s->exchanges, 1);
    return r;
}

static enum MHD_Result take_head(struct request *r)
{
    switch (api_begin(r->exchange)) {
    case API_BODY:
        r->phase = PHASE_BODY;
        return MHD_YES;
    case API_BLOB_PUT:
        r->phase = PHASE_PUT;
        return MHD_YES;
    case API_BLOB_GET:
        r->blob = true;
        return reply_to_head(r);
    default:
        return reply_to_head(r);
    }
}

static void take_body(struct request *r, const char *data, size_t *size)
{
    struct err e;

    if (buf_append(&r->exchange->body, data, *size, &e)) {
        api_body_too_large(r->exchange);
        r->phase = PHASE_SKIP;
    }
    *size = 0;
}

static void take_upload(struct request *r, const char *data, size_t *size)
{
    size_t taken;
    enum api_step step = api_put_take(r->exchange, data, *size, &taken);

    if (step == API_REPLY) {
        r->phase = PHASE_SKIP;
        *size = 0;
        return;
    }
    *size -= taken;
    /* libmicrohttpd 0.9.75 takes a short read for an empty socket, and so misses an end that came
     * with the last bytes: it would sit on a dead upload until the timeout. Coming back from
     * suspension, it asks for the socket's state anew. */
    if (step == API_MORE) {
        MHD_suspend_connection(r->connection);
        MHD_resume_connection(r->connection);
    }
}

/* A reply cannot overtake a body that is being read: the rest of a refused one is thrown away, and
 * where that is much, the connection with it. */
static enum MHD_Result take_refused(struct request *r, size_t *size)
{
    r->skipped += *size;
    *size = 0;
    return r->skipped > SKIP_BYTES_MAX ? MHD_NO : MHD_YES;
}

static enum MHD_Result take_end(struct request *r)
{
    enum api_step step = API_REPLY;

    if (r->phase == PHASE_BODY)
        step = api_handle(r->exchange);
    else if (r->phase == PHASE_PUT)
        step = api_put_end(r->exchange);
    if (step == API_STREAM)
        return send_reply(r, MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, STREAM_BYTES,
                                                               stream_read, r, NULL));
    return step == API_WAIT ? MHD_YES : reply_now(r);
}

static enum MHD_Result on_request(void *arg, struct MHD_Connection *c, const char *url,
                                  const char *method, const char *version, const char *data,
                                  size_t *size, void **context)
{
    struct request *r = *context;

    (void)version;
    if (!r) {
        r = request_create(arg, c, url, method);
        if (!r)
            return MHD_NO;
        *context = r;
    }
    if (r->phase == PHASE_HEAD)
        return take_head(r);
    if (*size == 0)
        return take_end(r);
    if (r->phase == PHASE_BODY)
        take_body(r, data, size);
    else if (r->phase == PHASE_PUT)
        take_upload(r, data, size);
    else
        return take_refused(r, size);
    return MHD_YES;
}

static void on_completed(void *arg, struct MHD_Connection *c, void **context,
                         enum MHD_RequestTerminationCode code)
{
    struct server *s = arg;
    struct request *r = *context;

    (void)c;
    (void)code;
    if (!r)
        return;
    *context = NULL;
    api_exchange_end(r->exchange);
    free(r);
    atomic_fetch_sub(&s->exchanges, 1);
}

/* --- starting and stopping ------------------------------------------------------------------- */

static void on_log(void *arg, const char *fmt, va_list args) __attribute__((format(printf, 2, 0)));

/* Afterwards its lines are about connections that went away: no news. */
static void on_log(void *arg, const char *fmt, va_list args)
{
    struct server *s = arg;

    if (s->starting)
        vsnprintf(s->problem, sizeof s->problem, fmt, args);
}

/* A connection's session finds the server, and by it what is shown now. */
static void on_connection(void *arg, struct MHD_Connection *c, void **context,
                          enum MHD_ConnectionNotificationCode code)
{
    const union MHD_ConnectionInfo *i =
        MHD_get_connection_info(c, MHD_CONNECTION_INFO_GNUTLS_SESSION);

    (void)context;
    if (code == MHD_CONNECTION_NOTIFY_STARTED && i && i->tls_session)
        gnutls_session_set_ptr((gnutls_session_t)i->tls_session, arg);
}

static int on_certificate(gnutls_session_t session, const gnutls_datum_t *authorities, int count,
                          const gnutls_pk_algorithm_t *algorithms, int algorithm_count,
                          gnutls_pcert_st **chain, unsigned *length, gnutls_privkey_t *key)
{
    const struct server *s = gnutls_session_get_ptr(session);

    (void)authorities;
    (void)count;
    (void)algorithms;
    (void)algorithm_count;
    if (!s || !s->identity)
        return -1;
    tls_identity_show(s->identity, chain, length, key);
    return 0;
}

static struct MHD_Daemon *daemon_start(struct server *s, const struct server_options *o)
{
    const struct sockaddr *address = &o->address->socket.any;
    unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG;
    struct MHD_OptionItem tls[] = {
        {MHD_OPTION_HTTPS_CERT_CALLBACK, 0, (void *)(intptr_t)on_certificate},
        {MHD_OPTION_NOTIFY_CONNECTION, (intptr_t)on_connection, s},
        {MHD_OPTION_END, 0, NULL}};

    if (address->sa_family == AF_INET6)
        flags |= MHD_USE_IPv6;
    if (o->identity)
        flags |= MHD_USE_TLS;
    else
        tls[0].option = MHD_OPTION_END;
    s->problem[0] = 0;
    return MHD_start_daemon(
        flags, 0, NULL, NULL, on_request, s, MHD_OPTION_EXTERNAL_LOGGER, on_log, s,
        MHD_OPTION_SOCK_ADDR, address, MHD_OPTION_THREAD_POOL_SIZE, (unsigned)SERVER_THREADS,
        MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS_MAX, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        (size_t)CONNECTION_BYTES, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)CONNECTION_SECONDS,
        MHD_OPTION_LISTEN_BACKLOG_SIZE, 1024u, MHD_OPTION_STRICT_FOR_CLIENT, 1,
        MHD_OPTION_NOTIFY_COMPLETED, on_completed, s, MHD_OPTION_ARRAY, tls, MHD_OPTION_END);
}

static int listen_on(struct server *s, const struct server_options *o, struct err *e)
{
    int64_t deadline = env_monotonic_ms() + o->wait_ms;
    unsigned port = ntohs(o->address->socket.v4.sin_port); /* at the same place for IPv6 */

    s->starting = true;
    for (;;) {
        errno = 0;
        s->daemon = daemon_start(s, o);
        int error = errno;
        if (s->daemon)
            break;
        if (error == EADDRINUSE && env_monotonic_ms() < deadline &&
            !env_stop_wait_ms(PORT_RETRY_MS))
            continue;
        if (error == EADDRINUSE)
            return err_set(e, ERR_BUSY,
                           "port %u of %s is in use by another program; stop that one, or give "
                           "another --listen (port 0 takes a free one)",
                           port, o->address->host);
        s->problem[strcspn(s->problem, "\n")] = 0;
        return err_set(e, ERR_UNAVAILABLE, "cannot listen on %s port %u: %s", o->address->host,
                       port, s->problem[0] ? s->problem : strerror(error));
    }
    s->starting = false;
    return 0;
}

int server_start(struct server **out, struct api *a, struct service *service,
                 const struct server_options *o, struct err *e)
{
    struct server *s = calloc(1, sizeof *s);
    int rc;

    if (!s)
        return err_set(e, ERR_NO_MEMORY, "no memory for the server");
    s->api = a;
    s->service = service;
    s->identity = o->identity;
    rc = deadlines_start(&s->deadlines, s->api, e);
    if (!rc)
        rc = listen_on(s, o, e);
    if (rc) {
        deadlines_stop(s->deadlines);
        s->deadlines = NULL;
        server_destroy(s);
    } else {
        *out = s;
    }
    return rc;
}

uint16_t server_port(const struct server *s)
{
    const union MHD_DaemonInfo *i = MHD_get_daemon_info(s->daemon, MHD_DAEMON_INFO_BIND_PORT);

    return i ? i->port : 0;
}

void server_stop(struct server *s)
{
    int64_t deadline = env_monotonic_ms() + STOP_MS;

    api_stop(s->api);
    while (atomic_load(&s->exchanges) > 0 && env_monotonic_ms() < deadline)
        env_sleep_ms(10);
    MHD_stop_daemon(s->daemon);
    s->daemon = NULL;
    deadlines_stop(s->deadlines);
    s->deadlines = NULL;
}

void server_destroy(struct server *s)
{
    if (!s)
        return;
    free(s);
}
