/* What the programs say to each other. Times are milliseconds since 1970 (…_at) or durations
 * (…_ms); sizes are bytes. Strings and arrays of decoded messages live in the reader's arena.
 * The table of paths that carry them is in README's reference and coordinator/api/routes.c. */
#ifndef TACIT_PROTOCOL_MESSAGES_H
#define TACIT_PROTOCOL_MESSAGES_H

#include <stdbool.h>
#include <stdint.h>
#include "core/base/digest.h"
#include "core/protocol/field.h"

#define PROTOCOL_VERSION 1               /* the "/v1" of every path */
#define PROTOCOL_HEADER "Tacit-Protocol" /* on every answer: the version spoken */
#define PROTOCOL_BODY_MAX (4u << 20)     /* bytes of a JSON body */
#define PROTOCOL_TOKEN_MAX 128
#define PROTOCOL_TEXT_MAX 8192  /* bytes of a reason: the last errors of a job */
#define PROTOCOL_LOG_MAX 4096   /* bytes of a job's log at a time; older lines are left out */
#define PROTOCOL_TAIL_MAX 8192  /* bytes of a log that an attempt keeps */
#define PROTOCOL_SAVES_MAX 16   /* jobs that a claim offers to go on with */
#define PROTOCOL_CURVE_MAX 1000 /* points of a model's learning curve */
#define PROTOCOL_POINTS_MAX 64  /* of it in a heartbeat */
#define PROTOCOL_BLOB_MAX (1ull << 40)
#define PROTOCOL_SHARDS_MAX 32768 /* of a data set, both splits together: what fits a body */
#define PROTOCOL_INPUTS_MAX 16384 /* of a job: pieces of an expert, shards of a window */

/* RFC 9457, application/problem+json. `code` is err_name of the cause: clients map it back. */
struct msg_problem {
    const char *type, *title, *detail, *code;
    const char *instance; /* "urn:tacit:request:" and its X-Request-Id */
    uint64_t status;
};

/* --- agents --------------------------------------------------------------------------------- */

/* POST /v1/agents with the join token. Idempotent on identity: the same agent, a new token. */
struct msg_join {
    const char *identity; /* 64 hexadecimal digits, random, on the agent's disk before it joins */
    const char *name, *host, *processor, *isa, *version;
    uint64_t threads, memory;
};
struct msg_joined {
    uint64_t agent;
    const char *token;
};

struct msg_fence {
    uint64_t incarnation, counter; /* compared as a pair */
};

/* --- jobs ------------------------------------------------------------------------------------ */

enum job_kind {
    JOB_TRAIN_ROUTER, /* target router, index, round */
    JOB_SCORE,        /* round or chunk, part */
    JOB_ASSIGN,       /* round or chunk; done by the coordinator */
    JOB_SEGMENT,      /* chunk, part */
    JOB_TRAIN,        /* target expert | dense | dense-flops, index, link: steps first…last */
    JOB_EVAL,         /* target any, index, at step last */
    JOB_REPORT,       /* done by the coordinator */
    JOB_REPLAY,       /* another job once more; agents are told the kind of that one */
};
extern const char *const job_kind_words[]; /* "train-router", "score", … NULL */

enum job_target { TARGET_NONE, TARGET_ROUTER, TARGET_EXPERT, TARGET_DENSE, TARGET_DENSE_FLOPS };
extern const char
    *const job_target_words[]; /* "none", "router", "expert", "dense", "dense-flops" */

enum job_state { JOB_WAITING, JOB_LEASED, JOB_DONE, JOB_QUARANTINED, JOB_CANCELLED };
extern const char *const job_state_words[];
/* What is shown of a job: its state, and what is known beyond it of one that waits or is leased. */
enum job_status {
    JOB_BACKING_OFF = JOB_CANCELLED + 1, /* waits for its failure's pause to be over */
    JOB_SILENT,                          /* leased; two heartbeats are missing */
    JOB_FETCHING,                        /* as its holder says, the four phases */
    JOB_RUNNING,
    JOB_SAVING,
    JOB_UPLOADING,
};
extern const char *const job_status_words[]; /* those of the states, then these */

/* How a grant ended. */
enum attempt_outcome {
    ATTEMPT_OPEN,
    ATTEMPT_DONE,
    ATTEMPT_FAILED,
    ATTEMPT_EXPIRED,   /* its lease ran out unheard */
    ATTEMPT_RELEASED,  /* given back */
    ATTEMPT_OVERTAKEN, /* its agent claimed anew, or another result came first */
    ATTEMPT_CANCELLED, /* the run ended */
};
extern const char *const attempt_outcome_words[];

