/* A router's round: the prefixes of the sequences it was assigned (Eq. 9), from where the round
 * before left its weights and moments. */
#include <inttypes.h>
#include <stdlib.h>
#include "core/runners/training.h"
#include "core/mixture/assign.h"
#include "core/mixture/draw.h"

/* Positions that went to router `index`, by random[] or by values. */
static void take_own(uint32_t *own, uint64_t *share, uint64_t window, const uint16_t *random,
                     const uint8_t *values, uint64_t index)
{
    *share = 0;
    for (uint64_t i = 0; i < window; i++) {
        uint64_t to = random ? random[i] : assign_at(values, i);
        if (to == index) {
            own[(*share)++] = (uint32_t)i;
        }
    }
}

static int own_random(const struct job_context *c, const struct msg_grant *g, uint32_t *own,
                      uint64_t *share, struct err *e)
{
    uint16_t *expert = malloc(g->window_count * sizeof *expert);
    if (!expert) {
        return err_set(e, ERR_NO_MEMORY, "no memory for the first assignment");
    }
    assign_random(c->spec->seed, g->window_count, c->spec->experts, expert);
    take_own(own, share, g->window_count, expert, NULL, g->index);
    free(expert);
    return 0;
}

static int own_assigned(const struct job_context *c, const struct msg_grant *g, uint32_t *own,
                        uint64_t *share, struct err *e)
{
    const char *path = job_input(c, g, ROLE_ASSIGNMENT, UINT64_MAX, NULL);
    if (!path) {
        return err_set(e, ERR_INVALID, "the grant has no assignment");
    }
    struct env_map map;
    uint64_t n;
    uint32_t experts;
    const uint8_t *values;
    int rc = env_file_map(path, &map, e);
    if (rc) {
        return rc;
    }
    rc = assign_open(map.data, map.size, &n, &experts, &values, e);
    if (!rc && (n != g->window_count || experts != c->spec->experts)) {
        rc = err_set(e, ERR_INVALID,
                     "an assignment of %" PRIu64 " sequences to %u routers, where the round has "
                     "%" PRIu64 " and %u",
                     n, experts, g->window_count, c->spec->experts);
    }
    if (!rc) {
        take_own(own, share, n, NULL, values, g->index);
    }
    env_file_unmap(&map);
    return rc;
}

int run_train_router(struct job_context *c, const struct msg_grant *g, struct job_result *r,
                     struct err *e)
{
    const struct run_spec *s = c->spec;
    struct sequences sequences = {0};
    uint64_t share = 0;
    if (g->window_count == 0 || g->window_count > UINT32_MAX) {
        return err_set(e, ERR_INVALID, "a round of %" PRIu64 " sequences", g->window_count);
    }
    uint32_t *own = malloc(g->window_count * sizeof *own);
    if (!own) {
        return err_set(e, ERR_NO_MEMORY, "no memory for the sequences of a round");
    }
    int rc = g->round == 0 ? own_random(c, g, own, &share, e) : own_assigned(c, g, own, &share, e);
    uint64_t steps = rc ? 0 : draw_router_steps(s->router.passes, share, s->router.batch);
    if (!rc && steps == 0) {
        rc = err_set(e, ERR_INVALID, "router %" PRIu64 " has %" PRIu64 " sequences: no batch",
                     g->index, share);
    }
    if (!rc) {
        rc = sequences_of_shards(&sequences, c, g, 0, e);
    }
    if (!rc) {
        struct training t = {
            .stream = MODEL_STREAM_ROUTER + g->index,
            .index = g->index,
            .batch = s->router.batch,
            .length = s->router.prefix,
            .first = g->prior_steps,
            .last = g->prior_steps + steps,
            .share = share,
            .passes_before = g->round * s->router.passes,
            .warmup = s->router.warmup,
            .learning_rate = s->router.learning_rate,
            .grad_clip = s->router.grad_clip,
            .optimizer = spec_optimizer(s, true),
            .sequences = &sequences,
            .own = own,
        };
        spec_router_model(s, (uint32_t)g->vocab, (uint32_t)g->seq, &t.config);
        rc = training_run(c, g, &t, r, e);
    }
    sequences_close(&sequences);
    free(own);
    return rc;
}
