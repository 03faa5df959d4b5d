#include "ops/cli/complete.h"

#include <stdio.h>
#include <string.h>

#define WORD_MAX 128

/* Where one has got to, read word by word. */
struct place {
    struct cli *cli;
    const struct command *command;
    const struct cli_options *o; /* of the command; NULL: a group that does nothing by itself */
    struct argp_option known[CLI_KNOWN_MAX];
    int positional;                   /* arguments so far */
    bool only_args;                   /* "--" was there */
    const struct argp_option *wanted; /* its value comes next */
};

/* What every command of a group takes may stand before it, too. */
static const struct cli_options group_options = {.json = true};

static void enter(struct place *p, const struct command *c)
{
    p->command = c;
    p->o = command_options(c);
    cli_known_options(p->o ? p->o : &group_options, p->known);
    p->positional = 0;
}

static const struct argp_option *find_option(const struct place *p, const char *word, size_t len)
{
    for (const struct argp_option *o = p->known; o->name; o++)
        if ((strlen(o->name) == len && strncmp(o->name, word, len) == 0))
            return o;
    return NULL;
}

static void take_value(struct place *p, const struct argp_option *o, const char *value)
{
    if (strcmp(o->name, "at") == 0)
        p->cli->given.at = value;
    else if (strcmp(o->name, "url") == 0)
        p->cli->given.url = value;
    else if (strcmp(o->name, "token-file") == 0)
        p->cli->given.token_file = value;
    else if (strcmp(o->name, "ca") == 0)
        p->cli->given.ca = value;
}

static void read_option(struct place *p, const char *word)
{
    if (word[1] == '-') {
        size_t len = strcspn(word + 2, "=");
        const struct argp_option *o = find_option(p, word + 2, len);
        if (o && o->arg && word[2 + len] == '=')
            take_value(p, o, word + 2 + len + 1);
        else if (o && o->arg)
            p->wanted = o;
        return;
    }
    for (const struct argp_option *o = p->known; o->name; o++)
        if (o->key == word[1] && o->arg && word[2] == '\0')
            p->wanted = o;
}

static void read_word(struct place *p, const char *word)
{
    if (p->wanted) {
        take_value(p, p->wanted, word);
        p->wanted = NULL;
    } else if (!p->only_args && strcmp(word, "--") == 0) {
        p->only_args = true;
    } else if (!p->only_args && word[0] == '-' && word[1]) {
        read_option(p, word);
    } else {
        const struct command *sub = p->positional ? NULL : command_find(p->command, word);
        if (sub)
            enter(p, sub);
        else
            p->positional++;
    }
}

int complete_add(struct buf *out, const char *typed, const char *candidate, const char *explanation,
                 struct err *e)
{
    if (strncmp(candidate, typed, strlen(typed)) != 0)
        return 0;
    return buf_printf(out, e, "%s\t%s\n", candidate, explanation ? explanation : "");
}

/* The value of a word in a synopsis or of an option, "RUN", "FILE|DIR", "aws|gcp": words in small
 * letters are appended behind `before`, the rest are kinds. */
static int add_value(struct buf *out, const char *typed, const char *before, const char *word,
                     unsigned *kinds, struct err *e)
{
    static const struct {
        const char *word;
        unsigned kind;
    } known[] = {{"FILE", COMPLETE_FILES},
                 {"SPEC.ini", COMPLETE_FILES},
                 {"DIR", COMPLETE_FOLDERS},
                 {"RUN", COMPLETE_RUNS},
                 {"AGENT", COMPLETE_AGENTS},
                 {"DATASET", COMPLETE_DATASETS},
                 {"COORDINATOR", COMPLETE_COORDINATORS}};
    char one[WORD_MAX], whole[2 * WORD_MAX];
    int rc = 0;
    while (*word && !rc) {
        word += strspn(word, "[]|.");
        size_t len = strcspn(word, "[]|");
        snprintf(one, sizeof one, "%.*s", (int)len, word);
        word += len;
        char *dots = strstr(one, "...");
        if (dots)
            *dots = '\0';
        for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
            if (strcmp(one, known[i].word) == 0)
                *kinds |= known[i].kind;
        if (one[0] && strspn(one, "abcdefghijklmnopqrstuvwxyz-") == strlen(one) && one[0] != '-') {
            snprintf(whole, sizeof whole, "%s%s", before, one);
            rc = complete_add(out, typed, whole, "", e);
        }
    }
    return rc;
}

/* Of "AGENT|PATTERN... KEY=VALUE...": all words that may stand at the place at. */
static int add_args(struct buf *out, const char *typed, const char *args, int at, unsigned *kinds,
                    struct err *e)
{
    char word[WORD_MAX];
    bool repeated = false;
    int rc = 0;
    for (int i = 0; *args && !rc; i++) {
        size_t len = strcspn(args, " ");
        snprintf(word, sizeof word, "%.*s", (int)len, args);
        args += len;
        args += *args == ' ';
        repeated = repeated || strstr(word, "...");
        if (i == at || (i < at && repeated && strstr(word, "...")))
            rc = add_value(out, typed, "", word, kinds, e);
    }
    return rc;
}

static int add_options(const struct place *p, struct buf *out, const char *typed, struct err *e)
{
    char name[WORD_MAX];
    int rc = 0;
    for (const struct argp_option *o = p->known; o->name && !rc; o++) {
        if (o->flags & OPTION_HIDDEN)
            continue;
        snprintf(name, sizeof name, "--%s", o->name);
        rc = complete_add(out, typed, name, o->doc, e);
    }
    return rc;
}

static int add_commands(const struct place *p, struct buf *out, const char *typed, struct err *e)
{
    int rc = 0;
    for (const struct command *s = p->command->sub; s && s->name && !rc; s++)
        if (s->summary)
            rc = complete_add(out, typed, s->name, s->summary, e);
    return rc;
}

int complete_words(struct cli *cli, int count, char **words, struct buf *out, unsigned *kinds,
                   struct err *e)
{
    struct place p = {.cli = cli};
    const char *typed = count > 0 ? words[count - 1] : "";
    char before[WORD_MAX];
    *kinds = 0;
    enter(&p, &command_root);
    for (int i = 0; i + 1 < count; i++)
        read_word(&p, words[i]);
    if (p.wanted)
        return add_value(out, typed, "", p.wanted->arg, kinds, e);
    if (!p.only_args && strncmp(typed, "--", 2) == 0 && strchr(typed, '=')) {
        size_t len = strcspn(typed, "=");
        const struct argp_option *o = find_option(&p, typed + 2, len - 2);
        snprintf(before, sizeof before, "%.*s=", (int)len, typed);
        return o && o->arg ? add_value(out, typed, before, o->arg, kinds, e) : 0;
    }
    if (!p.only_args && typed[0] == '-')
        return add_options(&p, out, typed, e);
    int rc = p.positional || p.only_args ? 0 : add_commands(&p, out, typed, e);
    if (!rc && p.o && p.o->args)
        rc = add_args(out, typed, p.o->args, p.positional, kinds, e);
    return rc;
}
