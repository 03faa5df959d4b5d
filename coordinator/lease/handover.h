/* Jobs that go on from what an agent saved: handed over by one that was preempted, or offered by
 * one that asks for work again. Private to lease/. */
#ifndef TACIT_COORDINATOR_LEASE_HANDOVER_H
#define TACIT_COORDINATOR_LEASE_HANDOVER_H

#include "coordinator/service.h"
#include "coordinator/store/ops.h"
#include "core/protocol/messages.h"

/* Keeps the save of a job that its holder gives back half done (c->checked: it was looked at).
 * ERR_UNAVAILABLE where it was not. */
TACIT_MUST_CHECK int handover_keep(struct call *c, const struct job_row *job,
                                   const struct msg_release *m, struct err *e);
/* Takes the first of the offered jobs that waits for an agent such as this one: ERR_NOT_FOUND. */
TACIT_MUST_CHECK int handover_claim(struct call *c, const struct msg_claim *m,
                                    const struct msg_fence *fence, struct job_row *job,
                                    struct err *e);

#endif