enum blob_role {
    ROLE_MODEL, /* index: expert or router, where a job reads several */
    ROLE_STATE,
    ROLE_SHARD,      /* a data set's shard; first, count: the part of it that the job reads */
    ROLE_PIECE,      /* an expert's piece of a range (shard format); index: expert */
    ROLE_ASSIGNMENT, /* assign.h's blob */
    ROLE_SCORES,     /* scores.h's blob */
    ROLE_EVAL,       /* evalblob.h's blob */
    ROLE_REPORT,     /* msg_report as JSON */
};
extern const char *const blob_role_words[];

/* What an agent is at with the job it holds. */
enum job_phase { PHASE_FETCHING, PHASE_RUNNING, PHASE_SAVING, PHASE_UPLOADING };
extern const char *const job_phase_words[]; /* "fetching", "running", "saving", "uploading" */

/* An input or output of a job. */
struct msg_blob {
    int role;     /* enum blob_role */
    bool dropped; /* the coordinator's, never sent: retention has let the bytes go */
    uint64_t index;
    struct digest digest;  /* of the bytes: what the blob store is asked for */
    struct digest content; /* of a checkpoint's canonical content; zero for others, whose bytes are
                              their content */
    uint64_t bytes;
    uint64_t first, count; /* shards: sequences first…first+count−1 of the blob; pieces: sequences
                              in it are count, and its first is number `first` of the segment */
};

/* A local save of a job that its holder did not finish: which job, and the step it reached. */
struct msg_saved {
    uint64_t job, step;
    struct digest content; /* of the saved state's canonical content */
};

/* POST /v1/claims: 200 msg_grant, or 204 after wait_ms without work. */
struct msg_claim {
    uint64_t wait_ms; /* ≤ 60,000 */
    struct msg_saved
        *saves; /* jobs that this agent could go on with: granted first, where they wait */
    uint32_t save_count;
};
struct msg_grant {
    uint64_t job;
    const struct msg_fence *fence;
    uint64_t lease_ms; /* a heartbeat every third of it keeps the lease */
    const char *run;
    struct digest spec; /* the run's canonical spec (spec.h), a blob */
    int kind, target;   /* enum job_kind, enum job_target */
    uint64_t index, round, chunk;
    uint64_t part;                  /* of the score or segment jobs of a round or chunk */
    uint64_t step_first, step_last; /* train: does steps first+1…last; eval: of the model at last */
    uint64_t steps;                 /* the step at which the schedule ends: all of this model's, or,
                                       where it was extended, those of the cycle that the link is in */
    uint64_t cycle;        /* the step at which that cycle began: the end that the run had before */
    bool final;            /* score, assign: of the experts' corpus (chunk), not of a round */
    uint64_t window_first; /* position in the round's draw, in the chunk, or (dense models) in the
                              model's own epoch, of the first sequence that the job's shards hold:
                              the parts of the shards follow each other from there */
    uint64_t window_count;
    uint64_t segment_count; /* train: sequences in all of the model's own data, an epoch */
    uint64_t prior_steps; /* train-router: optimizer steps that the router did in earlier rounds */
    uint64_t
        resume_step;     /* a job handed over half done: the step of the model and state among the
                            inputs, which take the place of those at its start; 0: from its start */
    struct digest start; /* resume_step > 0: content of the state at its start (which names the
                            model's); zero where that is the initial weights */
    uint64_t vocab, seq; /* of the data set */
    struct msg_blob *inputs;
    uint32_t input_count;
};

/* A point of a learning curve: the mean loss of the steps since the point before, up to `step` (of
 * the model). */
struct msg_point {
    uint64_t step;
    double loss;
};

/* POST /v1/jobs/{id}/heartbeat; 409 (code ERR_FENCED) where the fence is not the job's any more. */
struct msg_heartbeat {
    const struct msg_fence *fence;
    uint64_t step; /* of the model, or units done */
    uint64_t total;
    double loss;              /* NaN where there is none */
    double rate;              /* tokens a second */
    int phase;                /* enum job_phase */
    const char *log;          /* lines since the last heartbeat that was answered; or NULL */
    struct msg_point *points; /* of the learning curve since then, ascending */
    uint32_t point_count;
};
/* RESTART: stop the job, claim again, and go on from the last save; it has stalled. HAND_OVER:
 * save, give the job back with its save, and claim again: its run is paused, or the agent is
 * drained. */
