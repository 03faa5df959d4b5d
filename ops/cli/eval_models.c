/* Sequences of a task, and what each model says of them. A model is loaded once, and reads all
 * sequences, some at a time, each padded to the longest of them: what follows a token changes
 * nothing before it. */
#include <stdlib.h>
#include <string.h>
#include "core/env/process.h"
#include "core/mixture/scores.h"
#include "ops/cli/eval.h"

#define BATCH_TOKENS 8192u
#define SEQUENCES_MAX (1u << 24)

/* --- sequences -------------------------------------------------------------------------------- */

struct ids {
    uint32_t *list;
    size_t count, cap;
};

static int encode(const struct eval_run *r, const char *text, struct ids *out, struct err *e)
{
    out->count = 0;
    return tokenizer_encode(r->mixture->tokenizer, text, strlen(text), &out->list, &out->count,
                            &out->cap, e);
}

/* Appends tokens to the list of all. */
static int add_tokens(struct eval_run *r, const uint32_t *ids, size_t count, uint64_t *at,
                      struct err *e)
{
    if (r->token_capacity - r->token_count < count) {
        size_t capacity = 2 * r->token_capacity + count + 4096;
        uint32_t *tokens = realloc(r->tokens, capacity * sizeof *tokens);
        if (!tokens)
            return err_set(e, ERR_NO_MEMORY, "no memory for the tokens of a task");
        r->tokens = tokens;
        r->token_capacity = capacity;
    }
    *at = r->token_count;
    if (count)
        memcpy(r->tokens + r->token_count, ids, count * sizeof *ids);
    r->token_count += count;
    return 0;
}

static int add_sequence(struct eval_run *r, const struct eval_sequence *s, struct err *e)
{
    if (r->sequence_count == r->sequence_capacity) {
        uint32_t capacity = 2 * r->sequence_capacity + 1024;
        struct eval_sequence *list =
            capacity <= 2 * SEQUENCES_MAX ? realloc(r->sequences, capacity * sizeof *list) : NULL;
        if (!list)
            return err_set(e, ERR_NO_MEMORY, "no memory for the sequences of a task: see --limit");
        r->sequences = list;
        r->sequence_capacity = capacity;
    }
    r->sequences[r->sequence_count++] = *s;
    return 0;
}

static uint32_t min_u32(uint64_t a, uint32_t b)
{
    return a < b ? (uint32_t)a : b;
}

/* A prompt with an answer. What is judged are the tokens that differ from the prompt's own; where
 * both are longer than the models read, the prompt's beginning goes (it is routed on all the same).
 */
static int add_answer(struct eval_run *r, uint32_t item, uint32_t choice, const struct ids *prompt,
                      struct ids *whole, struct err *e)
{
    const struct eval_item *x = &r->task->items[item];
    const uint32_t seq = (uint32_t)r->mixture->dataset.seq;
    struct buf text;
    struct eval_sequence s = {.item = item, .bytes = (uint32_t)strlen(x->choices[choice])};
    buf_init(&text, 1u << 26);
    int rc = buf_printf(&text, e, "%s%s", x->prompt, x->choices[choice]);
    if (!rc)
        rc = encode(r, text.data, whole, e);
    buf_free(&text);
    if (rc)
        return rc;
    size_t same = 0;
    while (same < prompt->count && same < whole->count && prompt->list[same] == whole->list[same])
        same++;
    if (same == 0) /* the first token alone tells all apart: no model says how likely it is */
        same = 1;
    if (whole->count <= same || whole->count - same >= seq)
        return err_set(
            e, ERR_INVALID,
            "item %u: answer %u has %zu tokens; the models read %u, with at least one of "
            "the prompt",
            item + 1, choice + 1, whole->count - same, seq);
    const size_t cut = whole->count > seq ? whole->count - seq : 0;
    s.length = (uint32_t)(whole->count - cut);
    s.from = (uint32_t)(same - cut);
    s.route = min_u32(prompt->count, r->mixture->spec.router.prefix);
    rc = add_tokens(r, prompt->list, s.route, &s.route_at, e);
    if (!rc)
        rc = add_tokens(r, whole->list + cut, s.length, &s.at, e);
    return rc ? rc : add_sequence(r, &s, e);
}

/* A text in windows of what the models read, each routed on its own beginning. */
static int add_text(struct eval_run *r, uint32_t item, const struct ids *text, struct err *e)
{
    const uint32_t seq = (uint32_t)r->mixture->dataset.seq;
    int rc = 0;
    if (text->count < 2)
        return err_set(e, ERR_INVALID, "item %u: a text of one token has no perplexity", item + 1);
    for (size_t at = 0; !rc && text->count - at > 1; at += seq) {
        struct eval_sequence s = {
            .item = item, .length = min_u32(text->count - at, seq), .from = 1};
        s.route = min_u32(s.length, r->mixture->spec.router.prefix);
        for (uint32_t i = 1; i < s.length; i++)
            s.bytes += tokenizer_text_bytes(r->mixture->tokenizer, text->list[at + i]);
        rc = add_tokens(r, text->list + at, s.length, &s.at, e);
        s.route_at = s.at;
        if (!rc)
            rc = add_sequence(r, &s, e);
        if (text->count - at <= seq)
            break;
    }
    return rc;
}

