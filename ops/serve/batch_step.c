/* One step: tokens of all texts that an expert answers, then the tokens that follow them. */
#include <math.h>
#include <string.h>
#include "core/base/rng.h"
#include "core/env/clock.h"
#include "ops/serve/serve_parts.h"

/* What a step computes of a text. */
struct part {
    struct serve_choice *c;
    struct serve_lane *lane;
};

static bool is_behind(const struct serve_choice *c, const struct serve_lane *l)
{
    return l->fed < c->count;
}

/* The next expert in turn with something to compute; false: none. */
static bool next_expert(struct serve *s)
{
    for (uint32_t i = 1; i <= s->source.experts; i++) {
        const uint32_t x = (s->turn + i) % s->source.experts;
        for (uint32_t j = 0; j < s->active_count; j++) {
            const struct serve_choice *c = s->active[j];
            for (uint32_t k = 0; k < c->lane_count; k++)
                if (c->lanes[k].expert == x && is_behind(c, &c->lanes[k])) {
                    s->turn = x;
                    return true;
                }
        }
    }
    return false;
}

/* Runs of the expert whose turn it is: one token each where that is all, then of prompts what there
 * is room for. */
static uint32_t gather(struct serve *s, struct decode_run *runs, struct part *parts)
{
    uint32_t n = 0, rows = 0;
    for (int prompts = 0; prompts < 2; prompts++)
        for (uint32_t j = 0; j < s->active_count; j++) {
            struct serve_choice *c = s->active[j];
            for (uint32_t k = 0; k < c->lane_count && rows < s->rows; k++) {
                struct serve_lane *l = &c->lanes[k];
                if (l->expert != s->turn || !is_behind(c, l) || (c->count - l->fed > 1) != prompts)
                    continue;
                uint32_t count = c->count - l->fed;
                count = count < s->rows - rows ? count : s->rows - rows;
                const bool all = c->of->echo_logprobs && l->fed < c->prompt_count;
                runs[n] = (struct decode_run){.slot = l->slot,
                                              .count = count,
                                              .logits = all ? count : l->fed + count == c->count,
                                              .tokens = c->ids + l->fed};
                parts[n++] = (struct part){c, l};
                rows += count;
            }
        }
    return n;
}

/* --- what is told of a token ------------------------------------------------------------------ */

static void tell(struct serve *s, struct serve_choice *c, const float *logits, uint32_t id)
{
    struct serve_token *t = &c->told[c->told_count++];
    const uint32_t V = s->source.expert.vocab, n = (uint32_t)c->of->logprobs;
    uint32_t top[SERVE_TOP_MAX];
    const double sum = pick_log_sum(logits, V);
    *t = (struct serve_token){.id = id, .logprob = (float)(logits[id] - sum)};
    t->top_count = n < V ? n : V;
    pick_top(&s->picker, logits, t->top_count, top);
    for (uint32_t i = 0; i < t->top_count; i++) {
        t->top[i].id = top[i];
        t->top[i].logprob = (float)(logits[top[i]] - sum);
    }
}

/* Logits after tokens first… of the text, rows of them: what they say of the prompt's next ones. */
static void tell_prompt(struct serve *s, struct serve_choice *c, const float *logits,
                        uint32_t first, uint32_t rows)
{
    if (c->told_count == 0)
        c->told[c->told_count++] = (struct serve_token){.id = c->ids[0], .logprob = NAN};
    for (uint32_t i = 0; i < rows && first + i + 1 < c->prompt_count; i++)
        tell(s, c, logits + (size_t)i * s->source.expert.vocab, c->ids[first + i + 1]);
}

/* --- stop strings ------------------------------------------------------------------------------
 */

/* Where the text from `from` on has a stop string: its place; otherwise SIZE_MAX, and *safe is set
 * to how much of the text can't be the beginning of one. */
