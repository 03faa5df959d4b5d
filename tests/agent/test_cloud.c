/* What clouds say. What would break for a user: a preemption that is not noticed, or an agent that
 * stops because another machine of the set goes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>
#include "agent/cloud.h"

static struct err e;
static struct cloud_notice n;

static int aws(const char *body)
{
    return cloud_read_aws(body, strlen(body), &n, &e);
}

static int gcp(const char *body)
{
    return cloud_read_gcp(body, strlen(body), 1000000, &n, &e);
}

static int azure(const char *body, const char *machine)
{
    return cloud_read_azure(body, strlen(body), machine, &n, &e);
}

static void test_aws(void **state)
{
    (void)state;
    assert_int_equal(aws("{\"action\": \"terminate\", \"time\": \"2017-09-18T08:22:00Z\"}"), 0);
    assert_true(n.given);
    assert_string_equal(n.words, "AWS: terminate at 08:22:00");
    assert_int_equal(n.deadline_ms, 1505722920000);
    assert_int_equal(aws("{\"action\": \"hibernate\"}"), 0); /* at once */
    assert_true(n.given);
    assert_int_equal(n.deadline_ms, 0);
    assert_string_equal(n.words, "AWS: hibernate");
    assert_int_equal(aws("<html>"), ERR_FORMAT);
    assert_false(n.given);
    assert_int_equal(aws(""), ERR_FORMAT);
    assert_int_equal(aws("[1]"), ERR_FORMAT);
}

static void test_gcp(void **state)
{
    (void)state;
    assert_int_equal(gcp("FALSE"), 0);
    assert_false(n.given);
    assert_int_equal(gcp("TRUE\n"), 0);
    assert_true(n.given);
    assert_int_equal(n.deadline_ms, 1030000); /* half a minute */
    assert_int_equal(gcp("<!DOCTYPE html>"), ERR_FORMAT);
    assert_false(n.given);
}

static void test_azure(void **state)
{
    static const char events[] =
        "{\"DocumentIncarnation\": 2, \"Events\": [{\"EventId\": \"f0\", \"EventType\": \"Freeze\","
        " \"Resources\": [\"vm-1\"], \"NotBefore\": \"Mon, 19 Sep 2016 18:29:47 GMT\"},"
        " {\"EventId\": \"f1\", \"EventType\": \"Preempt\", \"Resources\": [\"vm-2\", \"vm-3\"],"
        " \"NotBefore\": \"Mon, 19 Sep 2016 18:29:47 GMT\"}]}";
    (void)state;
    assert_int_equal(azure("{\"DocumentIncarnation\": 1, \"Events\": []}", "vm-1"), 0);
    assert_false(n.given);
    assert_int_equal(azure(events, "vm-1"), 0); /* the others go; it is only frozen */
    assert_false(n.given);
    assert_int_equal(azure(events, "vm-3"), 0);
    assert_true(n.given);
    assert_string_equal(n.words, "Azure: Preempt at 18:29:47");
    assert_int_equal(n.deadline_ms, 1474309787000);
    assert_int_equal(azure(events, ""), 0); /* who does not know its name is careful */
    assert_true(n.given);
    assert_int_equal(azure("{\"Events\": [{\"EventType\": \"Preempt\", \"NotBefore\": \"\"}]}", ""),
                     0); /* under way */
    assert_true(n.given);
    assert_int_equal(n.deadline_ms, 0);
    assert_int_equal(azure("{}", ""), ERR_FORMAT);
    assert_int_equal(azure("nonsense", ""), ERR_FORMAT);
}

static void test_words(void **state)
{
    (void)state;
    assert_int_equal(cloud_of("aws"), CLOUD_AWS);
    assert_int_equal(cloud_of("gcp"), CLOUD_GCP);
    assert_int_equal(cloud_of("azure"), CLOUD_AZURE);
    assert_int_equal(cloud_of("AWS"), CLOUD_NONE);
    assert_int_equal(cloud_of(""), CLOUD_NONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_aws),
        cmocka_unit_test(test_gcp),
        cmocka_unit_test(test_azure),
        cmocka_unit_test(test_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
