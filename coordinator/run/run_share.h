/* How much of a run is done, as a share of its FLOPs. */
#ifndef TACIT_COORDINATOR_RUN_RUN_SHARE_H
#define TACIT_COORDINATOR_RUN_RUN_SHARE_H

#include "core/protocol/messages.h"
#include "coordinator/run/advance.h"

/* 0…1. models: the run's models with the steps that their agents last reported; NULL: what is
 * published alone counts. */
double run_share(const struct run_view *v, const struct msg_model_progress *models, uint32_t count);

#endif
