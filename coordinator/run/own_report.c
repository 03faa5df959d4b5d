#include "coordinator/run/own.h"

#include <math.h>
#include <string.h>
#include "core/base/buf.h"
#include "core/env/clock.h"
#include "core/mixture/evalblob.h"
#include "core/mixture/evaluate.h"
#include "coordinator/store/blobs.h"

#define REPORT_BYTES_MAX PROTOCOL_BODY_MAX /* what clients take */
#define REPORT_BLOCK_MAX 256               /* sequences read at a time of every evaluation … */
#define REPORT_BLOCK_BYTES (16u << 20) /* … while those rows together take no more than this */
/* Largest lists of a report in its bytes: 1,024 experts have 32 sources each, and shares are told
 * of the last rounds. */
#define REPORT_SOURCES_MAX 32768
#define REPORT_SHARES_MAX 65536
#define SCRATCH_MAX (1u << 20) /* a round's shares, as text and read */

/* Evaluations read side by side, block by block: routers' first, then experts', then the dense
 * ones'. */
struct column {
    struct digest digest;
    struct evalblob blob;
    uint8_t *rows; /* a block */
    bool present;
};

struct reading {
    struct own_job *job;
    struct column *routers, *experts, baselines[EVALUATE_BASELINES];
    uint32_t expert_count;
    uint64_t block;
    float *cumulative;   /* (E, M) */
    double *all, *after; /* E */
    uint16_t *routes;    /* of every held-out sequence: filled by the first pass */
};

static int column_open(struct reading *r, int target, uint32_t index, uint64_t step,
                       struct column *col, struct err *e)
{
    struct job_key k = {.kind = JOB_EVAL, .target = target, .index = index, .step_last = step};
    struct msg_blob b;
    uint8_t header[EVALBLOB_HEADER] = {0};
    size_t got;
    int rc = own_output(r->job, &k, &b, e);
    if (!rc)
        rc = blob_read(r->job->service->store, &b.digest, 0, header, sizeof header, &got, e);
    if (!rc)
        rc = evalblob_header_read(header, b.bytes, &col->blob, e);
    if (rc)
        return rc;
    col->digest = b.digest;
    col->present = true;
    if (!col->rows)
        col->rows = arena_alloc_array(r->job->arena, r->block, col->blob.row_bytes);
    return col->rows ? 0 : err_set(e, ERR_NO_MEMORY, "no memory for a report");
}

static int column_read(struct reading *r, struct column *col, uint64_t first, uint64_t n,
                       struct err *e)
{
    size_t got, len = n * col->blob.row_bytes;
    int rc = blob_read(r->job->service->store, &col->digest,
                       EVALBLOB_HEADER + first * col->blob.row_bytes, col->rows, len, &got, e);
    if (!rc && got != len)
        rc = err_set(e, ERR_FORMAT, "an evaluation is cut short");
    return rc;
}

/* A spec is refused where one row of all would take more (SPEC_SCORES_MAX). */
static uint64_t block_of(const struct run_spec *s)
{
    uint64_t router = 4ull * s->router.prefix, model = 16;
    uint64_t row = s->experts * (router + model) + EVALUATE_BASELINES * model;
    uint64_t block = REPORT_BLOCK_BYTES / row;
    if (block < 1)
        return 1;
    return block < REPORT_BLOCK_MAX ? block : REPORT_BLOCK_MAX;
}

static int reading_init(struct reading *r, struct own_job *j, struct err *e)
{
    struct arena *a = j->arena;
    uint32_t experts = j->view.spec.experts;
    *r = (struct reading){.job = j, .expert_count = experts, .block = block_of(&j->view.spec)};
    r->routers = arena_alloc_array(a, experts, sizeof *r->routers);
    r->experts = arena_alloc_array(a, experts, sizeof *r->experts);
    r->cumulative =
        arena_alloc_array(a, (size_t)experts * j->view.spec.router.prefix, sizeof *r->cumulative);
    r->all = arena_alloc_array(a, experts, sizeof *r->all);
    r->after = arena_alloc_array(a, experts, sizeof *r->after);
    r->routes = arena_alloc_array(a, j->view.dataset.heldout_sequences, sizeof *r->routes);
    if (!r->routers || !r->experts || !r->cumulative || !r->all || !r->after || !r->routes)
        return err_set(e, ERR_NO_MEMORY, "no memory for a report");
    return 0;
}

