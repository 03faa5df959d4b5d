/* How many inputs the jobs of a run can need. A grant is one message, and what does not fit into it
 * would be found out weeks after the run was made: so it is refused before. */
#include "coordinator/run/advance.h"

#include <inttypes.h>
#include "core/mixture/assign.h"

/* Beside data: a model, its state, an assignment. */
#define BESIDE 3

static uint64_t min_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* Shards that a window of n sequences can touch: one more at its start, one more where it goes
 * around the end of the data set, whose last shard is short. */
static uint64_t shards_of(const struct run_facts *f, uint64_t n)
{
    return n / f->shard_sequences + 3;
}

static int check_rounds(const struct run_facts *f, struct err *e)
{
    uint64_t n = f->spec->router.sequences, needed = shards_of(f, n) + BESIDE;
    if (f->spec->router.mode != SPEC_EM || needed <= PROTOCOL_INPUTS_MAX)
        return 0;
    return err_set(
        e, ERR_INVALID,
        "[router] sequences: %" PRIu64 " a round are %" PRIu64
        " shards, more than the %u inputs that a job can have; accepted: at most %" PRIu64,
        n, needed, PROTOCOL_INPUTS_MAX,
        (uint64_t)(PROTOCOL_INPUTS_MAX - BESIDE - 3) * f->shard_sequences);
}

/* Sequences of the expert that gets the fewest. */
static uint64_t smallest_segment(const struct run_facts *f, uint32_t chunks)
{
    uint32_t experts = f->spec->experts;
    return (chunks - 1) * assign_capacity(due_chunk_sequences(f, 0), experts, experts - 1) +
           assign_capacity(due_chunk_sequences(f, chunks - 1), experts, experts - 1);
}

/* A link within the first pass reads the pieces that it covers, one beyond it all of them. How a
 * chunk's parts fall to an expert is known only once they are assigned: here, to each some. */
static int check_experts(const struct run_facts *f, struct err *e)
{
    const struct run_spec *s = f->spec;
    uint32_t chunks = (uint32_t)spec_chunks(s, f->train_sequences);
    uint64_t parts = due_segment_parts(f, 0);
    uint64_t all = (chunks - 1) * parts + due_segment_parts(f, chunks - 1);
    uint64_t segment = smallest_segment(f, chunks);
    uint64_t steps = due_steps(f, TARGET_EXPERT);
    uint64_t link = min_u64(s->checkpoint.publish_steps, steps) * s->expert.batch;
    uint64_t per_chunk = assign_capacity(due_chunk_sequences(f, 0), s->experts, s->experts - 1);
    uint64_t touched = min_u64(chunks, link / per_chunk + 2);
    if (steps * s->expert.batch > segment && all + BESIDE > PROTOCOL_INPUTS_MAX)
        return err_set(e, ERR_INVALID,
                       "[expert] steps: %" PRIu64 " of %u sequences are more than the %" PRIu64
                       " of an expert, and a job of a second pass reads all of its %" PRIu64
                       " pieces, more than the %u inputs that a job can have; lower [expert] steps "
                       "to at most %" PRIu64 ", or raise [run] experts",
                       steps, s->expert.batch, segment, all, PROTOCOL_INPUTS_MAX,
                       segment / s->expert.batch);
    if (min_u64(min_u64(link, all), touched * parts) + BESIDE > PROTOCOL_INPUTS_MAX)
        return err_set(
            e, ERR_INVALID,
            "[checkpoint] publish_steps: %" PRIu64 " steps of %u sequences can read %" PRIu64
            " pieces, more than the %u inputs that a job can have; lower it",
            s->checkpoint.publish_steps, s->expert.batch, touched * parts, PROTOCOL_INPUTS_MAX);
    return 0;
}

static int check_dense(const struct run_facts *f, int target, struct err *e)
{
    const struct run_spec *s = f->spec;
    uint64_t draw = spec_expert_draw(s, f->train_sequences), steps = due_steps(f, target);
    uint64_t link = min_u64(s->checkpoint.publish_steps, steps) * s->dense.batch;
    if (steps == 0)
        return 0;
    if (steps * s->dense.batch > draw && shards_of(f, draw) + BESIDE > PROTOCOL_INPUTS_MAX)
        return err_set(e, ERR_INVALID,
                       "[dense] %s: a second pass reads all %" PRIu64 " shards of the %" PRIu64
                       " sequences drawn, more than the %u inputs that a "
                       "job can have; %s",
                       target == TARGET_DENSE ? "enabled" : "match", shards_of(f, draw), draw,
                       PROTOCOL_INPUTS_MAX,
                       target == TARGET_DENSE
                           ? "lower [expert] steps, or set [dense] enabled = no"
                           : "set [dense] match = tokens, or lower [expert] steps");
    if (shards_of(f, link) + BESIDE > PROTOCOL_INPUTS_MAX)
        return err_set(e, ERR_INVALID,
                       "[checkpoint] publish_steps: %" PRIu64 " steps of %u sequences are %" PRIu64
                       " shards for the dense model, more than the %u inputs that a job can have; "
                       "lower it, or [dense] batch",
                       s->checkpoint.publish_steps, s->dense.batch, shards_of(f, link),
                       PROTOCOL_INPUTS_MAX);
    return 0;
}

/* Score and segment jobs need no check: E models and 257 shards at most (due.c). */
int run_inputs_check(const struct run_facts *f, struct err *e)
{
    int rc = check_rounds(f, e);
    if (!rc)
        rc = check_experts(f, e);
    if (!rc)
        rc = check_dense(f, TARGET_DENSE, e);
    if (!rc)
        rc = check_dense(f, TARGET_DENSE_FLOPS, e);
    if (!rc && shards_of(f, f->heldout_sequences) + BESIDE > PROTOCOL_INPUTS_MAX)
        rc = err_set(e, ERR_INVALID,
                     "[run] dataset: %s has %" PRIu64
                     " held-out sequences, which is more shards than "
                     "the %u inputs that a job can have; ingest with a smaller --holdout",
                     f->spec->dataset, f->heldout_sequences, PROTOCOL_INPUTS_MAX);
    return rc;
}
