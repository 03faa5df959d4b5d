/* Which sequences of a data set a run draws, and in which order a model trains on them.
 *
 * A data set's sequences are shuffled at ingest by a keyed permutation, so a contiguous window of
 * stored positions is a uniform draw. Windows are why nothing else is needed: an agent reads whole
 * shards instead of single sequences, a draw is two numbers, draws are disjoint where their windows
 * are, and any part of one can be found without computing the rest. Where a window starts depends
 * on the run's seed alone, so that runs with other seeds see other sequences. Positions go around
 * the end of the data set. */
#ifndef TACIT_MIXTURE_DRAW_H
#define TACIT_MIXTURE_DRAW_H

#include <stdbool.h>
#include <stdint.h>

/* Positions (start + i) mod total for i in [0,count); count ≤ total. */
struct draw_window {
    uint64_t start, count, total;
};

/* Round t (from 0) of the routers: N sequences from start + t·N, start = Philox(seed, RNG_DRAW) mod
 * total. Rounds are disjoint as long as rounds·N ≤ total, which METHOD demands. */
void draw_round(uint64_t seed, uint64_t total, uint64_t sequences, uint32_t round,
                struct draw_window *out);

/* The experts' draw: min(total, wanted) sequences from start; wanted = E·steps·batch. Dense models
 * train on the same window. */
void draw_experts(uint64_t seed, uint64_t total, uint64_t wanted, struct draw_window *out);

/* The window in chunks of `chunk` sequences (0: one chunk), the last one shorter: what is scored
 * and assigned at once. k < draw_chunk_count. */
uint64_t draw_chunk_count(const struct draw_window *w, uint64_t chunk);
void draw_chunk_at(const struct draw_window *w, uint64_t chunk, uint64_t k,
                   struct draw_window *out);

/* A window's pieces shard by shard, in the window's order. */
struct draw_range {
    uint32_t shard; /* index within the split */
    uint32_t first; /* sequence within the shard */
    uint32_t count;
    uint64_t at; /* of its first sequence, counted from the window's start */
};
/* *done counts the sequences walked so far, 0 at first; false once the window is through. A shard
 * holds per_shard sequences (shard_sequences), the last one what is left. A window that wraps may
 * visit a shard twice. */
bool draw_range_next(const struct draw_window *w, uint32_t per_shard, uint64_t *done,
                     struct draw_range *out);

/* Which of a model's own `count` sequences (count ≥ 1; its part of the draw, in the draw's order)
 * is number `position` of its training; step s (from 0) of batch B holds positions s·B … s·B + B−1,
 * so batches run across the ends of passes. The first pass keeps the stored order, which is random
 * already and lets training start while later shards are still on their way; pass p > 0 is the
 * permutation keyed by (seed, RNG_EPOCH, stream·2^32 + first_pass + p). first_pass: passes that the
 * same stream made before over other sequences (a router's earlier rounds), 0 for others. */
uint64_t draw_batch_index(uint64_t seed, uint64_t stream, uint64_t first_pass, uint64_t count,
                          uint64_t position);

/* Steps of a router in a round: ⌊passes · share / batch⌋, share being the sequences that it was
 * assigned. In round t its first_pass is t·passes. */
uint64_t draw_router_steps(uint32_t passes, uint64_t share, uint32_t batch);

#endif
