/* Engine and parameters for jobs that only read models. */
#ifndef TACIT_CORE_RUNNERS_MODELS_H
#define TACIT_CORE_RUNNERS_MODELS_H

#include "core/runners/job.h"
#include "core/runners/kept.h"

struct reader {
    struct model_config config;
    struct engine *engine;
    float *parameters;
};

/* An engine for the routers' shape (target TARGET_ROUTER) or the experts'. */
TACIT_MUST_CHECK int reader_open(struct reader *m, const struct job_context *c,
                                 const struct msg_grant *g, int target, struct err *e);
/* Loads the input model of this index. */
TACIT_MUST_CHECK int reader_load(struct reader *m, const struct job_context *c,
                                 const struct msg_grant *g, uint64_t index, struct err *e);

#endif
