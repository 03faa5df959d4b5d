#include "coordinator/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include "core/base/log_line.h"
#include "core/env/clock.h"

static const char *const levels[] = {"error", "warn", "info", "debug"};
#define LEVELS (int)(sizeof levels / sizeof levels[0])

/* Set before there are threads, read afterwards: whoever logs has no handle. */
static struct {
    int level;
    bool json;
} setup = {.level = 2};

static int rank(const char *level)
{
    int i = 0;

    while (i < LEVELS && strcmp(levels[i], level) != 0)
        i++;
    return i;
}

bool log_setup(const char *level, bool json)
{
    setup.level = rank(level);
    setup.json = json;
    return setup.level < LEVELS;
}

void log_event(const char *level, const char *fmt, ...)
{
    char line[LOG_LINE_MAX], seconds[24] = "", stamp[32];
    int64_t now = env_wall_ms();
    time_t at = (time_t)(now / 1000);
    struct tm utc;
    va_list args;

    if (rank(level) > setup.level)
        return;
    if (gmtime_r(&at, &utc))
        strftime(seconds, sizeof seconds, "%Y-%m-%dT%H:%M:%S", &utc);
    snprintf(stamp, sizeof stamp, "%s.%03dZ", seconds, (int)(now % 1000));
    va_start(args, fmt);
    log_line_format(line, setup.json, stamp, level, fmt, args);
    va_end(args);
    /* One call, so that lines of several threads don't mix. */
    fprintf(stderr, "%s\n", line);
}
