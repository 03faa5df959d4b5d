/* Scores of a part of a draw: every router on the prefix of every sequence (Eq. 9), router by
 * router, so that one router's weights are in memory at a time. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include "core/runners/models.h"
#include "core/runners/sequences.h"
#include "core/env/clock.h"
#include "core/mixture/scores.h"

#define SCORE_BLOCK 128 /* sequences between two polls, at most */

struct scoring {
    const struct job_context *c;
    struct sequences sequences;
    uint32_t routers, prefix;
    uint64_t count;
    float *scores; /* (count, routers) */
    uint32_t *tokens;
    float *cumulative;
    double began;
};

static int block_tokens(struct scoring *x, uint64_t at, uint32_t n, struct err *e)
{
    int rc = job_poll(x->c, e);
    for (uint32_t i = 0; !rc && i < n; i++) {
        rc = sequences_tokens(&x->sequences, at + i, x->prefix, x->tokens + (size_t)i * x->prefix,
                              e);
    }
    return rc;
}

static void tell(const struct scoring *x, uint64_t router, uint64_t sequence)
{
    uint64_t done = router * x->count + sequence;
    job_report(x->c, done, x->routers * x->count, done * x->prefix, x->began);
}

static int score_router(struct scoring *x, struct reader *m, uint32_t router, struct err *e)
{
    struct job_block block = {0};
    for (uint64_t at = 0, n; at < x->count; at += n) {
        n = job_block_next(&block, x->count - at, SCORE_BLOCK);
        int rc = block_tokens(x, at, (uint32_t)n, e);
        if (!rc) {
            rc = engine_scores(m->engine, m->parameters, x->tokens, (uint32_t)n, x->prefix,
                               x->prefix, x->cumulative, e);
        }
        if (rc) {
            return rc;
        }
        for (uint32_t i = 0; i < n; i++) {
            float score = x->cumulative[(size_t)(i + 1) * x->prefix - 1];
            if (!isfinite(score)) {
                return err_set(e, ERR_NOT_FINITE,
                               "router %u scores sequence %" PRIu64 " with no finite number; lower "
                               "[router] learning_rate",
                               router, at + i);
            }
            x->scores[(at + i) * x->routers + router] = score;
        }
        tell(x, router, at + n);
    }
    return 0;
}

static int score_random(struct scoring *x, struct err *e)
{
    struct job_block block = {0};
    for (uint64_t at = 0, n; at < x->count; at += n) {
        n = job_block_next(&block, x->count - at, SCORE_BLOCK);
        int rc = block_tokens(x, at, (uint32_t)n, e);
        if (rc) {
            return rc;
        }
        for (uint32_t i = 0; i < n; i++) {
            for (uint32_t k = 0; k < x->routers; k++) {
                x->scores[(at + i) * x->routers + k] = scores_random(
                    x->c->spec->seed, x->tokens + (size_t)i * x->prefix, x->prefix, k);
            }
        }
    }
    return 0;
}

static int score_all(struct scoring *x, const struct msg_grant *g, struct err *e)
{
    if (x->c->spec->router.mode == SPEC_RANDOM) {
        return score_random(x, e);
    }
    struct reader m;
    int rc = reader_open(&m, x->c, g, TARGET_ROUTER, e);
    for (uint32_t k = 0; !rc && k < x->routers; k++) {
        rc = reader_load(&m, x->c, g, k, e);
        if (!rc) {
            rc = score_router(x, &m, k, e);
        }
    }
    return rc;
}

static int write_rows(const struct scoring *x, struct job_result *r, struct err *e)
{
    size_t row = SCORES_ROW(x->routers), len = SCORES_HEADER + x->count * row;
    uint8_t *out = malloc(len);
    if (!out) {
        return err_set(e, ERR_NO_MEMORY, "no memory for %" PRIu64 " rows of scores", x->count);
    }
    scores_header_write(out, x->count, x->routers);
    for (uint64_t i = 0; i < x->count; i++) {
        scores_row_write(out + SCORES_HEADER + i * row, x->scores + i * x->routers, x->routers);
    }
    struct msg_blob facts = {.role = ROLE_SCORES};
    int rc = job_write_output(x->c, r, &facts, "scores", out, len, e);
    free(out);
    return rc;
}

int run_score(struct job_context *c, const struct msg_grant *g, struct job_result *r, struct err *e)
{
    struct scoring x = {.c = c,
                        .routers = c->spec->experts,
                        .prefix = c->spec->router.prefix,
                        .count = g->window_count,
                        .began = env_monotonic_s()};
    int rc = sequences_of_shards(&x.sequences, c, g, 0, e);
    if (!rc && (x.count == 0 || x.sequences.total != x.count)) {
        rc = err_set(e, ERR_INVALID, "%" PRIu64 " sequences to score, %" PRIu64 " are given",
                     x.count, x.sequences.total);
    }
    if (!rc) {
        x.scores = calloc(x.count * x.routers, sizeof *x.scores);
        x.tokens = malloc((size_t)SCORE_BLOCK * x.prefix * sizeof *x.tokens);
        x.cumulative = malloc((size_t)SCORE_BLOCK * x.prefix * sizeof *x.cumulative);
        if (!x.scores || !x.tokens || !x.cumulative) {
            rc = err_set(e, ERR_NO_MEMORY, "no memory for the scores of %" PRIu64 " sequences",
                         x.count);
        }
    }
    if (!rc) {
        rc = score_all(&x, g, e);
    }
    if (!rc) {
        rc = write_rows(&x, r, e);
    }
    r->tokens = x.count * x.prefix;
    sequences_close(&x.sequences);
    free(x.scores);
    free(x.tokens);
    free(x.cumulative);
    return rc;
}
