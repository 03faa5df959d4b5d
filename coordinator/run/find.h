/* Runs by the name that a path gives. */
#ifndef TACIT_COORDINATOR_RUN_FIND_H
#define TACIT_COORDINATOR_RUN_FIND_H

#include "coordinator/service.h"
#include "coordinator/store/ops.h"

/* The run {name}: ERR_NOT_FOUND says which name is near, or where all are. */
TACIT_MUST_CHECK int run_find(struct call *c, struct run_row *out, struct err *e);

/* A data set by its name; ERR_NOT_FOUND names the nearest one, or what makes one of this name. */
TACIT_MUST_CHECK int dataset_find(struct call *c, const char *name, uint64_t *id, struct err *e);

#endif
