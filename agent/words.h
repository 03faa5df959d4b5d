/* What the process before this one left unsaid. A process that ends in order gives its job back or
 * drops it; one that crashed, was killed or lost its power while it held one left these:
 *
 *     WORK/in-hand      the job in hand: number, fence, folder, as JSON
 *     WORK/last-words   env/last_words.h: empty, or how it crashed */
#ifndef TACIT_AGENT_WORDS_H
#define TACIT_AGENT_WORDS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include "core/base/arena.h"
#include "core/protocol/messages.h"

struct words {
    char *hand, *last; /* paths; owned */
    bool holding;      /* a job is in hand */
    struct arena arena;
    uint64_t job; /* 0: there is nothing to tell */
    struct msg_words told;
};

/* Reads what was left, and opens last words for this process (which is possible once a process). */
TACIT_MUST_CHECK int words_open(struct words *w, const char *work, struct err *e);
/* Leaves word where a job is still in hand: the process ends in order, but could not give it back.
 */
void words_close(struct words *w);
/* It has been told, or nobody wants to know. */
void words_told(struct words *w);
/* This process now holds a job, of which step is read when it crashes; its folder is jobs/key. */
void words_hold(struct words *w, const struct msg_grant *g, const char *key,
                const _Atomic uint64_t *step);
void words_drop(struct words *w);

#endif
