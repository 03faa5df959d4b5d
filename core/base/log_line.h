/* One line of a log from a format such as "benched agent=%u why=\"%s\"": words, and key=value. What
 * the format says to be a key is one, whatever the values hold: a value from outside makes neither
 * a line nor a key of its own. */
#ifndef TACIT_BASE_LOG_LINE_H
#define TACIT_BASE_LOG_LINE_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#define LOG_LINE_MAX 4096

/* "time=STAMP level=LEVEL benched agent=3 why=\"…\"", or as JSON {"time":…,"level":…,"msg":
 * "benched","agent":3,"why":"…"}; without a newline, cut where it is too long. Conversions: d, u,
 * x, s, g, f, c, with their lengths and precisions. */
void log_line_format(char out[LOG_LINE_MAX], bool json, const char *stamp, const char *level,
                     const char *fmt, va_list args) __attribute__((format(printf, 5, 0)));

#endif
