/* A mixture to answer with: a run of the coordinator's, or a folder that `tacit export` made. */
#ifndef TACIT_OPS_CLI_SERVING_H
#define TACIT_OPS_CLI_SERVING_H

#include "core/protocol/manifest.h"
#include "ops/cli/mixture.h"
#include "ops/serve/serve.h"

struct serving {
    struct mixture mixture; /* of a run */
    const char *folder;     /* or a folder, and what it says */
    struct msg_manifest manifest;
    struct tokenizer *tokenizer;
    struct serve_source source;
};

/* what: RUN, or DIR (a folder that is there). Close it also after an error, after serve_destroy. */
TACIT_MUST_CHECK int serving_open(struct serving *v, struct cli *cli, const char *what,
                                  struct err *e);
void serving_close(struct serving *v);

/* "2G", "512M": bytes, by 1,024. */
TACIT_MUST_CHECK int serving_size(const char *option, const char *arg, uint64_t *out,
                                  struct err *e);
/* What both `tacit serve` and `tacit chat` take where nothing is said. */
void serving_defaults(struct serve_options *o);

#endif
