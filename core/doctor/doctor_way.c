/* The way to the coordinator. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sysexits.h>
#include <time.h>
#include "core/base/text.h"
#include "core/client/client.h"
#include "core/doctor/doctor.h"
#include "core/env/clock.h"
#include "core/env/file.h"
#include "core/env/http.h"
#include "core/env/network.h"
#include "core/env/process.h"
#include "core/version.h"

#define REACH_MS 5000
#define ANSWER_MS 10000
#define CLOCK_WARN_S 30
#define CLOCK_FAULT_S 86400 /* certificates are judged by it */
#define SOON_DAYS 21

struct way {
    struct doctor *d;
    const struct doctor_way *w;
    char host[512];
    uint16_t port;
    bool tls, loopback;
    char proxy[512]; /* its address; "": none is used */
    struct client *client;
};

static bool fault(struct way *y, int code, const char *check, const char *fix, const char *found)
{
    doctor_tell(y->d, FINDING_FAULT, code, check, fix, "%s", found);
    return false;
}

/* "http://host:port" → host and port. */
static void split_url(const char *url, char *host, size_t cap, uint16_t *port)
{
    const char *at = strstr(url, "://");
    uint64_t n = at && strncmp(url, "https", 5) == 0 ? 443 : 80;
    at = at ? at + 3 : url;
    const char *user = strchr(at, '@');
    at = user ? user + 1 : at;
    bool six = *at == '[';
    size_t len = six ? strcspn(at, "]") : strcspn(at, ":/");
    snprintf(host, cap, "%.*s", (int)(len - (size_t)six), at + six);
    at += len + (size_t)(six && at[len]);
    if (*at == ':') {
        char digits[8];
        snprintf(digits, sizeof digits, "%.*s", (int)strspn(at + 1, "0123456789"), at + 1);
        (void)text_to_u64(digits, &n);
    }
    *port = (uint16_t)n;
}

/* --- settings --------------------------------------------------------------------------------- */

static bool check_settings(struct way *y)
{
    const struct doctor_way *w = y->w;
    struct err e = {0};
    if (!w->url || !*w->url) {
        doctor_tell(y->d, FINDING_FAULT, EX_CONFIG, "settings",
                    "ask whoever runs the coordinator for its address",
                    "no coordinator is named: give %s http://HOST:PORT, or set TACIT_URL",
                    w->option);
        return false;
    }
    if (client_url_check(w->url, &e))
        return fault(y, EX_USAGE, "settings", "write the address as http://HOST:PORT or https://…",
                     e.message);
    struct client_options o = {
        .url = w->url, .token = w->token, .token_file = w->token_file, .ca_file = w->ca_file};
    int rc = client_open(&y->client, &o, &e);
    if (rc)
        return fault(y, err_exit_code(rc), "settings",
                     w->role == DOCTOR_OPERATOR
                         ? "name the file: DIR/admin.token, in the coordinator's data folder"
                         : "name the file that the operator gave you, a token or a join file",
                     e.message);
    split_url(w->url, y->host, sizeof y->host, &y->port);
    y->tls = strncmp(w->url, "https:", 6) == 0;
    y->loopback = strncmp(y->host, "127.", 4) == 0 || strcmp(y->host, "localhost") == 0 ||
                  strcmp(y->host, "::1") == 0;
    doctor_tell(y->d, FINDING_OK, 0, "settings", NULL, "%s%s%s", w->url,
                w->token_file ? ", token in " : "", w->token_file ? w->token_file : "");
    return true;
}

/* --- proxy ------------------------------------------------------------------------------------ */

static const char *setting(const char *name, const char *other)
{
    const char *value = env_get(name);
    value = value && *value ? value : other ? env_get(other) : NULL;
    return value && *value ? value : NULL;
}

