/* The client against a small real server that keeps blobs as the coordinator does and breaks
 * connections where a test says so. What would break for a user: uploads that start over on a bad
 * line, a wrong blob accepted, error messages that do not say what to do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <microhttpd.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "core/client/client.h"
#include "core/env/clock.h"
#include "core/env/file.h"
#include "core/env/process.h"
#include "core/protocol/messages.h"

#define BLOB_SIZE (3u << 20)
#define LONG_ITEMS 100000
#define CERT "build/test_client.cert.pem"
#define KEY "build/test_client.key.pem"

struct server {
    struct MHD_Daemon *daemon;
    char url[64];
    unsigned char *blob; /* what was uploaded so far */
    uint64_t have, length;
    uint64_t break_at; /* stop reading a PUT or sending a GET there, once; 0: never */
    const char *version;
    int head, put, get, calls;
    bool asked;   /* the last PUT waited for 100 Continue */
    bool corrupt; /* sends another byte than it has */
    char authorization[256];
    atomic_bool hang;
};

static enum MHD_Result answer(struct MHD_Connection *c, struct server *s, int status,
                              const char *body, const char *name, const char *value)
{
    struct MHD_Response *r = MHD_create_response_from_buffer(strlen(body), (void *)(uintptr_t)body,
                                                             MHD_RESPMEM_MUST_COPY);
    if (s->version)
        MHD_add_response_header(r, PROTOCOL_HEADER, s->version);
    if (name)
        MHD_add_response_header(r, name, value);
    enum MHD_Result rc = MHD_queue_response(c, (unsigned)status, r);
    MHD_destroy_response(r);
    return rc;
}

struct source {
    struct server *s;
    uint64_t first;
};

static ssize_t blob_read(void *arg, uint64_t pos, char *out, size_t max)
{
    struct source *src = arg;
    struct server *s = src->s;
    uint64_t at = src->first + pos;
    if (s->break_at && at >= s->break_at) {
        s->break_at = 0;
        return MHD_CONTENT_READER_END_WITH_ERROR;
    }
    size_t n = s->length - at < max ? (size_t)(s->length - at) : max;
    if (s->break_at && at + n > s->break_at)
        n = (size_t)(s->break_at - at);
    memcpy(out, s->blob + at, n);
    if (s->corrupt && at == 0)
        out[0] ^= 1;
    return (ssize_t)n;
}

static enum MHD_Result get_blob(struct MHD_Connection *c, struct server *s)
{
    const char *range = MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Range");
    struct source *src = malloc(sizeof *src);
    char text[96];
    src->s = s;
    src->first = range ? strtoull(range + 6, NULL, 10) : 0;
    s->get++;
    if (s->length == 0) {
        free(src);
        return answer(c, s, 404, "{\"title\":\"no\",\"status\":404,\"code\":\"ERR_NOT_FOUND\"}",
                      NULL, NULL);
    }
    struct MHD_Response *r =
        MHD_create_response_from_callback(s->length - src->first, 65536, blob_read, src, free);
    MHD_add_response_header(r, PROTOCOL_HEADER, "1");
    snprintf(text, sizeof text, "bytes %llu-%llu/%llu", (unsigned long long)src->first,
             (unsigned long long)s->length - 1, (unsigned long long)s->length);
    if (range)
        MHD_add_response_header(r, "Content-Range", text);
    enum MHD_Result rc = MHD_queue_response(c, range ? 206 : 200, r);
    MHD_destroy_response(r);
    return rc;
}

