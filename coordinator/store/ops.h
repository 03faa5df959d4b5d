/* The named operations of tacit.db: all that the rest of the coordinator may ask of it. Every one
 * runs inside the caller's transaction (store.h); those that change something need the writer's.
 * Strings and arrays of results are in the given arena. Absent rows: ERR_NOT_FOUND. */
#ifndef TACIT_COORDINATOR_STORE_OPS_H
#define TACIT_COORDINATOR_STORE_OPS_H

#include <stdbool.h>
#include <stdint.h>
#include "core/base/arena.h"
#include "core/base/digest.h"
#include "core/base/err.h"
#include "core/protocol/messages.h"
#include "coordinator/store/store.h"

/* What identifies a job within its run; unique. Fields that a kind does not use are 0.
 *   train-router: target router, index e, round r     score/assign: round r, or final with chunk c,
 *   segment: final, chunk c, part                     and part
 *   train: target, index, step_first, step_last       eval: target, index, step_last
 *   report: none                                      replay: those of the job replayed; not unique
 */
struct job_key {
    int kind, target; /* enum job_kind, enum job_target */
    uint32_t index, round, chunk, part;
    bool final;
    uint64_t step_first, step_last;
};

struct job_row {
    uint64_t id, run;
    struct job_key key;
    int state;        /* enum job_state */
    uint64_t replays; /* JOB_REPLAY: whose result it computes again; else 0 */
    bool duplicate;   /* a replay that is to overtake the holder of a job that is not done */
    int verdict;      /* of a replay that is done: enum replay_verdict; else -1 */
    bool undone;      /* rolled back: cancelled, and another job has its key */
    int priority;
    bool ready;            /* false while it backs off */
    uint64_t agent;        /* holder while leased, doer once done; 0: the coordinator */
    uint64_t former;       /* of a waiting job: whose lease ran out under `fence`, or 0 */
    uint64_t failed_agent; /* of a waiting job: who does not get it for now, or 0 */
    struct msg_fence fence;
    uint64_t attempts, failures, since_ms; /* since_ms: wall clock, of the state */
    const char *errors; /* the last ones, newest first, at most PROTOCOL_TEXT_MAX bytes; or NULL */
    double loss, seconds;
    uint64_t tokens, bytes_down, bytes_up;
    const char *detail; /* JSON that the coordinator keeps with its own jobs' results, or NULL */
};

struct run_row {
    uint64_t id, dataset;
    const char *name, *spec_text, *reason; /* spec_text: canonical */
    struct digest spec;
    int state; /* enum run_state */
    uint64_t created_ms, ended_ms;
    bool paused;             /* gets no agents */
    uint64_t resume_ms;      /* paused: until when (wall clock); 0: until somebody resumes it */
    const char *forked_from; /* a run's name, or NULL */
    int priority;            /* runs of higher priority get agents first */
};

struct agent_row {
    uint64_t id;
    const char *name, *host, *processor, *isa, *version;
    uint64_t threads, memory, jobs_done, failures, joined_ms, seen_ms;
    int64_t bench_ms;         /* 0: not benched; −1: until it is unbenched */
    uint64_t benched_ms;      /* since when */
    const char *bench_reason; /* or NULL */
    int drain;                /* enum agent_drain (ops_steer.h) */
    uint64_t revoked_ms;      /* 0: it is trusted */
    const char *owner;        /* or NULL */
};

/* --- agents ---------------------------------------------------------------------------------- */
/* Inserts, or replaces token hash and facts of the agent with this identity. Its token before is
 * good until the next join: a join may be delivered twice, and answered by the first. */
TACIT_MUST_CHECK int op_agent_put(struct store_conn *c, const struct msg_join *m,
                                  const struct digest *token_hash, uint64_t wall_ms, uint64_t *id,
                                  struct err *e);
/* The agent with this identity: ERR_NOT_FOUND. */
TACIT_MUST_CHECK int op_agent_by_identity(struct store_conn *c, const char *identity, uint64_t *id,
                                          struct err *e);
/* Not one that is revoked: ERR_NOT_FOUND. */
TACIT_MUST_CHECK int op_agent_by_token(struct store_conn *c, const struct digest *token_hash,
                                       uint64_t *id, struct err *e);
TACIT_MUST_CHECK int op_agent_get(struct store_conn *c, uint64_t id, struct arena *a,
                                  struct agent_row *out, struct err *e);
