#include "core/mixture/evalblob.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>
#include "core/base/le.h"

static const char EVALBLOB_MAGIC[8] = "TACEVAL1";

#define MODEL_COLUMNS 2u
#define COLUMNS_MAX (1u << 16) /* the longest sequence that a model takes */

static uint32_t row_bytes(enum evalblob_kind kind, uint32_t columns)
{
    return columns * (kind == EVALBLOB_ROUTER ? 4u : 8u);
}

void evalblob_header_write(uint8_t header[EVALBLOB_HEADER], enum evalblob_kind kind, uint64_t count,
                           uint32_t columns)
{
    memcpy(header, EVALBLOB_MAGIC, 8);
    le64_put(header + 8, count);
    le32_put(header + 16, kind);
    le32_put(header + 20, kind == EVALBLOB_ROUTER ? columns : MODEL_COLUMNS);
}

void evalblob_router_row_write(uint8_t *row, const float *cumulative, uint32_t columns)
{
    for (uint32_t s = 0; s < columns; s++)
        lef32_put(row + 4 * s, cumulative[s]);
}

void evalblob_model_row_write(uint8_t *row, double all, double after)
{
    lef64_put(row, all);
    lef64_put(row + 8, after);
}

int evalblob_header_read(const uint8_t header[EVALBLOB_HEADER], uint64_t size, struct evalblob *out,
                         struct err *e)
{
    if (size < EVALBLOB_HEADER || memcmp(header, EVALBLOB_MAGIC, 8) != 0)
        return err_set(e, ERR_FORMAT, "evaluation: not an evaluation blob");
    uint64_t count = le64_get(header + 8);
    uint32_t kind = le32_get(header + 16), columns = le32_get(header + 20);
    if (kind > EVALBLOB_MODEL)
        return err_set(e, ERR_FORMAT, "evaluation: unknown kind %u", kind);
    if (kind == EVALBLOB_MODEL ? columns != MODEL_COLUMNS : columns < 1 || columns > COLUMNS_MAX)
        return err_set(e, ERR_FORMAT, "evaluation: %u values a sequence are not possible", columns);
    uint32_t row = row_bytes(kind, columns);
    uint64_t body = size - EVALBLOB_HEADER;
    if (body % row != 0 || body / row != count)
        return err_set(e, ERR_FORMAT, "evaluation: %llu bytes do not hold %llu sequences",
                       (unsigned long long)size, (unsigned long long)count);
    *out = (struct evalblob){.kind = kind, .columns = columns, .count = count, .row_bytes = row};
    return 0;
}

int evalblob_rows_check(const struct evalblob *b, const uint8_t *rows, uint64_t first, uint64_t n,
                        struct err *e)
{
    bool router = b->kind == EVALBLOB_ROUTER;
    for (uint64_t i = 0; i < n; i++) {
        const uint8_t *row = rows + i * b->row_bytes;
        for (uint32_t k = 0; k < b->columns; k++)
            if (!(router ? isfinite(lef32_get(row + 4 * k)) : isfinite(lef64_get(row + 8 * k))))
                return err_set(e, ERR_NOT_FINITE, "evaluation: sequence %llu, value %u",
                               (unsigned long long)(first + i), k);
        if (router && lef32_get(row) != 0)
            return err_set(e, ERR_FORMAT, "evaluation: scores of sequence %llu do not start at 0",
                           (unsigned long long)(first + i));
    }
    return 0;
}

int evalblob_open(const void *data, uint64_t size, struct evalblob *out, const uint8_t **rows,
                  struct err *e)
{
    const uint8_t *p = data;
    int rc = evalblob_header_read(p, size, out, e);
    if (rc != 0)
        return rc;
    *rows = p + EVALBLOB_HEADER;
    return evalblob_rows_check(out, *rows, 0, out->count, e);
}

void evalblob_router_row(const struct evalblob *b, const uint8_t *rows, uint64_t i,
                         float *cumulative)
{
    const uint8_t *row = rows + i * b->row_bytes;
    for (uint32_t s = 0; s < b->columns; s++)
        cumulative[s] = lef32_get(row + 4 * s);
}

void evalblob_model_row(const uint8_t *rows, uint64_t i, double *all, double *after)
{
    const uint8_t *row = rows + i * 8 * MODEL_COLUMNS;
    *all = lef64_get(row);
    *after = lef64_get(row + 8);
}
