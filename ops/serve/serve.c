#include "ops/serve/serve.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "core/base/pool.h"
#include "core/base/text.h"
#include "core/env/clock.h"
#include "core/mixture/scores.h"
#include "ops/serve/serve_parts.h"

#define TEXT_MAX (16u << 20)
#define LOOK_MS 200 /* how often it is looked who has gone, and what has taken too long */
#define SLOTS_MIN 1u

/* --- answers -----------------------------------------------------------------------------------
 */

static int choice_init(const struct serve *s, struct serve_choice *c)
{
    const struct model_config *m = &s->source.expert;
    buf_init(&c->text, TEXT_MAX);
    c->ids = calloc((size_t)m->seq + 1, sizeof *c->ids);
    c->scores = calloc(s->source.experts, sizeof *c->scores);
    return c->ids && c->scores ? 0 : ERR_NO_MEMORY;
}

struct serve_answer *serve_answer_create(const struct serve *s, uint32_t choices)
{
    struct serve_answer *a = calloc(1, sizeof *a);
    if (!a)
        return NULL;
    a->pick = (struct pick){.temperature = 1, .top_p = 1, .repetition = 1};
    a->logprobs = -1;
    a->per_prompt = 1;
    a->choices = calloc(choices, sizeof *a->choices);
    a->choice_count = a->choices ? choices : 0;
    int rc = a->choices ? 0 : ERR_NO_MEMORY;
    for (uint32_t i = 0; !rc && i < choices; i++)
        rc = choice_init(s, &a->choices[i]);
    if (rc) {
        serve_answer_destroy(a);
        return NULL;
    }
    return a;
}

void serve_answer_destroy(struct serve_answer *a)
{
    if (!a)
        return;
    for (uint32_t i = 0; i < a->choice_count; i++) {
        struct serve_choice *c = &a->choices[i];
        buf_free(&c->text);
        words_end(&c->words);
        free(c->ids);
        free(c->told);
        free(c->scores);
        free(c->lanes);
        free(c->mixed);
    }
    for (uint32_t i = 0; i < a->stop_count; i++)
        free(a->stops[i]);
    free(a->choices);
    free(a);
}

/* What the worker needs of each text, so that it allocates nothing later. */
static int prepare(const struct serve *s, struct serve_answer *a, struct err *e)
{
    int rc = 0;
    for (uint32_t i = 0; !rc && i < a->choice_count; i++) {
        struct serve_choice *c = &a->choices[i];
        c->of = a;
        c->count = c->prompt_count;
        c->index = i % a->per_prompt;
        if (a->logprobs >= 0)
            c->told = calloc((size_t)s->source.expert.seq + 1, sizeof *c->told);
        if (a->logprobs >= 0 && !c->told)
            return err_set(e, ERR_NO_MEMORY, "no memory for log-probabilities");
        rc = words_begin(&c->words, s->source.tokenizer, c->ids, c->count, e);
    }
    return rc;
}

int serve_ask(struct serve *s, struct serve_answer *a, struct err *e)
{
    if (a->echo_logprobs && s->o.mix > 1)
        return err_set(e, ERR_INVALID,
                       "echo: log-probabilities of prompts are told by single experts alone");
    int rc = prepare(s, a, e);
    if (rc)
        return rc;
    a->asked_ms = env_monotonic_ms();
    a->left = a->choice_count;
    env_mutex_lock(&s->mutex);
    if (s->draining) {
        rc = err_set(e, ERR_STOPPED, "the server is ending");
    } else if (s->queued + a->choice_count > s->o.queue) {
        rc = err_set(e, ERR_BUSY, "%u texts wait already; try again later", s->queued);
        s->figures.rejected++;
    } else {
        *s->inbox_end = a;
        s->inbox_end = &a->next;
        s->queued += a->choice_count;
        s->open++;
        s->figures.answers++;
        env_cond_signal(&s->work);
    }
    env_mutex_unlock(&s->mutex);
    return rc;
}

void serve_cancel(struct serve *s, struct serve_answer *a)
{
    env_mutex_lock(&s->mutex);
    a->cancelled = true;
    env_cond_signal(&s->work);
    env_mutex_unlock(&s->mutex);
}

bool serve_drain(struct serve *s)
{
    env_mutex_lock(&s->mutex);
    s->draining = true;
    const bool none = s->open == 0;
    env_mutex_unlock(&s->mutex);
    return none;
}

void serve_lock(struct serve *s)
{
    env_mutex_lock(&s->mutex);
}

