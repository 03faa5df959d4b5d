/* How long a run still takes: no end is promised too early, a pause makes nothing slow, and what is
 * told is a range that holds. */
#include "coordinator/run/run_pace.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static struct run_paces *paces;
static double least, most;

static int setup(void **state)
{
    struct err e;
    (void)state;
    return run_paces_create(&paces, &e);
}

static int teardown(void **state)
{
    (void)state;
    run_paces_destroy(paces);
    return 0;
}

/* `count` looks, ten seconds from each other, each `gain` further. */
static void go(double *share, int64_t *now, int count, double gain, bool busy)
{
    for (int i = 0; i < count; i++) {
        *share += gain;
        *now += 10000;
        run_paces_note(paces, 1, *share, busy, *now);
    }
}

static void test_even(void **state)
{
    double share = 0;
    int64_t now = 5;
    (void)state;
    assert_false(run_paces_left(paces, 1, &least, &most));
    go(&share, &now, 2, 0.01, true);
    assert_false(run_paces_left(paces, 1, &least, &most)); /* ten seconds are no pace */
    go(&share, &now, 48, 0.01, true);
    assert_true(run_paces_left(paces, 1, &least, &most)); /* half is done in 500 s */
    assert_true(least < 500 && most > 500 && most / least < 1.25);
    assert_false(run_paces_left(paces, 2, &least, &most));
    assert_false(run_paces_left(NULL, 1, &least, &most));
}

static void test_pause(void **state)
{
    double share = 0;
    int64_t now = 0;
    (void)state;
    go(&share, &now, 20, 0.01, true);
    go(&share, &now, 4000, 0, false);
    go(&share, &now, 20, 0.01, true);
    assert_true(run_paces_left(paces, 1, &least, &most));
    assert_true(least < 600 && most > 600 && most / least < 1.6);
}

/* Half of the agents have gone: both paces are in the range. */
static void test_slower(void **state)
{
    double share = 0;
    int64_t now = 0;
    (void)state;
    go(&share, &now, 200, 0.002, true);
    go(&share, &now, 100, 0.001, true); /* half is done */
    assert_true(run_paces_left(paces, 1, &least, &most));
    assert_true(least < 3100 && most > 4900 && most < 6000);
}

static void test_rollback(void **state)
{
    double share = 0;
    int64_t now = 0;
    (void)state;
    go(&share, &now, 50, 0.01, true);
    share = 0.1;
    go(&share, &now, 1, 0, true);
    assert_false(run_paces_left(paces, 1, &least, &most));
    go(&share, &now, 40, 0.01, true);
    assert_true(run_paces_left(paces, 1, &least, &most));
    assert_true(least < 500 && most > 500);
}

/* A month of samples takes no more room than an hour's, and what has ended is forgotten. */
static void test_long(void **state)
{
    double share = 0;
    int64_t now = 0;
    uint64_t other = 2;
    (void)state;
    go(&share, &now, 100000, 5e-6, true);
    assert_true(run_paces_left(paces, 1, &least, &most));
    assert_true(least < 1e6 && most > 1e6 && most / least < 1.3);
    run_paces_keep(paces, &other, 1);
    assert_false(run_paces_left(paces, 1, &least, &most));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(test_even), TEST(test_pause), TEST(test_slower),
                                       TEST(test_rollback), TEST(test_long)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
