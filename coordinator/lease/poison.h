/* Jobs that fail whoever does them, and agents that fail whatever they do.
 *
 * A job is quarantined once LEASE_POISON_AGENTS agents have failed it, or LEASE_FAILURES_MAX
 * failures are by two agents, or by the only one alive; or once as many agents went silent with it
 * before a step was done. Preemption, release, and silence after a step count for nothing. Its run
 * goes on with its other jobs, and fails once nothing else is open (run/settle.h). Failures of
 * settings end the run at once.
 *
 * An agent that fails LEASE_BENCH_JOBS different jobs in a row is benched: it gets nothing for ten
 * minutes, twice that the next time, …, at last until an operator unbenches it. What a benched
 * agent failed proves nothing against a job. The last agent alive that is not benched never is: a
 * run whose every job fails is to end, and say so. Private to lease/; inside the writer's
 * transactions.
 */
#ifndef TACIT_COORDINATOR_LEASE_POISON_H
#define TACIT_COORDINATOR_LEASE_POISON_H

#include "coordinator/lease/attempts.h"
#include "coordinator/service.h"
#include "coordinator/store/ops.h"

/* The job, which is waiting or leased, is given up; its run may end by that. error NULL: it is kept
 * with the job already. */
TACIT_MUST_CHECK int poison_quarantine(struct call *c, const struct job_row *job, const char *error,
                                       struct err *e);
/* The settings of the run are at fault: it ends. */
TACIT_MUST_CHECK int poison_settings(struct call *c, const struct job_row *job, const char *error,
                                     struct err *e);
/* The agent has failed the job, and that is counted: quarantines, benches. free: nobody holds the
 * job now. *quarantined may be NULL. */
TACIT_MUST_CHECK int poison_failed(struct call *c, const struct job_row *job, uint64_t agent,
                                   const char *error, bool free, bool *quarantined, struct err *e);
/* The job's lease ran out, and its attempt ended so; heard: the agent had begun. */
TACIT_MUST_CHECK int poison_expired(struct call *c, const struct job_row *job,
                                    const struct attempt_row *attempt, bool heard, struct err *e);

/* Whether other agents are alive that are not benched. */
TACIT_MUST_CHECK int poison_others(struct call *c, uint64_t agent, bool *yes, struct err *e);

#endif
