/* One table a message, of runs and who works on them; messages_report.c has those of results.
 * Limits say what a reader accepts; they leave room for 1,024 experts. */
#include "core/protocol/messages_rows.h"

const char *const job_kind_words[] = {"train-router", "score",  "assign", "segment", "train",
                                      "eval",         "report", "replay", NULL};
const char *const job_target_words[] = {"none", "router", "expert", "dense", "dense-flops", NULL};
const char *const job_state_words[] = {"waiting",     "leased",    "done",
                                       "quarantined", "cancelled", NULL};
const char *const job_status_words[] = {"waiting",   "leased",      "done",      "quarantined",
                                        "cancelled", "backing off", "silent",    "fetching",
                                        "running",   "saving",      "uploading", NULL};
const char *const attempt_outcome_words[] = {"open",     "done",      "failed",    "expired",
                                             "released", "overtaken", "cancelled", NULL};
const char *const blob_role_words[] = {"model",  "state", "shard",  "piece", "assignment",
                                       "scores", "eval",  "report", NULL};
const char *const job_phase_words[] = {"fetching", "running", "saving", "uploading", NULL};
const char *const job_command_words[] = {"continue", "abandon", "restart", "hand-over", NULL};
const char *const made_what_words[] = {"job", "shard", "tokenizer", "spec", NULL};
const char *const role_words[] = {"none", "viewer", "operator", NULL};
const char *const run_state_words[] = {"active", "done", "failed", "cancelled", NULL};

/* One row each. */
static const struct field problem_fields[] = {
    STRING(problem, type, MAY, 256, "always about:blank: `code` tells problems apart"),
    STRING(problem, title, MAY, 256, "what kind of failure, in words"),
    STRING(problem, detail, MAY, 1024, "what was wrong, where, and what to do"),
    STRING(problem, code, MAY, 64, "stable name of the cause, for programs"),
    U64(problem, status, MAY, 0, 999, "the HTTP status"),
    STRING(problem, instance, MAY, 128,
           "the request that failed: urn:tacit:request: and its X-Request-Id"),
};
MESSAGE(problem);

/* --- agents --- */

static const struct field join_fields[] = {
    STRING(join, identity, MUST, 64,
           "64 hexadecimal digits, random, on the agent's disk before it joins; joining again with "
           "it is the same agent"),
    STRING(join, name, MUST, NAME_MAX_BYTES, "what people see"),
    STRING(join, host, MAY, 256, "the machine's name"),
    STRING(join, processor, MAY, 256, "as the machine names it"),
    STRING(join, isa, MAY, 32, "instruction set that it computes with"),
    STRING(join, version, MAY, 64, "of its program"),
    U64(join, threads, MUST, 1, 65536, "that it computes with"),
    U64(join, memory, MAY, 0, 0, "of the machine, bytes"),
};
MESSAGE(join);

static const struct field joined_fields[] = {
    U64(joined, agent, MUST, 1, 0, "the agent's number"),
    STRING(joined, token, MUST, PROTOCOL_TOKEN_MAX, "the agent's own token, told this once"),
};
MESSAGE(joined);

static const struct field fence_fields[] = {
    U64(fence, incarnation, MUST, 0, 0, "of the coordinator's database"),
    U64(fence, counter, MUST, 0, 0, "within the incarnation"),
};
MESSAGE(fence);

/* --- jobs --- */

static const struct field blob_fields[] = {
    WORD(blob, role, MUST, blob_role_words, "what the blob is to the job"),
    U64(blob, index, MAY, 0, 0, "of the expert or router, where a job has several"),
    DIGEST(blob, digest, MUST, "BLAKE2b-256 of the bytes: what the blob store is asked for"),
    DIGEST(blob, content, MAY,
           "digest of a checkpoint's canonical content; absent of other blobs, whose bytes are "
           "their content"),
    U64(blob, bytes, MUST, 0, PROTOCOL_BLOB_MAX, "size"),
    U64(blob, first, MAY, 0, 0,
        "shards: first sequence of the part that the job reads; pieces: number of the first in the "
        "segment"),
    U64(blob, count, MAY, 0, 0, "sequences in that part"),
};
MESSAGE(blob);