/* Opens the evaluations of every model at a step (0: each at its last), the routers' where they are
 * to be read. Dense models that do not reach the step are left out. */
static int reading_open(struct reading *r, uint64_t step, bool routers, struct err *e)
{
    const struct run_facts *f = &r->job->view.facts;
    const int target[] = {TARGET_DENSE, TARGET_DENSE_FLOPS};
    int rc = 0;
    for (uint32_t i = 0; !rc && i < r->expert_count; i++) {
        if (routers)
            rc = column_open(r, TARGET_ROUTER, i, 0, &r->routers[i], e);
        if (!rc)
            rc = column_open(r, TARGET_EXPERT, i, step ? step : due_steps(f, TARGET_EXPERT),
                             &r->experts[i], e);
    }
    for (int b = 0; !rc && b < EVALUATE_BASELINES; b++) {
        uint64_t steps = due_steps(f, target[b]);
        r->baselines[b].present = false;
        if (steps > 0 && (step == 0 || (b == EVALUATE_DENSE && step <= steps)))
            rc = column_open(r, target[b], 0, step ? step : steps, &r->baselines[b], e);
    }
    return rc;
}

static int read_block(struct reading *r, bool routed, uint64_t first, uint64_t n, struct err *e)
{
    int rc = 0;
    for (uint32_t i = 0; !rc && i < r->expert_count; i++) {
        if (!routed)
            rc = column_read(r, &r->routers[i], first, n, e);
        if (!rc)
            rc = column_read(r, &r->experts[i], first, n, e);
    }
    for (int b = 0; !rc && b < EVALUATE_BASELINES; b++)
        if (r->baselines[b].present)
            rc = column_read(r, &r->baselines[b], first, n, e);
    return rc;
}

static void add_sequence(struct reading *r, struct evaluate *v, uint64_t sequence, uint64_t row,
                         uint32_t label, uint32_t text_bytes)
{
    uint32_t prefix = r->job->view.spec.router.prefix;
    struct evaluate_sequence s = {.cumulative = r->cumulative,
                                  .all = r->all,
                                  .after = r->after,
                                  .route = r->routes[sequence],
                                  .label = label,
                                  .text_bytes = text_bytes};
    for (uint32_t i = 0; i < r->expert_count; i++) {
        if (!v->o.routed)
            evalblob_router_row(&r->routers[i].blob, r->routers[i].rows, row,
                                r->cumulative + (size_t)i * prefix);
        evalblob_model_row(r->experts[i].rows, row, &r->all[i], &r->after[i]);
    }
    for (int b = 0; b < EVALUATE_BASELINES; b++)
        if (r->baselines[b].present)
            evalblob_model_row(r->baselines[b].rows, row, &s.baseline_all[b], &s.baseline_after[b]);
    uint32_t route = evaluate_add(v, &s);
    if (!v->o.routed)
        r->routes[sequence] = (uint16_t)route;
}

/* Feeds every held-out sequence, in order, to the evaluation. */
static int reading_pass(struct reading *r, const struct msg_dataset *d, struct evaluate *v,
                        struct err *e)
{
    uint8_t labels[REPORT_BLOCK_MAX];
    uint32_t text_bytes[REPORT_BLOCK_MAX];
    uint64_t sequence = 0;
    for (uint32_t i = 0; i < d->heldout_count; i++) {
        for (uint64_t at = 0; at < d->heldout[i].sequences; at += r->block) {
            uint64_t n = d->heldout[i].sequences - at;
            n = n < r->block ? n : r->block;
            int rc = own_poll(r->job, e);
            if (!rc)
                rc = own_shard_facts(r->job, &d->heldout[i], at, n, labels, text_bytes, e);
            if (!rc)
                rc = read_block(r, v->o.routed, sequence, n, e);
            if (rc)
                return rc;
            for (uint64_t k = 0; k < n; k++)
                add_sequence(r, v, sequence++, k, labels[k], text_bytes[k]);
        }
    }
    return 0;
}

