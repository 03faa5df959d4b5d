#include "core/runners/sequences.h"

#include <inttypes.h>
#include <stdlib.h>

static int gather(struct sequences *s, const struct job_context *c, const struct msg_grant *g,
                  int role, struct err *e)
{
    *s = (struct sequences){.vocab = (uint32_t)g->vocab, .seq = (uint32_t)g->seq};
    s->ranges = calloc(g->input_count ? g->input_count : 1, sizeof *s->ranges);
    if (!s->ranges) {
        return err_set(e, ERR_NO_MEMORY, "no memory for %u inputs", g->input_count);
    }
    for (uint32_t i = 0; i < g->input_count; i++) {
        const struct msg_blob *b = &g->inputs[i];
        if (b->role == role && b->count > 0) {
            s->ranges[s->count++] =
                (struct sequence_range){.path = c->inputs[i], .first = b->first, .count = b->count};
            s->total += b->count;
        }
    }
    return 0;
}

int sequences_of_shards(struct sequences *s, const struct job_context *c, const struct msg_grant *g,
                        uint64_t at, struct err *e)
{
    int rc = gather(s, c, g, ROLE_SHARD, e);
    for (uint32_t i = 0; !rc && i < s->count; i++) {
        s->ranges[i].at = at;
        at += s->ranges[i].count;
    }
    return rc;
}

int sequences_of_pieces(struct sequences *s, const struct job_context *c, const struct msg_grant *g,
                        struct err *e)
{
    int rc = gather(s, c, g, ROLE_PIECE, e);
    uint64_t end = 0;
    for (uint32_t i = 0; !rc && i < s->count; i++) {
        struct sequence_range *r = &s->ranges[i];
        r->at = r->first; /* of a piece, the grant says where in the segment it begins */
        r->first = 0;
        if (r->at < end) {
            rc = err_set(e, ERR_INVALID, "the grant's pieces overlap at sequence %" PRIu64, r->at);
        }
        end = r->at + r->count;
    }
    return rc;
}

void sequences_close(struct sequences *s)
{
    for (uint32_t i = 0; i < s->count; i++) {
        env_file_unmap(&s->ranges[i].map);
    }
    free(s->ranges);
    *s = (struct sequences){0};
}

static int open_range(const struct sequences *s, struct sequence_range *r, struct err *e)
{
    int rc = env_file_map(r->path, &r->map, e);
    if (!rc) {
        rc = shard_open(&r->shard, r->map.data, r->map.size, e);
    }
    if (!rc && (r->shard.shape.seq != s->seq || r->shard.shape.vocab != s->vocab)) {
        rc = err_set(e, ERR_INVALID,
                     "sequences of %u tokens below %u, where the run has %u below %u",
                     r->shard.shape.seq, r->shard.shape.vocab, s->seq, s->vocab);
    }
    if (!rc && (r->first > r->shard.count || r->count > r->shard.count - r->first)) {
        rc = err_set(e, ERR_INVALID,
                     "%u sequences, where %" PRIu64 " from number %" PRIu64 " on are wanted",
                     r->shard.count, r->count, r->first);
    }
    if (rc) {
        err_prefix(e, "'%s'", r->path);
        env_file_unmap(&r->map);
        return rc;
    }
    r->opened = true;
    return 0;
}

static struct sequence_range *range_of(struct sequences *s, uint64_t position)
{
    uint32_t low = 0, high = s->count;
    struct sequence_range *r = s->count ? &s->ranges[s->last] : NULL;
    if (r && position >= r->at && position - r->at < r->count) {
        return r;
    }
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        r = &s->ranges[mid];
        if (position < r->at) {
            high = mid;
        } else if (position - r->at >= r->count) {
            low = mid + 1;
        } else {
            s->last = mid;
            return r;
        }
    }
    return NULL;
}

int sequences_find(struct sequences *s, uint64_t position, const struct shard **shard,
                   uint32_t *index, struct err *e)
{
    struct sequence_range *r = range_of(s, position);
    if (!r) {
        return err_set(e, ERR_INVALID, "the grant's inputs do not hold sequence %" PRIu64,
                       position);
    }
    int rc = r->opened ? 0 : open_range(s, r, e);
    if (!rc) {
        *shard = &r->shard;
        *index = (uint32_t)(r->first + (position - r->at));
    }
    return rc;
}

int sequences_tokens(struct sequences *s, uint64_t position, uint32_t n, uint32_t *out,
                     struct err *e)
{
    const struct shard *shard;
    uint32_t index;
    int rc = sequences_find(s, position, &shard, &index, e);
    if (!rc) {
        shard_tokens(shard, index, n, out);
    }
    return rc;
}