/* Whether no_proxy's list names the host, or a domain that it is in. */
static bool is_excepted(const char *list, const char *host)
{
    for (const char *at = list; at && *at;) {
        at += strspn(at, ", ");
        size_t len = strcspn(at, ", "), host_len = strlen(host);
        const char *name = *at == '.' ? at + 1 : at;
        size_t name_len = len - (size_t)(name - at);
        if (len == 1 && *at == '*')
            return true;
        if (name_len > 0 && name_len <= host_len &&
            strncasecmp(host + host_len - name_len, name, name_len) == 0 &&
            (name_len == host_len || host[host_len - name_len - 1] == '.'))
            return true;
        at += len;
    }
    return false;
}

static void check_proxy(struct way *y)
{
    const char *name = y->tls ? "https_proxy" : "http_proxy";
    const char *value = setting(name, y->tls ? "HTTPS_PROXY" : NULL);
    if (!value) {
        name = "all_proxy";
        value = setting(name, "ALL_PROXY");
    }
    if (!value) {
        doctor_tell(y->d, FINDING_OK, 0, "proxy", NULL, "none is set");
    } else if (y->loopback || is_excepted(setting("no_proxy", "NO_PROXY"), y->host)) {
        doctor_tell(y->d, FINDING_OK, 0, "proxy", NULL, "%s is set, and not used for %s", name,
                    y->host);
    } else {
        snprintf(y->proxy, sizeof y->proxy, "%s", value);
        doctor_tell(y->d, FINDING_OK, 0, "proxy", NULL,
                    "%s=%s is used (set no_proxy=%s where it should not be)", name, value, y->host);
    }
}

/* --- name, port ------------------------------------------------------------------------------- */

static bool check_reach(struct way *y)
{
    char host[512], addresses[300];
    uint16_t port = y->port;
    int64_t took;
    struct err e = {0};
    struct arena *a = &y->d->arena;
    const char *whom = *y->proxy ? "the proxy " : "";
    snprintf(host, sizeof host, "%s", y->host);
    if (*y->proxy)
        split_url(y->proxy, host, sizeof host, &port);
    int rc = env_net_find(host, addresses, sizeof addresses, &e);
    if (rc)
        return fault(y, rc == ERR_NOT_FOUND ? EX_NOHOST : EX_UNAVAILABLE, "name",
                     rc == ERR_NOT_FOUND ? "see whether the name is written right; `getent hosts "
                                           "NAME` asks as this program does"
                                         : "see to this machine's network and /etc/resolv.conf",
                     e.message);
    doctor_tell(y->d, FINDING_OK, 0, "name", NULL, "%s%s is %s", whom, host, addresses);
    rc = env_net_reach(host, port, REACH_MS, &took, &e);
    const char *words =
        rc ? arena_printf(a, "%s%s, port %u: %s", whom, host, port, e.message) : NULL;
    if (rc)
        return fault(y, EX_UNAVAILABLE, "port",
                     strstr(e.message, "refused")
                         ? "nothing listens there: start tacitd, or see whether the port is right "
                           "(tacitd names it as it starts)"
                         : "a firewall or a wrong address is in the way: the coordinator's host "
                           "must let this port in",
                     words ? words : e.message);
    doctor_tell(y->d, FINDING_OK, 0, "port", NULL, "%s%s:%u is reached within %lld ms", whom, host,
                port, (long long)took);
    return true;
}

/* --- certificate ------------------------------------------------------------------------------ */

static bool check_certificate(struct way *y)
{
    struct client_certificate c;
    struct err e = {0};
    char date[32] = "";
    int rc = client_certificate(y->client, &c, &e);
    if (rc)
        return fault(y, err_exit_code(rc), "certificate",
                     "see what listens there: the address says https", e.message);
    time_t until = (time_t)(c.until_ms / 1000);
    struct tm tm;
    if (gmtime_r(&until, &tm))
        strftime(date, sizeof date, "%Y-%m-%d", &tm);
    int64_t left_ms = c.until_ms - env_wall_ms();
    long long days = left_ms / 86400000;
    if (left_ms < 0) {
        doctor_tell(y->d, FINDING_FAULT, EX_CONFIG, "certificate",
                    "its operator must renew it (`tacitd tls renew`, or whatever made it); if this "
                    "machine's clock is wrong, set that",
                    "%s expired on %s", c.subject, date);
        return false;
    }
    if (c.from_ms > env_wall_ms()) {
        doctor_tell(y->d, FINDING_FAULT, EX_CONFIG, "certificate",
                    "set the clock of this machine, or of the one that made it",
                    "%s is not valid yet", c.subject);
        return false;
    }
    if (!c.trusted) {
        doctor_tell(y->d, FINDING_FAULT, EX_CONFIG, "certificate",
                    "give the authority's certificate with --ca FILE, or use the join file, which "
                    "has it",
                    "%s is not trusted here; issued by %s", c.subject, c.issuer);
        return false;
    }
    doctor_tell(y->d, days < SOON_DAYS ? FINDING_WARN : FINDING_OK, 0, "certificate",
                days < SOON_DAYS ? "its operator must renew it before (`tacitd tls renew`)" : NULL,
                "%s, trusted, valid until %s (%lld days)", c.subject, date, days);
    return true;
}