TACIT_MUST_CHECK int op_agents(struct store_conn *c, struct arena *a, struct agent_row **rows,
                               uint32_t *count, struct err *e);
TACIT_MUST_CHECK int op_agent_seen(struct store_conn *c, uint64_t id, uint64_t wall_ms,
                                   struct err *e);

/* --- data sets ------------------------------------------------------------------------------- */
TACIT_MUST_CHECK int op_dataset_insert(struct store_conn *c, const struct msg_dataset *m,
                                       uint64_t wall_ms, uint64_t *id, struct err *e);
TACIT_MUST_CHECK int op_dataset_find(struct store_conn *c, const char *name, uint64_t *id,
                                     struct err *e);
/* Without shards where shards is false. */
TACIT_MUST_CHECK int op_dataset_get(struct store_conn *c, uint64_t id, bool shards, struct arena *a,
                                    struct msg_dataset *out, struct err *e);
TACIT_MUST_CHECK int op_datasets(struct store_conn *c, struct arena *a, struct msg_dataset **rows,
                                 uint32_t *count, struct err *e); /* newest first, no shards */
/* Shards first…first+count−1 of a split (0 train, 1 held out). */
TACIT_MUST_CHECK int op_shards(struct store_conn *c, uint64_t dataset, int split, uint64_t first,
                               uint32_t count, struct arena *a, struct msg_shard **rows,
                               struct err *e);

/* --- runs ------------------------------------------------------------------------------------ */
/* ERR_EXISTS where the name is taken. */
TACIT_MUST_CHECK int op_run_insert(struct store_conn *c, const char *name, uint64_t dataset,
                                   const struct digest *spec, const char *spec_text,
                                   uint64_t wall_ms, uint64_t *id, struct err *e);
TACIT_MUST_CHECK int op_run_find(struct store_conn *c, const char *name, struct arena *a,
                                 struct run_row *out, struct err *e);
TACIT_MUST_CHECK int op_run_get(struct store_conn *c, uint64_t id, struct arena *a,
                                struct run_row *out, struct err *e);
TACIT_MUST_CHECK int op_runs(struct store_conn *c, struct arena *a, struct run_row **rows,
                             uint32_t *count, struct err *e); /* newest first */
/* How many are in each state: out[enum run_state]. */
TACIT_MUST_CHECK int op_run_states(struct store_conn *c, uint64_t out[4], struct err *e);
/* The newest that are active. */
TACIT_MUST_CHECK int op_runs_active(struct store_conn *c, uint32_t limit, struct arena *a,
                                    uint64_t **ids, uint32_t *count, struct err *e);
/* Only from active: success is never overwritten (ERR_CONFLICT). Waiting and leased jobs of a run
 * that ends otherwise than done become cancelled. */
TACIT_MUST_CHECK int op_run_end(struct store_conn *c, uint64_t id, int state, const char *reason,
                                uint64_t wall_ms, struct err *e);

/* A failed run is cancelled: it is not tried again. */
TACIT_MUST_CHECK int op_run_give_up(struct store_conn *c, uint64_t id, const char *reason,
                                    struct err *e);
/* The newest names. */
TACIT_MUST_CHECK int op_run_names(struct store_conn *c, uint32_t limit, struct arena *a,
                                  const char ***names, uint32_t *count, struct err *e);

/* --- jobs ------------------------------------------------------------------------------------ */
/* *inserted false where the run has the job already, in whatever state; what was rolled back does
 * not count, here and wherever a job is found by its key. */
TACIT_MUST_CHECK int op_job_insert(struct store_conn *c, uint64_t run, const struct job_key *k,
                                   int priority, uint64_t wall_ms, bool *inserted, struct err *e);
TACIT_MUST_CHECK int op_job_get(struct store_conn *c, uint64_t id, struct arena *a,
                                struct job_row *out, struct err *e);
TACIT_MUST_CHECK int op_job_find(struct store_conn *c, uint64_t run, const struct job_key *k,
                                 struct arena *a, struct job_row *out, struct err *e);
/* The train job of this model that begins after step_first: the chain's next link. */
TACIT_MUST_CHECK int op_job_next_link(struct store_conn *c, uint64_t run, int target,
                                      uint32_t index, uint64_t step_first, struct arena *a,
                                      struct job_row *out, struct err *e);
/* Takes the first ready job of the runs that the agent may work for (ops_queue.h) that it has not
 * failed last. own: takes only the coordinator's kinds. */
