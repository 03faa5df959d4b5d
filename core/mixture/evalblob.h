/* What an evaluation keeps of one model for every held-out sequence, little-endian:
 *
 *     offset  size  field
 *          0     8  magic "TACEVAL1"
 *          8     8  count    held-out sequences, in order
 *         16     4  kind     0: router, 1: model
 *         20     4  columns  router: M; model: 2
 *         24        values   count·columns, row by row: nothing after them
 *
 * A router's values are float32, its cumulative scores: column s is the log-probability of tokens
 * 1…s given what goes before each (0 at s = 0); the score is the last. A model's are float64: the
 * sum of its losses over all S−1 predictions, and over those after the prefix. */
#ifndef TACIT_MIXTURE_EVALBLOB_H
#define TACIT_MIXTURE_EVALBLOB_H

#include <stdint.h>
#include "core/base/err.h"

#define EVALBLOB_HEADER 24

enum evalblob_kind { EVALBLOB_ROUTER = 0, EVALBLOB_MODEL = 1 };

struct evalblob {
    enum evalblob_kind kind;
    uint32_t columns;
    uint64_t count;
    uint32_t row_bytes;
};

/* columns: a router's M; ignored (2) for a model. */
void evalblob_header_write(uint8_t header[EVALBLOB_HEADER], enum evalblob_kind kind, uint64_t count,
                           uint32_t columns);
void evalblob_router_row_write(uint8_t *row, const float *cumulative, uint32_t columns);
void evalblob_model_row_write(uint8_t *row, double all, double after);

/* Reads a header and checks it against the size of the whole blob: ERR_FORMAT. For blobs that are
 * then read piece by piece; rows are checked by evalblob_rows_check. */
TACIT_MUST_CHECK int evalblob_header_read(const uint8_t header[EVALBLOB_HEADER], uint64_t size,
                                          struct evalblob *out, struct err *e);
/* n whole rows, the first being number `first`: every value is finite (ERR_NOT_FINITE), a router's
 * scores start at 0 (ERR_FORMAT). */
TACIT_MUST_CHECK int evalblob_rows_check(const struct evalblob *b, const uint8_t *rows,
                                         uint64_t first, uint64_t n, struct err *e);
/* Both at once on a blob in memory. */
TACIT_MUST_CHECK int evalblob_open(const void *data, uint64_t size, struct evalblob *out,
                                   const uint8_t **rows, struct err *e);

void evalblob_router_row(const struct evalblob *b, const uint8_t *rows, uint64_t i,
                         float *cumulative);
void evalblob_model_row(const uint8_t *rows, uint64_t i, double *all, double *after);

#endif
