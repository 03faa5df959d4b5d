/* Runs and data sets as operations; the rules by which jobs follow are in due.h. */
#ifndef TACIT_COORDINATOR_RUN_RUNS_H
#define TACIT_COORDINATOR_RUN_RUNS_H

#include "coordinator/service.h"
#include "core/protocol/messages.h"

call_fn runs_create;   /* msg_run_create → msg_run; the spec's blob is stored before (runs_prepare) */
call_fn runs_list;     /* → raw JSON array of msg_run, newest first */
call_fn runs_show;     /* {name} → msg_run */
call_fn runs_cancel;   /* {name} → msg_run */
call_fn runs_report;   /* {name} → raw msg_report; ERR_CONFLICT while the run goes on */
call_fn datasets_create; /* msg_dataset → msg_dataset; every blob must be there */
call_fn datasets_list, datasets_show;
call_fn status_jobs, status_agents, status_show; /* raw arrays of msg_job, msg_agent; msg_status */

/* Before lease_complete takes the writer: checks an agent's outputs against what the job must give
 * (roles, counts, shapes, finiteness, digests of content, sizes), reading the blobs as streams.
 * Runs on a works thread. ERR_INVALID says what is wrong. */
TACIT_MUST_CHECK int runs_check_outputs(struct service *s, uint64_t agent, uint64_t job,
                                        const struct msg_complete *m, struct err *e);

#endif
