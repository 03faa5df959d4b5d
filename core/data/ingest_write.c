#include "core/data/ingest_write.h"

#include <stdlib.h>
#include "core/base/rng.h"

/* Sequences between two reports of progress: reading at random is slow where the file is not in
 * the page cache. */
#define TICK_SEQUENCES 1024

static int write_one(const struct shard_writing *w, const struct shard_builder *b,
                     struct ingest_shard *shard, uint32_t number, struct err *e)
{
    struct buf path, bytes;
    buf_init(&path, 1u << 16);
    buf_init(&bytes, SHARD_MAX_BYTES);
    int rc = buf_printf(&path, e, "%s/ingest-%s-%05u.shard", w->folder,
                        w->split == INGEST_TRAIN ? "train" : "heldout", number);
    if (!rc)
        rc = shard_builder_finish(b, &bytes, e);
    if (!rc)
        rc = env_file_write_atomic(path.data, bytes.data, bytes.len, 0600, e);
    if (!rc) {
        digest_of(bytes.data, bytes.len, &shard->digest);
        shard->bytes = bytes.len;
        shard->sequences = b->count;
        shard->path = buf_take(&path);
        if (!shard->path)
            rc = err_set(e, ERR_NO_MEMORY, "no memory for a shard's name");
    }
    buf_free(&path);
    buf_free(&bytes);
    return rc;
}

static int fill_one(const struct shard_writing *w, struct pack *p, const struct rng_perm *order,
                    uint64_t first, uint64_t end, struct shard_builder *b, uint32_t *tokens,
                    struct err *e)
{
    for (uint64_t i = first; i < end; i++) {
        uint8_t labels[LABEL_LEVELS];
        uint32_t bytes;
        int rc = pack_read(p, rng_perm_at(order, i), tokens, &bytes, labels, e);
        if (!rc && (i + 1) % TICK_SEQUENCES == 0)
            rc = w->tick(w->arg, i + 1, e);
        if (rc)
            return rc;
        shard_builder_add(b, tokens, bytes, w->level == LABEL_LEVELS ? 0 : labels[w->level]);
    }
    return 0;
}

int ingest_write_shards(const struct shard_writing *w, struct pack *p, struct ingest_shard **shards,
                        uint32_t *count, struct err *e)
{
    uint32_t each = shard_sequences(w->shape.seq, w->shape.vocab);
    uint64_t n = p->sequences, want = (n + each - 1) / each;
    *shards = NULL;
    *count = 0;
    if (!n)
        return 0;
    if (want > UINT32_MAX)
        return err_set(e, ERR_TOO_LARGE, "%llu shards are too many: give the text in several sets",
                       (unsigned long long)want);
    struct rng_perm order;
    struct shard_builder b;
    rng_perm_init(&order, n, 0, RNG_CORPUS, w->split);
    int rc = shard_builder_init(&b, &w->shape, each, e);
    if (rc)
        return rc;
    uint32_t *tokens = malloc(w->shape.seq * sizeof *tokens);
    *shards = calloc(want, sizeof **shards);
    if (!tokens || !*shards)
        rc = err_set(e, ERR_NO_MEMORY, "no memory for %llu shards", (unsigned long long)want);
    for (uint64_t first = 0; first < n && !rc; first += each) {
        uint64_t end = first + each < n ? first + each : n;
        shard_builder_reset(&b);
        rc = fill_one(w, p, &order, first, end, &b, tokens, e);
        if (!rc)
            rc = write_one(w, &b, &(*shards)[*count], *count, e);
        if (!rc)
            rc = w->tick(w->arg, end, e);
        *count += !rc;
    }
    free(tokens);
    shard_builder_free(&b);
    return rc;
}
