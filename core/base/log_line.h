/* One line of a log from a format such as "benched agent=%u why=\"%s\"": words, and key=value. What
 * the format says to be a key is one, whatever the values hold: a value from outside makes neither
 * a line nor a key of its own. */
#ifndef TACIT_BASE_LOG_LINE_H
#define TACIT_BASE_LOG_LINE_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LOG_LINE_MAX 4096

/* Which lines a log has, and how. */
struct log_rules {
    int level; /* 0 error, 1 warn, 2 info, 3 debug: the lesser are left out */
    bool json;
};
#define LOG_RULES_USUAL                                                                            \
    {                                                                                              \
        .level = 2                                                                                 \
    }

/* By name: error, warn, info, debug; text, json. False: it is none of these. */
bool log_rules_level(struct log_rules *r, const char *level);
bool log_rules_format(struct log_rules *r, const char *format);
/* The line of what happened at wall_ms, as log_line_format; false: it is left out. */
bool log_line_make(char out[LOG_LINE_MAX], const struct log_rules *r, int64_t wall_ms,
                   const char *level, const char *fmt, va_list args)
    __attribute__((format(printf, 5, 0)));

/* "time=STAMP level=LEVEL benched agent=3 why=\"…\"", or as JSON {"time":…,"level":…,"msg":
 * "benched","agent":3,"why":"…"}; without a newline, cut where it is too long. Conversions: d, u,
 * x, s, g, f, c, with their lengths and precisions. */
void log_line_format(char out[LOG_LINE_MAX], bool json, const char *stamp, const char *level,
                     const char *fmt, va_list args) __attribute__((format(printf, 5, 0)));

#endif
