#include "core/mixture/evalblob.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

enum { COUNT = 3, PREFIX = 4, SIZE = EVALBLOB_HEADER + COUNT * PREFIX * 4 };

static void router_make(uint8_t blob[SIZE])
{
    evalblob_header_write(blob, EVALBLOB_ROUTER, COUNT, PREFIX);
    for (int i = 0; i < COUNT; i++) {
        const float row[PREFIX] = {0, -1.5f, -2.25f, -100.0f - (float)i};
        evalblob_router_row_write(blob + EVALBLOB_HEADER + i * PREFIX * 4, row, PREFIX);
    }
}

static int blob_open(const uint8_t *blob, uint64_t size)
{
    struct evalblob b;
    const uint8_t *rows;
    return evalblob_open(blob, size, &b, &rows, NULL);
}

static void test_router(void **state)
{
    (void)state;
    uint8_t blob[SIZE];
    router_make(blob);
    struct evalblob b;
    const uint8_t *rows;
    float row[PREFIX];
    assert_int_equal(evalblob_open(blob, SIZE, &b, &rows, NULL), 0);
    assert_int_equal(b.kind, EVALBLOB_ROUTER);
    assert_int_equal(b.count, COUNT);
    assert_int_equal(b.columns, PREFIX);
    assert_int_equal(b.row_bytes, PREFIX * 4);
    evalblob_router_row(&b, rows, 2, row);
    assert_true(row[0] == 0 && row[1] == -1.5f && row[3] == -102.0f);
}

static void test_model(void **state)
{
    (void)state;
    uint8_t blob[EVALBLOB_HEADER + 2 * 16];
    evalblob_header_write(blob, EVALBLOB_MODEL, 2, 0);
    evalblob_model_row_write(blob + EVALBLOB_HEADER, 1.1, 0.1);
    evalblob_model_row_write(blob + EVALBLOB_HEADER + 16, 2.2, 0.2);
    struct evalblob b;
    const uint8_t *rows;
    double all, after;
    assert_int_equal(evalblob_open(blob, sizeof blob, &b, &rows, NULL), 0);
    assert_int_equal(b.kind, EVALBLOB_MODEL);
    evalblob_model_row(rows, 1, &all, &after);
    assert_true(all == 2.2 && after == 0.2);
    evalblob_model_row_write(blob + EVALBLOB_HEADER, 1.1, INFINITY);
    assert_int_equal(blob_open(blob, sizeof blob), ERR_NOT_FINITE);
    for (uint64_t size = 0; size < sizeof blob; size++)
        assert_int_equal(blob_open(blob, size), ERR_FORMAT);
}

/* A report must not be made of an agent's broken or poisoned result. */
static void test_refuses(void **state)
{
    (void)state;
    uint8_t blob[SIZE + 1] = {0};
    for (uint64_t size = 0; size <= SIZE + 1; size++) {
        router_make(blob);
        assert_int_equal(blob_open(blob, size), size == SIZE ? 0 : ERR_FORMAT);
    }
    for (size_t at = 0; at < EVALBLOB_HEADER; at++) {
        router_make(blob);
        blob[at] ^= 0x81;
        assert_int_equal(blob_open(blob, SIZE), ERR_FORMAT);
    }
    router_make(blob);
    blob[EVALBLOB_HEADER + 7] = 0x7f, blob[EVALBLOB_HEADER + 6] = 0xc0; /* NaN */
    assert_int_equal(blob_open(blob, SIZE), ERR_NOT_FINITE);
    router_make(blob);
    blob[EVALBLOB_HEADER + 3] = 0xbf; /* the first column is not zero */
    assert_int_equal(blob_open(blob, SIZE), ERR_FORMAT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_router),
        cmocka_unit_test(test_model),
        cmocka_unit_test(test_refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