enum job_command { COMMAND_CONTINUE, COMMAND_ABANDON, COMMAND_RESTART, COMMAND_HAND_OVER };
extern const char *const job_command_words[];
struct msg_command {
    int command;
    uint64_t lease_ms;
};

/* POST /v1/jobs/{id}/complete. Every output's blob must be in the store. Idempotent: the same fence
 * and outputs again are a success. The answer may carry the chain's next link. */
struct msg_complete {
    const struct msg_fence *fence;
    struct msg_blob *outputs;
    uint32_t output_count;
    double loss, seconds; /* mean of the last steps; spent computing */
    uint64_t tokens;      /* trained on, scored or evaluated */
    uint64_t bytes_down, bytes_up;
    struct msg_point *points; /* all of this attempt's learning curve, ascending */
    uint32_t point_count;
};
struct msg_completed {
    const struct msg_grant *next; /* NULL: claim again */
};
/* POST /v1/jobs/{id}/fail: the job's fault or the machine's. settings: a failure of the run's
 * settings (a non-finite loss): the chain stops, no retry. */
struct msg_fail {
    const struct msg_fence *fence;
    const char *error; /* ≤ 4096 bytes */
    bool settings;
    const char *log; /* the tail of the job's log; or NULL */
};
/* POST /v1/jobs/{id}/release: given back; neither failure nor reason to back off. With outputs, it
 * is handed over half done: model and state at `step`, blobs in the store, from which another goes
 * on. */
struct msg_release {
    const struct msg_fence *fence;
    uint64_t step;
    struct msg_blob *outputs;
    uint32_t output_count;
    const char *log;
};
/* POST /v1/jobs/{id}/words: what an agent's new process has to say of the one before, which ended
 * without a word while it held the job under this fence. Taken whoever holds the job now. */
struct msg_words {
    const struct msg_fence *fence;
    uint64_t step;   /* that it had reached */
    const char *end; /* "signal 11 (SIGSEGV)", "no last words: killed, or the machine went down" */
    bool crash;      /* the process failed by itself: counts as a failure of the job */
    const char *log;
};
struct msg_empty {
    char unused;
};

/* --- data sets ------------------------------------------------------------------------------- */

struct msg_shard {
    struct digest digest;
    uint64_t bytes, sequences;
};
struct msg_label {
    const char *name;
};
/* POST /v1/datasets publishes; GET /v1/datasets lists (dataset_listed), /v1/datasets/{name} shows.
 */
struct msg_dataset {
    const char *name;
    uint64_t vocab, seq;
    struct digest tokenizer;
    uint64_t tokenizer_bytes;
    struct msg_shard *train,
        *heldout; /* every shard but a split's last has equally many sequences */
    uint32_t train_count, heldout_count;
    struct msg_label *labels;
    uint32_t label_count;
    uint64_t train_sequences, heldout_sequences, train_text_bytes, heldout_text_bytes;
    uint64_t documents, skipped;
    uint64_t created_at; /* the coordinator's */
};

/* --- runs ------------------------------------------------------------------------------------ */

/* POST /v1/runs */
struct msg_run_create {
    const char *spec; /* INI text, ≤ 64 KiB */
    const char *file; /* how errors name it */
    bool dry_run;
    const char *fork_of; /* the run whose spec this one was made from, or NULL */
};

enum run_state { RUN_ACTIVE, RUN_DONE, RUN_FAILED, RUN_CANCELLED };
extern const char *const run_state_words[];

struct msg_model_progress {
    int target;
    uint64_t index, step, steps; /* routers: steps over all rounds */
    const char *state;           /* "waiting", "training", "done", "quarantined" … */
    const char *agent;           /* name of the one that trains it now, or NULL */
    double loss, rate;
    struct digest content; /* of the newest published model; zero before */
    struct digest model;   /* its blob */
    uint64_t model_bytes;
};
/* GET /v1/runs (without models), /v1/runs/{name}. */
struct msg_run {
    const char *name, *dataset;
    int state;
    const char *reason; /* why failed or cancelled, or what it waits for */
    const char *phase;  /* "routers", "scoring", "segments", "experts", "evaluation", "report",
                           "done" */
    uint64_t experts, seed, round, rounds;
    uint64_t jobs_waiting, jobs_leased, jobs_done, jobs_quarantined;
    uint64_t created_at, ended_at;
    double progress; /* 0…1 of the run's FLOPs */
    double left_least,
        left_most; /* seconds that it will still take, at the paces it had; NaN: not known */
    struct digest spec;
    bool paused;
    uint64_t resume_at;     /* paused: until when; 0: until somebody resumes it */
    double priority;        /* a whole number: runs of higher priority get agents first */
    const char *needs;      /* labels that its agents must have, "gpu=no,site=lab"; or NULL */
    uint64_t extended_from; /* the experts' steps that the spec says, where more were added since */
    uint64_t expert_steps;
    const char *forked_from; /* the run whose spec this one's was made from, or NULL */
    struct msg_model_progress *models;
    uint32_t model_count;
};

