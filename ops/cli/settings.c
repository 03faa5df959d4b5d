#include "ops/cli/settings.h"

#include <stdio.h>
#include <string.h>
#include "core/base/ini_text.h"
#include "core/base/text.h"
#include "core/client/join_file.h"
#include "core/env/file.h"
#include "core/env/process.h"

#define FILE_MAX (1u << 20)

struct reading {
    struct settings *s;
    struct arena *arena;
    const char *folder; /* what paths in the file are relative to */
};

static int no_memory(struct err *e)
{
    return err_set(e, ERR_NO_MEMORY, "no memory for the settings");
}

static int find_file(struct arena *a, struct reading *r, struct err *e)
{
    const char *config = env_get("XDG_CONFIG_HOME"), *home = env_get("HOME");
    if (config && *config)
        r->folder = arena_printf(a, "%s/tacit", config);
    else if (home && *home)
        r->folder = arena_printf(a, "%s/.config/tacit", home);
    else
        return 0;
    r->s->file = r->folder ? arena_printf(a, "%s/config.ini", r->folder) : NULL;
    return r->s->file ? 0 : no_memory(e);
}

static struct settings_section *section_of(struct settings *s, const char *name)
{
    for (int i = 0; i < s->count; i++)
        if (strcmp(s->sections[i].name, name) == 0)
            return &s->sections[i];
    return NULL;
}

static int add_section(struct reading *r, const char *name, int line,
                       struct settings_section **section, struct err *e)
{
    struct settings *s = r->s;
    if (!text_is_name(name))
        return err_set(e, ERR_CONFIG,
                       "%s:%d: [%.60s]: a coordinator's name is 1 to 64 letters, digits, '.', '_' "
                       "or '-'",
                       s->file, line, name);
    if (s->count == SETTINGS_COORDINATORS_MAX)
        return err_set(e, ERR_CONFIG, "%s:%d: [%s]: more than %d coordinators", s->file, line, name,
                       SETTINGS_COORDINATORS_MAX);
    *section = &s->sections[s->count];
    (*section)->name = arena_strndup(r->arena, name, strlen(name));
    if (!(*section)->name)
        return no_memory(e);
    s->count++;
    return 0;
}

/* "~/x" and "x" as paths from anywhere. */
static const char *whole_path(const struct reading *r, const char *path)
{
    const char *home = env_get("HOME");
    if (path[0] == '~' && path[1] == '/' && home)
        return arena_printf(r->arena, "%s%s", home, path + 1);
    if (path[0] == '/')
        return arena_strndup(r->arena, path, strlen(path));
    return arena_printf(r->arena, "%s/%s", r->folder, path);
}

static int set_value(const struct reading *r, struct setting *out, const char *value, bool path,
                     int line, struct err *e)
{
    if (!*value)
        return err_set(e, ERR_CONFIG, "%s:%d: a value is missing", r->s->file, line);
    if (out->value)
        return err_set(e, ERR_CONFIG, "%s:%d: given twice, first in %s", r->s->file, line,
                       out->source);
    out->value = path ? whole_path(r, value) : arena_strndup(r->arena, value, strlen(value));
    out->source = arena_printf(r->arena, "%s:%d", r->s->file, line);
    return out->value && out->source ? 0 : no_memory(e);
}

static int on_value(void *arg, const char *section, const char *name, const char *value, int line,
                    struct err *e)
{
    static const char *const keys[] = {"url", "token-file", "ca"};
    struct reading *r = arg;
    struct settings_section *s = NULL;
    if (!*section) {
        if (strcmp(name, "default") == 0)
            return set_value(r, &r->s->fallback, value, false, line, e);
        return err_set(e, ERR_CONFIG,
                       "%s:%d: %.60s: above the first [COORDINATOR] there is only default = NAME",
                       r->s->file, line, name);
    }
    s = section_of(r->s, section);
    int rc = s ? 0 : add_section(r, section, line, &s, e);
    if (rc)
        return rc;
    if (strcmp(name, "url") == 0)
        return set_value(r, &s->url, value, false, line, e);
    if (strcmp(name, "token-file") == 0)
        return set_value(r, &s->token_file, value, true, line, e);
    if (strcmp(name, "ca") == 0)
        return set_value(r, &s->ca, value, true, line, e);
    const char *near = text_nearest(name, keys, sizeof keys / sizeof keys[0]);
    return err_set(e, ERR_CONFIG,
                   "%s:%d: [%s] has no setting %.60s%s%s%s; url, token-file and ca "
                   "are known",
                   r->s->file, line, section, name, near ? ": did you mean " : "", near ? near : "",
                   near ? "?" : "");
}