static const struct field saved_fields[] = {
    U64(saved, job, MUST, 1, 0, "which job"),
    U64(saved, step, MUST, 1, 0, "that the save reached"),
    DIGEST(saved, content, MAY, "of the saved state's canonical content"),
};
MESSAGE(saved);

static const struct field claim_fields[] = {
    U64(claim, wait_ms, MAY, 0, 60000, "how long to wait where there is no work"),
    ARRAY(claim, saves, save_count, MAY, saved, PROTOCOL_SAVES_MAX,
          "jobs that this agent could go on with: granted first, where they wait"),
};
MESSAGE(claim);

static const struct field grant_fields[] = {
    U64(grant, job, MUST, 1, 0, "the job's number"),
    OBJECT(grant, fence, MUST, fence, "of the grant under which the job is held"),
    U64(grant, lease_ms, MUST, 1, 0, "a heartbeat every third of it keeps the lease"),
    STRING(grant, run, MUST, NAME_MAX_BYTES, "whose job it is"),
    DIGEST(grant, spec, MUST, "the run's canonical spec, a blob"),
    WORD(grant, kind, MUST, job_kind_words, "what kind of job"),
    WORD(grant, target, MUST, job_target_words, "what kind of model"),
    U64(grant, index, MUST, 0, 0, "of the expert or router; 0 of a dense model"),
    U64(grant, round, MUST, 0, 0, "the routers' round"),
    U64(grant, chunk, MUST, 0, 0, "chunk of the experts' corpus, from 0"),
    U64(grant, part, MUST, 0, 0, "which part of a round's or chunk's sequences"),
    U64(grant, step_first, MUST, 0, 0, "it trains the steps after this one …"),
    U64(grant, step_last, MUST, 0, 0, "… up to this one"),
    U64(grant, steps, MUST, 0, 0, "the step at which the schedule ends"),
    U64(grant, cycle, MAY, 0, 0, "the step at which the present cycle of the schedule began"),
    BOOL(grant, final, MUST, "of the experts' corpus, not of a routers' round"),
    U64(grant, window_first, MUST, 0, 0,
        "position of the first sequence that the job's shards hold"),
    U64(grant, window_count, MUST, 0, 0, "sequences that they hold"),
    U64(grant, segment_count, MUST, 0, 0,
        "of train: sequences in all of the model's own data, an epoch"),
    U64(grant, prior_steps, MUST, 0, 0,
        "of train-router: steps that the router did in earlier rounds"),
    U64(grant, resume_step, MAY, 0, 0,
        "handed over half done: step of the model and state among the inputs; 0: from its start"),
    DIGEST(grant, start, MAY, "content of the state at its start, where it is resumed"),
    U64(grant, vocab, MUST, 1, 1u << 20, "tokens of the data set's vocabulary"),
    U64(grant, seq, MUST, 1, 1u << 16, "tokens of a sequence"),
    ARRAY(grant, inputs, input_count, MAY, blob, PROTOCOL_INPUTS_MAX, "blobs that the job reads"),
};
MESSAGE(grant);

static const struct field point_fields[] = {
    U64(point, step, MUST, 1, 0, "of the model"),
    NUMBER(point, loss, MUST, "mean of the steps since the point before"),
};
MESSAGE(point);

static const struct field heartbeat_fields[] = {
    OBJECT(heartbeat, fence, MUST, fence, "of the grant under which the job is held"),
    U64(heartbeat, step, MAY, 0, 0, "of the model, or units done"),
    U64(heartbeat, total, MAY, 0, 0, "units in all"),
    NUMBER(heartbeat, loss, MAY, "null where there is none"),
    NUMBER(heartbeat, rate, MAY, "tokens a second"),
    WORD(heartbeat, phase, MAY, job_phase_words, "what the agent is at with the job"),
    STRING(heartbeat, log, MAY, PROTOCOL_LOG_MAX,
           "lines since the last heartbeat that was answered"),
    ARRAY(heartbeat, points, point_count, MAY, point, PROTOCOL_POINTS_MAX,
          "of the learning curve since then, ascending"),
};
MESSAGE(heartbeat);

