/* Learning curves of a run's models, links joined, thinned to what was asked for. */
#include <string.h>
#include "coordinator/lease/lease.h"
#include "coordinator/run/advance.h"
#include "coordinator/run/find.h"
#include "coordinator/run/reply.h"
#include "coordinator/run/runs.h"
#include "coordinator/store/ops_curves.h"

#define POINTS_DEFAULT 200
#define POINTS_ALL 400000 /* of a reply, over all models */

struct gathered {
    struct call *c;
    const struct run_view *view;
    uint32_t limit; /* points of a model */
    struct msg_curve *curves;
    uint32_t count, capacity;
    struct curve model; /* of the model that the walk is at */
    int target;
    uint64_t index;
};

static uint64_t step_tokens(const struct run_view *v, int target)
{
    const struct run_spec *s = &v->spec;
    switch (target) {
    case TARGET_ROUTER:
        return (uint64_t)s->router.batch * s->router.prefix;
    case TARGET_EXPERT:
        return (uint64_t)s->expert.batch * v->facts.seq;
    default:
        return (uint64_t)s->dense.batch * v->facts.seq;
    }
}

/* Groups of equally many neighbours become one point: their mean loss at the last one's step. */
static void thin(const struct curve *c, uint32_t limit, uint64_t began_ms, struct msg_curve *out)
{
    uint32_t group = (c->count + limit - 1) / limit;
    for (uint32_t i = 0; i < c->count; i += group) {
        uint32_t n = c->count - i < group ? c->count - i : group;
        const struct curve_point *last = &c->points[i + n - 1];
        double sum = 0;
        for (uint32_t k = 0; k < n; k++)
            sum += c->points[i + k].loss;
        out->steps[out->step_count++] = (double)last->step;
        out->losses[out->loss_count++] = sum / n;
        out->ats[out->at_count++] =
            last->at_ms > began_ms ? (double)(last->at_ms - began_ms) / 1000 : 0;
    }
}

static int end_model(struct gathered *g, struct err *e)
{
    if (g->model.count == 0)
        return 0;
    double *items = arena_alloc_array(g->c->arena, 3 * (size_t)g->limit, sizeof *items);
    if (!items)
        return err_set(e, ERR_NO_MEMORY, "no memory for the learning curves");
    if (g->count == g->capacity)
        return err_set(e, ERR_INTERNAL, "more learning curves than models");
    struct msg_curve *out = &g->curves[g->count++];
    *out = (struct msg_curve){.target = g->target,
                              .index = g->index,
                              .step_tokens = step_tokens(g->view, g->target),
                              .steps = items,
                              .losses = items + g->limit,
                              .ats = items + 2 * g->limit};
    thin(&g->model, g->limit, g->view->row.created_ms, out);
    g->model.count = 0;
    return 0;
}

/* The points of a link follow those of the links before. */
static int add_link(void *arg, const struct curve_row *row, struct curve *curve, struct err *e)
{
    struct gathered *g = arg;
    int rc = 0;
    if (row->target != g->target || row->index != g->index)
        rc = end_model(g, e);
    if (rc)
        return rc;
    g->target = row->target;
    g->index = row->index;
    lease_heard_curve(g->c, row, curve);
    for (uint32_t i = 0; i < curve->count && g->model.count < PROTOCOL_CURVE_MAX; i++)
        g->model.points[g->model.count++] = curve->points[i];
    return 0;
}

int runs_curves(struct call *c, const void *in, void *out, struct err *e)
{
    (void)in;
    (void)out;
    struct run_row row;
    struct run_view view;
    int rc = run_find(c, &row, e);
    if (!rc)
        rc = run_view_load(c->conn, row.id, false, c->arena, &view, e);
    if (rc)
        return rc;
    uint32_t models = 2 * view.spec.experts + 2; /* routers, experts, two dense ones */
    uint64_t limit = c->query_limit ? c->query_limit : POINTS_DEFAULT, fair = POINTS_ALL / models;
    limit = limit < fair ? limit : fair;
    limit = limit < PROTOCOL_CURVE_MAX ? limit : PROTOCOL_CURVE_MAX;
    struct gathered *g = arena_alloc(c->arena, sizeof *g);
    if (g)
        *g = (struct gathered){.c = c, .view = &view, .limit = (uint32_t)limit, .capacity = models};
    if (!g || !(g->curves = arena_alloc_array(c->arena, models, sizeof *g->curves)))
        return err_set(e, ERR_NO_MEMORY, "no memory for the learning curves");
    rc = op_curves(c->conn, row.id, add_link, g, e);
    if (!rc)
        rc = end_model(g, e);
    return rc ? rc : reply_array(c, &message_curve, g->curves, g->count, e);
}