static int unknown_coordinator(const struct settings *s, const char *name, const char *where,
                               struct err *e)
{
    const char *names[SETTINGS_COORDINATORS_MAX];
    for (int i = 0; i < s->count; i++)
        names[i] = s->sections[i].name;
    const char *near = text_nearest(name, names, (size_t)s->count);
    if (near)
        return err_set(e, ERR_CONFIG, "%s: there is no [%.60s]; did you mean %s?", where, name,
                       near);
    if (!s->found)
        return err_set(e, ERR_CONFIG,
                       "%s %.60s: there is no %s; `tacit config` shows what goes "
                       "into it",
                       where, name, s->file ? s->file : "home folder");
    return err_set(e, ERR_CONFIG, "%s: there is no [%.60s] in %s; `tacit config` lists what is",
                   where, name, s->file);
}

static int read_file(struct reading *r, struct err *e)
{
    struct settings *s = r->s;
    struct buf text;
    if (!s->file || !env_file_exists(s->file))
        return 0;
    int rc = env_file_read(s->file, FILE_MAX, &text, e);
    if (rc)
        return rc;
    s->found = true;
    rc = ini_text_read(text.data ? text.data : "", text.len, s->file, on_value, r, e);
    buf_free(&text);
    if (rc)
        return rc == ERR_NO_MEMORY ? rc : (e->code = ERR_CONFIG);
    if (s->fallback.value && !section_of(s, s->fallback.value))
        return unknown_coordinator(s, s->fallback.value, s->fallback.source, e);
    return 0;
}

static void take(struct setting *to, const char *value, const char *source)
{
    if (!to->value && value && *value)
        *to = (struct setting){value, source};
}

static void take_setting(struct setting *to, const struct setting *from)
{
    if (!to->value)
        *to = *from;
}

/* What the join file says completes what is set; it serves as file of the token and of the
 * authorities itself. */
static int take_join(struct settings *out, const char *path, const char *source, struct arena *a,
                     struct err *e)
{
    struct join_file f;
    if (!path || !*path)
        return 0;
    int rc = join_file_read(path, &f, e);
    if (rc)
        return err_prefix(e, "%s", source);
    take(&out->url, arena_strndup(a, f.url, strlen(f.url)), source);
    if (f.token[0])
        take(&out->token_file, path, source);
    if (f.authority)
        take(&out->ca, path, source);
    return 0;
}

int settings_read(const struct settings_given *given, struct arena *a, struct settings *out,
                  struct err *e)
{
    struct reading r = {.s = out, .arena = a};
    const struct settings_section *section = NULL;
    memset(out, 0, sizeof *out);
    int rc = find_file(a, &r, e);
    if (!rc)
        rc = read_file(&r, e);
    if (rc)
        return rc;
    take(&out->url, given->url, "--url");
    take(&out->token_file, given->token_file, "--token-file");
    take(&out->ca, given->ca, "--ca");
    rc = take_join(out, given->join, "--join", a, e);
    if (rc)
        return rc;
    if (given->at) {
        section = section_of(out, given->at);
        if (!section)
            return unknown_coordinator(out, given->at, "--at", e);
        out->coordinator = (struct setting){section->name, "--at"};
    } else {
        take(&out->url, env_get("TACIT_URL"), "TACIT_URL");
        take(&out->token_file, env_get("TACIT_TOKEN_FILE"), "TACIT_TOKEN_FILE");
        take(&out->ca, env_get("TACIT_CA"), "TACIT_CA");
        if (!out->url.value) /* else its token would go to another address than its own */
            rc = take_join(out, env_get("TACIT_JOIN"), "TACIT_JOIN", a, e);
        if (rc)
            return rc;
    }
    if (!section && !out->url.value) {
        if (out->fallback.value) {
            section = section_of(out, out->fallback.value);
            out->coordinator = out->fallback;
        } else if (out->count == 1) {
            section = &out->sections[0];
            out->coordinator = (struct setting){section->name, "the only one"};
        }
    }
    if (section) {
        take_setting(&out->url, &section->url);
        take_setting(&out->token_file, &section->token_file);
        take_setting(&out->ca, &section->ca);
    }
    return 0;
}
