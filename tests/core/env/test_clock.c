#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>
#include "core/env/clock.h"

static void sleeping_takes_time_and_clocks_agree(void **state)
{
    int64_t ms = env_monotonic_ms(), wall = env_wall_ms();
    double s = env_monotonic_s();

    (void)state;
    env_sleep_ms(-5);
    env_sleep_ms(30);
    assert_true(env_monotonic_ms() - ms >= 30);
    assert_true(env_monotonic_s() - s >= 0.030);
    assert_true(env_monotonic_ms() - ms < 5000);
    assert_true(wall > INT64_C(1600000000000)); /* milliseconds, since 1970 */
}

static void random_bytes_fill_all_and_differ(void **state)
{
    static unsigned char a[100000], b[100000];
    int counts[256] = {0};

    (void)state;
    env_random(a, sizeof a);
    env_random(b, sizeof b);
    assert_memory_not_equal(a, b, 16);
    assert_memory_not_equal(a + sizeof a - 16, b + sizeof b - 16, 16);
    for (size_t i = 0; i < sizeof a; i++)
        counts[a[i]]++;
    for (int i = 0; i < 256; i++)
        assert_in_range(counts[i], 200, 600);
    env_random(a, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sleeping_takes_time_and_clocks_agree),
        cmocka_unit_test(random_bytes_fill_all_and_differ),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
