#include "core/protocol/field.h"
#include <jansson.h>
#include <math.h>
#include <string.h>
#include "core/base/digest.h"
#include "core/base/text.h"

#define STRING_MAX_DEFAULT 256
#define ITEMS_MAX_DEFAULT 256
#define PATH_MAX_BYTES 160
#define DUPLICATE_DEPTH_MAX 16 /* deeper levels of a duplicate's path are not named */

/* Where we are in a message, for errors: a chain of names and indices on the stack. */
struct path {
    const struct path *up;
    const char *name; /* NULL: an index */
    size_t index;
};

static size_t path_append(char *out, size_t at, const char *s, size_t len)
{
    if (len > PATH_MAX_BYTES - 1 - at)
        len = PATH_MAX_BYTES - 1 - at;
    memcpy(out + at, s, len);
    out[at + len] = 0;
    return at + len;
}

static size_t path_write(const struct path *p, char *out)
{
    size_t at = p->up ? path_write(p->up, out) : 0;
    char index[32];

    if (!p->name) {
        int n = snprintf(index, sizeof index, "[%zu]", p->index);
        return path_append(out, at, index, (size_t)n);
    }
    if (p->up)
        at = path_append(out, at, ".", 1);
    return path_append(out, at, p->name, strlen(p->name));
}

static const char *path_text(const struct path *p, char out[PATH_MAX_BYTES])
{
    out[0] = 0;
    path_write(p, out);
    return out;
}

#define refuse(p, e, ...) refuse_((p), (e), ERR_ORIGIN_, __VA_ARGS__)
static int refuse_(const struct path *p, struct err *e, const char *origin, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
static int refuse_(const struct path *p, struct err *e, const char *origin, const char *fmt, ...)
{
    char what[300], path[PATH_MAX_BYTES];
    va_list args;

    va_start(args, fmt);
    vsnprintf(what, sizeof what, fmt, args);
    va_end(args);
    return err__set(e, ERR_INVALID, origin, "%s: %s", path_text(p, path), what);
}

static uint64_t u64_max(const struct field *f)
{
    return f->max ? f->max : (uint64_t)INT64_MAX;
}

static uint32_t length_max(const struct field *f)
{
    if (f->length_max)
        return f->length_max;
    return f->type == FIELD_STRING ? STRING_MAX_DEFAULT : ITEMS_MAX_DEFAULT;
}

static bool digest_is_zero(const struct digest *d)
{
    static const struct digest zero;
    return memcmp(d, &zero, sizeof zero) == 0;
}

static int u64_check(const struct field *f, uint64_t v, const struct path *p, struct err *e)
{
    if (v < f->min)
        return refuse(p, e, "%llu is less than %llu", (unsigned long long)v,
                      (unsigned long long)f->min);
    if (v > u64_max(f))
        return refuse(p, e, "%llu is more than %llu", (unsigned long long)v,
                      (unsigned long long)u64_max(f));
    return 0;
}

static int string_check(const struct field *f, const char *s, size_t len, const struct path *p,
                        struct err *e)
{
    if (len > length_max(f))
        return refuse(p, e, "%zu bytes long, at most %u are accepted", len, length_max(f));
    if (!text_is_utf8(s, len))
        return refuse(p, e, "not valid UTF-8 text");
    return 0;
}

/* --- writing --------------------------------------------------------------------------------- */

static int double_encode(double v, const struct path *p, struct buf *out, struct err *e)
{
    char text[40];

    if (isnan(v))
        return buf_append(out, "null", 4, e);
    if (isinf(v))
        return refuse(p, e, "infinite");
    /* The shortest of three forms that reads back as the same number. */
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, v);
        if (strtod(text, NULL) == v)
            break;
    }
    return buf_append(out, text, strlen(text), e);
}

static int string_encode(const char *s, size_t len, struct buf *out, struct err *e)
{
    size_t from = 0;
    int rc = buf_append(out, "\"", 1, e);

    for (size_t i = 0; rc == 0 && i < len; i++) {
        unsigned char c = (unsigned char)s[i];
        if (c >= 0x20 && c != '"' && c != '\\')
            continue;
        rc = buf_append(out, s + from, i - from, e);
        from = i + 1;
        if (rc)
            break;
        if (c == '"' || c == '\\')
            rc = buf_printf(out, e, "\\%c", c);
        else if (c == '\n')
            rc = buf_append(out, "\\n", 2, e);
        else
            rc = buf_printf(out, e, "\\u%04x", c);
    }
    if (rc == 0)
        rc = buf_append(out, s + from, len - from, e);
    return rc ? rc : buf_append(out, "\"", 1, e);
}

static int object_encode(const struct message *m, const void *value, const struct path *p,
                         struct buf *out, struct err *e);

