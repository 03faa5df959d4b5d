/* Denormals are zero, for inputs and results, on every set and thread: gradients fade into them,
 * they cost a hundredfold where a processor handles them in microcode, and one machine that kept
 * them would have other bits than the rest.
 *
 * One case the mode leaves open: a result whose exact value lies below 2^-126 but rounds up to it.
 * x86 looks after rounding and keeps 2^-126; that is the definition. 64-bit ARM looks before
 * rounding and gives 0, unless it has FEAT_AFP, whose FPCR.AH pool_flush_denormals sets. Elsewhere
 * on ARM the case stands: it takes an exact value in the last 2^-25th below 2^-126, so for numbers
 * as small as that one operation in some 30 million; a replay that compares digests would show it.
 */
#include "tests/core/kernels/kernel_check.h"

#if defined(__aarch64__)
#include <sys/auxv.h>
static float rounded_up(void)
{
    return getauxval(AT_HWCAP2) & (1UL << 20) ? 0x1p-126f : 0.0f; /* HWCAP2_AFP */
}
#else
static float rounded_up(void)
{
    return 0x1p-126f;
}
#endif

static void denormals_are_zero(void **state)
{
    struct check *c = *state;
    /* A denormal input; a denormal result of a product, and of a sum. */
    float A[4] = {0x1p-130f, 0x1p-70f, 0x1p-126f, -0x1.8p-126f}, B[4] = {1, 0x1p-60f, 1, 1};
    for (size_t i = 0; i < c->count; i++) {
        float y[3];
        kern_matmul(c->sets[i], 1, 1, 1, A, 1, 1, B, 1, 1, y, 1, false);
        kern_matmul(c->sets[i], 1, 1, 1, A + 1, 1, 1, B + 1, 1, 1, y + 1, 1, false);
        kern_matmul(c->sets[i], 1, 1, 2, A + 2, 2, 1, B + 2, 1, 1, y + 2, 1, false);
        for (int k = 0; k < 3; k++) {
            if (y[k] != 0.0f || fpclassify(y[k]) != FP_ZERO)
                fail_msg("%s: case %d gives %a", c->names[i], k, (double)y[k]);
        }
    }
}

/* Numbers at the edge, many of them, through products and elementwise kernels. */
static void faint_numbers_equal_the_definition(void **state)
{
    struct check *c = *state;
    size_t M = 200, N = 40, K = 30, n = 20000;
    float *A = check_array(M * K), *B = check_array(K * N), *want = check_array(M * N);
    float *x = check_array(n), *y = check_array(n), *sum = check_array(n);
    for (size_t i = 0; i < M * K; i++)
        A[i] = ldexpf(A[i], -62);
    for (size_t i = 0; i < K * N; i++)
        B[i] = ldexpf(B[i], -62);
    for (size_t i = 0; i < n; i++)
        x[i] = ldexpf(x[i], -126), y[i] = ldexpf(y[i], -126);
    kern_matmul(c->definition, M, N, K, A, K, 1, B, N, 1, want, N, false);
    kern_add(c->definition, sum, x, y, n);
    size_t zeros = 0;
    for (size_t i = 0; i < n; i++)
        zeros += sum[i] == 0.0f;
    assert_true(zeros > 100 && zeros < n - 100); /* the edge is met */
    for (size_t i = 0; i < c->count; i++) {
        float *got = check_array(M * N), *sum2 = check_array(n);
        kern_matmul(c->sets[i], M, N, K, A, K, 1, B, N, 1, got, N, false);
        check_same(want, got, M * N, "faint product", c->names[i]);
        kern_add(c->sets[i], sum2, x, y, n);
        check_same(sum, sum2, n, "faint sum", c->names[i]);
        free(got), free(sum2);
    }
    free(A), free(B), free(want), free(x), free(y), free(sum);
}

/* (1 − 2^-13)(1 + 2^-13) = 1 − 2^-26 rounds to 1: at 2^-126, the open case. */
static void rounding_up_to_the_smallest_number(void **state)
{
    struct check *c = *state;
    float a = ldexpf(1.0f - 0x1p-13f, -63), b = ldexpf(1.0f + 0x1p-13f, -63), want = rounded_up();
    for (size_t i = 0; i <= c->count; i++) {
        struct kern *k = i < c->count ? c->sets[i] : c->definition;
        float A[20], y[20];
        for (int m = 0; m < 20; m++)
            A[m] = a;
        kern_matmul(k, 1, 20, 1, &b, 1, 1, A, 20, 1, y, 20, false);
        for (int m = 0; m < 20; m++) {
            if (y[m] != want)
                fail_msg("%s gives %a, expected here: %a", kern_isa(k), (double)y[m], (double)want);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(denormals_are_zero),
        cmocka_unit_test(faint_numbers_equal_the_definition),
        cmocka_unit_test(rounding_up_to_the_smallest_number),
    };
    return cmocka_run_group_tests(tests, check_setup, check_teardown);
}
