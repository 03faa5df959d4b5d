#include "core/mixture/draw.h"

#include <assert.h>
#include "core/base/rng.h"

static uint64_t min_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t draw_start(uint64_t seed, uint64_t total)
{
    return rng_u64(seed, RNG_DRAW, 0, 0) % total;
}

void draw_round(uint64_t seed, uint64_t total, uint64_t sequences, uint32_t round,
                struct draw_window *out)
{
    assert(total > 0 && sequences <= total / (round + 1ull));
    out->start = (draw_start(seed, total) + round * sequences) % total;
    out->count = sequences;
    out->total = total;
}

void draw_experts(uint64_t seed, uint64_t total, uint64_t wanted, struct draw_window *out)
{
    assert(total > 0);
    out->start = draw_start(seed, total);
    out->count = min_u64(total, wanted);
    out->total = total;
}

uint64_t draw_chunk_count(const struct draw_window *w, uint64_t chunk)
{
    if (chunk == 0)
        return w->count > 0;
    return w->count / chunk + (w->count % chunk != 0);
}

void draw_chunk_at(const struct draw_window *w, uint64_t chunk, uint64_t k, struct draw_window *out)
{
    assert(k < draw_chunk_count(w, chunk));
    uint64_t first = k * chunk;
    out->start = (w->start + first) % w->total;
    out->count = chunk == 0 ? w->count : min_u64(chunk, w->count - first);
    out->total = w->total;
}

bool draw_range_next(const struct draw_window *w, uint32_t per_shard, uint64_t *done,
                     struct draw_range *out)
{
    if (*done >= w->count)
        return false;
    uint64_t position = (w->start + *done) % w->total;
    uint64_t first = position % per_shard;
    uint64_t in_shard = min_u64(per_shard - first, w->total - position);
    out->shard = (uint32_t)(position / per_shard);
    out->first = (uint32_t)first;
    out->count = (uint32_t)min_u64(in_shard, w->count - *done);
    out->at = *done;
    *done += out->count;
    return true;
}

uint64_t draw_batch_index(uint64_t seed, uint64_t stream, uint64_t first_pass, uint64_t count,
                          uint64_t position)
{
    assert(count > 0);
    uint64_t pass = position / count, within = position % count;
    if (pass == 0)
        return within;
    struct rng_perm perm;
    rng_perm_init(&perm, count, seed, RNG_EPOCH, (stream << 32) + first_pass + pass);
    return rng_perm_at(&perm, within);
}

uint64_t draw_router_steps(uint32_t passes, uint64_t share, uint32_t batch)
{
    return passes * share / batch;
}
