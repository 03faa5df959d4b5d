/* Whether an agent gets jobs: operators drain and revoke agents, and give their owners quotas.
 * (Which runs give it jobs, the store's queue knows.) Private to lease/; inside the writer's
 * transactions. */
#ifndef TACIT_COORDINATOR_LEASE_STEERING_H
#define TACIT_COORDINATOR_LEASE_STEERING_H

#include "coordinator/service.h"

/* ERR_DENIED where the caller was revoked while it waited for work. */
TACIT_MUST_CHECK int steering_trusts(struct call *c, struct err *e);
/* ERR_DRAINED where the caller is to have no more jobs; ERR_NOT_FOUND, with c->ready set, where its
 * owner's agents hold as many as they may. */
TACIT_MUST_CHECK int steering_allows(struct call *c, struct err *e);
/* There is nothing for the caller: ERR_NOT_FOUND. c->ready tells whether others may find what is
 * kept from this one by its labels. */
TACIT_MUST_CHECK int steering_pass_on(struct call *c, struct err *e);
/* Whether the caller may go on with the next link of a chain; false also where that can't be
 * learnt. */
bool steering_goes_on(struct call *c, uint64_t run);
/* ERR_NOT_FOUND for a name that no agent has; names the nearest. */
TACIT_MUST_CHECK int fleet_unknown(struct call *c, const char *name, struct err *e);
/* The caller holds nothing any more: who waits for its owner's quota is told. */
TACIT_MUST_CHECK int steering_freed(struct call *c, struct err *e);

#endif
