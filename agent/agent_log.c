#include "agent/agent_log.h"

#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include "core/env/clock.h"

char *log_stamp(char out[32])
{
    time_t seconds = (time_t)(env_wall_ms() / 1000);
    struct tm utc;
    out[0] = 0;
    if (gmtime_r(&seconds, &utc)) {
        strftime(out, 32, "%Y-%m-%dT%H:%M:%SZ", &utc);
    }
    return out;
}

void log_line(const char *fmt, ...)
{
    char text[2048], stamp[32];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    fprintf(stderr, "%s %s\n", log_stamp(stamp), text); /* one call: lines of threads do not mix */
}
