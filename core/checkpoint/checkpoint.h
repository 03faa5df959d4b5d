/* Checkpoints: two blobs, `model` (parameters) and `state` (moments, position), each a pax .tar.zst
 * of two entries in this order: "meta.json", then "model.safetensors" or "state.safetensors".
 *
 * Content digest: BLAKE2b-256 of the safetensors file alone, whose bytes are canonical (names
 * sorted, header without spaces, padded with spaces to a multiple of 8, "__metadata__" holding
 * format, kind and — in a state — step, round_step, stream, spec and the model's content digest).
 * The archive around it may differ between library versions; the content may not. A state's tensors
 * are "moment1.NAME" and "moment2.NAME"; Muon's has no moment2 of the tensors that Muon moves
 * (optimizer.h), and one optimizer's state is refused where another's is expected: ERR_INVALID.
 *
 * A reader trusts nothing: entry names, their number, sizes, header length, dtypes, shapes,
 * offsets, finiteness, and the total against what config implies, before anything is used. */
#ifndef TACIT_CHECKPOINT_CHECKPOINT_H
#define TACIT_CHECKPOINT_CHECKPOINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "core/base/digest.h"
#include "core/base/err.h"
#include "core/model/model.h"
#include "core/model/optimizer.h"

struct checkpoint_position {
    uint64_t step;       /* optimizer steps done in all */
    uint64_t round_step; /* steps done since the start of the job's link or round: the cursor */
    uint64_t stream;     /* MODEL_STREAM_… */
    struct digest spec;  /* digest of the run's canonical spec */
};

struct checkpoint_digests {
    struct digest blob;    /* of the archive's bytes */
    struct digest content; /* of the canonical safetensors */
    uint64_t bytes;        /* of the archive */
};

/* Writes atomically (temporary name, rename) and, where `lasting`, durably (fsync before, and of
 * the folder after); without it for what is made again where a crash of the machine loses it. */
TACIT_MUST_CHECK int checkpoint_model_write(const char *path, bool lasting,
                                            const struct model_config *c, const float *parameters,
                                            struct checkpoint_digests *out, struct err *e);
TACIT_MUST_CHECK int checkpoint_state_write(const char *path, bool lasting,
                                            const struct model_config *c, enum optimizer optimizer,
                                            const float *moment1, const float *moment2,
                                            const struct checkpoint_position *p,
                                            const struct digest *model_content,
                                            struct checkpoint_digests *out, struct err *e);

/* Where the archive's bytes come from: returns bytes put into out (0: the end), negative ERR_…. */
typedef long checkpoint_read_fn(void *arg, void *out, size_t cap, struct err *e);

/* Read and check against c. parameters/moments hold model_parameters(c) floats, undefined after an
 * error; NULL: check alone (streamed, flat memory): what a coordinator does with an agent's result.
 * p, model_content, content may be NULL. */
TACIT_MUST_CHECK int checkpoint_model_read(checkpoint_read_fn *read, void *arg,
                                           const struct model_config *c, float *parameters,
                                           struct digest *content, struct err *e);
TACIT_MUST_CHECK int checkpoint_state_read(checkpoint_read_fn *read, void *arg,
                                           const struct model_config *c, enum optimizer optimizer,
                                           float *moment1, float *moment2,
                                           struct checkpoint_position *p,
                                           struct digest *model_content, struct digest *content,
                                           struct err *e);
/* The same from a file. */
TACIT_MUST_CHECK int checkpoint_model_load(const char *path, const struct model_config *c,
                                           float *parameters, struct digest *content,
                                           struct err *e);
TACIT_MUST_CHECK int checkpoint_state_load(const char *path, const struct model_config *c,
                                           enum optimizer optimizer, float *moment1, float *moment2,
                                           struct checkpoint_position *p,
                                           struct digest *model_content, struct digest *content,
                                           struct err *e);

#endif
