#include "core/runners/pace.h"

#include <math.h>

#define FIRST_S 10.0    /* the first save tells what saves cost: soon, but not in every short job */
#define SHORTEST_S 1.0  /* a life so short that less would pay publishes nothing anyway */
#define COST_SHARE 10.0 /* at most a tenth of the time goes into saves */
#define NEWEST 0.25     /* weight of the newest save in the mean */

double pace_interval_s(const struct pace *p)
{
    double life = p->life_s > 0 ? p->life_s : PACE_LIFE_S;
    if (p->cost_s <= 0) {
        return FIRST_S;
    }
    double best = sqrt(2 * p->cost_s * life);
    return fmax(best, fmax(SHORTEST_S, COST_SHARE * p->cost_s));
}

void pace_saved(struct pace *p, double seconds)
{
    seconds = fmax(seconds, 1e-6); /* 0 would read as "none yet" */
    p->cost_s = p->cost_s > 0 ? p->cost_s + NEWEST * (seconds - p->cost_s) : seconds;
}
