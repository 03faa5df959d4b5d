#include "coordinator/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include "core/env/clock.h"

void log_event(const char *level, const char *fmt, ...)
{
    char text[900], stamp[32] = "";
    int64_t now = env_wall_ms();
    time_t seconds = (time_t)(now / 1000);
    struct tm utc;
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    for (char *c = text; *c; c++)
        if ((unsigned char)*c < ' ') /* what a client sent must not begin a line of its own */
            *c = '?';
    if (gmtime_r(&seconds, &utc))
        strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%S", &utc);
    /* One call, so that lines of several threads don't mix. */
    fprintf(stderr, "time=%s.%03dZ level=%s %s\n", stamp, (int)(now % 1000), level, text);
}
