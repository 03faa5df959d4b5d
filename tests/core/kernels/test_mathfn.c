/* Own elementary functions against libm's, and the scalar fused multiply-add against its
 * definition. What is off here is off in every model, equally on all machines. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "core/base/pool.h"
#include "core/base/rng.h"
#include "core/kernels/mathfn.h"
#include "core/kernels/scalar.h"

static uint64_t stream;

static double uniform(double low, double high)
{
    return low + (high - low) * ((double)(rng_u64(3, RNG_TEST, 1, stream++) >> 11) * 0x1p-53);
}

/* Distance in units of the last place of the wanted value. */
static double ulps(double got, double want)
{
    if (got == want)
        return 0;
    int e;
    frexp(want, &e);
    return fabs(got - want) / ldexp(1.0, e - 53);
}

static void doubles_are_within_two_ulps(void **state)
{
    (void)state;
    for (int i = 0; i < 400000; i++) {
        double x = uniform(-700, 700), p = exp(uniform(-600, 600)), n = 1 + uniform(-0.2, 0.2);
        double t = uniform(-1e6, 1e6), s = uniform(-4, 4);
        assert_true(ulps(mathfn_exp(x), exp(x)) <= 2);
        assert_true(ulps(mathfn_exp(s), exp(s)) <= 2);
        assert_true(ulps(mathfn_log(p), log(p)) <= 2);
        assert_true(ulps(mathfn_log(n), log(n)) <= 2);
        assert_true(ulps(mathfn_sin(s), sin(s)) <= 2);
        assert_true(ulps(mathfn_cos(s), cos(s)) <= 2);
        assert_true(ulps(mathfn_sin(t), sin(t)) <= 2);
        assert_true(ulps(mathfn_cos(t), cos(t)) <= 2);
    }
    for (int i = 0; i < 100000; i++) {
        double b = uniform(0.5, 1), y = floor(uniform(0, 3000)), want = pow(b, y);
        if (want > 1e-300)
            assert_true(fabs(mathfn_pow(b, y) / want - 1) <= (2 + 3 * fabs(y * log(b))) * 0x1p-52);
    }
}

static void doubles_at_their_edges(void **state)
{
    (void)state;
    assert_true(mathfn_exp(0) == 1 && mathfn_exp(-1000) == 0 && isinf(mathfn_exp(1000)));
    assert_true(isnan(mathfn_exp(NAN)) && isnan(mathfn_log(NAN)) && isnan(mathfn_sin(NAN)));
    assert_true(mathfn_log(1) == 0 && mathfn_log(0) == -INFINITY && isnan(mathfn_log(-1)));
    assert_true(mathfn_sin(0) == 0 && mathfn_cos(0) == 1 && isnan(mathfn_cos(1e300)));
    assert_true(mathfn_pow(0.9, 0) == 1);
}

static void float_exp_is_within_one_ulp(void **state)
{
    double worst = 0;
    (void)state;
    for (double x = -87.3; x < 88.7; x += 0.00013) {
        float f = (float)x;
        double want = exp((double)f), got = (double)f1_exp(f);
        int e;
        frexp(want, &e);
        worst = fmax(worst, fabs(got - want) / ldexp(1.0, e - 24));
    }
    assert_true(worst < 1.0);
    assert_true(f1_exp(0.0f) == 1.0f && f1_exp(-90.0f) == 0.0f && isinf(f1_exp(90.0f)));
    assert_true(f1_exp(-INFINITY) == 0.0f && isinf(f1_exp(INFINITY)) && isnan(f1_exp(NAN)));
}

/* Without the instruction, f1_fma is arithmetic in double; here both meet fmaf. */
static void fma_equals_fmaf(void **state)
{
    (void)state;
    for (int i = 0; i < 3000000; i++) {
        uint64_t u = rng_u64(4, RNG_TEST, 2, stream++), v = rng_u64(4, RNG_TEST, 2, stream++);
        float a = f1_from_bits((uint32_t)u), b = f1_from_bits((uint32_t)(u >> 32));
        float c = f1_from_bits((uint32_t)v);
        if (i % 2) { /* near cancellation, where rounding twice shows */
            a = f1_from_bits(0x3f800000u | ((uint32_t)u & 0x7fffffu));
            b = f1_from_bits(0x3f800000u | ((uint32_t)(u >> 32) & 0x7fffffu));
            c = ldexpf(f1_from_bits(0xbf800000u | ((uint32_t)v & 0x7fffffu)),
                       (int)(v >> 40) % 60 - 30);
        }
        float want = fmaf(a, b, c), got = f1_fma(a, b, c);
        if (isnan(want))
            assert_true(isnan(got));
        else if (fabsf(want) >= 0x1p-125f || want == 0.0f) /* denormals: test_denormals.c */
            assert_memory_equal(&want, &got, sizeof want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(doubles_are_within_two_ulps),
        cmocka_unit_test(doubles_at_their_edges),
        cmocka_unit_test(float_exp_is_within_one_ulp),
        cmocka_unit_test(fma_equals_fmaf),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