static const struct field command_fields[] = {
    WORD(command, command, MUST, job_command_words, "what the agent is to do with the job"),
    U64(command, lease_ms, MUST, 1, 0, "how long the lease holds from now on"),
};
MESSAGE(command);

static const struct field complete_fields[] = {
    OBJECT(complete, fence, MUST, fence, "of the grant under which the job is held"),
    ARRAY(complete, outputs, output_count, MUST, blob, OUTPUTS_MAX,
          "what the job made; all must be in the store"),
    NUMBER(complete, loss, MAY, "mean of the last steps"),
    NUMBER(complete, seconds, MAY, "spent computing"),
    U64(complete, tokens, MAY, 0, 0, "trained on, scored or evaluated"),
    U64(complete, bytes_down, MAY, 0, 0, "fetched for the job"),
    U64(complete, bytes_up, MAY, 0, 0, "uploaded for it"),
    ARRAY(complete, points, point_count, MAY, point, PROTOCOL_CURVE_MAX,
          "all of this attempt's learning curve, ascending"),
};
MESSAGE(complete);

static const struct field completed_fields[] = {
    OBJECT(completed, next, MAY, grant,
           "the chain's next job, granted at once; absent: claim again"),
};
MESSAGE(completed);

static const struct field fail_fields[] = {
    OBJECT(fail, fence, MUST, fence, "of the grant under which the job is held"),
    STRING(fail, error, MUST, 4096, "what went wrong"),
    BOOL(fail, settings, MAY,
         "a failure of the run's settings (a loss that is no number): no retry"),
    STRING(fail, log, MAY, PROTOCOL_LOG_MAX, "the tail of the job's log"),
};
MESSAGE(fail);

static const struct field release_fields[] = {
    OBJECT(release, fence, MUST, fence, "of the grant under which the job is held"),
    U64(release, step, MAY, 0, 0, "of the outputs, where it is handed over half done"),
    ARRAY(release, outputs, output_count, MAY, blob, OUTPUTS_MAX,
          "model and state from which another goes on; none: given back as it was"),
    STRING(release, log, MAY, PROTOCOL_LOG_MAX, "the tail of the job's log"),
};
MESSAGE(release);

static const struct field words_fields[] = {
    OBJECT(words, fence, MUST, fence, "of the grant under which the job is held"),
    U64(words, step, MAY, 0, 0, "that it had reached"),
    STRING(words, end, MUST, 256, "how it ended: an exit, a signal"),
    BOOL(words, crash, MAY, "the process failed by itself: counts as a failure of the job"),
    STRING(words, log, MAY, PROTOCOL_LOG_MAX, "the tail of the job's log"),
};
MESSAGE(words);

const struct message message_empty = {.name = "empty", .size = sizeof(struct msg_empty)};

/* --- data sets --- */

static const struct field shard_fields[] = {
    DIGEST(shard, digest, MUST, "of its bytes"),
    U64(shard, bytes, MUST, 1, PROTOCOL_BLOB_MAX, "size"),
    U64(shard, sequences, MUST, 1, 0, "in it"),
};
MESSAGE(shard);

static const struct field label_fields[] = {
    STRING(label, name, MUST, 256, "of a source of documents"),
};
MESSAGE(label);

#define DATASET_HEAD                                                                               \
    STRING(dataset, name, MUST, NAME_MAX_BYTES, "of the data set"),                                \
        U64(dataset, vocab, MUST, 1, 1u << 20, "tokens of its vocabulary"),                        \
        U64(dataset, seq, MUST, 2, 1u << 16, "tokens of a sequence"),                              \
        DIGEST(dataset, tokenizer, MUST, "SentencePiece model, a blob"),                           \
        U64(dataset, tokenizer_bytes, MUST, 1, PROTOCOL_BLOB_MAX, "its size")
#define DATASET_TAIL                                                                               \
    ARRAY(dataset, labels, label_count, MAY, label, LABELS_MAX,                                    \
          "sources of the documents, in the order of their numbers"),                              \
        U64(dataset, train_sequences, MUST, 0, 0, "in all shards to train on"),                    \
        U64(dataset, heldout_sequences, MUST, 0, 0, "in all held-out shards"),                     \
        U64(dataset, train_text_bytes, MAY, 0, 0, "bytes of text to train on"),                    \
        U64(dataset, heldout_text_bytes, MAY, 0, 0, "bytes of held-out text"),                     \
        U64(dataset, documents, MAY, 0, 0, "that were read"),                                      \
        U64(dataset, skipped, MAY, 0, 0, "documents that could not be used"),                      \
        U64(dataset, created_at, MAY, 0, 0, "when it was published; the coordinator's")

