/* Jobs that are done twice. An idle agent duplicates the job that its holder seems to need longest
 * for, under a fence of its own; the first result counts. `tacit verify --agents` has done jobs
 * replayed. Where two results of a job differ, somebody's machine is at fault, or lies: an alarm
 * names both. Private to lease/; inside the writer's transactions. */
#ifndef TACIT_COORDINATOR_LEASE_REPLAYS_H
#define TACIT_COORDINATOR_LEASE_REPLAYS_H

#include "coordinator/service.h"
#include "coordinator/store/ops.h"
#include "core/protocol/messages.h"

/* What is quicker than that is over before a duplicate would have fetched its inputs. */
#define REPLAY_ELAPSED_MS_MIN 10000

/* Takes a duplicate of somebody's slow job, where this agent would probably be through before:
 * ERR_NOT_FOUND. There is no other work for the agent. */
TACIT_MUST_CHECK int replay_claim(struct call *c, const struct msg_fence *fence,
                                  struct job_row *job, struct err *e);
/* Whether the job is a duplicate of one that has ended. A reader's snapshot will do. */
TACIT_MUST_CHECK int replay_is_moot(struct call *c, const struct job_row *job, bool *yes,
                                    struct err *e);
/* A replay whose holder gives it back, or failed it: a duplicate is not tried again. *over: it was
 * one, and nothing is left to do. */
TACIT_MUST_CHECK int replay_given_back(struct call *c, const struct job_row *job, bool *over,
                                       struct err *e);
/* The holder's result of a replay, which was checked. *published: it is the result of *first, which
 * was not done yet; the caller goes on as with that job's own. */
TACIT_MUST_CHECK int replay_complete(struct call *c, const struct job_row *job,
                                     const struct msg_complete *m, bool *published,
                                     struct job_row *first, struct err *e);
/* The job is done by another; the caller has held it, under this fence, and comes late. Success,
 * whatever it brings: ERR_FENCED where it never held it so. */
TACIT_MUST_CHECK int replay_late(struct call *c, const struct job_row *job,
                                 const struct msg_complete *m, struct err *e);

#endif
