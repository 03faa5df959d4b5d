/* A run's spec: INI (libinih), one table of keys (section, name, type, range, default, help) that
 * gives parsing, errors and the commented template. Unknown keys are errors that name the nearest
 * known one. Booleans: yes/no/true/false. */
#ifndef TACIT_PROTOCOL_SPEC_H
#define TACIT_PROTOCOL_SPEC_H

#include <stdbool.h>
#include <stdint.h>
#include "core/base/buf.h"
#include "core/base/digest.h"
#include "core/base/err.h"
#include "core/mixture/cost.h"
#include "core/model/engine.h"
#include "core/model/model.h"

#define SPEC_BYTES_MAX (64u << 10)
#define SPEC_NEEDS_MAX 256
#define SPEC_CHUNKS_MAX 4096       /* of the experts' draw: each takes jobs of its own */
#define SPEC_CURVE_MAX 1000        /* points of a validation curve: each evaluates every model */
#define SPEC_SCORES_MAX (1u << 22) /* experts times prefix: scores kept of a held-out sequence */

#define SPEC_FLOAT_BYTES 4.0 /* of parameters, and of the moments in a state (checkpoint.h) */

enum spec_arithmetic { SPEC_EXACT, SPEC_BLAS };
enum spec_precision { SPEC_F32, SPEC_BF16 };
enum spec_router_mode { SPEC_EM, SPEC_RANDOM };
enum spec_match { SPEC_MATCH_TOKENS, SPEC_MATCH_BOTH };

struct run_spec {
    char name[65], dataset[65];
    uint32_t experts;
    uint64_t seed;
    int arithmetic, precision;
    char needs[SPEC_NEEDS_MAX + 1]; /* labels that agents must have, "gpu=no,site=lab"; "": none */
    struct {
        int mode;
        uint32_t hidden, layers, heads, prefix, rounds, batch, warmup;
        uint64_t sequences; /* N of a round, over all routers */
        uint32_t passes;
        double learning_rate, grad_clip;
        int optimizer; /* enum optimizer, as the expert's */
    } router;
    struct {
        uint32_t hidden, layers, heads, ffn, batch, warmup;
        uint64_t steps, chunk; /* chunk: sequences assigned at a time */
        double learning_rate, grad_clip, weight_decay, beta1,
            beta2; /* the last three for routers too */
        int optimizer;
    } expert;
    struct {
        bool enabled;
        uint32_t batch; /* 0 in the text: experts · expert.batch; never 0 once parsed */
        int match;
    } dense;
    struct {
        uint64_t every_steps, publish_steps;
        uint64_t keep, milestone_steps; /* of what is published: run/advance.c */
    } checkpoint;
    struct {
        uint64_t every_steps; /* 0: only at the end; a multiple of publish_steps */
    } eval;
};

/* Parses and checks everything that needs no data set: types, ranges, divisibility. Errors read
 * "FILE:LINE: [section] key: what is wrong; accepted: …". */
TACIT_MUST_CHECK int spec_parse(const char *text, size_t len, const char *file,
                                struct run_spec *out, struct err *e);
/* The rest: prefix ≤ S, N·T and a router batch against the corpus, each expert's share against its
 * batch, chunks and points of the curve, held-out sequences present. sequences: of the train split.
 */
TACIT_MUST_CHECK int spec_check_dataset(const struct run_spec *s, uint32_t vocab, uint32_t seq,
                                        uint64_t sequences, uint64_t heldout, struct err *e);
/* Every key, in table order, values in one canonical form: its BLAKE2b names the spec. Parsing it
 * gives the same spec. */
TACIT_MUST_CHECK int spec_canonical(const struct run_spec *s, struct buf *out, struct err *e);
/* One label of spec.needs. */
struct spec_need {
    char name[65], value[65];
};
/* The label at *at, which moves behind it; false at the end. */
bool spec_need_next(const char **at, struct spec_need *out);
/* The commented template of `tacit run spec`. */
TACIT_MUST_CHECK int spec_template(struct buf *out, struct err *e);

/* What engines of the run compute with. */
enum engine_arithmetic spec_engine_arithmetic(const struct run_spec *s);
/* Of routers, or of experts and dense models. */
enum optimizer spec_optimizer(const struct run_spec *s, bool router);

/* Shapes that follow. */
void spec_router_model(const struct run_spec *s, uint32_t vocab, uint32_t seq,
                       struct model_config *out);
void spec_expert_model(const struct run_spec *s, uint32_t vocab, uint32_t seq,
                       struct model_config *out);    /* the dense ones' too */
uint64_t spec_dense_steps(const struct run_spec *s); /* equal tokens */
/* All steps of the second dense model: as many more as routers and sharding cost (M-count); corpus:
 * train sequences. */
uint64_t spec_dense_flops_steps(const struct run_spec *s, uint32_t vocab, uint32_t seq,
                                uint64_t corpus);
/* Optimizer steps of router e in round r (0-based), all rounds before r summed by the caller. */
uint64_t spec_router_steps(const struct run_spec *s, uint32_t e);
uint64_t spec_expert_draw(const struct run_spec *s,
                          uint64_t corpus); /* min(corpus, E·steps·batch) */
uint64_t spec_chunks(const struct run_spec *s, uint64_t corpus);
/* Links of a chain of so many steps that publishes at `every`: the last may be shorter. */
uint64_t spec_links(uint64_t steps, uint64_t every);
/* Of a stored sequence: tokens, bytes of text, label (shard.h). */
uint64_t spec_sequence_bytes(uint32_t vocab, uint32_t seq);
/* The costs of a run as METHOD's formulas count them, with what is really scored. */
void spec_cost(const struct run_spec *s, uint32_t vocab, uint32_t seq, uint64_t corpus,
               struct cost_run *out);

/* Bytes that the run stores with the coordinator, its data set not counted. Scores go when it is
 * done. */
struct spec_disk {
    double pieces, assignments, scores, evaluations;
    double checkpoints_peak, checkpoints_after; /* as [checkpoint] keep and milestone_steps say */
    double peak, after;                         /* sums: while it runs, once it is done */
};
void spec_disk(const struct run_spec *s, uint32_t vocab, uint32_t seq, uint64_t corpus,
               uint64_t heldout, struct spec_disk *out);

#endif
