/* Blobs up to the coordinator, through its absences. */
#ifndef TACIT_OPS_CLI_UPLOAD_H
#define TACIT_OPS_CLI_UPLOAD_H

#include "core/data/ingest.h"
#include "ops/cli/command.h"
#include "ops/cli/progress.h"

struct upload {
    struct cli *cli;
    struct progress *progress; /* NULL where nothing is uploaded: none is cleared */
    uint64_t done, total;      /* bytes */
    uint64_t moved;            /* bytes really sent: what was there already is not */
};

/* Tokenizer and shards. */
TACIT_MUST_CHECK int upload_ingest(struct upload *u, const struct ingest_result *r, struct err *e);

/* Tries again after failures that pass or are mended, with pauses that grow, for some minutes; says
 * so once. attempt: an ERR_…, or 0. For a coordinator that has answered before. */
TACIT_MUST_CHECK int upload_persist(struct upload *u, int (*attempt)(void *arg, struct err *e),
                                    void *arg, struct err *e);

#endif
