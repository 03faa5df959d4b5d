/* Results are checked while operators' requests take their time: a fleet does not wait for a
 * backup.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdatomic.h>
#include "core/env/clock.h"
#include "coordinator/run/works.h"
#include "coordinator/store/store.h"
#include "tests/coordinator/store/temp_dir.h"

static atomic_bool release;
static atomic_uint begun, checked, ended;

static void takes_long(void *arg)
{
    (void)arg;
    atomic_fetch_add(&begun, 1);
    while (!atomic_load(&release))
        env_sleep_ms(1);
    atomic_fetch_add(&ended, 1);
}

static void check(void *arg)
{
    (void)arg;
    atomic_fetch_add(&checked, 1);
}

static bool becomes(atomic_uint *what, unsigned count)
{
    for (int64_t end = env_monotonic_ms() + 10000; env_monotonic_ms() < end; env_sleep_ms(1))
        if (atomic_load(what) == count)
            return true;
    return false;
}

static void results_do_not_wait_for_what_takes_long(void **state)
{
    struct service s = {0};
    struct err e = {0};
    char dir[64];
    (void)state;
    temp_dir_make(dir);
    assert_int_equal(store_open(&s.store, dir, &e), 0);
    assert_int_equal(works_create(&s.works, &s, &e), 0);
    for (int i = 0; i < 6; i++) /* more than there are threads */
        works_submit_long(s.works, takes_long, NULL);
    assert_true(becomes(&begun, 2));
    for (int i = 0; i < 6; i++)
        works_submit(s.works, check, NULL);
    bool all = becomes(&checked, 6);
    atomic_store(&release, true);
    assert_true(all);
    works_destroy(s.works); /* what was queued is done, since somebody waits for its answer */
    assert_int_equal(atomic_load(&ended), 6);
    store_close(s.store);
    temp_dir_remove(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(results_do_not_wait_for_what_takes_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
