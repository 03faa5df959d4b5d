#include "ops/cli/text_table.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>
#include "ops/cli/format.h"

static struct arena arena;

static int setup(void **state)
{
    (void)state;
    arena_init(&arena, 1u << 20);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_free(&arena);
    return 0;
}

/* Columns stay under their titles, whatever stands in them: people read down them. */
static void test_alignment(void **state)
{
    (void)state;
    static const char *const titles[] = {"name", ">step", "agent", NULL};
    struct table t;
    table_init(&t, &arena, titles);
    table_row(&t, (const char *const[]){"größer", "7", "a"});
    table_row(&t, (const char *const[]){"x", "1,234,567", NULL});
    const char *const *lines = table_lines(&t);
    assert_string_equal(lines[0], "name         step  agent");
    assert_string_equal(lines[1], "größer          7  a");
    assert_string_equal(lines[2], "x       1,234,567  –");
    assert_null(lines[3]);
}

/* A table longer than its first room keeps every row, in order. */
static void test_many_rows(void **state)
{
    (void)state;
    static const char *const titles[] = {"n", NULL};
    struct table t;
    table_init(&t, &arena, titles);
    for (uint64_t i = 0; i < 500; i++)
        table_row(&t, (const char *const[]){format_count(&arena, i)});
    const char *const *lines = table_lines(&t);
    assert_string_equal(lines[1], "0");
    assert_string_equal(lines[500], "499");
    assert_null(lines[501]);
}

/* No trailing blanks: what is pasted into a report or compared in a script has none. */
static void test_no_trailing_blanks(void **state)
{
    (void)state;
    static const char *const titles[] = {"a", "b", NULL};
    struct table t;
    table_init(&t, &arena, titles);
    table_row(&t, (const char *const[]){"word", ""});
    assert_string_equal(table_lines(&t)[1], "word");
}

/* An agent names itself: its name must not steer the operator's terminal. */
static void test_control_characters(void **state)
{
    (void)state;
    static const char *const titles[] = {"agent", NULL};
    struct table t;
    table_init(&t, &arena, titles);
    table_row(&t, (const char *const[]){"a\033[2Jb\nc"});
    assert_string_equal(table_lines(&t)[1], "a [2Jb c");
}

static void test_format_cut(void **state)
{
    (void)state;
    assert_string_equal(format_cut(&arena, "short", 5), "short");
    assert_string_equal(format_cut(&arena, "longer", 5), "long…");
    /* Cut between characters, never inside one: a terminal would show garbage. */
    assert_string_equal(format_cut(&arena, "äöüäöü", 4), "äöü…");
}

static void test_format_figures(void **state)
{
    (void)state;
    assert_string_equal(format_flops(&arena, 31.02e19), "310 EFLOP");
    assert_string_equal(format_flops(&arena, 45.6e6), "45.6 MFLOP");
    assert_string_equal(format_si(&arena, 999.6), "1.00 k");
    assert_string_equal(format_si(&arena, 12), "12");
    assert_string_equal(format_si(&arena, 1.5), "1.50");
    assert_string_equal(format_percent(&arena, 0.1234), "12.3 %");
    assert_string_equal(format_percent(&arena, 0.0002), "0.020 %");
    assert_string_equal(format_gap(&arena, 9.0, 10.0), "-10.0 %");
    assert_string_equal(format_number(&arena, NAN, 3), "–");
    assert_string_equal(format_gap(&arena, NAN, 10.0), "–");
    assert_string_equal(format_bytes(&arena, 10.4e9), "10.4 GB");
    assert_string_equal(format_ago(&arena, 0, 1000), "–");
    assert_string_equal(format_ago(&arena, 5000, 4000), "now"); /* clocks of two machines */
    assert_string_equal(format_ago(&arena, 1000, 186000), "3m 05s ago");
    assert_string_equal(format_duration(&arena, 7 * 86400.0), "7.0 days");
    assert_string_equal(format_duration(&arena, 1e11), "3,168 years");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_alignment, setup, teardown),
        cmocka_unit_test_setup_teardown(test_many_rows, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_trailing_blanks, setup, teardown),
        cmocka_unit_test_setup_teardown(test_control_characters, setup, teardown),
        cmocka_unit_test_setup_teardown(test_format_cut, setup, teardown),
        cmocka_unit_test_setup_teardown(test_format_figures, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
