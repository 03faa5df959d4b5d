/* arithmetic = blas: another order of additions, so near the exact result and not equal to it; on
 * any transpose, accumulating or not, and split over threads. */
#include "tests/core/kernels/kernel_check.h"

static struct kern *blas_of(struct pool *pool)
{
    struct kern_options o = {.arithmetic = KERN_BLAS};
    struct kern *k;
    struct err e = {0};
    if (kern_create(&k, pool, &o, &e) == 0)
        return k;
    assert_int_equal(e.code, ERR_UNAVAILABLE);
    assert_non_null(strstr(e.message, "OpenBLAS"));
    return NULL;
}

static void blas_is_near_exact(void **state)
{
    struct check *c = *state;
    static const size_t shapes[][3] = {
        {1, 1, 1}, {33, 17, 40}, {500, 96, 64}, {7, 600, 130}, {64, 1, 9}};
    for (int t = 0; t < 3; t++) {
        struct kern *k = blas_of(c->pools[t]);
        if (k == NULL)
            skip();
        for (size_t i = 0; i < 40; i++) {
            const size_t *s = shapes[i / 8], M = s[0], N = s[1], K = s[2];
            bool ta = i & 1, tb = i & 2, accumulate = i & 4;
            float *A = check_array(M * K), *B = check_array(K * N), *want = check_array(M * N);
            float *got = check_copy(want, M * N);
            size_t a_row = ta ? 1 : K, a_col = ta ? M : 1, b_row = tb ? 1 : N, b_col = tb ? K : 1;
            kern_matmul(c->definition, M, N, K, A, a_row, a_col, B, b_row, b_col, want, N,
                        accumulate);
            kern_matmul(k, M, N, K, A, a_row, a_col, B, b_row, b_col, got, N, accumulate);
            for (size_t x = 0; x < M * N; x++) {
                double size = accumulate ? 2048 : 0; /* the sum of what is added, in magnitude */
                for (size_t z = 0; z < K; z++)
                    size += fabs((double)A[x / N * a_row + z * a_col] *
                                 (double)B[z * b_row + x % N * b_col]);
                assert_true(fabs((double)want[x] - (double)got[x]) <= 1e-6 * size);
            }
            free(A), free(B), free(want), free(got);
        }
        kern_destroy(k);
    }
}

/* A library that is not made for several callers gives a wrong product now and then. */
static void concurrent_parts_do_not_disturb_each_other(void **state)
{
    struct check *c = *state;
    enum { M = 240, N = 100, K = 64 };
    struct kern *k = blas_of(c->pools[2]);
    if (k == NULL)
        skip();
    float *A = check_array(M * K), *B = check_array(K * N), *first = check_array(M * N);
    float *again = check_array(M * N);
    kern_matmul(k, M, N, K, A, K, 1, B, N, 1, first, N, false);
    for (int i = 0; i < 4000; i++) {
        kern_matmul(k, M, N, K, A, K, 1, B, N, 1, again, N, false);
        assert_memory_equal(again, first, M * N * sizeof *again);
    }
    free(A), free(B), free(first), free(again);
    kern_destroy(k);
}

/* Steps between both rows and columns have no leading dimension; the answer must still come. */
static void blas_takes_any_stride(void **state)
{
    struct check *c = *state;
    struct kern *k = blas_of(c->pools[0]);
    if (k == NULL)
        skip();
    float *A = check_array(400), *B = check_array(400), want[12], got[12];
    kern_matmul(c->definition, 3, 4, 5, A, 50, 3, B, 40, 7, want, 4, false);
    kern_matmul(k, 3, 4, 5, A, 50, 3, B, 40, 7, got, 4, false);
    check_same(want, got, 12, "strided product", "blas");
    free(A), free(B);
    kern_destroy(k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blas_is_near_exact),
        cmocka_unit_test(concurrent_parts_do_not_disturb_each_other),
        cmocka_unit_test(blas_takes_any_stride),
    };
    return cmocka_run_group_tests(tests, check_setup, check_teardown);
}
