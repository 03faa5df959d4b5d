/* Three ways to be somebody: a token ("Authorization: Bearer"), a session's cookie (the web page),
 * and nothing, which on loopback is enough for figures over all.
 *
 * A browser sends the cookie with whatever page makes it ask. So the cookie counts for changes only
 * together with a header that pages of other sites cannot send, X-Tacit-Request, and where the
 * browser names the page's origin, it must be ours. */
#include "coordinator/api/access.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "core/base/text.h"
#include "core/env/clock.h"
#include "core/env/file.h"
#include "core/protocol/messages.h"
#include "coordinator/api/problem.h"
#include "coordinator/api/sessions.h"
#include "coordinator/lease/lease.h"
#include "coordinator/log.h"
#include "coordinator/run/events.h"
#include "coordinator/store/ops_steer.h"

#define COOKIE "tacit_session"

/* Takes equally long wherever the two differ, so that timing tells nothing of a token. */
static bool token_is(const struct digest *given, const struct digest *wanted)
{
    unsigned difference = 0;

    for (size_t i = 0; i < DIGEST_BYTES; i++)
        difference |= given->bytes[i] ^ wanted->bytes[i];
    return difference == 0;
}

/* Which of the coordinator's own tokens it is; TOKEN_KINDS: none of them. */
static int token_kind(struct api *a, const struct digest *given)
{
    int kind = TOKEN_KINDS;

    env_mutex_lock(&a->mutex);
    for (int i = 0; i < TOKEN_KINDS; i++)
        if (token_is(given, &a->tokens[i]))
            kind = i;
    env_mutex_unlock(&a->mutex);
    return kind;
}

static enum caller caller_of(int kind)
{
    return kind == TOKEN_ADMIN ? CALLER_ADMIN : kind == TOKEN_JOIN ? CALLER_JOIN : CALLER_VIEWER;
}

/* --- by a token ------------------------------------------------------------------------------ */

/* Of an agent, or of an invitation. */
static int find_agent(struct exchange *x, const char *token, const struct digest *hash)
{
    struct store_conn *c;
    struct err ignored;
    int rc = store_read_begin(x->api->service->store, &c, &x->err);

    if (rc)
        return rc;
    x->call.caller = CALLER_AGENT;
    rc = lease_agent_of_token(c, token, &x->call.agent, &x->err);
    if (rc == ERR_DENIED && op_invitation_by_token(c, hash, &x->call.invitation, &ignored) == 0) {
        x->call.caller = CALLER_JOIN;
        rc = 0;
    }
    store_read_end(x->api->service->store, c);
    return rc;
}

static int by_token(struct exchange *x)
{
    static const char scheme[] = "Bearer ";
    const char *header = x->public.request.authorization, *token;
    struct digest d;

    if (strncasecmp(header, scheme, sizeof scheme - 1) != 0)
        return err_set(&x->err, ERR_DENIED, "the Authorization header must be \"Bearer TOKEN\"");
    token = header + sizeof scheme - 1;
    token += strspn(token, " ");
    digest_of(token, strlen(token), &d);
    int kind = token_kind(x->api, &d);
    if (kind != TOKEN_KINDS) {
        x->call.caller = caller_of(kind);
        x->token = d;
        return 0;
    }
    if (strlen(token) > PROTOCOL_TOKEN_MAX)
        return err_set(&x->err, ERR_DENIED, "the token is not known here");
    int rc = find_agent(x, token, &d);
    if (rc == ERR_DENIED || rc == ERR_NOT_FOUND)
        return err_set(&x->err, ERR_DENIED,
                       "the token is not known here: it is another coordinator's, or was replaced");
    return rc;
}

/* --- by a session ---------------------------------------------------------------------------- */

/* The value of our cookie among "a=1; tacit_session=…; b=2". */
static bool cookie_read(const char *cookies, char *value, size_t size)
{
    const size_t len = sizeof COOKIE - 1;

    for (const char *at = cookies; at; at = strchr(at, ';')) {
        at += strspn(at, "; ");
        if (strncmp(at, COOKIE "=", len + 1) != 0)
            continue;
        size_t n = strcspn(at + len + 1, "; ");
        if (n == 0 || n >= size)
            return false;
        memcpy(value, at + len + 1, n);
        value[n] = 0;
        return true;
    }
    return false;
}

/* Nobody, where it has ended: then what needs nobody is still to be had. */
static void by_cookie(struct exchange *x)
{
    struct api *a = x->api;
    char value[DIGEST_HEX + 1];
    struct digest secret;

    if (!cookie_read(x->public.request.cookie, value, sizeof value))
        return;
    digest_of(value, strlen(value), &secret);
    env_mutex_lock(&a->mutex);
    const struct session *s = sessions_use(&a->sessions, &secret, env_monotonic_ms());
    int kind = s && s->caller == CALLER_ADMIN ? TOKEN_ADMIN : TOKEN_VIEWER;
    if (s && token_is(&s->token, &a->tokens[kind])) { /* the token was not rotated since */
        x->call.caller = s->caller;
        x->call.session = s->number;
        x->token = s->token;
    }
    env_mutex_unlock(&a->mutex);
}

