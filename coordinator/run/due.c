#include "coordinator/run/due.h"

#include "core/mixture/assign.h"
#include "core/mixture/draw.h"

/* Sequences of a score part: many enough that reading the routers pays, few enough that a fleet
 * shares a round. Every router scores every sequence: where there are more than 16, a part has
 * fewer, lest it takes longer than its agent lives. */
#define SCORE_PART_MIN 1024u
#define SCORE_PART_LEAST 64u
#define SCORE_PART_ROUTERS 16u
#define SCORE_PARTS_WANTED 64u

/* The dense models start first, since theirs are the longest chains; what others wait for goes
 * before what nobody waits for. */
enum {
    PRIORITY_EVAL = 5,
    PRIORITY_EXPERT = 10,
    PRIORITY_SEGMENT = 25,
    PRIORITY_ROUND = 30,
    PRIORITY_DENSE = 40
};

static uint64_t min_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t max_u64(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static uint64_t parts(uint64_t n, uint64_t per_part)
{
    return n / per_part + (n % per_part != 0);
}

uint64_t due_chunk_sequences(const struct run_facts *f, uint32_t chunk)
{
    struct draw_window w = {0, spec_expert_draw(f->spec, f->train_sequences), f->train_sequences};
    struct draw_window c;
    draw_chunk_at(&w, f->spec->expert.chunk, chunk, &c);
    return c.count;
}

static uint64_t window_sequences(const struct run_facts *f, bool final, uint32_t round_or_chunk)
{
    return final ? due_chunk_sequences(f, round_or_chunk) : f->spec->router.sequences;
}

static uint64_t score_part_size(const struct run_facts *f, uint64_t n)
{
    uint64_t routers = max_u64(f->spec->experts, SCORE_PART_ROUTERS);
    uint64_t least = max_u64(SCORE_PART_MIN * SCORE_PART_ROUTERS / routers, SCORE_PART_LEAST);
    uint64_t size = parts(n, max_u64(routers, SCORE_PARTS_WANTED));
    return max_u64(min_u64(size, 4ull * f->shard_sequences), least);
}

/* Enough shards that an expert's piece of a part stays worth a request of its own. */
static uint64_t segment_part_size(const struct run_facts *f)
{
    uint64_t shards = min_u64(f->spec->experts, 256);
    return (shards < 16 ? 16 : shards) * f->shard_sequences;
}

uint32_t due_score_parts(const struct run_facts *f, bool final, uint32_t round_or_chunk)
{
    uint64_t n = window_sequences(f, final, round_or_chunk);
    return (uint32_t)parts(n, score_part_size(f, n));
}

uint32_t due_segment_parts(const struct run_facts *f, uint32_t chunk)
{
    return (uint32_t)parts(due_chunk_sequences(f, chunk), segment_part_size(f));
}

void due_part_window(const struct run_facts *f, int kind, bool final, uint32_t round_or_chunk,
                     uint32_t part, uint64_t *first, uint64_t *count)
{
    uint64_t n = window_sequences(f, final, round_or_chunk);
    uint64_t size = kind == JOB_SEGMENT ? segment_part_size(f) : score_part_size(f, n);
    *first = part * size;
    *count = min_u64(size, n - *first);
}

uint64_t due_steps(const struct run_facts *f, int target)
{
    const struct run_spec *s = f->spec;
    switch (target) {
    case TARGET_EXPERT:
        return f->end_count ? f->ends[f->end_count - 1] : s->expert.steps;
    case TARGET_DENSE:
        return s->dense.enabled ? spec_dense_steps(s) : 0;
    case TARGET_DENSE_FLOPS:
        if (!s->dense.enabled || s->dense.match != SPEC_MATCH_BOTH)
            return 0;
        return spec_dense_flops_steps(s, f->vocab, f->seq, f->train_sequences);
    default:
        return 0;
    }
}

/* Ends of the model, in order: the last one, and those that it had before it was extended. */
static uint32_t ends_of(const struct run_facts *f, int target)
{
    return target == TARGET_EXPERT ? f->end_count + 1 : 1;
}

static uint64_t end_at(const struct run_facts *f, int target, uint32_t i)
{
    if (target != TARGET_EXPERT)
        return due_steps(f, target);
    return i == 0 ? f->spec->expert.steps : f->ends[i - 1];
}

void due_cycle(const struct run_facts *f, int target, uint64_t step_first, uint64_t *first,
               uint64_t *last)
{
    uint32_t i = 0;
    while (i + 1 < ends_of(f, target) && end_at(f, target, i) <= step_first)
        i++;
    *first = i == 0 ? 0 : end_at(f, target, i - 1);
    *last = end_at(f, target, i);
}

uint64_t due_link_last(const struct run_facts *f, int target, uint64_t first)
{
    uint64_t publish = f->spec->checkpoint.publish_steps, from, end;
    due_cycle(f, target, first, &from, &end);
    return min_u64((first / publish + 1) * publish, end);
}

uint64_t due_link_first(const struct run_facts *f, int target, uint64_t last)
{
    uint64_t publish = f->spec->checkpoint.publish_steps, from, end;
    uint64_t multiple = last ? (last - 1) / publish * publish : 0;
    due_cycle(f, target, last ? last - 1 : 0, &from, &end);
    return from > multiple ? from : multiple;
}

/* Whether a model is evaluated once it has done so many steps. */
static bool step_is_evaluated(const struct run_facts *f, int target, uint64_t step)
{
    uint64_t every = f->spec->eval.every_steps;
    bool is = step > 0 && every > 0 && step % every == 0;
    for (uint32_t i = 0; step > 0 && !is && i < ends_of(f, target); i++)
        is = step == end_at(f, target, i);
    return is;
}

static uint32_t model_evals(const struct run_facts *f, int target)
{
    uint64_t steps = due_steps(f, target), every = f->spec->eval.every_steps;
    if (steps == 0)
        return 0;
    uint64_t count = every > 0 ? steps / every : 0;
    for (uint32_t i = 0; i < ends_of(f, target); i++)
        count += every == 0 || end_at(f, target, i) % every != 0;
    return (uint32_t)count;
}

uint32_t due_evals_total(const struct run_facts *f)
{
    uint32_t experts = f->spec->experts;
    return experts + experts * model_evals(f, TARGET_EXPERT) + model_evals(f, TARGET_DENSE) +
           model_evals(f, TARGET_DENSE_FLOPS);
}

struct emitter {
    due_emit_fn *emit;
    void *arg;
};

static int emit_parts(const struct emitter *m, struct job_key k, uint32_t count, int priority,
                      struct err *e)
{
    for (uint32_t p = 0; p < count; p++) {
        k.part = p;
        int rc = m->emit(m->arg, &k, priority, e);
        if (rc)
            return rc;
    }
    return 0;
}

/* The same job for every expert's or router's index. */
static int emit_each(const struct emitter *m, struct job_key k, uint32_t count, int priority,
                     struct err *e)
{
    for (uint32_t i = 0; i < count; i++) {
        k.index = i;
        int rc = m->emit(m->arg, &k, priority, e);
        if (rc)
            return rc;
    }
    return 0;
}

/* One of: train the round's routers, score the round's draw, assign it. */
static int due_round(const struct run_facts *f, const struct emitter *m, struct err *e)
{
    uint32_t r = f->rounds_trained;
    if (r == 0 || f->rounds_assigned >= r) {
        struct job_key k = {.kind = JOB_TRAIN_ROUTER, .target = TARGET_ROUTER, .round = r};
        return emit_each(m, k, f->spec->experts, PRIORITY_ROUND, e);
    }
    if (f->rounds_scored >= r) {
        struct job_key k = {.kind = JOB_ASSIGN, .round = r};
        return m->emit(m->arg, &k, PRIORITY_ROUND, e);
    }
    struct job_key k = {.kind = JOB_SCORE, .round = r};
    return emit_parts(m, k, due_score_parts(f, false, r), PRIORITY_ROUND, e);
}

/* Score, assign and segment each follow one chunk behind the other at most. */
static int due_chunks(const struct run_facts *f, const struct emitter *m, struct err *e)
{
    int rc = 0;
    uint32_t chunks = (uint32_t)spec_chunks(f->spec, f->train_sequences);
    if (f->chunks_scored < chunks) {
        struct job_key k = {.kind = JOB_SCORE, .final = true, .chunk = f->chunks_scored};
        rc = emit_parts(m, k, due_score_parts(f, true, k.chunk), PRIORITY_ROUND, e);
    }
    if (!rc && f->chunks_assigned < f->chunks_scored) {
        struct job_key k = {.kind = JOB_ASSIGN, .final = true, .chunk = f->chunks_assigned};
        rc = m->emit(m->arg, &k, PRIORITY_ROUND, e);
    }
    if (!rc && f->chunks_segmented < f->chunks_assigned) {
        struct job_key k = {.kind = JOB_SEGMENT, .final = true, .chunk = f->chunks_segmented};
        rc = emit_parts(m, k, due_segment_parts(f, k.chunk), PRIORITY_SEGMENT, e);
    }
    return rc;
}

/* The next link of a model's chain, and the evaluation of the step it has reached. available:
 * sequences of its data that are there, of all that it will ever have. */
static int due_chain(const struct run_facts *f, const struct emitter *m, int target, uint32_t index,
                     uint64_t step, uint32_t batch, bool all_there, uint64_t available,
                     int priority, struct err *e)
{
    uint64_t steps = due_steps(f, target);
    if (step_is_evaluated(f, target, step)) {
        struct job_key k = {.kind = JOB_EVAL, .target = target, .index = index, .step_last = step};
        int rc = m->emit(m->arg, &k, PRIORITY_EVAL, e);
        if (rc)
            return rc;
    }
    if (step >= steps)
        return 0;
    uint64_t last = due_link_last(f, target, step);
    if (!all_there && last * batch > available)
        return 0;
    struct job_key k = {
        .kind = JOB_TRAIN, .target = target, .index = index, .step_first = step, .step_last = last};
    return m->emit(m->arg, &k, priority, e);
}

/* All chunks that are segmented are full ones, unless all are segmented: then data is no limit. */
static int due_expert(const struct run_facts *f, const struct emitter *m, uint32_t index,
                      struct err *e)
{
    uint64_t each = assign_capacity(due_chunk_sequences(f, 0), f->spec->experts, index);
    bool all = f->chunks_segmented == spec_chunks(f->spec, f->train_sequences);
    if (f->chunks_segmented == 0)
        return 0;
    return due_chain(f, m, TARGET_EXPERT, index, f->expert_step[index], f->spec->expert.batch, all,
                     f->chunks_segmented * each, PRIORITY_EXPERT, e);
}

static int due_experts(const struct run_facts *f, const struct emitter *m, struct err *e)
{
    int rc = 0;
    for (uint32_t i = 0; !rc && i < f->spec->experts; i++)
        rc = due_expert(f, m, i, e);
    return rc;
}

static int due_dense(const struct run_facts *f, const struct emitter *m, int target, struct err *e)
{
    uint64_t step = target == TARGET_DENSE ? f->dense_step : f->dense_flops_step;
    return due_chain(f, m, target, 0, step, f->spec->dense.batch, true, 0, PRIORITY_DENSE, e);
}

/* With the routers there, chunks and the routers' evaluations. */
static int due_routed(const struct run_facts *f, const struct emitter *m, struct err *e)
{
    struct job_key k = {.kind = JOB_EVAL, .target = TARGET_ROUTER};
    int rc = due_chunks(f, m, e);
    return rc ? rc : emit_each(m, k, f->spec->experts, PRIORITY_EVAL, e);
}

/* Every model is evaluated at its last step, so that all evaluations mean all models. */
static int due_report(const struct run_facts *f, const struct emitter *m, struct err *e)
{
    struct job_key k = {.kind = JOB_REPORT};
    return f->evals_done == due_evals_total(f) ? m->emit(m->arg, &k, PRIORITY_EVAL, e) : 0;
}

static bool routers_ready(const struct run_facts *f)
{
    return f->spec->router.mode == SPEC_RANDOM || f->rounds_trained == f->spec->router.rounds;
}

int due_jobs(const struct run_facts *f, due_emit_fn *emit, void *arg, struct err *e)
{
    const struct emitter m = {emit, arg};
    int rc = due_dense(f, &m, TARGET_DENSE_FLOPS, e);
    if (!rc)
        rc = due_dense(f, &m, TARGET_DENSE, e);
    if (!rc && !routers_ready(f))
        rc = due_round(f, &m, e);
    if (!rc && routers_ready(f))
        rc = due_routed(f, &m, e);
    if (!rc && routers_ready(f))
        rc = due_experts(f, &m, e);
    return rc ? rc : due_report(f, &m, e);
}

/* A stage goes on while one of its jobs is not done: then nothing follows yet. */
static bool stage_goes_on(const struct run_facts *f, const struct job_key *k)
{
    switch (k->kind) {
    case JOB_TRAIN_ROUTER:
        return f->rounds_trained <= k->round;
    case JOB_SCORE:
        return k->final ? f->chunks_scored <= k->chunk : f->rounds_scored < k->round;
    case JOB_SEGMENT:
        return f->chunks_segmented <= k->chunk;
    default:
        return false;
    }
}

int due_after(const struct run_facts *f, const struct job_key *done, due_emit_fn *emit, void *arg,
              struct err *e)
{
    const struct emitter m = {emit, arg};
    if (stage_goes_on(f, done))
        return 0;
    switch (done->kind) {
    case JOB_TRAIN_ROUTER:
        return routers_ready(f) ? due_routed(f, &m, e) : due_round(f, &m, e);
    case JOB_SCORE:
    case JOB_ASSIGN:
        return done->final ? due_chunks(f, &m, e) : due_round(f, &m, e);
    case JOB_SEGMENT: {
        int rc = due_chunks(f, &m, e);
        return rc ? rc : due_experts(f, &m, e);
    }
    case JOB_TRAIN:
        return done->target == TARGET_EXPERT ? due_expert(f, &m, done->index, e)
                                             : due_dense(f, &m, done->target, e);
    case JOB_EVAL:
        return due_report(f, &m, e);
    default:
        return 0;
    }
}
