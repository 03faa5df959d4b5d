/* Which coordinator is talked to, and with which token: a mistake here sends a secret to the wrong
 * address. */
#include "ops/cli/settings.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/stat.h>
#include <cmocka.h>

static char folder[64], file[128];
static struct arena arena;
static struct settings s;
static struct err e;

static int setup(void **state)
{
    char path[128];
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/test_settings.XXXXXX");
    if (!mkdtemp(folder))
        return 1;
    snprintf(path, sizeof path, "%s/tacit", folder);
    snprintf(file, sizeof file, "%s/tacit/config.ini", folder);
    setenv("XDG_CONFIG_HOME", folder, 1);
    setenv("HOME", "/home/somebody", 1);
    unsetenv("TACIT_URL");
    unsetenv("TACIT_TOKEN_FILE");
    unsetenv("TACIT_CA");
    arena_init(&arena, 1u << 20);
    e = (struct err){0};
    return mkdir(path, 0700);
}

static int teardown(void **state)
{
    char command[128];
    (void)state;
    arena_free(&arena);
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command);
}

static void write_file(const char *text)
{
    FILE *f = fopen(file, "w");
    assert_non_null(f);
    fputs(text, f);
    assert_int_equal(fclose(f), 0);
}

static int get(struct settings_given given)
{
    return settings_read(&given, &arena, &s, &e);
}

static const char two[] = "default = lab\n[lab]\nurl = http://lab:1\ntoken-file = lab.token\n"
                          "[cloud]\nurl = https://cloud:2\ntoken-file = ~/t\nca = /ca.pem\n";

static void the_default_and_another(void **state)
{
    char path[160];
    (void)state;
    write_file(two);
    assert_int_equal(get((struct settings_given){0}), 0);
    assert_string_equal(s.url.value, "http://lab:1");
    snprintf(path, sizeof path, "%s/tacit/lab.token", folder);
    assert_string_equal(s.token_file.value, path);
    snprintf(path, sizeof path, "%s:4", file);
    assert_string_equal(s.token_file.source, path);
    setenv("TACIT_TOKEN_FILE", "/of/the/environment", 1);
    setenv("TACIT_URL", "http://elsewhere:1", 1);
    assert_int_equal(get((struct settings_given){.at = "cloud", .ca = "x"}), 0);
    assert_string_equal(s.url.value, "https://cloud:2");
    assert_string_equal(s.token_file.value, "/home/somebody/t");
    assert_string_equal(s.ca.value, "x");
    assert_string_equal(s.ca.source, "--ca");
}

/* An address from elsewhere gets no token of the file. */
static void tokens_stay_with_their_address(void **state)
{
    (void)state;
    write_file(two);
    assert_int_equal(get((struct settings_given){.url = "http://other:1"}), 0);
    assert_null(s.token_file.value);
    setenv("TACIT_URL", "http://other:2", 1);
    assert_int_equal(get((struct settings_given){0}), 0);
    assert_string_equal(s.url.source, "TACIT_URL");
    assert_null(s.token_file.value);
    assert_null(s.ca.value);
}

static void one_alone_is_the_default(void **state)
{
    (void)state;
    write_file("[lab]\nurl = http://lab:1\n");
    assert_int_equal(get((struct settings_given){0}), 0);
    assert_string_equal(s.coordinator.value, "lab");
    write_file("[lab]\nurl = http://lab:1\n[b]\nurl = http://b:1\n");
    assert_int_equal(get((struct settings_given){0}), 0);
    assert_null(s.url.value);
    unlink(file);
    assert_int_equal(get((struct settings_given){0}), 0);
    assert_false(s.found);
}

static void mistakes_are_named_with_their_line(void **state)
{
    const struct {
        const char *text, *line, *word;
    } cases[] = {
        {"[lab]\nurl = x\ntokenfile = y\n", ":3:", "token-file"},
        {"url = x\n", ":1:", "default"},
        {"[lab]\nurl = x\nurl = y\n", ":3:", "twice"},
        {"[lab]\nurl = x\nrubbish\n", ":3:", "neither"},
        {"default = lap\n[lab]\nurl = x\n", ":1:", "lab"},
        {"[a b]\nurl = x\n", ":2:", "letters"},
        {"[lab]\nurl =\n", ":2:", "missing"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        write_file(cases[i].text);
        assert_int_equal(get((struct settings_given){0}), ERR_CONFIG);
        assert_non_null(strstr(e.message, cases[i].line));
        assert_non_null(strstr(e.message, cases[i].word));
    }
    write_file(two);
    assert_int_equal(get((struct settings_given){.at = "clod"}), ERR_CONFIG);
    assert_non_null(strstr(e.message, "cloud"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_default_and_another, setup, teardown),
        cmocka_unit_test_setup_teardown(tokens_stay_with_their_address, setup, teardown),
        cmocka_unit_test_setup_teardown(one_alone_is_the_default, setup, teardown),
        cmocka_unit_test_setup_teardown(mistakes_are_named_with_their_line, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
