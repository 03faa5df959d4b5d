/* Keys are compared by their fields: structs have padding. */
#ifndef TACIT_TESTS_RUN_JOB_KEYS_H
#define TACIT_TESTS_RUN_JOB_KEYS_H

#include <stdbool.h>
#include "coordinator/store/ops.h"

static inline bool job_keys_equal(const struct job_key *a, const struct job_key *b)
{
    return a->kind == b->kind && a->target == b->target && a->index == b->index &&
           a->round == b->round && a->chunk == b->chunk && a->part == b->part &&
           a->final == b->final && a->step_first == b->step_first && a->step_last == b->step_last;
}

#endif
