/* The messages of reports, and of where things come from and whether they are right. */
#include "core/protocol/messages_rows.h"

/* --- report --- */

static const struct field quality_fields[] = {
    NUMBER(quality, perplexity, MAY, "on the held-out sequences"),
    NUMBER(quality, perplexity_after_prefix, MAY,
           "the same over the predictions after the prefix alone"),
    NUMBER(quality, bits_per_byte, MAY, "of held-out text"),
    NUMBER(quality, flops, MAY, "of training; the mixture's with routers, sharding included"),
    U64(quality, tokens, MAY, 0, 0, "trained on by the model, or by all experts"),
    U64(quality, parameters, MAY, 0, 0, "of the model"),
    U64(quality, steps, MAY, 0, 0, "of training"),
    U64(quality, batch, MAY, 0, 0, "sequences of a step"),
    DIGEST(quality, digest, MAY, "content of the model; absent of the mixture"),
};
MESSAGE(quality);

static const struct field source_share_fields[] = {
    STRING(source_share, source, MUST, 256, "of documents"),
    NUMBER(source_share, share, MAY, "of the expert's sequences"),
};
MESSAGE(source_share);

static const struct field expert_report_fields[] = {
    U64(expert_report, index, MUST, 0, 0, "of the expert"),
    DIGEST(expert_report, digest, MAY, "content of its model"),
    NUMBER(expert_report, share, MAY, "of the held-out sequences"),
    NUMBER(expert_report, perplexity, MAY, "on its share"),
    NUMBER(expert_report, dense_perplexity, MAY, "the dense model's on the same sequences"),
    ARRAY(expert_report, sources, source_count, MAY, source_share, LABELS_MAX,
          "of its sequences, largest first"),
};
MESSAGE(expert_report);

static const struct field router_report_fields[] = {
    U64(router_report, index, MUST, 0, 0, "of the router"),
    DIGEST(router_report, digest, MAY, "content of its model"),
};
MESSAGE(router_report);

static const struct field round_report_fields[] = {
    U64(round_report, round, MUST, 0, 0, "the assignment made after this round of training"),
    BOOL(round_report, final, MAY, "of the experts' corpus"),
    NUMBER(round_report, purity, MAY, "sum over experts of their largest source, of all"),
    NUMBER(round_report, inverse_purity, MAY,
           "sum over sources of their largest part in one expert, of all"),
    DOUBLES(round_report, shares, share_count, EXPERTS_MAX, "of each expert"),
};
MESSAGE(round_report);

static const struct field prefix_report_fields[] = {
    U64(prefix_report, prefix, MUST, 0, 0, "tokens that the routers saw"),
    NUMBER(prefix_report, perplexity, MAY, "of the mixture"),
};
MESSAGE(prefix_report);

static const struct field curve_point_fields[] = {
    U64(curve_point, step, MUST, 0, 0, "of training"),
    NUMBER(curve_point, dense, MAY, "perplexity on the held-out sequences"),
    NUMBER(curve_point, mixture, MAY, "perplexity on the held-out sequences"),
};
MESSAGE(curve_point);

static const struct field overhead_fields[] = {
    NUMBER(overhead, training, MAY, "of the routers, as a share of the experts' training"),
    NUMBER(overhead, training_paper, MAY, "the same, with routers charged for whole sequences"),
    NUMBER(overhead, inference, MAY, "of the routers, as a share of an answer"),
};
MESSAGE(overhead);

static const struct field costs_fields[] = {
    NUMBER(costs, routers_training, MAY, "floating-point operations"),
    NUMBER(costs, routers_sharding, MAY, "floating-point operations"),
    NUMBER(costs, experts_sharding, MAY, "floating-point operations"),
    NUMBER(costs, experts_training, MAY, "floating-point operations"),
    NUMBER(costs, dense_training, MAY, "floating-point operations"),
    NUMBER(costs, dense_flops_training, MAY,
           "floating-point operations, of the dense model at equal cost"),
    NUMBER(costs, dense_inference, MAY, "floating-point operations of a sequence"),
    NUMBER(costs, mixture_inference, MAY, "floating-point operations of a sequence"),
};
MESSAGE(costs);

static const struct field seconds_fields[] = {
    NUMBER(seconds, routers, MAY, "of computing"),
    NUMBER(seconds, scoring, MAY, "of computing"),
    NUMBER(seconds, segments, MAY, "of computing"),
    NUMBER(seconds, experts, MAY, "of computing"),
    NUMBER(seconds, dense, MAY, "of computing"),
    NUMBER(seconds, dense_flops, MAY, "of computing"),
    NUMBER(seconds, evaluation, MAY, "of computing"),
    NUMBER(seconds, wall, MAY, "from the run's beginning to its end"),
};
MESSAGE(seconds);

