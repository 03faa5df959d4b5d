/* Score blobs, and the assignment that follows from them: as many sequences for each router as it
 * has room for, and the blob that says so reads back. */
#include "core/mixture/assign.h"
#include "tests/fuzz/fuzz.h"

static void check_assignment(const uint16_t *expert, uint64_t n, uint32_t routers)
{
    static uint64_t given[SCORES_ROUTERS_MAX];
    uint8_t *blob = malloc(ASSIGN_HEADER + 2 * n);
    const uint8_t *values;
    uint64_t count;
    uint32_t experts;
    struct err e = {0};

    FUZZ_CHECK(blob);
    memset(given, 0, sizeof given);
    assign_header_write(blob, n, routers);
    for (uint64_t i = 0; i < n; i++) {
        FUZZ_CHECK(expert[i] < routers);
        given[expert[i]]++;
        blob[ASSIGN_HEADER + 2 * i] = (uint8_t)expert[i];
        blob[ASSIGN_HEADER + 2 * i + 1] = (uint8_t)(expert[i] >> 8);
    }
    for (uint32_t r = 0; r < routers; r++)
        FUZZ_CHECK(given[r] == assign_capacity(n, routers, r));
    FUZZ_OK(assign_open(blob, ASSIGN_HEADER + 2 * n, &count, &experts, &values, &e), &e);
    FUZZ_CHECK(count == n && experts == routers);
    for (uint64_t i = 0; i < n; i++)
        FUZZ_CHECK(assign_at(values, i) == expert[i]);
    free(blob);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint64_t n;
    uint32_t routers;
    const uint8_t *rows;
    struct err e = {0};
    int rc = scores_open(data, size, &n, &routers, &rows, &e);

    if (rc) {
        fuzz_refused(rc, &e);
        return 0;
    }
    for (uint64_t i = 0; i < n; i++)
        for (uint32_t r = 0; r < routers; r++)
            FUZZ_CHECK(scores_row_difference(rows + i * SCORES_ROW(routers), r) <= 0);
    uint16_t *expert = calloc(n + 1, sizeof *expert);
    FUZZ_CHECK(expert);
    FUZZ_OK(assign_balanced(rows, n, routers, expert, &e), &e);
    check_assignment(expert, n, routers);
    free(expert);
    return 0;
}
