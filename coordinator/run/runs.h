/* Runs and data sets as operations; the rules by which jobs follow are in due.h. */
#ifndef TACIT_COORDINATOR_RUN_RUNS_H
#define TACIT_COORDINATOR_RUN_RUNS_H

#include "coordinator/service.h"
#include "core/protocol/messages.h"

call_fn runs_create;     /* msg_run_create → msg_run; the spec's blob is stored before */
call_fn runs_list;       /* → raw JSON array of msg_run, newest first */
call_fn runs_show;       /* {name} → msg_run */
call_fn runs_cancel;     /* {name} → msg_run */
call_fn runs_pause;      /* {name}, msg_pause → msg_run */
call_fn runs_resume;     /* {name} → msg_run */
call_fn runs_priority;   /* {name}, msg_priority → msg_run */
call_fn runs_extend;     /* {name}, msg_extend → msg_run */
call_fn datasets_delete; /* {name}, msg_delete → msg_empty */
call_fn runs_report;     /* {name} → raw msg_report; ERR_CONFLICT while the run goes on */
call_fn runs_curves;     /* {name}, limit → raw array of msg_curve */
call_fn datasets_create; /* msg_dataset → msg_dataset; every blob must be there */
call_fn datasets_list, datasets_show;
call_fn jobs_show;     /* {id} → msg_job */
call_fn jobs_attempts; /* {id} → raw array of msg_attempt, oldest first */
call_fn status_jobs, status_agents, status_show; /* raw arrays of msg_job, msg_agent; msg_status */
call_fn status_overview;                         /* msg_overview */
call_fn runs_timeline, runs_parting;             /* {name} → msg_timeline, msg_parting */
call_fn runs_costs;                              /* {name} → msg_spending */
call_fn status_metrics;                          /* raw text for Prometheus */

call_fn lineage_show; /* {name}: a digest or its first digits → msg_made */
call_fn jobs_made;    /* {id} → msg_made */
call_fn runs_results; /* {name} → raw array of msg_result */

call_fn runs_verify;   /* {name}, msg_verify → msg_replays */
call_fn runs_replays;  /* {name} → raw array of msg_replay */
call_fn alarms_list;   /* → raw array of msg_alarm */
call_fn jobs_verified; /* {id} → msg_empty: a replay elsewhere gave the same */
call_fn runs_rollback; /* {name}, msg_rollback → msg_rolled_back */

/* The share of a run that is done, with what agents last reported; busy: somebody works for it. */
TACIT_MUST_CHECK int runs_share(struct call *c, uint64_t run, double *share, bool *busy,
                                struct err *e);

/* What precedes an operation, on a works thread, with c->conn NULL: whatever takes long or waits
 * for the blob store. An error is the answer. */
typedef int prepare_fn(struct call *c, const void *in, struct err *e);
prepare_fn runs_prepare_create; /* before runs_create: checks all, and stores the canonical spec as
                                   a blob, unless it is a dry run */
/* Before lease_complete: checks an agent's outputs against what the job must give (roles, counts,
 * shapes, finiteness, digests of content, sizes), reading the blobs as streams. ERR_INVALID says
 * what is wrong. */
prepare_fn runs_prepare_complete;
/* Before lease_release: the same for a save that is handed over with a job half done. */
prepare_fn runs_prepare_release;
prepare_fn runs_prepare_rollback; /* before runs_rollback: finds what must be undone, and forgets
                                     what is damaged of it */

#endif
