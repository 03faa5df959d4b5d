/* Scores on the wire (METHOD): a row is the maximum over routers as float32 and, per router,
 * score − maximum rounded to nearest even in float16 (below its range: −65,504). 2E + 4 bytes.
 *
 * A score blob, little-endian: "TACSCOR1", uint64 count, uint32 routers, uint32 zero, then rows. */
#ifndef TACIT_MIXTURE_SCORES_H
#define TACIT_MIXTURE_SCORES_H

#include <stdint.h>
#include "core/base/err.h"

#define SCORES_HEADER 24
#define SCORES_ROUTERS_MAX 1024
#define SCORES_ROW(routers) (4u + 2u * (routers))

void scores_header_write(uint8_t header[SCORES_HEADER], uint64_t n, uint32_t routers);
/* Checks size, that maxima are finite, differences are finite, not positive, and 0 at least once a
 * row: ERR_FORMAT / ERR_NOT_FINITE. */
TACIT_MUST_CHECK int scores_open(const void *data, uint64_t size, uint64_t *n, uint32_t *routers,
                                 const uint8_t **rows, struct err *e);
/* scores[routers] of one sequence, all finite → row. Differences are taken in float32. */
void scores_row_write(uint8_t *row, const float *scores, uint32_t routers);
float scores_row_max(const uint8_t *row);
float scores_row_difference(const uint8_t *row, uint32_t router); /* ≤ 0 */

/* Eq. 4–8: argmax, ties to the lower index. Inference routes in float32. */
uint32_t scores_route(const float *scores, uint32_t routers);

/* Score of router e in the random control: uniform(seed, RNG_RANDOM_ROUTE, hash of the prefix, e),
 * a pure function of the tokens, the same in training and at inference. */
float scores_random(uint64_t seed, const uint32_t *tokens, uint32_t prefix, uint32_t router);

/* float16, round to nearest even; exact bits, no hardware. */
uint16_t half_from_float(float x);
float half_to_float(uint16_t h);

#endif
