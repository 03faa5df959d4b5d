/* A join file that is misread sends a token to the wrong place, or trusts nobody. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>
#include <sys/stat.h>
#include "core/client/join_file.h"
#include "core/env/file.h"

#define FILE_NAME "build/test.join"
#define CERTIFICATE "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"

static int read_text(const char *text, struct join_file *f, struct err *e)
{
    assert_int_equal(env_file_write_atomic(FILE_NAME, text, strlen(text), 0600, e), 0);
    return join_file_read(FILE_NAME, f, e);
}

static void test_written_and_read(void **state)
{
    struct join_file f;
    struct err e = {0};
    struct stat st;
    struct buf b;

    (void)state;
    /* Keys beside the certificates are no authorities, and stay where they are. */
    assert_int_equal(join_file_write(FILE_NAME, "for a test", "https://h:1", "secret",
                                     "-----BEGIN EC PRIVATE KEY-----\nkey\n-----END EC PRIVATE "
                                     "KEY-----\n" CERTIFICATE CERTIFICATE,
                                     &e),
                     0);
    assert_int_equal(stat(FILE_NAME, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(env_file_read(FILE_NAME, JOIN_FILE_MAX, &b, &e), 0);
    assert_string_equal(b.data,
                        "# for a test\nurl: https://h:1\ntoken: secret\n" CERTIFICATE CERTIFICATE);
    buf_free(&b);
    assert_int_equal(join_file_read(FILE_NAME, &f, &e), 0);
    assert_string_equal(f.url, "https://h:1");
    assert_string_equal(f.token, "secret");
    assert_true(f.authority);
    assert_int_equal(join_file_write(FILE_NAME, "plain", "http://h:1", "secret", NULL, &e), 0);
    assert_int_equal(join_file_read(FILE_NAME, &f, &e), 0);
    assert_false(f.authority);
}

static void test_as_people_send_it(void **state)
{
    struct join_file f;
    struct err e = {0};

    (void)state;
    assert_int_equal(read_text("token:\tabc\r\nnotes: url: no\r\nurl:https://h\r\n", &f, &e), 0);
    assert_string_equal(f.url, "https://h");
    assert_string_equal(f.token, "abc");
    assert_int_equal(read_text("url: https://h", &f, &e), 0);
    assert_string_equal(f.token, "");
}

static void test_refused(void **state)
{
    struct join_file f;
    struct err e = {0};
    char text[700];

    (void)state;
    assert_int_equal(read_text("5f5f5f\n", &f, &e), ERR_FORMAT);
    assert_non_null(strstr(e.message, "is no join file"));
    assert_int_equal(read_text("", &f, &e), ERR_FORMAT);
    assert_int_equal(read_text("url: train.example.org\n", &f, &e), ERR_INVALID);
    assert_non_null(strstr(e.message, FILE_NAME));
    memset(text, 'a', sizeof text);
    memcpy(text, "url: http://", 12);
    text[sizeof text - 1] = 0;
    assert_int_equal(read_text(text, &f, &e), ERR_FORMAT);
    assert_int_equal(join_file_read("build/none.join", &f, &e), ERR_NOT_FOUND);
    assert_int_equal(join_file_write(FILE_NAME, "cut", "https://h", "t",
                                     "-----BEGIN CERTIFICATE-----\nAAAA", &e),
                     ERR_FORMAT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_written_and_read),
        cmocka_unit_test(test_as_people_send_it),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