static const struct field bytes_fields[] = {
    U64(bytes, down, MAY, 0, 0, "moved to agents"),
    U64(bytes, up, MAY, 0, 0, "moved from agents"),
    U64(bytes, data_parallel, MAY, 0, 0, "what data-parallel training would have moved"),
};
MESSAGE(bytes);

static const struct field report_fields[] = {
    STRING(report, run, MUST, NAME_MAX_BYTES, "whose report it is"),
    STRING(report, dataset, MAY, NAME_MAX_BYTES, "that it trained on"),
    {.name = "expert_count",
     .type = FIELD_U64,
     .offset = offsetof(struct msg_report, experts),
     .about = "how many experts"},
    U64(report, seed, MAY, 0, 0, "of all its random numbers"),
    U64(report, prefix, MAY, 0, 0, "tokens that the routers see"),
    U64(report, heldout_sequences, MAY, 0, 0, "evaluated on"),
    U64(report, heldout_predictions, MAY, 0, 0, "in them"),
    STRING(report, router_mode, MAY, 32, "how sequences are routed"),
    OBJECT_OR_NULL(report, dense, quality, "the dense model at equal tokens; null unless trained"),
    OBJECT_OR_NULL(report, dense_flops, quality,
                   "the dense model at equal cost; null unless trained"),
    OBJECT_OR_NULL(report, mixture, quality, "routers and experts together"),
    ARRAY_AS(report, "experts", expert_reports, expert_report_count, MAY, expert_report,
             EXPERTS_MAX, "one each"),
    ARRAY(report, routers, router_count, MAY, router_report, EXPERTS_MAX, "one each"),
    ARRAY(report, rounds, round_count, MAY, round_report, ROUNDS_MAX,
          "how the corpus parted, from round to round"),
    ARRAY(report, prefixes, prefix_count, MAY, prefix_report, CURVE_MAX,
          "shorter prefixes at inference"),
    ARRAY(report, curve, curve_count, MAY, curve_point, CURVE_MAX, "of perplexity while training"),
    OBJECT_OR_NULL(report, overhead, overhead, "of the routers"),
    OBJECT_OR_NULL(report, costs, costs, "by the paper's formulas"),
    OBJECT_OR_NULL(report, seconds, seconds, "of computing, by kind of job"),
    OBJECT_OR_NULL(report, bytes, bytes, "moved over the net"),
};
MESSAGE(report);

/* --- where things come from --- */

static const struct field made_fields[] = {
    WORD(made, what, MUST, made_what_words, "how it came to be"),
    DIGEST(made, digest, MAY, "what was asked for, whole; absent where a job was"),
    STRING(made, dataset, MAY, NAME_MAX_BYTES,
           "of a shard or tokenizer: the first data set that has it"),
    STRING(made, run, MAY, NAME_MAX_BYTES, "of a job or spec"),
    STRING(made, split, MAY, 16, "of a shard: train or held-out"),
    U64(made, number, MAY, 0, 0, "of a shard, in its split"),
    OBJECT(made, grant, MAY, grant, "of a job: its inputs, as its doer was told them"),
    ARRAY(made, outputs, output_count, MAY, blob, OUTPUTS_MAX, "of the job"),
    U64(made, doer, MAY, 0, 0, "number of the agent; 0: the coordinator"),
    STRING(made, agent, MAY, NAME_MAX_BYTES, "its name"),
    NUMBER(made, seconds, MAY, "spent computing"),
    U64(made, tokens, MAY, 0, 0, "that it read"),
    U64(made, attempts, MAY, 0, 0, "that it took"),
    U64(made, at, MAY, 0, 0, "when it was published"),
};
MESSAGE(made);

static const struct field result_fields[] = {
    U64(result, job, MUST, 1, 0, "the job's number"),
    WORD(result, kind, MUST, job_kind_words, "what kind of job"),
    WORD(result, target, MUST, job_target_words, "what kind of model"),
    U64(result, index, MUST, 0, 0, "of the expert or router; 0 of a dense model"),
    U64(result, round, MUST, 0, 0, "the routers' round"),
    U64(result, chunk, MUST, 0, 0, "chunk of the experts' corpus, from 0"),
    U64(result, part, MUST, 0, 0, "which part of a round's or chunk's sequences"),
    U64(result, step_first, MUST, 0, 0, "it trains the steps after this one …"),
    U64(result, step_last, MUST, 0, 0, "… up to this one"),
    BOOL(result, final, MUST, "of the experts' corpus, not of a routers' round"),
    NUMBER(result, seconds, MAY, "spent computing"),
    U64(result, doer, MAY, 0, 0, "number of the agent; 0: the coordinator"),
};
MESSAGE(result);

