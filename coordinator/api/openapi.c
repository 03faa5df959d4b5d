#include "coordinator/api/openapi.h"

#include <ctype.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "core/protocol/messages.h"
#include "core/protocol/schema.h"
#include "core/version.h"
#include "coordinator/api/routes.h"

#define OPERATION_NAME_MAX 80
#define JSON_TYPE "application/json"

static const char about_api[] =
    "Everything that tacit's programs say to the coordinator. Times are milliseconds since 1970 "
    "(…_at) or durations (…_ms); sizes are bytes; maxLength counts bytes of UTF-8. Unknown fields "
    "are ignored, since a neighbour may be one version ahead; null stands for an absent field. "
    "Failures are problem documents (RFC 9457). Every answer has Tacit-Protocol, the version "
    "spoken, and X-Request-Id, by which the coordinator's log knows the request; a request may "
    "bring its own.";

/* Who may call, as the document names him. */
static const struct {
    enum caller caller;
    const char *scheme, *about;
} callers[] = {
    {CALLER_JOIN, "join", "The join token (join.token), or an invitation's."},
    {CALLER_AGENT, "agent", "An agent's own token, told when it joins."},
    {CALLER_VIEWER, "viewer", "The viewer's token (viewer.token): reads."},
    {CALLER_ADMIN, "operator", "The operator's token (admin.token)."},
};

static const struct {
    const char *key, *name, *in;
    const char *schema; /* JSON; NULL: the words of a job's state */
    const char *about;
} parameters[] = {
    {"name", "name", "path",
     "{\"type\":\"string\",\"pattern\":\"^[A-Za-z0-9_][A-Za-z0-9._-]{0,63}$\"}", "its name"},
    {"id", "id", "path", "{\"type\":\"integer\",\"minimum\":1,\"maximum\":9223372036854775807}",
     "its number"},
    {"digest", "digest", "path", "{\"type\":\"string\",\"pattern\":\"^[0-9a-f]{64}$\"}",
     "BLAKE2b-256 of the bytes"},
    {"run", "run", "query", "{\"type\":\"string\"}", "of this run alone"},
    {"state", "state", "query", NULL, "in this state alone"},
    {"limit", "limit", "query", "{\"type\":\"integer\",\"minimum\":0}",
     "so many at most; 0: as many as usual"},
    {"after", "after", "query", "{\"type\":\"integer\",\"minimum\":0}",
     "those with a higher number: the last one of the page before"},
    {"since", "since", "query", "{\"type\":\"integer\",\"minimum\":0}",
     "those of this time (milliseconds since 1970) or later"},
    {"job", "job", "query", "{\"type\":\"integer\",\"minimum\":1}",
     "the job that it is an output of: refused once that is cancelled"},
    {"range", "Range", "header", "{\"type\":\"string\"}", "bytes=FIRST-LAST, one range"},
    {"upload-length", "Upload-Length", "header", "{\"type\":\"integer\",\"minimum\":0}",
     "of the whole blob, where the body is a part"},
    {"upload-offset", "Upload-Offset", "header", "{\"type\":\"integer\",\"minimum\":0}",
     "where in the blob the body begins"},
};

static const struct {
    int status;
    const char *name, *about;
} problems[] = {
    {400, "Malformed", "The request is not what HTTP, JSON or its head promise."},
    {401, "Unknown", "No token, or one that is not known here."},
    {403, "Denied", "The token is for other things; or the agent is benched or drained."},
    {404, "Missing", "There is no such thing."},
    {409, "Conflict", "It does not fit what is there: another holds the lease, or it exists."},
    {411, "Unsized", "A chunked body needs Upload-Length and Upload-Offset."},
    {413, "TooLarge", "The body is larger than what is accepted."},
    {416, "OutOfRange", "The range lies outside of the blob."},
    {422, "Invalid", "A value does not fit; the detail names it."},
    {429, "TooOften", "Too many wrong tokens; Retry-After says when to come again."},
    {503, "Busy", "Busy, or stopping; Retry-After says when to come again."},
    {507, "Full", "The coordinator's disk is full."},
};

/* --- parts ----------------------------------------------------------------------------------- */

static json_t *reference(const char *kind, const char *name)
{
    return json_pack("{s:s+++}", "$ref", "#/components/", kind, "/", name);
}

static json_t *content(const char *type, json_t *schema)
{
    return json_pack("{s:{s:o}}", type, "schema", schema);
}

