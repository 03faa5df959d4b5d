/* The model whose checkpoints the targets read: as few bytes as a checkpoint can have. */
#ifndef TACIT_TESTS_FUZZ_SMALL_MODEL_H
#define TACIT_TESTS_FUZZ_SMALL_MODEL_H

#include "core/model/model.h"
#include "tests/fuzz/fuzz.h"

static const struct model_config small_model = {
    .vocab = 3, .seq = 4, .hidden = 2, .layers = 1, .heads = 1, .ffn = 2};
/* model_parameters of it; checked where it is used. */
#define SMALL_PARAMETERS_MAX 128

#endif
