#include "core/base/option_values.h"

#include <assert.h>
#include <string.h>
#include "core/base/ini_text.h"
#include "core/base/text.h"

void option_values_init(struct option_values *v, const struct argp_option *list, struct arena *a)
{
    int n = 0;
    while (list[n].name)
        n++;
    assert(n <= OPTION_VALUES_MAX);
    *v = (struct option_values){.list = list, .arena = a};
}

static struct option_value *of_key(const struct option_values *v, int key)
{
    for (int i = 0; v->list[i].name; i++)
        if (v->list[i].key == key)
            return (struct option_value *)&v->at[i];
    return NULL;
}

const struct option_value *option_values_get(const struct option_values *v, int key)
{
    const struct option_value *value = of_key(v, key);
    assert(value);
    return value;
}

bool option_values_typed(struct option_values *v, int key, const char *arg)
{
    struct option_value *value = of_key(v, key);
    if (!value)
        return false;
    const char *name = v->list[value - v->at].name;
    *value = (struct option_value){arg ? arg : "", arena_printf(v->arena, "--%s", name)};
    return true;
}

void option_values_last(struct option_values *v, int key, const char *value, const char *source)
{
    struct option_value *to = of_key(v, key);
    assert(to);
    if (!to->value && value && *value)
        *to = (struct option_value){value, source};
}

/* --- the file --------------------------------------------------------------------------------- */

struct reading {
    struct option_values *v;
    const char *file;
    int lines[OPTION_VALUES_MAX]; /* where each was given; 0: not */
};

static int unknown(const struct reading *r, const char *name, int line, struct err *e)
{
    const char *names[OPTION_VALUES_MAX];
    size_t n = 0;
    for (const struct argp_option *o = r->v->list; o->name; o++)
        if (!(o->flags & OPTION_TYPED_ONLY))
            names[n++] = o->name;
    const char *near = text_nearest(name, names, n);
    if (near)
        return err_set(e, ERR_CONFIG, "%s:%d: there is no setting %.60s; did you mean %s?", r->file,
                       line, name, near);
    return err_set(e, ERR_CONFIG,
                   "%s:%d: there is no setting %.60s; settings are called as options", r->file,
                   line, name);
}

static int on_value(void *arg, const char *section, const char *name, const char *value, int line,
                    struct err *e)
{
    struct reading *r = arg;
    const struct argp_option *list = r->v->list;
    int i = 0;
    if (*section)
        return err_set(e, ERR_CONFIG, "%s:%d: [%.60s]: this file has no sections", r->file, line,
                       section);
    while (list[i].name && strcmp(list[i].name, name) != 0)
        i++;
    if (!list[i].name || list[i].flags & OPTION_TYPED_ONLY)
        return unknown(r, name, line, e);
    if (r->lines[i])
        return err_set(e, ERR_CONFIG, "%s:%d: %s is given twice, first in line %d", r->file, line,
                       name, r->lines[i]);
    r->lines[i] = line;
    if (!*value)
        return err_set(e, ERR_CONFIG, "%s:%d: %s: a value is missing", r->file, line, name);
    bool yes = strcmp(value, "yes") == 0;
    if (!list[i].arg && !yes && strcmp(value, "no") != 0)
        return err_set(e, ERR_CONFIG, "%s:%d: %s: yes or no is wanted", r->file, line, name);
    if (r->v->at[i].value || (!list[i].arg && !yes))
        return 0;
    struct option_value *to = &r->v->at[i];
    to->value = list[i].arg ? arena_strndup(r->v->arena, value, strlen(value)) : "";
    to->source = arena_printf(r->v->arena, "%s:%d", r->file, line);
    return to->value && to->source ? 0 : err_set(e, ERR_NO_MEMORY, "no memory for %s", r->file);
}

int option_values_file(struct option_values *v, const char *text, size_t len, const char *file,
                       struct err *e)
{
    struct reading r = {.v = v, .file = file};
    return ini_text_read(text, len, file, on_value, &r, e);
}

int option_values_apply(const struct option_values *v,
                        int (*set)(void *input, int key, const char *arg, struct err *e),
                        void *input, struct err *e)
{
    for (int i = 0; v->list[i].name; i++) {
        if (!v->at[i].value)
            continue;
        int rc = set(input, v->list[i].key, v->list[i].arg ? v->at[i].value : NULL, e);
        if (rc && v->at[i].source && v->at[i].source[0] != '-')
            return err_prefix(e, "%s", v->at[i].source);
        if (rc)
            return rc;
    }
    return 0;
}
