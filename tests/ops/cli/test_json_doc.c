/* ops/docs/json.md says what each command prints with --json: made from the descriptions by which
 * it is written, so a field that is added, renamed or dropped shows there, or here.
 *
 *     build/tests/ops/cli/test_json_doc --write    brings the page up to date */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "core/base/buf.h"
#include "core/env/file.h"
#include "core/protocol/messages.h"
#include "ops/cli/command.h"
#include "ops/cli/plan.h"
#include "ops/cli/printed.h"

#define PAGE "ops/docs/json.md"
#define NAMED_MAX 128

static const struct printed {
    const char *command;
    const struct message *what; /* NULL: `says` tells all */
    bool many;                  /* an array of them */
    const char *says;           /* beyond that, or NULL */
} printed[] = {
    {"status", &message_status, false, NULL},
    {"doctor", &message_doctor, false, "so do `tacit-agent --doctor` and `tacitd --doctor`"},
    {"jobs", &message_job, true, NULL},
    {"logs", &message_attempt, true, "one object with --attempt"},
    {"agents", &message_agent, true, NULL},
    {"agents drain", &message_fleet_done, false, "so do undrain, revoke, restore and label"},
    {"datasets", &message_dataset_listed, true, NULL},
    {"run list", &message_run, true, "without models"},
    {"run show", &message_run, false, NULL},
    {"run create", &message_run, false, "without models"},
    {"run wait", &message_run, false, "once it has ended"},
    {"run pause", &message_run, false, "one a line; so do resume, cancel, priority, extend, fork"},
    {"retry", &message_job, false, "with a run's name: a run"},
    {"events", &message_event, false, "one a line"},
    {"report", &message_report, false, NULL},
    {"plan", &message_plan, false, NULL},
    {"plan --paper", &message_plan_paper, false, NULL},
    {"sample", &message_sample, false, NULL},
    {"verify", &message_verified, false, NULL},
    {"alarms", &message_alarm, true, NULL},
    {"rollback", &message_rolled_back, false, NULL},
    {"lineage", &message_made, false, "one a line"},
    {"gc", &message_gc, false, NULL},
    {"scrub", &message_scrub, false, NULL},
    {"backup", &message_backup, false, "without tokens"},
    {"invite", &message_invitation, false, "an array where they are listed"},
    {"quota", &message_quota, true, "one object where it is set"},
    {"token rotate", &message_token, false, NULL},
    {"config", &message_config, false, "`tacit-agent --settings`: an array of [setting](#setting)"},
    {"eval", NULL, false,
     "`run`, `task`, `items`, `prefix`, `seed`; `systems`: each with `name` and, by measure, "
     "`value`, `low`, `high`, `against_dense`; `groups`: `group`, `items`, `mixture`, `dense`, "
     "`mixture_not_worse`; [what they mean](eval.md)"},
};
#define PRINTED (sizeof printed / sizeof printed[0])

static struct buf page;
static struct err err;

static void put(const char *text)
{
    assert_int_equal(buf_append(&page, text, strlen(text), &err), 0);
}

/* Once each, in the order in which they are met. */
static void add(const struct message **named, size_t *count, const struct message *m)
{
    for (size_t i = 0; i < *count; i++)
        if (named[i] == m)
            return;
    assert_true(*count < NAMED_MAX);
    named[(*count)++] = m;
}

static void put_type(const struct field *f)
{
    static const char *const words[] = {"whole number",
                                        "number or null",
                                        "true or false",
                                        "string",
                                        NULL,
                                        "64 hexadecimal digits",
                                        NULL,
                                        NULL,
                                        "array of numbers"};
    char text[200];
    if (f->type == FIELD_OBJECT || f->type == FIELD_ARRAY)
        snprintf(text, sizeof text, "%s[%s](#%s)", f->type == FIELD_ARRAY ? "array of " : "",
                 f->of->name, f->of->name);
    else
        snprintf(text, sizeof text, "%s", f->type == FIELD_WORD ? "" : words[f->type]);
    put(text);
    for (int i = 0; f->type == FIELD_WORD && f->words[i]; i++) {
        put(i ? ", `" : "`");
        put(f->words[i]);
        put("`");
    }
}

