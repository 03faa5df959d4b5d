/* One table a message. A row: field, whether it must be there, range or length. Limits say what a
 * reader accepts; they leave room for 1,024 experts. */
#include "core/protocol/messages.h"
#include <stddef.h>

#define EXPERTS_MAX 1024
#define OUTPUTS_MAX (EXPERTS_MAX + 8) /* a segment job's pieces */
#define LABELS_MAX 64                 /* shard.h */
#define MODELS_MAX (2 * EXPERTS_MAX + 2)
#define ROUNDS_MAX 4096
#define CURVE_MAX 65536
#define BAD_MAX 65536
#define GC_ROWS_MAX 65536
#define NAME_MAX_BYTES 64
#define SPEC_MAX_BYTES 65536
#define TAGS_MAX 64
#define TAGS_MAX_BYTES 512 /* "gpu=no,site=lab" of a spec */

#define MUST true
#define MAY false

#define U64(m, f, must, lo, hi)                                                                    \
    {                                                                                              \
        .name = #f, .type = FIELD_U64, .required = must, .offset = offsetof(struct msg_##m, f),    \
        .min = lo, .max = hi                                                                       \
    }
#define NUMBER(m, f, must)                                                                         \
    {                                                                                              \
        .name = #f, .type = FIELD_DOUBLE, .required = must, .offset = offsetof(struct msg_##m, f)  \
    }
#define BOOL(m, f, must)                                                                           \
    {                                                                                              \
        .name = #f, .type = FIELD_BOOL, .required = must, .offset = offsetof(struct msg_##m, f)    \
    }
#define STRING(m, f, must, most)                                                                   \
    {                                                                                              \
        .name = #f, .type = FIELD_STRING, .required = must, .offset = offsetof(struct msg_##m, f), \
        .length_max = most                                                                         \
    }
#define WORD(m, f, must, list)                                                                     \
    {                                                                                              \
        .name = #f, .type = FIELD_WORD, .required = must, .offset = offsetof(struct msg_##m, f),   \
        .words = list                                                                              \
    }
#define DIGEST(m, f, must)                                                                         \
    {                                                                                              \
        .name = #f, .type = FIELD_DIGEST, .required = must, .offset = offsetof(struct msg_##m, f)  \
    }
#define OBJECT(m, f, must, inner)                                                                  \
    {                                                                                              \
        .name = #f, .type = FIELD_OBJECT, .required = must, .offset = offsetof(struct msg_##m, f), \
        .of = &message_##inner                                                                     \
    }
#define OBJECT_OR_NULL(m, f, inner)                                                                \
    {                                                                                              \
        .name = #f, .type = FIELD_OBJECT, .offset = offsetof(struct msg_##m, f),                   \
        .of = &message_##inner, .absent_null = true                                                \
    }
