#include "coordinator/store/ops_curves.h"

#include <stdlib.h>
#include <string.h>
#include "core/base/le.h"
#include "coordinator/store/conn.h"

#define POINT_BYTES 20 /* schema: step, time, loss */

static void point_write(uint8_t *at, const struct curve_point *p)
{
    float loss = (float)p->loss;
    uint32_t bits;
    memcpy(&bits, &loss, sizeof bits);
    le64_put(at, p->step);
    le64_put(at + 8, p->at_ms);
    le32_put(at + 16, bits);
}

static struct curve_point point_read(const uint8_t *at)
{
    uint32_t bits = le32_get(at + 16);
    float loss;
    memcpy(&loss, &bits, sizeof loss);
    return (struct curve_point){.step = le64_get(at), .at_ms = le64_get(at + 8), .loss = loss};
}

void curve_join(struct curve *c, const struct msg_point *points, uint32_t count, uint64_t since_ms,
                uint64_t wall_ms)
{
    uint32_t old = c->count, kept = 0, known = 0;
    if (count == 0)
        return;
    while (kept < old && c->points[kept].step < points[0].step)
        kept++;
    uint32_t room = PROTOCOL_CURVE_MAX - kept;
    count = count < room ? count : room;
    /* The times of those that are said again, before they are written over. */
    while (known < count && kept + known < old &&
           c->points[kept + known].step == points[known].step)
        known++;
    uint32_t last = kept + known;
    uint64_t from =
        last > 0 && c->points[last - 1].at_ms > since_ms ? c->points[last - 1].at_ms : since_ms;
    uint64_t span = wall_ms > from ? wall_ms - from : 0;
    for (uint32_t i = 0; i < count; i++) {
        struct curve_point *p = &c->points[kept + i];
        if (i >= known)
            p->at_ms = from + span * (i - known + 1) / (count - known);
        p->step = points[i].step;
        p->loss = points[i].loss;
    }
    c->count = kept + count;
}

static int read_points(const struct query *q, int column, struct curve *out, struct err *e)
{
    uint8_t bytes[POINT_BYTES * PROTOCOL_CURVE_MAX];
    uint64_t len = column_u64(q, column);
    out->count = (uint32_t)(len / POINT_BYTES);
    if (len > sizeof bytes || len % POINT_BYTES != 0 ||
        (len > 0 && !column_bytes(q, column + 1, bytes, len)))
        return err_set(e, ERR_INTERNAL, "a learning curve of %llu bytes", (unsigned long long)len);
    for (uint32_t i = 0; i < out->count; i++)
        out->points[i] = point_read(bytes + (size_t)i * POINT_BYTES);
    return 0;
}

static int load(struct store_conn *c, uint64_t job, struct curve *out, struct err *e)
{
    struct query q;
    query_open(&q, c, "SELECT length(points), points FROM curve WHERE job = ?");
    query_u64(&q, job);
    int rc = query_step(&q, e);
    out->count = 0;
    if (rc == 1)
        rc = read_points(&q, 0, out, e);
    query_close(&q);
    return rc;
}

static int store(struct store_conn *c, uint64_t job, const struct curve *curve, struct err *e)
{
    uint8_t bytes[POINT_BYTES * PROTOCOL_CURVE_MAX];
    struct query q;
    for (uint32_t i = 0; i < curve->count; i++)
        point_write(bytes + (size_t)i * POINT_BYTES, &curve->points[i]);
    query_open(&q, c,
               "INSERT INTO curve (job, points) VALUES (?, ?)"
               " ON CONFLICT (job) DO UPDATE SET points = excluded.points");
    query_u64(&q, job);
    query_bytes(&q, bytes, (size_t)curve->count * POINT_BYTES);
    return query_run(&q, NULL, e);
}

int op_curve_put(struct store_conn *c, uint64_t job, const struct msg_point *points, uint32_t count,
                 uint64_t since_ms, uint64_t wall_ms, struct err *e)
{
    struct curve curve;
    if (count == 0)
        return 0;
    int rc = load(c, job, &curve, e);
    if (rc)
        return rc;
    curve_join(&curve, points, count, since_ms, wall_ms);
    return store(c, job, &curve, e);
}

int op_curves(struct store_conn *c, uint64_t run, curve_each_fn *each, void *arg, struct err *e)
{
    static const char walk[] =
        "SELECT job.id, target, idx, state, fence_incarnation, fence_counter, since_ms,"
        " ifnull(length(points), 0), points FROM job LEFT JOIN curve ON curve.job = job.id"
        " WHERE run = ? AND kind IN (0, 4) AND undone = 0 AND (state = 1 OR points IS NOT NULL)"
        " ORDER BY target, idx, round, step_first";
    struct curve curve;
    struct query q;
    int rc;
    query_open(&q, c, walk);
    query_u64(&q, run);
    while ((rc = query_step(&q, e)) == 1) {
        struct curve_row row = {.job = column_u64(&q, 0),
                                .target = (int)column_u64(&q, 1),
                                .index = column_u64(&q, 2),
                                .state = (int)column_u64(&q, 3),
                                .fence = {column_u64(&q, 4), column_u64(&q, 5)},
                                .since_ms = column_u64(&q, 6)};
        rc = read_points(&q, 7, &curve, e);
        if (!rc)
            rc = each(arg, &row, &curve, e);
        if (rc)
            break;
    }
    query_close(&q);
    return rc;
}