static json_t *reply_headers(void)
{
    return json_pack("{s:o, s:o}", "Tacit-Protocol", reference("headers", "Tacit-Protocol"),
                     "X-Request-Id", reference("headers", "X-Request-Id"));
}

static json_t *success(const char *about, json_t *with)
{
    json_t *r = json_pack("{s:s, s:o}", "description", about, "headers", reply_headers());

    if (with)
        json_object_set_new(r, "content", with);
    return r;
}

/* "postRunsNameCancel" of POST /v1/runs/{name}/cancel. */
static void operation_name(const struct route *r, const char *method, char out[OPERATION_NAME_MAX])
{
    const char *path = strncmp(r->pattern, "/v1", 3) == 0 ? r->pattern + 3 : r->pattern;
    bool upper = false;
    size_t n = 0;

    for (const char *c = method; *c && n < OPERATION_NAME_MAX - 1; c++)
        out[n++] = (char)tolower((unsigned char)*c);
    for (const char *c = path; *c && n < OPERATION_NAME_MAX - 1; c++) {
        if (!isalnum((unsigned char)*c)) {
            upper = true;
            continue;
        }
        out[n++] = (char)(upper ? toupper((unsigned char)*c) : *c);
        upper = false;
    }
    out[n] = 0;
}

static void tag_of(const struct route *r, char out[32])
{
    const char *from = strncmp(r->pattern, "/v1/", 4) == 0 ? r->pattern + 4 : r->pattern + 1;

    snprintf(out, 32, "%.*s", (int)strcspn(from, "/."), from);
}

/* --- an operation ---------------------------------------------------------------------------- */

static json_t *parameters_of(const struct route *r)
{
    static const char *const in_path[] = {"name", "id", "digest"};
    static const char *const in_query[] = {"run", "state", "limit", "after", "since", "job"};
    json_t *list = json_array();
    char part[16];

    for (size_t i = 0; i < sizeof in_path / sizeof in_path[0]; i++) {
        snprintf(part, sizeof part, "{%s}", in_path[i]);
        if (strstr(r->pattern, part))
            json_array_append_new(list, reference("parameters", in_path[i]));
    }
    for (size_t i = 0; i < sizeof in_query / sizeof in_query[0]; i++)
        if (r->queries & (1u << i))
            json_array_append_new(list, reference("parameters", in_query[i]));
    if (r->kind == ROUTE_BLOB && strcmp(r->method, "GET") == 0)
        json_array_append_new(list, reference("parameters", "range"));
    if (r->kind == ROUTE_BLOB && strcmp(r->method, "PUT") == 0) {
        json_array_append_new(list, reference("parameters", "upload-length"));
        json_array_append_new(list, reference("parameters", "upload-offset"));
    }
    return list;
}

static json_t *security_of(const struct route *r)
{
    json_t *list = json_array();

    for (size_t i = 0; i < sizeof callers / sizeof callers[0]; i++)
        if (r->may & MAY(callers[i].caller))
            json_array_append_new(list, json_pack("{s:[]}", callers[i].scheme));
    if (r->may & MAY(CALLER_VIEWER)) /* where a viewer may, the page's session may */
        json_array_append_new(list, json_pack("{s:[]}", "session"));
    if (r->may & (MAY(CALLER_NONE) | ANYWHERE))
        json_array_append_new(list, json_object());
    return list;
}

static bool may_give(const struct route *r, int status)
{
    bool blob = r->kind == ROUTE_BLOB, put = strcmp(r->method, "PUT") == 0;
    bool changes = strcmp(r->method, "GET") != 0;

    switch (status) {
    case 404:
        return strchr(r->pattern, '{') || (r->queries & QUERY_RUN);
    case 409:
        return changes || r->raw == &message_report;
    case 411:
        return blob && put;
    case 413:
        return r->in || (blob && put);
    case 416:
        return blob && !put;
    case 422:
        return r->in || r->queries || blob || strchr(r->pattern, '{');
    case 429:
        return r->kind == ROUTE_SESSION && changes && r->in;
    case 507:
        return changes;
    default:
        return true;
    }
}

static json_t *blob_replies(const struct route *r)
{
    json_t *bytes = json_pack("{s:s, s:s}", "type", "string", "format", "binary");

    if (strcmp(r->method, "PUT") == 0) {
        json_decref(bytes);
        return json_pack("{s:o, s:o}", "200", success("It was there already.", NULL), "201",
                         success("It is stored, durably.", NULL));
    }
    return json_pack("{s:o, s:o}", "200",
                     success("The bytes.", content(r->text, json_incref(bytes))), "206",
                     success("Those of the range.", content(r->text, bytes)));
}

