/* Scores of a part of a draw: every router on the prefix of every sequence (Eq. 9). Tokens are read
 * and unpacked once, a stretch of sequences at a time; over a stretch, router follows router, so
 * that one router's weights are in memory at a time. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include "core/runners/models.h"
#include "core/runners/sequences.h"
#include "core/env/clock.h"
#include "core/mixture/scores.h"

#define SCORE_BLOCK 128                  /* sequences between two polls, at most */
#define SCORE_TOKENS (UINT64_C(1) << 24) /* of a stretch, at most: routers take long over them */

struct scoring {
    const struct job_context *c;
    struct sequences sequences;
    uint32_t routers, prefix;
    uint64_t count, stretch;
    float *scores;    /* (count, routers) */
    uint32_t *tokens; /* (stretch, prefix) */
    float *cumulative;
    double began;
};

/* Sequences `first` to first+n−1 are the stretch in memory from here on. */
static int read_stretch(struct scoring *x, uint64_t first, uint64_t n, struct err *e)
{
    int rc = 0;
    for (uint64_t i = 0; !rc && i < n; i++) {
        rc = i % SCORE_BLOCK ? 0 : job_poll(x->c, e);
        if (!rc) {
            rc =
                sequences_tokens(&x->sequences, first + i, x->prefix, x->tokens + i * x->prefix, e);
        }
    }
    return rc;
}

/* done: scores, of all routers. */
static void tell(const struct scoring *x, uint64_t done)
{
    job_report(x->c, done, x->routers * x->count, done * x->prefix, x->began);
}

static int score_router(struct scoring *x, struct reader *m, uint32_t router, uint64_t first,
                        uint64_t count, struct err *e)
{
    struct job_block block = {0};
    for (uint64_t at = 0, n; at < count; at += n) {
        n = job_block_next(&block, count - at, SCORE_BLOCK);
        int rc = job_poll(x->c, e);
        if (!rc) {
            rc = engine_scores(m->engine, m->parameters, x->tokens + at * x->prefix, (uint32_t)n,
                               x->prefix, x->prefix, x->cumulative, e);
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
                               router, first + at + i);
            }
            x->scores[(first + at + i) * x->routers + router] = score;
        }
        tell(x, first * x->routers + router * count + at + n);
    }
    return 0;
}

static void score_random(struct scoring *x, uint64_t first, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        for (uint32_t k = 0; k < x->routers; k++) {
            x->scores[(first + i) * x->routers + k] =
                scores_random(x->c->spec->seed, x->tokens + i * x->prefix, x->prefix, k);
        }
    }
}

static int score_all(struct scoring *x, const struct msg_grant *g, struct err *e)
{
    const bool random = x->c->spec->router.mode == SPEC_RANDOM;
    struct reader m = {0};
    int rc = random ? 0 : reader_open(&m, x->c, g, TARGET_ROUTER, e);
    for (uint64_t at = 0, n; !rc && at < x->count; at += n) {
        n = x->count - at < x->stretch ? x->count - at : x->stretch;
        rc = read_stretch(x, at, n, e);
        if (!rc && random) {
            score_random(x, at, n);
        }
        for (uint32_t k = 0; !rc && !random && k < x->routers; k++) {
            rc = reader_load(&m, x->c, g, k, e);
            if (!rc) {
                rc = score_router(x, &m, k, at, n, e);
            }
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
        x.stretch = SCORE_TOKENS / x.prefix < x.count ? SCORE_TOKENS / x.prefix : x.count;
        x.tokens = malloc(x.stretch * x.prefix * sizeof *x.tokens);
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
