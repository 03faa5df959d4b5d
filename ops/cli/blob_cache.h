/* Blobs that were downloaded once: files named by digest, kept for the next time. */
#ifndef TACIT_OPS_CLI_BLOB_CACHE_H
#define TACIT_OPS_CLI_BLOB_CACHE_H

#include "ops/cli/command.h"
#include "ops/cli/progress.h"

struct blob_cache {
    struct cli *cli;
    const char *folder;
    struct progress progress;
};

TACIT_MUST_CHECK int blob_cache_open(struct blob_cache *c, struct cli *cli, struct err *e);
/* The blob's file, downloaded where it is not there or damaged; path in the arena. what: "router
 * 2", for progress and errors. */
TACIT_MUST_CHECK int blob_cache_get(struct blob_cache *c, const struct digest *d, const char *what,
                                    const char **path, struct err *e);
#endif