/* GET /v1/jobs?run=NAME&state=WORD&limit=N, GET /v1/jobs/{id}. Of `state`, leased and waiting take
 * in what is known beyond them. */
struct msg_job {
    uint64_t job;
    const char *run;
    int kind, target, state; /* state: enum job_state or job_status */
    uint64_t index, round, chunk, part, step_first, step_last, step;
    const char *agent, *reason; /* reason: why it is in this state, and its last errors */
    uint64_t attempts, failures, since_at;
    double loss, rate;
};

/* GET /v1/jobs/{id}/attempts, oldest first: the first few and the last ones are kept. */
struct msg_attempt {
    uint64_t job, number;
    const char *agent, *host; /* NULL: the coordinator's own */
    int outcome;              /* enum attempt_outcome */
    uint64_t started_at, ended_at;
    uint64_t step_first, step; /* where it began, and the last step heard of */
    double loss_first, loss;
    const char *end; /* how it ended: an error, an exit or signal; or NULL */
    const char *log; /* its tail, or NULL */
};

/* GET /v1/runs/{name}/curves?limit=POINTS: the learning curve of every model, routers' first.
 * A point of each of the three lists. */
struct msg_curve {
    int target;
    uint64_t index;
    uint64_t step_tokens;         /* of a step */
    double *steps, *losses, *ats; /* ats: seconds since the run's beginning */
    uint32_t step_count, loss_count, at_count;
};

/* GET /v1/agents */
struct msg_agent {
    uint64_t agent;
    const char *name, *host, *processor, *isa, *version;
    const char
        *state; /* "working", "idle", "silent", "benched", "draining", "drained", "revoked" */
    const char *reason; /* why it gets no jobs, until when, and what ends it; or NULL */
    const char *job;    /* "demo train expert 2, step 1,200", or NULL */
    uint64_t threads, memory, jobs_done, failures, joined_at, seen_at;
    double rate;
    const char *owner, *labels; /* labels: "gpu=no,site=lab"; or NULL */
};

/* --- steering -------------------------------------------------------------------------------- */

/* POST /v1/runs/{name}/pause; /resume and /cancel take nothing. */
struct msg_pause {
    uint64_t until; /* when it goes on by itself; 0: when it is resumed */
};
/* POST /v1/runs/{name}/priority */
#define PROTOCOL_PRIORITY_MAX 1000
struct msg_priority {
    double priority; /* a whole number, either way */
};
/* POST /v1/runs/{name}/extend: so many steps more of each expert. */
struct msg_extend {
    uint64_t steps;
};
/* POST /v1/agents/drain, /undrain, /revoke, /restore, /label: of agents whose name is one of these
 * patterns ("lab-*"; none: any) and that have all of these labels. */
struct msg_pattern {
    const char *pattern;
};
struct msg_tag {
    const char *name, *value; /* to set: an empty value takes the label away */
};
struct msg_fleet {
    struct msg_pattern *names;
    uint32_t name_count;
    struct msg_tag *having;
    uint32_t having_count;
    struct msg_tag *set; /* /label */
    uint32_t set_count;
    bool now; /* /drain: the job that it has is handed over, too */
};
struct msg_steered {
    uint64_t agent;
    const char *name;
};
struct msg_fleet_done {
    struct msg_steered *agents;
    uint32_t agent_count;
};
/* POST /v1/quotas sets one, GET lists all owners. */
struct msg_quota {
    const char *owner;
    bool limited;
    uint64_t jobs;         /* that its agents may hold at once, where limited */
    uint64_t held, agents; /* the coordinator's: now */
};
/* POST /v1/invitations makes one (its token is told once), GET lists them, POST
 * /v1/invitations/{id}/end ends one. */
struct msg_invitation {
    uint64_t invitation;
    const char *owner;
    uint64_t uses, used; /* uses 0: as often as wanted */
    uint64_t created_at, expires_at;
    const char *token; /* of the answer to POST alone */
};
/* POST /v1/tokens/{name}/rotate: admin, join, viewer. POST /v1/session logs in with the first or
 * last of them. */
