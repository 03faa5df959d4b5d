/* The messages of the dashboard's own views. */
#include "core/protocol/messages_rows.h"

static const struct field overview_runs_fields[] = {
    U64(overview_runs, active, MUST, 0, 0, "that go on"),
    U64(overview_runs, done, MUST, 0, 0, "with a report"),
    U64(overview_runs, failed, MUST, 0, 0, "that ended themselves"),
    U64(overview_runs, cancelled, MUST, 0, 0, "that an operator ended"),
};
MESSAGE(overview_runs);

static const struct field overview_jobs_fields[] = {
    U64(overview_jobs, waiting, MUST, 0, 0, "for an agent"),
    U64(overview_jobs, backing_off, MUST, 0, 0, "that rest after a failure"),
    U64(overview_jobs, granted, MUST, 0, 0, "of which nothing was heard yet"),
    U64(overview_jobs, running, MUST, 0, 0, "that compute"),
    U64(overview_jobs, moving, MUST, 0, 0, "that fetch, save or upload"),
    U64(overview_jobs, silent, MUST, 0, 0, "of which heartbeats are missing"),
    U64(overview_jobs, quarantined, MUST, 0, 0, "that failed on several agents"),
};
MESSAGE(overview_jobs);

static const struct field overview_agents_fields[] = {
    U64(overview_agents, working, MUST, 0, 0, "that hold a job"),
    U64(overview_agents, idle, MUST, 0, 0, "that wait for one"),
    U64(overview_agents, benched, MUST, 0, 0, "that get none: benched, drained or revoked"),
    U64(overview_agents, silent, MUST, 0, 0, "of which nothing is heard"),
};
MESSAGE(overview_agents);

static const struct field overview_fields[] = {
    STRING(overview, version, MUST, 64, "of the coordinator"),
    U64(overview, uptime_ms, MUST, 0, 0, "since its start"),
    OBJECT(overview, runs, MUST, overview_runs, "by state"),
    OBJECT(overview, jobs, MUST, overview_jobs, "that are not done, by what they are at"),
    OBJECT(overview, agents, MUST, overview_agents, "by state"),
    NUMBER(overview, rate, MUST, "tokens a second, of all"),
    U64(overview, silence_ms, MUST, 0, 0, "the longest that nothing was heard of a held job"),
};
MESSAGE(overview);

static const struct field span_fields[] = {
    U64(span, job, MUST, 1, 0, "its number"),
    U64(span, number, MUST, 1, 0, "of the attempt"),
    STRING(span, agent, MAY, NAME_MAX_BYTES, "that held it; absent: the coordinator"),
    WORD(span, kind, MUST, job_kind_words, "of job"),
    WORD(span, target, MUST, job_target_words, "model that it is about"),
    U64(span, index, MUST, 0, 0, "of the model"),
    U64(span, round, MUST, 0, 0, "of the routers"),
    U64(span, chunk, MUST, 0, 0, "of the experts' corpus"),
    U64(span, part, MUST, 0, 0, "of the round or chunk"),
    BOOL(span, final, MAY, "of the experts' corpus, not of a round"),
    U64(span, step_first, MUST, 0, 0, "of a link: after this step"),
    U64(span, step_last, MUST, 0, 0, "to this one"),
    U64(span, started_at, MUST, 0, 0, "when it was granted"),
    U64(span, ended_at, MUST, 0, 0, "0: it goes on"),
    WORD(span, outcome, MUST, attempt_outcome_words, "how it ended"),
};
MESSAGE(span);

static const struct field timeline_fields[] = {
    ARRAY(timeline, attempts, attempt_count, MUST, span, PROTOCOL_TIMELINE_MAX,
          "the newest, oldest first"),
    BOOL(timeline, more, MUST, "there were earlier ones"),
};
MESSAGE(timeline);

static const struct field parting_row_fields[] = {
    DOUBLES(parting_row, counts, count_count, EXPERTS_MAX, "its sequences that each expert has"),
};
MESSAGE(parting_row);

static const struct field parting_round_fields[] = {
    U64(parting_round, round, MUST, 0, 0, "after so many rounds of training"),
    BOOL(parting_round, final, MUST, "the experts' corpus, as far as it is parted"),
    NUMBER(parting_round, purity, MAY, "sum over experts of their largest source, of all"),
    NUMBER(parting_round, inverse_purity, MAY,
           "sum over sources of their largest part in one expert, of all"),
    ARRAY(parting_round, sources, source_count, MUST, parting_row, LABELS_MAX,
          "in the order of the sources; none where only shares were kept"),
    DOUBLES(parting_round, shares, share_count, EXPERTS_MAX, "of each expert"),
};
MESSAGE(parting_round);

static const struct field parting_fields[] = {
    U64(parting, experts, MUST, 1, EXPERTS_MAX, "among which it is parted"),
    ARRAY(parting, sources, source_count, MUST, label, LABELS_MAX, "of the data set"),
    ARRAY(parting, rounds, round_count, MUST, parting_round, PROTOCOL_PARTING_ROUNDS + 1,
          "at most 64 of them, spread over all; then the corpus"),
};
MESSAGE(parting);

static const struct field parted_fields[] = {
    U64(parted, round, MUST, 0, 0, "as in a report"),
    BOOL(parted, final, MAY, "as in a report"),
    NUMBER(parted, purity, MAY, "as in a report"),
    NUMBER(parted, inverse_purity, MAY, "as in a report"),
    DOUBLES(parted, shares, share_count, EXPERTS_MAX, "of each expert"),
    DOUBLES(parted, counts, count_count, PROTOCOL_PARTED_CELLS, "of each source, of each expert"),
};
MESSAGE(parted);

static const struct field part_spent_fields[] = {
    STRING(part_spent, part, MUST, 16,
           "routers, scoring, segments, experts, dense, dense-flops or evaluation"),
    NUMBER(part_spent, planned, MUST, "FLOPs in all"),
    NUMBER(part_spent, spent, MUST, "FLOPs so far"),
    U64(part_spent, tokens, MUST, 0, 0, "of its jobs that are done"),
    NUMBER(part_spent, seconds, MUST, "that they computed"),
    U64(part_spent, bytes_down, MUST, 0, 0, "that agents fetched for them"),
    U64(part_spent, bytes_up, MUST, 0, 0, "that agents sent"),
};
MESSAGE(part_spent);

static const struct field spending_fields[] = {
    ARRAY(spending, parts, part_count, MUST, part_spent, 16, "of the run"),
    NUMBER(spending, data_parallel_bytes, MUST,
           "that data-parallel training of the same steps would have moved"),
};
MESSAGE(spending);

static const struct field transfer_fields[] = {
    DIGEST(transfer, digest, MUST, "of the blob"),
    STRING(transfer, agent, MAY, NAME_MAX_BYTES, "that sends it; absent: an operator"),
    U64(transfer, job, MUST, 0, 0, "for which it is; 0: none was named"),
    U64(transfer, bytes, MUST, 0, 0, "that are here"),
    U64(transfer, total, MUST, 0, 0, "of the blob"),
    U64(transfer, began_at, MUST, 0, 0, "when this part of it began"),
};
MESSAGE(transfer);
