/* Random numbers without state: every number is Philox4x32-10 (Salmon et al., SC 2011) of
 * (seed, purpose, index, counter), so any step can be computed alone and nothing need be saved.
 *
 * The layout decides bits of every run and must not change:
 *     key(seed, purpose) = words 0, 1 of Philox(counter = {seed low, seed high, purpose, 0},
 *                                               key = {0, 0})
 *     block = Philox(counter = {index low, index high, counter low, counter high},
 *                    key = key(seed, purpose))
 * Who needs many numbers of one stream takes the key once: rng_key, then rng_block_keyed. */
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
    RNG_VERIFY = 8,       /* which jobs `tacit verify` picks; index = job */
    RNG_EVAL = 9,         /* resamples of `tacit eval`; index = resample */
    RNG_TEST = 100,
};

struct rng_key {
    uint32_t word[2];
};

/* The bare function: ten rounds on a counter of four words under a key of two. */
static inline void rng_philox(const uint32_t counter[4], struct rng_key key, uint32_t out[4])
{
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
    uint32_t k0 = key.word[0], k1 = key.word[1];

    for (int round = 0; round < 10; round++) {
        uint64_t p0 = (uint64_t)0xD2511F53u * c0, p1 = (uint64_t)0xCD9E8D57u * c2;
        c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        c1 = (uint32_t)p1;
        c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c3 = (uint32_t)p0;
        k0 += 0x9E3779B9u; /* the golden ratio and √3 − 1, as in the paper */
        k1 += 0xBB67AE85u;
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

struct rng_key rng_key(uint64_t seed, uint32_t purpose);

static inline void rng_block_keyed(struct rng_key key, uint64_t index, uint64_t counter,
                                   uint32_t out[4])
{
    const uint32_t words[4] = {(uint32_t)index, (uint32_t)(index >> 32), (uint32_t)counter,
                               (uint32_t)(counter >> 32)};
    rng_philox(words, key, out);
}

/* Uniform in (0,1), 23 bits: (x>>9 + 0.5)·2^-23, every value exact in float32 (with 24 bits the
 * largest would round to 1). */
static inline float rng_uniform_of(uint32_t x)
{
    return ((float)(x >> 9) + 0.5f) * 0x1p-23f;
}

/* Four 32-bit words of the block `counter`. */
void rng_block(uint64_t seed, uint32_t purpose, uint64_t index, uint64_t counter, uint32_t out[4]);
/* Word 0 + 2^32 · word 1 of the block. */
uint64_t rng_u64(uint64_t seed, uint32_t purpose, uint64_t index, uint64_t counter);
/* rng_uniform_of word 0 of the block. */
float rng_uniform(uint64_t seed, uint32_t purpose, uint64_t index, uint64_t counter);

/* A keyed pseudo-random permutation of 0…n-1 without storage: a balanced Feistel network over
 * the next even power of two, six rounds (twelve where half_bits ≤ 3), walking cycles until inside
 * n (fewer than four steps on average). Round r on (left, right): (right, left ^ F) with F = word 0
 * of Philox(counter = {right, r, index low, index high}, key = key(seed, purpose)) cut to
 * half_bits. */
struct rng_perm {
    uint64_t n, index;
    struct rng_key key;
    uint32_t half_bits;
};
void rng_perm_init(struct rng_perm *p, uint64_t n, uint64_t seed, uint32_t purpose, uint64_t index);
/* Where i goes: a bijection of [0,n). i < n, n ≥ 1. */
uint64_t rng_perm_at(const struct rng_perm *p, uint64_t i);
uint64_t rng_perm_inverse(const struct rng_perm *p, uint64_t i);

#endif