/* --- from where ------------------------------------------------------------------------------ */

/* "127.0.0.1:8420", "localhost", "[::1]:8420": no name that somebody else could make lead here. */
static bool is_loopback_name(const char *host)
{
    char name[64];
    struct in_addr v4;
    size_t len = host[0] == '[' ? strcspn(host, "]") + 1 : strcspn(host, ":");

    if (len >= sizeof name)
        return false;
    snprintf(name, sizeof name, "%.*s", (int)len, host);
    if (strcasecmp(name, "localhost") == 0 || strcmp(name, "[::1]") == 0)
        return true;
    return inet_pton(AF_INET, name, &v4) == 1 && ntohl(v4.s_addr) >> 24 == 127;
}

enum api_step access_check_host(struct exchange *x)
{
    const char *host = x->public.request.host;

    if (!x->api->service->open_figures || !host || is_loopback_name(host))
        return API_BODY;
    return exchange_fail(x, 403, ERR_DENIED,
                         "this coordinator listens on loopback, and was asked as %.100s: ask it as "
                         "127.0.0.1 or localhost, or send a token",
                         host);
}

/* No origin is named by programs, and by browsers where the page is our own. */
static bool is_foreign(const struct api_request *r)
{
    const char *scheme = r->origin ? strstr(r->origin, "://") : NULL;

    if (!r->origin)
        return false;
    return !scheme || !r->host || strcasecmp(scheme + 3, r->host) != 0;
}

static enum api_step check_origin(struct exchange *x)
{
    const struct api_request *r = &x->public.request;

    if (strcmp(r->method, "GET") == 0 || strcmp(r->method, "HEAD") == 0)
        return API_BODY;
    if (is_foreign(r))
        return exchange_fail(x, 403, ERR_DENIED,
                             "a page of %.100s asked for this, not the coordinator's own",
                             r->origin);
    if (x->call.session && (!r->intent || strcmp(r->intent, "1") != 0))
        return exchange_fail(x, 403, ERR_DENIED,
                             "by a session, changes need the header \"X-Tacit-Request: 1\", which "
                             "other sites' pages cannot send");
    return API_BODY;
}

bool access_still(struct exchange *x, int64_t now_ms)
{
    struct api *a = x->api;
    int kind = x->call.caller == CALLER_ADMIN ? TOKEN_ADMIN : TOKEN_VIEWER;

    return token_is(&x->token, &a->tokens[kind]) &&
           (!x->call.session || sessions_touch(&a->sessions, x->call.session, now_ms));
}

/* --- whether --------------------------------------------------------------------------------- */

static enum api_step refuse_nobody(struct exchange *x)
{
    if (x->public.request.cookie && strstr(x->public.request.cookie, COOKIE "="))
        return exchange_fail(x, 401, ERR_DENIED, "the session has ended: log in again");
    return exchange_fail(x, 401, ERR_DENIED,
                         "a token is needed: send \"Authorization: Bearer TOKEN\" with what stands "
                         "in admin.token, viewer.token, join.token or an agent's own token");
}

static enum api_step refuse_caller(struct exchange *x)
{
    static const char *const names[] = {"nobody's", "the join token", "an agent's token",
                                        "the operator's token (admin.token)",
                                        "the viewer's token (viewer.token)"};
    const struct api_request *r = &x->public.request;
    char wanted[160] = "";

    if (x->call.caller == CALLER_VIEWER && (x->route->may & MAY(CALLER_ADMIN)))
        return exchange_fail(x, 403, ERR_DENIED,
                             "%s %s is for operators: viewers see what happens, and change "
                             "nothing; log in with admin.token",
                             r->method, x->route->pattern);
    for (int c = CALLER_JOIN; c <= CALLER_VIEWER; c++) {
        size_t used = strlen(wanted);
        if (x->route->may & MAY(c))
            snprintf(wanted + used, sizeof wanted - used, "%s%s", used ? " or " : "", names[c]);
    }
    return exchange_fail(x, 403, ERR_DENIED, "%s %s needs %s, not %s", r->method, x->route->pattern,
                         wanted, names[x->call.caller]);
}

enum api_step access_check(struct exchange *x)
{
    const struct api_request *r = &x->public.request;

    if (r->authorization)
        x->rc = by_token(x);
    else if (r->cookie)
        by_cookie(x);
    if (x->rc)
        return exchange_refuse(x, x->rc == ERR_DENIED ? 401 : 0);
    if (x->call.caller == CALLER_NONE) {
        unsigned open = x->api->service->open_figures ? MAY(CALLER_NONE) : ANYWHERE;
        if (!x->route || !(x->route->may & (open | ANYWHERE)))
            return refuse_nobody(x);
    }
    if (!r->authorization && (access_check_host(x) == API_REPLY || check_origin(x) == API_REPLY))
        return API_REPLY;
    if (x->route && !(x->route->may & (MAY(x->call.caller) | ANYWHERE)))
        return refuse_caller(x);
    return API_BODY;
}

