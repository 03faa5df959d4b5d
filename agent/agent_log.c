#include "agent/agent_log.h"

#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include "core/env/clock.h"

void log_line(const char *fmt, ...)
{
    char text[2048], stamp[32] = "";
    time_t seconds = (time_t)(env_wall_ms() / 1000);
    struct tm utc;
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    if (gmtime_r(&seconds, &utc)) {
        strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%SZ", &utc);
    }
    fprintf(stderr, "%s %s\n", stamp, text); /* one call: lines of threads do not mix */
}
