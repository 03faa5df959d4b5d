/* What follows from a spec: checks against a data set, shapes of models, steps, costs. */
#include "core/protocol/spec.h"
#include <string.h>
#include "core/mixture/assign.h"
#include "core/mixture/draw.h"

static unsigned long long ull(uint64_t n)
{
    return n;
}

enum engine_arithmetic spec_engine_arithmetic(const struct run_spec *s)
{
    if (s->arithmetic == SPEC_BLAS)
        return ENGINE_BLAS;
    return s->precision == SPEC_BF16 ? ENGINE_BF16 : ENGINE_EXACT;
}

enum optimizer spec_optimizer(const struct run_spec *s, bool router)
{
    return (enum optimizer)(router ? s->router.optimizer : s->expert.optimizer);
}

static int check_routers(const struct run_spec *s, uint64_t sequences, struct err *e)
{
    /* The last router's share is the smallest. */
    uint64_t share = assign_capacity(s->router.sequences, s->experts, s->experts - 1);
    uint64_t drawn;

    if (s->router.mode != SPEC_EM)
        return 0;
    if (__builtin_mul_overflow(s->router.sequences, (uint64_t)s->router.rounds, &drawn) ||
        drawn > sequences)
        return err_set(e, ERR_INVALID,
                       "[router] sequences: %llu a round in %u rounds need more sequences than the "
                       "data set's %llu; lower [router] sequences or rounds, or ingest more text",
                       ull(s->router.sequences), s->router.rounds, ull(sequences));
    if (draw_router_steps(s->router.passes, share, s->router.batch) == 0)
        return err_set(
            e, ERR_INVALID,
            "[router] batch: %u is more than a router's %llu sequences of a round; lower "
            "[router] batch, or raise sequences (now %llu for %u routers) or passes",
            s->router.batch, ull(share), ull(s->router.sequences), s->experts);
    return 0;
}

/* Sequences of the expert that gets the fewest. */
static uint64_t smallest_segment(const struct run_spec *s, uint64_t corpus)
{
    uint64_t draw = spec_expert_draw(s, corpus), full = draw / s->expert.chunk;

    return full * assign_capacity(s->expert.chunk, s->experts, s->experts - 1) +
           assign_capacity(draw % s->expert.chunk, s->experts, s->experts - 1);
}

static int check_lengths(const struct run_spec *s, uint32_t vocab, uint32_t seq, uint64_t sequences,
                         struct err *e)
{
    uint64_t draw = spec_expert_draw(s, sequences), chunks = spec_chunks(s, sequences);
    uint64_t every = s->eval.every_steps, steps = 0;

    if (chunks > SPEC_CHUNKS_MAX)
        return err_set(e, ERR_INVALID,
                       "[expert] chunk: %llu makes %llu chunks of the %llu sequences that experts "
                       "draw, more than %u; accepted: at least %llu",
                       ull(s->expert.chunk), ull(chunks), ull(draw), SPEC_CHUNKS_MAX,
                       ull((draw + SPEC_CHUNKS_MAX - 1) / SPEC_CHUNKS_MAX));
    if (s->dense.enabled && s->dense.match == SPEC_MATCH_BOTH)
        steps = spec_dense_flops_steps(s, vocab, seq, sequences);
    if (every > 0 && steps / every > SPEC_CURVE_MAX)
        return err_set(e, ERR_INVALID,
                       "[eval] every_steps: %llu evaluates the dense model of equal FLOPs at %llu "
                       "of its %llu steps, more than %u; raise it, or set [dense] match = tokens",
                       ull(every), ull(steps / every), ull(steps), SPEC_CURVE_MAX);
    return 0;
}

