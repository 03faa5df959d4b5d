/* How often a model in training is saved: sqrt(2 · cost of a save · mean life of the machine),
 * which loses the least to saves and to work done again (J. W. Young, CACM 17(9), 1974; J. T. Daly,
 * FGCS 22(3), 2006, whose further terms matter only where a save takes a good part of a life). It
 * decides when, never what: a save changes no bit. */
#ifndef TACIT_CORE_RUNNERS_PACE_H
#define TACIT_CORE_RUNNERS_PACE_H

#include <stdint.h>

#define PACE_LIFE_S 3600.0 /* of a machine of which nothing is known yet */

struct pace {
    double cost_s; /* running mean of saves; 0: none was measured */
    double life_s; /* mean life of this machine's agents; 0: PACE_LIFE_S */
};

/* Seconds from one save to the next; at least 1 s, and ten times what a save costs. */
double pace_interval_s(const struct pace *p);
/* A save took so long. */
void pace_saved(struct pace *p, double seconds);

#endif