static const struct field dataset_fields[] = {
    DATASET_HEAD,
    ARRAY(dataset, train, train_count, MAY, shard, PROTOCOL_SHARDS_MAX, "shards to train on"),
    ARRAY(dataset, heldout, heldout_count, MAY, shard, PROTOCOL_SHARDS_MAX,
          "shards to evaluate on"),
    DATASET_TAIL,
};
MESSAGE(dataset);

static const struct field dataset_listed_fields[] = {DATASET_HEAD, DATASET_TAIL};
const struct message message_dataset_listed = {
    .name = "dataset_listed",
    .size = sizeof(struct msg_dataset),
    .fields = dataset_listed_fields,
    .field_count = sizeof dataset_listed_fields / sizeof dataset_listed_fields[0],
};

/* --- runs --- */

static const struct field run_create_fields[] = {
    STRING(run_create, spec, MUST, SPEC_MAX_BYTES, "the spec, INI text"),
    STRING(run_create, file, MAY, 1024, "how errors name it"),
    BOOL(run_create, dry_run, MAY, "check it alone"),
    STRING(run_create, fork_of, MAY, NAME_MAX_BYTES, "the run whose spec this one was made from"),
};
MESSAGE(run_create);

static const struct field model_progress_fields[] = {
    WORD(model_progress, target, MUST, job_target_words, "what kind of model"),
    U64(model_progress, index, MUST, 0, 0, "of the expert or router; 0 of a dense model"),
    U64(model_progress, step, MAY, 0, 0, "published so far"),
    U64(model_progress, steps, MAY, 0, 0, "in all; of routers over all rounds"),
    STRING(model_progress, state, MAY, 64, "in a word: waiting, training, done, quarantined …"),
    STRING(model_progress, agent, MAY, NAME_MAX_BYTES, "that trains it now"),
    NUMBER(model_progress, loss, MAY, "the last that was heard"),
    NUMBER(model_progress, rate, MAY, "tokens a second"),
    DIGEST(model_progress, content, MAY, "of the newest published model"),
    DIGEST(model_progress, model, MAY, "its blob"),
    U64(model_progress, model_bytes, MAY, 0, PROTOCOL_BLOB_MAX, "size of the blob"),
};
MESSAGE(model_progress);

static const struct field run_fields[] = {
    STRING(run, name, MUST, NAME_MAX_BYTES, "of the run"),
    STRING(run, dataset, MAY, 128, "that it trains on"), /* "corpus (deleted 3)" */
    WORD(run, state, MUST, run_state_words, "whether it goes on"),
    STRING(run, reason, MAY, PROTOCOL_TEXT_MAX,
           "why it failed or was cancelled, or what it waits for"),
    STRING(run, phase, MAY, 64,
           "what it is at: routers, scoring, segments, experts, evaluation, report, done"),
    U64(run, experts, MAY, 0, 0, "how many"),
    U64(run, seed, MAY, 0, 0, "of all its random numbers"),
    U64(run, round, MAY, 0, 0, "the routers' present round"),
    U64(run, rounds, MAY, 0, 0, "of the routers, in all"),
    U64(run, jobs_waiting, MAY, 0, 0, "jobs without an agent"),
    U64(run, jobs_leased, MAY, 0, 0, "jobs that agents hold"),
    U64(run, jobs_done, MAY, 0, 0, "jobs that are done"),
    U64(run, jobs_quarantined, MAY, 0, 0, "jobs that failed too often"),
    U64(run, created_at, MAY, 0, 0, "when it was created"),
    U64(run, ended_at, MAY, 0, 0, "when it ended; 0 before"),
    NUMBER(run, progress, MAY, "0 to 1, of the run's floating-point operations"),
    NUMBER(run, left_least, MAY, "seconds that it will still take, at the fastest pace it had"),
    NUMBER(run, left_most, MAY, "the same at the slowest"),
    DIGEST(run, spec, MAY, "canonical spec, a blob"),
    BOOL(run, paused, MAY, "none of its jobs are given out"),
    U64(run, resume_at, MAY, 0, 0, "paused: until when; 0: until somebody resumes it"),
    NUMBER(run, priority, MAY, "a whole number: runs of higher priority get agents first"),
    STRING(run, needs, MAY, TAGS_MAX_BYTES, "labels that its agents must have"),
    U64(run, extended_from, MAY, 0, 0,
        "the experts' steps that the spec says, where more were added since"),
    U64(run, expert_steps, MAY, 0, 0, "the experts' steps"),
    STRING(run, forked_from, MAY, NAME_MAX_BYTES, "the run whose spec this one's was made from"),
    ARRAY(run, models, model_count, MAY, model_progress, MODELS_MAX,
          "its models; none in a list of runs"),
};
MESSAGE(run);