static void put_message(const struct message *m)
{
    put("\n### ");
    put(m->name);
    put("\n\n| field | is | |\n|---|---|---|\n");
    for (uint32_t i = 0; i < m->field_count; i++) {
        const struct field *f = &m->fields[i];
        put("| `");
        put(f->name);
        put("` | ");
        put_type(f);
        put(" | ");
        put(f->about ? f->about : "");
        put(" |\n");
    }
}

static void make(void)
{
    const struct message *named[NAMED_MAX];
    size_t count = 0;
    put("# What `--json` prints\n\n"
        "One JSON value, or one object a line where the table says so. Strings, digests and "
        "objects that are not there\nare left out; numbers that are not known are `null`; times "
        "end in `_at` and are milliseconds since 1970. A later\nversion may add fields. This page "
        "is made from the descriptions by which the programs write.\n\n"
        "| command | prints | |\n|---|---|---|\n");
    for (size_t i = 0; i < PRINTED; i++) {
        const struct printed *p = &printed[i];
        char line[600];
        if (p->what)
            snprintf(line, sizeof line, "| `tacit %s` | %s[%s](#%s) | %s |\n", p->command,
                     p->many ? "array of " : "", p->what->name, p->what->name,
                     p->says ? p->says : "");
        else
            snprintf(line, sizeof line, "| `tacit %s` | an object | %s |\n", p->command, p->says);
        put(line);
        if (p->what)
            add(named, &count, p->what);
    }
    put("\n## The objects\n");
    for (size_t i = 0; i < count; i++) {
        put_message(named[i]);
        for (uint32_t k = 0; k < named[i]->field_count; k++)
            if (named[i]->fields[k].of)
                add(named, &count, named[i]->fields[k].of);
    }
}

static void test_page(void **state)
{
    struct buf there;
    (void)state;
    assert_int_equal(env_file_read(PAGE, 4u << 20, &there, &err), 0);
    if (strcmp(there.data, page.data) != 0)
        fail_msg("%s is not what the programs print: %s", PAGE,
                 "build/tests/ops/cli/test_json_doc --write brings it up to date");
    buf_free(&there);
}

static const struct command *command_of(const char *words)
{
    const struct command *c = &command_root;
    char copy[64], *rest = NULL;
    snprintf(copy, sizeof copy, "%s", words);
    for (char *w = strtok_r(copy, " ", &rest); c && w && *w != '-'; w = strtok_r(NULL, " ", &rest))
        c = command_find(c, w);
    return c;
}

/* The table names commands that there are, and that take --json. */
static void test_commands(void **state)
{
    (void)state;
    for (size_t i = 0; i < PRINTED; i++) {
        const struct command *c = command_of(printed[i].command);
        const struct cli_options *o = c ? command_options(c) : NULL;
        if (!o || !o->json)
            fail_msg("tacit %s takes no --json", printed[i].command);
    }
}

/* What the page tells in other commands' rows. */
static const char *const alike[] = {"agents undrain", "agents revoke", "agents restore",
                                    "agents label",   "run resume",    "run cancel",
                                    "run priority",   "run extend",    "run fork"};

static bool is_told(const char *words)
{
    for (size_t i = 0; i < PRINTED; i++)
        if (strcmp(printed[i].command, words) == 0)
            return true;
    for (size_t i = 0; i < sizeof alike / sizeof alike[0]; i++)
        if (strcmp(alike[i], words) == 0)
            return true;
    return false;
}

static void walk(const struct command *group, const char *before)
{
    for (const struct command *c = group->sub; c && c->name; c++) {
        char words[64];
        const struct cli_options *o = command_options(c);
        snprintf(words, sizeof words, "%s%s%s", before, *before ? " " : "", c->name);
        if (c->summary && o && o->json && !is_told(words))
            fail_msg("tacit %s takes --json, and %s does not say what it prints: add it to the "
                     "table above",
                     words, PAGE);
        walk(c, words);
    }
}

/* No command prints what nobody has described. */
static void test_all(void **state)
{
    (void)state;
    walk(&command_root, "");
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_page), cmocka_unit_test(test_commands),
                                       cmocka_unit_test(test_all)};
    buf_init(&page, 4u << 20);
    make();
    if (argc > 1 && strcmp(argv[1], "--write") == 0)
        return env_file_write_atomic(PAGE, page.data, page.len, 0644, &err) ? 1 : 0;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
