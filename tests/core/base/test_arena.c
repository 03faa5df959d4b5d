#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>
#include "core/base/arena.h"

static void pieces_are_aligned_zeroed_and_apart(void **state)
{
    struct arena a;
    unsigned char *pieces[300];

    (void)state;
    arena_init(&a, 1 << 24);
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < 300; i++) {
            pieces[i] = arena_alloc(&a, i * 7);
            assert_non_null(pieces[i]);
            assert_int_equal((uintptr_t)pieces[i] % ARENA_ALIGN, 0);
            for (size_t j = 0; j < i * 7; j++)
                assert_int_equal(pieces[i][j], 0);
            memset(pieces[i], (int)i & 255, i * 7);
        }
        for (size_t i = 0; i < 300; i++)
            for (size_t j = 0; j < i * 7; j++)
                assert_int_equal(pieces[i][j], i & 255);
        arena_reset(&a);
        assert_int_equal(a.used, 0);
    }
    arena_free(&a);
}

static void the_maximum_holds(void **state)
{
    struct arena a;

    (void)state;
    arena_init(&a, arena_size(100) + arena_size(1));
    assert_non_null(arena_alloc(&a, 100));
    assert_null(arena_alloc(&a, 65));
    assert_non_null(arena_alloc(&a, 1));
    assert_null(arena_alloc(&a, 0));
    arena_reset(&a);
    assert_non_null(arena_alloc(&a, 192));
    assert_null(arena_alloc(&a, SIZE_MAX));
    assert_null(arena_alloc_array(&a, SIZE_MAX / 2, 3));
    arena_free(&a);
    assert_null(a.head);
}

static void text_is_copied_and_formatted(void **state)
{
    struct arena a;

    (void)state;
    arena_init(&a, 4096);
    assert_string_equal(arena_strndup(&a, "abcdef", 3), "abc");
    assert_string_equal(arena_printf(&a, "%s=%d", "step", 12), "step=12");
    assert_null(arena_printf(&a, "%5000d", 1));
    arena_free(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_are_aligned_zeroed_and_apart),
        cmocka_unit_test(the_maximum_holds),
        cmocka_unit_test(text_is_copied_and_formatted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
