/* Who may be computed: slots, experts' weights within the memory limit, what is cached of a text.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "core/base/pool.h"
#include "core/env/clock.h"
#include "ops/serve/serve_parts.h"

/* A text that waits for memory may be overtaken by others for so long. */
#define OVERTAKEN_MS 1000
/* Copying fewer tokens than these is no gain. */
#define COPY_MIN 8

/* --- the loader ------------------------------------------------------------------------------- */

static int load_expert(struct serve *s, uint32_t index, struct decode_weights **out, struct err *e)
{
    float *parameters = malloc(model_parameters(&s->source.expert) * sizeof *parameters);
    if (!parameters)
        return err_set(e, ERR_NO_MEMORY, "no memory to load expert %u", index);
    int rc = s->source.load(s->source.arg, false, index, parameters, e);
    if (!rc)
        rc = decode_weights_create(out, s->decode, parameters, e);
    free(parameters);
    return rc;
}

void serve__loader(void *serve)
{
    struct serve *s = serve;
    pool_flush_denormals();
    env_mutex_lock(&s->mutex);
    while (!s->stop) {
        if (s->loading < 0) {
            env_cond_wait(&s->load, &s->mutex);
            continue;
        }
        struct serve_expert *x = &s->experts[s->loading];
        struct decode_weights *w = NULL;
        struct err e = {0};
        env_mutex_unlock(&s->mutex);
        (void)!load_expert(s, (uint32_t)s->loading, &w, &e);
        env_mutex_lock(&s->mutex);
        x->err = e;
        x->ready = w;
        x->state = w ? EXPERT_READY : EXPERT_ABSENT;
        s->loading = -1;
        env_cond_broadcast(&s->work);
    }
    env_mutex_unlock(&s->mutex);
}

/* --- experts ---------------------------------------------------------------------------------- */

static uint32_t resident(const struct serve *s)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < s->source.experts; i++)
        n += s->experts[i].state != EXPERT_ABSENT;
    return n;
}

/* Room for one more, where need be of the one that nobody uses and was not used for longest. */
static bool make_room(struct serve *s)
{
    struct serve_expert *old = NULL;
    if (resident(s) < s->resident_max)
        return true;
    for (uint32_t i = 0; i < s->source.experts; i++) {
        struct serve_expert *x = &s->experts[i];
        if (x->state == EXPERT_READY && x->users == 0 && (!old || x->used < old->used))
            old = x;
    }
    if (!old)
        return false;
    decode_weights_destroy(old->ready);
    old->ready = NULL;
    old->state = EXPERT_ABSENT;
    s->figures.evictions++;
    return true;
}

/* Whether the expert is there; otherwise it is asked for, as soon as there is room. Lock held.
 * Fails where it could not be loaded. */
static int want_expert(struct serve *s, uint32_t index, bool load, bool *there, struct err *e)
{
    struct serve_expert *x = &s->experts[index];
    *there = x->state == EXPERT_READY;
    if (x->err.code) {
        *e = x->err;
        x->err = (struct err){0};
        return e->code;
    }
    if (load && x->state == EXPERT_ABSENT && s->loading < 0 && make_room(s)) {
        x->state = EXPERT_LOADING;
        s->loading = index;
        s->figures.loads++;
        env_cond_signal(&s->load);
    }
    return 0;
}

/* --- slots ------------------------------------------------------------------------------------ */

static uint32_t common(const struct serve_slot *slot, const uint32_t *ids, uint32_t count)
{
    uint32_t n = 0;
    while (n < slot->count && n < count && slot->ids[n] == ids[n])
        n++;
    return n;
}

/* A free slot for the text: one that holds its beginning already, or the one not used for longest,
 * into which another's beginning is copied. *known: tokens in it. */
static uint32_t take_slot(struct serve *s, uint32_t expert, const uint32_t *ids, uint32_t count,
                          uint32_t *known)
{
    uint32_t oldest = UINT32_MAX, best = UINT32_MAX;
    *known = 0;
    for (uint32_t i = 0; i < s->o.slots; i++) {
        const struct serve_slot *slot = &s->slots[i];
        const uint32_t n = slot->expert == expert ? common(slot, ids, count) : 0;
        if (!slot->busy && (oldest == UINT32_MAX || slot->used < s->slots[oldest].used))
            oldest = i;
        if (n > *known || (n == *known && n > 0 && !slot->busy && s->slots[best].busy)) {
            best = i;
            *known = n;
        }
    }
    if (best != UINT32_MAX && !s->slots[best].busy &&
        (best == oldest || 2 * *known >= s->slots[best].count)) {
        decode_cut(s->decode, best, *known);
        return best;
    }
    if (best == UINT32_MAX || *known < COPY_MIN) {
        *known = 0;
        decode_cut(s->decode, oldest, 0);
    } else if (best != oldest) {
        decode_copy(s->decode, oldest, best, *known);
    }
    return oldest;
}

static uint32_t free_slots(const struct serve *s)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < s->o.slots; i++)
        n += !s->slots[i].busy;
    return n;
}

/* --- admission -------------------------------------------------------------------------------- */