static int evaluate_at(struct reading *r, const struct msg_dataset *d, uint64_t step,
                       struct evaluate *v, struct evaluate_report *out, struct err *e)
{
    const struct run_view *view = &r->job->view;
    int rc = reading_open(r, step, step == 0, e);
    if (rc)
        return rc;
    struct evaluate_options o = {.experts = view->spec.experts,
                                 .prefix = view->spec.router.prefix,
                                 .seq = view->facts.seq,
                                 .labels = d->label_count,
                                 .routed = step != 0};
    for (int b = 0; b < EVALUATE_BASELINES; b++)
        o.baseline[b] = r->baselines[b].present;
    rc = evaluate_init(v, &o, e);
    if (!rc)
        rc = reading_pass(r, d, v, e);
    if (!rc)
        evaluate_finish(v, out);
    return rc;
}

static int last_model_content(struct own_job *j, int target, uint32_t index, struct digest *out,
                              struct err *e)
{
    struct job_key k = {.kind = JOB_TRAIN, .target = target, .index = index};
    if (target == TARGET_ROUTER) {
        k.kind = JOB_TRAIN_ROUTER;
        k.round = j->view.spec.router.rounds - 1;
    } else {
        k.step_last = due_steps(&j->view.facts, target);
        k.step_first = due_link_first(&j->view.facts, target, k.step_last);
    }
    struct msg_blob b;
    int rc = own_output(j, &k, &b, e);
    if (!rc)
        *out = b.content;
    return rc;
}

/* --- filling the message ---------------------------------------------------------------------- */

static int fill_quality(struct own_job *j, int target, const struct evaluate_quality *q,
                        double flops, const struct msg_quality **out, struct err *e)
{
    struct msg_quality *m = arena_alloc(j->arena, sizeof *m);
    struct model_config c;
    if (!m)
        return err_set(e, ERR_NO_MEMORY, "no memory for a report");
    spec_expert_model(&j->view.spec, j->view.facts.vocab, j->view.facts.seq, &c);
    uint32_t batch = target == TARGET_EXPERT ? j->view.spec.expert.batch : j->view.spec.dense.batch;
    uint64_t models = target == TARGET_EXPERT ? j->view.spec.experts : 1;
    *m = (struct msg_quality){.perplexity = q->perplexity,
                              .perplexity_after_prefix = q->perplexity_after_prefix,
                              .bits_per_byte = q->bits_per_byte,
                              .flops = flops,
                              .parameters = models * model_parameters(&c),
                              .steps = due_steps(&j->view.facts, target),
                              .batch = batch};
    m->tokens = models * m->steps * batch * j->view.facts.seq;
    *out = m;
    return target == TARGET_EXPERT ? 0 : last_model_content(j, target, 0, &m->digest, e);
}

static int fill_experts(struct own_job *j, const struct msg_dataset *d,
                        const struct evaluate_report *v, struct msg_report *m, struct err *e)
{
    uint32_t experts = j->view.spec.experts;
    m->expert_reports = arena_alloc_array(j->arena, experts, sizeof *m->expert_reports);
    if (!m->expert_reports)
        return err_set(e, ERR_NO_MEMORY, "no memory for a report");
    m->expert_report_count = experts;
    int rc = 0;
    for (uint32_t i = 0; !rc && i < experts; i++) {
        const struct evaluate_expert *x = &v->experts[i];
        struct msg_expert_report *r = &m->expert_reports[i];
        uint32_t sources = REPORT_SOURCES_MAX / experts;
        sources = x->source_count < sources ? x->source_count : sources;
        struct msg_source_share *s = arena_alloc_array(j->arena, sources + 1, sizeof *s);
        if (!s)
            return err_set(e, ERR_NO_MEMORY, "no memory for a report");
        for (uint32_t k = 0; k < sources; k++)
            s[k] =
                (struct msg_source_share){d->labels[x->sources[k].label].name, x->sources[k].share};
        *r = (struct msg_expert_report){.index = i,
                                        .share = x->share,
                                        .perplexity = x->perplexity,
                                        .dense_perplexity = x->dense_perplexity,
                                        .sources = s,
                                        .source_count = sources};
        rc = last_model_content(j, TARGET_EXPERT, i, &r->digest, e);
    }
    return rc;
}