static const struct field job_fields[] = {
    U64(job, job, MUST, 1, 0, "the job's number"),
    STRING(job, run, MAY, NAME_MAX_BYTES, "whose it is"),
    WORD(job, kind, MUST, job_kind_words, "what kind of job"),
    WORD(job, target, MUST, job_target_words, "what kind of model"),
    WORD(job, state, MUST, job_status_words,
         "the job's state, and what is known beyond it of one that waits or is leased"),
    U64(job, index, MAY, 0, 0, "of the expert or router; 0 of a dense model"),
    U64(job, round, MAY, 0, 0, "the routers' round"),
    U64(job, chunk, MAY, 0, 0, "chunk of the experts' corpus, from 0"),
    U64(job, part, MAY, 0, 0, "which part of a round's or chunk's sequences"),
    U64(job, step_first, MAY, 0, 0, "it trains the steps after this one …"),
    U64(job, step_last, MAY, 0, 0, "… up to this one"),
    U64(job, step, MAY, 0, 0, "the last that was heard of"),
    STRING(job, agent, MAY, NAME_MAX_BYTES, "that holds it, or did it"),
    STRING(job, reason, MAY, PROTOCOL_TEXT_MAX, "why it is in this state, and its last errors"),
    U64(job, attempts, MAY, 0, 0, "grants so far"),
    U64(job, failures, MAY, 0, 0, "of them, that failed"),
    U64(job, since_at, MAY, 0, 0, "when this state began"),
    NUMBER(job, loss, MAY, "the last that was heard"),
    NUMBER(job, rate, MAY, "tokens a second"),
};
MESSAGE(job);

static const struct field curve_fields[] = {
    WORD(curve, target, MUST, job_target_words, "what kind of model"),
    U64(curve, index, MUST, 0, 0, "of the expert or router; 0 of a dense model"),
    U64(curve, step_tokens, MUST, 0, 0, "tokens of a step"),
    DOUBLES(curve, steps, step_count, PROTOCOL_CURVE_MAX, "steps, ascending"),
    DOUBLES(curve, losses, loss_count, PROTOCOL_CURVE_MAX, "loss at each of them"),
    DOUBLES(curve, ats, at_count, PROTOCOL_CURVE_MAX,
            "seconds since the run's beginning at each of them"),
};
MESSAGE(curve);

static const struct field attempt_fields[] = {
    U64(attempt, job, MUST, 1, 0, "the job's number"),
    U64(attempt, number, MUST, 1, 0, "of the attempt, from 1"),
    STRING(attempt, agent, MAY, NAME_MAX_BYTES, "absent: the coordinator's own"),
    STRING(attempt, host, MAY, 256, "the agent's machine"),
    WORD(attempt, outcome, MUST, attempt_outcome_words, "how the grant ended"),
    U64(attempt, started_at, MAY, 0, 0, "when it was granted"),
    U64(attempt, ended_at, MAY, 0, 0, "when it ended; 0 before"),
    U64(attempt, step_first, MAY, 0, 0, "where it began"),
    U64(attempt, step, MAY, 0, 0, "the last that was heard of"),
    NUMBER(attempt, loss_first, MAY, "the first that was heard"),
    NUMBER(attempt, loss, MAY, "the last that was heard"),
    STRING(attempt, end, MAY, 4096, "how it ended, in words: an error, an exit or signal"),
    STRING(attempt, log, MAY, PROTOCOL_TAIL_MAX, "the tail of its log"),
};
MESSAGE(attempt);