/* The experts that answer and their weights: the best of the posterior p(e | x_1:M) (Eq. 2). */
static void choose_lanes(const struct serve *s, struct serve_choice *c)
{
    double sum = 0;
    const double max = c->scores[c->expert];
    for (uint32_t i = 0; i < c->lane_count; i++) {
        uint32_t best = c->expert;
        for (uint32_t x = 0; i > 0 && x < s->source.experts; x++) {
            bool taken = false;
            for (uint32_t j = 0; j < i; j++)
                taken = taken || c->lanes[j].expert == x;
            bool best_taken = false;
            for (uint32_t j = 0; j < i; j++)
                best_taken = best_taken || c->lanes[j].expert == best;
            if (!taken && (best_taken || c->scores[x] > c->scores[best]))
                best = x;
        }
        c->lanes[i] = (struct serve_lane){.expert = best};
        c->lanes[i].weight = (float)exp(c->scores[best] - max);
        sum += c->lanes[i].weight;
    }
    for (uint32_t i = 0; i < c->lane_count; i++)
        c->lanes[i].weight = (float)(c->lanes[i].weight / sum);
}

static int make_lanes(struct serve *s, struct serve_choice *c, struct err *e)
{
    c->lane_count = s->o.mix;
    if (!c->lanes)
        c->lanes = calloc(s->o.mix, sizeof *c->lanes);
    if (!c->mixed && s->o.mix > 1)
        c->mixed = calloc(s->source.expert.vocab, sizeof *c->mixed);
    if (!c->lanes || (s->o.mix > 1 && !c->mixed)) {
        c->lane_count = 0;
        return err_set(e, ERR_NO_MEMORY, "no memory for an answer");
    }
    choose_lanes(s, c);
    return 0;
}

static void take(struct serve *s, struct serve_choice *c)
{
    /* The last token is computed anyway, for its logits; with a prompt's, all are. */
    const uint32_t reusable = c->of->echo_logprobs ? 0 : c->count - 1;
    for (uint32_t i = 0; i < c->lane_count; i++) {
        struct serve_lane *lane = &c->lanes[i];
        lane->slot = take_slot(s, lane->expert, c->ids, reusable, &lane->fed);
        struct serve_slot *slot = &s->slots[lane->slot];
        memcpy(slot->ids, c->ids, lane->fed * sizeof *slot->ids);
        slot->count = lane->fed;
        slot->expert = lane->expert;
        slot->busy = true;
        s->experts[lane->expert].users++;
    }
    if (c->count == c->prompt_count) {
        c->cached = c->lanes[0].fed;
        s->figures.cached_tokens += c->cached;
        s->figures.prompt_tokens += c->prompt_count;
    }
}

void serve__release(struct serve *s, struct serve_choice *c)
{
    for (uint32_t i = 0; i < c->lane_count; i++) {
        struct serve_slot *slot = &s->slots[c->lanes[i].slot];
        slot->busy = false;
        slot->used = ++s->clock;
        s->experts[c->lanes[i].expert].users--;
        s->experts[c->lanes[i].expert].used = s->clock;
    }
    c->lane_count = 0;
}

/* Another choice of the same prompt computes it first. */
static bool follows(const struct serve_choice *c)
{
    const struct serve_choice *first = c - c->index;
    return c->index > 0 && first->finish == SERVE_RUNNING && c->count == c->prompt_count &&
           (first->lane_count == 0 || first->lanes[0].fed + 1 < first->prompt_count);
}

/* 1: admitted, 0: not yet, negative: failed. *load: weights may be asked for; cleared where they
 * were, so that who comes later does not take away what is being gathered. */
static int admit(struct serve *s, struct serve_choice *c, bool *load, struct err *e)
{
    if (follows(c) || free_slots(s) < s->o.mix)
        return 0;
    int rc = make_lanes(s, c, e);
    uint32_t pinned = 0;
    bool all = true;
    const uint32_t lanes = c->lane_count;
    c->lane_count = 0;
    if (rc)
        return rc;
    env_mutex_lock(&s->mutex);
    for (; !rc && pinned < lanes; pinned++) {
        bool there;
        rc = want_expert(s, c->lanes[pinned].expert, *load, &there, e);
        all = all && there;
        s->experts[c->lanes[pinned].expert].users++; /* making room for the next must not drop it */
    }
    for (uint32_t i = 0; i < pinned; i++)
        s->experts[c->lanes[i].expert].users--;
    s->queued -= !rc && all;
    env_mutex_unlock(&s->mutex);
    *load = *load && all;
    if (rc || !all)
        return rc;
    c->lane_count = lanes;
    take(s, c);
    return 1;
}

void serve__admit(struct serve *s)
{
    const int64_t now = env_monotonic_ms();
    uint32_t kept = 0;
    bool blocked = false, load = true;
    for (uint32_t i = 0; i < s->waiting_count; i++) {
        struct serve_choice *c = s->waiting[i];
        struct err e = {0};
        const int got = blocked ? 0 : admit(s, c, &load, &e);
        if (got > 0) {
            s->active[s->active_count++] = c;
        } else if (got < 0) {
            env_mutex_lock(&s->mutex);
            s->queued--;
            env_mutex_unlock(&s->mutex);
            serve__finish(s, c, SERVE_FAILED, &e);
        } else {
            blocked = blocked || (!follows(c) && now - c->of->asked_ms > OVERTAKEN_MS);
            s->waiting[kept++] = c;
        }
    }
    s->waiting_count = kept;
    s->figures.waiting = kept;
    s->figures.active = s->active_count;
    s->figures.resident = resident(s);
    s->figures.weight_bytes =
        s->figures.resident * decode_weights_memory(&s->source.expert, s->source.arithmetic);
}