/* --- answer, clock, version, token ------------------------------------------------------------ */

struct answer {
    int64_t date_ms; /* 0: it said none */
    uint64_t protocol;
    bool versioned;
};

static void on_header(void *arg, const char *name, const char *value)
{
    struct answer *a = arg;
    struct tm tm = {0};
    if (strcmp(name, "date") == 0 && strptime(value, "%a, %d %b %Y %H:%M:%S GMT", &tm))
        a->date_ms = (int64_t)timegm(&tm) * 1000;
    if (strcmp(name, "tacit-protocol") == 0)
        a->versioned = text_to_u64(value, &a->protocol);
}

static void check_clock(struct way *y, const struct answer *a)
{
    if (a->date_ms == 0)
        return;
    /* The header has whole seconds. */
    double off = (double)(env_wall_ms() - a->date_ms - 500) / 1000, size = off < 0 ? -off : off;
    char words[24];
    int level = size > CLOCK_FAULT_S  ? FINDING_FAULT
                : size > CLOCK_WARN_S ? FINDING_WARN
                                      : FINDING_OK;
    if (level == FINDING_OK)
        doctor_tell(y->d, level, 0, "clock", NULL, "within a second or so of the coordinator's%s",
                    size > 2 ? " (some seconds, to be exact)" : "");
    else
        doctor_tell(y->d, level, EX_CONFIG, "clock",
                    "set the clock that is wrong: `timedatectl set-ntp true`",
                    "this machine's is %s %s the coordinator's", text_duration(size, words),
                    off < 0 ? "behind" : "ahead of");
}

static bool check_answer(struct way *y)
{
    struct env_http *h;
    struct answer a = {0};
    struct err e = {0};
    int status = 0;
    struct env_http_options o = {.base_url = y->w->url, .ca_file = y->w->ca_file};
    struct env_http_request r = {.method = "GET",
                                 .path = "/healthz",
                                 .timeout_ms = ANSWER_MS,
                                 .on_header = on_header,
                                 .arg = &a};
    int rc = env_http_open(&h, &o, &e);
    double began = env_monotonic_s();
    if (!rc)
        rc = env_http_exchange(h, &r, &status, &e);
    env_http_close(h);
    if (rc)
        return fault(y, err_exit_code(rc), "answer",
                     "see what listens there, and what stands between: a proxy, a balancer",
                     e.message);
    if (!a.versioned) {
        doctor_tell(y->d, FINDING_FAULT, EX_PROTOCOL, "answer",
                    "see whether address and port are the coordinator's, and what stands between",
                    "what answers (HTTP status %d) is no coordinator of tacit", status);
        return false;
    }
    doctor_tell(y->d, FINDING_OK, 0, "answer", NULL, "the coordinator answers within %.0f ms",
                (env_monotonic_s() - began) * 1000);
    check_clock(y, &a);
    if (a.protocol != PROTOCOL_VERSION) {
        doctor_tell(y->d, FINDING_FAULT, EX_PROTOCOL, "version",
                    "install the same version of tacit on both sides",
                    "it speaks protocol %llu, this program %d", (unsigned long long)a.protocol,
                    PROTOCOL_VERSION);
        return false;
    }
    return true;
}