void serve_unlock(struct serve *s)
{
    env_mutex_unlock(&s->mutex);
}

const struct serve_source *serve_source_of(const struct serve *s)
{
    return &s->source;
}

struct serve_figures *serve_figures_of(struct serve *s)
{
    return &s->figures;
}

void serve__finish(struct serve *s, struct serve_choice *c, enum serve_finish how,
                   const struct err *e)
{
    struct serve_answer *a = c->of;
    env_mutex_lock(&s->mutex);
    c->finish = how;
    if (how == SERVE_FAILED && !a->err.code)
        a->err = *e;
    s->figures.failed += how == SERVE_FAILED && a->left == 1;
    a->left--;
    if (a->left == 0) {
        a->done = true;
        s->open--;
    }
    if (a->wake)
        a->wake(a);
    env_mutex_unlock(&s->mutex);
}

/* --- routing -----------------------------------------------------------------------------------
 */

int serve__scores(struct serve *s, const uint32_t *ids, uint32_t count, float *scores,
                  uint32_t *expert, uint32_t *routed_on, struct err *e)
{
    const struct serve_source *x = &s->source;
    const uint32_t n = count < x->prefix ? count : x->prefix;
    const size_t floats = model_parameters(&x->router);
    int rc = 0;
    *expert = *routed_on = 0;
    memset(scores, 0, x->experts * sizeof *scores);
    if (n <= 1 && !x->random)
        return 0; /* nothing is predicted: expert 0 (METHOD, "Short prompts") */
    env_mutex_lock(&s->routing);
    for (uint32_t r = 0; !rc && r < x->experts; r++) {
        if (x->random) {
            scores[r] = scores_random(x->seed, ids, n, r);
            continue;
        }
        rc = engine_scores(s->engine, s->routers + r * floats, ids, 1, n, n, s->cumulative, e);
        scores[r] = s->cumulative[n - 1];
    }
    env_mutex_unlock(&s->routing);
    if (rc)
        return rc;
    *expert = scores_route(scores, x->experts);
    *routed_on = n;
    return 0;
}

int serve_route(struct serve *s, const uint32_t *ids, uint32_t count, float *scores,
                uint32_t *expert, uint32_t *routed_on, struct err *e)
{
    pool_flush_denormals();
    return serve__scores(s, ids, count, scores, expert, routed_on, e);
}

/* All texts of an answer: those of one prompt together. */
static void route(struct serve *s, struct serve_answer *a)
{
    struct err e = {0};
    for (uint32_t i = 0; i < a->choice_count; i++) {
        struct serve_choice *c = &a->choices[i];
        const struct serve_choice *first = c - c->index;
        c->routed_at = c->count;
        if (c != first) {
            memcpy(c->scores, first->scores, s->source.experts * sizeof *c->scores);
            c->expert = first->expert;
            c->routed_on = first->routed_on;
        } else if (serve__scores(s, c->ids, c->count, c->scores, &c->expert, &c->routed_on, &e)) {
            break;
        }
    }
    env_mutex_lock(&s->mutex);
    a->routed = true;
    if (e.code)
        a->err = e;
    if (a->wake)
        a->wake(a);
    env_mutex_unlock(&s->mutex);
}

/* --- the worker ---------------------------------------------------------------------------------
 */

/* Takes what was asked meanwhile. False: the end. */
static bool take_inbox(struct serve *s, bool idle)
{
    struct serve_answer *list;
    env_mutex_lock(&s->mutex);
    if (idle && !s->inbox && !s->stop)
        (void)!env_cond_wait_until(&s->work, &s->mutex, env_monotonic_ms() + LOOK_MS);
    list = s->inbox;
    s->inbox = NULL;
    s->inbox_end = &s->inbox;
    const bool stop = s->stop;
    env_mutex_unlock(&s->mutex);
    while (list) {
        struct serve_answer *a = list;
        list = a->next;
        if (!stop && !a->cancelled)
            route(s, a);
        for (uint32_t i = 0; i < a->choice_count; i++)
            s->waiting[s->waiting_count++] = &a->choices[i];
    }
    return !stop;
}

/* Why an answer should end now, or 0. */
static int ends(const struct serve *s, struct serve_answer *a, bool stop, int64_t now,
                struct err *e)
{
    if (stop)
        return err_set(e, ERR_STOPPED, "the server is ending");
    if (a->cancelled || (a->gone && a->gone(a)))
        return err_set(e, ERR_STOPPED, "nobody waits for the answer any more");
    if (a->err.code) {
        *e = a->err;
        return a->err.code;
    }
    if (now - a->asked_ms > s->o.timeout_ms)
        return err_set(e, ERR_TIMEOUT, "the answer took longer than %lld seconds",
                       (long long)(s->o.timeout_ms / 1000));
    return 0;
}