#define ARRAY_AS(m, as, f, count, must, inner, most)                                               \
    {                                                                                              \
        .name = as, .type = FIELD_ARRAY, .required = must, .offset = offsetof(struct msg_##m, f),  \
        .count_offset = offsetof(struct msg_##m, count), .of = &message_##inner,                   \
        .length_max = most                                                                         \
    }
#define ARRAY(m, f, count, must, inner, most) ARRAY_AS(m, #f, f, count, must, inner, most)
#define DOUBLES(m, f, count, most)                                                                 \
    {                                                                                              \
        .name = #f, .type = FIELD_DOUBLES, .offset = offsetof(struct msg_##m, f),                  \
        .count_offset = offsetof(struct msg_##m, count), .length_max = most                        \
    }

#define MESSAGE(m)                                                                                 \
    const struct message message_##m = {                                                           \
        .name = #m,                                                                                \
        .size = sizeof(struct msg_##m),                                                            \
        .fields = m##_fields,                                                                      \
        .field_count = sizeof m##_fields / sizeof m##_fields[0],                                   \
    }

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
const char *const run_state_words[] = {"active", "done", "failed", "cancelled", NULL};

/* One row each. */
static const struct field problem_fields[] = {
    STRING(problem, type, MAY, 256),    STRING(problem, title, MAY, 256),
    STRING(problem, detail, MAY, 1024), STRING(problem, code, MAY, 64),
    U64(problem, status, MAY, 0, 999),
};
MESSAGE(problem);

/* --- agents --- */

static const struct field join_fields[] = {
    STRING(join, identity, MUST, 64),   STRING(join, name, MUST, NAME_MAX_BYTES),
    STRING(join, host, MAY, 256),       STRING(join, processor, MAY, 256),
    STRING(join, isa, MAY, 32),         STRING(join, version, MAY, 64),
    U64(join, threads, MUST, 1, 65536), U64(join, memory, MAY, 0, 0),
};
MESSAGE(join);

static const struct field joined_fields[] = {
    U64(joined, agent, MUST, 1, 0),
    STRING(joined, token, MUST, PROTOCOL_TOKEN_MAX),
};
MESSAGE(joined);

static const struct field fence_fields[] = {
    U64(fence, incarnation, MUST, 0, 0),
    U64(fence, counter, MUST, 0, 0),
};
MESSAGE(fence);

/* --- jobs --- */

static const struct field blob_fields[] = {
    WORD(blob, role, MUST, blob_role_words),
    U64(blob, index, MAY, 0, 0),
    DIGEST(blob, digest, MUST),
    DIGEST(blob, content, MAY),
    U64(blob, bytes, MUST, 0, PROTOCOL_BLOB_MAX),
    U64(blob, first, MAY, 0, 0),
    U64(blob, count, MAY, 0, 0),
};
MESSAGE(blob);

static const struct field saved_fields[] = {
    U64(saved, job, MUST, 1, 0),
    U64(saved, step, MUST, 1, 0),
    DIGEST(saved, content, MAY),
};
MESSAGE(saved);

static const struct field claim_fields[] = {
    U64(claim, wait_ms, MAY, 0, 60000),
    ARRAY(claim, saves, save_count, MAY, saved, PROTOCOL_SAVES_MAX),
};
MESSAGE(claim);

static const struct field grant_fields[] = {
    U64(grant, job, MUST, 1, 0),
    OBJECT(grant, fence, MUST, fence),
    U64(grant, lease_ms, MUST, 1, 0),
    STRING(grant, run, MUST, NAME_MAX_BYTES),
    DIGEST(grant, spec, MUST),
    WORD(grant, kind, MUST, job_kind_words),
    WORD(grant, target, MUST, job_target_words),
    U64(grant, index, MUST, 0, 0),
    U64(grant, round, MUST, 0, 0),
    U64(grant, chunk, MUST, 0, 0),
    U64(grant, part, MUST, 0, 0),
    U64(grant, step_first, MUST, 0, 0),
    U64(grant, step_last, MUST, 0, 0),
    U64(grant, steps, MUST, 0, 0),
    U64(grant, cycle, MAY, 0, 0),
    BOOL(grant, final, MUST),
    U64(grant, window_first, MUST, 0, 0),
    U64(grant, window_count, MUST, 0, 0),
    U64(grant, segment_count, MUST, 0, 0),
    U64(grant, prior_steps, MUST, 0, 0),
    U64(grant, resume_step, MAY, 0, 0),
    DIGEST(grant, start, MAY),
    U64(grant, vocab, MUST, 1, 1u << 20),
    U64(grant, seq, MUST, 1, 1u << 16),
    ARRAY(grant, inputs, input_count, MAY, blob, PROTOCOL_INPUTS_MAX),
};
MESSAGE(grant);

static const struct field point_fields[] = {
    U64(point, step, MUST, 1, 0),
    NUMBER(point, loss, MUST),
};
MESSAGE(point);

static const struct field heartbeat_fields[] = {
    OBJECT(heartbeat, fence, MUST, fence),
    U64(heartbeat, step, MAY, 0, 0),
    U64(heartbeat, total, MAY, 0, 0),
    NUMBER(heartbeat, loss, MAY),
    NUMBER(heartbeat, rate, MAY),
    WORD(heartbeat, phase, MAY, job_phase_words),
    STRING(heartbeat, log, MAY, PROTOCOL_LOG_MAX),
    ARRAY(heartbeat, points, point_count, MAY, point, PROTOCOL_POINTS_MAX),
};
MESSAGE(heartbeat);

static const struct field command_fields[] = {
    WORD(command, command, MUST, job_command_words),
    U64(command, lease_ms, MUST, 1, 0),
};
MESSAGE(command);

static const struct field complete_fields[] = {
    OBJECT(complete, fence, MUST, fence),
    ARRAY(complete, outputs, output_count, MUST, blob, OUTPUTS_MAX),
    NUMBER(complete, loss, MAY),
    NUMBER(complete, seconds, MAY),
    U64(complete, tokens, MAY, 0, 0),
    U64(complete, bytes_down, MAY, 0, 0),
    U64(complete, bytes_up, MAY, 0, 0),
    ARRAY(complete, points, point_count, MAY, point, PROTOCOL_CURVE_MAX),
};
MESSAGE(complete);

static const struct field completed_fields[] = {
    OBJECT(completed, next, MAY, grant),
};
MESSAGE(completed);

static const struct field fail_fields[] = {
    OBJECT(fail, fence, MUST, fence),
    STRING(fail, error, MUST, 4096),
    BOOL(fail, settings, MAY),
    STRING(fail, log, MAY, PROTOCOL_LOG_MAX),
};
MESSAGE(fail);

static const struct field release_fields[] = {
    OBJECT(release, fence, MUST, fence),
    U64(release, step, MAY, 0, 0),
    ARRAY(release, outputs, output_count, MAY, blob, OUTPUTS_MAX),
    STRING(release, log, MAY, PROTOCOL_LOG_MAX),
};
MESSAGE(release);

static const struct field words_fields[] = {
    OBJECT(words, fence, MUST, fence),
    U64(words, step, MAY, 0, 0),
    STRING(words, end, MUST, 256),
    BOOL(words, crash, MAY),
    STRING(words, log, MAY, PROTOCOL_LOG_MAX),
};
MESSAGE(words);

const struct message message_empty = {.name = "empty", .size = sizeof(struct msg_empty)};

/* --- data sets --- */

static const struct field shard_fields[] = {
    DIGEST(shard, digest, MUST),
    U64(shard, bytes, MUST, 1, PROTOCOL_BLOB_MAX),
    U64(shard, sequences, MUST, 1, 0),
};
MESSAGE(shard);

static const struct field label_fields[] = {
    STRING(label, name, MUST, 256),
};
MESSAGE(label);

#define DATASET_HEAD                                                                               \
    STRING(dataset, name, MUST, NAME_MAX_BYTES), U64(dataset, vocab, MUST, 1, 1u << 20),           \
        U64(dataset, seq, MUST, 2, 1u << 16), DIGEST(dataset, tokenizer, MUST),                    \
        U64(dataset, tokenizer_bytes, MUST, 1, PROTOCOL_BLOB_MAX)
#define DATASET_TAIL                                                                               \
    ARRAY(dataset, labels, label_count, MAY, label, LABELS_MAX),                                   \
        U64(dataset, train_sequences, MUST, 0, 0), U64(dataset, heldout_sequences, MUST, 0, 0),    \
        U64(dataset, train_text_bytes, MAY, 0, 0), U64(dataset, heldout_text_bytes, MAY, 0, 0),    \
        U64(dataset, documents, MAY, 0, 0), U64(dataset, skipped, MAY, 0, 0),                      \
        U64(dataset, created_at, MAY, 0, 0)

static const struct field dataset_fields[] = {
    DATASET_HEAD,
    ARRAY(dataset, train, train_count, MAY, shard, PROTOCOL_SHARDS_MAX),
    ARRAY(dataset, heldout, heldout_count, MAY, shard, PROTOCOL_SHARDS_MAX),
    DATASET_TAIL,
};
MESSAGE(dataset);

static const struct field dataset_listed_fields[] = {DATASET_HEAD, DATASET_TAIL};
const struct message message_dataset_listed = {
    .name = "dataset",
    .size = sizeof(struct msg_dataset),
    .fields = dataset_listed_fields,
    .field_count = sizeof dataset_listed_fields / sizeof dataset_listed_fields[0],
};

/* --- runs --- */

static const struct field run_create_fields[] = {
    STRING(run_create, spec, MUST, SPEC_MAX_BYTES),
    STRING(run_create, file, MAY, 1024),
    BOOL(run_create, dry_run, MAY),
    STRING(run_create, fork_of, MAY, NAME_MAX_BYTES),
};
MESSAGE(run_create);

static const struct field model_progress_fields[] = {
    WORD(model_progress, target, MUST, job_target_words),
    U64(model_progress, index, MUST, 0, 0),
    U64(model_progress, step, MAY, 0, 0),
    U64(model_progress, steps, MAY, 0, 0),
    STRING(model_progress, state, MAY, 64),
    STRING(model_progress, agent, MAY, NAME_MAX_BYTES),
    NUMBER(model_progress, loss, MAY),
    NUMBER(model_progress, rate, MAY),
    DIGEST(model_progress, content, MAY),
    DIGEST(model_progress, model, MAY),
    U64(model_progress, model_bytes, MAY, 0, PROTOCOL_BLOB_MAX),
};
MESSAGE(model_progress);

static const struct field run_fields[] = {
    STRING(run, name, MUST, NAME_MAX_BYTES),
    STRING(run, dataset, MAY, 128), /* "corpus (deleted 3)" */
    WORD(run, state, MUST, run_state_words),
    STRING(run, reason, MAY, PROTOCOL_TEXT_MAX),
    STRING(run, phase, MAY, 64),
    U64(run, experts, MAY, 0, 0),
    U64(run, seed, MAY, 0, 0),
    U64(run, round, MAY, 0, 0),
    U64(run, rounds, MAY, 0, 0),
    U64(run, jobs_waiting, MAY, 0, 0),
    U64(run, jobs_leased, MAY, 0, 0),
    U64(run, jobs_done, MAY, 0, 0),
    U64(run, jobs_quarantined, MAY, 0, 0),
    U64(run, created_at, MAY, 0, 0),
    U64(run, ended_at, MAY, 0, 0),
    NUMBER(run, progress, MAY),
    DIGEST(run, spec, MAY),
    BOOL(run, paused, MAY),
    U64(run, resume_at, MAY, 0, 0),
    NUMBER(run, priority, MAY),
    STRING(run, needs, MAY, TAGS_MAX_BYTES),
    U64(run, extended_from, MAY, 0, 0),
    U64(run, expert_steps, MAY, 0, 0),
    STRING(run, forked_from, MAY, NAME_MAX_BYTES),
    ARRAY(run, models, model_count, MAY, model_progress, MODELS_MAX),
};
MESSAGE(run);

static const struct field job_fields[] = {
    U64(job, job, MUST, 1, 0),
    STRING(job, run, MAY, NAME_MAX_BYTES),
    WORD(job, kind, MUST, job_kind_words),
    WORD(job, target, MUST, job_target_words),
    WORD(job, state, MUST, job_status_words),
    U64(job, index, MAY, 0, 0),
    U64(job, round, MAY, 0, 0),
    U64(job, chunk, MAY, 0, 0),
    U64(job, part, MAY, 0, 0),
    U64(job, step_first, MAY, 0, 0),
    U64(job, step_last, MAY, 0, 0),
    U64(job, step, MAY, 0, 0),
    STRING(job, agent, MAY, NAME_MAX_BYTES),
    STRING(job, reason, MAY, PROTOCOL_TEXT_MAX),
    U64(job, attempts, MAY, 0, 0),
    U64(job, failures, MAY, 0, 0),
    U64(job, since_at, MAY, 0, 0),
    NUMBER(job, loss, MAY),
    NUMBER(job, rate, MAY),
};
MESSAGE(job);

static const struct field curve_fields[] = {
    WORD(curve, target, MUST, job_target_words),
    U64(curve, index, MUST, 0, 0),
    U64(curve, step_tokens, MUST, 0, 0),
    DOUBLES(curve, steps, step_count, PROTOCOL_CURVE_MAX),
    DOUBLES(curve, losses, loss_count, PROTOCOL_CURVE_MAX),
    DOUBLES(curve, ats, at_count, PROTOCOL_CURVE_MAX),
};
MESSAGE(curve);

static const struct field attempt_fields[] = {
    U64(attempt, job, MUST, 1, 0),
    U64(attempt, number, MUST, 1, 0),
    STRING(attempt, agent, MAY, NAME_MAX_BYTES),
    STRING(attempt, host, MAY, 256),
    WORD(attempt, outcome, MUST, attempt_outcome_words),
    U64(attempt, started_at, MAY, 0, 0),
    U64(attempt, ended_at, MAY, 0, 0),
    U64(attempt, step_first, MAY, 0, 0),
    U64(attempt, step, MAY, 0, 0),
    NUMBER(attempt, loss_first, MAY),
    NUMBER(attempt, loss, MAY),
    STRING(attempt, end, MAY, 4096),
    STRING(attempt, log, MAY, PROTOCOL_TAIL_MAX),
};
MESSAGE(attempt);

static const struct field agent_fields[] = {
    U64(agent, agent, MUST, 1, 0),
    STRING(agent, name, MUST, NAME_MAX_BYTES),
    STRING(agent, host, MAY, 256),
    STRING(agent, processor, MAY, 256),
    STRING(agent, isa, MAY, 32),
    STRING(agent, version, MAY, 64),
    STRING(agent, state, MAY, 64),
    STRING(agent, reason, MAY, 1024),
    STRING(agent, job, MAY, 256),
    U64(agent, threads, MAY, 0, 0),
    U64(agent, memory, MAY, 0, 0),
    U64(agent, jobs_done, MAY, 0, 0),
    U64(agent, failures, MAY, 0, 0),
    U64(agent, joined_at, MAY, 0, 0),
    U64(agent, seen_at, MAY, 0, 0),
    NUMBER(agent, rate, MAY),
    STRING(agent, owner, MAY, NAME_MAX_BYTES),
    STRING(agent, labels, MAY, 8192),
};
MESSAGE(agent);

/* --- steering --- */

static const struct field pause_fields[] = {
    U64(pause, until, MAY, 0, 0),
};
MESSAGE(pause);

static const struct field priority_fields[] = {
    NUMBER(priority, priority, MUST),
};
MESSAGE(priority);

static const struct field extend_fields[] = {
    U64(extend, steps, MUST, 1, 1000000000),
};
MESSAGE(extend);

static const struct field pattern_fields[] = {
    STRING(pattern, pattern, MUST, 128),
};
MESSAGE(pattern);

static const struct field tag_fields[] = {
    STRING(tag, name, MUST, NAME_MAX_BYTES),
    STRING(tag, value, MUST, NAME_MAX_BYTES),
};
MESSAGE(tag);

static const struct field fleet_fields[] = {
    ARRAY(fleet, names, name_count, MAY, pattern, 1024),
    ARRAY(fleet, having, having_count, MAY, tag, TAGS_MAX),
    ARRAY(fleet, set, set_count, MAY, tag, TAGS_MAX),
    BOOL(fleet, now, MAY),
};
MESSAGE(fleet);

static const struct field steered_fields[] = {
    U64(steered, agent, MUST, 1, 0),
    STRING(steered, name, MUST, NAME_MAX_BYTES),
};
MESSAGE(steered);

static const struct field fleet_done_fields[] = {
    ARRAY(fleet_done, agents, agent_count, MAY, steered, 65536),
};
MESSAGE(fleet_done);

static const struct field quota_fields[] = {
    STRING(quota, owner, MUST, NAME_MAX_BYTES),
    BOOL(quota, limited, MAY),
    U64(quota, jobs, MAY, 0, 0),
    U64(quota, held, MAY, 0, 0),
    U64(quota, agents, MAY, 0, 0),
};
MESSAGE(quota);

static const struct field invitation_fields[] = {
    U64(invitation, invitation, MAY, 0, 0),
    STRING(invitation, owner, MAY, NAME_MAX_BYTES),
    U64(invitation, uses, MAY, 0, 0),
    U64(invitation, used, MAY, 0, 0),
    U64(invitation, created_at, MAY, 0, 0),
    U64(invitation, expires_at, MAY, 0, 0),
    STRING(invitation, token, MAY, PROTOCOL_TOKEN_MAX),
};
MESSAGE(invitation);

static const struct field token_fields[] = {
    STRING(token, token, MUST, PROTOCOL_TOKEN_MAX),
};
MESSAGE(token);

static const struct field delete_fields[] = {
    BOOL(delete, force, MAY),
};
MESSAGE(delete);

static const struct field event_fields[] = {
    U64(event, event, MUST, 1, 0),
    U64(event, at, MUST, 0, 0),
    STRING(event, kind, MUST, 64),
    STRING(event, who, MAY, 64),
    STRING(event, run, MAY, NAME_MAX_BYTES),
    STRING(event, agent, MAY, NAME_MAX_BYTES),
    U64(event, job, MAY, 0, 0),
    STRING(event, text, MUST, 2048),
};
MESSAGE(event);

static const struct field status_fields[] = {
    STRING(status, version, MAY, 64),       U64(status, uptime_ms, MAY, 0, 0),
    U64(status, runs_active, MAY, 0, 0),    U64(status, jobs_waiting, MAY, 0, 0),
    U64(status, jobs_leased, MAY, 0, 0),    U64(status, jobs_quarantined, MAY, 0, 0),
    U64(status, jobs_running, MAY, 0, 0),   U64(status, jobs_moving, MAY, 0, 0),
    U64(status, jobs_silent, MAY, 0, 0),    U64(status, jobs_backing_off, MAY, 0, 0),
    U64(status, alarms, MAY, 0, 0),         U64(status, agents, MAY, 0, 0),
    U64(status, agents_working, MAY, 0, 0), U64(status, agents_idle, MAY, 0, 0),
    U64(status, agents_benched, MAY, 0, 0), U64(status, threads, MAY, 0, 0),
    U64(status, blobs, MAY, 0, 0),          U64(status, blob_bytes, MAY, 0, 0),
    U64(status, memory_peak, MAY, 0, 0),    STRING(status, storage, MAY, 1024),
    U64(status, storage_since, MAY, 0, 0),  U64(status, disk_free, MAY, 0, 0),
    U64(status, disk_used, MAY, 0, 0),      U64(status, disk_planned, MAY, 0, 0),
};
MESSAGE(status);

/* --- storage --- */

static const struct field scrub_start_fields[] = {
    STRING(scrub_start, run, MAY, NAME_MAX_BYTES),
};
MESSAGE(scrub_start);

static const struct field scrub_bad_fields[] = {
    DIGEST(scrub_bad, digest, MUST),
    U64(scrub_bad, bytes, MAY, 0, 0),
    STRING(scrub_bad, problem, MAY, 512),
    STRING(scrub_bad, named, MAY, 512),
};
MESSAGE(scrub_bad);

static const struct field scrub_fields[] = {
    U64(scrub, number, MUST, 0, 0),
    BOOL(scrub, running, MUST),
    STRING(scrub, run, MAY, NAME_MAX_BYTES),
    U64(scrub, blobs, MAY, 0, 0),
    U64(scrub, bytes, MAY, 0, 0),
    U64(scrub, blobs_total, MAY, 0, 0),
    U64(scrub, bytes_total, MAY, 0, 0),
    U64(scrub, bad_total, MAY, 0, 0),
    ARRAY(scrub, bad, bad_count, MAY, scrub_bad, PROTOCOL_SCRUB_BAD_MAX),
    STRING(scrub, error, MAY, 1024),
};
MESSAGE(scrub);

static const struct field gc_row_fields[] = {
    STRING(gc_row, why, MUST, 256), STRING(gc_row, run, MAY, NAME_MAX_BYTES),
    U64(gc_row, blobs, MAY, 0, 0),  U64(gc_row, bytes, MAY, 0, 0),
    BOOL(gc_row, later, MAY),
};
MESSAGE(gc_row);

static const struct field gc_fields[] = {
    U64(gc, blobs, MUST, 0, 0),
    U64(gc, bytes, MUST, 0, 0),
    BOOL(gc, more, MAY),
    U64(gc, grace_ms, MAY, 0, 0),
    U64(gc, backups, MAY, 0, 0),
    U64(gc, disk_free, MAY, 0, 0),
    ARRAY(gc, rows, row_count, MAY, gc_row, GC_ROWS_MAX),
};
MESSAGE(gc);

static const struct field backup_fields[] = {
    U64(backup, backup, MUST, 1, 0),
    DIGEST(backup, snapshot, MUST),
    DIGEST(backup, list, MUST),
    U64(backup, snapshot_bytes, MUST, 0, 0),
    U64(backup, list_bytes, MUST, 0, 0),
    U64(backup, blobs, MUST, 0, 0),
    U64(backup, blob_bytes, MUST, 0, 0),
    U64(backup, missing, MAY, 0, 0),
    U64(backup, incarnation, MUST, 0, 0),
    U64(backup, created_at, MUST, 0, 0),
    STRING(backup, version, MAY, 64),
    STRING(backup, admin_token, MAY, PROTOCOL_TOKEN_MAX),
    STRING(backup, join_token, MAY, PROTOCOL_TOKEN_MAX),
};
MESSAGE(backup);

/* --- report --- */

static const struct field quality_fields[] = {
    NUMBER(quality, perplexity, MAY),    NUMBER(quality, perplexity_after_prefix, MAY),
    NUMBER(quality, bits_per_byte, MAY), NUMBER(quality, flops, MAY),
    U64(quality, tokens, MAY, 0, 0),     U64(quality, parameters, MAY, 0, 0),
    U64(quality, steps, MAY, 0, 0),      U64(quality, batch, MAY, 0, 0),
    DIGEST(quality, digest, MAY),
};
MESSAGE(quality);

static const struct field source_share_fields[] = {
    STRING(source_share, source, MUST, 256),
    NUMBER(source_share, share, MAY),
};
MESSAGE(source_share);

static const struct field expert_report_fields[] = {
    U64(expert_report, index, MUST, 0, 0),
    DIGEST(expert_report, digest, MAY),
    NUMBER(expert_report, share, MAY),
    NUMBER(expert_report, perplexity, MAY),
    NUMBER(expert_report, dense_perplexity, MAY),
    ARRAY(expert_report, sources, source_count, MAY, source_share, LABELS_MAX),
};
MESSAGE(expert_report);

static const struct field router_report_fields[] = {
    U64(router_report, index, MUST, 0, 0),
    DIGEST(router_report, digest, MAY),
};
MESSAGE(router_report);

static const struct field round_report_fields[] = {
    U64(round_report, round, MUST, 0, 0),
    BOOL(round_report, final, MAY),
    NUMBER(round_report, purity, MAY),
    NUMBER(round_report, inverse_purity, MAY),
    DOUBLES(round_report, shares, share_count, EXPERTS_MAX),
};
MESSAGE(round_report);

static const struct field prefix_report_fields[] = {
    U64(prefix_report, prefix, MUST, 0, 0),
    NUMBER(prefix_report, perplexity, MAY),
};
MESSAGE(prefix_report);

static const struct field curve_point_fields[] = {
    U64(curve_point, step, MUST, 0, 0),
    NUMBER(curve_point, dense, MAY),
    NUMBER(curve_point, mixture, MAY),
};
MESSAGE(curve_point);

static const struct field overhead_fields[] = {
    NUMBER(overhead, training, MAY),
    NUMBER(overhead, training_paper, MAY),
    NUMBER(overhead, inference, MAY),
};
MESSAGE(overhead);

static const struct field costs_fields[] = {
    NUMBER(costs, routers_training, MAY), NUMBER(costs, routers_sharding, MAY),
    NUMBER(costs, experts_sharding, MAY), NUMBER(costs, experts_training, MAY),
    NUMBER(costs, dense_training, MAY),   NUMBER(costs, dense_flops_training, MAY),
    NUMBER(costs, dense_inference, MAY),  NUMBER(costs, mixture_inference, MAY),
};
MESSAGE(costs);

static const struct field seconds_fields[] = {
    NUMBER(seconds, routers, MAY),    NUMBER(seconds, scoring, MAY),
    NUMBER(seconds, segments, MAY),   NUMBER(seconds, experts, MAY),
    NUMBER(seconds, dense, MAY),      NUMBER(seconds, dense_flops, MAY),
    NUMBER(seconds, evaluation, MAY), NUMBER(seconds, wall, MAY),
};
MESSAGE(seconds);

static const struct field bytes_fields[] = {
    U64(bytes, down, MAY, 0, 0),
    U64(bytes, up, MAY, 0, 0),
    U64(bytes, data_parallel, MAY, 0, 0),
};
MESSAGE(bytes);

static const struct field report_fields[] = {
    STRING(report, run, MUST, NAME_MAX_BYTES),
    STRING(report, dataset, MAY, NAME_MAX_BYTES),
    {.name = "expert_count", .type = FIELD_U64, .offset = offsetof(struct msg_report, experts)},
    U64(report, seed, MAY, 0, 0),
    U64(report, prefix, MAY, 0, 0),
    U64(report, heldout_sequences, MAY, 0, 0),
    U64(report, heldout_predictions, MAY, 0, 0),
    STRING(report, router_mode, MAY, 32),
    OBJECT_OR_NULL(report, dense, quality),
    OBJECT_OR_NULL(report, dense_flops, quality),
    OBJECT_OR_NULL(report, mixture, quality),
    ARRAY_AS(report, "experts", expert_reports, expert_report_count, MAY, expert_report,
             EXPERTS_MAX),
    ARRAY(report, routers, router_count, MAY, router_report, EXPERTS_MAX),
    ARRAY(report, rounds, round_count, MAY, round_report, ROUNDS_MAX),
    ARRAY(report, prefixes, prefix_count, MAY, prefix_report, CURVE_MAX),
    ARRAY(report, curve, curve_count, MAY, curve_point, CURVE_MAX),
    OBJECT_OR_NULL(report, overhead, overhead),
    OBJECT_OR_NULL(report, costs, costs),
    OBJECT_OR_NULL(report, seconds, seconds),
    OBJECT_OR_NULL(report, bytes, bytes),
};
MESSAGE(report);

/* --- where things come from --- */

static const struct field made_fields[] = {
    WORD(made, what, MUST, made_what_words),
    DIGEST(made, digest, MAY),
    STRING(made, dataset, MAY, NAME_MAX_BYTES),
    STRING(made, run, MAY, NAME_MAX_BYTES),
    STRING(made, split, MAY, 16),
    U64(made, number, MAY, 0, 0),
    OBJECT(made, grant, MAY, grant),
    ARRAY(made, outputs, output_count, MAY, blob, OUTPUTS_MAX),
    U64(made, doer, MAY, 0, 0),
    STRING(made, agent, MAY, NAME_MAX_BYTES),
    NUMBER(made, seconds, MAY),
    U64(made, tokens, MAY, 0, 0),
    U64(made, attempts, MAY, 0, 0),
    U64(made, at, MAY, 0, 0),
};
MESSAGE(made);

static const struct field result_fields[] = {
    U64(result, job, MUST, 1, 0),
    WORD(result, kind, MUST, job_kind_words),
    WORD(result, target, MUST, job_target_words),
    U64(result, index, MUST, 0, 0),
    U64(result, round, MUST, 0, 0),
    U64(result, chunk, MUST, 0, 0),
    U64(result, part, MUST, 0, 0),
    U64(result, step_first, MUST, 0, 0),
    U64(result, step_last, MUST, 0, 0),
    BOOL(result, final, MUST),
    NUMBER(result, seconds, MAY),
    U64(result, doer, MAY, 0, 0),
};
MESSAGE(result);

static const struct field bad_blob_fields[] = {
    DIGEST(bad_blob, digest, MUST),
    U64(bad_blob, job, MAY, 0, 0),
    WORD(bad_blob, role, MAY, blob_role_words),
    U64(bad_blob, index, MAY, 0, 0),
    STRING(bad_blob, words, MAY, 512),
    STRING(bad_blob, why, MAY, 512),
    STRING(bad_blob, repair, MAY, 512),
};
MESSAGE(bad_blob);

static const struct field rollback_fields[] = {
    WORD(rollback, target, MUST, job_target_words),
    U64(rollback, index, MAY, 0, EXPERTS_MAX - 1),
    U64(rollback, step, MUST, 0, 0),
    BOOL(rollback, dry_run, MAY),
};
MESSAGE(rollback);

static const struct field rolled_back_fields[] = {
    STRING(rolled_back, run, MUST, NAME_MAX_BYTES),
    U64(rolled_back, step, MUST, 0, 0),
    U64(rolled_back, undone, MUST, 0, 0),
    U64(rolled_back, damaged, MUST, 0, 0),
    ARRAY(rolled_back, jobs, job_count, MAY, result, 100),
};
MESSAGE(rolled_back);

static const struct field job_id_fields[] = {
    U64(job_id, job, MUST, 1, 0),
};
MESSAGE(job_id);

static const struct field verify_fields[] = {
    ARRAY(verify, jobs, job_count, MUST, job_id, 1000),
};
MESSAGE(verify);

static const struct field replay_fields[] = {
    U64(replay, replay, MUST, 0, 0),
    U64(replay, job, MUST, 1, 0),
    WORD(replay, state, MUST, job_state_words),
    STRING(replay, verdict, MAY, 16),
    STRING(replay, agent, MAY, NAME_MAX_BYTES),
    STRING(replay, doer, MAY, NAME_MAX_BYTES),
    WORD(replay, kind, MUST, job_kind_words),
    WORD(replay, target, MUST, job_target_words),
    U64(replay, index, MUST, 0, 0),
    U64(replay, round, MUST, 0, 0),
    U64(replay, chunk, MUST, 0, 0),
    U64(replay, part, MUST, 0, 0),
    U64(replay, step_first, MUST, 0, 0),
    U64(replay, step_last, MUST, 0, 0),
    BOOL(replay, final, MUST),
    WORD(replay, role, MUST, blob_role_words),
    U64(replay, blob_index, MUST, 0, 0),
    DIGEST(replay, published, MAY),
    DIGEST(replay, found, MAY),
    STRING(replay, reason, MAY, PROTOCOL_TEXT_MAX),
};
MESSAGE(replay);

static const struct field replays_fields[] = {
    ARRAY(replays, replays, replay_count, MUST, replay, 1000),
};
MESSAGE(replays);

static const struct field alarm_fields[] = {
    U64(alarm, job, MUST, 1, 0),
    U64(alarm, at, MUST, 0, 0),
    STRING(alarm, run, MUST, NAME_MAX_BYTES),
    STRING(alarm, words, MAY, 256),
    STRING(alarm, agent, MAY, NAME_MAX_BYTES),
    STRING(alarm, other, MAY, NAME_MAX_BYTES),
    WORD(alarm, role, MUST, blob_role_words),
    U64(alarm, index, MUST, 0, 0),
    DIGEST(alarm, published, MAY),
    DIGEST(alarm, found, MAY),
};
MESSAGE(alarm);

static const struct field difference_fields[] = {
    U64(difference, job, MUST, 1, 0),
    STRING(difference, words, MAY, 256),
    STRING(difference, agent, MAY, NAME_MAX_BYTES),
    STRING(difference, verdict, MUST, 16),
    WORD(difference, target, MUST, job_target_words),
    U64(difference, index, MUST, 0, 0),
    U64(difference, step_first, MUST, 0, 0),
    U64(difference, step_last, MUST, 0, 0),
    WORD(difference, role, MUST, blob_role_words),
    U64(difference, blob_index, MUST, 0, 0),
    DIGEST(difference, published, MAY),
    DIGEST(difference, replayed, MAY),
    DIGEST(difference, blob, MAY),
    DIGEST(difference, start, MAY),
    U64(difference, source_job, MAY, 0, 0),
    STRING(difference, by, MAY, NAME_MAX_BYTES),
    STRING(difference, why, MAY, 512),
};
MESSAGE(difference);

static const struct field verified_fields[] = {
    STRING(verified, run, MUST, NAME_MAX_BYTES),
    BOOL(verified, all, MUST),
    BOOL(verified, agents, MUST),
    U64(verified, seed, MUST, 0, 0),
    U64(verified, jobs, MUST, 0, 0),
    U64(verified, replayed, MUST, 0, 0),
    U64(verified, recalled, MUST, 0, 0),
    U64(verified, remade, MUST, 0, 0),
    U64(verified, skipped, MUST, 0, 0),
    STRING(verified, skipped_why, MAY, 1024),
    U64(verified, blobs, MUST, 0, 0),
    U64(verified, bytes, MUST, 0, 0),
    U64(verified, bad_total, MUST, 0, 0),
    NUMBER(verified, seconds, MAY),
    ARRAY(verified, bad, bad_count, MAY, bad_blob, BAD_MAX),
    ARRAY(verified, differences, difference_count, MAY, difference, BAD_MAX),
};
MESSAGE(verified);
