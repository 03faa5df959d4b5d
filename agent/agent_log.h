/* Lines for the person who looks after an agent: standard error, one line an event, UTC in front,
 * key=value for what a search looks for. */
#ifndef TACIT_AGENT_AGENT_LOG_H
#define TACIT_AGENT_AGENT_LOG_H

void log_line(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* "2026-01-31T08:22:00Z", now. Returns out. */
char *log_stamp(char out[32]);

#endif
