/* Progress on standard error: one line that renews itself on a terminal, a plain line every few
 * seconds elsewhere; with rate and time left. */
#ifndef TACIT_OPS_CLI_PROGRESS_H
#define TACIT_OPS_CLI_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct progress {
    bool terminal;
    int64_t started_ms, printed_ms;
    char phase[48];
    uint64_t first; /* what was done when the phase began: the rate counts from there */
    bool open;      /* an unfinished line is on the terminal */
};

void progress_init(struct progress *p);
/* unit: "bytes" (printed as MB), "ms" (done is the time that passed), "documents", …; total 0:
 * unknown, such a phase is named as soon as it begins, since nothing may follow for long. Others
 * print nothing in their first two seconds, and none more often than a person can read. */
void progress_update(struct progress *p, const char *phase, uint64_t done, uint64_t total,
                     const char *unit);
/* Ends an open line. */
void progress_finish(struct progress *p);

/* What progress_update prints: "tokens: 12.3 MB of 40.1 MB (30 %), 4.10 MB/s, 7 s left". seconds:
 * since the phase began, in which done − first was done. */
void progress_words(char *out, size_t size, const char *phase, uint64_t first, uint64_t done,
                    uint64_t total, const char *unit, double seconds);

#endif