TACIT_MUST_CHECK int op_job_claim(struct store_conn *c, bool own, uint64_t agent,
                                  const struct msg_fence *f, uint64_t wall_ms, struct arena *a,
                                  struct job_row *out, struct err *e);
/* This very job, if it is waiting and ready (the chain's next link). */
TACIT_MUST_CHECK int op_job_take(struct store_conn *c, uint64_t id, uint64_t agent,
                                 const struct msg_fence *f, uint64_t wall_ms, struct err *e);
TACIT_MUST_CHECK int op_job_held_by(struct store_conn *c, uint64_t agent, struct arena *a,
                                    struct job_row *out, struct err *e);
TACIT_MUST_CHECK int op_job_refence(struct store_conn *c, uint64_t id, const struct msg_fence *f,
                                    struct err *e);
/* The lease ran out: waiting and ready, and its holder is remembered as `former`. */
TACIT_MUST_CHECK int op_job_expire(struct store_conn *c, uint64_t id, uint64_t wall_ms,
                                   struct err *e);
/* Its former holder goes on under the same fence, if it holds nothing else (else ERR_CONFLICT). */
TACIT_MUST_CHECK int op_job_retake(struct store_conn *c, uint64_t id, uint64_t agent,
                                   const struct msg_fence *f, uint64_t wall_ms, struct err *e);
/* Back to waiting: ready or backing off. error (may be NULL) is put in front of errors (the last 8
 * are kept, 4 KiB each), counts as a failure, and keeps the job from its holder for now. */
TACIT_MUST_CHECK int op_job_return(struct store_conn *c, uint64_t id, bool ready, const char *error,
                                   uint64_t wall_ms, struct err *e);
/* Keeps an error with a job of the coordinator's own without counting a failure. */
TACIT_MUST_CHECK int op_job_note(struct store_conn *c, uint64_t id, const char *error,
                                 struct err *e);
/* A failure of the job that its holder can't tell itself any more: counted, and the job stays as it
 * is. Of an ended job nothing is kept. */
TACIT_MUST_CHECK int op_job_blame(struct store_conn *c, uint64_t job, uint64_t agent,
                                  const char *error, struct err *e);
/* Lifts what keeps it from the agent that failed last. */
TACIT_MUST_CHECK int op_job_allow_all(struct store_conn *c, uint64_t id, struct err *e);
/* Only a job that backs off (else ERR_CONFLICT). */
TACIT_MUST_CHECK int op_job_set_ready(struct store_conn *c, uint64_t id, struct err *e);
/* error may be NULL: it is there already. */
TACIT_MUST_CHECK int op_job_quarantine(struct store_conn *c, uint64_t id, const char *error,
                                       uint64_t wall_ms, struct err *e);
/* Done, with its outputs and figures (m; detail may be NULL). Only from leased, or waiting with a
 * former holder: whose result it is, the caller knows. */
TACIT_MUST_CHECK int op_job_done(struct store_conn *c, uint64_t id, const struct msg_complete *m,
                                 const char *detail, uint64_t wall_ms, struct err *e);
TACIT_MUST_CHECK int op_outputs(struct store_conn *c, uint64_t job, struct arena *a,
                                struct msg_blob **rows, uint32_t *count, struct err *e);

/* A save that was handed over with a job half done (schema/006_handover.sql): its blobs are in use
 * as outputs are. */
struct job_save {
    uint64_t step;
    struct msg_blob model, state; /* index is 0 */
};
/* Keeps it, unless there is one at this step or further on. */
TACIT_MUST_CHECK int op_save_put(struct store_conn *c, uint64_t job, uint64_t agent,
                                 const struct job_save *s, uint64_t wall_ms, struct err *e);
TACIT_MUST_CHECK int op_save_get(struct store_conn *c, uint64_t job, struct job_save *out,
                                 struct err *e);
/* Forgets it, if there is one: op_job_done does, and who makes a job's start another. */
TACIT_MUST_CHECK int op_save_drop(struct store_conn *c, uint64_t job, struct err *e);

/* Output `number` of a job alone. */
TACIT_MUST_CHECK int op_output(struct store_conn *c, uint64_t job, uint32_t number,
                               struct msg_blob *out, struct err *e);

/* What the done jobs of a run took, by kind and target. */
struct job_sum {
    int kind, target;
    double seconds;
    uint64_t bytes_down, bytes_up, tokens;
};
TACIT_MUST_CHECK int op_job_sums(struct store_conn *c, uint64_t run, struct arena *a,
                                 struct job_sum **rows, uint32_t *count, struct err *e);

