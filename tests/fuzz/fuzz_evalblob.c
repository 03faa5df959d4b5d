/* Evaluations: every value of one that is accepted is a finite number, and whole or piece by piece
 * comes to the same. */
#include <math.h>
#include "core/mixture/evalblob.h"
#include "tests/fuzz/fuzz.h"

static void read_all(const struct evalblob *b, const uint8_t *rows)
{
    float *cumulative = calloc(b->columns + 1u, sizeof *cumulative);

    FUZZ_CHECK(cumulative);
    for (uint64_t i = 0; i < b->count; i++) {
        double all, after;
        if (b->kind == EVALBLOB_MODEL) {
            evalblob_model_row(rows, i, &all, &after);
            FUZZ_CHECK(isfinite(all) && isfinite(after));
            continue;
        }
        evalblob_router_row(b, rows, i, cumulative);
        for (uint32_t k = 0; k < b->columns; k++)
            FUZZ_CHECK(isfinite(cumulative[k]));
    }
    free(cumulative);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct evalblob b, piecewise;
    const uint8_t *rows;
    struct err e = {0};
    int rc = evalblob_open(data, size, &b, &rows, &e), other = ERR_FORMAT;

    if (size >= EVALBLOB_HEADER) {
        other = evalblob_header_read(data, size, &piecewise, &e);
        for (uint64_t i = 0; !other && i < piecewise.count; i++)
            other = evalblob_rows_check(&piecewise,
                                        data + EVALBLOB_HEADER + i * piecewise.row_bytes, i, 1, &e);
    }
    FUZZ_CHECK(rc == other);
    if (rc)
        fuzz_refused(rc, &e);
    else
        read_all(&b, rows);
    return 0;
}
