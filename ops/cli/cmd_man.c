/* tacit man: the manual pages, from the tree of commands and what each takes. The build installs
 * what it prints. */
#include <stdio.h>
#include <string.h>
#include "core/base/manual.h"
#include "ops/cli/command.h"

#define NAME_MAX_BYTES 64

/* What every command takes. */
static const struct cli_options common = {.json = true};

static void environment(struct manual *m)
{
    manual_section(m, "ENVIRONMENT");
    manual_item(m, "TACIT_URL", "The coordinator's address, http://HOST:PORT or https.");
    manual_item(m, "TACIT_TOKEN_FILE",
                "A file that holds the admin token: the coordinator's data folder has it.");
    manual_item(m, "TACIT_CA", "Certificates to trust for https, in place of the system's.");
    manual_item(m, "TACIT_JOIN", "A join file, which has all three: where TACIT_URL is not set.");
    manual_item(m, "NO_COLOR", "Where it is not empty, output has no colours.");
}

static void files(struct manual *m)
{
    manual_section(m, "FILES");
    manual_item(m, "~/.config/tacit/config.ini",
                "Names coordinators (in $XDG_CONFIG_HOME where that is set); tacit-config(1) "
                "explains it.");
    manual_item(m, "~/.cache/tacit/",
                "Downloaded models (in $XDG_CACHE_HOME where that is set); it may be deleted.");
}

static void exit_codes(struct manual *m)
{
    manual_section(m, "EXIT STATUS");
    manual_text(m,
                "0 where all went well, else a number of sysexits(3): 64 for a mistake in what was "
                "typed or in a spec, 65 for data that are not what they should be (a difference, "
                "damage), 66 for what is not there, 69 for a coordinator that does not answer, 75 "
                "for a failure that may pass, 77 for what is not permitted, 78 for a mistake in a "
                "configuration file.",
                false);
}

static void see_also(struct manual *m, const struct command *c)
{
    char line[NAME_MAX_BYTES + 64];
    manual_section(m, "SEE ALSO");
    snprintf(line, sizeof line, "%stacitd(8), tacit-agent(1)",
             c == &command_root ? "" : "tacit(1), ");
    manual_text(m, line, false);
}

static void common_options(struct manual *m)
{
    struct argp_option known[CLI_KNOWN_MAX];
    cli_known_options(&common, known);
    manual_options(m, known);
}

/* A page of one command. */
static void command_page(struct manual *m, const char *name, const struct command *c)
{
    const struct cli_options *o = command_options(c);
    struct argp_option known[CLI_KNOWN_MAX];
    manual_section(m, "SYNOPSIS");
    manual_synopsis(m, name, o->args);
    manual_section(m, "DESCRIPTION");
    manual_doc_before(m, o->doc);
    cli_known_options(o, known);
    manual_section(m, "OPTIONS");
    manual_options(m, known);
    if (strchr(o->doc, '\v') && strncmp(strchr(o->doc, '\v') + 1, "Example", 7) != 0)
        manual_section(m, "NOTES");
    manual_doc_after(m, o->doc, true);
}

/* The same as a part of its group's page. */
static void command_part(struct manual *m, const char *name, const struct command *c)
{
    const struct cli_options *o = command_options(c);
    manual_subsection(m, name);
    manual_synopsis(m, name, o->args);
    manual_paragraph(m);
    manual_doc_before(m, o->doc);
    manual_options(m, o->options);
    manual_paragraph(m);
    manual_doc_after(m, o->doc, false);
}

