#include "coordinator/lease/watchdog.h"

#include "coordinator/lease/lease.h"

void watch_pace_add(struct watch_pace *p, double ms)
{
    p->ms[p->count++ % WATCH_STEPS] = (float)ms;
}

double watch_pace_median(const struct watch_pace *p)
{
    float sorted[WATCH_STEPS];
    unsigned n = p->count < WATCH_STEPS ? p->count : WATCH_STEPS;
    for (unsigned i = 0; i < n; i++) {
        unsigned at = i;
        for (; at > 0 && sorted[at - 1] > p->ms[i]; at--)
            sorted[at] = sorted[at - 1];
        sorted[at] = p->ms[i];
    }
    return n ? (double)sorted[n / 2] : 0;
}

static int64_t at_least(double ms, int64_t least)
{
    return ms > (double)least ? (int64_t)ms : least;
}

int64_t watch_limit_ms(const struct watch_pace *own, const struct watch_pace *kind,
                       enum watch_stage stage, unsigned patience)
{
    static const int64_t least[] = {WATCH_LOADING_MS_MIN, WATCH_MS_MIN, WATCH_SAVING_MS_MIN};
    double median = watch_pace_median(own);
    if (median == 0 && kind)
        median = watch_pace_median(kind);
    int64_t ms = median == 0 ? WATCH_UNKNOWN_MS : at_least(WATCH_MEDIANS * median, least[stage]);
    return ms << (patience < WATCH_PATIENCE_MAX ? patience : WATCH_PATIENCE_MAX);
}

int64_t watch_heard_ms(int64_t gap_ms)
{
    int64_t most = LEASE_MS / 2;
    return gap_ms < 0 ? 0 : gap_ms < most ? gap_ms : most;
}