static const struct field bad_blob_fields[] = {
    DIGEST(bad_blob, digest, MUST, "its name"),
    U64(bad_blob, job, MAY, 0, 0, "whose output it is; 0: of the data set"),
    WORD(bad_blob, role, MAY, blob_role_words, "what the blob is to the job"),
    U64(bad_blob, index, MAY, 0, 0, "of the expert or router; 0 of a dense model"),
    STRING(bad_blob, words, MAY, 512, "what it is, in words"),
    STRING(bad_blob, why, MAY, 512, "what is wrong with it"),
    STRING(bad_blob, repair, MAY, 512, "what computes it anew; absent: nothing does"),
};
MESSAGE(bad_blob);

static const struct field rollback_fields[] = {
    WORD(rollback, target, MUST, job_target_words, "what kind of model"),
    U64(rollback, index, MAY, 0, EXPERTS_MAX - 1, "of the expert or router; 0 of a dense model"),
    U64(rollback, step, MUST, 0, 0,
        "the last good one: the end of a link, or 0; of a router, its good rounds"),
    BOOL(rollback, dry_run, MAY, "tell what would be undone"),
};
MESSAGE(rollback);

static const struct field rolled_back_fields[] = {
    STRING(rolled_back, run, MUST, NAME_MAX_BYTES, "that was rolled back"),
    U64(rolled_back, step, MUST, 0, 0, "from where it is computed anew"),
    U64(rolled_back, undone, MUST, 0, 0, "jobs that are undone"),
    U64(rolled_back, damaged, MUST, 0, 0, "blobs that were not what their names say, and are gone"),
    ARRAY(rolled_back, jobs, job_count, MAY, result, 100, "the first of the undone"),
};
MESSAGE(rolled_back);

static const struct field job_id_fields[] = {
    U64(job_id, job, MUST, 1, 0, "the job's number"),
};
MESSAGE(job_id);

static const struct field verify_fields[] = {
    ARRAY(verify, jobs, job_count, MUST, job_id, 1000, "done jobs to replay"),
};
MESSAGE(verify);

static const struct field replay_fields[] = {
    U64(replay, replay, MUST, 0, 0,
        "its number; 0: the job can't be replayed, and reason says why"),
    U64(replay, job, MUST, 1, 0, "the job's number"),
    WORD(replay, state, MUST, job_state_words, "of the replay"),
    STRING(replay, verdict, MAY, 16, "once done: agrees, differs"),
    STRING(replay, agent, MAY, NAME_MAX_BYTES, "that replays it, or has"),
    STRING(replay, doer, MAY, NAME_MAX_BYTES, "of the job; absent: the coordinator"),
    WORD(replay, kind, MUST, job_kind_words, "what kind of job"),
    WORD(replay, target, MUST, job_target_words, "what kind of model"),
    U64(replay, index, MUST, 0, 0, "of the expert or router; 0 of a dense model"),
    U64(replay, round, MUST, 0, 0, "the routers' round"),
    U64(replay, chunk, MUST, 0, 0, "chunk of the experts' corpus, from 0"),
    U64(replay, part, MUST, 0, 0, "which part of a round's or chunk's sequences"),
    U64(replay, step_first, MUST, 0, 0, "it trains the steps after this one …"),
    U64(replay, step_last, MUST, 0, 0, "… up to this one"),
    BOOL(replay, final, MUST, "of the experts' corpus, not of a routers' round"),
    WORD(replay, role, MUST, blob_role_words, "of the first output that differs"),
    U64(replay, blob_index, MUST, 0, 0, "of that output"),
    DIGEST(replay, published, MAY, "digest of what was published"),
    DIGEST(replay, found, MAY, "digest of what the replay gave"),
    STRING(replay, reason, MAY, PROTOCOL_TEXT_MAX, "why it can't be replayed, or failed"),
};
MESSAGE(replay);

static const struct field replays_fields[] = {
    ARRAY(replays, replays, replay_count, MUST, replay, 1000, "one a job"),
};
MESSAGE(replays);

