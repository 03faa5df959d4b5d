/* Who mistypes an option is told which one, and what it may have been, by every program alike. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>
#include "core/base/options.h"

static const struct argp_option list[] = {{"data", 'd', "DIR", 0, "", 0},
                                          {"tls-cert", 256, "FILE", 0, "", 0},
                                          {"tls-key", 257, "FILE", 0, "", 0},
                                          {"insecure", 258, NULL, 0, "", 0},
                                          {0}};

static const char *check(bool own_help, const char *a, const char *b, const char *c)
{
    static struct err e;
    char *argv[] = {(char *)"program", (char *)a, (char *)b, (char *)c, NULL};
    int argc = 1 + (a != NULL) + (b != NULL) + (c != NULL);
    e.code = 0;
    return options_check(list, own_help, argc, argv, &e) ? e.message : NULL;
}

static void what_is_known_passes(void **state)
{
    (void)state;
    assert_null(check(false, NULL, NULL, NULL));
    assert_null(check(false, "--data", "--dta", "--insecure")); /* a value may look like anything */
    assert_null(check(false, "--data=--dta", "-dx", "word"));
    assert_null(check(false, "-d", "-x", "--ins"));
    assert_null(check(false, "--tls-k=x", "--", "--dta"));
    assert_null(check(false, "-", NULL, NULL));
    assert_null(check(true, "--help", "-?", "-V"));
    assert_null(check(true, "--usage", "--version", "--vers"));
}

static void what_is_not_is_named(void **state)
{
    (void)state;
    assert_string_equal(check(false, "--dta", "x", NULL),
                        "there is no option --dta; did you mean --data?");
    assert_string_equal(check(true, "--hlep", NULL, NULL),
                        "there is no option --hlep; did you mean --help?");
    assert_string_equal(check(false, "--dta=x", NULL, NULL),
                        "there is no option --dta; did you mean --data?");
    assert_string_equal(check(false, "--entirely", NULL, NULL), "there is no option --entirely");
    assert_non_null(check(false, "--help", NULL, NULL));
    assert_non_null(strstr(check(false, "-x", NULL, NULL), "no option -x"));
    assert_non_null(strstr(check(false, "--tls", "x", NULL), "several"));
    assert_string_equal(check(false, "--data", NULL, NULL), "--data wants a value: --data DIR");
    assert_string_equal(check(false, "-d", NULL, NULL), "-d wants a value: -d DIR");
    assert_string_equal(check(false, "--insecure=1", NULL, NULL), "--insecure takes no value");
}

/* Longer than any buffer, and not ASCII: told all the same. */
static void odd_words_do_no_harm(void **state)
{
    char word[1000];
    (void)state;
    memset(word, 'x', sizeof word);
    memcpy(word, "--", 2);
    word[sizeof word - 1] = '\0';
    assert_non_null(strstr(check(false, word, NULL, NULL), "no option --xxx"));
    assert_non_null(check(false, "--d\xc3\xa4ta", NULL, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_known_passes),
        cmocka_unit_test(what_is_not_is_named),
        cmocka_unit_test(odd_words_do_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
