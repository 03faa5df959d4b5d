/* Random numbers without state: every number is Philox4x32-10 (Salmon et al., SC 2011) of
 * (seed, purpose, index, counter), so any step can be computed alone and nothing need be saved. */
#ifndef TACIT_BASE_RNG_H
#define TACIT_BASE_RNG_H

#include <stdint.h>

/* One stream a purpose. Numbers are pinned: they decide bits of every run. */
enum rng_purpose {
    RNG_INIT = 1,         /* initial weights; index = model stream (see model.h) */
    RNG_CORPUS = 2,       /* shuffle of a data set at ingest */
    RNG_DRAW = 3,         /* where in the corpus a run's draws start */
    RNG_FIRST_ASSIGN = 4, /* the random equal parts of round 0 */
    RNG_EPOCH = 5,        /* order of a model's sequences in a pass; index = stream·2^32 + pass */
    RNG_RANDOM_ROUTE = 6, /* [router] mode = random; index = hash of the prefix */
    RNG_SAMPLE = 7,       /* tacit sample */
    RNG_TEST = 100,
};

/* Four 32-bit words of the block `counter`. */
void rng_block(uint64_t seed, uint32_t purpose, uint64_t index, uint64_t counter, uint32_t out[4]);
uint64_t rng_u64(uint64_t seed, uint32_t purpose, uint64_t index, uint64_t counter);
/* Uniform in (0,1), 24 bits: (x>>8 + 0.5)·2^-24 of word 0. */
float rng_uniform(uint64_t seed, uint32_t purpose, uint64_t index, uint64_t counter);

/* A keyed pseudo-random permutation of 0…n-1 without storage: a balanced Feistel network over the
 * next even power of two (at least 4 rounds of Philox), walking cycles until inside n. */
struct rng_perm {
    uint64_t n, seed, index;
    uint32_t purpose, half_bits;
};
void rng_perm_init(struct rng_perm *p, uint64_t n, uint64_t seed, uint32_t purpose, uint64_t index);
/* Where i goes: a bijection of [0,n). i < n, n ≥ 1. */
uint64_t rng_perm_at(const struct rng_perm *p, uint64_t i);
uint64_t rng_perm_inverse(const struct rng_perm *p, uint64_t i);

#endif
