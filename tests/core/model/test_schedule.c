/* Learning rates: a wrong schedule trains every model of a run wrongly, and a bit that differs
 * between machines breaks replay. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>
#include "core/model/schedule.h"

static void warmup_is_linear_and_reaches_the_peak(void **state)
{
    (void)state;
    for (uint64_t s = 1; s <= 100; s++) {
        assert_true(fabs(schedule_cosine(s, 4000, 100, 5e-3) - 5e-3 * (double)s / 100) < 1e-15);
        assert_true(fabs(schedule_constant(s, 100, 3e-3) - 3e-3 * (double)s / 100) < 1e-15);
    }
    assert_true(schedule_constant(101, 100, 3e-3) == 3e-3);
    assert_true(schedule_constant(1000000, 100, 3e-3) == 3e-3);
    assert_true(schedule_constant(1, 0, 3e-3) == 3e-3);
}

static void cosine_equals_libm_and_falls(void **state)
{
    (void)state;
    double before = INFINITY;
    for (uint64_t s = 101; s <= 4000; s++) {
        const double rate = schedule_cosine(s, 4000, 100, 5e-3);
        const double want = 5e-3 * 0.5 * (1 + cos(M_PI * (double)(s - 101) / 3900));
        assert_true(fabs(rate - want) < 1e-17);
        assert_true(rate <= before && rate > 0);
        before = rate;
    }
    assert_true(before < 5e-3 * 1e-6);
    assert_true(schedule_cosine(4001, 4000, 100, 5e-3) == 0.0);
}

static void a_run_of_one_step_trains(void **state)
{
    (void)state;
    assert_true(schedule_cosine(1, 1, 0, 1e-3) == 1e-3);
    assert_true(schedule_cosine(1, 1, 5, 1e-3) > 0);
}

static void bits_are_pinned(void **state)
{
    (void)state;
    const double rate = schedule_cosine(1234, 4000, 100, 5e-3);
    uint64_t bits;
    memcpy(&bits, &rate, sizeof bits);
    assert_int_equal(bits, UINT64_C(0x3f7080ccc60281f9));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(warmup_is_linear_and_reaches_the_peak),
        cmocka_unit_test(cosine_equals_libm_and_falls),
        cmocka_unit_test(a_run_of_one_step_trains),
        cmocka_unit_test(bits_are_pinned),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