static void sweep(struct serve *s, bool stop)
{
    const int64_t now = env_monotonic_ms();
    uint32_t kept = 0;
    struct err e = {0};
    for (uint32_t i = 0; i < s->waiting_count; i++) {
        struct serve_choice *c = s->waiting[i];
        if (!ends(s, c->of, stop, now, &e)) {
            s->waiting[kept++] = c;
            continue;
        }
        env_mutex_lock(&s->mutex);
        s->queued--;
        env_mutex_unlock(&s->mutex);
        serve__finish(s, c, SERVE_FAILED, &e);
    }
    s->waiting_count = kept;
    kept = 0;
    for (uint32_t i = 0; i < s->active_count; i++) {
        struct serve_choice *c = s->active[i];
        if (!ends(s, c->of, stop, now, &e)) {
            s->active[kept++] = c;
            continue;
        }
        serve__release(s, c);
        serve__finish(s, c, SERVE_FAILED, &e);
    }
    s->active_count = kept;
}

static void worker(void *arg)
{
    struct serve *s = arg;
    int64_t looked = 0;
    pool_flush_denormals();
    for (;;) {
        if (!take_inbox(s, s->active_count == 0)) {
            sweep(s, true);
            return;
        }
        if (env_monotonic_ms() - looked >= LOOK_MS) {
            sweep(s, false);
            looked = env_monotonic_ms();
        }
        serve__admit(s);
        if (s->active_count > 0)
            serve__step(s);
    }
}

/* --- sizes
 * ---------------------------------------------------------------------------------------- */

/* Of the routers' workspace: enough for one prompt on every thread. */
static uint64_t routing_bytes(const struct serve *s)
{
    return s->source.random
               ? 0
               : (uint64_t)s->o.threads * engine_memory(&s->source.router, false, OPTIMIZER_ADAMW);
}

static uint64_t router_bytes(const struct serve_source *x)
{
    return x->random ? 0 : x->experts * model_parameters(&x->router) * sizeof(float);
}

/* As many slots as asked for, or as fit beside one answer's experts and a copy being loaded; then
 * as many experts as fit beside them. */
static int plan(struct serve *s, struct decode_options *d, char said[200], struct err *e)
{
    const struct serve_source *x = &s->source;
    const uint64_t max = s->o.memory, weights = decode_weights_memory(&x->expert, x->arithmetic);
    char a[16], b[16], c[16];
    uint64_t fixed =
        router_bytes(x) + routing_bytes(s) + model_parameters(&x->expert) * sizeof(float);
    uint64_t logits;
    for (;; d->slots--) {
        d->rows = d->slots > SERVE_ROWS ? d->slots : SERVE_ROWS;
        logits = (uint64_t)d->rows * x->expert.vocab * sizeof(float);
        const uint64_t all = fixed + logits + decode_memory(&x->expert, d) + s->o.mix * weights;
        if (all <= max)
            break;
        if (d->slots == SLOTS_MIN || d->slots <= s->o.mix)
            return err_set(e, ERR_RANGE,
                           "--memory: %s are not enough: routers take %s, and one answer at a time "
                           "%s in all",
                           text_bytes(max, a), text_bytes(router_bytes(x), b), text_bytes(all, c));
    }
    fixed += logits + decode_memory(&x->expert, d);
    const uint64_t fit = (max - fixed) / weights;
    s->resident_max = fit < x->experts ? (uint32_t)fit : x->experts;
    s->o.slots = d->slots;
    s->rows = d->rows;
    snprintf(said, 200, "%u texts at once; routers %s; %u of %u experts of %s fit into %s",
             d->slots, text_bytes(router_bytes(x), a), s->resident_max, x->experts,
             text_bytes(weights, b), text_bytes(max, c));
    return 0;
}

