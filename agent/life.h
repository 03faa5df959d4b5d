/* How long agents live on this machine, from one start to an end that nobody here chose: a
 * preemption, a kill, a power cut. The mean decides how often to save (core/runners/pace.h).
 *
 *     WORK/life     "LIVES SECONDS": how many were seen to end, and how long they lived in all
 *     WORK/alive    there while the agent runs, its time of change when it was last alive; its line
 *                   is the start's wall clock, in milliseconds */
#ifndef TACIT_AGENT_LIFE_H
#define TACIT_AGENT_LIFE_H

#include <stdbool.h>
#include <stdint.h>
#include "core/base/err.h"

struct life {
    char *alive, *file; /* paths; owned */
    double lives, seconds;
    int64_t began_ms; /* monotonic */
};

/* Takes up what earlier processes left, the last one's end included, and begins a life. Files that
 * can't be read or written count as absent: it is about speed alone. */
void life_begin(struct life *l, const char *work);
/* Still alive: every ten seconds or so. Any thread. */
void life_go_on(struct life *l);
/* The process ends in order. chosen: by somebody who wants it stopped, which says nothing of how
 * long it might have lived. */
void life_end(struct life *l, bool chosen);
/* Mean life, with one of PACE_LIFE_S before all that were seen, and the present one as far as it
 * has come. */
double life_mean_s(const struct life *l);

#endif
