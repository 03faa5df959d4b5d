/* core/env/http.h over libcurl: the one file that knows it. Each handle has a multi handle of its
 * own, because curl_multi_poll can wait on the stop descriptor too: a signal ends a long poll at
 * once, not at libcurl's next tick. */
#include "core/env/http.h"

#include <ctype.h>
#include <curl/curl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "core/env/process.h"

#define HTTP_CONNECT_MS 10000
#define HTTP_STALL_SECONDS 60 /* no byte either way for so long: the path is dead */
#define HTTP_PROBE_MS 5000    /* the question whether the other scheme is spoken */
#define VERIFY_OK 0L          /* OpenSSL's X509_V_…, which libcurl tells */
#define VERIFY_NOT_YET 9L
#define VERIFY_EXPIRED 10L
#define HTTP_POLL_MS 1000 /* how often a silent exchange asks whether it should end */
#define HTTP_TRANSFER_BUFFER (256L << 10)
#define HTTP_ASK_ABOVE (64u << 10) /* larger bodies wait for 100 Continue: a round trip is less */

struct env_http {
    CURL *easy;
    CURLM *multi;
    char *base, *ca, *bearer;
    long connect_ms;
    bool answered; /* once at least: it is the right address */
    char detail[CURL_ERROR_SIZE];
};

/* One exchange, as libcurl's callbacks see it. */
struct exchange {
    struct env_http *h;
    const struct env_http_request *r;
    bool stopped; /* by a callback, poll or the stop flag */
};

static pthread_once_t http_once = PTHREAD_ONCE_INIT;

static void http_start(void)
{
    curl_global_init(CURL_GLOBAL_DEFAULT);
}

static int copy_string(char **to, const char *from, struct err *e)
{
    free(*to);
    *to = NULL;
    if (!from) {
        return 0;
    }
    *to = strdup(from);
    return *to ? 0 : err_set(e, ERR_NO_MEMORY, "no memory for an HTTP setting");
}

int env_http_open(struct env_http **out, const struct env_http_options *o, struct err *e)
{
    *out = NULL;
    pthread_once(&http_once, http_start);
    struct env_http *h = calloc(1, sizeof *h);
    if (!h) {
        return err_set(e, ERR_NO_MEMORY, "no memory for an HTTP handle");
    }
    h->connect_ms = o->connect_ms > 0 ? o->connect_ms : HTTP_CONNECT_MS;
    h->easy = curl_easy_init();
    h->multi = curl_multi_init();
    int rc = h->easy && h->multi ? 0 : err_set(e, ERR_NO_MEMORY, "no memory for an HTTP handle");
    if (!rc) {
        rc = copy_string(&h->base, o->base_url, e);
    }
    if (!rc) {
        rc = copy_string(&h->ca, o->ca_file, e);
    }
    if (!rc) {
        rc = copy_string(&h->bearer, o->bearer, e);
    }
    if (rc) {
        env_http_close(h);
        return rc;
    }
    *out = h;
    return 0;
}

void env_http_close(struct env_http *h)
{
    if (!h) {
        return;
    }
    if (h->easy) {
        curl_easy_cleanup(h->easy);
    }
    if (h->multi) {
        curl_multi_cleanup(h->multi);
    }
    free(h->base);
    free(h->ca);
    free(h->bearer);
    free(h);
}

int env_http_set_bearer(struct env_http *h, const char *bearer, struct err *e)
{
    return copy_string(&h->bearer, bearer, e);
}

static int status_of(CURL *easy)
{
    long status = 0;
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    return (int)status;
}

static bool should_stop(struct exchange *x)
{
    if (!x->stopped) {
        x->stopped = (!x->r->through_stop && env_stop_requested()) ||
                     (x->r->poll && x->r->poll(x->r->arg) != 0);
    }
    return x->stopped;
}

static size_t on_read(char *out, size_t size, size_t count, void *arg)
{
    struct exchange *x = arg;
    long n = x->r->read_body(x->r->arg, out, size * count);
    if (n < 0) {
        x->stopped = true;
        return CURL_READFUNC_ABORT;
    }
    return (size_t)n;
}

static int on_seek(void *arg, curl_off_t offset, int origin)
{
    struct exchange *x = arg;
    if (offset != 0 || origin != SEEK_SET || !x->r->rewind_body) {
        return CURL_SEEKFUNC_CANTSEEK;
    }
    return x->r->rewind_body(x->r->arg) == 0 ? CURL_SEEKFUNC_OK : CURL_SEEKFUNC_FAIL;
}

