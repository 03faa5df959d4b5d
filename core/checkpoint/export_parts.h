/* What the writers of exports share: a file that is digested as it is written, and the tensors of a
 * model under others' names. Private to core/checkpoint. */
#ifndef TACIT_CHECKPOINT_EXPORT_PARTS_H
#define TACIT_CHECKPOINT_EXPORT_PARTS_H

#include <stdbool.h>
#include "core/checkpoint/export.h"
#include "core/env/file.h"

struct export_out {
    struct env_file_new file;
    struct digest_state digest;
    uint64_t bytes; /* so far */
};

TACIT_MUST_CHECK int export_out_open(struct export_out *o, const char *path, struct err *e);
TACIT_MUST_CHECK int export_out_write(struct export_out *o, const void *data, size_t len,
                                      struct err *e);
/* Zeros up to a multiple of `to` bytes. */
TACIT_MUST_CHECK int export_out_pad(struct export_out *o, uint32_t to, struct err *e);
/* rc: of what went before. Not 0: nothing of the file stays. Returns rc, or why it failed. */
TACIT_MUST_CHECK int export_out_close(struct export_out *o, int rc, struct export_file *out,
                                      struct err *e);

struct export_tensor {
    char name[96];
    uint32_t rank;
    uint64_t shape[2]; /* as PyTorch's: rows, columns; shape[1] = 1 where rank is 1 */
    uint64_t offset;   /* in floats, into the parameters */
    bool zeros;        /* no parameters of ours: zeros */
    enum export_type type;
};

enum export_names { EXPORT_NAMES_HF, EXPORT_NAMES_GGUF };

/* In the order of the file; free. type: of matrices, where their rows allow it; what else there is
 * follows the layout's custom. */
TACIT_MUST_CHECK int export_tensors(const struct model_config *c, enum export_names names,
                                    enum export_type type, struct export_tensor **out,
                                    uint32_t *count, struct err *e);
uint64_t export_tensor_bytes(const struct export_tensor *t);
TACIT_MUST_CHECK int export_tensor_write(struct export_out *o, const struct export_tensor *t,
                                         const float *parameters, struct err *e);

#endif