static json_t *successes_of(const struct route *r)
{
    const struct message *m = r->out ? r->out : r->raw;
    json_t *replies, *schema;

    if (r->kind == ROUTE_BLOB)
        return blob_replies(r);
    if (!m && !r->text)
        return json_pack("{s:o}", "204", success("Done.", NULL));
    if (!m)
        schema = json_pack("{s:s}", "type", strcmp(r->text, JSON_TYPE) == 0 ? "object" : "string");
    else if (r->list)
        schema = json_pack("{s:s, s:o}", "type", "array", "items", schema_ref(m, SCHEMA_WRITTEN));
    else
        schema = schema_ref(m, SCHEMA_WRITTEN);
    replies =
        json_pack("{s:o}", "200", success("Done.", content(r->text ? r->text : JSON_TYPE, schema)));
    if (r->kind == ROUTE_CLAIM)
        json_object_set_new(replies, "204", success("There was no work.", NULL));
    return replies;
}

static json_t *replies_of(const struct route *r)
{
    json_t *replies = successes_of(r);
    char status[8];

    for (size_t i = 0; i < sizeof problems / sizeof problems[0]; i++) {
        if (!may_give(r, problems[i].status))
            continue;
        snprintf(status, sizeof status, "%d", problems[i].status);
        json_object_set_new(replies, status, reference("responses", problems[i].name));
    }
    return replies;
}

static json_t *operation(const struct route *r, const char *method)
{
    char name[OPERATION_NAME_MAX], tag[32];

    operation_name(r, method, name);
    tag_of(r, tag);
    json_t *o = json_pack("{s:s, s:s, s:[s], s:o, s:o, s:o}", "operationId", name, "summary",
                          r->about, "tags", tag, "parameters", parameters_of(r), "security",
                          security_of(r), "responses", replies_of(r));
    if (r->in)
        json_object_set_new(o, "requestBody",
                            json_pack("{s:b, s:o}", "required", 1, "content",
                                      content(JSON_TYPE, schema_ref(r->in, SCHEMA_READ))));
    else if (r->kind == ROUTE_BLOB && strcmp(r->method, "PUT") == 0)
        json_object_set_new(
            o, "requestBody",
            json_pack("{s:b, s:o}", "required", 1, "content",
                      content("application/octet-stream",
                              json_pack("{s:s, s:s}", "type", "string", "format", "binary"))));
    return o;
}

/* --- the document ---------------------------------------------------------------------------- */

static const char *method_key(const char *method)
{
    static const char *const known[][2] = {
        {"GET", "get"}, {"POST", "post"}, {"PUT", "put"}, {"DELETE", "delete"}};
    size_t i = 0;

    while (strcmp(known[i][0], method) != 0)
        i++;
    return known[i][1];
}

static int add_route(json_t *paths, json_t *schemas, const struct route *r, struct err *e)
{
    const struct message *gives = r->out ? r->out : r->raw;
    int rc = r->in ? schema_add(schemas, r->in, SCHEMA_READ, e) : 0;

    if (!rc && gives)
        rc = schema_add(schemas, gives, SCHEMA_WRITTEN, e);
    if (rc)
        return rc;
    json_t *path = json_object_get(paths, r->pattern);
    if (!path && json_object_set_new(paths, r->pattern, path = json_object()))
        return err_set(e, ERR_NO_MEMORY, "no memory for the description of a path");
    if (json_object_set_new(path, method_key(r->method), operation(r, r->method)))
        return err_set(e, ERR_NO_MEMORY, "no memory for the description of %s", r->pattern);
    if (r->kind == ROUTE_BLOB && strcmp(r->method, "GET") == 0)
        json_object_set_new(path, "head", operation(r, "HEAD"));
    return 0;
}

/* It is asked by what watches a service, and answered before all else. */
static json_t *health(void)
{
    return json_pack(
        "{s:{s:s, s:s, s:[s], s:[], s:{s:o}}}", "get", "operationId", "getHealthz", "summary",
        "whether it answers", "tags", "healthz", "security", "responses", "200",
        success("It does.", content("text/plain", json_pack("{s:s}", "type", "string"))));
}

