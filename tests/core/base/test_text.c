#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>
#include "core/base/text.h"

static void whole_numbers(void **state)
{
    static const char *const bad[] = {"", "-", "+1", " 1", "1 ", "0x10", "1.0", "1e3", "--1"};
    int64_t i = 77;
    uint64_t u = 77;

    (void)state;
    assert_true(text_to_i64("-9223372036854775808", &i));
    assert_true(i == INT64_MIN);
    assert_false(text_to_i64("9223372036854775808", &i));
    assert_true(text_to_u64("18446744073709551615", &u));
    assert_true(u == UINT64_MAX);
    assert_false(text_to_u64("18446744073709551616", &u));
    assert_false(text_to_u64("-1", &u));
    i = 77, u = 77;
    for (size_t k = 0; k < sizeof bad / sizeof *bad; k++) {
        assert_false(text_to_i64(bad[k], &i));
        assert_false(text_to_u64(bad[k], &u));
    }
    assert_true(i == 77 && u == 77);
}

static void decimal_numbers(void **state)
{
    static const char *const bad[] = {"",    ".",   "inf", "nan",   "0x1p3", "1,5", "1e",
                                      "1e+", " 1.", "1 ",  "1e400", "-",     "+1"};
    double d = 77;

    (void)state;
    assert_true(text_to_double("5e-3", &d) && d == 0.005);
    assert_true(text_to_double("-.5", &d) && d == -0.5);
    assert_true(text_to_double("12.", &d) && d == 12);
    assert_true(text_to_double("1E+2", &d) && d == 100);
    d = 77;
    for (size_t k = 0; k < sizeof bad / sizeof *bad; k++)
        assert_false(text_to_double(bad[k], &d));
    assert_true(d == 77);
}

static void the_nearest_word_is_suggested(void **state)
{
    static const char *const words[] = {"learning_rate", "warmup", "batch",
                                        "train",         "status", "run"};

    (void)state;
    assert_string_equal(text_nearest("leaning_rate", words, 6), "learning_rate");
    assert_string_equal(text_nearest("trian", words, 6), "train");
    assert_string_equal(text_nearest("batches", words, 6), "batch");
    assert_string_equal(text_nearest("rn", words, 6), "run");
    assert_null(text_nearest("tokenizer", words, 6));
    assert_null(text_nearest("x", words, 6));
    assert_null(text_nearest("", words, 6));
    assert_null(text_nearest("run", words, 0));
    char big[500];
    memset(big, 'a', 499);
    big[499] = '\0';
    assert_null(text_nearest(big, words, 6));
}

static void utf8_is_checked_strictly(void **state)
{
    static const struct {
        const char *bytes;
        size_t len;
        bool valid;
    } cases[] = {
        {"", 0, true},
        {"plain", 5, true},
        {"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", 9, true},
        {"\xf4\x8f\xbf\xbf", 4, true},
        {"a\0b", 3, false},
        {"\xc0\x80", 2, false}, /* overlong */
        {"\xc1\xbf", 2, false},
        {"\xe0\x9f\xbf", 3, false},
        {"\xf0\x8f\xbf\xbf", 4, false},
        {"\xed\xa0\x80", 3, false},     /* surrogate */
        {"\xf4\x90\x80\x80", 4, false}, /* above U+10FFFF */
        {"\xe2\x82", 2, false},         /* cut */
        {"\xe2\x28\xa1", 3, false},
        {"\xf0\x9f\x98\x28", 4, false},
        {"\x80", 1, false},
        {"\xff", 1, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(text_is_utf8(cases[i].bytes, cases[i].len), cases[i].valid);
}

/* A message with one wrong byte is refused whole, and so would be the report that it is in. */
static void text_is_made_utf8(void **state)
{
    static const char *const cases[][2] = {
        {"", ""},
        {"caf\xc3\xa9", "caf\xc3\xa9"},
        {"cut \xe2\x82", "cut "},
        {"cut \xf0\x9f\x98", "cut "},
        {"\xe9t\xe9", "?t?"},
        {"/home/Andr\xe9/work: no space", "/home/Andr?/work: no space"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char s[64];
        strcpy(s, cases[i][0]);
        text_make_utf8(s);
        assert_string_equal(s, cases[i][1]);
    }
}

static void names(void **state)
{
    char name[66];

    (void)state;
    assert_true(text_is_name("demo-1.b_C"));
    assert_false(text_is_name(""));
    assert_false(text_is_name(".."));
    assert_false(text_is_name("-x"));
    assert_false(text_is_name("a/b"));
    assert_false(text_is_name("a b"));
    assert_false(text_is_name("é"));
    memset(name, 'n', sizeof name);
    name[64] = '\0';
    assert_true(text_is_name(name));
    name[64] = 'n', name[65] = '\0';
    assert_false(text_is_name(name));
}

static void quantities_for_people(void **state)
{
    char b[16], d[24], c[28];

    (void)state;
    assert_string_equal(text_bytes(0, b), "0 B");
    assert_string_equal(text_bytes(999, b), "999 B");
    assert_string_equal(text_bytes(1000, b), "1.00 kB");
    assert_string_equal(text_bytes(45600, b), "45.6 kB");
    assert_string_equal(text_bytes(99990, b), "100 kB");
    assert_string_equal(text_bytes(999600, b), "1.00 MB");
    assert_string_equal(text_bytes(1234567890, b), "1.23 GB");
    assert_string_equal(text_bytes(UINT64_MAX, b), "18.4 EB");
    assert_string_equal(text_duration(0.045, d), "45 ms");
    assert_string_equal(text_duration(0.9999, d), "1.0 s");
    assert_string_equal(text_duration(12.34, d), "12.3 s");
    assert_string_equal(text_duration(59.97, d), "1m 00s");
    assert_string_equal(text_duration(185, d), "3m 05s");
    assert_string_equal(text_duration(3599.8, d), "1h 00m");
    assert_string_equal(text_duration(3720, d), "1h 02m");
    assert_string_equal(text_duration(-3, d), "0 ms");
    assert_true(strlen(text_duration(1e300, d)) < sizeof d);
    assert_string_equal(text_count(0, c), "0");
    assert_string_equal(text_count(999, c), "999");
    assert_string_equal(text_count(1000, c), "1,000");
    assert_string_equal(text_count(1234567, c), "1,234,567");
    assert_string_equal(text_count(UINT64_MAX, c), "18,446,744,073,709,551,615");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_numbers),
        cmocka_unit_test(decimal_numbers),
        cmocka_unit_test(the_nearest_word_is_suggested),
        cmocka_unit_test(utf8_is_checked_strictly),
        cmocka_unit_test(text_is_made_utf8),
        cmocka_unit_test(names),
        cmocka_unit_test(quantities_for_people),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