static size_t find_stop(const struct serve_answer *a, const struct buf *text, size_t from,
                        size_t *safe)
{
    size_t at = SIZE_MAX;
    *safe = text->len;
    for (uint32_t i = 0; i < a->stop_count; i++) {
        const size_t len = strlen(a->stops[i]);
        const size_t start = from > len ? from - len : 0;
        for (size_t j = start; j < text->len && j < at; j++) {
            const size_t left = text->len - j;
            if (memcmp(text->data + j, a->stops[i], left < len ? left : len) != 0)
                continue;
            if (left >= len)
                at = j;
            else if (j < *safe)
                *safe = j;
        }
    }
    return at;
}

/* --- the next token -----------------------------------------------------------------------------
 */

/* Appends a token to the text. Lock held. Returns how it ended with it. */
static enum serve_finish append(struct serve *s, struct serve_choice *c, uint32_t id, struct err *e)
{
    const size_t before = c->text.len;
    const struct serve_answer *a = c->of;
    size_t safe;
    c->ids[c->count++] = id;
    s->figures.answer_tokens++;
    const bool last =
        c->count - c->prompt_count >= a->max_tokens || c->count > s->source.expert.seq;
    if (words_next(&c->words, c->ids, c->count, last, &c->text, e))
        return SERVE_FAILED;
    const size_t at = find_stop(a, &c->text, before, &safe);
    if (at != SIZE_MAX) {
        c->text.len = at;
        c->text.data[at] = 0;
        c->shown = at;
        return SERVE_STOP;
    }
    c->shown = last ? c->text.len : safe;
    return last ? SERVE_LENGTH : SERVE_RUNNING;
}

/* What is left of a text that ends: bytes of a character that never came. */
static enum serve_finish end_text(struct serve_choice *c, struct err *e)
{
    if (words_next(&c->words, c->ids, c->count, true, &c->text, e))
        return SERVE_FAILED;
    c->shown = c->text.len;
    return SERVE_STOP;
}

static enum serve_finish next_token(struct serve *s, struct serve_choice *c, const float *logits,
                                    struct err *e)
{
    struct serve_answer *a = c->of;
    if (a->max_tokens == 0)
        return SERVE_LENGTH;
    for (uint32_t i = 0; i < s->source.expert.vocab; i++)
        if (!isfinite(logits[i])) {
            err_set(e, ERR_NOT_FINITE, "expert %u says what is not a number", c->lanes[0].expert);
            return SERVE_FAILED;
        }
    const double u = rng_uniform(a->seed, RNG_SAMPLE, c->count, c->index);
    const uint32_t id =
        pick_token(&s->picker, logits, &a->pick, c->ids, c->count, c->prompt_count, u);
    const bool end = id == tokenizer_end(s->source.tokenizer);
    env_mutex_lock(&s->mutex);
    if (a->logprobs >= 0 && !end)
        tell(s, c, logits, id);
    const enum serve_finish how = end ? end_text(c, e) : append(s, c, id, e);
    if (a->wake && how == SERVE_RUNNING)
        a->wake(a);
    env_mutex_unlock(&s->mutex);
    return how;
}

/* --- several experts -----------------------------------------------------------------------------
 */

/* Adds one expert's word; true once all have said theirs, mixed then holding logits. */
static bool fold(struct serve *s, struct serve_choice *c, struct serve_lane *l, const float *logits)
{
    const uint32_t V = s->source.expert.vocab;
    const double sum = pick_log_sum(logits, V);
    bool first = true, all = true;
    for (uint32_t i = 0; i < c->lane_count; i++)
        first = first && !c->lanes[i].folded;
    for (uint32_t v = 0; v < V; v++) {
        const float log_p = (float)(logits[v] - sum);
        const float word = l->weight * (s->o.log_linear ? log_p : expf(log_p));
        c->mixed[v] = first ? word : c->mixed[v] + word;
    }
    l->folded = true;
    for (uint32_t i = 0; i < c->lane_count; i++)
        all = all && c->lanes[i].folded;
    for (uint32_t v = 0; all && v < V && !s->o.log_linear; v++)
        c->mixed[v] = c->mixed[v] > 0 ? logf(c->mixed[v]) : -1e30f;
    for (uint32_t i = 0; all && i < c->lane_count; i++)
        c->lanes[i].folded = false;
    return all;
}

