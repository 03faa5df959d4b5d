/* One line an event on stderr: "time=… level=… TEXT", TEXT in key=value words (run= job= agent=
 * lease=) after what happened. */
#ifndef TACIT_COORDINATOR_LOG_H
#define TACIT_COORDINATOR_LOG_H

#define log_info(...) log_event("info", __VA_ARGS__)
#define log_warn(...) log_event("warn", __VA_ARGS__)
#define log_error(...) log_event("error", __VA_ARGS__)

void log_event(const char *level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
