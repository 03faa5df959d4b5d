/* Messages are how the programs trust each other's words: what is written reads back the same, and
 * what does not fit is refused with the path of the field, so that a person knows what to repair.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "core/protocol/field.h"
#include "core/protocol/messages.h"

struct inner {
    uint64_t n;
};
struct outer {
    uint64_t small;
    double x;
    bool yes;
    const char *text;
    int word;
    struct digest digest;
    const struct inner *one, *shown;
    struct inner *many;
    uint32_t many_count;
    const double *xs;
    uint32_t xs_count;
};
static const char *const words[] = {"red", "green", NULL};
static const struct field inner_fields[] = {
    {.name = "n", .type = FIELD_U64, .required = true, .offset = offsetof(struct inner, n)},
};
static const struct message inner_message = {"inner", sizeof(struct inner), inner_fields, 1};
#define AT(f) .offset = offsetof(struct outer, f)
static const struct field outer_fields[] = {
    {.name = "small", .type = FIELD_U64, .required = true, AT(small), .min = 2, .max = 9},
    {.name = "x", .type = FIELD_DOUBLE, AT(x)},
    {.name = "yes", .type = FIELD_BOOL, AT(yes)},
    {.name = "text", .type = FIELD_STRING, AT(text), .length_max = 5},
    {.name = "word", .type = FIELD_WORD, AT(word), .words = words},
    {.name = "digest", .type = FIELD_DIGEST, AT(digest)},
    {.name = "one", .type = FIELD_OBJECT, AT(one), .of = &inner_message},
    {.name = "shown", .type = FIELD_OBJECT, AT(shown), .of = &inner_message, .absent_null = true},
    {.name = "many",
     .type = FIELD_ARRAY,
     AT(many),
     .count_offset = offsetof(struct outer, many_count),
     .of = &inner_message,
     .length_max = 2},
    {.name = "xs", .type = FIELD_DOUBLES, AT(xs), .count_offset = offsetof(struct outer, xs_count)},
};
static const struct message outer_message = {"outer", sizeof(struct outer), outer_fields, 10};

static void everything_reads_back(void **state)
{
    (void)state;
    struct inner one = {(uint64_t)INT64_MAX}, many[2] = {{1}, {0}};
    double xs[3] = {0.1, NAN, -1e300};
    struct outer in = {.small = 9,
                       .x = 1.0 / 3,
                       .yes = true,
                       .text = "\"\\\n\x01",
                       .word = 1,
                       .one = &one,
                       .many = many,
                       .many_count = 2,
                       .xs = xs,
                       .xs_count = 3};
    struct outer out;
    struct buf b;
    struct arena a;
    struct err e = {0};

    digest_of("x", 1, &in.digest);
    buf_init(&b, 1 << 16);
    arena_init(&a, 1 << 16);
    assert_int_equal(message_encode(&outer_message, &in, &b, &e), 0);
    assert_null(strchr(b.data, '\n'));
    assert_non_null(strstr(b.data, "\"shown\":null"));
    assert_int_equal(message_decode(&outer_message, b.data, b.len, &out, &a, &e), 0);
    assert_int_equal(out.small, 9);
    assert_true(out.x == in.x && out.yes && out.word == 1);
    assert_string_equal(out.text, in.text);
    assert_true(digest_equal(&out.digest, &in.digest));
    assert_true(out.one->n == (uint64_t)INT64_MAX && !out.shown);
    assert_true(out.many_count == 2 && out.many[0].n == 1 && out.many[1].n == 0);
    assert_true(out.xs_count == 3 && out.xs[0] == 0.1 && isnan(out.xs[1]) && out.xs[2] == -1e300);
    buf_free(&b);
    arena_free(&a);
}

static void absent_fields_stay_empty(void **state)
{
    (void)state;
    static const char *const forms[] = {
        "{\"small\":2}",
        " {\"small\":2,\"x\":null,\"yes\":null,\"text\":null,\"word\":null,\"digest\":null,"
        "\"one\":null,\"many\":null,\"xs\":null, \"from_the_future\":{\"deep\":[1,2]}} \n",
    };
    struct arena a;
    struct err e = {0};

    arena_init(&a, 1 << 16);
    for (int i = 0; i < 2; i++) {
        struct outer out;
        memset(&out, 0xff, sizeof out);
        assert_int_equal(message_decode(&outer_message, forms[i], strlen(forms[i]), &out, &a, &e),
                         0);
        assert_true(out.small == 2 && isnan(out.x) && !out.yes && !out.text && out.word == 0);
        assert_true(!out.one && !out.many && out.many_count == 0 && out.xs_count == 0);
        assert_int_equal(out.digest.bytes[7], 0);
    }
    arena_free(&a);
}

static void what_does_not_fit_is_named(void **state)
{
    (void)state;
    static const struct {
        const char *json;
        int code;
        const char *message;
    } cases[] = {
        {"", ERR_FORMAT, "outer: not valid JSON: "},
        {"{\"small\":2", ERR_FORMAT, "outer: not valid JSON: "},
        {"{\"small\":2} x", ERR_FORMAT, "outer: not valid JSON: "},
        {"{\"small\":99999999999999999999}", ERR_FORMAT, "outer: not valid JSON: "},
        {"{\"small\":2,\"text\":\"\xff\"}", ERR_FORMAT, "outer: not valid JSON: "},
        {"{\"small\":2,\"text\":\"\\u0000\"}", ERR_FORMAT, "outer: not valid JSON: "},
        {"[]", ERR_INVALID, "outer: expected an object, found an array"},
        {"{}", ERR_INVALID, "outer.small: missing"},
        {"{\"small\":null}", ERR_INVALID, "outer.small: missing"},
        {"{\"small\":1}", ERR_INVALID, "outer.small: 1 is less than 2"},
        {"{\"small\":10}", ERR_INVALID, "outer.small: 10 is more than 9"},
        {"{\"small\":-1}", ERR_INVALID, "outer.small: -1 is negative"},
        {"{\"small\":2.0}", ERR_INVALID,
         "outer.small: expected a whole number, found a number with a fraction"},
        {"{\"small\":\"2\"}", ERR_INVALID, "outer.small: expected a whole number, found a string"},
        {"{\"small\":2,\"x\":\"1\"}", ERR_INVALID, "outer.x: expected a number, found a string"},
        {"{\"small\":2,\"yes\":1}", ERR_INVALID,
         "outer.yes: expected true or false, found a whole number"},
        {"{\"small\":2,\"text\":\"123456\"}", ERR_INVALID,
         "outer.text: 6 bytes long, at most 5 are accepted"},
        {"{\"small\":2,\"word\":\"blue\"}", ERR_INVALID,
         "outer.word: \"blue\" is none of red, green"},
        {"{\"small\":2,\"digest\":\"00\"}", ERR_INVALID,
         "outer.digest: expected a digest, 64 lower-case hexadecimal digits"},
        {"{\"small\":2,\"one\":{}}", ERR_INVALID, "outer.one.n: missing"},
        {"{\"small\":2,\"one\":[]}", ERR_INVALID, "outer.one: expected an object, found an array"},
        {"{\"small\":2,\"many\":{}}", ERR_INVALID,
         "outer.many: expected an array, found an object"},
        {"{\"small\":2,\"many\":[{\"n\":1},{\"n\":true}]}", ERR_INVALID,
         "outer.many[1].n: expected a whole number, found a boolean"},
        {"{\"small\":2,\"many\":[{\"n\":1},{\"n\":1},{\"n\":1}]}", ERR_INVALID,
         "outer.many: 3 items, at most 2 are accepted"},
        {"{\"small\":2,\"xs\":[1,\"a\"]}", ERR_INVALID,
         "outer.xs[1]: expected a number, found a string"},
        {"{\"small\":2,\"small\":3}", ERR_INVALID, "outer.small: given twice"},
        {"{\"text\":\"a\\\",{\",\"many\":[{\"n\":1}, {\"n\":[7],\"n\" :2}]}", ERR_INVALID,
         "outer.many[1].n: given twice"},
        {"{\"one\":{\"n\":1,\"q\":\"n\"},\"two\":{\"z\":[],\"a\":{},\"a\":1}}", ERR_INVALID,
         "outer.two.a: given twice"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct outer out;
        struct arena a;
        struct err e = {0};
        arena_init(&a, 1 << 16);
        int rc = message_decode(&outer_message, cases[i].json, strlen(cases[i].json), &out, &a, &e);
        if (rc != cases[i].code || strncmp(e.message, cases[i].message, strlen(cases[i].message)))
            fail_msg("%s\n gave %d %s\n not %d %s", cases[i].json, rc, e.message, cases[i].code,
                     cases[i].message);
        arena_free(&a);
    }
}

/* A writer's slip must not reach the wire, where only the reader would notice. */
static void writer_refuses_what_a_reader_would(void **state)
{
    (void)state;
    struct inner three[3] = {{1}, {1}, {1}};
    struct outer good = {.small = 2, .x = NAN}, bad[6];
    static const char *const messages[6] = {
        "outer.small: 1 is less than 2",   "outer.x: infinite",
        "outer.text: 6 bytes long",        "outer.text: not valid UTF-8 text",
        "outer.word: 2 is not one of its", "outer.many: 3 items",
    };
    struct buf b;
    struct err e = {0};

    for (int i = 0; i < 6; i++)
        bad[i] = good;
    bad[0].small = 1;
    bad[1].x = INFINITY;
    bad[2].text = "123456";
    bad[3].text = "\xc3";
    bad[4].word = 2;
    bad[5].many = three;
    bad[5].many_count = 3;
    buf_init(&b, 1 << 16);
    assert_int_equal(message_encode(&outer_message, &good, &b, &e), 0);
    size_t len = b.len;
    for (int i = 0; i < 6; i++) {
        e = (struct err){0};
        assert_int_equal(message_encode(&outer_message, &bad[i], &b, &e), ERR_INVALID);
        assert_memory_equal(e.message, messages[i], strlen(messages[i]));
        assert_int_equal(b.len, len);
    }
    buf_free(&b);
}

