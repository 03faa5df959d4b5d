/* Lines for the person who looks after an agent: standard error, one line an event, like tacitd's:
 * "time=… level=… TEXT", TEXT with key=value words for what a search looks for; or the same as
 * JSON. */
#ifndef TACIT_AGENT_AGENT_LOG_H
#define TACIT_AGENT_AGENT_LOG_H

#include <stdarg.h>
#include "core/base/log_line.h"

#define log_debug(...) agent_log("debug", __VA_ARGS__)
#define log_info(...) agent_log("info", __VA_ARGS__)
#define log_warn(...) agent_log("warn", __VA_ARGS__)
#define log_error(...) agent_log("error", __VA_ARGS__)

/* Once, before there are threads; where it is not called, info and text. */
void agent_log_setup(const struct log_rules *r);
void agent_log(const char *level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void agent_log_args(const char *level, const char *fmt, va_list args)
    __attribute__((format(printf, 2, 0)));
/* "2026-01-31T08:22:00Z", now. Returns out. */
char *log_stamp(char out[32]);

#endif
