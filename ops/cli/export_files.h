/* What the parts of `tacit export` share. */
#ifndef TACIT_OPS_CLI_EXPORT_FILES_H
#define TACIT_OPS_CLI_EXPORT_FILES_H

#include "core/data/pieces.h"
#include "core/protocol/manifest.h"
#include "ops/cli/mixture.h"

struct export_input {
    int layout, type; /* enum manifest_layout, enum export_type */
    bool force;
    int target; /* TARGET_NONE: all models */
    uint64_t index;
};

struct exporting {
    struct cli *cli;
    const struct export_input *in;
    const char *folder;
    struct mixture mixture;
    struct pieces pieces;
    bool no_tokenizer_json; /* the tokenizer has no counterpart there */
    struct msg_manifest manifest;
    struct progress progress;
    uint64_t done, total; /* bytes of parameters */
};

/* Below the folder, in the arena. */
const char *export_path(struct exporting *x, const char *name, struct err *e);
/* Writes a whole file of the folder. */
TACIT_MUST_CHECK int export_text(struct exporting *x, const char *name, const void *data,
                                 size_t len, struct err *e);
/* README.md: what this is, its figures, what it was made of. */
TACIT_MUST_CHECK int export_card(struct exporting *x, struct err *e);
/* route.py, which routes and answers with PyTorch alone. */
extern const char export_route[], export_route_end[];

#endif