static int array_encode(const struct field *f, const char *items, uint32_t count,
                        const struct path *p, struct buf *out, struct err *e)
{
    int rc;

    if (count > length_max(f))
        return refuse(p, e, "%u items, at most %u are accepted", count, length_max(f));
    rc = buf_append(out, "[", 1, e);
    for (uint32_t i = 0; rc == 0 && i < count; i++) {
        struct path at = {.up = p, .index = i};
        if (i)
            rc = buf_append(out, ",", 1, e);
        if (rc)
            break;
        if (f->type == FIELD_DOUBLES)
            rc = double_encode(((const double *)(const void *)items)[i], &at, out, e);
        else
            rc = object_encode(f->of, items + (size_t)i * f->of->size, &at, out, e);
    }
    return rc ? rc : buf_append(out, "]", 1, e);
}

/* True where the field has nothing to write. */
static bool field_is_absent(const struct field *f, const char *at)
{
    switch (f->type) {
    case FIELD_STRING:
        return *(const char *const *)(const void *)at == NULL;
    case FIELD_OBJECT:
        return *(const void *const *)(const void *)at == NULL;
    case FIELD_DIGEST:
        return digest_is_zero((const struct digest *)(const void *)at);
    case FIELD_DOUBLE:
        return isnan(*(const double *)(const void *)at);
    default:
        return false;
    }
}

static int word_encode(const struct field *f, int v, const struct path *p, struct buf *out,
                       struct err *e)
{
    int n = 0;

    while (f->words[n])
        n++;
    if (v < 0 || v >= n)
        return refuse(p, e, "%d is not one of its %d words", v, n);
    return buf_printf(out, e, "\"%s\"", f->words[v]);
}

static int value_encode(const struct field *f, const char *base, const struct path *p,
                        struct buf *out, struct err *e)
{
    const void *at = base + f->offset;
    char hex[DIGEST_HEX + 1];
    int rc;

    switch (f->type) {
    case FIELD_U64:
        rc = u64_check(f, *(const uint64_t *)at, p, e);
        return rc ? rc : buf_printf(out, e, "%llu", *(const unsigned long long *)at);
    case FIELD_DOUBLE:
        return double_encode(*(const double *)at, p, out, e);
    case FIELD_BOOL:
        return *(const bool *)at ? buf_append(out, "true", 4, e) : buf_append(out, "false", 5, e);
    case FIELD_STRING: {
        const char *s = *(const char *const *)at;
        rc = string_check(f, s, strlen(s), p, e);
        return rc ? rc : string_encode(s, strlen(s), out, e);
    }
    case FIELD_WORD:
        return word_encode(f, *(const int *)at, p, out, e);
    case FIELD_DIGEST:
        return buf_printf(out, e, "\"%s\"", digest_to_hex(at, hex));
    case FIELD_OBJECT:
        return object_encode(f->of, *(const void *const *)at, p, out, e);
    case FIELD_ARRAY:
    case FIELD_DOUBLES:
        return array_encode(f, *(const char *const *)at,
                            *(const uint32_t *)(const void *)(base + f->count_offset), p, out, e);
    }
    return refuse(p, e, "a field of no known type");
}

static int object_encode(const struct message *m, const void *value, const struct path *p,
                         struct buf *out, struct err *e)
{
    const char *separator = "";
    int rc = buf_append(out, "{", 1, e);

    for (uint32_t i = 0; rc == 0 && i < m->field_count; i++) {
        const struct field *f = &m->fields[i];
        struct path at = {.up = p, .name = f->name};
        bool absent = field_is_absent(f, (const char *)value + f->offset);

        if (absent && f->required)
            return refuse(&at, e, "missing");
        if (absent && f->type != FIELD_DOUBLE && !f->absent_null)
            continue;
        rc = buf_printf(out, e, "%s\"%s\":", separator, f->name);
        separator = ",";
        if (rc == 0)
            rc = absent ? buf_append(out, "null", 4, e) : value_encode(f, value, &at, out, e);
    }
    return rc ? rc : buf_append(out, "}", 1, e);
}

int message_encode(const struct message *m, const void *value, struct buf *out, struct err *e)
{
    struct path root = {.name = m->name};
    size_t before = out->len;
    int rc = object_encode(m, value, &root, out, e);

    if (rc && out->data) { /* nothing half-written */
        out->len = before;
        out->data[before] = 0;
    }
    return rc;
}

int message_encode_array(const struct message *m, const void *items, uint32_t count,
                         struct buf *out, struct err *e)
{
    const struct field f = {.type = FIELD_ARRAY, .of = m, .length_max = UINT32_MAX};
    struct path root = {.name = m->name};
    size_t before = out->len;
    int rc = array_encode(&f, items, count, &root, out, e);

    if (rc && out->data) {
        out->len = before;
        out->data[before] = 0;
    }
    return rc;
}