int spec_check_dataset(const struct run_spec *s, uint32_t vocab, uint32_t seq, uint64_t sequences,
                       uint64_t heldout, struct err *e)
{
    struct model_config expert, router;
    uint64_t smallest = smallest_segment(s, sequences);

    if (s->router.prefix > seq)
        return err_set(e, ERR_INVALID,
                       "[router] prefix: %u is more than the %u tokens of the data set's sequences",
                       s->router.prefix, seq);
    spec_expert_model(s, vocab, seq, &expert);
    if (model_config_check(&expert, e))
        return err_prefix(e, "[expert]");
    spec_router_model(s, vocab, seq, &router);
    if (s->router.mode == SPEC_EM && model_config_check(&router, e))
        return err_prefix(e, "[router]");
    int rc = check_routers(s, sequences, e);
    if (!rc)
        rc = check_lengths(s, vocab, seq, sequences, e);
    if (rc)
        return rc;
    if (smallest < s->expert.batch)
        return err_set(e, ERR_INVALID,
                       "[expert] batch: %u is more than the %llu sequences that an expert gets of "
                       "the data set's %llu; lower [expert] batch or [run] experts, or ingest more "
                       "text",
                       s->expert.batch, ull(smallest), ull(sequences));
    if (heldout == 0)
        return err_set(e, ERR_INVALID,
                       "[run] dataset: %s has no held-out sequences to compare models on; ingest "
                       "more text, or with a larger --holdout",
                       s->dataset);
    return 0;
}

void spec_router_model(const struct run_spec *s, uint32_t vocab, uint32_t seq,
                       struct model_config *out)
{
    *out = (struct model_config){.vocab = vocab,
                                 .seq = seq,
                                 .hidden = s->router.hidden,
                                 .layers = s->router.layers,
                                 .heads = s->router.heads,
                                 .ffn = 4 * s->router.hidden};
}

void spec_expert_model(const struct run_spec *s, uint32_t vocab, uint32_t seq,
                       struct model_config *out)
{
    *out = (struct model_config){.vocab = vocab,
                                 .seq = seq,
                                 .hidden = s->expert.hidden,
                                 .layers = s->expert.layers,
                                 .heads = s->expert.heads,
                                 .ffn = s->expert.ffn};
}

uint64_t spec_dense_steps(const struct run_spec *s)
{
    return (uint64_t)s->experts * s->expert.batch * s->expert.steps / s->dense.batch;
}

uint64_t spec_dense_flops_steps(const struct run_spec *s, uint32_t vocab, uint32_t seq,
                                uint64_t corpus)
{
    struct cost_run cost;

    spec_cost(s, vocab, seq, corpus, &cost);
    return cost_dense_steps_flops(&cost);
}

uint64_t spec_router_steps(const struct run_spec *s, uint32_t e)
{
    if (s->router.mode != SPEC_EM)
        return 0;
    return draw_router_steps(s->router.passes, assign_capacity(s->router.sequences, s->experts, e),
                             s->router.batch);
}

uint64_t spec_expert_draw(const struct run_spec *s, uint64_t corpus)
{
    uint64_t wanted = (uint64_t)s->experts * s->expert.steps * s->expert.batch;
    return wanted < corpus ? wanted : corpus;
}

uint64_t spec_chunks(const struct run_spec *s, uint64_t corpus)
{
    return (spec_expert_draw(s, corpus) + s->expert.chunk - 1) / s->expert.chunk;
}

void spec_cost(const struct run_spec *s, uint32_t vocab, uint32_t seq, uint64_t corpus,
               struct cost_run *out)
{
    bool em = s->router.mode == SPEC_EM;
    double steps = 0;

    memset(out, 0, sizeof *out);
    spec_expert_model(s, vocab, seq, &out->expert);
    if (em) /* the control's hash costs nothing that counts: its router stays all zero */
        spec_router_model(s, vocab, seq, &out->router);
    out->router_optimizer = spec_optimizer(s, true);
    out->expert_optimizer = spec_optimizer(s, false);
    out->experts = s->experts;
    out->prefix = s->router.prefix;
    /* Shares differ by one sequence, so steps may by one: the mean is what the sum needs. */
    for (uint32_t e = 0; e < s->experts; e++)
        steps += (double)spec_router_steps(s, e);
    out->router_steps = steps * s->router.rounds / s->experts;
    out->router_batch = s->router.batch;
    out->expert_steps = (double)s->expert.steps;
    out->expert_batch = s->expert.batch;
    out->dense_batch = s->dense.batch;
    out->dense_steps = (double)spec_dense_steps(s);
    out->scored_for_routers = em ? (double)(s->router.rounds - 1) * (double)s->router.sequences : 0;
    out->scored_for_experts = em ? (double)spec_expert_draw(s, corpus) : 0;
}
