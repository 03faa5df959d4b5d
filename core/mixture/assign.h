/* Balanced assignment (METHOD; the paper's Fig. 1): most likely sequences choose first, each takes
 * the best-scoring router that still has room. A pure function of the scores. */
#ifndef TACIT_MIXTURE_ASSIGN_H
#define TACIT_MIXTURE_ASSIGN_H

#include <stdint.h>
#include "core/base/err.h"
#include "core/mixture/scores.h"

#define ASSIGN_EXPERTS_MAX SCORES_ROUTERS_MAX

/* Sequences that expert e gets of n: ⌊n/E⌋ or one more; the first n mod E experts get the more. */
uint64_t assign_capacity(uint64_t n, uint32_t experts, uint32_t e);

/* rows: n < 2^32 score rows as on the wire, checked by scores_open. Writes expert[i] for each
 * sequence. Memory: 12 bytes a sequence beside the rows. O(n·E). */
TACIT_MUST_CHECK int assign_balanced(const uint8_t *rows, uint64_t n, uint32_t experts,
                                     uint16_t *expert, struct err *e);

/* Equal random parts for round 0: position i of the permutation keyed by (seed,
 * RNG_FIRST_ASSIGN) goes to the expert whose capacity it falls in. */
void assign_random(uint64_t seed, uint64_t n, uint32_t experts, uint16_t *expert);

/* The assignment as a blob, little-endian: "TACASGN1", uint64 count, uint32 experts, uint32 zero,
 * then count uint16. Open checks size and every index: ERR_FORMAT. */
#define ASSIGN_HEADER 24
void assign_header_write(uint8_t header[ASSIGN_HEADER], uint64_t n, uint32_t experts);
TACIT_MUST_CHECK int assign_open(const void *data, uint64_t size, uint64_t *n, uint32_t *experts,
                                 const uint8_t **values, struct err *e);
uint32_t assign_at(const uint8_t *values, uint64_t i);

#endif
