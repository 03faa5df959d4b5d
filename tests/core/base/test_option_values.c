/* Which of several places a setting is taken from: a volunteer who sets a limit must get it. */
#include "core/base/option_values.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

static const struct argp_option list[] = {{"threads", 'n', "N", 0, "", 0},
                                          {"name", 256, "NAME", 0, "", 0},
                                          {"quiet", 257, NULL, 0, "", 0},
                                          {"config", 258, "FILE", OPTION_TYPED_ONLY, "", 0},
                                          {0}};

static struct arena arena;
static struct option_values v;
static struct err e;

static int setup(void **state)
{
    (void)state;
    arena_init(&arena, 1u << 16);
    option_values_init(&v, list, &arena);
    e = (struct err){0};
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_free(&arena);
    return 0;
}

static int file(const char *text)
{
    return option_values_file(&v, text, strlen(text), "a.ini", &e);
}

static int set(void *input, int key, const char *arg, struct err *err)
{
    const char **values = input;
    if (key == 'n' && strcmp(arg, "0") == 0)
        return err_set(err, ERR_INVALID, "at least 1");
    values[key == 'n' ? 0 : key - 255] = arg ? arg : "yes";
    return 0;
}

static void typed_wins_over_file_over_the_rest(void **state)
{
    const char *values[4] = {0};
    (void)state;
    assert_true(option_values_typed(&v, 'n', "2"));
    assert_false(option_values_typed(&v, 'x', "2"));
    assert_int_equal(file("# mine\nthreads = 8\nname = a\nquiet = yes\n"), 0);
    option_values_last(&v, 256, "host", "the host's name");
    assert_int_equal(option_values_apply(&v, set, values, &e), 0);
    assert_string_equal(values[0], "2");
    assert_string_equal(values[1], "a");
    assert_string_equal(values[2], "yes");
    assert_string_equal(option_values_get(&v, 'n')->source, "--threads");
    assert_string_equal(option_values_get(&v, 256)->source, "a.ini:3");
}

static void unset_is_told_from_empty(void **state)
{
    const char *values[4] = {0};
    (void)state;
    assert_int_equal(file("quiet = no\n"), 0);
    option_values_last(&v, 'n', "", "ENVIRONMENT");
    option_values_last(&v, 256, "host", "the host's name");
    assert_int_equal(option_values_apply(&v, set, values, &e), 0);
    assert_null(values[0]);
    assert_null(values[2]);
    assert_string_equal(values[1], "host");
}

static void mistakes_name_their_place(void **state)
{
    const char *values[4] = {0};
    const struct {
        const char *text, *words;
    } cases[] = {
        {"\nthread = 2\n", "a.ini:2: there is no setting thread; did you mean threads?"},
        {"threads = 2\nthreads = 3\n", "a.ini:2: threads is given twice, first in line 1"},
        {"config = b.ini\n", "a.ini:1: there is no setting config"},
        {"quiet = maybe\n", "a.ini:1: quiet: yes or no"},
        {"[agent]\nthreads = 2\n", "a.ini:2: [agent]: this file has no sections"},
        {"threads =\n", "a.ini:1: threads: a value is missing"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        option_values_init(&v, list, &arena);
        assert_int_equal(file(cases[i].text), ERR_CONFIG);
        if (!strstr(e.message, cases[i].words))
            fail_msg("'%s' instead of '%s'", e.message, cases[i].words);
    }
    option_values_init(&v, list, &arena);
    assert_int_equal(file("threads = 0\n"), 0);
    assert_int_equal(option_values_apply(&v, set, values, &e), ERR_INVALID);
    assert_string_equal(e.message, "a.ini:1: at least 1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(typed_wins_over_file_over_the_rest, setup, teardown),
        cmocka_unit_test_setup_teardown(unset_is_told_from_empty, setup, teardown),
        cmocka_unit_test_setup_teardown(mistakes_name_their_place, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