static size_t on_write(char *data, size_t size, size_t count, void *arg)
{
    struct exchange *x = arg;
    size_t len = size * count;
    if (x->r->write_body && x->r->write_body(x->r->arg, status_of(x->h->easy), data, len) != 0) {
        x->stopped = true;
        return len + 1; /* anything else than len makes libcurl give up */
    }
    return len;
}

static size_t on_header(char *data, size_t size, size_t count, void *arg)
{
    struct exchange *x = arg;
    size_t len = size * count;
    const char *colon = memchr(data, ':', len);
    if (!x->r->on_header || !colon || status_of(x->h->easy) < 200) {
        return len;
    }
    char name[64], value[512];
    size_t n = (size_t)(colon - data);
    const char *v = colon + 1, *end = data + len;
    while (v < end && isspace((unsigned char)*v)) {
        v++;
    }
    while (end > v && isspace((unsigned char)end[-1])) {
        end--;
    }
    if (n >= sizeof name || (size_t)(end - v) >= sizeof value) {
        return len; /* none that we know is so long */
    }
    for (size_t i = 0; i < n; i++) {
        name[i] = (char)tolower((unsigned char)data[i]);
    }
    name[n] = 0;
    memcpy(value, v, (size_t)(end - v));
    value[end - v] = 0;
    x->r->on_header(x->r->arg, name, value);
    return len;
}

static int on_progress(void *arg, curl_off_t dt, curl_off_t dn, curl_off_t ut, curl_off_t un)
{
    (void)dt;
    (void)dn;
    (void)ut;
    (void)un;
    return should_stop(arg) ? 1 : 0;
}

static bool is_loopback(const char *url)
{
    const char *host = strstr(url, "://");
    host = host ? host + 3 : url;
    return !strncmp(host, "127.", 4) || !strncmp(host, "localhost", 9) ||
           !strncmp(host, "[::1]", 5);
}

static void set_method(CURL *easy, const struct env_http_request *r)
{
    if (!strcmp(r->method, "HEAD")) {
        curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
        return;
    }
    if (r->read_body) {
        curl_easy_setopt(easy, CURLOPT_UPLOAD, 1L);
        curl_easy_setopt(easy, CURLOPT_INFILESIZE_LARGE, (curl_off_t)r->body_size);
    }
    curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, r->method);
}

/* Those of the file alone: libcurl would go on to trust the system's folder, too. */
static void set_authorities(struct env_http *h)
{
    if (h->ca) {
        curl_easy_setopt(h->easy, CURLOPT_CAINFO, h->ca);
        curl_easy_setopt(h->easy, CURLOPT_CAPATH, NULL);
    }
}