/* --- reading --------------------------------------------------------------------------------- */

static const char *type_words(const json_t *j)
{
    switch (json_typeof(j)) {
    case JSON_OBJECT:
        return "an object";
    case JSON_ARRAY:
        return "an array";
    case JSON_STRING:
        return "a string";
    case JSON_INTEGER:
        return "a whole number";
    case JSON_REAL:
        return "a number with a fraction";
    case JSON_TRUE:
    case JSON_FALSE:
        return "a boolean";
    case JSON_NULL:
        return "null";
    }
    return "something else";
}

static int expected(const struct path *p, const char *what, const json_t *j, struct err *e)
{
    return refuse(p, e, "expected %s, found %s", what, type_words(j));
}

static int no_room(const struct path *p, struct err *e)
{
    char path[PATH_MAX_BYTES];
    return err_set(e, ERR_TOO_LARGE, "%s: the message is larger than a reader may keep",
                   path_text(p, path));
}

static int u64_decode(const struct field *f, const json_t *j, const struct path *p, uint64_t *out,
                      struct err *e)
{
    json_int_t v = json_integer_value(j);

    if (!json_is_integer(j))
        return expected(p, "a whole number", j, e);
    if (v < 0)
        return refuse(p, e, "%lld is negative", (long long)v);
    *out = (uint64_t)v;
    return u64_check(f, *out, p, e);
}

static int string_decode(const struct field *f, const json_t *j, const struct path *p,
                         const char **out, struct arena *a, struct err *e)
{
    int rc;

    if (!json_is_string(j))
        return expected(p, "a string", j, e);
    rc = string_check(f, json_string_value(j), json_string_length(j), p, e);
    if (rc)
        return rc;
    *out = arena_strndup(a, json_string_value(j), json_string_length(j));
    return *out ? 0 : no_room(p, e);
}

static int word_decode(const struct field *f, const json_t *j, const struct path *p, int *out,
                       struct err *e)
{
    char known[200] = "";
    size_t used = 0;

    if (!json_is_string(j))
        return expected(p, "a string", j, e);
    for (int i = 0; f->words[i]; i++) {
        if (strcmp(f->words[i], json_string_value(j)) == 0) {
            *out = i;
            return 0;
        }
        if (used < sizeof known)
            used += (size_t)snprintf(known + used, sizeof known - used, "%s%s", i ? ", " : "",
                                     f->words[i]);
    }
    return refuse(p, e, "\"%.40s\" is none of %s", json_string_value(j), known);
}

static int digest_decode(const json_t *j, const struct path *p, struct digest *out, struct err *e)
{
    if (!json_is_string(j))
        return expected(p, "a digest as a string", j, e);
    if (!digest_from_hex(out, json_string_value(j), json_string_length(j)))
        return refuse(p, e, "expected a digest, %d lower-case hexadecimal digits", DIGEST_HEX);
    return 0;
}

static int double_decode(const json_t *j, const struct path *p, double *out, struct err *e)
{
    if (!json_is_number(j))
        return expected(p, "a number", j, e);
    *out = json_number_value(j);
    return 0;
}

static int object_decode(const struct message *m, const json_t *j, const struct path *p,
                         void *value, struct arena *a, struct err *e);

static int array_decode(const struct field *f, const json_t *j, const struct path *p, void **out,
                        uint32_t *count, struct arena *a, struct err *e)
{
    size_t n = json_array_size(j), size = f->type == FIELD_DOUBLES ? sizeof(double) : f->of->size;
    int rc = 0;

    if (!json_is_array(j))
        return expected(p, "an array", j, e);
    if (n > length_max(f))
        return refuse(p, e, "%zu items, at most %u are accepted", n, length_max(f));
    if (n == 0)
        return 0;
    char *items = arena_alloc_array(a, n, size);
    if (!items)
        return no_room(p, e);
    for (size_t i = 0; rc == 0 && i < n; i++) {
        struct path at = {.up = p, .index = i};
        const json_t *item = json_array_get(j, i);
        void *to = items + i * size;

        if (f->type == FIELD_ARRAY)
            rc = object_decode(f->of, item, &at, to, a, e);
        else if (json_is_null(item))
            *(double *)to = NAN;
        else
            rc = double_decode(item, &at, to, e);
    }
    *out = items;
    *count = (uint32_t)n;
    return rc;
}

static int value_decode(const struct field *f, const json_t *j, const struct path *p, char *base,
                        struct arena *a, struct err *e)
{
    void *at = base + f->offset;
    int rc;