struct msg_token {
    const char *token;
};
/* GET /v1/session: as whom the web page asks; DELETE logs out. */
enum role { ROLE_NOBODY, ROLE_VIEWER, ROLE_OPERATOR };
extern const char *const role_words[]; /* "none", "viewer", "operator" */
struct msg_session {
    int role;
    bool loopback; /* figures over all are shown without a token */
};
/* POST /v1/datasets/{name}/delete. force: also where runs that are done need it. */
struct msg_delete {
    bool force;
};
/* GET /v1/history?after=ID&limit=N&since=MS: what happened, oldest first. after 0 with `since`:
 * from that time on (milliseconds since 1970). */
struct msg_event {
    uint64_t event, at;
    const char *kind; /* "run.paused", "agent.joined", "job.quarantined", "alarm" … */
    const char *who;  /* the operator's token; NULL: the coordinator or an agent */
    const char *run, *agent;
    uint64_t job; /* 0: none */
    const char *text;
};

/* GET /v1/status */
struct msg_status {
    const char *version;
    uint64_t uptime_ms, runs_active, jobs_waiting, jobs_leased, jobs_quarantined;
    uint64_t jobs_running, jobs_moving, jobs_silent; /* of the leased: moving is fetching, saving,
                                                        uploading */
    uint64_t jobs_backing_off;                       /* of the waiting */
    uint64_t alarms;
    uint64_t agents, agents_working, agents_idle, agents_benched;
    uint64_t threads; /* of agents seen in the last minute */
    uint64_t blobs, blob_bytes, memory_peak;
    const char *storage;    /* "ok", or what keeps the coordinator from writing */
    uint64_t storage_since; /* when that began; 0 while it is ok */
    uint64_t disk_free;     /* on the coordinator's file system, and within blobs.db */
    uint64_t disk_used;     /* by both databases */
    uint64_t disk_planned;  /* that the active runs will still add, at most */
    const char *tls;        /* "none", "ok", or what is to be done about its certificate */
    uint64_t tls_until_at;  /* when that ends; 0 without TLS */
};

/* --- storage --------------------------------------------------------------------------------- */

/* POST /v1/scrub begins to read every stored blob, or those that a run names, and to compare them
 * with their names; where one runs already, that one is shown. GET /v1/scrub: how far it is. */
struct msg_scrub_start {
    const char *run; /* NULL: all */
};
struct msg_scrub_bad {
    struct digest digest;
    uint64_t bytes;
    const char *problem; /* "its bytes are others", "missing" */
    const char *named;   /* "run demo: train expert 2, steps 500 to 1000: state"; NULL: nobody */
};
#define PROTOCOL_SCRUB_BAD_MAX 256 /* that are shown; bad_total counts all */
struct msg_scrub {
    uint64_t number; /* its number since the coordinator's start; 0: there was none */
    bool running;
    const char *run;
    uint64_t blobs, bytes;             /* compared so far */
    uint64_t blobs_total, bytes_total; /* of those that were there at its beginning */
    uint64_t bad_total;
    struct msg_scrub_bad *bad;
    uint32_t bad_count;
    const char *error; /* why it ended early, or NULL */
};

/* GET /v1/gc: blobs that nobody needs. POST /v1/gc lets those go whose time has come. */
struct msg_gc_row {
    const char *why; /* "checkpoints that retention dropped" */
    const char *run; /* or NULL */
    uint64_t blobs, bytes;
    bool later; /* they are too young, or a backup holds them */
};
struct msg_gc {
    uint64_t blobs, bytes;      /* that go now, or (POST) have gone */
    bool more;                  /* POST: there are others: ask again */
    uint64_t grace_ms, backups; /* backups: that are under way */
    uint64_t disk_free;
    struct msg_gc_row *rows;
    uint32_t row_count;
};

/* POST /v1/backups: a copy of tacit.db as a blob, and a list of the blobs that it names: 40 bytes
 * each, digest and size (little-endian). They stay for PROTOCOL_BACKUP_MS after the last POST
 * /v1/backups/{id}/renew; POST /v1/backups/{id}/end lets them go. */
#define PROTOCOL_BACKUP_MS (15 * 60 * 1000)
#define PROTOCOL_BACKUP_ROW 40
struct msg_backup {
    uint64_t backup;
    struct digest snapshot, list;
    uint64_t snapshot_bytes, list_bytes;
    uint64_t blobs, blob_bytes; /* of the list */
    uint64_t missing;           /* that are named and not in the store: left out */
    uint64_t incarnation, created_at;
    const char *version, *admin_token, *join_token;
};

/* --- report ---------------------------------------------------------------------------------- */