static const struct field agent_fields[] = {
    U64(agent, agent, MUST, 1, 0, "the agent's number"),
    STRING(agent, name, MUST, NAME_MAX_BYTES, "what people call it"),
    STRING(agent, host, MAY, 256, "the machine's name"),
    STRING(agent, processor, MAY, 256, "as the machine names it"),
    STRING(agent, isa, MAY, 32, "instruction set that it computes with"),
    STRING(agent, version, MAY, 64, "of its program"),
    STRING(agent, state, MAY, 64,
           "in a word: working, idle, silent, benched, draining, drained, revoked"),
    STRING(agent, reason, MAY, 1024, "why it gets no jobs, until when, and what ends it"),
    STRING(agent, job, MAY, 256, "what it works on, in words"),
    U64(agent, threads, MAY, 0, 0, "that it computes with"),
    U64(agent, memory, MAY, 0, 0, "of the machine, bytes"),
    U64(agent, jobs_done, MAY, 0, 0, "so far"),
    U64(agent, failures, MAY, 0, 0, "so far"),
    U64(agent, joined_at, MAY, 0, 0, "when it joined"),
    U64(agent, seen_at, MAY, 0, 0, "when it was heard last"),
    NUMBER(agent, rate, MAY, "tokens a second"),
    STRING(agent, owner, MAY, NAME_MAX_BYTES, "whose it is"),
    STRING(agent, labels, MAY, 8192, "name=value, with commas between"),
};
MESSAGE(agent);

/* --- steering --- */

static const struct field pause_fields[] = {
    U64(pause, until, MAY, 0, 0, "when it goes on by itself; 0: when it is resumed"),
};
MESSAGE(pause);

static const struct field priority_fields[] = {
    NUMBER(priority, priority, MUST,
           "a whole number from -1000 to 1000: runs of higher priority get agents first"),
};
MESSAGE(priority);

static const struct field extend_fields[] = {
    U64(extend, steps, MUST, 1, 1000000000, "so many steps more of each expert"),
};
MESSAGE(extend);

static const struct field pattern_fields[] = {
    STRING(pattern, pattern, MUST, 128, "of an agent's name, where * stands for anything: lab-*"),
};
MESSAGE(pattern);

static const struct field tag_fields[] = {
    STRING(tag, name, MUST, NAME_MAX_BYTES, "of the label"),
    STRING(tag, value, MUST, NAME_MAX_BYTES,
           "of the label; empty where it is set: takes the label away"),
};
MESSAGE(tag);

static const struct field fleet_fields[] = {
    ARRAY(fleet, names, name_count, MAY, pattern, 1024,
          "agents whose name is one of these; none: any"),
    ARRAY(fleet, having, having_count, MAY, tag, TAGS_MAX, "and that have all of these labels"),
    ARRAY(fleet, set, set_count, MAY, tag, TAGS_MAX, "of /label: what they get"),
    BOOL(fleet, now, MAY, "of /drain: the job that an agent has is handed over, too"),
};
MESSAGE(fleet);

static const struct field steered_fields[] = {
    U64(steered, agent, MUST, 1, 0, "the agent's number"),
    STRING(steered, name, MUST, NAME_MAX_BYTES, "what people call it"),
};
MESSAGE(steered);

static const struct field fleet_done_fields[] = {
    ARRAY(fleet_done, agents, agent_count, MAY, steered, 65536, "those that were changed"),
};
MESSAGE(fleet_done);

static const struct field quota_fields[] = {
    STRING(quota, owner, MUST, NAME_MAX_BYTES, "of agents"),
    BOOL(quota, limited, MAY, "whether there is a limit"),
    U64(quota, jobs, MAY, 0, 0, "that its agents may hold at once, where limited"),
    U64(quota, held, MAY, 0, 0, "jobs that they hold now; the coordinator's"),
    U64(quota, agents, MAY, 0, 0, "that it has; the coordinator's"),
};
MESSAGE(quota);