    switch (f->type) {
    case FIELD_U64:
        return u64_decode(f, j, p, at, e);
    case FIELD_DOUBLE:
        return double_decode(j, p, at, e);
    case FIELD_BOOL:
        if (!json_is_boolean(j))
            return expected(p, "true or false", j, e);
        *(bool *)at = json_is_true(j);
        return 0;
    case FIELD_STRING:
        return string_decode(f, j, p, at, a, e);
    case FIELD_WORD:
        return word_decode(f, j, p, at, e);
    case FIELD_DIGEST:
        return digest_decode(j, p, at, e);
    case FIELD_OBJECT: {
        void *inner = arena_alloc(a, f->of->size);
        if (!inner)
            return no_room(p, e);
        rc = object_decode(f->of, j, p, inner, a, e);
        *(void **)at = inner;
        return rc;
    }
    case FIELD_ARRAY:
    case FIELD_DOUBLES:
        return array_decode(f, j, p, at, (uint32_t *)(void *)(base + f->count_offset), a, e);
    }
    return refuse(p, e, "a field of no known type");
}

static int object_decode(const struct message *m, const json_t *j, const struct path *p,
                         void *value, struct arena *a, struct err *e)
{
    int rc = 0;

    if (!json_is_object(j))
        return expected(p, "an object", j, e);
    memset(value, 0, m->size);
    for (uint32_t i = 0; rc == 0 && i < m->field_count; i++) {
        const struct field *f = &m->fields[i];
        struct path at = {.up = p, .name = f->name};
        const json_t *v = json_object_get(j, f->name);

        if (v && !json_is_null(v))
            rc = value_decode(f, v, &at, value, a, e);
        else if (f->required)
            rc = refuse(&at, e, "missing");
        else if (f->type == FIELD_DOUBLE)
            *(double *)(void *)((char *)value + f->offset) = NAN;
    }
    return rc;
}

/* The path of the key that ends just before `end`: jansson has found the text before it well
 * formed, so only strings and brackets need be told apart. */
static void duplicate_path(const char *name, const char *json, size_t end,
                           char path[PATH_MAX_BYTES])
{
    struct {
        const char *key;
        size_t key_len, index;
        bool array;
    } level[DUPLICATE_DEPTH_MAX] = {{0}};
    size_t depth = 0, at = path_append(path, 0, name, strlen(name));

    for (size_t i = 0; i < end; i++) {
        size_t d = depth <= DUPLICATE_DEPTH_MAX ? depth : 0;
        if (json[i] == '"') {
            size_t from = ++i;
            while (i < end && json[i] != '"')
                i += json[i] == '\\' ? 2 : 1;
            size_t next = i + 1;
            while (next < end && strchr(" \t\r\n", json[next]))
                next++;
            bool key = next >= end || json[next] == ':';
            if (d && key && !level[d - 1].array) {
                level[d - 1].key = json + from;
                level[d - 1].key_len = (i < end ? i : end) - from;
            }
        } else if (json[i] == '{' || json[i] == '[') {
            if (depth++ < DUPLICATE_DEPTH_MAX)
                memset(&level[depth - 1], 0, sizeof level[0]);
            if (depth <= DUPLICATE_DEPTH_MAX)
                level[depth - 1].array = json[i] == '[';
        } else if (json[i] == '}' || json[i] == ']') {
            depth -= depth > 0;
        } else if (json[i] == ',' && d) {
            level[d - 1].index++;
        }
    }
    for (size_t d = 0; d < depth && d < DUPLICATE_DEPTH_MAX; d++) {
        char index[32];
        int n = snprintf(index, sizeof index, "[%zu]", level[d].index);
        if (level[d].array) {
            at = path_append(path, at, index, (size_t)n);
            continue;
        }
        at = path_append(path, at, ".", 1);
        at = path_append(path, at, level[d].key ? level[d].key : "?", level[d].key_len);
    }
}

static int not_json(const struct message *m, const char *json, size_t len, const json_error_t *je,
                    struct err *e)
{
    char path[PATH_MAX_BYTES];
    size_t end = je->position > 0 && (size_t)je->position < len ? (size_t)je->position : len;

    if (json_error_code(je) == json_error_duplicate_key) {
        duplicate_path(m->name, json, end, path);
        return err_set(e, ERR_INVALID, "%s: given twice", path);
    }
    return err_set(e, ERR_FORMAT, "%s: not valid JSON: %s (line %d, column %d)", m->name, je->text,
                   je->line, je->column);
}

int message_decode(const struct message *m, const char *json, size_t len, void *value,
                   struct arena *a, struct err *e)
{
    struct path root = {.name = m->name};
    json_error_t je;
    json_t *j = json_loadb(json ? json : "", len, JSON_REJECT_DUPLICATES, &je);
    int rc;

    memset(value, 0, m->size);
    if (!j)
        return not_json(m, json, len, &je, e);
    rc = object_decode(m, j, &root, value, a, e);
    json_decref(j);
    return rc;
}
