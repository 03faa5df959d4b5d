#include "core/base/log_line.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include "core/base/text.h"

#define VALUE_MAX 1000
#define SPEC_MAX 24

struct piece {
    char text[VALUE_MAX];
    size_t len;
};
struct text {
    char *at;
    size_t len, max;
};

static void put(struct text *t, const char *s, size_t len)
{
    if (len > t->max - t->len)
        len = t->max - t->len;
    memcpy(t->at + t->len, s, len);
    t->len += len;
    t->at[t->len] = 0;
}

static void put_string(struct text *t, const char *s)
{
    put(t, s, strlen(s));
}

/* What comes from outside must not begin a line, nor end a quotation. */
static void put_value(struct text *t, const char *s, bool quoted, bool json)
{
    char one[8];

    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;
        if (c < ' ' && json)
            snprintf(one, sizeof one, "\\u%04x", c);
        else if (c < ' ')
            snprintf(one, sizeof one, "?");
        else
            snprintf(one, sizeof one, "%s%c",
                     (quoted || json) && (c == '"' || c == '\\') ? "\\" : "", *s);
        if (strlen(one) > t->max - t->len) /* no half of an escape */
            return;
        put_string(t, one);
    }
}

/* One conversion, *fmt behind its '%'. True for a number. */
static bool convert(const char **fmt, struct piece *out, va_list *args)
{
    char spec[SPEC_MAX] = "%", *to = out->text + out->len;
    size_t n = 1, longs = 0, left = sizeof out->text - out->len;
    int precision = -1, wrote = 0;
    bool number = true;

    for (; **fmt && strchr("0123456789.*lzjh-+ #", **fmt); (*fmt)++) {
        if (**fmt == '*') {
            precision = va_arg(*args, int);
            continue;
        }
        longs += **fmt == 'l' || **fmt == 'z' || **fmt == 'j';
        if (n < SPEC_MAX - 6 && !strchr("lzjh", **fmt))
            spec[n++] = **fmt;
    }
    char kind = **fmt ? *(*fmt)++ : 's';
    if (strchr("dux", kind)) {
        spec[n++] = 'l';
        spec[n++] = 'l';
        spec[n++] = kind;
        long long v = longs         ? va_arg(*args, long long)
                      : kind == 'd' ? va_arg(*args, int)
                                    : (long long)va_arg(*args, unsigned);
        wrote = snprintf(to, left, spec, v);
    } else if (strchr("gfe", kind)) {
        spec[n++] = kind;
        wrote = snprintf(to, left, spec, va_arg(*args, double));
    } else if (kind == 'c') {
        wrote = snprintf(to, left, "%c", va_arg(*args, int));
        number = false;
    } else if (kind == '%') {
        wrote = snprintf(to, left, "%%");
        number = false;
    } else {
        const char *s = va_arg(*args, const char *);
        s = s ? s : "";
        number = false;
        if (precision >= 0) {
            wrote = snprintf(to, left, "%.*s", precision, s);
        } else {
            spec[n++] = 's';
            wrote = snprintf(to, left, spec, s);
        }
    }
    size_t added = wrote < 0 ? 0 : (size_t)wrote;
    out->len += added < left ? added : left - 1;
    return number;
}

/* The next word of the format, quotations being one: its key's length, and its value. */
static size_t next_word(const char **fmt, struct piece *key, struct piece *value, bool *quoted,
                        bool *number, va_list *args)
{
    bool inside = false, all = false;
    const char *f = *fmt;

    *quoted = *number = false;
    key->len = value->len = 0;
    size_t key_len = strspn(f, "abcdefghijklmnopqrstuvwxyz_");
    if (key_len == 0 || f[key_len] != '=')
        key_len = 0;
    if (key_len) {
        snprintf(key->text, sizeof key->text, "%.*s", (int)key_len, f);
        f += key_len + 1;
    }
    const char *from = f;
    while (*f && (inside || *f != ' ')) {
        if (*f == '"' && key_len) {
            inside = !inside;
            *quoted = true;
            f++;
        } else if (*f == '%') {
            bool first = f == from;
            f++;
            bool is_number = convert(&f, value, args);
            all = first && is_number && (*f == ' ' || *f == 0);
        } else {
            if (value->len < sizeof value->text - 1)
                value->text[value->len++] = *f;
            f++;
        }
    }
    value->text[value->len] = 0;
    text_make_utf8(value->text);
    *number = all && !*quoted && strncmp(value->text, "nan", 3) != 0 &&
              strncmp(value->text, "inf", 3) != 0 && strncmp(value->text, "-", 2) != 0;
    *fmt = f + strspn(f, " ");
    return key_len;
}

