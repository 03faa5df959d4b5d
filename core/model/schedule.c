#include "core/model/schedule.h"

#include "core/kernels/mathfn.h"

/* The first step after the warm-up still takes the peak, and zero would be reached one step after
 * the last: every step of a run does work, also where there is only one. */
double schedule_cosine(uint64_t step, uint64_t steps, uint64_t warmup, double peak)
{
    const double pi = 3.14159265358979323846;
    if (step <= warmup)
        return schedule_constant(step, warmup, peak);
    if (step > steps)
        return 0.0;
    const double done = (double)(step - 1 - warmup) / (double)(steps - warmup);
    return peak * 0.5 * (1.0 + mathfn_cos(pi * done));
}

double schedule_constant(uint64_t step, uint64_t warmup, double peak)
{
    return step < warmup ? peak * ((double)step / (double)warmup) : peak;
}
