/* A backup becomes a coordinator's folder again. */
#ifndef TACIT_COORDINATOR_KEEP_RESTORE_H
#define TACIT_COORDINATOR_KEEP_RESTORE_H

#include <stdint.h>
#include "core/base/err.h"
#include "core/protocol/messages.h"

/* While it is filled, everything is in this folder of the coordinator's: what is left there by a
 * restoring that was killed is begun anew by the next, and no coordinator starts beside it. */
#define RESTORE_FOLDER "restoring"

typedef int restore_progress_fn(void *arg, uint64_t done, uint64_t total, struct err *e);

/* Fills dir, which must be empty or absent, with what the backup in `file` holds. Fences of the
 * coordinator that it is of are none of its: agents ask anew, and go on. */
TACIT_MUST_CHECK int restore_run(const char *file, const char *dir, restore_progress_fn *progress,
                                 void *arg, struct msg_backup *out, struct err *e);
/* ERR_CONFLICT where a restoring of dir was not finished. */
TACIT_MUST_CHECK int restore_check(const char *dir, struct err *e);

#endif
