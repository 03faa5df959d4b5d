/* The sequences a job reads, by position: of a round's draw, of a chunk, or of a model's own
 * segment. They lie in mapped shards or pieces, each opened and checked when it is first touched,
 * so memory stays flat however many there are. */
#ifndef TACIT_CORE_RUNNERS_SEQUENCES_H
#define TACIT_CORE_RUNNERS_SEQUENCES_H

#include <stdint.h>
#include "core/runners/job.h"
#include "core/data/shard.h"
#include "core/env/file.h"

struct sequence_range {
    const char *path;
    uint64_t at, count; /* positions at … at+count−1 … */
    uint64_t first;     /* … are sequences first … of the file */
    struct env_map map;
    struct shard shard; /* valid where opened */
    bool opened;
};

struct sequences {
    struct sequence_range *ranges; /* owned */
    uint32_t count, last;          /* last: the range of the last look-up */
    uint64_t total;                /* sequences in all ranges */
    uint32_t vocab, seq;
};

/* Shards of the grant in their order, the first one's first sequence being number `at`. */
TACIT_MUST_CHECK int sequences_of_shards(struct sequences *s, const struct job_context *c,
                                         const struct msg_grant *g, uint64_t at, struct err *e);
/* Pieces, each where its `first` says. */
TACIT_MUST_CHECK int sequences_of_pieces(struct sequences *s, const struct job_context *c,
                                         const struct msg_grant *g, struct err *e);
void sequences_close(struct sequences *s);
/* Tokens 0…n−1 of the sequence at a position. */
TACIT_MUST_CHECK int sequences_tokens(struct sequences *s, uint64_t position, uint32_t n,
                                      uint32_t *out, struct err *e);
/* The shard that holds it, and its number there. */
TACIT_MUST_CHECK int sequences_find(struct sequences *s, uint64_t position,
                                    const struct shard **shard, uint32_t *index, struct err *e);

#endif
