#include "core/client/http_reply.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

static int check(const char *body, int status, struct err *e)
{
    struct reply r;
    reply_init(&r);
    reply_header(&r, "tacit-protocol", "1");
    assert_int_equal(reply_take(&r, body, strlen(body)), 0);
    memset(e, 0, sizeof *e);
    int rc = reply_check(&r, "http://host:1", status, 0, e);
    reply_free(&r);
    return rc;
}

/* A refusal is never shown as an empty line, whatever the problem document leaves empty. */
static void test_problem_without_words(void **state)
{
    (void)state;
    struct err e;
    assert_int_equal(
        check("{\"detail\":\"\",\"title\":\"Conflict\",\"code\":\"ERR_FENCED\"}", 409, &e),
        ERR_FENCED);
    assert_string_equal(e.message, "Conflict");
    assert_int_equal(check("{\"title\":\"\",\"code\":\"E\"}", 409, &e), ERR_CONFLICT);
    assert_string_equal(e.message, "the coordinator refused without a reason");
    assert_int_equal(check("{}", 403, &e), ERR_DENIED);
    assert_string_equal(e.message, "the coordinator refused without a reason");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_problem_without_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
