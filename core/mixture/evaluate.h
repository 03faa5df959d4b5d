/* From what evaluations kept of every held-out sequence to the figures of a report (METHOD,
 * "Perplexity"). Sequences are added one by one, in order: memory does not grow with them, and sums
 * are in double in their order. A figure that there is none of (an expert without sequences, no
 * prediction after the prefix, no byte of text) is NaN: null in JSON. A perplexity beyond double is
 * infinite. */
#ifndef TACIT_MIXTURE_EVALUATE_H
#define TACIT_MIXTURE_EVALUATE_H

#include <stdbool.h>
#include <stdint.h>
#include "core/base/err.h"

/* How the parts of an assignment and the labels fall together: for rounds[] of a report, fed with
 * an assignment, and for the experts' sources. */
struct evaluate_counts {
    uint32_t parts, labels;
    uint64_t total;
    uint64_t *counts; /* (parts, labels); owned */
};
TACIT_MUST_CHECK int evaluate_counts_init(struct evaluate_counts *c, uint32_t parts,
                                          uint32_t labels, struct err *e);
void evaluate_counts_free(struct evaluate_counts *c); /* also of zeros, and twice */
void evaluate_counts_add(struct evaluate_counts *c, uint32_t part, uint32_t label);
/* Σ_part max_label count / total: 1 where every part has one label alone. */
double evaluate_counts_purity(const struct evaluate_counts *c);
/* Σ_label max_part count / total: 1 where every label lies in one part whole, 1/parts by chance.
 * With fewer parts than labels purity can't come near 1; this can. */
double evaluate_counts_inverse_purity(const struct evaluate_counts *c);
uint64_t evaluate_counts_part(const struct evaluate_counts *c, uint32_t part);
double evaluate_counts_share(const struct evaluate_counts *c, uint32_t part);

/* Models beside the mixture. */
enum evaluate_baseline { EVALUATE_DENSE, EVALUATE_DENSE_FLOPS, EVALUATE_BASELINES };

struct evaluate_options {
    uint32_t experts, prefix, seq, labels; /* E, M, S */
    bool baseline[EVALUATE_BASELINES];     /* is there one */
    bool routed; /* routes are given (random control; curves), not found from scores */
};

/* One held-out sequence. */
struct evaluate_sequence {
    const float *cumulative;   /* (E, M): routers' cumulative scores; unused where routed */
    uint32_t route;            /* used where routed */
    const double *all, *after; /* E: each expert's loss over all predictions, after the prefix */
    double baseline_all[EVALUATE_BASELINES], baseline_after[EVALUATE_BASELINES];
    uint32_t label, text_bytes; /* below labels; bytes of text of its predictions */
};

struct evaluate_quality {
    double perplexity, perplexity_after_prefix, bits_per_byte;
};

struct evaluate_source {
    uint32_t label;
    double share; /* of the expert's sequences */
};

struct evaluate_expert {
    uint64_t sequences;
    double share;
    double perplexity, dense_perplexity; /* on the sequences routed to it; NaN where none */
    struct evaluate_source *sources;     /* largest first (ties: lower label); none of share 0 */
    uint32_t source_count;
};

/* The mixture's perplexity where inference routes on the first m tokens. */
struct evaluate_prefix {
    uint32_t prefix;
    double perplexity;
};

#define EVALUATE_PREFIXES_MAX 17 /* 2, 4, 8, … below M ≤ 2^16, and M */

/* Arrays are owned by the struct evaluate that gave it. */
struct evaluate_report {
    uint64_t sequences, predictions;
    struct evaluate_quality mixture, baseline[EVALUATE_BASELINES]; /* NaN where there is none */
    struct evaluate_expert *experts;                               /* E */
    double purity;                                                 /* of the routing */
    struct evaluate_prefix prefixes[EVALUATE_PREFIXES_MAX];
    uint32_t prefix_count; /* 0 where routed */
};

struct evaluate_loss {
    double all, after;
};

/* Private but for its size. */
struct evaluate {
    struct evaluate_options o;
    struct evaluate_counts counts;
    struct evaluate_loss mixture, baseline[EVALUATE_BASELINES];
    double *expert, *expert_dense; /* E */
    double by_prefix[EVALUATE_PREFIXES_MAX];
    uint32_t prefixes[EVALUATE_PREFIXES_MAX], prefix_count;
    uint64_t text_bytes;
    struct evaluate_expert *reports; /* E */
    struct evaluate_source *sources; /* (E, labels) */
};

/* 1 ≤ prefix ≤ seq, seq ≥ 2, experts and labels ≥ 1: ERR_RANGE. */
TACIT_MUST_CHECK int evaluate_init(struct evaluate *v, const struct evaluate_options *o,
                                   struct err *e);
void evaluate_free(struct evaluate *v); /* also after a failed init, and twice */
/* Returns the expert that the sequence is routed to. */
uint32_t evaluate_add(struct evaluate *v, const struct evaluate_sequence *s);
void evaluate_finish(struct evaluate *v, struct evaluate_report *out);

#endif
