/* What an agent keeps in memory from one job to the next: engines, since jobs may take less time
 * than making one, and the weights it trained last, since the chain's next link starts from them.
 */
#ifndef TACIT_CORE_RUNNERS_KEPT_H
#define TACIT_CORE_RUNNERS_KEPT_H

#include <stdbool.h>
#include <stdint.h>
#include "core/base/digest.h"
#include "core/base/err.h"
#include "core/model/engine.h"
#include "core/model/model.h"

struct kept;

/* threads: of every engine. */
TACIT_MUST_CHECK int kept_create(struct kept **out, int threads, struct err *e);
void kept_destroy(struct kept *k); /* accepts NULL */

/* An engine for this model (borrowed until the next call). One that can train serves for scores.
 * Of o, threads are not read: they are those of kept_create. */
TACIT_MUST_CHECK int kept_engine(struct kept *k, const struct model_config *c,
                                 const struct engine_options *o, struct engine **out,
                                 struct err *e);

struct weights {
    struct model_config config;
    enum optimizer optimizer;
    uint64_t count; /* floats in each array */
    float *parameters, *moment1, *moment2;
    /* Content digests of what the arrays hold; zero while they are not those of any checkpoint. */
    struct digest model, state;
};

/* Arrays for training a model of this shape, as the last job left them where the shape is the same
 * (borrowed until the next call). */
TACIT_MUST_CHECK int kept_weights(struct kept *k, const struct model_config *c,
                                  enum optimizer optimizer, struct weights **out, struct err *e);
/* Parameters alone, for scores and losses: a scratch array of its own. */
TACIT_MUST_CHECK int kept_parameters(struct kept *k, const struct model_config *c, float **out,
                                     struct err *e);

#endif
