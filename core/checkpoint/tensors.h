/* The canonical safetensors file of a checkpoint: which tensors it has, in which order, and its
 * header. Private to core/checkpoint.
 *
 *     offset  size    field
 *          0     8    length n of the header, a multiple of 8
 *          8     n    header: JSON without spaces, then spaces
 *        8+n          data: float32, little-endian, tensors in the header's order without gaps
 *
 * The header's keys are sorted by bytes; "__metadata__" is the first. A model's is
 * {"format":"pt","kind":"model"}: "pt" (layout as PyTorch's) is what other readers of safetensors
 * want to see. A state's also has model, round_step, spec, step and stream, all strings. */
#ifndef TACIT_CHECKPOINT_TENSORS_H
#define TACIT_CHECKPOINT_TENSORS_H

#include <stdint.h>
#include "core/base/buf.h"
#include "core/base/digest.h"
#include "core/base/err.h"
#include "core/checkpoint/checkpoint.h"
#include "core/model/model.h"
#include "core/model/optimizer.h"

enum tensors_kind { TENSORS_MODEL, TENSORS_STATE };
const char *tensors_file(enum tensors_kind kind); /* name of the archive's entry */

struct tensors_entry {
    char name[64];
    uint32_t rank;
    uint64_t shape[2];
    uint64_t begin;  /* bytes, from the start of the data */
    uint64_t floats; /* how many */
    uint32_t array;  /* 0: parameters or first moments, 1: second moments */
    uint64_t offset; /* in floats, within that array */
};

struct tensors {
    enum tensors_kind kind;
    enum optimizer optimizer;      /* of a state */
    struct tensors_entry *entries; /* in the file's order; owned */
    uint32_t count;
    uint64_t bytes; /* of the data */
};

/* What a state's header says beside its tensors. */
struct tensors_extra {
    struct checkpoint_position position;
    struct digest model;
};

/* Longest header of any config: 512 layers, twice. */
#define TENSORS_HEADER_MAX (2u << 20)

/* optimizer: of a state; which tensors it has follows from it. A model's is OPTIMIZER_ADAMW. */
TACIT_MUST_CHECK int tensors_init(struct tensors *t, enum tensors_kind kind,
                                  const struct model_config *c, enum optimizer optimizer,
                                  struct err *e);
void tensors_free(struct tensors *t);
/* Appends length and header. extra: of a state; NULL for a model. */
TACIT_MUST_CHECK int tensors_header_write(const struct tensors *t,
                                          const struct tensors_extra *extra, struct buf *out,
                                          struct err *e);
/* Bytes (length field included) of the longest header worth reading. */
TACIT_MUST_CHECK int tensors_header_max(const struct tensors *t, uint64_t *bytes, struct err *e);
/* Checks a header (without its length) against t: every name, dtype, shape and offset, then that
 * its bytes are the canonical ones. extra as above. */
TACIT_MUST_CHECK int tensors_header_read(const struct tensors *t, const char *header, size_t len,
                                         struct tensors_extra *extra, struct err *e);

#endif
