#include "coordinator/log.h"

#include <stdarg.h>
#include <stdio.h>
#include "core/base/log_line.h"
#include "core/env/clock.h"

/* Set before there are threads, read afterwards: whoever logs has no handle. */
static struct log_rules rules = LOG_RULES_USUAL;

bool log_setup(const char *level, bool json)
{
    rules.json = json;
    return log_rules_level(&rules, level);
}

void log_event(const char *level, const char *fmt, ...)
{
    char line[LOG_LINE_MAX];
    va_list args;

    va_start(args, fmt);
    bool told = log_line_make(line, &rules, env_wall_ms(), level, fmt, args);
    va_end(args);
    if (told)
        fprintf(stderr, "%s\n", line); /* one call, so that lines of several threads don't mix */
}
