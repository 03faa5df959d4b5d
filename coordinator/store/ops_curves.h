/* The named operations on learning curves. As those of ops.h, of which they are a part. */
#ifndef TACIT_COORDINATOR_STORE_OPS_CURVES_H
#define TACIT_COORDINATOR_STORE_OPS_CURVES_H

#include "coordinator/store/ops.h"

struct curve_point {
    uint64_t step, at_ms; /* at_ms: wall clock */
    double loss;          /* mean of the steps since the point before */
};
struct curve {
    struct curve_point points[PROTOCOL_CURVE_MAX];
    uint32_t count;
};

/* A job's newer points (ascending) take the place of those at their first step and behind: a job
 * that goes on from a save rewinds its curve. A step that was there keeps its time; the others are
 * spread from the last known one, or since_ms, to wall_ms. */
void curve_join(struct curve *c, const struct msg_point *points, uint32_t count, uint64_t since_ms,
                uint64_t wall_ms);
/* The same in the database. No points: no change. */
TACIT_MUST_CHECK int op_curve_put(struct store_conn *c, uint64_t job,
                                  const struct msg_point *points, uint32_t count, uint64_t since_ms,
                                  uint64_t wall_ms, struct err *e);

/* A training job of a run that has points, or is leased and may have some in memory. */
struct curve_row {
    uint64_t job, since_ms;
    int target, state;
    uint64_t index;
    struct msg_fence fence;
};
/* Calls each with all of them, by target, index, round and first step; the curve is the callee's to
 * change. An error of it ends the walk. */
typedef int curve_each_fn(void *arg, const struct curve_row *row, struct curve *curve,
                          struct err *e);
TACIT_MUST_CHECK int op_curves(struct store_conn *c, uint64_t run, curve_each_fn *each, void *arg,
                               struct err *e);

#endif