static int fill_routers(struct own_job *j, struct msg_report *m, struct err *e)
{
    uint32_t experts = j->view.spec.experts;
    int rc = 0;
    if (j->view.spec.router.mode == SPEC_RANDOM)
        return 0;
    m->routers = arena_alloc_array(j->arena, experts, sizeof *m->routers);
    if (!m->routers)
        return err_set(e, ERR_NO_MEMORY, "no memory for a report");
    m->router_count = experts;
    for (uint32_t i = 0; !rc && i < experts; i++) {
        m->routers[i].index = i;
        rc = last_model_content(j, TARGET_ROUTER, i, &m->routers[i].digest, e);
    }
    return rc;
}

/* An assignment's detail, in an arena that is reset before. */
static int read_round(struct own_job *j, const struct job_key *k, struct arena *scratch,
                      struct msg_round_report *out, struct err *e)
{
    struct job_row row;
    arena_reset(scratch);
    int rc = op_job_find(j->conn, j->view.row.id, k, scratch, &row, e);
    if (!rc && !row.detail)
        rc = err_set(e, ERR_INTERNAL, "an assignment has no detail");
    if (!rc)
        rc = message_decode(&message_round_report, row.detail, strlen(row.detail), out, scratch, e);
    if (!rc && out->share_count != j->view.spec.experts)
        rc = err_set(e, ERR_INTERNAL, "an assignment has %u shares", out->share_count);
    return rc;
}

/* Chunks together: shares and purity weighted by their sequences. */
static int fill_final_round(struct own_job *j, struct arena *scratch, struct msg_round_report *out,
                            struct err *e)
{
    uint32_t experts = j->view.spec.experts;
    uint32_t chunks = (uint32_t)spec_chunks(&j->view.spec, j->view.dataset.train_sequences);
    double total = (double)spec_expert_draw(&j->view.spec, j->view.dataset.train_sequences);
    double *shares = arena_alloc_array(j->arena, experts, sizeof *shares);
    if (!shares)
        return err_set(e, ERR_NO_MEMORY, "no memory for a report");
    *out = (struct msg_round_report){.round = j->view.spec.router.rounds,
                                     .final = true,
                                     .shares = shares,
                                     .share_count = experts};
    for (uint32_t c = 0; c < chunks; c++) {
        struct job_key k = {.kind = JOB_ASSIGN, .final = true, .chunk = c};
        struct msg_round_report r;
        double weight = (double)due_chunk_sequences(&j->view.facts, c) / total;
        int rc = read_round(j, &k, scratch, &r, e);
        if (rc)
            return rc;
        out->purity += weight * r.purity;
        out->inverse_purity += weight * r.inverse_purity;
        for (uint32_t i = 0; i < experts; i++)
            shares[i] += weight * r.shares[i];
    }
    return 0;
}

static int fill_round(struct own_job *j, uint32_t round, bool with_shares, struct arena *scratch,
                      struct msg_round_report *out, struct err *e)
{
    struct job_key k = {.kind = JOB_ASSIGN, .round = round};
    int rc = read_round(j, &k, scratch, out, e);
    if (rc)
        return rc;
    const double *read = out->shares;
    double *kept = arena_alloc_array(j->arena, out->share_count, sizeof *kept);
    if (!kept)
        return err_set(e, ERR_NO_MEMORY, "no memory for a report");
    memcpy(kept, read, out->share_count * sizeof *kept);
    out->shares = kept;
    out->share_count = with_shares ? out->share_count : 0;
    return 0;
}

static int fill_rounds(struct own_job *j, struct msg_report *m, struct err *e)
{
    uint32_t between = j->view.spec.router.mode == SPEC_EM ? j->view.spec.router.rounds - 1 : 0;
    uint32_t with_shares = REPORT_SHARES_MAX / j->view.spec.experts - 1;
    struct arena scratch;
    m->rounds = arena_alloc_array(j->arena, between + 1, sizeof *m->rounds);
    if (!m->rounds)
        return err_set(e, ERR_NO_MEMORY, "no memory for a report");
    m->round_count = between + 1;
    arena_init(&scratch, SCRATCH_MAX);
    int rc = 0;
    for (uint32_t r = 0; !rc && r < between; r++)
        rc = fill_round(j, r + 1, between - r <= with_shares, &scratch, &m->rounds[r], e);
    if (!rc)
        rc = fill_final_round(j, &scratch, &m->rounds[between], e);
    arena_free(&scratch);
    return rc;
}