struct msg_quality {
    double perplexity, perplexity_after_prefix, bits_per_byte;
    double flops;    /* training; the mixture's with routers, sharding included */
    uint64_t tokens; /* trained on by the model, or by all experts */
    uint64_t parameters, steps, batch;
    struct digest digest; /* content; zero for the mixture */
};
struct msg_source_share {
    const char *source;
    double share; /* of the expert's sequences */
};
struct msg_expert_report {
    uint64_t index;
    struct digest digest;
    double share, perplexity, dense_perplexity;
    struct msg_source_share *sources; /* largest first */
    uint32_t source_count;
};
struct msg_router_report {
    uint64_t index;
    struct digest digest;
};
struct msg_round_report {
    uint64_t round; /* assignment made after training round `round` (1-based); the last is the
                       experts' corpus (all its chunks) */
    bool final;
    double purity;         /* Σ over experts of their largest source / all */
    double inverse_purity; /* Σ over sources of their largest part in one expert / all */
    const double *shares;
    uint32_t share_count;
};
struct msg_prefix_report {
    uint64_t prefix; /* inference prefix m ≤ M */
    double perplexity;
};
struct msg_curve_point {
    uint64_t step;
    double dense, mixture; /* perplexity on the held-out sequences */
};
struct msg_overhead {
    double training, training_paper,
        inference; /* shares, e.g. 0.13; _paper charges routers with S */
};
struct msg_costs {
    double routers_training, routers_sharding, experts_sharding, experts_training;
    double dense_training, dense_flops_training;
    double dense_inference, mixture_inference; /* a sequence */
};
struct msg_seconds {
    double routers, scoring, segments, experts, dense, dense_flops, evaluation; /* computing */
    double wall;
};
struct msg_bytes {
    uint64_t down, up, data_parallel; /* moved by agents; what data-parallel training would have */
};
struct msg_report {
    const char *run, *dataset;
    uint64_t experts, seed, prefix, heldout_sequences, heldout_predictions;
    const char *router_mode;
    const struct msg_quality *dense, *dense_flops, *mixture; /* dense ones NULL unless trained */
    struct msg_expert_report *expert_reports; /* "experts" is this array's JSON name: see below */
    uint32_t expert_report_count;
    struct msg_router_report *routers;
    uint32_t router_count;
    struct msg_round_report *rounds;
    uint32_t round_count;
    struct msg_prefix_report *prefixes;
    uint32_t prefix_count;
    struct msg_curve_point *curve;
    uint32_t curve_count;
    const struct msg_overhead *overhead;
    const struct msg_costs *costs;
    const struct msg_seconds *seconds;
    const struct msg_bytes *bytes;
};
/* --- where things come from ------------------------------------------------------------------- */

/* What an artifact is: the output of a job, or what people put in. */
enum made_what { MADE_BY_JOB, MADE_SHARD, MADE_TOKENIZER, MADE_SPEC };
extern const char *const made_what_words[]; /* "job", "shard", "tokenizer", "spec" */

/* GET /v1/lineage/{digest}, where a digest's first digits will do: one level of the tree, what the
 * artifact was made of, by whom and when. GET /v1/jobs/{id}/made: the same of a done job. */
struct msg_made {
    int what;
    struct digest digest;          /* what was asked for, whole; zero where a job was */
    const char *dataset;           /* of a shard or tokenizer: the first one that has it */
    const char *run;               /* of a job or spec */
    const char *split;             /* of a shard: "train" or "held-out" */
    uint64_t number;               /* of a shard, in its split */
    const struct msg_grant *grant; /* of a job: its inputs, as its doer was told them (fence: under
                                      which it was published; lease_ms 1) */
    struct msg_blob *outputs;
    uint32_t output_count;
    uint64_t doer;     /* the agent; 0: the coordinator */
    const char *agent; /* its name, or NULL */
    double seconds;
    uint64_t tokens, attempts, at; /* at: published */
};

/* GET /v1/runs/{name}/results?after=ID&limit=N: the done jobs above an id, in its order; what a job
 * reads was made by jobs of lower ids. */
struct msg_result {
    uint64_t job;
    int kind, target;
    uint64_t index, round, chunk, part, step_first, step_last;
    bool final;
    double seconds;
    uint64_t doer;
};

/* POST /v1/runs/{name}/rollback: what was published after a good step is undone, with all that was
 * computed from it, and will be computed anew; a run that had ended goes on. */