/* Jobs of a run of this kind (and round, chunk, final; target where not TARGET_NONE) in a state. */
TACIT_MUST_CHECK int op_job_count(struct store_conn *c, uint64_t run, const struct job_key *like,
                                  int state, uint64_t *count, struct err *e);
/* The last round (final: chunk) that has jobs of this kind, as a key for op_job_count. */
TACIT_MUST_CHECK int op_job_last_stage(struct store_conn *c, uint64_t run, int kind, bool final,
                                       struct job_key *out, struct err *e);
/* Whether jobs of the run, replays aside, are waiting or leased: *open is not 0. */
TACIT_MUST_CHECK int op_jobs_open(struct store_conn *c, uint64_t run, uint64_t *open,
                                  struct err *e);
/* Highest step_last of done train jobs of this model; 0 where none. */
TACIT_MUST_CHECK int op_model_step(struct store_conn *c, uint64_t run, int target, uint32_t index,
                                   uint64_t *step, struct err *e);
/* Counts by state of a run, without replays (run 0: of all, with them): out[enum job_state]. */
TACIT_MUST_CHECK int op_job_states(struct store_conn *c, uint64_t run, uint64_t out[5],
                                   struct err *e);
/* Of the leased jobs of a run, how many of each kind and target. */
struct job_kinds {
    int kind, target;
    uint64_t count;
};
TACIT_MUST_CHECK int op_jobs_leased_kinds(struct store_conn *c, uint64_t run, struct arena *a,
                                          struct job_kinds **rows, uint32_t *count, struct err *e);
TACIT_MUST_CHECK int op_jobs_leased_ids(struct store_conn *c, struct arena *a, uint64_t **ids,
                                        uint32_t *count, struct err *e);
/* The agents that hold a job, ascending. */
TACIT_MUST_CHECK int op_jobs_holders(struct store_conn *c, struct arena *a, uint64_t **agents,
                                     uint32_t *count, struct err *e);
/* Waiting jobs of a run (0: of all) that back off. */
TACIT_MUST_CHECK int op_jobs_backing_off(struct store_conn *c, uint64_t run, uint64_t *count,
                                         struct err *e);
/* Rows for listing: run 0: all; state −1: all; kind −1: all; newest change first. */
TACIT_MUST_CHECK int op_jobs(struct store_conn *c, uint64_t run, int kind, int state,
                             uint32_t limit, struct arena *a, struct job_row **rows,
                             uint32_t *count, struct err *e);
/* Done jobs of a run with ids above `after`, in their order. */
TACIT_MUST_CHECK int op_jobs_done(struct store_conn *c, uint64_t run, uint64_t after,
                                  uint32_t limit, struct arena *a, struct job_row **rows,
                                  uint32_t *count, struct err *e);
/* All leased jobs (after a restart each gets a full term). */
TACIT_MUST_CHECK int op_jobs_leased(struct store_conn *c, struct arena *a, struct job_row **rows,
                                    uint32_t *count, struct err *e);
/* Every waiting job ready again (a restart forgets backoffs); the coordinator's own leased jobs
 * (agent 0) become waiting. store_open does it: nobody works yet. */
TACIT_MUST_CHECK int op_jobs_restart(struct store_conn *c, struct err *e);

/* --- where things come from ------------------------------------------------------------------ */
/* Names between first and last, both included, that anything has here: outputs (bytes and
 * content), shards, tokenizers, specs. Up to cap different ones. */
TACIT_MUST_CHECK int op_digests_between(struct store_conn *c, const struct digest *first,
                                        const struct digest *last, struct digest *out, uint32_t cap,
                                        uint32_t *count, struct err *e);
/* The first done job that gave it, by bytes or content. */
TACIT_MUST_CHECK int op_maker(struct store_conn *c, const struct digest *d, uint64_t *job,
                              struct err *e);
/* The first data set that has this shard (*split -1: that has it as its tokenizer). */
TACIT_MUST_CHECK int op_dataset_of(struct store_conn *c, const struct digest *d, struct arena *a,
                                   const char **name, int *split, uint64_t *number, struct err *e);
/* The first run with this spec. */
TACIT_MUST_CHECK int op_run_of_spec(struct store_conn *c, const struct digest *d, struct arena *a,
                                    const char **name, struct err *e);

/* The next counter of fences, durable with the transaction. */
TACIT_MUST_CHECK int op_fence_next(struct store_conn *c, struct msg_fence *out, struct err *e);

#endif
