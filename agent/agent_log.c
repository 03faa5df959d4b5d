#include "agent/agent_log.h"

#include <stdio.h>
#include <time.h>
#include "core/env/clock.h"

/* Set before there are threads, read afterwards: whoever logs has no handle. */
static struct log_rules rules = LOG_RULES_USUAL;

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

void agent_log_setup(const struct log_rules *r)
{
    rules = *r;
}

void agent_log_args(const char *level, const char *fmt, va_list args)
{
    char line[LOG_LINE_MAX];
    if (log_line_make(line, &rules, env_wall_ms(), level, fmt, args)) {
        fprintf(stderr, "%s\n", line); /* one call: lines of threads do not mix */
    }
}

void agent_log(const char *level, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    agent_log_args(level, fmt, args);
    va_end(args);
}
