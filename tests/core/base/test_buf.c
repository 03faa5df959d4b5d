#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include "core/base/buf.h"

static void appends_grow_and_stay_terminated(void **state)
{
    struct buf b;
    struct err e = {0};

    (void)state;
    buf_init(&b, 1 << 20);
    for (int i = 0; i < 10000; i++) {
        assert_int_equal(buf_printf(&b, &e, "%05d,", i), 0);
        assert_int_equal(b.data[b.len], '\0');
    }
    assert_int_equal(b.len, 60000);
    assert_memory_equal(b.data + 6 * 9999, "09999,", 7);
    buf_reset(&b);
    assert_int_equal(b.len, 0);
    assert_int_equal(buf_append(&b, "", 0, &e), 0);
    assert_string_equal(b.data, "");
    buf_free(&b);
    buf_free(&b);
}

static void the_maximum_holds_and_changes_nothing(void **state)
{
    struct buf b;
    struct err e = {0};

    (void)state;
    buf_init(&b, 10);
    assert_int_equal(buf_append(&b, "0123456", 7, &e), 0);
    assert_int_equal(buf_append(&b, "789a", 4, &e), ERR_TOO_LARGE);
    assert_int_equal(e.code, ERR_TOO_LARGE);
    assert_int_equal(buf_printf(&b, &e, "%s", "789a"), ERR_TOO_LARGE);
    assert_null(buf_reserve(&b, SIZE_MAX, &e));
    assert_string_equal(b.data, "0123456");
    assert_int_equal(b.len, 7);
    assert_int_equal(buf_append(&b, "789", 3, &e), 0);
    assert_string_equal(b.data, "0123456789");
    buf_free(&b);
    assert_int_equal(b.max, 10);
    buf_init(&b, SIZE_MAX);
    assert_null(buf_reserve(&b, SIZE_MAX, &e));
    assert_int_equal(buf_append(&b, "x", 1, &e), 0);
    buf_free(&b);
}

static void reserve_then_take(void **state)
{
    struct buf b;
    struct err e = {0};

    (void)state;
    buf_init(&b, 1000);
    char *empty = buf_take(&b);
    assert_string_equal(empty, "");
    free(empty);
    char *at = buf_reserve(&b, 500, &e);
    assert_non_null(at);
    assert_int_equal(b.len, 0);
    memset(at, 'y', 500);
    b.len += 300;
    char *taken = buf_take(&b);
    assert_int_equal(strlen(taken), 300);
    free(taken);
    assert_null(b.data);
    assert_int_equal(buf_append(&b, "again", 5, &e), 0);
    buf_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(appends_grow_and_stay_terminated),
        cmocka_unit_test(the_maximum_holds_and_changes_nothing),
        cmocka_unit_test(reserve_then_take),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
