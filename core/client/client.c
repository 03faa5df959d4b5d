#include "core/client/client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "core/client/http_reply.h"
#include "core/client/join_file.h"
#include "core/env/clock.h"
#include "core/env/file.h"
#include "core/env/http.h"
#include "core/env/process.h"
#include "core/protocol/messages.h"

#define CLIENT_TIMEOUT_MS 60000
#define CLIENT_URL_MAX 512

int client_url_check(const char *url, struct err *e)
{
    const char *host = NULL;
    if (!strncmp(url, "http://", 7)) {
        host = url + 7;
    } else if (!strncmp(url, "https://", 8)) {
        host = url + 8;
    } else if (!strstr(url, "://")) {
        return err_set(e, ERR_INVALID, "URL '%s' has no scheme: write http://%s or https://%s", url,
                       url, url);
    } else {
        return err_set(e, ERR_INVALID, "URL '%s': only http:// and https:// are spoken here", url);
    }
    size_t len = strcspn(host, "/?#");
    if (len == 0 || host[0] == ':') {
        return err_set(e, ERR_INVALID, "URL '%s' names no host: write http://HOST:PORT", url);
    }
    if (host[len] && strcmp(host + len, "/") != 0) {
        return err_set(e, ERR_INVALID,
                       "URL '%s' has a path; only the coordinator's address is wanted: %.*s", url,
                       (int)(host + len - url), url);
    }
    if (strlen(url) > CLIENT_URL_MAX) {
        return err_set(e, ERR_INVALID, "the URL is longer than %d bytes", CLIENT_URL_MAX);
    }
    for (size_t i = 0; i < len; i++) {
        if ((unsigned char)host[i] <= ' ' || host[i] == '@' || (unsigned char)host[i] >= 127) {
            return err_set(e, ERR_INVALID, "URL '%s': '%c' does not belong into a host's name", url,
                           host[i]);
        }
    }
    return 0;
}

static int token_check(const char *token, const char *from, struct err *e)
{
    size_t len = strlen(token);
    if (len == 0) {
        return err_set(e, ERR_INVALID, "%s is empty; it should hold a token", from);
    }
    if (len > PROTOCOL_TOKEN_MAX) {
        return err_set(e, ERR_INVALID, "%s holds no token: it is longer than %d bytes", from,
                       PROTOCOL_TOKEN_MAX);
    }
    for (size_t i = 0; i < len; i++) {
        if ((unsigned char)token[i] <= ' ' || (unsigned char)token[i] >= 127) {
            return err_set(e, ERR_INVALID, "%s holds no token: one line of printable characters",
                           from);
        }
    }
    return 0;
}

static int read_token_file(const char *path, char token[PROTOCOL_TOKEN_MAX + 1], struct err *e)
{
    struct buf b;
    struct join_file join;
    int rc = env_file_read(path, JOIN_FILE_MAX, &b, e);
    if (rc) {
        return err_prefix(e, "token file");
    }
    if (b.data && strstr(b.data, "token:")) {
        buf_free(&b);
        rc = join_file_read(path, &join, e);
        if (!rc) {
            rc = token_check(join.token, path, e);
        }
        memcpy(token, join.token, sizeof join.token);
        return rc;
    }
    size_t len = b.len;
    while (len > 0 && (b.data[len - 1] == '\n' || b.data[len - 1] == '\r')) {
        b.data[--len] = 0;
    }
    rc = token_check(len ? b.data : "", path, e);
    if (!rc) {
        memcpy(token, b.data, len + 1);
    }
    buf_free(&b);
    return rc;
}

int client_open(struct client **out, const struct client_options *o, struct err *e)
{
    *out = NULL;
    char base[CLIENT_URL_MAX + 1], token[PROTOCOL_TOKEN_MAX + 1] = "";
    int rc = client_url_check(o->url, e);
    if (!rc && o->token) {
        rc = token_check(o->token, "the token", e);
    } else if (!rc && o->token_file) {
        rc = read_token_file(o->token_file, token, e);
    }
    if (!rc && o->ca_file && !env_file_exists(o->ca_file)) {
        rc = err_set(e, ERR_NOT_FOUND, "'%s': no such file of certificates", o->ca_file);
    }
    if (rc) {
        return rc;
    }
    snprintf(base, sizeof base, "%s", o->url);
    size_t len = strlen(base);
    if (base[len - 1] == '/') {
        base[len - 1] = 0;
    }
    struct client *c = calloc(1, sizeof *c);
    if (!c) {
        return err_set(e, ERR_NO_MEMORY, "no memory for a client");
    }
    c->url = strdup(base);
    struct env_http_options h = {
        .base_url = base,
        .ca_file = o->ca_file,
        .bearer = o->token   ? o->token
                  : token[0] ? token
                             : NULL,
    };
    rc = c->url ? env_http_open(&c->http, &h, e)
                : err_set(e, ERR_NO_MEMORY, "no memory for a client");
    if (rc) {
        client_close(c);
        return rc;
    }
    *out = c;
    return 0;
}

void client_close(struct client *c)
{
    if (!c) {
        return;
    }
    env_http_close(c->http);
    free(c->url);
    free(c);
}

int client_set_token(struct client *c, const char *token, struct err *e)
{
    int rc = token_check(token, "the token", e);
    return rc ? rc : env_http_set_bearer(c->http, token, e);
}