struct msg_rollback {
    int target;     /* router, expert, dense, dense-flops */
    uint64_t index; /* of routers and experts */
    uint64_t step;  /* the last good one: the end of a link, or 0; of a router, its good rounds */
    bool dry_run;
};
struct msg_rolled_back {
    const char *run;
    uint64_t step;    /* from where it is computed anew: lower where that checkpoint is not kept */
    uint64_t undone;  /* jobs */
    uint64_t damaged; /* blobs that were not what their names say, and are gone */
    struct msg_result *jobs; /* the first of the undone, at most 100 */
    uint32_t job_count;
};

/* POST /v1/runs/{name}/verify: these done jobs are replayed by agents, others than their doers
 * first; an array of replays, one each. GET /v1/runs/{name}/replays?after=ID&limit=N: how it
 * goes. */
struct msg_job_id {
    uint64_t job;
};
struct msg_verify {
    struct msg_job_id *jobs;
    uint32_t job_count;
};
struct msg_replay {
    uint64_t replay, job; /* replay 0: it can't be replayed, reason says why */
    int state;
    const char *verdict; /* once done: "agrees", "differs" */
    const char *agent;   /* that replays it, or has */
    const char *doer;    /* of the job; NULL: the coordinator */
    int kind, target;    /* of the job */
    uint64_t index, round, chunk, part, step_first, step_last;
    bool final;
    int role; /* of the first output that differs */
    uint64_t blob_index;
    struct digest published, found;
    const char *reason;
};

struct msg_replays {
    struct msg_replay *replays;
    uint32_t replay_count;
};

/* GET /v1/alarms?run=NAME: two results of one job, of which one is wrong. */
struct msg_alarm {
    uint64_t job, at;
    const char *run, *words;
    const char *agent, *other; /* whose result was published, and whose was not */
    int role;
    uint64_t index;
    struct digest published, found;
};

/* What `tacit verify --json` prints. */
struct msg_difference {
    uint64_t job;
    const char *words, *agent; /* "train expert 2, steps 500 to 1,000"; NULL: the coordinator's */
    const char *verdict;       /* "differs", "bad-input", "bad-output" */
    int target;
    uint64_t index, step_first, step_last;
    int role; /* of the output, or of the bad input */
    uint64_t blob_index;
    struct digest published, replayed; /* content; replayed is absent where it is a bad one */
    struct digest blob;                /* the published bytes */
    struct digest start;               /* content of the state it started from, where it had one */
    uint64_t source_job;               /* of a bad input: who gave it; 0: a data set's */
    const char *by;                    /* the agent that replayed it; NULL: this machine */
    const char *why;
};
struct msg_bad_blob {
    struct digest digest;
    uint64_t job; /* whose output it is; 0: of the data set */
    int role;
    uint64_t index;
    const char *words; /* "model of train expert 2, steps 0 to 500, by agent lab-3" */
    const char *why;
    const char *repair; /* what computes it anew; NULL: nothing does */
};
struct msg_verified {
    const char *run;
    bool all, agents;                                /* agents: replayed by agents, not here */
    uint64_t seed, jobs, replayed, recalled, remade; /* jobs: that there are; replayed: that were
                                                        compared, recalled ones included; remade:
                                                        others on the way to their inputs */
    uint64_t skipped;                                /* --agents: that could not be replayed */
    const char *skipped_why;                         /* of the first of them */
    uint64_t blobs, bytes, bad_total;                /* bad: the first of bad_total */
    double seconds;
    struct msg_bad_blob *bad;
    uint32_t bad_count;
    struct msg_difference *differences;
    uint32_t difference_count;
};

/* --- the dashboard --------------------------------------------------------------------------- */

/* GET /v1/overview: figures over all, without names; on loopback for anybody. */
struct msg_overview_runs {
    uint64_t active, done, failed, cancelled;
};
struct msg_overview_jobs {
    uint64_t waiting, backing_off, granted, running, moving, silent, quarantined;
};
struct msg_overview_agents {
    uint64_t working, idle, benched, silent;
};
struct msg_overview {
    const char *version;
    uint64_t uptime_ms;
    const struct msg_overview_runs *runs;
    const struct msg_overview_jobs *jobs;
    const struct msg_overview_agents *agents;
    double rate;         /* tokens a second */
    uint64_t silence_ms; /* how long nothing was heard of the job of which that is longest */
};

/* GET /v1/runs/{name}/timeline: who had which job when, the newest, oldest first. */
#define PROTOCOL_TIMELINE_MAX 2000
struct msg_span {
    uint64_t job, number; /* number: of the attempt */
    const char *agent;    /* NULL: the coordinator */
    int kind, target, outcome;
    uint64_t index, round, chunk, part, step_first, step_last;
    bool final;
    uint64_t started_at, ended_at; /* ended_at 0: it goes on */
};
struct msg_timeline {
    struct msg_span *attempts;
    uint32_t attempt_count;
    bool more; /* there were earlier ones */
};

