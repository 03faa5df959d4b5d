/* Where a run is, and what it waits for, in words. */
#ifndef TACIT_COORDINATOR_RUN_RUN_WORDS_H
#define TACIT_COORDINATOR_RUN_RUN_WORDS_H

#include "coordinator/service.h"
#include "coordinator/run/advance.h"

/* Fills phase, and of an active run the reason. states: how many jobs it has in each. */
TACIT_MUST_CHECK int run_words(struct call *c, const struct run_view *v, const uint64_t states[5],
                               struct msg_run *r, struct err *e);

#endif
