/* A workspace that is not all there, not zeroed or not aligned gives wrong numbers or ends the
 * program. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>
#include "core/env/pages.h"

static void all_of_it_is_there_and_zero(void **state)
{
    static const size_t sizes[] = {1,
                                   4096,
                                   5000,
                                   (4u << 20) - 1,
                                   4u << 20,
                                   (4u << 20) + 1,
                                   (7u << 20) + 4097,
                                   (6u << 20) - 64};
    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        unsigned char *a = env_pages_take(sizes[i]), *b = env_pages_take(sizes[i]);
        assert_non_null(a);
        assert_non_null(b);
        assert_int_equal((uintptr_t)a % 4096, 0);
        for (size_t k = 0; k < sizes[i]; k++)
            assert_true(a[k] == 0);
        memset(a, 1, sizes[i]);
        memset(b, 2, sizes[i]);
        assert_true(a[0] == 1 && a[sizes[i] - 1] == 1);
        env_pages_give(a, sizes[i]);
        assert_true(b[0] == 2 && b[sizes[i] - 1] == 2); /* the other's pages stay */
        env_pages_give(b, sizes[i]);
    }
}

static void too_much_is_refused(void **state)
{
    (void)state;
    assert_null(env_pages_take(0));
    assert_null(env_pages_take(SIZE_MAX / 2));
    assert_null(env_pages_take(SIZE_MAX - 100));
    env_pages_give(NULL, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_of_it_is_there_and_zero),
        cmocka_unit_test(too_much_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
