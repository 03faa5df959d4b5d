/* What the files of lease/ share. Private to lease/. */
#ifndef TACIT_COORDINATOR_LEASE_LEASE_PARTS_H
#define TACIT_COORDINATOR_LEASE_LEASE_PARTS_H

#include "coordinator/lease/lease.h"
#include "coordinator/store/ops.h"

/* The job of {id}, whose newest fence is this one; else ERR_FENCED. Its state is the caller's. */
TACIT_MUST_CHECK int lease__load(struct call *c, const struct msg_fence *fence, struct job_row *job,
                                 struct err *e);
/* Whether the job waits, and the caller is whose lease ran out. */
bool lease__is_former(const struct call *c, const struct job_row *job);
/* ERR_FENCED: the job's state is not one in which anybody holds it. */
int lease__not_held(const struct job_row *job, struct err *e);
/* The job's holder claims again, and so the attempt under way ends. *failed: as the last of
 * LEASE_VAIN_MAX that came to nothing, so that this counts as a failure, and the job is not held
 * any more. */
TACIT_MUST_CHECK int lease__claimed_again(struct call *c, const struct job_row *job, bool *failed,
                                          struct err *e);
/* Whether the outputs are in the store, with their sizes: ERR_CONFLICT, ERR_INVALID. */
TACIT_MUST_CHECK int lease__check_blobs(struct call *c, const struct msg_complete *m,
                                        struct err *e);

#endif
