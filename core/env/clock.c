#include "core/env/clock.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

static struct timespec now(clockid_t id)
{
    struct timespec t = {0};

    clock_gettime(id, &t);
    return t;
}

int64_t env_monotonic_ms(void)
{
    struct timespec t = now(CLOCK_MONOTONIC);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

double env_monotonic_s(void)
{
    struct timespec t = now(CLOCK_MONOTONIC);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

double env_thread_s(void)
{
    struct timespec t = now(CLOCK_THREAD_CPUTIME_ID);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

int64_t env_wall_ms(void)
{
    struct timespec t = now(CLOCK_REALTIME);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

void env_sleep_ms(int64_t ms)
{
    if (ms <= 0)
        return;
    struct timespec left = {.tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000};
    while (nanosleep(&left, &left) != 0 && errno == EINTR)
        ;
}

/* Without entropy there are no identities or tokens, and no caller could go on. */
void env_random(void *out, size_t len)
{
    unsigned char *at = out;

    while (len > 0) {
        ssize_t got = getrandom(at, len, 0);
        if (got < 0 && errno != EINTR)
            abort();
        if (got > 0) {
            at += got;
            len -= (size_t)got;
        }
    }
}