static int add_all(struct eval_run *r, struct err *e)
{
    struct ids prompt = {0}, whole = {0};
    int rc = 0;
    for (uint32_t i = 0; !rc && i < r->task->count; i++) {
        const struct eval_item *x = &r->task->items[i];
        rc = encode(r, x->prompt, &prompt, e);
        if (!rc && prompt.count == 0)
            rc = err_set(e, ERR_INVALID, "item %u: the prompt has no token", i + 1);
        if (!rc && x->kind == EVAL_TEXT)
            rc = add_text(r, i, &prompt, e);
        for (uint32_t c = 0; !rc && x->kind != EVAL_TEXT && c < x->choice_count; c++)
            rc = add_answer(r, i, c, &prompt, &whole, e);
    }
    free(prompt.list);
    free(whole.list);
    return rc;
}

/* --- models ----------------------------------------------------------------------------------- */

struct reading {
    struct eval_run *r;
    struct model_config config;
    struct engine *engine;
    float *parameters, *cumulative, *logits;
    uint32_t *padded;
    uint64_t done, total;
};

static void reading_close(struct reading *g)
{
    engine_destroy(g->engine);
    free(g->parameters);
    free(g->cumulative);
    free(g->logits);
    free(g->padded);
}

static int reading_open(struct reading *g, struct eval_run *r, bool router, struct err *e)
{
    const struct mixture *m = r->mixture;
    const uint32_t vocab = (uint32_t)m->dataset.vocab, seq = (uint32_t)m->dataset.seq;
    *g = (struct reading){.r = r};
    if (router)
        spec_router_model(&m->spec, vocab, seq, &g->config);
    else
        spec_expert_model(&m->spec, vocab, seq, &g->config);
    const size_t room = BATCH_TOKENS > seq ? BATCH_TOKENS : seq;
    g->cumulative = malloc(room * sizeof *g->cumulative);
    g->padded = malloc(room * sizeof *g->padded);
    if (!g->cumulative || !g->padded)
        return err_set(e, ERR_NO_MEMORY, "no memory to judge a task");
    return mixture_engine(r->mixture, &g->config, &g->engine, &g->parameters, e);
}

/* Where a sequence's tokens are, and how many are read. */
typedef uint32_t span_fn(const struct eval_sequence *s, uint64_t *at);

static uint32_t span_whole(const struct eval_sequence *s, uint64_t *at)
{
    *at = s->at;
    return s->length;
}

static uint32_t span_route(const struct eval_sequence *s, uint64_t *at)
{
    *at = s->route_at;
    return s->route;
}

/* Reads sequences first… into g->cumulative, each row *stride long; returns how many in *count. */
static int read_some(struct reading *g, uint32_t first, span_fn *span, uint32_t *count,
                     uint32_t *stride, struct err *e)
{
    const struct eval_run *r = g->r;
    uint64_t at;
    *count = 0;
    *stride = 0;
    while (first + *count < r->sequence_count) {
        const uint32_t len = span(&r->sequences[first + *count], &at);
        const uint32_t longest = len > *stride ? len : *stride;
        if (*count > 0 && (uint64_t)longest * (*count + 1) > BATCH_TOKENS)
            break;
        *stride = longest;
        (*count)++;
    }
    memset(g->padded, 0, (size_t)*count * *stride * sizeof *g->padded);
    for (uint32_t i = 0; i < *count; i++) {
        const uint32_t len = span(&r->sequences[first + i], &at);
        memcpy(g->padded + (size_t)i * *stride, r->tokens + at, len * sizeof *g->padded);
    }
    return engine_scores(g->engine, g->parameters, g->padded, *count, *stride, *stride,
                         g->cumulative, e);
}

static int told(struct reading *g, const char *what, uint32_t count, struct err *e)
{
    g->done += count;
    progress_update(&g->r->progress, what, g->done, g->total, "sequences");
    return env_stop_requested() ? err_set(e, ERR_STOPPED, "stopped on request") : 0;
}

static int score_by(struct reading *g, uint32_t router, struct err *e)
{
    struct eval_run *r = g->r;
    uint32_t count, stride;
    int rc = mixture_model(r->mixture, TARGET_ROUTER, router, &g->config, g->parameters, e);
    for (uint32_t first = 0; !rc && first < r->sequence_count; first += count) {
        rc = read_some(g, first, span_route, &count, &stride, e);
        for (uint32_t i = 0; !rc && i < count; i++)
            r->scores[(size_t)(first + i) * r->experts + router] =
                g->cumulative[(size_t)i * stride + r->sequences[first + i].route - 1];
        if (!rc)
            rc = told(g, "routing", count, e);
    }
    return rc;
}