void client_linger(struct client *c, int64_t grace_ms)
{
    c->linger_until_ms = env_monotonic_ms() + grace_ms;
}

int64_t client_retry_after_ms(const struct client *c)
{
    return c->retry_after_ms;
}

/* --- one exchange of JSON -----------------------------------------------------------------------
 */

struct json_exchange {
    struct reply reply;
    const struct buf *body;
    size_t sent;
};

static long json_read(void *arg, char *out, size_t cap)
{
    struct json_exchange *x = arg;
    size_t n = x->body->len - x->sent;
    n = n < cap ? n : cap;
    memcpy(out, x->body->data + x->sent, n);
    x->sent += n;
    return (long)n;
}

static int json_rewind(void *arg)
{
    ((struct json_exchange *)arg)->sent = 0;
    return 0;
}

static int json_write(void *arg, int status, const char *data, size_t len)
{
    struct json_exchange *x = arg;
    (void)status;
    return reply_take(&x->reply, data, len);
}

static void json_header(void *arg, const char *name, const char *value)
{
    reply_header(&((struct json_exchange *)arg)->reply, name, value);
}

/* A stopping program's calls end with its grace. */
static long call_timeout(const struct client *c, long timeout_ms)
{
    long ms = timeout_ms > 0 ? timeout_ms : CLIENT_TIMEOUT_MS;
    if (client__lingers(c)) {
        int64_t left = c->linger_until_ms - env_monotonic_ms();
        ms = left < ms ? (long)(left > 0 ? left : 1) : ms;
    }
    return ms;
}

/* Sends body (or none) and keeps the answer in x->reply (free with reply_free, also on error). */
static int json_exchange(struct client *c, const char *method, const char *path,
                         const struct buf *body, long timeout_ms, struct json_exchange *x,
                         int *status, struct err *e)
{
    static const char *const with_body[] = {"Content-Type: application/json",
                                            "Accept: application/json", NULL};
    static const char *const without[] = {"Accept: application/json", NULL};
    reply_init(&x->reply);
    x->body = body;
    x->sent = 0;
    struct env_http_request r = {
        .method = method,
        .path = path,
        .headers = body ? with_body : without,
        .timeout_ms = call_timeout(c, timeout_ms),
        .body_size = body ? body->len : 0,
        .read_body = body ? json_read : NULL,
        .rewind_body = json_rewind,
        .write_body = json_write,
        .on_header = json_header,
        .arg = x,
        .through_stop = client__lingers(c),
    };
    int rc = env_http_exchange(c->http, &r, status, e);
    return client__check(c, &x->reply, *status, rc, e);
}

int client_call(struct client *c, const char *method, const char *path, const struct message *in,
                const void *in_value, const struct message *out, void *out_value, struct arena *a,
                long timeout_ms, struct err *e)
{
    struct buf body;
    buf_init(&body, PROTOCOL_BODY_MAX);
    int status = 0;
    int rc = in ? message_encode(in, in_value, &body, e) : 0;
    if (!rc) {
        struct json_exchange x;
        rc = json_exchange(c, method, path, in ? &body : NULL, timeout_ms, &x, &status, e);
        if (!rc && status == 204) {
            rc = 1;
        } else if (!rc && out) {
            const struct buf *b = &x.reply.body;
            rc = message_decode(out, b->data ? b->data : "", b->len, out_value, a, e);
            if (rc) {
                err_prefix(e, "answer of %s %s", method, path);
            }
        }
        reply_free(&x.reply);
    }
    buf_free(&body);
    return rc;
}

int client_get_raw(struct client *c, const char *path, const char **json, size_t *len,
                   struct arena *a, struct err *e)
{
    struct json_exchange x;
    int status = 0;
    int rc = json_exchange(c, "GET", path, NULL, 0, &x, &status, e);
    if (!rc) {
        *len = x.reply.body.len;
        *json = arena_strndup(a, *len ? x.reply.body.data : "", *len);
        if (!*json) {
            rc = err_set(e, ERR_NO_MEMORY, "no memory for the answer of GET %s", path);
        }
    }
    reply_free(&x.reply);
    return rc;
}

/* field.h decodes objects alone, so the array is read as the one field of an object around it. */
struct array_wrap {
    void *items;
    uint32_t count;
};

int client_get_array(struct client *c, const char *path, const struct message *of, void **items,
                     uint32_t *count, struct arena *a, struct err *e)
{
    struct field field = {
        .name = "items",
        .type = FIELD_ARRAY,
        .required = true,
        .offset = offsetof(struct array_wrap, items),
        .count_offset = offsetof(struct array_wrap, count),
        .length_max = 1u << 20,
        .of = of,
    };
    struct message wrap = {
        .name = path, .size = sizeof(struct array_wrap), .fields = &field, .field_count = 1};
    struct array_wrap value = {0};
    struct json_exchange x;
    struct buf json;
    int status = 0;
    buf_init(&json, CLIENT_ANSWER_MAX + 64);
    int rc = json_exchange(c, "GET", path, NULL, 0, &x, &status, e);
    if (!rc) {
        rc = buf_printf(&json, e, "{\"items\":%s}", x.reply.body.len ? x.reply.body.data : "null");
    }
    if (!rc) {
        rc = message_decode(&wrap, json.data, json.len, &value, a, e);
    }
    if (!rc) {
        *items = value.items;
        *count = value.count;
    }
    buf_free(&json);
    reply_free(&x.reply);
    return rc;
}