static void check_version(struct way *y)
{
    struct msg_status s;
    struct err e = {0};
    if (client_call(y->client, "GET", "/v1/status", NULL, NULL, &message_status, &s, &y->d->arena,
                    ANSWER_MS, &e))
        return;
    bool same = s.version && strcmp(s.version, TACIT_VERSION) == 0;
    doctor_tell(y->d, same ? FINDING_OK : FINDING_WARN, 0, "version",
                same ? NULL : "install the same version on all machines, soon",
                "tacitd is %s, this is %s", s.version ? s.version : "unknown", TACIT_VERSION);
}

/* What the coordinator says to a token that may not read its state names whose the token is. */
static int role_of(const char *refusal)
{
    return strstr(refusal, "not the join token")     ? DOCTOR_JOIN
           : strstr(refusal, "not an agent's token") ? DOCTOR_AGENT
                                                     : -1;
}

static bool wrong_role(struct way *y, const char *is)
{
    static const char *const wanted[] = {"the operator's (admin.token)", "an agent's own",
                                         "a join token (join.token, or an invitation)"};
    static const char *const fixes[] = {
        "name DIR/admin.token of the coordinator's data folder with --token-file",
        "remove WORK/agent.token, and start the agent with a join token",
        "name DIR/join.token, or a file of `tacit invite`, with --token-file"};
    doctor_tell(y->d, FINDING_FAULT, EX_NOPERM, "token", fixes[y->w->role],
                "it is %s, and what is wanted is %s", is, wanted[y->w->role]);
    return false;
}

static bool check_token(struct way *y)
{
    struct msg_session s;
    struct msg_status status;
    struct err e = {0};
    struct arena *a = &y->d->arena;
    int role = y->w->role;
    if (!y->w->token && !y->w->token_file)
        return fault(y, EX_CONFIG, "token",
                     role == DOCTOR_OPERATOR
                         ? "set TACIT_TOKEN_FILE=DIR/admin.token (of the coordinator's data "
                           "folder), or give --token-file"
                         : "give --token-file FILE: a join token, or an invitation",
                     "none is given");
    int rc = client_call(y->client, "GET", "/v1/status", NULL, NULL, &message_status, &status, a,
                         ANSWER_MS, &e);
    int is = rc == 0 ? DOCTOR_OPERATOR : rc == ERR_DENIED ? role_of(e.message) : -1;
    if (is < 0)
        return fault(y, err_exit_code(rc), "token",
                     rc == ERR_DENIED
                         ? "ask the operator for the present one: tokens are rotated and revoked"
                         : "see what stands between",
                     e.message);
    struct err ignored;
    bool viewer = is == DOCTOR_OPERATOR &&
                  client_call(y->client, "GET", "/v1/session", NULL, NULL, &message_session, &s, a,
                              ANSWER_MS, &ignored) == 0 &&
                  s.role == ROLE_VIEWER;
    if (is != role)
        return wrong_role(y, is == DOCTOR_JOIN    ? "a join token"
                             : is == DOCTOR_AGENT ? "an agent's"
                             : viewer             ? "the viewer's"
                                                  : "the operator's");
    if (viewer)
        doctor_tell(y->d, FINDING_WARN, 0, "token",
                    "name admin.token in its place where you are to change something",
                    "valid, the viewer's: it reads, and changes nothing");
    else
        doctor_tell(y->d, FINDING_OK, 0, "token", NULL, "valid, %s",
                    role == DOCTOR_OPERATOR ? "the operator's"
                    : role == DOCTOR_AGENT  ? "this agent's own"
                                            : "lets agents join");
    return true;
}

bool doctor_way(struct doctor *d, const struct doctor_way *w)
{
    struct way y = {.d = d, .w = w};
    bool well = check_settings(&y);
    if (well)
        check_proxy(&y);
    well = well && check_reach(&y);
    if (well && y.tls)
        well = check_certificate(&y);
    well = well && check_answer(&y) && check_token(&y);
    if (well && w->role == DOCTOR_OPERATOR)
        check_version(&y);
    client_close(y.client);
    return well;
}
