/* A mixture at hand: its spec and tokenizer, and models as they are asked for. Of a run, downloaded
 * once (blob_cache.h); or of a folder of `tacit export` (layout safetensors), without coordinator.
 */
#ifndef TACIT_OPS_CLI_MIXTURE_H
#define TACIT_OPS_CLI_MIXTURE_H

#include "core/data/tokenizer.h"
#include "core/model/decode.h"
#include "core/model/engine.h"
#include "core/protocol/manifest.h"
#include "core/protocol/messages.h"
#include "core/protocol/spec.h"
#include "ops/cli/blob_cache.h"
#include "ops/cli/command.h"

struct mixture {
    struct cli *cli;
    const char *folder; /* NULL: of a run */
    struct blob_cache cache;
    struct msg_manifest manifest; /* of a folder */
    struct msg_run run; /* of a folder: name, experts, spec, and of models what was exported */
    struct msg_dataset dataset; /* of a folder: name, vocab, seq, tokenizer */
    struct run_spec spec;
    struct tokenizer *tokenizer;
    struct buf tokenizer_model, spec_text; /* their files */
};

/* A word with a slash is a folder ("./out", "out/"), any other names a run. */
bool mixture_is_folder(const char *run_or_folder);
/* Connects cli where it has to be and is not. Close it also after an error. */
TACIT_MUST_CHECK int mixture_open(struct mixture *m, struct cli *cli, const char *run_or_folder,
                                  struct err *e);
void mixture_close(struct mixture *m);

/* An engine for models of this shape, and room for the parameters of one (free, engine_destroy;
 * also after an error). */
TACIT_MUST_CHECK int mixture_engine(struct mixture *m, const struct model_config *c,
                                    struct engine **engine, float **parameters, struct err *e);
/* What is known of a model, or NULL where there is none of it yet. */
const struct msg_model_progress *mixture_has(const struct mixture *m, int target, uint64_t index);
/* The newest published model of a target into parameters. ERR_CONFLICT where there is none yet. */
TACIT_MUST_CHECK int mixture_model(struct mixture *m, int target, uint32_t index,
                                   const struct model_config *c, float *parameters, struct err *e);
/* Room for one text to be continued by models of this shape (decode_destroy; also after an error),
 * and such a model's weights (decode_weights_destroy). */
#define MIXTURE_DECODE_ROWS 64u /* tokens of a prompt at a time */
TACIT_MUST_CHECK int mixture_decode(struct mixture *m, const struct model_config *c,
                                    struct decode **out, struct err *e);
TACIT_MUST_CHECK int mixture_weights(struct mixture *m, int target, uint32_t index,
                                     const struct model_config *c, const struct decode *d,
                                     struct decode_weights **out, struct err *e);
/* Appends count tokens to the text, as many as the model reads; logits (V): after the last. */
TACIT_MUST_CHECK int mixture_append(struct decode *d, const struct decode_weights *w,
                                    const uint32_t *ids, size_t count, float *logits,
                                    struct err *e);
/* What each router says of ids[0…prefix): scores (E). */
TACIT_MUST_CHECK int mixture_scores(struct mixture *m, const uint32_t *ids, uint32_t prefix,
                                    float *scores, struct err *e);

#endif
