/* How processes end, and commands beside them. What would break for a user: a machine that crashes
 * every job without anybody knowing why; a command that is never heard of again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include "core/env/child.h"
#include "core/env/clock.h"
#include "core/env/last_words.h"

#define PATH "build/test_last_words"

static char words[300];

static const char *read_words(void)
{
    FILE *f = fopen(PATH, "r");
    assert_non_null(f);
    size_t n = fread(words, 1, sizeof words - 1, f);
    fclose(f);
    words[n] = 0;
    return words;
}

static volatile char *volatile nowhere;

static int overflow(int n)
{
    volatile char big[4096];
    big[0] = (char)n;
    return n == -1 ? 0 : overflow(n + 1) + big[0];
}

static void die(int how)
{
    static _Atomic uint64_t step = 120;
    struct err e = {0};
    struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    signal(SIGSEGV, SIG_DFL); /* cmocka's */
    if (env_last_words_open(PATH, &e))
        _exit(1);
    env_last_words_about("job 4 fence 1.2", &step);
    env_last_words_about("job 5 fence 1.3", &step);
    atomic_store(&step, 121);
    if (how == 3)
        env_last_words_about(NULL, NULL);
    if (how == 4) {
        env_last_words_say("did not end");
        env_end_now(7);
    }
    if (how == 2)
        overflow(1);
    if (how == 1)
        *nowhere = 1;
    abort();
}

static int status_of(int how)
{
    int status;
    pid_t child = fork();
    if (child == 0)
        die(how);
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

static void test_a_crash_leaves_words(void **state)
{
    (void)state;
    int status = status_of(0);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGABRT); /* ended as it would have */
    assert_string_equal(read_words(), "signal 6 (SIGABRT) at step 121 of job 5 fence 1.3\n");
#if !defined(__SANITIZE_ADDRESS__)
    status = status_of(1);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGSEGV);
    assert_string_equal(read_words(), "signal 11 (SIGSEGV) at step 121 of job 5 fence 1.3\n");
    status = status_of(2); /* no stack is left to say it on */
    assert_int_equal(WTERMSIG(status), SIGSEGV);
    assert_string_equal(read_words(), "signal 11 (SIGSEGV) at step 121 of job 5 fence 1.3\n");
#endif
    (void)status_of(3); /* at nothing */
    assert_string_equal(read_words(), "signal 6 (SIGABRT)\n");
    status = status_of(4);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 7);
    assert_string_equal(read_words(), "did not end at step 121 of job 5 fence 1.3\n");
}

static int ended_with(struct env_child *c)
{
    int code = -1;
    for (int i = 0; i < 1000 && !env_child_ended(c, &code); i++)
        env_sleep_ms(10);
    return code;
}

static void test_a_command_ends(void **state)
{
    struct env_child c, lasting;
    struct err e = {0};
    int code;
    (void)state;
    assert_int_equal(env_child_start(&c, "exit 3", &e), 0);
    assert_int_equal(ended_with(&c), 3);
    assert_false(env_child_ended(&c, &code)); /* once */
    assert_int_equal(env_child_start(&c, "kill -9 $$", &e), 0);
    assert_int_equal(ended_with(&c), 128 + 9);
    assert_int_equal(env_child_start(&c, "/no/such/thing 2>/dev/null", &e), 0);
    assert_int_equal(ended_with(&c), 127);
    assert_int_equal(env_child_start(&lasting, "read line; sleep 100", &e), 0); /* no input */
    env_sleep_ms(50);
    assert_false(env_child_ended(&lasting, &code));
    pid_t pid = (pid_t)lasting.pid;
    env_child_stop(&lasting);
    for (int i = 0; i < 500 && kill(pid, 0) == 0; i++) {
        env_sleep_ms(10);
        (void)waitpid(pid, NULL, WNOHANG);
    }
    assert_int_not_equal(kill(pid, 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_crash_leaves_words),
        cmocka_unit_test(test_a_command_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
