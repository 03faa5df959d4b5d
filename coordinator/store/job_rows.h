/* Shared by the files of job operations. Private to store/. */
#ifndef TACIT_COORDINATOR_STORE_JOB_ROWS_H
#define TACIT_COORDINATOR_STORE_JOB_ROWS_H

#include "coordinator/store/conn.h"
#include "coordinator/store/ops.h"

/* kind, target, idx, round, chunk, part, final, step_first, step_last. */
void query_key(struct query *q, const struct job_key *k);

#endif