static int fill_costs(struct own_job *j, struct msg_report *m, const struct evaluate_report *v,
                      struct err *e)
{
    const struct run_view *view = &j->view;
    struct msg_costs *costs = arena_alloc(j->arena, sizeof *costs);
    struct msg_overhead *over = arena_alloc(j->arena, sizeof *over);
    if (!costs || !over)
        return err_set(e, ERR_NO_MEMORY, "no memory for a report");
    struct cost_run run;
    struct cost_result c;
    spec_cost(&view->spec, view->facts.vocab, view->facts.seq, view->facts.train_sequences, &run);
    cost_compute(&run, &c);
    c.experts_training *= (double)due_steps(&view->facts, TARGET_EXPERT) /
                          (double)view->spec.expert.steps; /* where they were extended */
    bool em = view->spec.router.mode == SPEC_EM;
    double step =
        cost_step(view->spec.dense.batch, view->facts.seq, &run.expert, run.expert_optimizer);
    uint64_t dense = due_steps(&view->facts, TARGET_DENSE);
    uint64_t dense_flops = due_steps(&view->facts, TARGET_DENSE_FLOPS);
    *costs = (struct msg_costs){.routers_training = em ? c.routers_training_prefix : 0,
                                .routers_sharding = em ? c.routers_sharding : 0,
                                .experts_sharding = em ? c.experts_sharding : 0,
                                .experts_training = c.experts_training,
                                .dense_training = step * (double)dense,
                                .dense_flops_training = step * (double)dense_flops,
                                .dense_inference = c.dense_inference,
                                .mixture_inference =
                                    c.dense_inference + (em ? c.inference_overhead : 0)};
    double routers = costs->routers_training + costs->routers_sharding + costs->experts_sharding;
    *over =
        (struct msg_overhead){.training = routers / c.experts_training,
                              .training_paper = em ? c.training_overhead / c.experts_training : 0,
                              .inference = em ? c.inference_overhead / c.dense_inference : 0};
    m->costs = costs;
    m->overhead = over;
    int rc =
        fill_quality(j, TARGET_EXPERT, &v->mixture, c.experts_training + routers, &m->mixture, e);
    if (!rc && dense)
        rc = fill_quality(j, TARGET_DENSE, &v->baseline[EVALUATE_DENSE], costs->dense_training,
                          &m->dense, e);
    if (!rc && dense_flops)
        rc = fill_quality(j, TARGET_DENSE_FLOPS, &v->baseline[EVALUATE_DENSE_FLOPS],
                          costs->dense_flops_training, &m->dense_flops, e);
    return rc;
}

static double *seconds_of(struct msg_seconds *s, int kind, int target)
{
    switch (kind) {
    case JOB_TRAIN_ROUTER:
        return &s->routers;
    case JOB_SCORE:
    case JOB_ASSIGN:
        return &s->scoring;
    case JOB_SEGMENT:
        return &s->segments;
    case JOB_TRAIN:
        return target == TARGET_EXPERT  ? &s->experts
               : target == TARGET_DENSE ? &s->dense
                                        : &s->dense_flops;
    default:
        return &s->evaluation;
    }
}

/* What was spent: computing by phase, and bytes moved beside what data-parallel training of the
 * same steps moves: 8 bytes a parameter, node and step (METHOD, "Cost formulas"). */
static int fill_spent(struct own_job *j, struct msg_report *m, struct err *e)
{
    struct msg_seconds *s = arena_alloc(j->arena, sizeof *s);
    struct msg_bytes *b = arena_alloc(j->arena, sizeof *b);
    struct job_sum *rows;
    uint32_t count;
    if (!s || !b)
        return err_set(e, ERR_NO_MEMORY, "no memory for a report");
    int rc = op_job_sums(j->conn, j->view.row.id, j->arena, &rows, &count, e);
    for (uint32_t i = 0; !rc && i < count; i++) {
        *seconds_of(s, rows[i].kind, rows[i].target) += rows[i].seconds;
        b->down += rows[i].bytes_down;
        b->up += rows[i].bytes_up;
    }
    struct model_config c;
    spec_expert_model(&j->view.spec, j->view.facts.vocab, j->view.facts.seq, &c);
    b->data_parallel =
        8 * model_parameters(&c) * due_steps(&j->view.facts, TARGET_EXPERT) * j->view.spec.experts;
    int64_t wall_ms = env_wall_ms() - (int64_t)j->view.row.created_ms;
    s->wall = wall_ms > 0 ? (double)wall_ms / 1000 : 0; /* the clock may have been set back */
    m->seconds = s;
    m->bytes = b;
    return rc;
}

