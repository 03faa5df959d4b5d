/* core/env/clock.h and process.h, and both logs, in the simulated world. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "core/env/clock.h"
#include "core/env/file.h"
#include "core/env/last_words.h"
#include "core/env/process.h"
#include "agent/agent_log.h"
#include "tests/sim/world.h"

void log_event(const char *level, const char *fmt, ...); /* coordinator/log.h's names are macros */

#define WALL_START_MS 1800000000000ll

int64_t env_monotonic_ms(void)
{
    return world_now() / 1000;
}

double env_monotonic_s(void)
{
    return (double)world_now() / 1e6;
}

int64_t env_wall_ms(void)
{
    const struct machine *m = world_here();
    return WALL_START_MS + world_now() / 1000 + (m ? m->wall_offset_ms : 0);
}

void env_sleep_ms(int64_t ms)
{
    if (ms > 0)
        world_sleep_until(world_now() + ms * 1000);
}

void env_random(void *out, size_t len)
{
    for (size_t at = 0; at < len; at += 8) {
        uint64_t r = world_random();
        memcpy((char *)out + at, &r, len - at < 8 ? len - at : 8);
    }
}

/* --- process --------------------------------------------------------------------------------- */

void env_stop_on_signals(void)
{
}

void env_stop_on_notice(void)
{
}

const char *env_stop_signal(void)
{
    return world_here()->stop ? "SIGTERM" : NULL;
}

/* Polled in every long loop: what was computed before it has taken its time. */
bool env_stop_requested(void)
{
    world_settle();
    return world_here() && world_here()->stop;
}

void env_stop_request(void)
{
    machine_stop(world_here());
}

bool env_stop_wait_ms(int64_t ms)
{
    struct machine *m = world_here();
    int64_t until = world_now() + (ms > 0 ? ms * 1000 : 0);
    while (!m->stop && world_wait(&m->stopping, until))
        ;
    return m->stop;
}

int env_stop_fd(void)
{
    return -1;
}

int env_cpu_count(void)
{
    return 1;
}

uint64_t env_memory_bytes(void)
{
    return 8ull << 30;
}

uint64_t env_memory_peak(void)
{
    return 64u << 20;
}

const char *env_host_name(void)
{
    return world_here()->name;
}

const char *env_get(const char *name)
{
    (void)name;
    return NULL;
}

/* --- last words ------------------------------------------------------------------------------ */

int env_last_words_open(const char *path, struct err *e)
{
    struct machine *m = world_here();
    snprintf(m->last_words, sizeof m->last_words, "%s", path);
    return env_file_write_atomic(path, "", 0, 0600, e);
}

void env_last_words_about(const char *subject, const _Atomic uint64_t *step)
{
    (void)subject; /* no process crashes here but by kill -9, which has no words */
    (void)step;
}

void env_last_words_say(const char *what)
{
    struct err ignored;
    (void)!env_file_write_atomic(world_here()->last_words, what, strlen(what), 0600, &ignored);
}

void env_end_now(int code)
{
    struct machine *m = world_here();
    struct waiters never = {0};
    m->exit_code = code;
    if (m->end)
        m->end(m);
    for (;;)
        world_wait(&never, SIM_NEVER);
}

/* --- logs ------------------------------------------------------------------------------------ */

static void log_to_history(const char *level, const char *fmt, va_list args)
{
    char text[400];
    vsnprintf(text, sizeof text, fmt, args);
    world_note("%s%s", level, text);
}

void agent_log_args(const char *level, const char *fmt, va_list args)
{
    if (strcmp(level, "debug") != 0)
        log_to_history("", fmt, args);
}

void agent_log(const char *level, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    agent_log_args(level, fmt, args);
    va_end(args);
}

char *log_stamp(char out[32])
{
    snprintf(out, 32, "at %" PRId64, env_wall_ms() / 1000);
    return out;
}

void log_event(const char *level, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    log_to_history(strcmp(level, "info") == 0 ? "" : "! ", fmt, args);
    va_end(args);
}
