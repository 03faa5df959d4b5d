/* From a pack to shards, shuffled. */
#ifndef TACIT_DATA_INGEST_WRITE_H
#define TACIT_DATA_INGEST_WRITE_H

#include "core/data/ingest_parts.h"

struct shard_writing {
    struct shard_shape shape;
    const char *folder;
    enum ingest_split split;
    enum label_level level; /* LABEL_LEVELS: everything has label 0 */
    /* Called after each shard with the sequences written of this split; non-zero is an error's
     * code, filled in. */
    int (*tick)(void *arg, uint64_t sequences, struct err *e);
    void *arg;
};

/* Writes folder/ingest-SPLIT-NNNNN.shard; sequence i is the pack's at the i-th place of the keyed
 * permutation (seed 0, RNG_CORPUS, split). *shards is the caller's, also where this fails. */
TACIT_MUST_CHECK int ingest_write_shards(const struct shard_writing *w, struct pack *p,
                                         struct ingest_shard **shards, uint32_t *count,
                                         struct err *e);

#endif
