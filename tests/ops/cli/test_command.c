/* How the command line takes options: what a user types and what comes of it. */
#include "ops/cli/command.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <cmocka.h>

struct input {
    uint64_t number;
    const char *word;
};

static int set(void *input, int key, const char *arg, struct err *e)
{
    struct input *in = input;
    if (key == 'n')
        return cli_u64("--number", arg, 1, 10, &in->number, e);
    in->word = arg;
    return 0;
}

static const struct argp_option options[] = {
    {"number", 'n', "N", 0, "A number", 1}, {"word", OPTION_FIRST, "W", 0, "A word", 1}, {0}};
static const struct cli_options command = {.options = options,
                                           .args = "NAME [MORE]",
                                           .doc = "Does.\vExample:\n  does",
                                           .args_min = 1,
                                           .args_max = 2,
                                           .json = true,
                                           .set = set};

static struct cli cli;
static struct input in;

static int setup(void **state)
{
    (void)state;
    memset(&cli, 0, sizeof cli);
    memset(&in, 0, sizeof in);
    arena_init(&cli.arena, 1u << 20);
    unsetenv("TACIT_URL");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_free(&cli.arena);
    return 0;
}

/* True where parsing goes on; *code where it does not. */
static bool parse(int *code, const char *a, const char *b, const char *c, const char *d)
{
    static char name[] = "tacit test";
    char *argv[6] = {name};
    const char *words[] = {a, b, c, d};
    int argc = 1;
    for (size_t i = 0; i < 4 && words[i]; i++)
        argv[argc++] = (char *)(uintptr_t)words[i];
    *code = -1;
    return cli_parse(&cli, &command, argc, argv, &in, code);
}

static void test_options_anywhere(void **state)
{
    (void)state;
    int code;
    assert_true(parse(&code, "demo", "--number=3", "--json", "more"));
    assert_int_equal(in.number, 3);
    assert_true(cli.json);
    assert_int_equal(cli.arg_count, 2);
    assert_string_equal(cli.args[0], "demo");
    assert_string_equal(cli.args[1], "more");
}

/* A prompt may begin with a dash. */
static void test_two_dashes_end_options(void **state)
{
    (void)state;
    int code;
    assert_true(parse(&code, "demo", "--", "--word", NULL));
    assert_string_equal(cli.args[1], "--word");
    assert_null(in.word);
}

static void test_values(void **state)
{
    (void)state;
    int code;
    assert_true(parse(&code, "-n7", "demo", "--word", "--strange"));
    assert_int_equal(in.number, 7);
    assert_string_equal(in.word, "--strange");
    assert_true(parse(&code, "demo", "--url", "http://here:1", NULL));
    assert_string_equal(cli.url, "http://here:1");
}

/* Each mistake ends with EX_USAGE and never with a crash, an exit or a command that runs. */
static void test_mistakes(void **state)
{
    (void)state;
    static const char *const mistakes[][4] = {
        {NULL},                            /* NAME is missing */
        {"a", "b", "c", NULL},             /* too many */
        {"a", "--numbr", "3", NULL},       /* unknown */
        {"a", "-x", NULL},                 /* unknown letter */
        {"a", "--number", NULL},           /* value missing */
        {"a", "-n", NULL},                 /* value missing */
        {"a", "--json=yes", NULL},         /* value too much */
        {"a", "--number", "eleven", NULL}, /* no number */
        {"a", "--number", "11", NULL},     /* out of range */
    };
    for (size_t i = 0; i < sizeof mistakes / sizeof mistakes[0]; i++) {
        int code;
        const char *const *m = mistakes[i];
        assert_false(parse(&code, m[0], m[0] ? m[1] : NULL, m[0] && m[1] ? m[2] : NULL, NULL));
        assert_int_equal(code, EX_USAGE);
    }
}

/* The environment names the coordinator, an option has the last word. */
static void test_environment(void **state)
{
    (void)state;
    int code;
    setenv("TACIT_URL", "http://there:2", 1);
    assert_true(parse(&code, "demo", NULL, NULL, NULL));
    assert_string_equal(cli.url, "http://there:2");
    assert_true(parse(&code, "demo", "--url=http://here:1", NULL, NULL));
    assert_string_equal(cli.url, "http://here:1");
    unsetenv("TACIT_URL");
}

static void test_connect_says_what_to_set(void **state)
{
    (void)state;
    struct err e = {0};
    int code;
    assert_true(parse(&code, "demo", NULL, NULL, NULL));
    assert_int_equal(cli_connect(&cli, &e), ERR_INVALID);
    assert_non_null(strstr(e.message, "TACIT_URL"));
    cli.url = "http://127.0.0.1:1";
    cli.token_file = NULL;
    assert_int_equal(cli_connect(&cli, &e), ERR_INVALID);
    assert_non_null(strstr(e.message, "TACIT_TOKEN_FILE"));
}

/* A name that a shell lets through must not become another path. */
static void test_paths_are_escaped(void **state)
{
    (void)state;
    assert_string_equal(cli_path(&cli, "/v1/runs/", "my-run_1.0", "/report"),
                        "/v1/runs/my-run_1.0/report");
    assert_string_equal(cli_path(&cli, "/v1/runs/", "../a b?c=ä", ""),
                        "/v1/runs/..%2Fa%20b%3Fc%3D%C3%A4");
}

static int dispatch(const char *a, const char *b, const char *c)
{
    static char name[] = "tacit";
    char *argv[5] = {name};
    const char *words[] = {a, b, c};
    int argc = 1;
    for (size_t i = 0; i < 3 && words[i]; i++)
        argv[argc++] = (char *)(uintptr_t)words[i];
    return command_dispatch(&cli, argc, argv);
}

static void test_dispatch(void **state)
{
    (void)state;
    assert_int_equal(dispatch("--version", NULL, NULL), EX_OK);
    assert_int_equal(dispatch("--help", NULL, NULL), EX_OK);
    assert_int_equal(dispatch("run", "--help", NULL), EX_OK);
    assert_int_equal(dispatch("help", "run", "wait"), EX_OK);
    assert_int_equal(dispatch("run", "wait", "--help"), EX_OK);
    assert_int_equal(dispatch(NULL, NULL, NULL), EX_USAGE);
    assert_int_equal(dispatch("stauts", NULL, NULL), EX_USAGE);
    assert_int_equal(dispatch("run", "lsit", NULL), EX_USAGE);
    assert_int_equal(dispatch("--what", "status", NULL), EX_USAGE);
    /* Options before the command reach it. */
    assert_int_equal(dispatch("--json", "plan", "--paper"), EX_OK);
    assert_true(cli.json);
}

/* Every command explains itself, with an example. */
static void test_every_command_has_help(void **state)
{
    (void)state;
    for (const struct command *c = command_root.sub; c->name; c++) {
        assert_int_equal(dispatch(c->name, "--help", NULL), EX_OK);
        for (const struct command *s = c->sub; s && s->name; s++)
            assert_int_equal(dispatch(c->name, s->name, "--help"), EX_OK);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_options_anywhere),
        TEST(test_two_dashes_end_options),
        TEST(test_values),
        TEST(test_mistakes),
        TEST(test_environment),
        TEST(test_connect_says_what_to_set),
        TEST(test_paths_are_escaped),
        TEST(test_dispatch),
        TEST(test_every_command_has_help),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
