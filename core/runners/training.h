/* The training loop that routers, experts and dense models share: from a model and its state, or
 * the initial weights, over steps of batches to the next model and state; saved locally on the way,
 * and going on bit for bit from the newest save. */
#ifndef TACIT_CORE_RUNNERS_TRAINING_H
#define TACIT_CORE_RUNNERS_TRAINING_H

#include "core/runners/sequences.h"

struct training {
    struct model_config config;
    uint64_t stream;        /* MODEL_STREAM_… */
    uint64_t index;         /* of the outputs */
    uint32_t batch, length; /* sequences a step, tokens of each */
    uint64_t first, last;   /* does steps first+1…last, counted over the model's whole training */
    uint64_t position_first; /* number, in the model's own order, of the first sequence of step
                                first+1 */
    uint64_t share;          /* sequences of its own: a pass */
    uint64_t passes_before;  /* over other sequences: draw_batch_index's first_pass */
    uint64_t schedule_first; /* the step at which the schedule began: 0, or an earlier end */
    uint64_t schedule_steps; /* cosine that ends there; 0: constant */
    uint32_t warmup;
    double learning_rate, grad_clip;
    enum optimizer optimizer;
    struct sequences *sequences;
    const uint32_t *own; /* positions in `sequences` of its share; NULL: they are 0…share−1 */
};

TACIT_MUST_CHECK int training_run(const struct job_context *c, const struct msg_grant *g,
                                  const struct training *t, struct job_result *r, struct err *e);

#endif
