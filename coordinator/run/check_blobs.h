/* Reading blobs against their names. */
#ifndef TACIT_COORDINATOR_RUN_CHECK_BLOBS_H
#define TACIT_COORDINATOR_RUN_CHECK_BLOBS_H

#include "coordinator/service.h"
#include "core/base/digest.h"

enum blob_state { BLOB_WHOLE, BLOB_DAMAGED, BLOB_ABSENT };

/* Reads all of it. *why: what is wrong with a damaged one, in the arena; *bytes that were read;
 * both may be NULL. ERR_UNAVAILABLE once the coordinator is to stop. */
TACIT_MUST_CHECK int blob_check(struct service *s, const struct digest *d, struct arena *a,
                                enum blob_state *out, const char **why, uint64_t *bytes,
                                struct err *e);

#endif
