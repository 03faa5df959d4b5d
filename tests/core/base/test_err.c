#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>
#include <sysexits.h>
#include "core/base/err.h"

static void message_code_and_origin_are_kept(void **state)
{
    struct err e = {0};

    (void)state;
    assert_int_equal(err_set(&e, ERR_RANGE, "batch %d", 7), ERR_RANGE);
    assert_int_equal(e.code, ERR_RANGE);
    assert_string_equal(e.message, "batch 7");
    assert_non_null(strstr(e.origin, "test_err.c:"));
    assert_int_equal(err_set(NULL, ERR_BUSY, "nobody listens"), ERR_BUSY);
    assert_int_equal(err_prefix(NULL, "nobody"), ERR_INTERNAL);
}

static void full_disk_is_told_apart(void **state)
{
    struct err e = {0};

    (void)state;
    errno = ENOSPC;
    assert_int_equal(err_set_errno(&e, "cannot write '%s'", "x"), ERR_NO_SPACE);
    assert_string_equal(e.message, "cannot write 'x': No space left on device");
    errno = EDQUOT;
    assert_int_equal(err_set_errno(&e, "q"), ERR_NO_SPACE);
    errno = ENOENT;
    assert_int_equal(err_set_errno(&e, "q"), ERR_NOT_FOUND);
    errno = EIO;
    assert_int_equal(err_set_errno(&e, "q"), ERR_IO);
}

static void long_messages_are_cut_not_overrun(void **state)
{
    struct err e = {0};
    char big[2000];

    (void)state;
    memset(big, 'x', sizeof big);
    big[sizeof big - 1] = '\0';
    assert_int_equal(err_set(&e, ERR_INVALID, "%s", big), ERR_INVALID);
    assert_int_equal(strlen(e.message), sizeof e.message - 1);
    assert_int_equal(err_set(&e, ERR_INVALID, "end"), ERR_INVALID);
    assert_int_equal(err_prefix(&e, "file %d", 3), ERR_INVALID);
    assert_string_equal(e.message, "file 3: end");
    assert_int_equal(err_prefix(&e, "%s", big), ERR_INVALID);
    assert_int_equal(strlen(e.message), sizeof e.message - 1);
    /* A message that quotes its own old text. */
    assert_int_equal(err_set(&e, ERR_INVALID, "old"), ERR_INVALID);
    assert_int_equal(err_set(&e, ERR_IO, "new, not %s", e.message), ERR_IO);
    assert_string_equal(e.message, "new, not old");
}

static void names_texts_and_exit_codes(void **state)
{
    (void)state;
    assert_string_equal(err_name(ERR_FENCED), "ERR_FENCED");
    assert_string_equal(err_text(ERR_FENCED), "lease superseded");
    assert_string_equal(err_name(-9999), "ERR_UNKNOWN");
    assert_string_equal(err_name(0), "ERR_OK");
    assert_int_equal(err_exit_code(0), EX_OK);
    assert_int_equal(err_exit_code(ERR_FORMAT), EX_DATAERR);
    assert_int_equal(err_exit_code(ERR_CONFIG), EX_CONFIG);
    assert_int_equal(err_exit_code(-9999), EX_SOFTWARE);
#define NOT_ZERO(name, number, text)                                                               \
    assert_int_not_equal(err_exit_code(name), 0);                                                  \
    assert_string_equal(err_name(number), #name);
    ERR_LIST(NOT_ZERO)
}

/* A job is given up for good, or a result thrown away, for any other error. */
static void errors_that_pass_by_themselves(void **state)
{
    (void)state;
    assert_true(err_is_passing(ERR_TIMEOUT));
    assert_true(err_is_passing(ERR_NO_SPACE));
    assert_true(err_is_passing(ERR_UNAVAILABLE));
    assert_false(err_is_passing(ERR_OK));
    assert_false(err_is_passing(ERR_DIGEST));
    assert_false(err_is_passing(ERR_NOT_FOUND));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(message_code_and_origin_are_kept),
        cmocka_unit_test(full_disk_is_told_apart),
        cmocka_unit_test(long_messages_are_cut_not_overrun),
        cmocka_unit_test(errors_that_pass_by_themselves),
        cmocka_unit_test(names_texts_and_exit_codes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
