#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "core/base/pool.h"

struct job {
    unsigned char *hits;
    size_t n, grain;
    atomic_int bad;
};

static void mark(void *arg, size_t begin, size_t end)
{
    struct job *j = arg;

    if (begin % j->grain != 0 || end > j->n || begin >= end || (end % j->grain != 0 && end != j->n))
        atomic_fetch_add(&j->bad, 1);
    for (size_t i = begin; i < end; i++)
        j->hits[i]++;
}

static void every_item_once_at_any_size(void **state)
{
    static const size_t sizes[] = {0, 1, 2, 3, 7, 16, 63, 64, 65, 1000, 4099};
    static const size_t grains[] = {1, 4, 16, 1000, 5000};
    struct err e = {0};

    (void)state;
    for (int threads = 1; threads <= 5; threads++) {
        struct pool *p = pool_create(threads, &e);
        assert_non_null(p);
        assert_int_equal(pool_threads(p), threads);
        for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
            for (size_t g = 0; g < sizeof grains / sizeof *grains; g++) {
                struct job j = {calloc(sizes[s] + 1, 1), sizes[s], grains[g], 0};
                pool_for(p, j.n, j.grain, mark, &j);
                assert_int_equal(j.bad, 0);
                for (size_t i = 0; i < j.n; i++)
                    assert_int_equal(j.hits[i], 1);
                free(j.hits);
            }
        pool_destroy(p);
    }
    pool_destroy(NULL);
}

/* Jobs that follow at once: a thread that wakes late must not run a part of an old job. */
static void jobs_in_a_row_do_not_mix(void **state)
{
    struct err e = {0};
    struct pool *p = pool_create(3, &e);
    unsigned char hits[24];

    (void)state;
    assert_non_null(p);
    for (int i = 0; i < 20000; i++) {
        struct job j = {hits, 1 + (size_t)i % 24, 1 + (size_t)i % 3, 0};
        memset(hits, 0, sizeof hits);
        pool_for(p, j.n, j.grain, mark, &j);
        assert_int_equal(j.bad, 0);
        for (size_t k = 0; k < j.n; k++)
            assert_int_equal(hits[k], 1);
        if (i % 1000 == 0) { /* let the others fall asleep */
            struct timespec ms = {0, 1000000};
            nanosleep(&ms, NULL);
        }
    }
    pool_destroy(p);
}

static void tiny_times_half(void *arg, size_t begin, size_t end)
{
    volatile float *x = arg;

    for (size_t i = begin; i < end; i++) {
        volatile float least = 0x1p-126f, denormal = 0x1p-130f;
        x[2 * i] = least * 0.5f;
        x[2 * i + 1] = denormal * 1.0f;
    }
}

/* A denormal on one thread and not on another would make results depend on who computed. */
static void denormals_are_zero_on_every_thread(void **state)
{
    struct err e = {0};
    struct pool *p = pool_create(4, &e);
    static float x[2048];

    (void)state;
    assert_non_null(p);
    for (int i = 0; i < 50; i++) {
        memset(x, 0x3f, sizeof x);
        pool_for(p, 1024, 1, tiny_times_half, x);
        for (int k = 0; k < 2048; k++)
            assert_true(x[k] == 0.0f);
    }
    pool_destroy(p);
}

static void impossible_sizes_are_refused(void **state)
{
    struct err e = {0};

    (void)state;
    assert_null(pool_create(0, &e));
    assert_int_equal(e.code, ERR_RANGE);
    assert_null(pool_create(1 << 20, &e));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_item_once_at_any_size),
        cmocka_unit_test(jobs_in_a_row_do_not_mix),
        cmocka_unit_test(denormals_are_zero_on_every_thread),
        cmocka_unit_test(impossible_sizes_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
