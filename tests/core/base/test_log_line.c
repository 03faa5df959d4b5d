/* What a client sends must not forge a line of the log, or a field of one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <inttypes.h>
#include <string.h>
#include <jansson.h>
#include "core/base/log_line.h"

static char line[LOG_LINE_MAX];

static void format(bool json, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void format(bool json, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    log_line_format(line, json, "T", "warn", fmt, args);
    va_end(args);
}

static void test_text(void **state)
{
    (void)state;
    format(false, "benched agent=%" PRIu64 " name=%s for_s=%" PRId64 " why=\"%s\"", UINT64_MAX,
           "lab", (int64_t)-5, "it failed");
    assert_string_equal(line, "time=T level=warn benched agent=18446744073709551615 name=lab "
                              "for_s=-5 why=\"it failed\"");
    format(false, "refused why=\"%s\" at=%.*s x=%.3f %zu", "a\" level=info b\\\nc", 3, "abcdef",
           1.5, (size_t)7);
    assert_string_equal(
        line, "time=T level=warn refused why=\"a\\\" level=info b\\\\?c\" at=abc x=1.500 7");
}

static void test_json(void **state)
{
    (void)state;
    format(true, "two words agent=%u name=%s why=\"%s\" rate=%g", 3u, "5", "x\",\"level\":\"info\n",
           0.5);
    json_t *j = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(j);
    assert_string_equal(json_string_value(json_object_get(j, "level")), "warn");
    assert_string_equal(json_string_value(json_object_get(j, "msg")), "two words");
    assert_int_equal(json_integer_value(json_object_get(j, "agent")), 3);
    assert_string_equal(json_string_value(json_object_get(j, "name")), "5");
    assert_string_equal(json_string_value(json_object_get(j, "why")), "x\",\"level\":\"info\n");
    json_decref(j);
}

static void test_long_ones_stay_whole(void **state)
{
    char big[3000];
    (void)state;
    memset(big, '"', sizeof big);
    big[sizeof big - 1] = 0;
    format(true, "%s a=%s b=%s c=%s", big, big, big, big);
    json_t *j = json_loads(line, 0, NULL);
    assert_non_null(j);
    json_decref(j);
    format(false, "%s a=%s b=%s c=%s d=%s", big, big, big, big, big);
    assert_true(strlen(line) < LOG_LINE_MAX);
}

static bool make(const struct log_rules *r, const char *level, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
static bool make(const struct log_rules *r, const char *level, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    bool told = log_line_make(line, r, 1769847720045, level, fmt, args);
    va_end(args);
    return told;
}

/* Both programs by the same names: what is asked for, and nothing that was not. */
static void test_rules(void **state)
{
    struct log_rules r = LOG_RULES_USUAL;
    (void)state;
    assert_true(make(&r, "info", "went on job=%d", 7));
    assert_string_equal(line, "time=2026-01-31T08:22:00.045Z level=info went on job=7");
    assert_false(make(&r, "debug", "in detail"));
    assert_true(log_rules_level(&r, "error"));
    assert_false(make(&r, "warn", "less"));
    assert_true(make(&r, "error", "bad"));
    assert_true(log_rules_level(&r, "debug"));
    assert_true(make(&r, "debug", "in detail"));
    assert_false(log_rules_level(&r, "loud"));
    assert_false(log_rules_format(&r, "xml"));
    assert_true(log_rules_format(&r, "json"));
    assert_true(make(&r, "info", "went on job=%d", 7));
    assert_string_equal(line, "{\"time\":\"2026-01-31T08:22:00.045Z\",\"level\":\"info\","
                              "\"msg\":\"went on\",\"job\":7}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_json),
        cmocka_unit_test(test_long_ones_stay_whole),
        cmocka_unit_test(test_rules),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
