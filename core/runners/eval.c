/* What an evaluation keeps of one model for every held-out sequence: a router's cumulative scores
 * over the prefix, a model's losses over all predictions and over those after the prefix. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include "core/runners/models.h"
#include "core/runners/sequences.h"
#include "core/env/clock.h"
#include "core/mixture/evalblob.h"
#include "core/mixture/scores.h"

#define EVAL_BLOCK 64 /* sequences between two polls, at most */

struct evaluation {
    const struct job_context *c;
    const struct msg_grant *g;
    struct sequences sequences;
    struct reader model; /* engine NULL: the random control's routers */
    uint32_t prefix, length;
    size_t row;
    uint32_t *tokens;
    float *cumulative;
    double all[EVAL_BLOCK], after[EVAL_BLOCK];
    uint8_t *rows;
    double loss; /* sum over all predictions */
};

/* The last column is what random routing scores in training; those before are a shorter prefix's.
 */
static void random_rows(struct evaluation *x, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        float *row = x->cumulative + (size_t)i * x->prefix;
        row[0] = 0;
        for (uint32_t s = 1; s < x->prefix; s++) {
            row[s] = scores_random(x->c->spec->seed, x->tokens + (size_t)i * x->length, s + 1,
                                   (uint32_t)x->g->index);
        }
    }
}

static int router_rows(struct evaluation *x, uint32_t n, struct err *e)
{
    int rc = 0;
    if (x->model.engine) {
        rc = engine_scores(x->model.engine, x->model.parameters, x->tokens, n, x->length, x->prefix,
                           x->cumulative, e);
    } else {
        random_rows(x, n);
    }
    for (uint32_t i = 0; !rc && i < n; i++) {
        evalblob_router_row_write(x->rows + i * x->row, x->cumulative + (size_t)i * x->prefix,
                                  x->prefix);
    }
    return rc;
}

static int model_rows(struct evaluation *x, uint32_t n, struct err *e)
{
    int rc = engine_losses(x->model.engine, x->model.parameters, x->tokens, n, x->length, x->prefix,
                           x->all, x->after, e);
    for (uint32_t i = 0; !rc && i < n; i++) {
        if (!isfinite(x->all[i])) {
            return err_set(e, ERR_NOT_FINITE,
                           "the model of step %" PRIu64 " has no finite loss on held-out text; "
                           "lower the learning rate",
                           x->g->step_last);
        }
        evalblob_model_row_write(x->rows + i * x->row, x->all[i], x->after[i]);
        x->loss += x->all[i];
    }
    return rc;
}

static int write_rows(struct evaluation *x, struct env_file_new *f, struct digest_state *digest,
                      struct err *e)
{
    double began = env_monotonic_s();
    bool router = x->g->target == TARGET_ROUTER;
    struct job_block block = {0};
    for (uint64_t at = 0; at < x->sequences.total;) {
        uint32_t n = job_block_next(&block, x->sequences.total - at, EVAL_BLOCK);
        int rc = job_poll(x->c, e);
        for (uint32_t i = 0; !rc && i < n; i++) {
            rc = sequences_tokens(&x->sequences, at + i, x->length,
                                  x->tokens + (size_t)i * x->length, e);
        }
        if (!rc) {
            rc = router ? router_rows(x, n, e) : model_rows(x, n, e);
        }
        if (!rc) {
            digest_update(digest, x->rows, n * x->row);
            rc = env_file_new_write(f, x->rows, n * x->row, e);
        }
        if (rc) {
            return rc;
        }
        at += n;
        job_report(x->c, at, x->sequences.total, at * x->length, began);
    }
    return 0;
}

static int write_blob(struct evaluation *x, const char *path, struct job_result *r, struct err *e)
{
    struct env_file_new f;
    struct digest_state digest;
    uint8_t header[EVALBLOB_HEADER];
    bool router = x->g->target == TARGET_ROUTER;
    int rc = env_file_new_open(&f, path, 0600, e);
    if (rc) {
        return rc;
    }
    f.passing = true;
    evalblob_header_write(header, router ? EVALBLOB_ROUTER : EVALBLOB_MODEL, x->sequences.total,
                          x->prefix);
    digest_init(&digest);
    digest_update(&digest, header, sizeof header);
    rc = env_file_new_write(&f, header, sizeof header, e);
    if (!rc) {
        rc = write_rows(x, &f, &digest, e);
    }
    if (!rc) {
        rc = env_file_new_commit(&f, e);
    }
    if (rc) {
        env_file_new_abandon(&f);
        return rc;
    }
    struct msg_blob blob = {.role = ROLE_EVAL,
                            .index = x->g->index,
                            .bytes = sizeof header + x->sequences.total * x->row};
    digest_final(&digest, &blob.digest);
    return job_add_output(r, &blob, path, e);
}

static int prepare(struct evaluation *x, struct err *e)
{
    bool router = x->g->target == TARGET_ROUTER;
    x->prefix = x->c->spec->router.prefix;
    x->length = router ? x->prefix : (uint32_t)x->g->seq;
    x->row = router ? x->prefix * sizeof(float) : 2 * sizeof(double);
    x->tokens = malloc((size_t)EVAL_BLOCK * x->length * sizeof *x->tokens);
    x->cumulative = malloc((size_t)EVAL_BLOCK * x->prefix * sizeof *x->cumulative);
    x->rows = malloc(EVAL_BLOCK * x->row);
    if (!x->tokens || !x->cumulative || !x->rows) {
        return err_set(e, ERR_NO_MEMORY, "no memory for an evaluation");
    }
    int rc = sequences_of_shards(&x->sequences, x->c, x->g, 0, e);
    if (!rc && x->sequences.total == 0) {
        rc = err_set(e, ERR_INVALID, "no held-out sequences to evaluate on");
    }
    if (!rc && !(router && x->c->spec->router.mode == SPEC_RANDOM)) {
        rc = reader_open(&x->model, x->c, x->g, x->g->target, e);
        if (!rc) {
            rc = reader_load(&x->model, x->c, x->g, UINT64_MAX, e);
        }
    }
    return rc;
}

int run_eval(struct job_context *c, const struct msg_grant *g, struct job_result *r, struct err *e)
{
    struct evaluation x = {.c = c, .g = g};
    char *path = job_path(c, "eval");
    int rc = path ? prepare(&x, e) : err_set(e, ERR_NO_MEMORY, "no memory for a path");
    if (!rc) {
        rc = write_blob(&x, path, r, e);
    }
    if (!rc) {
        r->tokens = x.sequences.total * x.length;
        if (g->target != TARGET_ROUTER) {
            r->loss = x.loss / ((double)x.sequences.total * (x.length - 1));
        }
    }
    sequences_close(&x.sequences);
    free(x.tokens);
    free(x.cumulative);
    free(x.rows);
    free(path);
    return rc;
}
