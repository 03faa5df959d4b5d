#include "core/base/ini_text.h"

#include <ini.h>
#include <string.h>

#define NEITHER "neither \"[section]\" nor \"key = value\""

struct reading {
    const char *file, *text, *end;
    int line; /* that libinih works on */
    ini_text_fn *fn;
    void *arg;
    struct err *e;
    int rc;
};

/* Hands libinih one line at a time, counting (its handler is not told the line here) and without
 * the spaces in front, which it would take for the continuation of the key before. */
static char *next_line(char *out, int size, void *arg)
{
    struct reading *r = arg;
    const char *s = r->text;

    if (r->rc || s == r->end)
        return NULL;
    const char *end = memchr(s, '\n', (size_t)(r->end - s));
    r->text = end ? end + 1 : r->end;
    if (!end)
        end = r->end;
    r->line++;
    while (s < end && (*s == ' ' || *s == '\t'))
        s++;
    if (s < end && (*s == ';' || *s == '#'))
        s = end;
    while (end > s && (end[-1] == '\r' || end[-1] == ' ' || end[-1] == '\t'))
        end--;
    if (end - s > size - 2) {
        r->rc = err_set(r->e, ERR_INVALID, "%.120s:%d: the line is longer than %d characters",
                        r->file, r->line, size - 2);
        return NULL;
    }
    /* libinih would go on, and report a later slip first. */
    if (s < end && !memchr(s, *s == '[' ? ']' : '=', (size_t)(end - s)) &&
        (*s == '[' || !memchr(s, ':', (size_t)(end - s)))) {
        r->rc = err_set(r->e, ERR_INVALID, "%.120s:%d: " NEITHER, r->file, r->line);
        return NULL;
    }
    memcpy(out, s, (size_t)(end - s));
    memcpy(out + (end - s), "\n", 2);
    return out;
}

static int on_value(void *arg, const char *section, const char *name, const char *value)
{
    struct reading *r = arg;

    if (!r->rc)
        r->rc = r->fn(r->arg, section, name, value, r->line, r->e);
    return r->rc == 0;
}

int ini_text_read(const char *text, size_t len, const char *file, ini_text_fn *fn, void *arg,
                  struct err *e)
{
    struct reading r = {.file = file, .fn = fn, .arg = arg, .e = e};

    if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
        text += 3; /* a byte order mark */
        len -= 3;
    }
    r.text = text;
    r.end = text + len;
    int at = ini_parse_stream(next_line, &r, on_value, &r);
    if (at > 0 && !r.rc)
        r.rc = err_set(e, ERR_INVALID, "%.120s:%d: " NEITHER, file, at);
    if (at < 0 && !r.rc)
        r.rc = err_set(e, ERR_NO_MEMORY, "%.120s: out of memory", file);
    return r.rc;
}
