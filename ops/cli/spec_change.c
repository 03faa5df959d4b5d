#include "ops/cli/spec_change.h"

#include <stdio.h>
#include <string.h>
#include "core/protocol/spec.h"

#define SECTION_MAX 32

struct change {
    const char *section, *key, *value; /* section and key: not ended by NUL */
    size_t section_len, key_len;
    bool made;
};

static int change_read(const char *text, struct change *c, struct err *e)
{
    size_t key_end = strcspn(text, "=");
    size_t dot = strcspn(text, ".");
    if (text[key_end] == 0 || dot >= key_end || dot == 0 || dot + 1 == key_end)
        return err_set(e, ERR_INVALID, "'%s': a change is section.key=value, expert.steps=8000",
                       text);
    *c = (struct change){.section = text,
                         .section_len = dot,
                         .key = text + dot + 1,
                         .key_len = key_end - dot - 1,
                         .value = text + key_end + 1};
    return 0;
}

static bool is_word(const char *word, size_t len, const char *text)
{
    return strlen(text) == len && memcmp(word, text, len) == 0;
}

static struct change *change_of(struct change *all, size_t count, const char *section,
                                const char *key, size_t key_len)
{
    struct change *found = NULL; /* the last one counts */
    for (size_t i = 0; i < count; i++)
        if (is_word(all[i].section, all[i].section_len, section) && all[i].key_len == key_len &&
            memcmp(all[i].key, key, key_len) == 0)
            found = &all[i];
    return found;
}

/* Whether the key's value is what it would be if it were not given. */
static bool follows(const struct run_spec *s, const char *section, const char *key, size_t len)
{
    uint64_t publish = s->checkpoint.publish_steps;
    if (strcmp(section, "dense") == 0 && is_word(key, len, "batch"))
        return s->dense.batch == s->experts * s->expert.batch;
    if (strcmp(section, "expert") == 0 && is_word(key, len, "ffn"))
        return s->expert.ffn == 4 * s->expert.hidden;
    if (strcmp(section, "checkpoint") == 0 && is_word(key, len, "every_steps"))
        return s->checkpoint.every_steps == (publish < 250 ? publish : 250);
    return false;
}

/* Changes of keys that the text does not have, at the end of their section. */
static int add_others(struct change *all, size_t count, const char *section, struct buf *out,
                      struct err *e)
{
    int rc = 0;
    for (size_t i = 0; !rc && i < count; i++) {
        struct change *c = &all[i];
        if (c->made || !is_word(c->section, c->section_len, section) ||
            change_of(all, count, section, c->key, c->key_len) != c)
            continue;
        c->made = true;
        rc = buf_printf(out, e, "%.*s = %s\n", (int)c->key_len, c->key, c->value);
    }
    return rc;
}

static int change_lines(const char *text, const struct run_spec *spec, struct change *all,
                        size_t count, struct buf *out, struct err *e)
{
    char section[SECTION_MAX] = "";
    int rc = 0;
    while (!rc && *text) {
        size_t len = strcspn(text, "\n"), key_len = strcspn(text, " =\n");
        if (*text == '[') {
            rc = add_others(all, count, section, out, e);
            snprintf(section, sizeof section, "%.*s", (int)strcspn(text + 1, "]\n"), text + 1);
        }
        struct change *c = change_of(all, count, section, text, key_len);
        bool left_out = *text != '[' && !c && follows(spec, section, text, key_len);
        if (!rc && *text != '[' && c) {
            c->made = true;
            rc = buf_printf(out, e, "%.*s = %s\n", (int)key_len, text, c->value);
        } else if (!rc && !left_out) {
            rc = buf_printf(out, e, "%.*s\n", (int)len, text);
        }
        text += len + (text[len] == '\n');
    }
    return rc ? rc : add_others(all, count, section, out, e);
}

int spec_change(const char *text, const char *const *changes, size_t count, struct buf *out,
                struct err *e)
{
    struct change all[SPEC_CHANGES_MAX];
    struct run_spec spec;
    if (count > SPEC_CHANGES_MAX)
        return err_set(e, ERR_INVALID, "at most %d changes", SPEC_CHANGES_MAX);
    int rc = spec_parse(text, strlen(text), "spec", &spec, e);
    for (size_t i = 0; !rc && i < count; i++)
        rc = change_read(changes[i], &all[i], e);
    if (!rc)
        rc = change_lines(text, &spec, all, count, out, e);
    for (size_t i = 0; !rc && i < count; i++) {
        char section[SECTION_MAX];
        snprintf(section, sizeof section, "%.*s", (int)all[i].section_len, all[i].section);
        if (!all[i].made && change_of(all, count, section, all[i].key, all[i].key_len) == &all[i])
            rc = err_set(e, ERR_INVALID,
                         "'%s': there is no section [%s]; `tacit run spec` prints them all",
                         changes[i], section);
    }
    return rc;
}
