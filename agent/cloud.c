#include "agent/cloud.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "core/env/clock.h"
#include "core/env/http.h"

#define ANSWER_MAX 65536
#define TOKEN_MAX 256
#define ETAG_MAX 128
#define CONNECT_MS 2000 /* it is on the machine's own link */
#define TIMEOUT_MS 5000
#define CHANGE_S 5 /* how long Google's is asked to wait for a change */
#define GCP_MS 30000
#define AWS_TOKEN_S "21600"

enum cloud cloud_of(const char *word)
{
    return !strcmp(word, "aws")     ? CLOUD_AWS
           : !strcmp(word, "gcp")   ? CLOUD_GCP
           : !strcmp(word, "azure") ? CLOUD_AZURE
                                    : CLOUD_NONE;
}

/* --- answers ------------------------------------------------------------------------------------
 */

/* Since 1970; 0 where the text is no such time. */
static int64_t time_ms(const char *text, const char *format)
{
    struct tm t = {0};
    const char *end = text ? strptime(text, format, &t) : NULL;
    return end ? (int64_t)timegm(&t) * 1000 : 0;
}

static void say(struct cloud_notice *n, const char *who, const char *what)
{
    char at[32] = "";
    time_t s = (time_t)(n->deadline_ms / 1000);
    struct tm t;
    if (n->deadline_ms && gmtime_r(&s, &t)) {
        strftime(at, sizeof at, " at %H:%M:%S", &t);
    }
    n->given = true;
    snprintf(n->words, sizeof n->words, "%s: %.40s%s", who, what, at);
}

static const char *text_of(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text ? text : "";
}

int cloud_read_aws(const char *body, size_t len, struct cloud_notice *n, struct err *e)
{
    *n = (struct cloud_notice){0};
    json_t *j = json_loadb(body, len, 0, NULL);
    const char *action = text_of(j, "action");
    int rc = 0;
    if (action[0] == 0) {
        rc = err_set(e, ERR_FORMAT, "AWS's instance-action is not an action as JSON");
    } else {
        n->deadline_ms = time_ms(text_of(j, "time"), "%Y-%m-%dT%H:%M:%SZ");
        say(n, "AWS", action);
    }
    json_decref(j);
    return rc;
}

int cloud_read_gcp(const char *body, size_t len, int64_t wall_ms, struct cloud_notice *n,
                   struct err *e)
{
    *n = (struct cloud_notice){0};
    while (len > 0 && (body[len - 1] == '\n' || body[len - 1] == '\r')) {
        len--;
    }
    if (len == 4 && !memcmp(body, "TRUE", 4)) {
        n->deadline_ms = wall_ms + GCP_MS;
        say(n, "Google Cloud", "preempted, ends");
        return 0;
    }
    return len == 5 && !memcmp(body, "FALSE", 5)
               ? 0
               : err_set(e, ERR_FORMAT, "Google's instance/preempted is neither TRUE nor FALSE");
}

static bool names_machine(const json_t *event, const char *machine)
{
    const json_t *resources = json_object_get(event, "Resources"), *name;
    size_t i;
    json_array_foreach(resources, i, name)
    {
        const char *text = json_string_value(name);
        if (text && !strcmp(text, machine)) {
            return true;
        }
    }
    return machine[0] == 0;
}

int cloud_read_azure(const char *body, size_t len, const char *machine, struct cloud_notice *n,
                     struct err *e)
{
    *n = (struct cloud_notice){0};
    json_t *j = json_loadb(body, len, 0, NULL);
    const json_t *events = json_object_get(j, "Events"), *event;
    size_t i;
    int rc = json_is_array(events)
                 ? 0
                 : err_set(e, ERR_FORMAT, "Azure's scheduled events have no array Events");
    json_array_foreach(events, i, event)
    {
        const char *type = text_of(event, "EventType");
        if (!n->given && (!strcmp(type, "Preempt") || !strcmp(type, "Terminate")) &&
            names_machine(event, machine)) {
            n->deadline_ms = time_ms(text_of(event, "NotBefore"), "%a, %d %b %Y %H:%M:%S GMT");
            say(n, "Azure", type);
        }
    }
    json_decref(j);
    return rc;
}

/* --- asking -------------------------------------------------------------------------------------
 */

struct cloud_watch {
    enum cloud cloud;
    struct env_http *http;
    char token[TOKEN_MAX]; /* AWS: for so long it may be used */
    char etag[ETAG_MAX];   /* GCP: of the last answer */
    char machine[128];     /* Azure */
    bool asked_machine;
};

struct answer {
    struct cloud_watch *watch;
    bool (*ending)(void *arg);
    void *arg;
    char body[ANSWER_MAX];
    size_t len;
};

int cloud_watch_create(struct cloud_watch **out, enum cloud cloud, const char *url, struct err *e)
{
    static const char *const own[] = {"", "http://169.254.169.254",
                                      "http://metadata.google.internal", "http://169.254.169.254"};
    *out = NULL;
    struct cloud_watch *w = calloc(1, sizeof *w);
    struct env_http_options o = {.base_url = url ? url : own[cloud], .connect_ms = CONNECT_MS};
    if (!w) {
        return err_set(e, ERR_NO_MEMORY, "no memory to watch the cloud's notices");
    }
    w->cloud = cloud;
    int rc = env_http_open(&w->http, &o, e);
    if (rc) {
        free(w);
        return rc;
    }
    *out = w;
    return 0;
}

