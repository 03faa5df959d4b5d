/* A blob against its name, for those who are about to undo what it belongs to. */
#ifndef TACIT_COORDINATOR_RUN_CHECK_BLOBS_H
#define TACIT_COORDINATOR_RUN_CHECK_BLOBS_H

#include "coordinator/service.h"
#include "core/base/digest.h"

enum blob_state { BLOB_WHOLE, BLOB_DAMAGED, BLOB_ABSENT };

/* Reads all of it. Damaged are bytes that were read and are others, or not there: an error of the
 * disk says nothing of them, and is returned. ERR_UNAVAILABLE once the coordinator is to stop. */
TACIT_MUST_CHECK int blob_check(struct service *s, const struct digest *d, enum blob_state *out,
                                struct err *e);

#endif
