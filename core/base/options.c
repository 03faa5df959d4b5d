#include "core/base/options.h"

#include <string.h>
#include "core/base/text.h"

#define KNOWN_MAX 64

struct known {
    const struct argp_option *all[KNOWN_MAX];
    size_t count;
};

static const struct argp_option argp_own[] = {{"help", '?', NULL, 0, NULL, 0},
                                              {"usage", 0, NULL, 0, NULL, 0},
                                              {"version", 'V', NULL, 0, NULL, 0},
                                              {0}};

static void collect(struct known *k, const struct argp_option *list)
{
    for (; list->name && k->count < KNOWN_MAX; list++)
        k->all[k->count++] = list;
}

static int refuse_unknown(const struct known *k, const char *word, size_t len, struct err *e)
{
    const char *names[KNOWN_MAX];
    char given[64];
    if (len >= sizeof given)
        len = sizeof given - 1;
    memcpy(given, word, len);
    given[len] = '\0';
    for (size_t i = 0; i < k->count; i++)
        names[i] = k->all[i]->name;
    const char *near = text_nearest(given, names, k->count);
    if (near)
        return err_set(e, ERR_INVALID, "there is no option --%s; did you mean --%s?", given, near);
    return err_set(e, ERR_INVALID, "there is no option --%s", given);
}

/* One "--name" or "--name=value", as getopt_long reads it: an unambiguous beginning will do. */
static int check_long(const struct known *k, const char *word, const char *next, int *skip,
                      struct err *e)
{
    size_t len = strcspn(word, "=");
    const struct argp_option *found = NULL;
    int matches = 0;
    for (size_t i = 0; i < k->count; i++) {
        if (strncmp(k->all[i]->name, word, len) != 0)
            continue;
        found = k->all[i];
        matches++;
        if (found->name[len] == '\0') {
            matches = 1;
            break;
        }
    }
    if (matches == 0)
        return refuse_unknown(k, word, len, e);
    if (matches > 1)
        return err_set(e, ERR_INVALID, "--%.*s may be several options: write it out", (int)len,
                       word);
    if (found->arg && word[len] == '\0') {
        *skip = 1;
        if (!next)
            return err_set(e, ERR_INVALID, "--%s wants a value: --%s %s", found->name, found->name,
                           found->arg);
    }
    if (!found->arg && word[len] == '=')
        return err_set(e, ERR_INVALID, "--%s takes no value", found->name);
    return 0;
}

static int check_short(const struct known *k, const char *letters, const char *next, int *skip,
                       struct err *e)
{
    for (; *letters; letters++) {
        const struct argp_option *found = NULL;
        for (size_t i = 0; i < k->count; i++)
            if (k->all[i]->key == *letters)
                found = k->all[i];
        if (!found)
            return err_set(e, ERR_INVALID,
                           "there is no option -%c (what starts with '-' but is no option goes "
                           "after \"--\")",
                           *letters);
        if (!found->arg)
            continue;
        *skip = letters[1] == '\0';
        if (*skip && !next)
            return err_set(e, ERR_INVALID, "-%c wants a value: -%c %s", *letters, *letters,
                           found->arg);
        return 0;
    }
    return 0;
}

int options_check(const struct argp_option *list, bool own_help, int argc, char **argv,
                  struct err *e)
{
    struct known k = {.count = 0};
    collect(&k, list);
    if (own_help)
        collect(&k, argp_own);
    for (int i = 1; i < argc; i++) {
        const char *word = argv[i], *next = i + 1 < argc ? argv[i + 1] : NULL;
        int skip = 0, rc = 0;
        if (strcmp(word, "--") == 0)
            return 0;
        if (word[0] == '-' && word[1] == '-')
            rc = check_long(&k, word + 2, next, &skip, e);
        else if (word[0] == '-' && word[1])
            rc = check_short(&k, word + 1, next, &skip, e);
        if (rc)
            return rc;
        i += skip;
    }
    return 0;
}