void cloud_watch_destroy(struct cloud_watch *w)
{
    if (w) {
        env_http_close(w->http);
        free(w);
    }
}

static int take(void *arg, int status, const char *data, size_t len)
{
    struct answer *a = arg;
    (void)status;
    if (len > sizeof a->body - a->len) {
        return -1;
    }
    memcpy(a->body + a->len, data, len);
    a->len += len;
    return 0;
}

static void header(void *arg, const char *name, const char *value)
{
    struct answer *a = arg;
    size_t len = strlen(value); /* it becomes part of a URL */
    if (!strcmp(name, "etag") && len < ETAG_MAX && strspn(value, "0123456789abcdefABCDEF") == len) {
        snprintf(a->watch->etag, ETAG_MAX, "%s", value);
    }
}

static int poll_ending(void *arg)
{
    const struct answer *a = arg;
    return a->ending && a->ending(a->arg);
}

static int ask(struct cloud_watch *w, const char *method, const char *path, const char *line,
               struct answer *a, int *status, struct err *e)
{
    const char *const headers[] = {line, NULL};
    struct env_http_request r = {.method = method,
                                 .path = path,
                                 .headers = headers,
                                 .timeout_ms = TIMEOUT_MS + CHANGE_S * 1000,
                                 .write_body = take,
                                 .on_header = header,
                                 .poll = poll_ending,
                                 .arg = a};
    a->len = 0;
    a->watch = w;
    return env_http_exchange(w->http, &r, status, e);
}

static int unexpected(const char *who, int status, struct err *e)
{
    return err_set(e, ERR_PROTOCOL, "%s's metadata service answers with HTTP status %d", who,
                   status);
}

static int ask_aws(struct cloud_watch *w, struct answer *a, struct cloud_notice *n, struct err *e)
{
    char line[TOKEN_MAX + 64];
    int status, rc = 0;
    if (w->token[0] == 0) {
        rc = ask(w, "PUT", "/latest/api/token",
                 "X-aws-ec2-metadata-token-ttl-seconds: " AWS_TOKEN_S, a, &status, e);
        if (!rc && (status != 200 || a->len == 0 || a->len >= TOKEN_MAX)) {
            rc = unexpected("AWS", status, e);
        }
        if (rc) {
            return rc;
        }
        memcpy(w->token, a->body, a->len);
        w->token[a->len] = 0;
        w->token[strcspn(w->token, "\r\n")] = 0;
    }
    snprintf(line, sizeof line, "X-aws-ec2-metadata-token: %s", w->token);
    rc = ask(w, "GET", "/latest/meta-data/spot/instance-action", line, a, &status, e);
    if (rc || status == 404) {
        return rc;
    }
    if (status == 401) { /* it is too old: a new one next time */
        w->token[0] = 0;
        return 0;
    }
    return status == 200 ? cloud_read_aws(a->body, a->len, n, e) : unexpected("AWS", status, e);
}

static int ask_gcp(struct cloud_watch *w, struct answer *a, struct cloud_notice *n, struct err *e)
{
    char path[256];
    int status;
    /* With the etag nothing is missed between two questions. */
    if (w->etag[0]) {
        snprintf(path, sizeof path,
                 "/computeMetadata/v1/instance/preempted?wait_for_change=true&timeout_sec=%d"
                 "&last_etag=%s",
                 CHANGE_S, w->etag);
    } else {
        snprintf(path, sizeof path, "/computeMetadata/v1/instance/preempted");
    }
    int rc = ask(w, "GET", path, "Metadata-Flavor: Google", a, &status, e);
    if (rc) {
        return rc;
    }
    return status == 200 ? cloud_read_gcp(a->body, a->len, env_wall_ms(), n, e)
                         : unexpected("Google", status, e);
}

static int ask_azure(struct cloud_watch *w, struct answer *a, struct cloud_notice *n, struct err *e)
{
    int status, rc = 0;
    if (!w->asked_machine) {
        rc = ask(w, "GET", "/metadata/instance/compute/name?api-version=2021-02-01&format=text",
                 "Metadata: true", a, &status, e);
        if (rc) {
            return rc;
        }
        w->asked_machine = true;
        if (status == 200 && a->len < sizeof w->machine) {
            memcpy(w->machine, a->body, a->len);
            w->machine[strcspn(w->machine, "\r\n")] = 0;
        }
    }
    rc = ask(w, "GET", "/metadata/scheduledevents?api-version=2020-07-01", "Metadata: true", a,
             &status, e);
    if (rc) {
        return rc;
    }
    return status == 200 ? cloud_read_azure(a->body, a->len, w->machine, n, e)
                         : unexpected("Azure", status, e);
}

int cloud_watch_ask(struct cloud_watch *w, bool (*ending)(void *arg), void *arg,
                    struct cloud_notice *n, struct err *e)
{
    struct answer a = {.ending = ending, .arg = arg};
    *n = (struct cloud_notice){0};
    switch (w->cloud) {
    case CLOUD_AWS:
        return ask_aws(w, &a, n, e);
    case CLOUD_GCP:
        return ask_gcp(w, &a, n, e);
    case CLOUD_AZURE:
        return ask_azure(w, &a, n, e);
    case CLOUD_NONE:
        break;
    }
    return 0;
}
