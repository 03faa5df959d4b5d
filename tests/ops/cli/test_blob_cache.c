/* The downloads that the command line keeps: bounded, and never taken from under a reader. */
#include "ops/cli/blob_cache.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include "core/env/clock.h"
#include "core/env/file.h"
#include "tests/core/env/own_folder.h"

/* Blob number i, 100 bytes, last used so long ago. */
static const char *put(unsigned i, const char *suffix, int64_t age_ms)
{
    static char names[8][80];
    static char bytes[100];
    static unsigned n;
    struct err e = {0};
    char *name = names[n++ % 8];
    int64_t used = env_wall_ms() - age_ms;
    struct timespec t = {.tv_sec = used / 1000, .tv_nsec = used % 1000 * 1000000};
    snprintf(name, 80, "%064x%s", i, suffix);
    assert_int_equal(env_file_write_atomic(name, bytes, sizeof bytes, 0600, &e), 0);
    assert_int_equal(utimensat(AT_FDCWD, name, (struct timespec[]){t, t}, 0), 0);
    return name;
}

static void what_was_not_used_for_longest_goes(void **state)
{
    struct err e = {0};
    (void)state;
    const char *old = put(3, "", 50000), *part = put(1, ".part", 90000), *fresh = put(2, "", 40000);
    const char *again = put(4, "", 99000);
    assert_int_equal(env_file_write_atomic("lock", "", 0, 0600, &e), 0);
    assert_int_equal(env_file_touch(again, &e), 0); /* used once more */
    assert_int_equal(blob_cache_trim(own_folder, 400, 0, &e), 0);
    assert_true(env_file_exists(part)); /* it all fits */
    assert_int_equal(blob_cache_trim(own_folder, 399, 0, &e), 0);
    assert_false(env_file_exists(part));
    assert_true(env_file_exists(old));
    assert_int_equal(blob_cache_trim(own_folder, 250, 0, &e), 0);
    assert_false(env_file_exists(old));
    assert_true(env_file_exists(fresh) && env_file_exists(again) && env_file_exists("lock"));
}

static void what_may_be_read_now_stays(void **state)
{
    struct err e = {0};
    (void)state;
    const char *reading = put(5, "", 500), *before = put(6, "", 70000), *ahead = put(7, "", -70000);
    assert_int_equal(blob_cache_trim(own_folder, 0, 60000, &e), 0);
    assert_true(env_file_exists(reading));
    assert_false(env_file_exists(before));
    assert_false(env_file_exists(ahead)); /* of a clock that was set back: not kept for ever */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_not_used_for_longest_goes),
        cmocka_unit_test(what_may_be_read_now_stays),
    };
    return cmocka_run_group_tests(tests, own_folder_enter, own_folder_leave);
}