static const struct field invitation_fields[] = {
    U64(invitation, invitation, MAY, 0, 0, "its number; the coordinator's"),
    STRING(invitation, owner, MAY, NAME_MAX_BYTES, "whose agents they are"),
    U64(invitation, uses, MAY, 0, 0, "agents that may join by it; 0: any number"),
    U64(invitation, used, MAY, 0, 0, "agents that have; the coordinator's"),
    U64(invitation, created_at, MAY, 0, 0, "when it was made; the coordinator's"),
    U64(invitation, expires_at, MAY, 0, 0, "when it ends; 0: never"),
    STRING(invitation, token, MAY, PROTOCOL_TOKEN_MAX, "by which agents join; told this once"),
};
MESSAGE(invitation);

static const struct field token_fields[] = {
    STRING(token, token, MUST, PROTOCOL_TOKEN_MAX, "a secret: 64 characters or so"),
};
MESSAGE(token);

static const struct field session_fields[] = {
    WORD(session, role, MUST, role_words, "who is logged in"),
    BOOL(session, loopback, MUST, "the coordinator listens on loopback alone"),
};
MESSAGE(session);

static const struct field delete_fields[] = {
    BOOL(delete, force, MAY, "also where runs that are done need it"),
};
MESSAGE(delete);

static const struct field event_fields[] = {
    U64(event, event, MUST, 1, 0, "its number, ascending"),
    U64(event, at, MUST, 0, 0, "when"),
    STRING(event, kind, MUST, 64, "run.paused, agent.joined, job.quarantined, alarm …"),
    STRING(event, who, MAY, 64, "the operator; absent: the coordinator or an agent"),
    STRING(event, run, MAY, NAME_MAX_BYTES, "that it is about"),
    STRING(event, agent, MAY, NAME_MAX_BYTES, "that it is about"),
    U64(event, job, MAY, 0, 0, "that it is about; 0: none"),
    STRING(event, text, MUST, 2048, "what happened, in words"),
};
MESSAGE(event);

static const struct field status_fields[] = {
    STRING(status, version, MAY, 64, "of the coordinator"),
    U64(status, uptime_ms, MAY, 0, 0, "since its start"),
    U64(status, runs_active, MAY, 0, 0, "runs that go on"),
    U64(status, jobs_waiting, MAY, 0, 0, "jobs without an agent"),
    U64(status, jobs_leased, MAY, 0, 0, "jobs that agents hold"),
    U64(status, jobs_quarantined, MAY, 0, 0, "jobs that failed too often"),
    U64(status, jobs_running, MAY, 0, 0, "of the leased: that compute"),
    U64(status, jobs_moving, MAY, 0, 0, "of the leased: that fetch, save or upload"),
    U64(status, jobs_silent, MAY, 0, 0, "of the leased: of which two heartbeats are missing"),
    U64(status, jobs_backing_off, MAY, 0, 0, "of the waiting: after a failure"),
    U64(status, alarms, MAY, 0, 0, "two results of one job"),
    U64(status, agents, MAY, 0, 0, "that are heard of"),
    U64(status, agents_working, MAY, 0, 0, "of them, with a job"),
    U64(status, agents_idle, MAY, 0, 0, "of them, without one"),
    U64(status, agents_benched, MAY, 0, 0, "that get no jobs: benched, drained or revoked"),
    U64(status, threads, MAY, 0, 0, "of agents seen in the last minute"),
    U64(status, blobs, MAY, 0, 0, "in the store"),
    U64(status, blob_bytes, MAY, 0, 0, "in the store"),
    U64(status, memory_peak, MAY, 0, 0, "of the coordinator, bytes"),
    STRING(status, storage, MAY, 1024, "ok, or what keeps the coordinator from writing"),
    U64(status, storage_since, MAY, 0, 0, "when that began; 0 while it is ok"),
    U64(status, disk_free, MAY, 0, 0,
        "bytes, on the coordinator's file system and within blobs.db"),
    U64(status, disk_used, MAY, 0, 0, "bytes, by both databases"),
    U64(status, disk_planned, MAY, 0, 0, "bytes that the active runs will still add, at most"),
    STRING(status, tls, MAY, 256, "none, ok, or what is to be done about its certificate"),
    U64(status, tls_until_at, MAY, 0, 0, "when its certificate ends; 0 without TLS"),
};
MESSAGE(status);

