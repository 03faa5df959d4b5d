/* Computes with a model: training steps, losses, prefix scores. Everything is sized at
 * creation; no call below allocates. One caller at a time; work is spread over the engine's pool.
 */
#ifndef TACIT_MODEL_ENGINE_H
#define TACIT_MODEL_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "core/base/err.h"
#include "core/model/model.h"
#include "core/model/optimizer.h"

enum engine_arithmetic {
    ENGINE_EXACT = 0, /* one arithmetic: equal bytes on every processor */
    ENGINE_BLAS = 1,  /* products by OpenBLAS */
    ENGINE_BF16 = 2,  /* exact, the factors of matrix products rounded to bfloat16 (kernels.h);
                         parameters, gradients, moments and all else stay float32 */
};

struct engine;

struct engine_options {
    enum engine_arithmetic arithmetic;
    int threads;              /* ≥ 1 */
    bool train;               /* room for gradients too */
    enum optimizer optimizer; /* of engine_train_step */
    uint64_t memory_max; /* bytes the workspaces may take; 0: half of the machine's memory. Batches
                            that do not fit are computed in micro-batches; where one sequence does
                            not, the backward pass computes each layer's values a second time. Both
                            to the same bits */
};

TACIT_MUST_CHECK int engine_create(struct engine **out, const struct model_config *c,
                                   const struct engine_options *o, struct err *e);
void engine_destroy(struct engine *g); /* accepts NULL */
/* Bytes of workspace that engine_create takes for one sequence, nothing computed twice; parameters,
 * gradients and moments included where train: what `tacit plan` prints as memory per agent. */
uint64_t engine_memory(const struct model_config *c, bool train, enum optimizer optimizer);
/* "exact avx512, 2 threads", "exact bf16 avx512bf16, 1 thread": for logs. Static storage of the
 * engine. */
const char *engine_describe(const struct engine *g);

struct engine_step {
    double learning_rate;         /* of this step, see schedule.h */
    double beta1, beta2, epsilon; /* AdamW's */
    double weight_decay;
    double grad_clip; /* global norm; 0: none */
    uint64_t step;    /* 1 for the first: bias correction */
};

/* One optimizer step on the mean loss over all batch·(length−1) predictions of tokens
 * (batch, length), 2 ≤ length ≤ S. parameters, first and second moments (model_parameters floats
 * each) are updated in place, but of second moments those alone that the optimizer keeps. *loss:
 * mean, nats. ERR_NOT_FINITE (and nothing updated) where loss or gradient norm is not finite;
 * ERR_STOPPED never: poll between steps. */
TACIT_MUST_CHECK int engine_train_step(struct engine *g, float *parameters, float *moment1,
                                       float *moment2, const uint32_t *tokens, uint32_t batch,
                                       uint32_t length, const struct engine_step *o, double *loss,
                                       double *grad_norm, struct err *e);

/* Gradients of the mean loss, for tests against finite differences and PyTorch. */
TACIT_MUST_CHECK int engine_gradients(struct engine *g, const float *parameters,
                                      const uint32_t *tokens, uint32_t batch, uint32_t length,
                                      float *gradients, double *loss, struct err *e);

/* Eq. 1 per sequence: for each of count sequences (count, length), the sum in double of the
 * length−1 losses, and of those whose target is at position ≥ prefix (the predictions that the
 * router has not seen). Either output may be NULL. */
TACIT_MUST_CHECK int engine_losses(struct engine *g, const float *parameters,
                                   const uint32_t *tokens, uint32_t count, uint32_t length,
                                   uint32_t prefix, double *all, double *after, struct err *e);

/* Eq. 9: cumulative[i·prefix + s] = log-probability of tokens 1…s of sequence i given what goes
 * before each (0 at s = 0), float32 chain in order of s; the score is at s = prefix−1.
 * Sequence i is tokens[i·stride …]; prefix ≤ S. */
TACIT_MUST_CHECK int engine_scores(struct engine *g, const float *parameters,
                                   const uint32_t *tokens, uint32_t count, uint32_t stride,
                                   uint32_t prefix, float *cumulative, struct err *e);

/* Logits (length, V) of one sequence at every position. */
TACIT_MUST_CHECK int engine_logits(struct engine *g, const float *parameters,
                                   const uint32_t *tokens, uint32_t length, float *logits,
                                   struct err *e);

#endif
