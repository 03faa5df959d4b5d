/* What a run takes of the coordinator's disk, from its spec alone: shapes are known, archives
 * hardly compress, and so the sums are near; they leave nothing out that grows. */
#include "core/protocol/spec.h"

#define ARCHIVE_BYTES 16384.0 /* headers, tar and JSON around parameters and moments */
#define EVAL_ROW_MODEL 16.0   /* evalblob.h */
#define EVAL_ROW_ROUTER 4.0   /* a token of the prefix */
#define ASSIGNMENT_ROW 2.0    /* assign.h, at most */
#define SEQUENCE_BESIDE 5     /* shard.h: text bytes and label */

static double least(double a, double b)
{
    return a < b ? a : b;
}

uint64_t spec_links(uint64_t steps, uint64_t every)
{
    return steps / every + (steps % every != 0);
}

uint64_t spec_sequence_bytes(uint32_t vocab, uint32_t seq)
{
    return (uint64_t)seq * (vocab <= 65536 ? 2 : 4) + SEQUENCE_BESIDE;
}

static double checkpoint(const struct run_spec *s, const struct model_config *m, bool router)
{
    uint64_t floats = model_parameters(m) + optimizer_moments(spec_optimizer(s, router), m);
    return SPEC_FLOAT_BYTES * (double)floats + ARCHIVE_BYTES;
}

/* Checkpoints of one chain that are kept: while the next arrives, and at the end. */
static void chain_kept(const struct run_spec *s, uint64_t steps, double *peak, double *after)
{
    double all = (double)spec_links(steps, s->checkpoint.publish_steps),
           keep = (double)s->checkpoint.keep;
    double milestones =
        s->checkpoint.milestone_steps ? (double)(steps / s->checkpoint.milestone_steps) : 0;
    *after = least(all, keep + milestones);
    /* One more arrives before another goes, and one waits for its evaluation. */
    *peak = least(all, keep + milestones + 1 + (s->eval.every_steps > 0));
}

static double evaluations(const struct run_spec *s, uint64_t steps, double heldout)
{
    uint64_t every = s->eval.every_steps;
    double points = steps == 0 ? 0 : every ? (double)spec_links(steps, every) : 1;
    return points * heldout * EVAL_ROW_MODEL;
}

void spec_disk(const struct run_spec *s, uint32_t vocab, uint32_t seq, uint64_t corpus,
               uint64_t heldout, struct spec_disk *out)
{
    struct model_config router, expert;
    bool em = s->router.mode == SPEC_EM;
    double experts = s->experts, sequence = (double)spec_sequence_bytes(vocab, seq);
    double draw = (double)spec_expert_draw(s, corpus), scored = draw;
    double held = (double)heldout, peak, after;
    uint64_t dense = s->dense.enabled ? spec_dense_steps(s) : 0, flops = 0;
    if (s->dense.enabled && s->dense.match == SPEC_MATCH_BOTH)
        flops = spec_dense_flops_steps(s, vocab, seq, corpus);
    *out = (struct spec_disk){.pieces = draw * sequence};
    spec_expert_model(s, vocab, seq, &expert);
    const struct {
        double chains;
        uint64_t steps;
    } models[] = {{experts, s->expert.steps}, {dense > 0, dense}, {flops > 0, flops}};
    for (int i = 0; i < 3; i++) {
        chain_kept(s, models[i].steps, &peak, &after);
        out->checkpoints_peak += models[i].chains * peak * checkpoint(s, &expert, false);
        out->checkpoints_after += models[i].chains * after * checkpoint(s, &expert, false);
        out->evaluations += models[i].chains * evaluations(s, models[i].steps, held);
    }
    if (em) {
        double rounds = s->router.rounds, keep = (double)s->checkpoint.keep;
        spec_router_model(s, vocab, seq, &router);
        out->checkpoints_peak += experts * least(rounds, keep + 1) * checkpoint(s, &router, true);
        out->checkpoints_after += experts * least(rounds, keep) * checkpoint(s, &router, true);
        scored += (rounds - 1) * (double)s->router.sequences;
    }
    /* Random routing stores its scores as if routers had given them. */
    out->evaluations += experts * held * EVAL_ROW_ROUTER * s->router.prefix;
    out->scores = scored * (2 * experts + 4);
    out->assignments = scored * ASSIGNMENT_ROW;
    out->after = out->pieces + out->assignments + out->evaluations + out->checkpoints_after;
    out->peak =
        out->pieces + out->assignments + out->evaluations + out->checkpoints_peak + out->scores;
}