/* --- routing anew --------------------------------------------------------------------------------
 */

/* On the last M tokens. True: another expert is better now. */
static bool reroute(struct serve *s, struct serve_choice *c)
{
    struct err e = {0};
    uint32_t expert, on, n = c->count < s->source.prefix ? c->count : s->source.prefix;
    if (s->o.reroute == 0 || c->count - c->routed_at < s->o.reroute)
        return false;
    c->routed_at = c->count;
    if (serve__scores(s, c->ids + c->count - n, n, s->scores, &expert, &on, &e) || on == 0)
        return false;
    const bool changed = expert != c->expert;
    env_mutex_lock(&s->mutex);
    memcpy(c->scores, s->scores, s->source.experts * sizeof *c->scores);
    c->expert = expert;
    c->routed_on = on;
    env_mutex_unlock(&s->mutex);
    return changed;
}

static void remove_active(struct serve *s, const struct serve_choice *c)
{
    uint32_t i = 0;
    while (s->active[i] != c)
        i++;
    s->active[i] = s->active[--s->active_count];
}

static void to_waiting(struct serve *s, struct serve_choice *c)
{
    remove_active(s, c);
    serve__release(s, c);
    memmove(s->waiting + 1, s->waiting, s->waiting_count * sizeof *s->waiting);
    s->waiting[0] = c;
    s->waiting_count++;
    env_mutex_lock(&s->mutex);
    s->queued++;
    env_mutex_unlock(&s->mutex);
}

static void after(struct serve *s, const struct part *p, const struct decode_run *run,
                  const float *logits)
{
    struct serve_choice *c = p->c;
    struct serve_slot *slot = &s->slots[run->slot];
    const uint32_t V = s->source.expert.vocab, first = p->lane->fed;
    struct err e = {0};
    memcpy(slot->ids + slot->count, run->tokens, run->count * sizeof *slot->ids);
    slot->count += run->count;
    p->lane->fed += run->count;
    if (run->logits == run->count && c->of->echo_logprobs && first < c->prompt_count) {
        env_mutex_lock(&s->mutex);
        tell_prompt(s, c, logits, first, run->count);
        env_mutex_unlock(&s->mutex);
    }
    if (is_behind(c, p->lane))
        return;
    const float *last = logits + (size_t)(run->logits - 1) * V;
    if (c->lane_count > 1) {
        if (!fold(s, c, p->lane, last))
            return;
        last = c->mixed;
    }
    const enum serve_finish how = next_token(s, c, last, &e);
    if (how == SERVE_RUNNING) {
        if (reroute(s, c))
            to_waiting(s, c);
        return;
    }
    remove_active(s, c);
    serve__release(s, c);
    serve__finish(s, c, how, &e);
}

void serve__step(struct serve *s)
{
    struct decode_run runs[SERVE_ROWS * 8];
    struct part parts[SERVE_ROWS * 8];
    struct err e = {0};
    if (!next_expert(s))
        return;
    const uint32_t n = gather(s, runs, parts);
    const float *logits = s->logits;
    const int rc = decode_step(s->decode, s->experts[s->turn].ready, runs, n, s->logits, &e);
    s->figures.steps++;
    for (uint32_t i = 0; i < n; i++) {
        s->figures.step_rows += runs[i].count;
        if (rc) {
            remove_active(s, parts[i].c);
            serve__release(s, parts[i].c);
            serve__finish(s, parts[i].c, SERVE_FAILED, &e);
            continue;
        }
        after(s, &parts[i], &runs[i], logits);
        logits += (size_t)runs[i].logits * s->source.expert.vocab;
    }
}
