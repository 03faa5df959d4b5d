/* The link between what is stored and the rules: facts from the store, jobs into it, and what a
 * job's holder is told. Called inside the writer's transactions by lease/. */
#ifndef TACIT_COORDINATOR_RUN_ADVANCE_H
#define TACIT_COORDINATOR_RUN_ADVANCE_H

#include "coordinator/service.h"
#include "coordinator/run/due.h"
#include "coordinator/store/ops.h"
#include "core/protocol/messages.h"
#include "core/protocol/spec.h"

/* Of replays: below everything that a run waits for. */
#define RUN_REPLAY_PRIORITY 1

/* A run with what its jobs are computed from; strings and arrays in the call's arena. */
struct run_view {
    struct run_row row;
    struct run_spec spec;
    struct msg_dataset dataset; /* without shards */
    struct run_facts facts;
};
/* progress: whether facts hold what is done, too, or only what follows from spec and data set. */
/* What follows from spec and data set alone. */
void run_facts_init(struct run_facts *f, const struct run_spec *spec, const struct msg_dataset *d);
/* Whether every job of a run to be made can be told its inputs: ERR_INVALID names what to change.
 */
TACIT_MUST_CHECK int run_inputs_check(const struct run_facts *f, struct err *e);
TACIT_MUST_CHECK int run_view_load(struct store_conn *c, uint64_t run, bool progress,
                                   struct arena *a, struct run_view *out, struct err *e);

/* Derives the due jobs of the run in the caller's writer transaction and inserts those that are
 * new; adds to c->ready, and wakes works/ for the coordinator's own. Nothing for an ended run.
 * done: the job that has just been done in this transaction, to look only at what follows from it;
 * NULL: at everything. */
TACIT_MUST_CHECK int run_advance(struct call *c, uint64_t run, const struct job_key *done,
                                 struct err *e);

/* Fills the grant of a job, all but fence and lease_ms: inputs by digest, from the outputs of the
 * jobs before it. Not for the coordinator's own kinds. */
TACIT_MUST_CHECK int run_grant(struct call *c, const struct job_row *job, struct msg_grant *out,
                               struct err *e);

/* The same for jobs of every kind: what a done job was made of, whether it is kept or not. */
TACIT_MUST_CHECK int run_inputs(struct call *c, const struct job_row *job, struct msg_grant *out,
                                struct err *e);

/* The job's key in the words of people: "train expert 2, steps 500–1,000". In the arena. */
const char *run_job_words(struct arena *a, const struct job_key *k);

#endif
