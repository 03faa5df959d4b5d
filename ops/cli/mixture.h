/* A run's mixture at hand: its spec and tokenizer, and models as they are asked for, downloaded
 * once (blob_cache.h). */
#ifndef TACIT_OPS_CLI_MIXTURE_H
#define TACIT_OPS_CLI_MIXTURE_H

#include "core/data/tokenizer.h"
#include "core/model/engine.h"
#include "core/protocol/messages.h"
#include "core/protocol/spec.h"
#include "ops/cli/blob_cache.h"
#include "ops/cli/command.h"

struct mixture {
    struct cli *cli;
    struct blob_cache cache;
    struct msg_run run;
    struct msg_dataset dataset;
    struct run_spec spec;
    struct tokenizer *tokenizer;
};

/* cli is connected. Close it also after an error. */
TACIT_MUST_CHECK int mixture_open(struct mixture *m, struct cli *cli, const char *run,
                                  struct err *e);
void mixture_close(struct mixture *m);

/* An engine for models of this shape, and room for the parameters of one (free, engine_destroy;
 * also after an error). */
TACIT_MUST_CHECK int mixture_engine(struct mixture *m, const struct model_config *c,
                                    struct engine **engine, float **parameters, struct err *e);
/* The newest published model of a target into parameters. ERR_CONFLICT where there is none yet. */
TACIT_MUST_CHECK int mixture_model(struct mixture *m, int target, uint32_t index,
                                   const struct model_config *c, float *parameters, struct err *e);
/* What each router says of ids[0…prefix): scores (E). */
TACIT_MUST_CHECK int mixture_scores(struct mixture *m, const uint32_t *ids, uint32_t prefix,
                                    float *scores, struct err *e);

#endif
