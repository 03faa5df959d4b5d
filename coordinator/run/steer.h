/* What time does to runs that operators steer. */
#ifndef TACIT_COORDINATOR_RUN_STEER_H
#define TACIT_COORDINATOR_RUN_STEER_H

#include "coordinator/service.h"

/* Resumes the runs whose pause is over, in the writer's transaction; adds to c->ready. */
TACIT_MUST_CHECK int runs_rested(struct call *c, struct err *e);

#endif
