#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "core/env/clock.h"
#include "core/env/process.h"

/* In a child of its own: the flag never goes back. Returns 0 where all is well. */
static int stopped_by(int number)
{
    struct pollfd p;

    env_stop_on_signals();
    p = (struct pollfd){.fd = env_stop_fd(), .events = POLLIN};
    if (env_stop_requested() || poll(&p, 1, 0) != 0)
        return 1;
    if (env_stop_wait_ms(10))
        return 2;
    if (number == 0)
        env_stop_request();
    else if (raise(number) != 0 || raise(number) != 0)
        return 3;
    if (!env_stop_requested() || poll(&p, 1, 1000) != 1 || poll(&p, 1, 0) != 1)
        return 4;
    int64_t start = env_monotonic_ms();
    if (!env_stop_wait_ms(60000) || env_monotonic_ms() - start > 5000)
        return 5;
    return 0;
}

/* A waiting agent must wake at once when it is told to stop. */
static int woken_from_sleep(void)
{
    pid_t parent = getpid();

    env_stop_on_signals();
    pid_t child = fork();
    if (child == 0) {
        env_sleep_ms(50);
        _exit(kill(parent, SIGTERM) != 0);
    }
    int64_t start = env_monotonic_ms();
    bool stopped = env_stop_wait_ms(20000);
    waitpid(child, NULL, 0);
    return !stopped || env_monotonic_ms() - start > 10000;
}

static int broken_pipe_survived(void)
{
    int ends[2];

    env_stop_on_signals();
    if (pipe(ends) != 0)
        return 1;
    close(ends[0]);
    return write(ends[1], "x", 1) != -1 || env_stop_requested();
}

static int status_of(int (*fn)(int), int arg)
{
    int status;
    pid_t child = fork();

    if (child == 0)
        _exit(fn(arg));
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

static int run(int which)
{
    return which == 0 ? woken_from_sleep() : broken_pipe_survived();
}

static void signals_set_the_flag(void **state)
{
    (void)state;
    assert_int_equal(status_of(stopped_by, SIGTERM), 0);
    assert_int_equal(status_of(stopped_by, SIGINT), 0);
    assert_int_equal(status_of(stopped_by, 0), 0);
    assert_int_equal(status_of(run, 0), 0);
    assert_int_equal(status_of(run, 1), 0);
}

static int pinned_to_one(int unused)
{
    cpu_set_t all, one;

    (void)unused;
    if (sched_getaffinity(0, sizeof all, &all) != 0)
        return 1;
    CPU_ZERO(&one);
    for (int i = 0; i < CPU_SETSIZE; i++)
        if (CPU_ISSET(i, &all)) {
            CPU_SET(i, &one);
            break;
        }
    return sched_setaffinity(0, sizeof one, &one) != 0 || env_cpu_count() != 1;
}

static void facts_of_the_machine(void **state)
{
    (void)state;
    assert_in_range(env_cpu_count(), 1, sysconf(_SC_NPROCESSORS_CONF));
    assert_int_equal(status_of(pinned_to_one, 0), 0);
    assert_true(env_memory_bytes() >= UINT64_C(16) << 20);
    uint64_t before = env_memory_peak();
    char *touched = malloc(64 << 20);
    assert_non_null(touched);
    memset(touched, 1, 64 << 20);
    assert_true(touched[12345] == 1 && env_memory_peak() - before > UINT64_C(32) << 20);
    free(touched);
    assert_true(strlen(env_host_name()) > 0);
    setenv("TACIT_TEST_VALUE", "v", 1);
    assert_string_equal(env_get("TACIT_TEST_VALUE"), "v");
    assert_null(env_get("TACIT_TEST_ABSENT"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(signals_set_the_flag),
        cmocka_unit_test(facts_of_the_machine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
