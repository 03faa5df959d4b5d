/* What waits on these would hang for ever, or spin, if a deadline or a wake-up went wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "core/env/clock.h"
#include "core/env/thread.h"

struct shared {
    struct env_mutex mutex;
    struct env_cond changed;
    struct env_thread thread;
    int turns;
    bool was_self;
};

static void take_turns(void *arg)
{
    struct shared *s = arg;

    env_mutex_lock(&s->mutex);
    s->was_self = env_thread_is_self(&s->thread);
    for (int i = 0; i < 100; i++) {
        while (s->turns % 2 == 0)
            env_cond_wait(&s->changed, &s->mutex);
        s->turns++;
        env_cond_signal(&s->changed);
    }
    env_mutex_unlock(&s->mutex);
}

static void test_a_thread_is_woken_and_joined(void **state)
{
    struct shared s = {0};
    struct err e = {0};

    (void)state;
    env_mutex_init(&s.mutex);
    env_cond_init(&s.changed);
    env_mutex_lock(&s.mutex);
    assert_int_equal(env_thread_start(&s.thread, take_turns, &s, "a thread", &e), 0);
    assert_false(env_thread_is_self(&s.thread));
    for (int i = 0; i < 100; i++) {
        while (s.turns % 2 == 1)
            env_cond_wait(&s.changed, &s.mutex);
        s.turns++;
        env_cond_signal(&s.changed);
    }
    env_mutex_unlock(&s.mutex);
    env_thread_join(&s.thread);
    assert_int_equal(s.turns, 200);
    assert_true(s.was_self);
    env_cond_destroy(&s.changed);
    env_mutex_destroy(&s.mutex);
}

static void test_a_wait_ends_at_its_deadline(void **state)
{
    struct env_mutex mutex;
    struct env_cond never;
    int64_t began = env_monotonic_ms();

    (void)state;
    env_mutex_init(&mutex);
    env_cond_init(&never);
    env_mutex_lock(&mutex);
    assert_false(env_cond_wait_until(&never, &mutex, began - 5));
    while (env_cond_wait_until(&never, &mutex, began + 30))
        ;
    assert_true(env_monotonic_ms() >= began + 30);
    assert_true(env_monotonic_ms() < began + 5000);
    env_mutex_unlock(&mutex);
    env_cond_destroy(&never);
    env_mutex_destroy(&mutex);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_thread_is_woken_and_joined),
        cmocka_unit_test(test_a_wait_ends_at_its_deadline),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
