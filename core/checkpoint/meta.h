/* "meta.json" of a checkpoint: what it is of, for people and other tools; not part of the content
 * digest, so a reader demands that it says just what the model's config implies. Private to
 * core/checkpoint.
 *
 *     {"config":{"ffn":…,"heads":…,"hidden":…,"layers":…,"seq":…,"vocab":…},
 *      "format":"tacit-checkpoint","kind":"model" | "state","version":1}
 *
 * and in a state of Muon "optimizer":"muon"; without it, it is one of AdamW. */
#ifndef TACIT_CHECKPOINT_META_H
#define TACIT_CHECKPOINT_META_H

#include "core/base/buf.h"
#include "core/base/err.h"
#include "core/checkpoint/tensors.h"

#define META_BYTES_MAX 4096

TACIT_MUST_CHECK int meta_write(enum tensors_kind kind, const struct model_config *c,
                                enum optimizer optimizer, struct buf *out, struct err *e);
/* ERR_FORMAT, ERR_VERSION, or ERR_INVALID where it is of another model or optimizer. */
TACIT_MUST_CHECK int meta_check(const char *text, size_t len, enum tensors_kind kind,
                                const struct model_config *c, enum optimizer optimizer,
                                struct err *e);

#endif