static enum MHD_Result put_blob(struct MHD_Connection *c, struct server *s, const char *data,
                                size_t *size, void **state)
{
    static int begun;
    char text[32];
    if (!*state) {
        *state = &begun;
        s->put++;
        s->asked = MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Expect") != NULL;
        s->length =
            strtoull(MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Upload-Length"), NULL, 10);
        uint64_t offset =
            strtoull(MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Upload-Offset"), NULL, 10);
        if (offset != s->have) {
            snprintf(text, sizeof text, "%llu", (unsigned long long)s->have);
            return answer(c, s, 409, "{\"title\":\"offset\",\"code\":\"ERR_CONFLICT\"}",
                          "Upload-Offset", text);
        }
        return MHD_YES;
    }
    if (*size > 0) {
        size_t n = *size;
        if (s->break_at && s->have + n > s->break_at) {
            n = (size_t)(s->break_at - s->have);
            memcpy(s->blob + s->have, data, n);
            s->have += n;
            s->break_at = 0;
            return MHD_NO; /* closes the connection */
        }
        memcpy(s->blob + s->have, data, n);
        s->have += n;
        *size = 0;
        return MHD_YES;
    }
    return answer(c, s, 201, "", NULL, NULL);
}

/* A list of many: longer than any request may be. */
static enum MHD_Result answer_long(struct MHD_Connection *c, struct server *s)
{
    static const char item[] = "{\"name\":\"0123456789012345678901234567890123456789\"},";
    size_t size = LONG_ITEMS * (sizeof item - 1);
    char *body = malloc(size + 2);
    body[0] = '[';
    for (size_t i = 0; i < LONG_ITEMS; i++)
        memcpy(body + 1 + i * (sizeof item - 1), item, sizeof item - 1);
    memcpy(body + size, "]", 2); /* in the place of the last comma */
    enum MHD_Result rc = answer(c, s, 200, body, NULL, NULL);
    free(body);
    return rc;
}

static enum MHD_Result handle(void *arg, struct MHD_Connection *c, const char *url,
                              const char *method, const char *version, const char *data,
                              size_t *size, void **state)
{
    static int begun;
    struct server *s = arg;
    char text[32];
    (void)version;
    if (!strcmp(method, "PUT"))
        return put_blob(c, s, data, size, state);
    if (!strcmp(method, "HEAD")) {
        s->head++;
        snprintf(text, sizeof text, "%llu", (unsigned long long)s->have);
        return s->length && s->have == s->length
                   ? answer(c, s, 200, "", NULL, NULL)
                   : answer(c, s, 404, "", s->have ? "Upload-Offset" : NULL, text);
    }
    if (!strncmp(url, "/v1/blobs/", 10))
        return get_blob(c, s);
    if (!*state) {
        *state = &begun;
        return MHD_YES;
    }
    if (*size > 0) {
        *size = 0;
        return MHD_YES;
    }
    s->calls++;
    const char *auth = MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Authorization");
    snprintf(s->authorization, sizeof s->authorization, "%s", auth ? auth : "");
    while (atomic_load(&s->hang))
        env_sleep_ms(10);
    if (!strcmp(url, "/v1/claims"))
        return answer(c, s, 204, "", NULL, NULL);
    if (!strcmp(url, "/v1/array"))
        return answer(c, s, 200, "[{\"name\":\"a\"},{\"name\":\"b\"}]", NULL, NULL);
    if (!strcmp(url, "/v1/agents"))
        return answer(c, s, 200, "{\"agent\":7,\"token\":\"abc\"}", NULL, NULL);
    if (!strcmp(url, "/v1/jobs/1/complete"))
        return answer(
            c, s, 409,
            "{\"title\":\"lease\",\"status\":409,\"code\":\"ERR_FENCED\",\"detail\":\"the "
            "lease was given to another agent\"}",
            NULL, NULL);
    if (!strcmp(url, "/v1/closed"))
        return MHD_NO; /* without an answer */
    if (!strcmp(url, "/v1/no-memory"))
        return answer(c, s, 503, "{\"title\":\"x\",\"status\":503,\"code\":\"ERR_NO_MEMORY\"}",
                      NULL, NULL);
    if (!strcmp(url, "/v1/no-space"))
        return answer(c, s, 507, "{\"title\":\"x\",\"status\":507,\"code\":\"ERR_NO_SPACE\"}",
                      "Retry-After", "10");
    if (!strcmp(url, "/v1/busy"))
        return answer(c, s, 503, "{\"title\":\"x\",\"status\":503,\"code\":\"ERR_BUSY\"}",
                      "Retry-After", "7");
    if (!strcmp(url, "/v1/nonsense"))
        return answer(c, s, 503, "{}", "Retry-After", "99999999999999999999");
    if (!strcmp(url, "/v1/long"))
        return answer_long(c, s);
    return answer(c, s, 500, "<html>", NULL, NULL);
}

static int start(void **state)
{
    struct server *s = calloc(1, sizeof *s);
    s->blob = calloc(1, BLOB_SIZE);
    s->version = "1";
    s->daemon = MHD_start_daemon(MHD_USE_THREAD_PER_CONNECTION | MHD_USE_INTERNAL_POLLING_THREAD, 0,
                                 NULL, NULL, handle, s, MHD_OPTION_END);
    assert_non_null(s->daemon);
    snprintf(s->url, sizeof s->url, "http://127.0.0.1:%u",
             MHD_get_daemon_info(s->daemon, MHD_DAEMON_INFO_BIND_PORT)->port);
    *state = s;
    return 0;
}

static char *slurp(const char *path)
{
    struct buf b;
    struct err e = {0};
    assert_int_equal(env_file_read(path, 1 << 16, &b, &e), 0);
    return buf_take(&b);
}

static int start_tls(void **state)
{
    if (system("openssl req -x509 -newkey rsa:2048 -nodes -keyout " KEY " -out " CERT
               " -days 2 -subj /CN=localhost -addext subjectAltName=IP:127.0.0.1 2>/dev/null"))
        return -1;
    struct server *s = calloc(1, sizeof *s);
    char *cert = slurp(CERT), *key = slurp(KEY);
    s->version = "1";
    s->daemon = MHD_start_daemon(MHD_USE_THREAD_PER_CONNECTION | MHD_USE_INTERNAL_POLLING_THREAD |
                                     MHD_USE_TLS,
                                 0, NULL, NULL, handle, s, MHD_OPTION_HTTPS_MEM_CERT, cert,
                                 MHD_OPTION_HTTPS_MEM_KEY, key, MHD_OPTION_END);
    assert_non_null(s->daemon);
    snprintf(s->url, sizeof s->url, "https://127.0.0.1:%u",
             MHD_get_daemon_info(s->daemon, MHD_DAEMON_INFO_BIND_PORT)->port);
    free(cert);
    free(key);
    *state = s;
    return 0;
}

static int stop(void **state)
{
    struct server *s = *state;
    atomic_store(&s->hang, false);
    MHD_stop_daemon(s->daemon);
    free(s->blob);
    free(s);
    return 0;
}

static struct client *open_client(struct server *s)
{
    struct client *c;
    struct err e = {0};
    struct client_options o = {.url = s->url, .token = "secret"};
    assert_int_equal(client_open(&c, &o, &e), 0);
    return c;
}

static void make_file(const char *path, size_t size, struct digest *d)
{
    unsigned char *data = malloc(size);
    struct err e = {0};
    for (size_t i = 0; i < size; i++)
        data[i] = (unsigned char)(i * 31 + i / 977);
    digest_of(data, size, d);
    assert_int_equal(env_file_write_atomic(path, data, size, 0600, &e), 0);
    free(data);
}

static void test_urls(void **state)
{
    static const struct {
        const char *url, *says;
    } bad[] = {
        {"localhost:8080", "no scheme: write http://localhost:8080"},
        {"ftp://x", "only http:// and https://"},
        {"http://", "names no host"},
        {"http://:80", "names no host"},
        {"http://a:1/v1", "has a path; only the coordinator's address is wanted: http://a:1"},
        {"http://a b", "does not belong"},
    };
    struct err e = {0};
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(client_url_check(bad[i].url, &e), ERR_INVALID);
        if (!strstr(e.message, bad[i].says))
            fail_msg("'%s' does not say '%s'", e.message, bad[i].says);
    }
    assert_int_equal(client_url_check("http://127.0.0.1:8420/", &e), 0);
}

static void test_nobody_there(void **state)
{
    struct client *c;
    struct err e = {0};
    struct client_options o = {.url = "http://127.0.0.1:9"};
    (void)state;
    assert_int_equal(client_open(&c, &o, &e), 0);
    int rc = client_call(c, "GET", "/v1/status", NULL, NULL, NULL, NULL, NULL, 0, &e);
    assert_int_equal(rc, ERR_UNAVAILABLE);
    assert_string_equal(e.message, "can't reach http://127.0.0.1:9: Connection refused; is tacitd "
                                   "running there?");
    client_close(c);
}

static void test_token_file(void **state)
{
    struct server *s = *state;
    struct client *c;
    struct err e = {0};
    struct client_options o = {.url = s->url, .token_file = "build/test_client.token"};
    assert_int_equal(env_file_write_atomic(o.token_file, "tok-1\n", 6, 0600, &e), 0);
    assert_int_equal(client_open(&c, &o, &e), 0);
    assert_int_equal(client_call(c, "POST", "/v1/claims", NULL, NULL, NULL, NULL, NULL, 0, &e), 1);
    assert_string_equal(s->authorization, "Bearer tok-1");
    client_close(c);
    assert_int_equal(env_file_write_atomic(o.token_file, "two\nlines\n", 10, 0600, &e), 0);
    assert_int_equal(client_open(&c, &o, &e), ERR_INVALID);
    o.token_file = "build/no-such.token";
    assert_true(client_open(&c, &o, &e) < 0);
    assert_non_null(strstr(e.message, "no-such.token"));
}

static void test_calls(void **state)
{
    struct server *s = *state;
    struct client *c = open_client(s);
    struct err e = {0};
    struct arena a;
    arena_init(&a, 1 << 20);
    struct msg_joined joined;
    struct msg_claim claim = {.wait_ms = 5};
    struct msg_label *labels;
    uint32_t count;
    assert_int_equal(client_call(c, "POST", "/v1/claims", &message_claim, &claim, &message_joined,
                                 &joined, &a, 0, &e),
                     1);
    assert_int_equal(
        client_call(c, "POST", "/v1/agents", NULL, NULL, &message_joined, &joined, &a, 0, &e), 0);
    assert_int_equal(joined.agent, 7);
    assert_string_equal(joined.token, "abc");
    assert_string_equal(s->authorization, "Bearer secret");
    assert_int_equal(
        client_get_array(c, "/v1/array", &message_label, (void **)&labels, &count, &a, &e), 0);
    assert_int_equal(count, 2);
    assert_string_equal(labels[1].name, "b");
    int rc = client_call(c, "POST", "/v1/jobs/1/complete", &message_claim, &claim, NULL, NULL, &a,
                         0, &e);
    assert_int_equal(rc, ERR_FENCED);
    assert_string_equal(e.message, "the lease was given to another agent");
    assert_int_equal(client_call(c, "GET", "/v1/x", NULL, NULL, NULL, NULL, &a, 0, &e),
                     ERR_UNAVAILABLE);
    arena_free(&a);
    client_close(c);
}

static void test_other_protocols(void **state)
{
    struct server *s = *state;
    struct client *c = open_client(s);
    struct err e = {0};
    s->version = "2";
    assert_int_equal(client_call(c, "GET", "/v1/x", NULL, NULL, NULL, NULL, NULL, 0, &e),
                     ERR_VERSION);
    assert_non_null(strstr(e.message, "speaks protocol 2, this program speaks 1"));
    s->version = NULL;
    assert_int_equal(client_call(c, "GET", "/v1/x", NULL, NULL, NULL, NULL, NULL, 0, &e),
                     ERR_PROTOCOL);
    assert_non_null(strstr(e.message, "is not tacitd"));
    client_close(c);
}

static int call_at(const char *url, const char *ca, const char *path, struct err *e)
{
    struct client *c;
    struct client_options o = {.url = url, .ca_file = ca};
    assert_int_equal(client_open(&c, &o, e), 0);
    int rc = client_call(c, "POST", path, NULL, NULL, NULL, NULL, NULL, 0, e);
    client_close(c);
    return rc;
}

static struct client *client_at(const char *url, const char *ca)
{
    struct client *c;
    struct err e = {0};
    struct client_options o = {.url = url, .ca_file = ca};
    assert_int_equal(client_open(&c, &o, &e), 0);
    return c;
}

/* What a doctor tells of a certificate, trusted or not; and one of another name is told from one of
 * another authority, and both from a coordinator that is down. */
static void test_certificates(void **state)
{
    struct server *s = *state;
    struct err e = {0};
    struct client_certificate shown;
    char other[80];
    const char *port = strrchr(s->url, ':');
    struct client *c = client_at(s->url, CERT);
    assert_int_equal(client_certificate(c, &shown, &e), 0);
    assert_true(shown.trusted);
    assert_non_null(strstr(shown.subject, "CN = "));
    assert_non_null(strstr(shown.issuer, "CN = "));
    assert_true(shown.from_ms <= env_wall_ms() && shown.until_ms > env_wall_ms());
    client_close(c);
    c = client_at(s->url, NULL);
    assert_int_equal(client_certificate(c, &shown, &e), 0);
    assert_false(shown.trusted);
    assert_true(shown.until_ms > env_wall_ms());
    client_close(c);
    snprintf(other, sizeof other, "https://localhost%s", port);
    assert_int_equal(call_at(other, CERT, "/v1/claims", &e), ERR_CONFIG);
    assert_non_null(strstr(e.message, "made for other names"));
    snprintf(other, sizeof other, "http://127.0.0.1%s", port);
    c = client_at(other, NULL);
    assert_int_equal(client_certificate(c, &shown, &e), ERR_INVALID);
    client_close(c);
    c = client_at("https://127.0.0.1:1", NULL);
    assert_int_equal(client_certificate(c, &shown, &e), ERR_UNAVAILABLE);
    client_close(c);
}

/* http at a port of https, and the reverse: said in words that tell what to write, and as what it
 * is, so that an agent does not try for ever. */
static void test_wrong_scheme(void **state)
{
    struct server *s = *state;
    struct err e = {0};
    char url[80], want[200];
    snprintf(url, sizeof url, "http%s", strchr(s->url, ':'));
    snprintf(want, sizeof want, "what answers at %s speaks https, not plain http: write %s", url,
             s->url);
    assert_int_equal(call_at(url, NULL, "/v1/claims", &e), ERR_CONFIG);
    assert_string_equal(e.message, want);
    assert_int_equal(call_at(s->url, NULL, "/v1/claims", &e), ERR_CONFIG);
    assert_non_null(strstr(e.message, "--ca FILE")); /* nobody vouches for the certificate */
    assert_int_equal(call_at(s->url, CERT, "/v1/claims", &e), 1);
}

static void test_wrong_scheme_of_plain(void **state)
{
    struct server *s = *state;
    struct err e = {0};
    char url[80];
    snprintf(url, sizeof url, "https%s", strchr(s->url, ':'));
    assert_int_equal(call_at(url, NULL, "/v1/claims", &e), ERR_CONFIG);
    assert_non_null(strstr(e.message, "speaks plain http, not https: write http://127.0.0.1:"));
    /* a connection that is closed without a word is no reason to give up */
    assert_int_equal(call_at(s->url, NULL, "/v1/closed", &e), ERR_UNAVAILABLE);
}

/* Troubles of the coordinator's machine are not taken for those of this one. */
static void test_full_coordinator(void **state)
{
    struct server *s = *state;
    struct err e = {0};
    assert_int_equal(call_at(s->url, NULL, "/v1/no-memory", &e), ERR_UNAVAILABLE);
    assert_int_equal(call_at(s->url, NULL, "/v1/no-space", &e), ERR_NO_SPACE);
}

/* What the other side wishes is known to who tries again; and is forgotten with the next answer. */
static void test_retry_after(void **state)
{
    static const struct {
        const char *path;
        int64_t ms;
    } asked[] = {{"/v1/busy", 7000}, {"/v1/no-space", 10000}, {"/v1/no-memory", 0},
                 {"/v1/busy", 7000}, {"/v1/claims", 0},       {"/v1/busy", 7000},
                 {"/v1/nonsense", 0}};
    struct server *s = *state;
    struct err e = {0};
    struct client *c;
    struct client_options o = {.url = s->url};
    assert_int_equal(client_open(&c, &o, &e), 0);
    for (size_t i = 0; i < sizeof asked / sizeof *asked; i++) {
        (void)!client_call(c, "POST", asked[i].path, NULL, NULL, NULL, NULL, NULL, 0, &e);
        assert_int_equal(client_retry_after_ms(c), asked[i].ms);
    }
    client_close(c);
}

static void test_long_answers(void **state)
{
    struct server *s = *state;
    struct client *c = open_client(s);
    struct err e = {0};
    struct arena a;
    struct msg_label *labels;
    uint32_t count;
    arena_init(&a, 64 << 20);
    if (client_get_array(c, "/v1/long", &message_label, (void **)&labels, &count, &a, &e))
        fail_msg("%s", e.message);
    assert_int_equal(count, LONG_ITEMS);
    arena_free(&a);
    client_close(c);
}

static void test_upload_goes_on(void **state)
{
    struct server *s = *state;
    struct client *c = open_client(s);
    struct err e = {0};
    struct digest d;
    uint64_t moved = 0;
    const char *path = "build/test_client.up";
    make_file(path, BLOB_SIZE, &d);
    s->break_at = 2u << 20;
    assert_int_equal(client_blob_put(c, &d, path, BLOB_SIZE, NULL, NULL, &moved, &e),
                     ERR_UNAVAILABLE);
    assert_int_equal(s->have, 2u << 20);
    moved = 0;
    assert_int_equal(client_blob_put(c, &d, path, BLOB_SIZE, NULL, NULL, &moved, &e), 0);
    assert_int_equal(moved, 1u << 20); /* only what was missing */
    assert_true(s->asked);             /* what would be refused is not sent */
    struct digest got;
    digest_of(s->blob, s->have, &got);
    assert_true(digest_equal(&got, &d));
    moved = 0;
    assert_int_equal(client_blob_put(c, &d, path, BLOB_SIZE, NULL, NULL, &moved, &e), 0);
    assert_int_equal(moved, 0);
    assert_int_equal(client_blob_put(c, &d, path, 5, NULL, NULL, &moved, &e), ERR_INVALID);
    client_close(c);
}

/* The connection broke after the last byte and before the answer: all is there, and nobody has said
 * that it is the blob. Who took it for whole would complete a job with it, in vain, for ever. */
static void test_upload_of_all_bytes_is_finished(void **state)
{
    struct server *s = *state;
    struct client *c = open_client(s);
    struct err e = {0};
    struct digest d;
    uint64_t moved = 0;
    const char *path = "build/test_client.up";
    make_file(path, BLOB_SIZE, &d);
    s->have = BLOB_SIZE;
    assert_int_equal(client_blob_put(c, &d, path, BLOB_SIZE, NULL, NULL, &moved, &e), 0);
    assert_int_equal(s->put, 1);
    assert_int_equal(moved, 0);
    client_close(c);
}

static void test_small_upload_follows_409(void **state)
{
    struct server *s = *state;
    struct client *c = open_client(s);
    struct err e = {0};
    struct digest d, got;
    uint64_t moved = 0;
    const char *path = "build/test_client.up";
    make_file(path, 1000, &d);
    s->have = 600;
    for (size_t i = 0; i < 600; i++)
        s->blob[i] = (unsigned char)(i * 31 + i / 977);
    assert_int_equal(client_blob_put(c, &d, path, 1000, NULL, NULL, &moved, &e), 0);
    assert_int_equal(s->head, 0);
    assert_int_equal(s->put, 2);
    assert_false(s->asked); /* a round trip more for each small blob */
    digest_of(s->blob, s->have, &got);
    assert_true(digest_equal(&got, &d));
    client_close(c);
}

static void fill_server(struct server *s, struct digest *d)
{
    for (size_t i = 0; i < BLOB_SIZE; i++)
        s->blob[i] = (unsigned char)(i * 7 + i / 1013);
    s->have = s->length = BLOB_SIZE;
    digest_of(s->blob, BLOB_SIZE, d);
}

static void test_download_goes_on(void **state)
{
    struct server *s = *state;
    struct client *c = open_client(s);
    struct err e = {0};
    struct digest d;
    uint64_t moved = 0;
    const char *path = "build/test_client.down";
    unlink(path);
    fill_server(s, &d);
    s->break_at = 1u << 20;
    assert_int_equal(client_blob_get(c, &d, path, NULL, NULL, &moved, &e), ERR_UNAVAILABLE);
    assert_int_equal(moved, 1u << 20);
    assert_false(env_file_exists(path)); /* never visible before it is whole */
    moved = 0;
    assert_int_equal(client_blob_get(c, &d, path, NULL, NULL, &moved, &e), 0);
    assert_int_equal(moved, BLOB_SIZE - (1u << 20));
    struct env_map m;
    struct digest got;
    assert_int_equal(env_file_map(path, &m, &e), 0);
    digest_of(m.data, m.size, &got);
    env_file_unmap(&m);
    assert_true(digest_equal(&got, &d));
    assert_false(env_file_exists("build/test_client.down.part"));
    client_close(c);
}

static void test_wrong_digest_is_thrown_away(void **state)
{
    struct server *s = *state;
    struct client *c = open_client(s);
    struct err e = {0};
    struct digest d;
    uint64_t moved = 0;
    const char *path = "build/test_client.bad";
    fill_server(s, &d);
    s->corrupt = true;
    assert_int_equal(client_blob_get(c, &d, path, NULL, NULL, &moved, &e), ERR_DIGEST);
    assert_false(env_file_exists(path));
    assert_false(env_file_exists("build/test_client.bad.part"));
    client_close(c);
}

static int stop_at_once(void *arg, uint64_t done, uint64_t total)
{
    (void)arg;
    (void)total;
    return done > 0;
}

static void test_progress_stops(void **state)
{
    struct server *s = *state;
    struct client *c = open_client(s);
    struct err e = {0};
    struct digest d;
    uint64_t moved = 0;
    fill_server(s, &d);
    assert_int_equal(
        client_blob_get(c, &d, "build/test_client.half", stop_at_once, NULL, &moved, &e),
        ERR_STOPPED);
    assert_true(moved > 0 && moved < BLOB_SIZE);
    unlink("build/test_client.half.part");
    client_close(c);
}

/* Sets *arg to when. */
static void *stop_soon(void *arg)
{
    env_sleep_ms(100);
    atomic_store((_Atomic int64_t *)arg, env_monotonic_ms());
    env_stop_request();
    return NULL;
}

/* A stopping program delivers what it holds, in both directions, while it lingers. */
static void transfers_while_lingering(struct server *s, struct client *c)
{
    struct err e = {0};
    struct digest d;
    uint64_t moved = 0;
    const char *path = "build/test_client.up";
    make_file(path, BLOB_SIZE, &d);
    assert_int_equal(client_blob_put(c, &d, path, BLOB_SIZE, NULL, NULL, &moved, &e), 0);
    assert_int_equal(s->have, BLOB_SIZE);
    unlink("build/test_client.down");
    assert_int_equal(client_blob_get(c, &d, "build/test_client.down", NULL, NULL, &moved, &e), 0);
    client_linger(c, -1); /* its time is over */
    assert_int_equal(client_blob_get(c, &d, "build/test_client.late", NULL, NULL, &moved, &e),
                     ERR_STOPPED);
    unlink("build/test_client.late.part");
}

/* Last: the flag stays set. */
static void test_stop_ends_a_long_poll(void **state)
{
    struct server *s = *state;
    struct client *c = open_client(s);
    struct err e = {0};
    pthread_t t;
    atomic_store(&s->hang, true);
    _Atomic int64_t stopped = 0;
    pthread_create(&t, NULL, stop_soon, &stopped);
    assert_int_equal(client_call(c, "POST", "/v1/claims", NULL, NULL, NULL, NULL, NULL, 30000, &e),
                     ERR_STOPPED);
    assert_true(env_monotonic_ms() - atomic_load(&stopped) <
                900); /* at once, not at libcurl's next tick */
    pthread_join(t, NULL);
    atomic_store(&s->hang, false);
    assert_int_equal(client_call(c, "POST", "/v1/claims", NULL, NULL, NULL, NULL, NULL, 0, &e),
                     ERR_STOPPED);
    client_linger(c, 5000);
    assert_int_equal(client_call(c, "POST", "/v1/claims", NULL, NULL, NULL, NULL, NULL, 0, &e), 1);
    transfers_while_lingering(s, c);
    client_close(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_urls),
        cmocka_unit_test(test_nobody_there),
        cmocka_unit_test_setup_teardown(test_token_file, start, stop),
        cmocka_unit_test_setup_teardown(test_calls, start, stop),
        cmocka_unit_test_setup_teardown(test_other_protocols, start, stop),
        cmocka_unit_test_setup_teardown(test_certificates, start_tls, stop),
        cmocka_unit_test_setup_teardown(test_wrong_scheme, start_tls, stop),
        cmocka_unit_test_setup_teardown(test_wrong_scheme_of_plain, start, stop),
        cmocka_unit_test_setup_teardown(test_full_coordinator, start, stop),
        cmocka_unit_test_setup_teardown(test_retry_after, start, stop),
        cmocka_unit_test_setup_teardown(test_long_answers, start, stop),
        cmocka_unit_test_setup_teardown(test_upload_goes_on, start, stop),
        cmocka_unit_test_setup_teardown(test_upload_of_all_bytes_is_finished, start, stop),
        cmocka_unit_test_setup_teardown(test_small_upload_follows_409, start, stop),
        cmocka_unit_test_setup_teardown(test_download_goes_on, start, stop),
        cmocka_unit_test_setup_teardown(test_wrong_digest_is_thrown_away, start, stop),
        cmocka_unit_test_setup_teardown(test_progress_stops, start, stop),
        cmocka_unit_test_setup_teardown(test_stop_ends_a_long_poll, start, stop),
    };
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
