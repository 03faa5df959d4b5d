/* Assignment blobs: every index of one that is accepted is an expert. */
#include "core/mixture/assign.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint64_t n;
    uint32_t experts;
    const uint8_t *values;
    struct err e = {0};
    int rc = assign_open(data, size, &n, &experts, &values, &e);

    if (rc) {
        fuzz_refused(rc, &e);
        return 0;
    }
    FUZZ_CHECK(experts >= 1 && experts <= ASSIGN_EXPERTS_MAX);
    for (uint64_t i = 0; i < n; i++)
        FUZZ_CHECK(assign_at(values, i) < experts);
    return 0;
}
