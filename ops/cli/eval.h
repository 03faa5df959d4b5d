/* What the parts of `tacit eval` share: a task's items, the log-likelihoods that models give them,
 * and the systems (mixture, dense, experts, …) that are compared on these. */
#ifndef TACIT_OPS_CLI_EVAL_H
#define TACIT_OPS_CLI_EVAL_H

#include "core/base/arena.h"
#include "core/base/buf.h"
#include "core/base/err.h"
#include "ops/cli/mixture.h"

#define EVAL_CHOICES_MAX 64

enum eval_kind { EVAL_CHOICE, EVAL_CLOZE, EVAL_TEXT };

struct eval_item {
    enum eval_kind kind;
    const char *prompt;   /* or the text */
    const char **choices; /* EVAL_CHOICE: the answers; EVAL_CLOZE: the target alone */
    uint32_t choice_count, answer;
    const char *group; /* subject, domain; or NULL */
};

struct eval_task {
    struct eval_item *items; /* owned */
    uint32_t count, capacity;
    struct arena arena; /* of their texts */
};

/* Reads a file: JSON lines (our own, ARC, HellaSwag, SciQ, MMLU), or .csv of MMLU. limit: the first
 * so many items; 0: all. ERR_FORMAT names file and line. */
TACIT_MUST_CHECK int eval_task_read(struct eval_task *t, const char *path, uint64_t limit,
                                    struct err *e);
/* The same of its text; csv: as MMLU's files. */
TACIT_MUST_CHECK int eval_task_parse(struct eval_task *t, const char *file, const char *text,
                                     size_t len, bool csv, uint64_t limit, struct err *e);
void eval_task_free(struct eval_task *t);

/* One sequence to be judged: a prompt with one of its choices, or a window of a text. */
struct eval_sequence {
    uint32_t item;
    uint32_t length, from; /* tokens; the judged ones begin at `from` (≥ 1) */
    uint32_t bytes;        /* of text that is judged */
    uint64_t at;           /* of its tokens, in the list of all */
    uint64_t route_at;     /* of the tokens that it is routed on, likewise */
    uint32_t route;        /* how many of these */
};

/* A model's log-likelihood of tokens 1… up to `from`, and of those from there on; whether each of
 * the latter is the likeliest one (EVAL_CLOZE). */
struct eval_likelihood {
    float before, judged;
    bool exact;
};

struct eval_run {
    struct mixture *mixture;
    const struct eval_task *task;
    struct eval_sequence *sequences; /* owned, as all below */
    uint32_t sequence_count, sequence_capacity;
    uint32_t *tokens;
    size_t token_count, token_capacity;
    uint32_t experts;
    float *scores;                      /* (sequences, E): the routers' */
    struct eval_likelihood *likelihood; /* (models, sequences): experts, dense, dense-flops */
    bool dense[2];                      /* are they there */
    struct progress progress;
};

/* Tokens of all sequences, routers' scores, every model's likelihoods. */
TACIT_MUST_CHECK int eval_run_all(struct eval_run *r, struct mixture *m, const struct eval_task *t,
                                  struct err *e);
void eval_run_free(struct eval_run *r);

/* A measure is a ratio of sums over items: right answers by items, log-likelihood by tokens. */
struct eval_part {
    double above, below;
};

enum eval_measure {
    EVAL_RAW,        /* EVAL_CHOICE: the likeliest answer is the right one; cloze: all likeliest */
    EVAL_BY_LENGTH,  /* the same by log-likelihood per byte */
    EVAL_PERPLEXITY, /* of the right answer, target or text, per token */
    EVAL_BITS,       /* the same, bits per byte */
    EVAL_MEASURES
};

struct eval_system {
    const char *name;
    struct eval_part *parts[EVAL_MEASURES]; /* of each item, NULL: none such; in the arena */
};

/* Mixture first; top-2 … top-k of it (Eq. 2) where experts > 1; dense ones; every expert. */
TACIT_MUST_CHECK int eval_systems(const struct eval_run *r, uint32_t top, struct arena *a,
                                  struct eval_system **out, uint32_t *count, struct err *e);

/* A figure with its 95 % interval. */
struct eval_figure {
    double value, low, high;
};

/* By bootstrap: `resamples` draws of as many items, the same for every system. differences: of each
 * system to system `base` (of logarithms where the measure is a perplexity, given as a ratio − 1).
 * A pure function of its arguments. */
#define EVAL_RESAMPLES 1000
TACIT_MUST_CHECK int eval_bootstrap(const struct eval_system *systems, uint32_t count,
                                    enum eval_measure m, uint32_t items, uint32_t base,
                                    uint64_t seed, struct eval_figure *values,
                                    struct eval_figure *differences, struct err *e);

#endif