/* --- storage --- */

static const struct field scrub_start_fields[] = {
    STRING(scrub_start, run, MAY, NAME_MAX_BYTES, "whose blobs; absent: all"),
};
MESSAGE(scrub_start);

static const struct field scrub_bad_fields[] = {
    DIGEST(scrub_bad, digest, MUST, "its name"),
    U64(scrub_bad, bytes, MAY, 0, 0, "size"),
    STRING(scrub_bad, problem, MAY, 512, "what is wrong with it"),
    STRING(scrub_bad, named, MAY, 512, "whose it is, in words; absent: nobody's"),
};
MESSAGE(scrub_bad);

static const struct field scrub_fields[] = {
    U64(scrub, number, MUST, 0, 0, "of the scrub since the coordinator's start; 0: there was none"),
    BOOL(scrub, running, MUST, "it is under way"),
    STRING(scrub, run, MAY, NAME_MAX_BYTES, "whose blobs; absent: all"),
    U64(scrub, blobs, MAY, 0, 0, "compared so far"),
    U64(scrub, bytes, MAY, 0, 0, "compared so far"),
    U64(scrub, blobs_total, MAY, 0, 0, "that were there at its beginning"),
    U64(scrub, bytes_total, MAY, 0, 0, "that were there at its beginning"),
    U64(scrub, bad_total, MAY, 0, 0, "all that are bad"),
    ARRAY(scrub, bad, bad_count, MAY, scrub_bad, PROTOCOL_SCRUB_BAD_MAX, "the first of them"),
    STRING(scrub, error, MAY, 1024, "why it ended early"),
};
MESSAGE(scrub);

static const struct field gc_row_fields[] = {
    STRING(gc_row, why, MUST, 256, "why nobody needs them"),
    STRING(gc_row, run, MAY, NAME_MAX_BYTES, "whose they were"),
    U64(gc_row, blobs, MAY, 0, 0, "how many"),
    U64(gc_row, bytes, MAY, 0, 0, "how much"),
    BOOL(gc_row, later, MAY, "they are too young, or a backup holds them"),
};
MESSAGE(gc_row);

static const struct field gc_fields[] = {
    U64(gc, blobs, MUST, 0, 0, "that go now, or (POST) have gone"),
    U64(gc, bytes, MUST, 0, 0, "that go now, or (POST) have gone"),
    BOOL(gc, more, MAY, "POST: there are others: ask again"),
    U64(gc, grace_ms, MAY, 0, 0, "how long a blob that nothing names is kept"),
    U64(gc, backups, MAY, 0, 0, "that are under way"),
    U64(gc, disk_free, MAY, 0, 0, "bytes"),
    ARRAY(gc, rows, row_count, MAY, gc_row, GC_ROWS_MAX, "what nobody needs, and why"),
};
MESSAGE(gc);

static const struct field backup_fields[] = {
    U64(backup, backup, MUST, 1, 0, "its number, to renew and end it"),
    DIGEST(backup, snapshot, MUST, "a copy of tacit.db, a blob"),
    DIGEST(backup, list, MUST,
           "the blobs that it names, a blob: 40 bytes each, digest and size (little-endian)"),
    U64(backup, snapshot_bytes, MUST, 0, 0, "size of the copy"),
    U64(backup, list_bytes, MUST, 0, 0, "size of the list"),
    U64(backup, blobs, MUST, 0, 0, "of the list"),
    U64(backup, blob_bytes, MUST, 0, 0, "of the list"),
    U64(backup, missing, MAY, 0, 0, "that are named and not in the store: left out"),
    U64(backup, incarnation, MUST, 0, 0, "of the database"),
    U64(backup, created_at, MUST, 0, 0, "when it was begun"),
    STRING(backup, version, MAY, 64, "of the coordinator"),
    STRING(backup, admin_token, MAY, PROTOCOL_TOKEN_MAX, "the operator's token"),
    STRING(backup, join_token, MAY, PROTOCOL_TOKEN_MAX, "the join token"),
};
MESSAGE(backup);
