#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "core/env/cgroup.h"
#include "tests/core/env/own_folder.h"

static void put(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");

    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void version_2_takes_the_least_on_the_way_up(void **state)
{
    (void)state;
    assert_int_equal(system("mkdir -p two/a/b"), 0);
    put("self2", "0::/a/b\n");
    put("two/a/b/cpu.max", "max 100000\n");
    put("two/a/b/memory.max", "max\n");
    assert_int_equal(cgroup__cpus("self2", "two"), 0);
    assert_true(cgroup__memory("self2", "two") == UINT64_MAX);
    put("two/a/cpu.max", "150000 100000\n");
    put("two/a/memory.max", "3000000000\n");
    assert_int_equal(cgroup__cpus("self2", "two"), 2);
    assert_true(cgroup__memory("self2", "two") == 3000000000u);
    put("two/a/b/cpu.max", "50000 100000\n");
    put("two/a/b/memory.high", "2000000000\n");
    assert_int_equal(cgroup__cpus("self2", "two"), 1);
    assert_true(cgroup__memory("self2", "two") == 2000000000u);
}

/* In a container the path of the host may not be there; the root then says what holds. */
static void a_path_out_of_sight_falls_back_to_the_root(void **state)
{
    (void)state;
    assert_int_equal(system("mkdir -p three"), 0);
    put("self3", "0::/docker/0123456789\n");
    put("three/cpu.max", "300000 100000\n");
    put("three/memory.max", "1000000000\n");
    assert_int_equal(cgroup__cpus("self3", "three"), 3);
    assert_true(cgroup__memory("self3", "three") == 1000000000u);
}

static void version_1(void **state)
{
    (void)state;
    assert_int_equal(system("mkdir -p one/cpu/job one/memory/job"), 0);
    put("self1", "5:cpuset:/x\n4:memory:/job\n2:cpuacct,cpu:/job\n0::/\n");
    put("one/cpu/job/cpu.cfs_quota_us", "-1\n");
    put("one/cpu/job/cpu.cfs_period_us", "100000\n");
    put("one/memory/job/memory.limit_in_bytes", "9223372036854771712\n");
    assert_int_equal(cgroup__cpus("self1", "one"), 0);
    assert_true(cgroup__memory("self1", "one") == UINT64_MAX);
    put("one/cpu/job/cpu.cfs_quota_us", "200000\n");
    put("one/memory/memory.limit_in_bytes", "4000000000\n");
    assert_int_equal(cgroup__cpus("self1", "one"), 2);
    assert_true(cgroup__memory("self1", "one") == 4000000000u);
    assert_int_equal(cgroup__cpus("absent", "one"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(version_2_takes_the_least_on_the_way_up),
        cmocka_unit_test(a_path_out_of_sight_falls_back_to_the_root),
        cmocka_unit_test(version_1),
    };
    return cmocka_run_group_tests(tests, own_folder_enter, own_folder_leave);
}