static void readers_memory_is_bounded(void **state)
{
    (void)state;
    static const char json[] = "{\"small\":2,\"many\":[{\"n\":1},{\"n\":2}]}";
    struct outer out;
    struct arena a;
    struct err e = {0};

    arena_init(&a, 1);
    assert_int_equal(message_decode(&outer_message, json, strlen(json), &out, &a, &e),
                     ERR_TOO_LARGE);
    arena_free(&a);
}

static void arrays_of_messages(void **state)
{
    (void)state;
    struct inner many[2] = {{1}, {2}};
    struct buf b;
    struct err e = {0};

    buf_init(&b, 100);
    assert_int_equal(message_encode_array(&inner_message, many, 2, &b, &e), 0);
    assert_string_equal(b.data, "[{\"n\":1},{\"n\":2}]");
    buf_reset(&b);
    assert_int_equal(message_encode_array(&inner_message, NULL, 0, &b, &e), 0);
    assert_string_equal(b.data, "[]");
    buf_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_reads_back),
        cmocka_unit_test(absent_fields_stay_empty),
        cmocka_unit_test(what_does_not_fit_is_named),
        cmocka_unit_test(writer_refuses_what_a_reader_would),
        cmocka_unit_test(readers_memory_is_bounded),
        cmocka_unit_test(arrays_of_messages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
