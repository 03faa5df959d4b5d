/* Specs. What is accepted has a canonical form that reads back as the same spec, and all that
 * follows from it (shapes, steps, costs) can be worked out. */
#include "core/protocol/spec.h"
#include "tests/fuzz/fuzz.h"

enum { VOCAB = 512, SEQ = 64, TRAIN = 100000, HELDOUT = 1000 };

static void follow(const struct run_spec *s)
{
    struct model_config c;
    struct cost_run cost;
    struct err e = {0};
    int rc = spec_check_dataset(s, VOCAB, SEQ, TRAIN, HELDOUT, &e);

    if (rc) {
        fuzz_refused(rc, &e);
        return;
    }
    spec_expert_model(s, VOCAB, SEQ, &c);
    FUZZ_OK(model_config_check(&c, &e), &e);
    if (s->router.mode == SPEC_EM) {
        spec_router_model(s, VOCAB, SEQ, &c);
        FUZZ_OK(model_config_check(&c, &e), &e);
        FUZZ_CHECK(spec_router_steps(s, s->experts - 1) > 0);
    }
    FUZZ_CHECK(spec_dense_steps(s) > 0 || !s->dense.enabled);
    if (s->dense.enabled)
        FUZZ_CHECK(spec_dense_flops_steps(s, VOCAB, SEQ, TRAIN) >= spec_dense_steps(s));
    FUZZ_CHECK(spec_expert_draw(s, TRAIN) <= TRAIN);
    FUZZ_CHECK(spec_chunks(s, TRAIN) >= 1 && spec_chunks(s, TRAIN) <= SPEC_CHUNKS_MAX);
    spec_cost(s, VOCAB, SEQ, TRAIN, &cost);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct run_spec s, t;
    struct err e = {0};
    struct buf first, second;
    int rc = spec_parse((const char *)data, size, "spec.ini", &s, &e);

    if (rc) {
        fuzz_refused(rc, &e);
        return 0;
    }
    buf_init(&first, SPEC_BYTES_MAX);
    buf_init(&second, SPEC_BYTES_MAX);
    FUZZ_OK(spec_canonical(&s, &first, &e), &e);
    FUZZ_OK(spec_parse(first.data, first.len, "canonical", &t, &e), &e);
    FUZZ_OK(spec_canonical(&t, &second, &e), &e);
    FUZZ_CHECK(first.len == second.len && memcmp(first.data, second.data, first.len) == 0);
    follow(&s);
    buf_free(&first);
    buf_free(&second);
    return 0;
}