static void group_page(struct manual *m, const char *name, const struct command *c)
{
    char full[2 * NAME_MAX_BYTES]; /* of a group, and of a command in it */
    manual_section(m, "SYNOPSIS");
    if (c->run)
        manual_synopsis(m, name, command_options(c)->args);
    for (const struct command *s = c->sub; s->name; s++)
        if (s->summary) {
            snprintf(full, sizeof full, "%s %s", name, s->name);
            if (c->run || s != c->sub)
                manual_break(m);
            manual_synopsis(m, full, command_options(s)->args);
        }
    manual_section(m, "COMMANDS");
    if (c->run)
        command_part(m, name, c);
    for (const struct command *s = c->sub; s->name; s++)
        if (s->summary) {
            snprintf(full, sizeof full, "%s %s", name, s->name);
            command_part(m, full, s);
        }
    manual_section(m, "COMMON OPTIONS");
    common_options(m);
    if (c->examples) {
        manual_section(m, "EXAMPLES");
        manual_text(m, c->examples, false);
    }
}

static void root_page(struct manual *m)
{
    char term[NAME_MAX_BYTES];
    manual_section(m, "SYNOPSIS");
    manual_synopsis(m, "tacit COMMAND", "[ARGUMENT...]");
    manual_section(m, "DESCRIPTION");
    manual_text(m,
                "The operator's command line: it asks and steers a coordinator, tacitd(8), whose "
                "jobs agents compute, tacit-agent(1). Each command has a page of its own, "
                "tacit-COMMAND(1).",
                false);
    manual_section(m, "COMMANDS");
    for (const struct command *s = command_root.sub; s->name; s++)
        if (s->summary) {
            snprintf(term, sizeof term, "tacit %s", s->name);
            manual_item(m, term, s->summary);
        }
    manual_section(m, "COMMON OPTIONS");
    manual_text(m, "They may stand before a command, too.", false);
    common_options(m);
    manual_section(m, "EXAMPLES");
    manual_text(m, command_root.examples, false);
}

static int print_page(const struct command *c, struct err *e)
{
    struct manual m;
    char page[NAME_MAX_BYTES] = "tacit", name[NAME_MAX_BYTES] = "tacit";
    if (c != &command_root) {
        snprintf(page, sizeof page, "tacit-%s", c->name);
        snprintf(name, sizeof name, "tacit %s", c->name);
    }
    manual_begin(&m, page, 1, c->summary);
    if (c == &command_root)
        root_page(&m);
    else if (c->sub)
        group_page(&m, name, c);
    else
        command_page(&m, name, c);
    environment(&m);
    files(&m);
    exit_codes(&m);
    see_also(&m, c);
    int rc = manual_end(&m, e);
    if (!rc)
        fputs(m.out.data, stdout);
    buf_free(&m.out);
    return rc;
}

/* "tacit-run.1" → run, "tacit.1" → the root. */
static const struct command *of_page(const char *page)
{
    char word[NAME_MAX_BYTES];
    size_t len = strlen(page);
    if (strcmp(page, "tacit.1") == 0)
        return &command_root;
    if (len < 8 || len >= sizeof word || strncmp(page, "tacit-", 6) != 0 ||
        strcmp(page + len - 2, ".1") != 0)
        return NULL;
    snprintf(word, sizeof word, "%.*s", (int)(len - 8), page + 6);
    const struct command *c = command_find(&command_root, word);
    return c && c->summary ? c : NULL;
}

int cmd_man(struct cli *cli, int argc, char **argv)
{
    static const struct cli_options o = {
        .args = "[PAGE]",
        .doc = "Prints a manual page, or the names of all.\vExample:\n  tacit man tacit-run.1 | "
               "man -l -",
        .args_max = 1,
        .offline = true,
    };
    struct err e = {0};
    int code;
    if (!cli_parse(cli, &o, argc, argv, NULL, &code))
        return code;
    if (cli->arg_count == 0) {
        puts("tacit.1");
        for (const struct command *s = command_root.sub; s->name; s++)
            if (s->summary)
                printf("tacit-%s.1\n", s->name);
        return 0;
    }
    const struct command *c = of_page(cli->args[0]);
    int rc = c ? print_page(c, &e)
               : err_set(&e, ERR_NOT_FOUND, "%s: `tacit man` lists the pages", cli->args[0]);
    return rc ? cli_fail(cli, &e) : 0;
}