static const struct field alarm_fields[] = {
    U64(alarm, job, MUST, 1, 0, "the job's number"),
    U64(alarm, at, MUST, 0, 0, "when it was found"),
    STRING(alarm, run, MUST, NAME_MAX_BYTES, "whose job it is"),
    STRING(alarm, words, MAY, 256, "the job, in words"),
    STRING(alarm, agent, MAY, NAME_MAX_BYTES, "whose result was published"),
    STRING(alarm, other, MAY, NAME_MAX_BYTES, "whose result was not"),
    WORD(alarm, role, MUST, blob_role_words, "what the blob is to the job"),
    U64(alarm, index, MUST, 0, 0, "of the expert or router; 0 of a dense model"),
    DIGEST(alarm, published, MAY, "digest of what was published"),
    DIGEST(alarm, found, MAY, "digest of the other result"),
};
MESSAGE(alarm);

static const struct field difference_fields[] = {
    U64(difference, job, MUST, 1, 0, "the job's number"),
    STRING(difference, words, MAY, 256, "the job, in words"),
    STRING(difference, agent, MAY, NAME_MAX_BYTES, "that did it; absent: the coordinator"),
    STRING(difference, verdict, MUST, 16, "differs, bad-input, bad-output"),
    WORD(difference, target, MUST, job_target_words, "what kind of model"),
    U64(difference, index, MUST, 0, 0, "of the expert or router; 0 of a dense model"),
    U64(difference, step_first, MUST, 0, 0, "it trains the steps after this one …"),
    U64(difference, step_last, MUST, 0, 0, "… up to this one"),
    WORD(difference, role, MUST, blob_role_words, "of the output, or of the bad input"),
    U64(difference, blob_index, MUST, 0, 0, "of that blob"),
    DIGEST(difference, published, MAY, "content that was published"),
    DIGEST(difference, replayed, MAY, "content that the replay gave"),
    DIGEST(difference, blob, MAY, "the published bytes"),
    DIGEST(difference, start, MAY, "content of the state it started from"),
    U64(difference, source_job, MAY, 0, 0, "of a bad input: the job that gave it; 0: the data set"),
    STRING(difference, by, MAY, NAME_MAX_BYTES, "the agent that replayed it; absent: this machine"),
    STRING(difference, why, MAY, 512, "in words"),
};
MESSAGE(difference);

static const struct field verified_fields[] = {
    STRING(verified, run, MUST, NAME_MAX_BYTES, "that was verified"),
    BOOL(verified, all, MUST, "every job, not a sample"),
    BOOL(verified, agents, MUST, "replayed by agents, not here"),
    U64(verified, seed, MUST, 0, 0, "of the sample"),
    U64(verified, jobs, MUST, 0, 0, "that there are"),
    U64(verified, replayed, MUST, 0, 0, "that were compared, recalled ones included"),
    U64(verified, recalled, MUST, 0, 0, "compared from memory of an earlier replay"),
    U64(verified, remade, MUST, 0, 0, "others on the way to their inputs"),
    U64(verified, skipped, MUST, 0, 0, "that could not be replayed"),
    STRING(verified, skipped_why, MAY, 1024, "of the first of them"),
    U64(verified, blobs, MUST, 0, 0, "read and compared with their names"),
    U64(verified, bytes, MUST, 0, 0, "read and compared"),
    U64(verified, bad_total, MUST, 0, 0, "all bad blobs"),
    NUMBER(verified, seconds, MAY, "that it took"),
    ARRAY(verified, bad, bad_count, MAY, bad_blob, BAD_MAX, "the first bad blobs"),
    ARRAY(verified, differences, difference_count, MAY, difference, BAD_MAX,
          "jobs whose results differ"),
};
MESSAGE(verified);

/* --- tacit doctor ----------------------------------------------------------------------------- */

const char *const finding_level_words[] = {"ok", "warn", "fault", NULL};

static const struct field finding_fields[] = {
    WORD(finding, level, MUST, finding_level_words, "a fault prevents work"),
    STRING(finding, check, MUST, 64, "what was looked at"),
    STRING(finding, found, MUST, PROTOCOL_TEXT_MAX, "what was found"),
    STRING(finding, fix, MAY, PROTOCOL_TEXT_MAX, "what mends it"),
};
MESSAGE(finding);

static const struct field doctor_fields[] = {
    BOOL(doctor, ok, MUST, "nothing prevents work"),
    U64(doctor, exit_code, MAY, 0, 255, "of sysexits(3); 0 where nothing prevents work"),
    ARRAY(doctor, findings, finding_count, MUST, finding, 64, "in the order of the checks"),
};
MESSAGE(doctor);