static int score_all(struct eval_run *r, struct err *e)
{
    struct reading g;
    if (r->mixture->spec.router.mode == SPEC_RANDOM) {
        for (uint32_t i = 0; i < r->sequence_count; i++)
            for (uint32_t x = 0; x < r->experts; x++)
                r->scores[(size_t)i * r->experts + x] =
                    scores_random(r->mixture->spec.seed, r->tokens + r->sequences[i].route_at,
                                  r->sequences[i].route, x);
        return 0;
    }
    int rc = reading_open(&g, r, true, e);
    g.total = (uint64_t)r->sequence_count * r->experts;
    for (uint32_t i = 0; !rc && i < r->experts; i++)
        rc = score_by(&g, i, e);
    reading_close(&g);
    return rc;
}

/* Whether each judged token is the likeliest one. */
static int judge_exact(struct reading *g, const struct eval_sequence *s, bool *exact, struct err *e)
{
    const uint32_t vocab = g->config.vocab;
    const uint32_t *tokens = g->r->tokens + s->at;
    if (!g->logits)
        g->logits = malloc((size_t)g->config.seq * vocab * sizeof *g->logits);
    if (!g->logits)
        return err_set(e, ERR_NO_MEMORY, "no memory for logits");
    int rc = engine_logits(g->engine, g->parameters, tokens, s->length, g->logits, e);
    *exact = true;
    for (uint32_t i = s->from; !rc && *exact && i < s->length; i++) {
        const float *row = g->logits + (size_t)(i - 1) * vocab;
        uint32_t best = 0;
        for (uint32_t v = 1; v < vocab; v++)
            best = row[v] > row[best] ? v : best;
        *exact = best == tokens[i];
    }
    return rc;
}

static int judge_by(struct reading *g, int target, uint32_t index, struct eval_likelihood *out,
                    struct err *e)
{
    struct eval_run *r = g->r;
    uint32_t count, stride;
    int rc = mixture_model(r->mixture, target, index, &g->config, g->parameters, e);
    for (uint32_t first = 0; !rc && first < r->sequence_count; first += count) {
        rc = read_some(g, first, span_whole, &count, &stride, e);
        for (uint32_t i = 0; !rc && i < count; i++) {
            const struct eval_sequence *s = &r->sequences[first + i];
            const float *row = g->cumulative + (size_t)i * stride;
            out[first + i].before = row[s->from - 1];
            out[first + i].judged = row[s->length - 1] - row[s->from - 1];
        }
        for (uint32_t i = 0; !rc && i < count; i++)
            if (r->task->items[r->sequences[first + i].item].kind == EVAL_CLOZE)
                rc = judge_exact(g, &r->sequences[first + i], &out[first + i].exact, e);
        if (!rc)
            rc = told(g, "judging", count, e);
    }
    return rc;
}

static int judge_all(struct eval_run *r, struct err *e)
{
    static const int dense[2] = {TARGET_DENSE, TARGET_DENSE_FLOPS};
    struct reading g;
    struct eval_likelihood *out = r->likelihood;
    int rc = reading_open(&g, r, false, e);
    g.total = (uint64_t)r->sequence_count * (r->experts + r->dense[0] + r->dense[1]);
    for (uint32_t i = 0; !rc && i < r->experts; i++, out += r->sequence_count)
        rc = judge_by(&g, TARGET_EXPERT, i, out, e);
    for (int d = 0; !rc && d < 2; d++)
        if (r->dense[d]) {
            rc = judge_by(&g, dense[d], 0, out, e);
            out += r->sequence_count;
        }
    reading_close(&g);
    return rc;
}

int eval_run_all(struct eval_run *r, struct mixture *m, const struct eval_task *t, struct err *e)
{
    *r = (struct eval_run){.mixture = m, .task = t, .experts = m->spec.experts};
    progress_init(&r->progress);
    r->dense[0] = mixture_has(m, TARGET_DENSE, 0) != NULL;
    r->dense[1] = mixture_has(m, TARGET_DENSE_FLOPS, 0) != NULL;
    int rc = add_all(r, e);
    if (rc)
        return rc;
    const size_t n = r->sequence_count;
    r->scores = calloc(n * r->experts, sizeof *r->scores);
    r->likelihood = calloc(n * (r->experts + r->dense[0] + r->dense[1]), sizeof *r->likelihood);
    if (!r->scores || !r->likelihood)
        rc = err_set(e, ERR_NO_MEMORY, "no memory for the scores of a task: see --limit");
    if (!rc)
        rc = score_all(r, e);
    if (!rc)
        rc = judge_all(r, e);
    progress_finish(&r->progress);
    return rc;
}

void eval_run_free(struct eval_run *r)
{
    free(r->sequences);
    free(r->tokens);
    free(r->scores);
    free(r->likelihood);
}