static int fill_curve(struct own_job *j, struct reading *r, const struct msg_dataset *d,
                      struct msg_report *m, struct err *e)
{
    uint64_t every = j->view.spec.eval.every_steps,
             steps = due_steps(&j->view.facts, TARGET_EXPERT);
    if (every == 0)
        return 0;
    m->curve = arena_alloc_array(j->arena, steps / every + 1, sizeof *m->curve);
    if (!m->curve)
        return err_set(e, ERR_NO_MEMORY, "no memory for a report");
    for (uint64_t step = every; step <= steps; step += every) {
        struct evaluate v = {0};
        struct evaluate_report report;
        int rc = evaluate_at(r, d, step, &v, &report, e);
        if (!rc)
            m->curve[m->curve_count++] = (struct msg_curve_point){
                step,
                r->baselines[EVALUATE_DENSE].present ? report.baseline[EVALUATE_DENSE].perplexity
                                                     : NAN,
                report.mixture.perplexity};
        evaluate_free(&v);
        if (rc)
            return rc;
    }
    return 0;
}

static int fill_prefixes(struct own_job *j, const struct evaluate_report *v, struct msg_report *m,
                         struct err *e)
{
    m->prefixes = arena_alloc_array(j->arena, v->prefix_count + 1, sizeof *m->prefixes);
    if (!m->prefixes)
        return err_set(e, ERR_NO_MEMORY, "no memory for a report");
    m->prefix_count = v->prefix_count;
    for (uint32_t i = 0; i < v->prefix_count; i++)
        m->prefixes[i] =
            (struct msg_prefix_report){v->prefixes[i].prefix, v->prefixes[i].perplexity};
    return 0;
}

static int store_report(struct own_job *j, const struct msg_report *m, struct msg_blob *output,
                        struct err *e)
{
    struct buf b;
    buf_init(&b, REPORT_BYTES_MAX);
    int rc = message_encode(&message_report, m, &b, e);
    *output = (struct msg_blob){.role = ROLE_REPORT, .bytes = b.len};
    if (!rc)
        rc = blob_put(j->service->store, b.data, b.len, &output->digest, e);
    buf_free(&b);
    return rc;
}

static int fill_report(struct own_job *j, struct reading *r, const struct msg_dataset *d,
                       const struct evaluate_report *v, struct msg_report *m, struct err *e)
{
    *m = (struct msg_report){.run = j->view.row.name,
                             .dataset = d->name,
                             .experts = j->view.spec.experts,
                             .seed = j->view.spec.seed,
                             .prefix = j->view.spec.router.prefix,
                             .heldout_sequences = v->sequences,
                             .heldout_predictions = v->predictions,
                             .router_mode = j->view.spec.router.mode == SPEC_EM ? "em" : "random"};
    int rc = fill_costs(j, m, v, e);
    if (!rc)
        rc = fill_experts(j, d, v, m, e);
    if (!rc)
        rc = fill_routers(j, m, e);
    if (!rc)
        rc = fill_rounds(j, m, e);
    if (!rc && j->view.spec.router.mode == SPEC_EM)
        rc = fill_prefixes(j, v, m, e);
    if (!rc)
        rc = fill_curve(j, r, d, m, e);
    return rc ? rc : fill_spent(j, m, e);
}

int own_report(struct own_job *j, struct msg_blob *output, struct err *e)
{
    struct reading r;
    struct evaluate v = {0};
    struct evaluate_report report;
    struct msg_dataset d;
    struct msg_report m;
    int rc = op_dataset_get(j->conn, j->view.row.dataset, true, j->arena, &d, e);
    if (!rc)
        rc = reading_init(&r, j, e);
    if (!rc)
        rc = evaluate_at(&r, &d, 0, &v, &report, e);
    if (!rc)
        rc = fill_report(j, &r, &d, &report, &m, e);
    if (!rc)
        rc = store_report(j, &m, output, e);
    evaluate_free(&v);
    return rc;
}
