/* Headers of safetensors files (without their length), read against a small model's: the first byte
 * says whether a model's or a state's. There is one right header for a model, and for each position
 * of a state: what is accepted is what would be written. */
#include "core/checkpoint/tensors.h"
#include "tests/fuzz/small_model.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tensors t;
    struct tensors_extra extra = {0};
    struct err e = {0};
    struct buf again;

    if (size == 0)
        return -1;
    enum tensors_kind kind = data[0] & 1 ? TENSORS_STATE : TENSORS_MODEL;
    FUZZ_OK(tensors_init(&t, kind, &small_model, OPTIMIZER_ADAMW, &e), &e);
    int rc = tensors_header_read(&t, (const char *)data + 1, size - 1,
                                 kind == TENSORS_STATE ? &extra : NULL, &e);
    if (rc) {
        fuzz_refused(rc, &e);
    } else {
        buf_init(&again, TENSORS_HEADER_MAX);
        FUZZ_OK(tensors_header_write(&t, kind == TENSORS_STATE ? &extra : NULL, &again, &e), &e);
        FUZZ_CHECK(again.len == size - 1 + 8 && memcmp(again.data + 8, data + 1, size - 1) == 0);
        buf_free(&again);
    }
    tensors_free(&t);
    return 0;
}
