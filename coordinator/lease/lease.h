/* Leases: a job is held by one agent until a deadline on the coordinator's monotonic clock. Holder
 * and fence are durable, deadlines are not: after a restart every lease gets a full term. Expiry
 * and release are neither failures nor reasons to back off. */
#ifndef TACIT_COORDINATOR_LEASE_LEASE_H
#define TACIT_COORDINATOR_LEASE_LEASE_H

#include "coordinator/service.h"

/* Three lost heartbeats of 20 s; a vanished machine's work is taken up in a minute. */
#define LEASE_MS 60000
/* A job goes to quarantine once so many agents have failed it, or went silent with it before a step
 * was done; or after so many failures, by two agents where two are alive. */
#define LEASE_POISON_AGENTS 3
#define LEASE_FAILURES_MAX 5
/* An agent whose process ended so many times in a row before it had done a step of a job, and which
 * asked for work again each time (a machine short of memory, say), has failed it. */
#define LEASE_VAIN_MAX 3
/* An agent that fails so many different jobs in a row is benched: for ten minutes, twice that, four
 * times that, and then until somebody unbenches it. */
#define LEASE_BENCH_JOBS 3
#define LEASE_BENCH_MS (10 * 60 * 1000)
#define LEASE_BENCHES_TIMED 3
/* Two heartbeats are missing. */
#define LEASE_SILENT_MS (2 * LEASE_MS / 3 + 1000)
/* Doubled at each failure, at most 5 min; after that others have LEASE_ELSEWHERE_MS to take the job
 * before whoever failed gets it again. */
#define LEASE_BACKOFF_MS 2000
#define LEASE_ELSEWHERE_MS (5 * 60 * 1000)

struct msg_complete;

TACIT_MUST_CHECK int lease_clock_create(struct lease_clock **out, struct err *e);
void lease_clock_destroy(struct lease_clock *l);

/* Operations (in → out). */
call_fn lease_join;      /* msg_join → msg_joined */
call_fn lease_claim;     /* msg_claim → msg_grant; nothing to do now: ERR_NOT_FOUND, or 0 and
                            job 0 where what was tidied up on the way must be kept; c->ready then
                            says that there is a job which others may take. An agent that holds a
                            lease gets the same job at once under a new fence */
call_fn lease_heartbeat; /* msg_heartbeat → msg_command; progress is kept in memory, not in the
                            database: a heartbeat costs no write (a read connection) */
call_fn lease_complete;  /* msg_complete → msg_completed; c->checked: see there */
call_fn lease_fail;      /* msg_fail → msg_empty */
call_fn lease_release;   /* msg_release → msg_empty */
call_fn jobs_retry;      /* → msg_job: out of quarantine, failures forgotten; a run that failed is
                            active again */
call_fn runs_retry;      /* → msg_run: the same for all of a run's */
call_fn agents_unbench;  /* all of this name */
/* msg_fleet → msg_fleet_done: of all agents that it means. */
call_fn agents_drain, agents_undrain, agents_revoke, agents_restore, agents_label;
call_fn quotas_set;       /* msg_quota → msg_quota */
call_fn quotas_list;      /* → raw array of msg_quota */
call_fn invitations_make; /* msg_invitation → msg_invitation, with its token */
call_fn invitations_list; /* → raw array of msg_invitation */
call_fn invitations_end;  /* {id} */
call_fn lease_words;      /* msg_words → msg_empty; whoever holds the job now */

/* Whether the caller may deliver the job under this fence: it holds the lease, or its lease ran out
 * and nobody has taken the job since (an agent that cannot be reached has not failed). Else
 * ERR_FENCED. */
struct job_row;
struct msg_fence;
TACIT_MUST_CHECK int lease_check_holder(const struct call *c, const struct job_row *job,
                                        const struct msg_fence *fence, struct err *e);

/* Whether the caller brings, late, another result of a job that is done than was published: it has
 * held the job under the fence of m. It is checked before anybody is accused. */
TACIT_MUST_CHECK int lease_differs_late(const struct call *c, struct store_conn *conn,
                                        const struct job_row *job, const struct msg_complete *m,
                                        struct arena *a, bool *yes, struct err *e);

/* 64 hexadecimal digits that nobody guesses; NULL without memory. */
char *lease_new_token(struct arena *a);
/* Agent whose token this is (BLAKE2b of it is stored): ERR_DENIED. */
TACIT_MUST_CHECK int lease_agent_of_token(struct store_conn *c, const char *token, uint64_t *agent,
                                          struct err *e);

/* Writes what is only in memory of the attempts under way: before the process ends. */
TACIT_MUST_CHECK int lease_flush(struct service *s, struct err *e);

/* Expires what is overdue, makes jobs ready whose backoff is over, and returns in *next_ms when to
 * call again (at most 1,000). Called by main's timer thread. */
TACIT_MUST_CHECK int lease_tick(struct service *s, int64_t *next_ms, struct err *e);

/* A waiting job that is not ready backs off until due_ms (monotonic); then lease_tick makes it
 * ready. Any thread. */
TACIT_MUST_CHECK int lease_clock_backoff(struct lease_clock *l, uint64_t job,
                                         const struct msg_fence *fence, int64_t due_ms,
                                         struct err *e);

/* The last heartbeat of a leased job; false where there was none since the start. Any thread. */
struct lease_progress {
    uint64_t step, total;
    double loss, rate; /* NaN where unknown */
    int64_t seen_ms;   /* monotonic */
    int phase;         /* enum job_phase, since phase_ms (monotonic) */
    int64_t phase_ms;
    int64_t stalled_ms; /* how long there has been no step; 0: it goes well */
};
bool lease_progress_of(struct lease_clock *l, uint64_t job, struct lease_progress *out);
/* The jobs of which a heartbeat came since then (monotonic): how many, the first cap of them in
 * jobs. Any thread. */
uint32_t lease_jobs_heard(struct lease_clock *l, int64_t since_ms, uint64_t *jobs, uint32_t cap);
/* Adds what is only in memory yet of an attempt that goes on: its step, loss, log. Any thread. */
struct attempt_row;
struct msg_attempt;
TACIT_MUST_CHECK int lease_heard_of(struct call *c, const struct attempt_row *r,
                                    struct msg_attempt *m, struct err *e);
/* Adds what is only in memory yet of the learning curve of a job that is leased. Any thread. */
struct curve_row;
struct curve;
void lease_heard_curve(struct call *c, const struct curve_row *row, struct curve *curve);
/* How many agents were heard of since then (monotonic). */
unsigned lease_agents_alive(struct lease_clock *l, int64_t since_ms);
/* Until when a benched agent stays so, monotonic; −1 where it is not known. */
int64_t lease_bench_until(struct lease_clock *l, uint64_t agent);
/* Monotonic time of the agent's last request since the start, or −1. Any thread. */
int64_t lease_agent_seen(struct lease_clock *l, uint64_t agent);

#endif