static json_t *states_schema(void)
{
    json_t *words = json_array();

    for (size_t i = 0; job_status_words[i]; i++)
        json_array_append_new(words, json_string(job_status_words[i]));
    return json_pack("{s:s, s:o}", "type", "string", "enum", words);
}

static json_t *all_parameters(void)
{
    json_t *all = json_object();

    for (size_t i = 0; i < sizeof parameters / sizeof parameters[0]; i++) {
        json_t *schema =
            parameters[i].schema ? json_loads(parameters[i].schema, 0, NULL) : states_schema();
        json_object_set_new(all, parameters[i].key,
                            json_pack("{s:s, s:s, s:b, s:s, s:o}", "name", parameters[i].name, "in",
                                      parameters[i].in, "required",
                                      strcmp(parameters[i].in, "path") == 0, "description",
                                      parameters[i].about, "schema", schema));
    }
    return all;
}

static json_t *all_problems(void)
{
    json_t *all = json_object();

    for (size_t i = 0; i < sizeof problems / sizeof problems[0]; i++) {
        json_t *r =
            success(problems[i].about, content("application/problem+json",
                                               schema_ref(&message_problem, SCHEMA_WRITTEN)));
        json_object_set_new(all, problems[i].name, r);
    }
    return all;
}

static json_t *all_schemes(void)
{
    json_t *all = json_object();

    for (size_t i = 0; i < sizeof callers / sizeof callers[0]; i++)
        json_object_set_new(all, callers[i].scheme,
                            json_pack("{s:s, s:s, s:s}", "type", "http", "scheme", "bearer",
                                      "description", callers[i].about));
    json_object_set_new(
        all, "session",
        json_pack("{s:s, s:s, s:s, s:s}", "type", "apiKey", "in", "cookie", "name", "tacit_session",
                  "description",
                  "The page's session (POST /v1/session). What changes something needs the header "
                  "X-Tacit-Request: 1, too."));
    return all;
}

static json_t *all_headers(void)
{
    return json_pack("{s:{s:s, s:{s:s}}, s:{s:s, s:{s:s}}}", "Tacit-Protocol", "description",
                     "version of the protocol", "schema", "type", "integer", "X-Request-Id",
                     "description", "by which the coordinator's log knows the request", "schema",
                     "type", "string");
}

static int add_routes(json_t *document, struct err *e)
{
    json_t *paths = json_object_get(document, "paths");
    json_t *schemas = json_object_get(json_object_get(document, "components"), "schemas");
    int rc = schema_add(schemas, &message_problem, SCHEMA_WRITTEN, e);

    for (size_t i = 0; !rc && route_at(i); i++)
        rc = add_route(paths, schemas, route_at(i), e);
    return rc;
}

int openapi_write(struct buf *out, struct err *e)
{
    json_t *d = json_pack(
        "{s:s, s:{s:s, s:s, s:s, s:s, s:{s:s, s:s}}, s:[{s:s}], s:{s:o}, s:{s:o, s:o, s:o, s:o, "
        "s:{}}}",
        "openapi", "3.1.0", "info", "title", "tacit", "version", TACIT_VERSION, "summary",
        "the coordinator of tacit", "description", about_api, "license", "name", "Apache-2.0",
        "identifier", "Apache-2.0", "servers", "url", "/", "paths", "/healthz", health(),
        "components", "securitySchemes", all_schemes(), "headers", all_headers(), "parameters",
        all_parameters(), "responses", all_problems(), "schemas");
    int rc = d ? add_routes(d, e) : err_set(e, ERR_NO_MEMORY, "no memory for the description");
    char *text = rc ? NULL : json_dumps(d, JSON_INDENT(1));

    if (!rc)
        rc = text ? buf_append(out, text, strlen(text), e)
                  : err_set(e, ERR_NO_MEMORY, "no memory for the description");
    free(text);
    json_decref(d);
    return rc ? rc : buf_append(out, "\n", 1, e);
}

int openapi_show(struct call *c, const void *in, void *out, struct err *e)
{
    struct buf b;

    (void)in;
    (void)out;
    buf_init(&b, OPENAPI_BYTES_MAX);
    int rc = openapi_write(&b, e);
    if (!rc) {
        c->raw = arena_strndup(c->arena, b.data, b.len);
        c->raw_len = b.len;
        if (!c->raw)
            rc = err_set(e, ERR_NO_MEMORY, "no memory for the description");
    }
    buf_free(&b);
    return rc;
}
