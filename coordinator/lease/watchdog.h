/* When a job has stalled: no step in ten times the median of its step times, or, before it has any,
 * of those of its kind in the run. Pure; trails.c keeps the figures.
 *
 * Time counts as it is heard: of a gap between two heartbeats no more than one and a half intervals
 * counts, so that a clock that jumps, a coordinator that slept, or an agent that was stopped and
 * woke up, stalls nothing. Private to lease/. */
#ifndef TACIT_COORDINATOR_LEASE_WATCHDOG_H
#define TACIT_COORDINATOR_LEASE_WATCHDOG_H

#include <stdbool.h>
#include <stdint.h>

#define WATCH_MEDIANS 10
#define WATCH_MS_MIN 60000
/* Before the first step weights are read, and after the last a result is packed. */
#define WATCH_LOADING_MS_MIN (5 * 60 * 1000)
#define WATCH_SAVING_MS_MIN (10 * 60 * 1000)
/* Where nobody has done a step of this kind yet: a large model on a slow machine. */
#define WATCH_UNKNOWN_MS (30 * 60 * 1000)
/* A machine ten times as slow as others never finishes a step in their time: each restart that did
 * not bring one, or got no further than others before, doubles what the next attempt may take, so
 * often at most. */
#define WATCH_PATIENCE_MAX 8

#define WATCH_STEPS 15
struct watch_pace { /* the last step times */
    float ms[WATCH_STEPS];
    unsigned count; /* ever added */
};
void watch_pace_add(struct watch_pace *p, double ms);
/* 0 where there is none. */
double watch_pace_median(const struct watch_pace *p);

enum watch_stage { WATCH_LOADING, WATCH_STEPPING, WATCH_SAVING };
/* How long without a step is too long. kind may be NULL. */
int64_t watch_limit_ms(const struct watch_pace *own, const struct watch_pace *kind,
                       enum watch_stage stage, unsigned patience);
/* What of a gap between two heartbeats counts. */
int64_t watch_heard_ms(int64_t gap_ms);

#endif
