/* What a run has cost so far, part by part, in the report's terms. */
#include "core/mixture/cost.h"
#include "coordinator/run/find.h"
#include "coordinator/run/run_share.h"
#include "coordinator/run/runs.h"

enum part { ROUTERS, SCORING, SEGMENTS, EXPERTS, DENSE, DENSE_FLOPS, EVALUATION, PARTS };
static const char *const part_names[PARTS] = {"routers", "scoring",     "segments",  "experts",
                                              "dense",   "dense-flops", "evaluation"};

static enum part part_of(int kind, int target)
{
    switch (kind) {
    case JOB_TRAIN_ROUTER:
        return ROUTERS;
    case JOB_SCORE:
    case JOB_ASSIGN:
        return SCORING;
    case JOB_SEGMENT:
        return SEGMENTS;
    case JOB_TRAIN:
        return target == TARGET_EXPERT ? EXPERTS : target == TARGET_DENSE ? DENSE : DENSE_FLOPS;
    default:
        return EVALUATION;
    }
}

static void fill_flops(const struct run_parts *w, const struct run_parts *d,
                       struct msg_part_spent *out)
{
    const struct {
        enum part part;
        double planned, share;
    } of[] = {
        {ROUTERS, w->routers, d->routers},
        {SCORING, w->routers_scoring, d->routers_scoring},
        {SCORING, w->scoring, d->scoring},
        {EXPERTS, w->experts, d->experts},
        {DENSE, w->dense, d->dense},
        {DENSE_FLOPS, w->dense_flops, d->dense_flops},
        {EVALUATION, w->evaluation, d->evaluation},
    };
    for (size_t i = 0; i < sizeof of / sizeof of[0]; i++) {
        double share = of[i].share < 1 ? of[i].share : 1;
        out[of[i].part].planned += of[i].planned;
        out[of[i].part].spent += of[i].planned * share;
    }
}

static int fill_sums(struct call *c, uint64_t run, struct msg_part_spent *out, struct err *e)
{
    struct job_sum *rows;
    uint32_t count;
    int rc = op_job_sums(c->conn, run, c->arena, &rows, &count, e);
    for (uint32_t i = 0; !rc && i < count; i++) {
        struct msg_part_spent *p = &out[part_of(rows[i].kind, rows[i].target)];
        p->seconds += rows[i].seconds;
        p->tokens += rows[i].tokens;
        p->bytes_down += rows[i].bytes_down;
        p->bytes_up += rows[i].bytes_up;
    }
    return rc;
}

int runs_costs(struct call *c, const void *in, void *out, struct err *e)
{
    (void)in;
    struct msg_spending *m = out;
    struct run_row row;
    struct run_view v;
    struct run_parts planned, done;
    struct model_config model;
    struct msg_part_spent *parts = arena_alloc_array(c->arena, PARTS, sizeof *parts);
    if (!parts)
        return err_set(e, ERR_NO_MEMORY, "no memory for the costs of a run");
    for (int i = 0; i < PARTS; i++)
        parts[i].part = part_names[i];
    int rc = run_find(c, &row, e);
    if (!rc)
        rc = run_view_load(c->conn, row.id, true, c->arena, &v, e);
    if (!rc)
        rc = run_parts_now(c, &v, &done, e);
    if (!rc)
        rc = fill_sums(c, row.id, parts, e);
    if (rc)
        return rc;
    run_parts_planned(&v, &planned);
    fill_flops(&planned, &done, parts);
    spec_expert_model(&v.spec, v.facts.vocab, v.facts.seq, &model);
    m->parts = parts;
    m->part_count = PARTS;
    m->data_parallel_bytes = 8.0 * (double)model_parameters(&model) *
                             (double)due_steps(&v.facts, TARGET_EXPERT) * v.spec.experts;
    return 0;
}
