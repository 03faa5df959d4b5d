/* Answers prompts with a mixture: routes each on its first M tokens (METHOD), has one expert go on,
 * or several mixed, and computes all answers of an expert together (continuous batching).
 *
 * Three kinds of threads: callers make answers and read them; the worker routes, admits and steps;
 * the loader brings experts' weights. What an answer shows is guarded by serve_lock. Knows nothing
 * of HTTP or terminals. */
#ifndef TACIT_OPS_SERVE_SERVE_H
#define TACIT_OPS_SERVE_SERVE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include "core/base/buf.h"
#include "core/base/err.h"
#include "core/data/tokenizer.h"
#include "core/model/engine.h"
#include "core/model/model.h"
#include "ops/serve/pick.h"
#include "ops/serve/text_stream.h"

#define SERVE_MIX_MAX 8 /* experts of one answer */
#define SERVE_STOPS_MAX 16
#define SERVE_TOP_MAX 20 /* alternatives told of a token */

/* Where a mixture comes from. load is called by one thread at a time. */
struct serve_source {
    const char *name;
    uint32_t experts, prefix; /* E, M */
    bool random;              /* routed by a hash of the prefix (control) */
    uint64_t seed;            /* of it */
    struct model_config router, expert;
    enum engine_arithmetic arithmetic;
    const struct tokenizer *tokenizer;
    int (*load)(void *arg, bool router, uint32_t index, float *parameters, struct err *e);
    void *arg;
};

struct serve_options {
    uint64_t memory; /* bytes for routers, experts and slots together */
    int threads;
    uint32_t slots;     /* texts at once; fewer where the memory does not hold them */
    uint32_t queue;     /* texts that wait, at most */
    uint32_t mix;       /* experts an answer, 1…SERVE_MIX_MAX */
    bool log_linear;    /* mixed in logarithms */
    uint32_t reroute;   /* tokens after which an answer is routed anew, on its last M; 0: never */
    int64_t timeout_ms; /* an answer's, from when it was asked for */
};

enum serve_finish { SERVE_RUNNING, SERVE_STOP, SERVE_LENGTH, SERVE_FAILED };

/* One token that was told. */
struct serve_token {
    uint32_t id;
    float logprob; /* NaN: of the first token of a prompt there is none */
    uint32_t top_count;
    struct {
        uint32_t id;
        float logprob;
    } top[SERVE_TOP_MAX];
};

/* One text. Set by whoever asks: prompt, prompt_count; the rest by the worker. */
struct serve_choice {
    uint32_t *ids; /* prompt and answer; room for S + 1; owned */
    uint32_t prompt_count, count;
    struct buf text;          /* of the answer */
    size_t shown;             /* bytes of it that may be shown: a stop string may begin there */
    struct serve_token *told; /* where logprobs are asked for; room for S; owned */
    uint32_t told_count;
    enum serve_finish finish;
    uint32_t expert, routed_on; /* routed_on: tokens that decided; 0: one is too few */
    float *scores;              /* (E); owned */
    uint32_t cached;            /* tokens of the prompt that were computed before */
    uint32_t index;             /* of its prompt's choices: another random stream */

    /* The worker's. */
    struct serve_answer *of;
    struct serve_lane *lanes; /* [mix] once admitted; owned */
    uint32_t lane_count;
    float *mixed; /* (V) where several experts answer; owned */
    struct words words;
    uint32_t routed_at; /* count when it was last routed */
};

struct serve_answer {
    /* The question. */
    struct pick pick;
    uint64_t seed;
    uint32_t max_tokens;
    bool echo_logprobs; /* told begins with the prompt's tokens */
    int logprobs;       /* alternatives a token; -1: none told */
    uint32_t stop_count;
    char *stops[SERVE_STOPS_MAX];      /* owned */
    uint32_t choice_count, per_prompt; /* choices; how many of them share a prompt */
    struct serve_choice *choices;      /* owned */
    /* Called with the lock held whenever there is more to see. */
    void (*wake)(struct serve_answer *a);
    void *arg;
    /* Whether whoever asked is still there; called by the worker now and then. NULL: yes. */
    bool (*gone)(struct serve_answer *a);

    bool routed;    /* experts and scores are set */
    bool done;      /* every choice is finished */
    bool cancelled; /* set by serve_cancel */
    struct err err; /* filled where it failed */
    int64_t asked_ms;
    struct serve_answer *next; /* in the inbox */
    uint32_t left;             /* choices that are not finished */
};

/* Figures since the start, and of now. */
struct serve_figures {
    _Atomic uint64_t answers, failed, prompt_tokens, cached_tokens, answer_tokens, loads, evictions,
        steps, step_rows, rejected;
    _Atomic uint32_t waiting, active, resident;
    _Atomic uint64_t weight_bytes;
};

struct serve;

/* Loads the routers and starts. said: one line for people, what fits. */
TACIT_MUST_CHECK int serve_create(struct serve **out, const struct serve_source *source,
                                  const struct serve_options *o, char said[200], struct err *e);
/* Ends what is still asked for: every answer is done afterwards. */
void serve_end(struct serve *s);
/* The same, and frees it. Accepts NULL. */
void serve_destroy(struct serve *s);
const struct serve_source *serve_source_of(const struct serve *s);
struct serve_figures *serve_figures_of(struct serve *s);
void serve_lock(struct serve *s);
void serve_unlock(struct serve *s);

/* choices with room each: prompts are put in by the caller (ids, prompt_count). */
struct serve_answer *serve_answer_create(const struct serve *s, uint32_t choices);
/* Frees it; only once it is done, or was never asked. */
void serve_answer_destroy(struct serve_answer *a);
/* Hands it to the worker. ERR_BUSY: too many wait. ERR_STOPPED: ending. After success it is the
 * worker's until a->done. */
TACIT_MUST_CHECK int serve_ask(struct serve *s, struct serve_answer *a, struct err *e);
/* Whoever asked is gone: it will be done soon. */
void serve_cancel(struct serve *s, struct serve_answer *a);
/* No more questions; true once none is open. */
bool serve_drain(struct serve *s);

/* Scores (E) of the first tokens alone, for showing. */
TACIT_MUST_CHECK int serve_route(struct serve *s, const uint32_t *ids, uint32_t count,
                                 float *scores, uint32_t *expert, uint32_t *routed_on,
                                 struct err *e);

#endif
