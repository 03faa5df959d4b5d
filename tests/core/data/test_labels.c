#include "core/data/labels.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "core/base/text.h"

static const char *cleaned(const char *name)
{
    static char out[LABEL_BYTES + 1];
    label_clean(out, name, strlen(name));
    return out;
}

/* Labels travel as JSON. A file whose name is not UTF-8 (an old disk's) would else be refused when
 * the data set is published, after hours of ingest. */
static void test_names_of_other_encodings(void **state)
{
    (void)state;
    assert_string_equal(cleaned("M\xfcller"), "M?ller");
    assert_string_equal(cleaned("\xe9t\xe9"), "?t?");
    assert_string_equal(cleaned("\xe9"), "?");
    assert_string_equal(cleaned("\xe9"), "?");
    assert_string_equal(cleaned("caf\xc3\xa9"), "caf\xc3\xa9");
    assert_string_equal(cleaned("a\tb\x7f"), "a_b_");
}

/* Cut between characters, however long, and whatever stands at the cut. */
static void test_long_names(void **state)
{
    (void)state;
    char name[200];
    memset(name, 'x', sizeof name);
    for (size_t at = LABEL_BYTES - 4; at < LABEL_BYTES + 2; at++) {
        memset(name, 'x', sizeof name);
        memcpy(name + at, "\xf0\x9f\x98\x80", 4);
        char out[LABEL_BYTES + 1];
        label_clean(out, name, sizeof name);
        assert_true(strlen(out) >= LABEL_BYTES - 3 && strlen(out) <= LABEL_BYTES);
        assert_true(text_is_utf8(out, strlen(out)));
        assert_null(strchr(out, '?'));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_of_other_encodings),
        cmocka_unit_test(test_long_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
