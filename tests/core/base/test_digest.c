#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include "core/base/digest.h"

/* Values of `b2sum -l 256`. */
static void equals_b2sum(void **state)
{
    struct digest d, again;
    char hex[DIGEST_HEX + 1];

    (void)state;
    digest_of("", 0, &d);
    assert_string_equal(digest_to_hex(&d, hex),
                        "0e5751c026e543b2e8ab2eb06099daa1d1e5df47778f7787faab45cdf12fe3a8");
    digest_of("abc", 3, &d);
    assert_string_equal(digest_to_hex(&d, hex),
                        "bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319");
    assert_true(digest_from_hex(&again, hex, 64));
    assert_true(digest_equal(&d, &again));
}

static void pieces_give_the_digest_of_the_whole(void **state)
{
    char data[5000];
    struct digest whole, pieces;
    struct digest_state s;

    (void)state;
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (char)(i * 31);
    digest_of(data, sizeof data, &whole);
    digest_init(&s);
    for (size_t at = 0, step = 1; at < sizeof data; at += step, step = step * 2 + 1) {
        size_t left = sizeof data - at;
        digest_update(&s, data + at, step < left ? step : left);
    }
    digest_final(&s, &pieces);
    assert_true(digest_equal(&whole, &pieces));
    data[4999] ^= 1;
    digest_of(data, sizeof data, &pieces);
    assert_false(digest_equal(&whole, &pieces));
}

/* A state that was stored as bytes goes on in another place; an upload counts on it. */
static void a_copied_state_goes_on(void **state)
{
    struct digest_state s, copy;
    struct digest whole, pieces;
    char kind[64], data[3000];

    (void)state;
    memset(data, 'x', sizeof data);
    digest_of(data, sizeof data, &whole);
    digest_init(&s);
    digest_update(&s, data, 1001);
    memcpy(copy.opaque, s.opaque, sizeof copy.opaque);
    memset(&s, 0xff, sizeof s);
    digest_update(&copy, data + 1001, sizeof data - 1001);
    digest_final(&copy, &pieces);
    assert_true(digest_equal(&whole, &pieces));
    assert_int_equal(strncmp(digest_state_kind(kind), "libsodium ", 10), 0);
    assert_non_null(strstr(kind, " bytes, "));
}

static void only_lower_case_hex_of_full_length_is_read(void **state)
{
    struct digest d;
    char hex[DIGEST_HEX + 2];

    (void)state;
    memset(hex, 'a', sizeof hex);
    assert_true(digest_from_hex(&d, hex, 64));
    assert_false(digest_from_hex(&d, hex, 63));
    assert_false(digest_from_hex(&d, hex, 65));
    hex[10] = 'A';
    assert_false(digest_from_hex(&d, hex, 64));
    hex[10] = 'g';
    assert_false(digest_from_hex(&d, hex, 64));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equals_b2sum),
        cmocka_unit_test(pieces_give_the_digest_of_the_whole),
        cmocka_unit_test(a_copied_state_goes_on),
        cmocka_unit_test(only_lower_case_hex_of_full_length_is_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
