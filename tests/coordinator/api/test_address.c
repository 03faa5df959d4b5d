/* What people type behind --listen, and the tokens that the first start makes. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "coordinator/api/address.h"
#include "coordinator/api/tokens.h"
#include "tests/coordinator/store/temp_dir.h"

static void addresses_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *text, *host;
        unsigned port;
        bool loopback;
    } cases[] = {
        {"127.0.0.1:8420", "127.0.0.1", 8420, true},  {"localhost:0", "127.0.0.1", 0, true},
        {"127.3.2.1:1", "127.3.2.1", 1, true},        {"[::1]:65535", "[::1]", 65535, true},
        {"0.0.0.0:80", "0.0.0.0", 80, false},         {":80", "0.0.0.0", 80, false},
        {"192.168.1.2:80", "192.168.1.2", 80, false}, {"[::]:80", "[::]", 80, false},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct listen_address a;
        struct err e = {0};
        if (listen_address_parse(cases[i].text, &a, &e))
            fail_msg("%s", e.message);
        assert_string_equal(a.host, cases[i].host);
        assert_int_equal(ntohs(a.socket.v4.sin_port), cases[i].port);
        assert_int_equal(a.loopback, cases[i].loopback);
    }
}

static void what_is_no_address_is_refused(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "",       "127.0.0.1", "127.0.0.1:", "127.0.0.1:x", ":65536", "127.0.0.1:-1",  "1.2.3:80",
        "::1:80", "[::1:80",   "[zz]:80",    "a.b.c:80",    "[]:80",  "[127.0.0.1]:80"};

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct listen_address a;
        struct err e = {0};
        if (listen_address_parse(cases[i], &a, &e) != ERR_INVALID)
            fail_msg("\"%s\" was taken for an address", cases[i]);
    }
}

/* Agents keep the token that they joined with: a restart must not replace it. */
static void tokens_are_made_once(void **state)
{
    (void)state;
    char dir[64], path[100];
    struct tokens first, second;
    struct err e = {0};
    struct stat st;

    temp_dir_make(dir);
    assert_int_equal(tokens_open(dir, &first, &e), 0);
    assert_int_equal(strlen(first.admin), 64);
    assert_string_not_equal(first.admin, first.join);
    snprintf(path, sizeof path, "%s/admin.token", dir);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(tokens_open(dir, &second, &e), 0);
    assert_string_equal(first.admin, second.admin);
    assert_string_equal(first.join, second.join);

    /* A token of the operator's own, however its line ends. */
    FILE *f = fopen(path, "w");
    fputs("my-own-long-token-of-words \r\n", f);
    fclose(f);
    assert_int_equal(tokens_open(dir, &second, &e), 0);
    assert_string_equal(second.admin, "my-own-long-token-of-words");

    /* An empty or guessable one would open the door to anybody. */
    f = fopen(path, "w");
    fputs("short\n", f);
    fclose(f);
    assert_int_equal(tokens_open(dir, &second, &e), ERR_FORMAT);
    assert_non_null(strstr(e.message, "admin.token holds no token"));
    temp_dir_remove(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_are_read),
        cmocka_unit_test(what_is_no_address_is_refused),
        cmocka_unit_test(tokens_are_made_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
