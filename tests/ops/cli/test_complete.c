/* Completions and manual pages come from the tables that commands parse with: what a user is
 * offered is what a command takes. */
#include "ops/cli/complete.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

static struct cli cli;
static struct buf out;
static unsigned kinds;

static int setup(void **state)
{
    (void)state;
    memset(&cli, 0, sizeof cli);
    buf_init(&out, 1u << 20);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    buf_free(&out);
    return 0;
}

/* What is offered behind `line`, whose last word is the one being typed. */
static const char *offered(const char *line)
{
    static char text[512];
    char *words[16];
    int count = 0;
    struct err e = {0};
    snprintf(text, sizeof text, "%s", line);
    char *at = text;
    for (char *end = at; end; at = end + 1) {
        end = strchr(at, ' ');
        words[count++] = at;
        if (!end)
            break;
        *end = '\0';
    }
    buf_reset(&out);
    assert_int_equal(complete_words(&cli, count, words, &out, &kinds, &e), 0);
    return out.len ? out.data : "";
}

/* Whether `word` is one of the candidates. */
static bool offers(const char *line, const char *word)
{
    char wanted[128];
    const char *all = offered(line);
    snprintf(wanted, sizeof wanted, "%s\t", word);
    size_t len = strlen(wanted);
    for (const char *at = all; at; at = strchr(at, '\n') ? strchr(at, '\n') + 1 : NULL)
        if (strncmp(at, wanted, len) == 0)
            return true;
    return false;
}

static void words_of_commands(void **state)
{
    (void)state;
    assert_true(offers("", "run"));
    assert_true(offers("ru", "run"));
    assert_false(offers("ru", "status"));
    assert_true(offers("run cr", "create"));
    assert_false(offers("run create ", "list"));
    assert_true(offers("agents dr", "drain"));
    assert_true(offers("--url http://h:1 run l", "list"));
    assert_string_equal(cli.given.url, "http://h:1");
    assert_true(offers("--json --token-file=f run l", "list"));
    assert_string_equal(cli.given.token_file, "f");
    /* What serves scripts alone is not offered. */
    assert_false(offers("", "complete"));
    assert_string_equal(offered("nonsense "), "");
}

static void options_of_the_command(void **state)
{
    (void)state;
    assert_true(offers("run pause --", "--until"));
    assert_true(offers("run pause --", "--url"));
    assert_false(offers("run resume --", "--until"));
    assert_true(offers("jobs --state ", "quarantined"));
    assert_true(offers("jobs --state=qu", "--state=quarantined"));
    assert_string_equal(offered("run pause -- --"), "");
}

static void kinds_of_arguments(void **state)
{
    (void)state;
    const struct {
        const char *line;
        unsigned kinds;
    } cases[] = {
        {"run create ", COMPLETE_FILES},
        {"run pause a b ", COMPLETE_RUNS},
        {"run priority ", 0},
        {"run priority 5 a ", COMPLETE_RUNS},
        {"run show a ", 0},
        {"report --html ", COMPLETE_FILES},
        {"report --html=x", COMPLETE_FILES},
        {"report --html x ", COMPLETE_RUNS},
        {"verify --work ", COMPLETE_FOLDERS},
        {"jobs --run ", COMPLETE_RUNS},
        {"--at ", COMPLETE_COORDINATORS},
        {"agents drain a ", COMPLETE_AGENTS},
        {"datasets delete ", COMPLETE_DATASETS},
        {"restore a ", COMPLETE_FOLDERS},
        {"ingest books ", COMPLETE_FILES | COMPLETE_FOLDERS},
        {"ingest books a b ", COMPLETE_FILES | COMPLETE_FOLDERS},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        offered(cases[i].line);
        if (kinds != cases[i].kinds)
            fail_msg("'%s': kinds %x, not %x", cases[i].line, kinds, cases[i].kinds);
    }
}

/* A command that does something before it calls cli_parse, or never calls it, would do it at every
 * tabulator, and have neither completions nor a page. */
static void walk(const struct command *group, int *commands)
{
    for (const struct command *c = group->sub; c && c->name; c++) {
        const struct cli_options *o = command_options(c);
        if (c->run && (!o || !o->doc))
            fail_msg("%s %s does not tell what it takes", group->name, c->name);
        for (const struct argp_option *p = o ? o->options : NULL; p && p->name; p++)
            if (!p->doc || !*p->doc)
                fail_msg("%s %s --%s is not explained", group->name, c->name, p->name);
        *commands += c->run != NULL;
        walk(c, commands);
    }
}

static void every_command_tells(void **state)
{
    int commands = 0;
    (void)state;
    walk(&command_root, &commands);
    assert_true(commands >= 40);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(words_of_commands, setup, teardown),
        cmocka_unit_test_setup_teardown(options_of_the_command, setup, teardown),
        cmocka_unit_test_setup_teardown(kinds_of_arguments, setup, teardown),
        cmocka_unit_test(every_command_tells),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