static void set_options(struct exchange *x, const char *url, struct curl_slist *headers)
{
    struct env_http *h = x->h;
    const struct env_http_request *r = x->r;
    CURL *c = h->easy;
    curl_easy_reset(c);
    h->detail[0] = 0;
    curl_easy_setopt(c, CURLOPT_ERRORBUFFER, h->detail);
    curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(c, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(c, CURLOPT_URL, url);
    curl_easy_setopt(c, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(c, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, h->connect_ms);
    curl_easy_setopt(c, CURLOPT_BUFFERSIZE, HTTP_TRANSFER_BUFFER);
    curl_easy_setopt(c, CURLOPT_UPLOAD_BUFFERSIZE, HTTP_TRANSFER_BUFFER);
    set_authorities(h);
    if (is_loopback(url)) {
        curl_easy_setopt(c, CURLOPT_NOPROXY, "*"); /* http_proxy is not for this machine itself */
    }
    if (r->timeout_ms > 0) {
        curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, r->timeout_ms);
    } else {
        curl_easy_setopt(c, CURLOPT_LOW_SPEED_LIMIT, 1L);
        curl_easy_setopt(c, CURLOPT_LOW_SPEED_TIME,
                         r->stall_s > 0 ? r->stall_s : (long)HTTP_STALL_SECONDS);
    }
    set_method(c, r);
    curl_easy_setopt(c, CURLOPT_READFUNCTION, on_read);
    curl_easy_setopt(c, CURLOPT_READDATA, x);
    curl_easy_setopt(c, CURLOPT_SEEKFUNCTION, on_seek);
    curl_easy_setopt(c, CURLOPT_SEEKDATA, x);
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_write);
    curl_easy_setopt(c, CURLOPT_WRITEDATA, x);
    curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(c, CURLOPT_HEADERDATA, x);
    curl_easy_setopt(c, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(c, CURLOPT_XFERINFODATA, x);
    curl_easy_setopt(c, CURLOPT_NOPROGRESS, 0L);
}

/* Runs the exchange to its end; a stop ends it within the tick of curl_multi_poll. */
static CURLcode perform(struct exchange *x)
{
    struct env_http *h = x->h;
    if (curl_multi_add_handle(h->multi, h->easy) != CURLM_OK) {
        return CURLE_FAILED_INIT;
    }
    CURLcode result = CURLE_ABORTED_BY_CALLBACK;
    struct curl_waitfd stop = {.fd = env_stop_fd(), .events = CURL_WAIT_POLLIN};
    int running = 1;
    while (!should_stop(x)) {
        if (curl_multi_perform(h->multi, &running) != CURLM_OK) {
            result = CURLE_FAILED_INIT;
            break;
        }
        if (running == 0) {
            int left;
            const CURLMsg *m = curl_multi_info_read(h->multi, &left);
            result = m && m->msg == CURLMSG_DONE ? m->data.result : CURLE_FAILED_INIT;
            break;
        }
        /* A readable stop descriptor would keep an exchange that goes on through it spinning. */
        unsigned extra = stop.fd >= 0 && !x->r->through_stop ? 1 : 0;
        curl_multi_poll(h->multi, &stop, extra, HTTP_POLL_MS, NULL);
    }
    curl_multi_remove_handle(h->multi, h->easy);
    return result;
}

static size_t discard(char *data, size_t size, size_t count, void *arg)
{
    (void)data;
    (void)arg;
    return size * count;
}

/* A question without a token, and without trust. */
static void set_probe(struct env_http *h, const char *url)
{
    curl_easy_reset(h->easy);
    h->detail[0] = 0;
    curl_easy_setopt(h->easy, CURLOPT_ERRORBUFFER, h->detail);
    curl_easy_setopt(h->easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(h->easy, CURLOPT_URL, url);
    curl_easy_setopt(h->easy, CURLOPT_NOBODY, 1L);
    curl_easy_setopt(h->easy, CURLOPT_WRITEFUNCTION, discard);
    curl_easy_setopt(h->easy, CURLOPT_TIMEOUT_MS, (long)HTTP_PROBE_MS);
    curl_easy_setopt(h->easy, CURLOPT_SSL_VERIFYPEER, 0L);
    curl_easy_setopt(h->easy, CURLOPT_SSL_VERIFYHOST, 0L);
    if (is_loopback(url)) {
        curl_easy_setopt(h->easy, CURLOPT_NOPROXY, "*");
    }
}

/* A plain request to a port of TLS ends in many ways, all of which a bad line has too; so does the
 * reverse. Whether it is the scheme that is wrong is asked in the other one: an answer there leaves
 * no doubt. No token goes with the question, and only an address that never answered is asked. */
static bool scheme_is_wrong(struct exchange *x, CURLcode code)
{
    struct env_http *h = x->h;
    char url[1024], detail[CURL_ERROR_SIZE];
    bool tls = !strncmp(h->base, "https:", 6);
    bool likely = tls ? code == CURLE_SSL_CONNECT_ERROR
                      : code == CURLE_GOT_NOTHING || code == CURLE_UNSUPPORTED_PROTOCOL ||
                            code == CURLE_RECV_ERROR;
    if (!likely || h->answered || x->stopped) {
        return false;
    }
    snprintf(url, sizeof url, "%s%s/healthz", tls ? "http" : "https", strchr(h->base, ':'));
    memcpy(detail, h->detail, sizeof detail);
    set_probe(h, url);
    CURLcode other = perform(x);
    int status = other == CURLE_OK ? status_of(h->easy) : 0;
    memcpy(h->detail, detail, sizeof detail);
    /* Some servers of TLS tell those who do not speak it, in plain HTTP, that the request is bad.
     */
    return status > 0 && !(tls && status == 400);
}

static int scheme_error(const struct env_http *h, struct err *e)
{
    bool tls = !strncmp(h->base, "https:", 6);
    return err_set(e, ERR_CONFIG, "what answers at %s speaks %s: write %s%s", h->base,
                   tls ? "plain http, not https" : "https, not plain http", tls ? "http" : "https",
                   strchr(h->base, ':'));
}

static int connect_error(const struct env_http *h, struct err *e)
{
    long number = 0;
    curl_easy_getinfo(h->easy, CURLINFO_OS_ERRNO, &number);
    if (number == 0) {
        return err_set(e, ERR_UNAVAILABLE, "can't reach %s: %s", h->base, h->detail);
    }
    return err_set(e, ERR_UNAVAILABLE, "can't reach %s: %s; is tacitd running there?", h->base,
                   strerror((int)number));
}

/* The coordinator is there: what stands between is told from its being down. */
static int certificate_error(const struct env_http *h, const char *detail, struct err *e)
{
    long verified = 0;
    if (strstr(detail, "subject name")) { /* the names are compared once the rest is well */
        return err_set(
            e, ERR_CONFIG,
            "the certificate of %s is made for other names: use one of them, or have its "
            "operator add this one (`tacitd tls renew --data DIR --host NAME,…`)",
            h->base);
    }
    curl_easy_getinfo(h->easy, CURLINFO_SSL_VERIFYRESULT, &verified);
    switch (verified) {
    case VERIFY_EXPIRED:
        return err_set(e, ERR_CONFIG,
                       "the certificate of %s has expired: the coordinator is there, and its "
                       "operator must renew it (`tacitd tls renew --data DIR`), unless this "
                       "machine's clock is wrong",
                       h->base);
    case VERIFY_NOT_YET:
        return err_set(e, ERR_CONFIG,
                       "the certificate of %s is not valid yet: the clock of this machine, or of "
                       "that one, is wrong",
                       h->base);
    default:
        return err_set(e, ERR_CONFIG,
                       "the certificate of %s is not trusted: another authority than %s signed it; "
                       "give its own with --ca FILE or a join file (%s)",
                       h->base, h->ca ? h->ca : "those of this system", detail);
    }
}

/* What a person can do about it, for each way in which no whole answer came. */
static int exchange_error(const struct exchange *x, CURLcode code, struct err *e)
{
    const struct env_http *h = x->h;
    const char *detail = h->detail[0] ? h->detail : curl_easy_strerror(code);
    if (x->stopped) {
        return err_set(e, ERR_STOPPED, "stopped while talking to %s", h->base);
    }
    switch (code) {
    case CURLE_COULDNT_CONNECT:
        return connect_error(h, e);
    case CURLE_COULDNT_RESOLVE_HOST:
        return err_set(e, ERR_UNAVAILABLE, "can't reach %s: no such host is known", h->base);
    case CURLE_OPERATION_TIMEDOUT:
        return err_set(e, ERR_UNAVAILABLE, "%s does not answer: %s", h->base, detail);
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
        if (status_of(h->easy) == 0 && !strncmp(h->base, "http", 4)) {
            return err_set(e, ERR_PROTOCOL, "what answers at %s does not speak HTTP", h->base);
        }
        return err_set(e, ERR_INVALID, "URL '%s': %s", h->base, detail);
    case CURLE_PEER_FAILED_VERIFICATION:
        return certificate_error(h, detail, e);
    case CURLE_SSL_CACERT_BADFILE:
        return err_set(e, ERR_CONFIG, "can't use the certificates in '%s': %s",
                       h->ca ? h->ca : "the system's store", detail);
    case CURLE_SSL_CONNECT_ERROR:
        return err_set(e, ERR_UNAVAILABLE, "no TLS with %s: %s", h->base, detail);
    case CURLE_GOT_NOTHING:
        return err_set(e, ERR_UNAVAILABLE, "%s closed the connection without an answer", h->base);
    case CURLE_OUT_OF_MEMORY:
        return err_set(e, ERR_NO_MEMORY, "no memory for an exchange with %s", h->base);
    default:
        return err_set(e, ERR_UNAVAILABLE, "the exchange with %s broke off: %s", h->base, detail);
    }
}

static int build_headers(const struct env_http *h, const struct env_http_request *r,
                         struct curl_slist **out, struct err *e)
{
    struct curl_slist *list = NULL, *next = NULL;
    if (h->bearer) {
        char line[1024];
        int n = snprintf(line, sizeof line, "Authorization: Bearer %s", h->bearer);
        if (n < 0 || (size_t)n >= sizeof line) {
            return err_set(e, ERR_INVALID, "the token is too long");
        }
        next = curl_slist_append(list, line);
        if (!next) {
            goto no_memory;
        }
        list = next;
    }
    if (r->read_body && r->body_size <= HTTP_ASK_ABOVE) {
        next = curl_slist_append(list, "Expect:"); /* libcurl would ask */
        if (!next) {
            goto no_memory;
        }
        list = next;
    }
    for (size_t i = 0; r->headers && r->headers[i]; i++) {
        next = curl_slist_append(list, r->headers[i]);
        if (!next) {
            goto no_memory;
        }
        list = next;
    }
    *out = list;
    return 0;
no_memory:
    curl_slist_free_all(list);
    return err_set(e, ERR_NO_MEMORY, "no memory for the headers of a request");
}

int env_http_exchange(struct env_http *h, const struct env_http_request *r, int *status,
                      struct err *e)
{
    *status = 0;
    size_t cap = strlen(h->base) + strlen(r->path) + 1;
    char *url = malloc(cap);
    if (!url) {
        return err_set(e, ERR_NO_MEMORY, "no memory for a URL");
    }
    snprintf(url, cap, "%s%s", h->base, r->path);
    struct curl_slist *headers = NULL;
    int rc = build_headers(h, r, &headers, e);
    if (!rc) {
        struct exchange x = {.h = h, .r = r};
        set_options(&x, url, headers);
        CURLcode code = perform(&x);
        if (code == CURLE_OK && !x.stopped) {
            *status = status_of(h->easy);
            h->answered = true;
        } else if (scheme_is_wrong(&x, code)) {
            rc = scheme_error(h, e);
        } else {
            rc = exchange_error(&x, code, e);
        }
        curl_easy_setopt(h->easy, CURLOPT_HTTPHEADER, NULL);
    }
    curl_slist_free_all(headers);
    free(url);
    return rc;
}

/* "Nov 24 17:53:29 2026 GMT" */
static int64_t time_of(const char *text)
{
    struct tm utc = {0};
    return strptime(text, "%b %d %H:%M:%S %Y GMT", &utc) ? (int64_t)timegm(&utc) * 1000 : 0;
}

static void read_certificate(CURL *easy, struct env_http_certificate *out)
{
    struct curl_certinfo *chain = NULL;
    if (curl_easy_getinfo(easy, CURLINFO_CERTINFO, &chain) || !chain || chain->num_of_certs < 1) {
        return;
    }
    for (const struct curl_slist *l = chain->certinfo[0]; l; l = l->next) {
        if (!strncmp(l->data, "Subject:", 8)) {
            snprintf(out->subject, sizeof out->subject, "%s", l->data + 8);
        } else if (!strncmp(l->data, "Issuer:", 7)) {
            snprintf(out->issuer, sizeof out->issuer, "%s", l->data + 7);
        } else if (!strncmp(l->data, "Start date:", 11)) {
            out->from_ms = time_of(l->data + 11);
        } else if (!strncmp(l->data, "Expire date:", 12)) {
            out->until_ms = time_of(l->data + 12);
        }
    }
}

static int look_at_certificate(struct env_http *h, const char *url,
                               struct env_http_certificate *out, struct err *e)
{
    static const struct env_http_request nothing = {.method = "HEAD", .path = "/healthz"};
    struct exchange x = {.h = h, .r = &nothing};
    set_probe(h, url);
    curl_easy_setopt(h->easy, CURLOPT_SSL_VERIFYPEER, out->trusted ? 1L : 0L);
    curl_easy_setopt(h->easy, CURLOPT_CERTINFO, 1L);
    curl_easy_setopt(h->easy, CURLOPT_FRESH_CONNECT, 1L); /* a kept one tells of no certificate */
    curl_easy_setopt(h->easy, CURLOPT_FORBID_REUSE, 1L);
    set_authorities(h);
    CURLcode code = perform(&x);
    if (code != CURLE_OK) {
        return exchange_error(&x, code, e);
    }
    read_certificate(h->easy, out);
    return 0;
}

int env_http_certificate(struct env_http *h, struct env_http_certificate *out, struct err *e)
{
    char url[1024];
    *out = (struct env_http_certificate){.trusted = true};
    if (strncmp(h->base, "https:", 6) != 0) {
        return err_set(e, ERR_INVALID, "%s is not https: it shows no certificate", h->base);
    }
    snprintf(url, sizeof url, "%s/healthz", h->base);
    int rc = look_at_certificate(h, url, out, e);
    if (rc == ERR_CONFIG) { /* the chain of what is not trusted is not told: again, without trust */
        out->trusted = false;
        rc = look_at_certificate(h, url, out, e);
    }
    if (!rc && out->until_ms == 0) {
        rc = err_set(e, ERR_PROTOCOL, "%s shows no certificate that can be read", h->base);
    }
    return rc;
}