static void as_text(struct text *out, const char *fmt, va_list *args)
{
    struct piece key, value;
    bool quoted, number;

    while (*fmt) {
        size_t key_len = next_word(&fmt, &key, &value, &quoted, &number, args);
        put_string(out, " ");
        if (key_len) {
            put_string(out, key.text);
            put_string(out, "=");
        }
        put_string(out, quoted ? "\"" : "");
        put_value(out, value.text, quoted, false);
        put_string(out, quoted ? "\"" : "");
    }
}

static void as_json(struct text *out, const char *fmt, va_list *args)
{
    char words[VALUE_MAX] = "", fields[LOG_LINE_MAX / 2] = "";
    struct text w = {words, 0, sizeof words - 1}, f = {fields, 0, sizeof fields - 8};
    struct piece key, value;
    bool quoted, number;

    while (*fmt) {
        size_t key_len = next_word(&fmt, &key, &value, &quoted, &number, args);
        if (!key_len) {
            put_string(&w, w.len ? " " : "");
            put_value(&w, value.text, true, true);
            continue;
        }
        size_t before = f.len;
        put_string(&f, ",\"");
        put_string(&f, key.text);
        put_string(&f, number ? "\":" : "\":\"");
        put_value(&f, value.text, true, true);
        put_string(&f, number ? "" : "\"");
        if (f.len + 8 > f.max) /* whole, or not at all */
            f.at[f.len = before] = 0;
    }
    text_make_utf8(words); /* it may be cut within a character */
    put_string(out, words);
    put_string(out, "\"");
    put_string(out, fields);
    put_string(out, "}");
}

void log_line_format(char out[LOG_LINE_MAX], bool json, const char *stamp, const char *level,
                     const char *fmt, va_list args)
{
    struct text t = {out, 0, LOG_LINE_MAX - 1};
    va_list copy;

    va_copy(copy, args);
    put_string(&t, json ? "{\"time\":\"" : "time=");
    put_string(&t, stamp);
    put_string(&t, json ? "\",\"level\":\"" : " level=");
    put_string(&t, level);
    if (json) {
        put_string(&t, "\",\"msg\":\"");
        as_json(&t, fmt, &copy);
    } else {
        as_text(&t, fmt, &copy);
    }
    va_end(copy);
}

static int rank(const char *level)
{
    static const char *const levels[] = {"error", "warn", "info", "debug"};

    for (int i = 0; i < (int)(sizeof levels / sizeof levels[0]); i++)
        if (strcmp(levels[i], level) == 0)
            return i;
    return -1;
}

bool log_rules_level(struct log_rules *r, const char *level)
{
    int n = rank(level);

    r->level = n < 0 ? r->level : n;
    return n >= 0;
}

bool log_rules_format(struct log_rules *r, const char *format)
{
    bool json = strcmp(format, "json") == 0, known = json || strcmp(format, "text") == 0;

    r->json = known ? json : r->json;
    return known;
}

bool log_line_make(char out[LOG_LINE_MAX], const struct log_rules *r, int64_t wall_ms,
                   const char *level, const char *fmt, va_list args)
{
    char seconds[24] = "", stamp[32];
    time_t at = (time_t)(wall_ms / 1000);
    struct tm utc;

    if (rank(level) > r->level)
        return false;
    if (gmtime_r(&at, &utc))
        strftime(seconds, sizeof seconds, "%Y-%m-%dT%H:%M:%S", &utc);
    snprintf(stamp, sizeof stamp, "%s.%03dZ", seconds, (int)(wall_ms % 1000));
    log_line_format(out, r->json, stamp, level, fmt, args);
    return true;
}
