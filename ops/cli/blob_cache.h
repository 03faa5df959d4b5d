/* Blobs that were downloaded once: files named by digest, kept for the next time; 2 GiB of them,
 * what was not used for longest goes first. */
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
/* Removes the blobs in the folder that were not used for longest until at most bytes_max are left,
 * though none that was used within the last keep_ms: another process may just be reading it. */
TACIT_MUST_CHECK int blob_cache_trim(const char *folder, uint64_t bytes_max, int64_t keep_ms,
                                     struct err *e);
#endif