/* --- /v1/session ----------------------------------------------------------------------------- */

static void fill(const struct exchange *x, enum caller caller)
{
    *(struct msg_session *)x->out =
        (struct msg_session){.role = caller == CALLER_ADMIN    ? ROLE_OPERATOR
                                     : caller == CALLER_VIEWER ? ROLE_VIEWER
                                                               : ROLE_NOBODY,
                             .loopback = x->api->service->open_figures};
}

static void set_cookie(struct exchange *x, const char *value, long long seconds)
{
    reply_add_header(&x->public.reply, "Set-Cookie",
                     arena_printf(&x->arena,
                                  COOKIE "=%s; Path=/; HttpOnly; SameSite=Strict; Max-Age=%lld%s",
                                  value, seconds, x->api->service->tls ? "; Secure" : ""));
}

static enum api_step too_often(struct exchange *x, int64_t wait_ms)
{
    unsigned long long seconds = (unsigned long long)(wait_ms + 999) / 1000;

    exchange_fail(x, 429, ERR_UNAVAILABLE,
                  "too many wrong tokens came from here; the next may be tried in %llu s", seconds);
    reply_add_header(&x->public.reply, "Retry-After", arena_printf(&x->arena, "%llu", seconds));
    return API_REPLY;
}

/* An event of a log-in, so that what a session does later is known to come from there. Nobody waits
 * for it: who looks at a full disk must get in. */
struct telling {
    struct service *service;
    struct session session;
    char client[48];
};

static int tell_fn(struct store_conn *conn, void *arg, struct err *e)
{
    const struct telling *t = arg;
    char who[64];
    struct call c = {.service = t->service,
                     .conn = conn,
                     .caller = t->session.caller,
                     .session = t->session.number,
                     .wall_ms = env_wall_ms()};

    snprintf(who, sizeof who, "viewer, web session %llu", (unsigned long long)t->session.number);
    return event_tell(&c, &(struct event){.kind = "session.began", .who = who}, e, "from %s",
                      t->client);
}

static void tell_done(void *arg, int rc, const struct err *e)
{
    if (rc)
        log_warn("a log-in is not among the events: %s", e->message);
    free(arg);
}

static void tell_begun(struct exchange *x, const struct session *s, const char *client)
{
    struct telling *t = calloc(1, sizeof *t);

    log_info("session=%llu begun role=%s client=%s", (unsigned long long)s->number,
             s->caller == CALLER_ADMIN ? "operator" : "viewer", client);
    if (!t)
        return;
    t->service = x->api->service;
    t->session = *s;
    snprintf(t->client, sizeof t->client, "%s", client);
    store_write(t->service->store, tell_fn, tell_done, t);
}

static enum api_step log_in(struct exchange *x)
{
    struct api *a = x->api;
    const char *token = ((const struct msg_token *)x->in)->token;
    const char *client = x->public.request.client ? x->public.request.client : "?";
    int64_t now = env_monotonic_ms(), wait;
    char value[DIGEST_HEX + 1];
    struct digest random;
    struct session s = {.number = 0};

    digest_of(token, strlen(token), &s.token);
    env_random(random.bytes, sizeof random.bytes);
    digest_to_hex(&random, value);
    digest_of(value, strlen(value), &s.secret);
    int kind = token_kind(a, &s.token);
    bool right = kind == TOKEN_ADMIN || kind == TOKEN_VIEWER;
    s.caller = caller_of(kind);
    env_mutex_lock(&a->mutex);
    wait = sessions_guess_wait(&a->sessions, client, now);
    if (wait == 0 && right)
        s.number = sessions_begin(&a->sessions, &s, now);
    else if (wait == 0)
        sessions_guessed_wrong(&a->sessions, client, now);
    env_mutex_unlock(&a->mutex);
    if (wait > 0)
        return too_often(x, wait);
    if (!right) {
        log_warn("a wrong token was shown at log-in client=%s", client);
        return exchange_fail(x, 401, ERR_DENIED, "%s",
                             kind == TOKEN_JOIN
                                 ? "that is the join token, by which agents join: log in with what "
                                   "stands in admin.token or viewer.token"
                                 : "that token is not known here: it is what stands in admin.token "
                                   "or viewer.token in the coordinator's folder");
    }
    tell_begun(x, &s, client);
    set_cookie(x, value, SESSION_MAX_MS / 1000);
    fill(x, s.caller);
    return API_BODY;
}

enum api_step access_session(struct exchange *x)
{
    const char *method = x->public.request.method;
    struct api *a = x->api;

    if (strcmp(method, "POST") == 0)
        return log_in(x);
    if (strcmp(method, "DELETE") != 0) {
        fill(x, x->call.caller);
        return API_BODY;
    }
    env_mutex_lock(&a->mutex);
    if (x->call.session)
        sessions_end(&a->sessions, x->call.session);
    env_mutex_unlock(&a->mutex);
    set_cookie(x, "", 0);
    return API_BODY;
}
