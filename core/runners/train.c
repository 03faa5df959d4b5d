/* Links of experts and dense models: steps step_first+1…step_last on whole sequences (Eq. 1). */
#include "core/runners/training.h"

#include <inttypes.h>

/* A cycle that was added to a run warms up anew, for a tenth of it at most. */
static uint32_t warmup_of(const struct run_spec *s, const struct msg_grant *g)
{
    uint64_t tenth = (g->steps - g->cycle) / 10;
    return g->cycle > 0 && tenth < s->expert.warmup ? (uint32_t)tenth : s->expert.warmup;
}

int run_train(struct job_context *c, const struct msg_grant *g, struct job_result *r, struct err *e)
{
    const struct run_spec *s = c->spec;
    struct sequences sequences;
    struct training t = {
        .index = g->index,
        .batch = g->target == TARGET_EXPERT ? s->expert.batch : s->dense.batch,
        .length = (uint32_t)g->seq,
        .first = g->step_first,
        .last = g->step_last,
        .share = g->segment_count,
        .schedule_first = g->cycle,
        .schedule_steps = g->steps,
        .warmup = warmup_of(s, g),
        .learning_rate = s->expert.learning_rate,
        .grad_clip = s->expert.grad_clip,
        .optimizer = spec_optimizer(s, false),
        .sequences = &sequences,
    };
    switch (g->target) {
    case TARGET_EXPERT:
        t.stream = MODEL_STREAM_EXPERT + g->index;
        break;
    case TARGET_DENSE:
        t.stream = MODEL_STREAM_DENSE;
        break;
    case TARGET_DENSE_FLOPS:
        t.stream = MODEL_STREAM_DENSE_FLOPS;
        break;
    default:
        return err_set(e, ERR_INVALID, "a train job of target %d", g->target);
    }
    if (g->segment_count == 0 || g->step_first >= g->step_last || g->step_last > g->steps ||
        g->cycle > g->step_first) {
        return err_set(e, ERR_INVALID,
                       "a link of steps %" PRIu64 " to %" PRIu64 " of %" PRIu64 " over %" PRIu64
                       " sequences",
                       g->step_first, g->step_last, g->steps, g->segment_count);
    }
    t.position_first = g->step_first * t.batch;
    spec_expert_model(s, (uint32_t)g->vocab, (uint32_t)g->seq, &t.config);
    int rc = g->target == TARGET_EXPERT ? sequences_of_pieces(&sequences, c, g, e)
                                        : sequences_of_shards(&sequences, c, g, g->window_first, e);
    if (!rc) {
        rc = training_run(c, g, &t, r, e);
    }
    sequences_close(&sequences);
    return rc;
}