static int load_routers(struct serve *s, struct err *e)
{
    const struct serve_source *x = &s->source;
    const struct engine_options o = {
        .arithmetic = x->arithmetic, .threads = s->o.threads, .memory_max = routing_bytes(s)};
    const size_t floats = model_parameters(&x->router);
    if (x->random)
        return 0;
    s->cumulative = calloc(x->prefix, sizeof *s->cumulative);
    s->routers = malloc(x->experts * floats * sizeof *s->routers);
    if (!s->routers || !s->cumulative)
        return err_set(e, ERR_NO_MEMORY, "no memory for the routers");
    int rc = engine_create(&s->engine, &x->router, &o, e);
    for (uint32_t r = 0; !rc && r < x->experts; r++)
        rc = x->load(x->arg, true, r, s->routers + r * floats, e);
    return rc;
}

static int take_memory(struct serve *s, struct err *e)
{
    const struct serve_source *x = &s->source;
    bool got;
    s->waiting_cap = s->o.queue + s->o.slots;
    s->experts = calloc(x->experts, sizeof *s->experts);
    s->slots = calloc(s->o.slots, sizeof *s->slots);
    s->waiting = calloc(s->waiting_cap, sizeof *s->waiting);
    s->active = calloc(s->o.slots, sizeof *s->active);
    s->scores = calloc(x->experts, sizeof *s->scores);
    s->logits = malloc((size_t)s->rows * x->expert.vocab * sizeof *s->logits);
    got = s->experts && s->slots && s->waiting && s->active && s->logits && s->scores;
    for (uint32_t i = 0; got && i < s->o.slots; i++) {
        s->slots[i].ids = calloc(x->expert.seq, sizeof *s->slots[i].ids);
        got = s->slots[i].ids != NULL;
    }
    if (!got)
        return err_set(e, ERR_NO_MEMORY, "no memory to serve with");
    return picker_init(&s->picker, x->expert.vocab, e);
}

static int create_parts(struct serve *s, char said[200], struct err *e)
{
    struct decode_options d = {
        .arithmetic = s->source.arithmetic, .threads = s->o.threads, .slots = s->o.slots};
    int rc = plan(s, &d, said, e);
    if (!rc)
        rc = take_memory(s, e);
    if (!rc)
        rc = load_routers(s, e);
    if (!rc)
        rc = decode_create(&s->decode, &s->source.expert, &d, e);
    if (!rc) {
        rc = env_thread_start(&s->loader, serve__loader, s, "the loader's thread", e);
        s->loader_runs = !rc;
    }
    if (!rc) {
        rc = env_thread_start(&s->worker, worker, s, "the worker's thread", e);
        s->worker_runs = !rc;
    }
    return rc;
}

int serve_create(struct serve **out, const struct serve_source *source,
                 const struct serve_options *o, char said[200], struct err *e)
{
    struct serve *s = calloc(1, sizeof *s);
    *out = NULL;
    if (!s)
        return err_set(e, ERR_NO_MEMORY, "no memory to serve with");
    s->source = *source;
    s->o = *o;
    s->o.mix = o->mix < source->experts ? o->mix : source->experts;
    s->loading = -1;
    s->inbox_end = &s->inbox;
    env_mutex_init(&s->mutex);
    env_mutex_init(&s->routing);
    env_cond_init(&s->work);
    env_cond_init(&s->load);
    const int rc = create_parts(s, said, e);
    if (rc) {
        serve_destroy(s);
        return rc;
    }
    *out = s;
    return 0;
}

static void free_memory(struct serve *s)
{
    for (uint32_t i = 0; s->experts && i < s->source.experts; i++)
        decode_weights_destroy(s->experts[i].ready);
    for (uint32_t i = 0; s->slots && i < s->o.slots; i++)
        free(s->slots[i].ids);
    decode_destroy(s->decode);
    engine_destroy(s->engine);
    picker_free(&s->picker);
    free(s->routers);
    free(s->cumulative);
    free(s->scores);
    free(s->logits);
    free(s->experts);
    free(s->slots);
    free(s->waiting);
    free(s->active);
}

void serve_end(struct serve *s)
{
    env_mutex_lock(&s->mutex);
    s->draining = s->stop = true;
    env_cond_broadcast(&s->work);
    env_cond_broadcast(&s->load);
    env_mutex_unlock(&s->mutex);
    if (s->worker_runs)
        env_thread_join(&s->worker);
    if (s->loader_runs)
        env_thread_join(&s->loader);
    s->worker_runs = s->loader_runs = false;
}

void serve_destroy(struct serve *s)
{
    if (!s)
        return;
    serve_end(s);
    free_memory(s);
    env_cond_destroy(&s->load);
    env_cond_destroy(&s->work);
    env_mutex_destroy(&s->routing);
    env_mutex_destroy(&s->mutex);
    free(s);
}
