/* The thread that answers claims which have waited long enough (api_tick). */
#ifndef TACIT_COORDINATOR_API_DEADLINES_H
#define TACIT_COORDINATOR_API_DEADLINES_H

#include "coordinator/api/api.h"

struct deadlines;

TACIT_MUST_CHECK int deadlines_start(struct deadlines **out, struct api *a, struct err *e);
void deadlines_stop(struct deadlines *d); /* accepts NULL; the API is stopped already */

#endif
