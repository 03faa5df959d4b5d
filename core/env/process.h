/* Facts of this process and machine. */
#ifndef TACIT_ENV_PROCESS_H
#define TACIT_ENV_PROCESS_H

#include <stdint.h>
#include <stdbool.h>

/* Installs handlers for SIGTERM and SIGINT that set the flag below (a second signal of either kind
 * keeps it set), and ignores SIGPIPE. */
void env_stop_on_signals(void);
/* SIGUSR1 sets it too: what clusters send before they take a machine away. */
void env_stop_on_notice(void);
/* Polled by every long loop. */
bool env_stop_requested(void);
/* "SIGTERM", …: the signal that set the flag; NULL where something else did, or nothing yet. */
const char *env_stop_signal(void);
/* Sets the flag as a signal would (tests, in-process stops). */
void env_stop_request(void);
/* Clears it again, for programs in which Ctrl-C ends less than the program. */
void env_stop_forget(void);
/* Sleeps for ms or until the flag is set; returns the flag. */
bool env_stop_wait_ms(int64_t ms);
/* For poll(2) loops: becomes readable once the flag is set. */
int env_stop_fd(void);

/* Processors this process may use: affinity, and the cgroup's quota rounded up. */
int env_cpu_count(void);
uint64_t env_memory_bytes(void);       /* physical memory, or the cgroup's limit where lower */
uint64_t env_memory_peak(void);        /* this process's peak resident bytes */
const char *env_host_name(void);       /* borrowed, static */
const char *env_get(const char *name); /* environment variable or NULL; borrowed */
/* For this process and its children; only before any thread is started. */
void env_set(const char *name, const char *value);

#endif
