/* One line an event on stderr: "time=… level=… TEXT", TEXT in key=value words (run= job= agent=
 * lease=) after what happened; or the same as JSON. */
#ifndef TACIT_COORDINATOR_LOG_H
#define TACIT_COORDINATOR_LOG_H

#include <stdbool.h>

#define log_debug(...) log_event("debug", __VA_ARGS__)
#define log_info(...) log_event("info", __VA_ARGS__)
#define log_warn(...) log_event("warn", __VA_ARGS__)
#define log_error(...) log_event("error", __VA_ARGS__)

/* Once, before there are threads. level: error, warn, info (where this is not called) or debug: the
 * lesser are left out. False: it is none of these. */
bool log_setup(const char *level, bool json);
void log_event(const char *level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
