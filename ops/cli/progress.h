/* Progress on standard error: one line that renews itself on a terminal, a plain line every few
 * seconds elsewhere; with rate and time left. */
#ifndef TACIT_OPS_CLI_PROGRESS_H
#define TACIT_OPS_CLI_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
    bool terminal;
    int64_t started_ms, printed_ms, phase_ms;
    char phase[48];
    uint64_t phase_first;
    bool open; /* an unfinished line is on the terminal */
};

void progress_init(struct progress *p);
/* unit: "documents", "bytes" (printed as MB), …; total 0: unknown. Prints nothing in the first two
 * seconds, and not more often than a person can read. */
void progress_update(struct progress *p, const char *phase, uint64_t done, uint64_t total,
                     const char *unit);
/* Ends an open line. */
void progress_finish(struct progress *p);

#endif