/* GET /v1/runs/{name}/parting: how the corpus is parted among the experts, by source. */
#define PROTOCOL_PARTING_ROUNDS 64    /* at most, spread over all */
#define PROTOCOL_PARTING_CELLS 262144 /* of all rounds together */
struct msg_parting_row {
    const double *counts; /* sequences of the source, of each expert */
    uint32_t count_count;
};
struct msg_parting_round {
    uint64_t round; /* assigned after so many rounds of training */
    bool final;     /* the experts' corpus: all chunks that are parted, together */
    double purity, inverse_purity;
    struct msg_parting_row *sources; /* none where only the shares were kept */
    uint32_t source_count;
    const double *shares;
    uint32_t share_count;
};
struct msg_parting {
    uint64_t experts;
    struct msg_label *sources;
    uint32_t source_count;
    struct msg_parting_round *rounds;
    uint32_t round_count;
};
/* What the coordinator keeps with an assignment: msg_round_report, and the counts by source. */
#define PROTOCOL_PARTED_CELLS 16384 /* of more, only the shares are kept */
struct msg_parted {
    uint64_t round;
    bool final;
    double purity, inverse_purity;
    const double *shares, *counts; /* counts: (sources, experts) */
    uint32_t share_count, count_count;
};

/* GET /v1/runs/{name}/costs: what each part of a run takes, and has taken so far. */
struct msg_part_spent {
    const char *part;      /* "routers", "scoring", "segments", "experts", "dense", "dense-flops",
                              "evaluation" */
    double planned, spent; /* FLOPs */
    uint64_t tokens;       /* of its jobs that are done */
    double seconds;        /* of computing */
    uint64_t bytes_down, bytes_up;
};
struct msg_spending {
    struct msg_part_spent *parts;
    uint32_t part_count;
    double data_parallel_bytes; /* that data-parallel training of the same steps would have moved */
};

/* GET /v1/transfers: uploads that are going on. */
struct msg_transfer {
    struct digest digest;
    const char *agent; /* NULL: an operator's */
    uint64_t job;      /* for which it is; 0: none was named */
    uint64_t bytes, total, began_at;
};

/* What `tacit doctor --json` prints, and tacit-agent and tacitd --doctor --json. */
enum finding_level { FINDING_OK, FINDING_WARN, FINDING_FAULT };
extern const char *const finding_level_words[];
struct msg_finding {
    int level;
    const char *check, *found, *fix; /* "certificate"; what mends it, or NULL */
};
struct msg_doctor {
    bool ok; /* nothing prevents work */
    uint64_t exit_code;
    struct msg_finding *findings;
    uint32_t finding_count;
};

/* JSON names differ from the struct's where noted: expert_reports is "experts"; the count
 * `experts` is "expert_count". Absent objects of a report are written as null. */

/* clang-format off */
#define MESSAGES(X) \
    X(problem) X(join) X(joined) X(fence) X(blob) X(claim) X(grant) X(point) X(heartbeat) X(command) \
    X(complete) X(completed) X(fail) X(release) X(words) X(saved) X(empty) X(shard) X(label) X(dataset) \
    X(run_create) X(model_progress) X(run) X(job) X(attempt) X(curve) X(agent) X(status) X(quality) X(source_share) \
    X(expert_report) X(router_report) X(round_report) X(prefix_report) X(curve_point) X(overhead) \
    X(costs) X(seconds) X(bytes) X(report) X(made) X(result) X(bad_blob) X(rollback) X(rolled_back) X(job_id) X(verify) X(replay) X(replays) X(alarm) X(difference) X(verified) X(finding) X(doctor) \
    X(pause) X(priority) X(extend) X(pattern) X(tag) X(fleet) X(steered) X(fleet_done) X(quota) X(invitation) X(token) X(session) X(delete) X(event) \
    X(overview_runs) X(overview_jobs) X(overview_agents) X(overview) X(span) X(timeline) \
    X(parting_row) X(parting_round) X(parting) X(parted) X(part_spent) X(spending) X(transfer) \
    X(scrub_start) X(scrub_bad) X(scrub) X(gc_row) X(gc) X(backup)
/* clang-format on */
#define MESSAGE_DECLARE_(name) extern const struct message message_##name;
MESSAGES(MESSAGE_DECLARE_)
extern const struct message message_dataset_listed; /* msg_dataset without its shards */
#undef MESSAGE_DECLARE_

#endif
