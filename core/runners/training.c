#include "core/runners/training.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "core/runners/kept.h"
#include "core/runners/pace.h"
#include "core/runners/saves.h"
#include "core/checkpoint/checkpoint.h"
#include "core/env/clock.h"
#include "core/mixture/draw.h"
#include "core/model/schedule.h"

#define ADAM_EPSILON 1e-8 /* AdamW's usual one; the paper names none */
#define LOSS_STEPS 50     /* the reported loss is the mean of so many last steps */
#define POLL_TOKENS 4096  /* progress is told about so often, and at every step of larger ones */
#define BATCH_SHOWN 8     /* sequences of a bad batch that an error names */

struct loop {
    const struct job_context *c;
    const struct msg_grant *g;
    const struct training *t;
    struct engine *engine;
    struct weights *w;
    uint32_t *tokens;
    uint64_t done, saved;                               /* steps, over the model's whole training */
    double saved_s;                                     /* when the last save was tried */
    struct checkpoint_digests saved_model, saved_state; /* bytes 0: of an earlier process */
    double losses[LOSS_STEPS];
    uint64_t loss_count;
    double curve_sum; /* of the losses since the curve's last point */
    uint64_t curve_count;
};

/* --- where it starts from -----------------------------------------------------------------------
 */

/* A checkpoint with a NaN is a bad file, not a failure of the run's settings. */
static int load_error(int rc, const char *what, struct err *e)
{
    if (rc == ERR_NOT_FINITE && e) {
        e->code = ERR_FORMAT;
        rc = ERR_FORMAT;
    }
    if (rc) {
        err_prefix(e, "%s to go on from", what);
    }
    return rc;
}

/* The step that the grant goes on from: the job's first, or, where it was handed over, a later one.
 */
static uint64_t first_step(const struct loop *l)
{
    return l->g->resume_step ? l->g->resume_step : l->t->first;
}

/* The model and state that the grant names: of the job's start, or, where it was handed over, of a
 * step on its way. */
static int load_inputs(struct loop *l, struct err *e)
{
    struct weights *w = l->w;
    uint64_t step = first_step(l);
    uint64_t cursor = l->g->resume_step ? step - l->t->first : 0;
    const struct msg_blob *model_blob = NULL, *state_blob = NULL;
    const char *model = job_input(l->c, l->g, ROLE_MODEL, UINT64_MAX, &model_blob);
    const char *state = job_input(l->c, l->g, ROLE_STATE, UINT64_MAX, &state_blob);
    if (!model || !state) {
        return err_set(e, ERR_INVALID, "the grant has no model and state to go on from");
    }
    if (digest_equal(&w->model, &model_blob->content) &&
        digest_equal(&w->state, &state_blob->content)) {
        return 0; /* the last job left them in memory */
    }
    struct checkpoint_position p;
    struct digest named;
    w->model = w->state = (struct digest){{0}};
    int rc = checkpoint_model_load(model, &w->config, w->parameters, &w->model, e);
    if (rc) {
        return load_error(rc, "model", e);
    }
    rc = checkpoint_state_load(state, &w->config, w->optimizer, w->moment1, w->moment2, &p, &named,
                               &w->state, e);
    if (rc) {
        return load_error(rc, "state", e);
    }
    if (!digest_equal(&named, &w->model) || p.step != step ||
        (l->g->resume_step && p.round_step != cursor) || p.stream != l->t->stream ||
        !digest_equal(&p.spec, &l->g->spec)) {
        return err_set(e, ERR_INVALID,
                       "the state to go on from (step %" PRIu64 ") does not belong to this job",
                       p.step);
    }
    return 0;
}

static int start_from(struct loop *l, struct err *e)
{
    const struct training *t = l->t;
    struct weights *w = l->w;
    struct checkpoint_position like = {.stream = t->stream, .spec = l->g->spec}, p;
    bool found = false;
    l->done = l->saved = t->first;
    uint64_t from = first_step(l);
    if (l->g->resume_step && (from <= t->first || from >= t->last)) {
        return err_set(e, ERR_INVALID, "a save at step %" PRIu64 " is not of this job", from);
    }
    if (from > 0 && job_input(l->c, l->g, ROLE_MODEL, UINT64_MAX, NULL) == NULL) {
        return err_set(e, ERR_INVALID, "the grant has no model to go on from");
    }
    /* Looking for a save overwrites the arrays only where there is one. */
    int rc = saves_load(l->c->dir, &like, from, t->last, w, &p, &found, e);
    if (rc) {
        return rc;
    }
    if (found) {
        l->done = l->saved = p.step;
        return 0;
    }
    if (from > 0) {
        l->done = l->saved = from;
        return load_inputs(l, e);
    }
    w->model = w->state = (struct digest){{0}};
    model_init(&t->config, l->c->spec->seed, t->stream, w->parameters);
    optimizer_clear(w->optimizer, &w->config, w->moment1, w->moment2);
    return 0;
}

/* --- steps --------------------------------------------------------------------------------------
 */

static uint64_t sequence_at(const struct loop *l, uint64_t step, uint32_t j)
{
    const struct training *t = l->t;
    uint64_t position = t->position_first + (step - t->first) * t->batch + j;
    uint64_t i =
        draw_batch_index(l->c->spec->seed, t->stream, t->passes_before, t->share, position);
    return t->own ? t->own[i] : i;
}

static int read_batch(struct loop *l, uint64_t step, struct err *e)
{
    const struct training *t = l->t;
    int rc = 0;
    for (uint32_t j = 0; !rc && j < t->batch; j++) {
        rc = sequences_tokens(t->sequences, sequence_at(l, step, j), t->length,
                              l->tokens + (size_t)j * t->length, e);
    }
    return rc;
}

/* Names step and batch, so that a person can look at what was trained on. */
static int not_finite(const struct loop *l, uint64_t step, struct err *e)
{
    char batch[256] = "";
    size_t at = 0;
    uint32_t n = l->t->batch < BATCH_SHOWN ? l->t->batch : BATCH_SHOWN;
    for (uint32_t j = 0; j < n; j++) {
        at += (size_t)snprintf(batch + at, sizeof batch - at, "%s%" PRIu64, j ? ", " : "",
                               sequence_at(l, step, j));
    }
    return err_set(e, ERR_NOT_FINITE,
                   "the loss is not a finite number at step %" PRIu64
                   " (batch of %u sequences: %s%s "
                   "of its own data); lower the learning rate or the gradient clip, or warm up "
                   "longer",
                   step + 1, l->t->batch, batch, n < l->t->batch ? ", …" : "");
}

/* A point wherever a window of steps ends, of which the whole training has PROTOCOL_CURVE_MAX at
 * most, and at the job's end. */
static void add_to_curve(struct loop *l, double loss)
{
    struct job_progress *p = l->c->progress;
    uint64_t window = (l->g->steps + PROTOCOL_CURVE_MAX - 1) / PROTOCOL_CURVE_MAX;
    uint32_t n = atomic_load_explicit(&p->point_count, memory_order_relaxed);
    l->curve_sum += loss;
    l->curve_count++;
    if ((l->done % (window ? window : 1) != 0 && l->done != l->t->last) ||
        n == PROTOCOL_CURVE_MAX) {
        return;
    }
    p->points[n] = (struct msg_point){l->done, l->curve_sum / (double)l->curve_count};
    atomic_store_explicit(&p->point_count, n + 1, memory_order_release);
    l->curve_sum = 0;
    l->curve_count = 0;
}

static int one_step(struct loop *l, struct err *e)
{
    const struct training *t = l->t;
    uint64_t step = l->done;
    double loss, norm;
    int rc = read_batch(l, step, e);
    if (rc) {
        return rc;
    }
    struct engine_step o = {
        .learning_rate = t->schedule_steps > 0
                             ? schedule_cosine(step + 1 - t->schedule_first,
                                               t->schedule_steps - t->schedule_first, t->warmup,
                                               t->learning_rate)
                             : schedule_constant(step + 1, t->warmup, t->learning_rate),
        .beta1 = l->c->spec->expert.beta1,
        .beta2 = l->c->spec->expert.beta2,
        .epsilon = ADAM_EPSILON,
        .weight_decay = l->c->spec->expert.weight_decay,
        .grad_clip = t->grad_clip,
        .step = step + 1,
    };
    l->w->model = l->w->state = (struct digest){{0}}; /* also where the step fails half-way */
    rc = engine_train_step(l->engine, l->w->parameters, l->w->moment1, l->w->moment2, l->tokens,
                           t->batch, t->length, &o, &loss, &norm, e);
    if (rc) {
        return rc == ERR_NOT_FINITE ? not_finite(l, step, e) : rc;
    }
    l->losses[l->loss_count++ % LOSS_STEPS] = loss;
    l->done = step + 1;
    add_to_curve(l, loss);
    return 0;
}

static double mean_loss(const struct loop *l)
{
    uint64_t n = l->loss_count < LOSS_STEPS ? l->loss_count : LOSS_STEPS;
    double sum = 0;
    for (uint64_t i = 0; i < n; i++) {
        sum += l->losses[i];
    }
    return n ? sum / (double)n : NAN;
}

/* Where it fails, the save before stays good: the job goes on, and tries again when the next is
 * due. */
static int save(struct loop *l, struct err *e)
{
    struct checkpoint_position p = {.step = l->done,
                                    .round_step = l->done - l->t->first,
                                    .stream = l->t->stream,
                                    .spec = l->g->spec};
    const struct job_watch *watch = l->c->watch;
    struct job_progress *progress = l->c->progress;
    double began = env_monotonic_s();
    atomic_store_explicit(&progress->phase, PHASE_SAVING, memory_order_relaxed);
    struct checkpoint_digests model, state;
    int rc = saves_write(l->c->dir, l->w, &p, &model, &state, e);
    atomic_store_explicit(&progress->phase, PHASE_RUNNING, memory_order_relaxed);
    l->saved_s = env_monotonic_s();
    if (rc) {
        err_prefix(e, "local save at step %" PRIu64, l->done);
        if (watch) {
            (void)watch->trouble(watch->arg, e, false);
        }
        return rc;
    }
    l->saved = l->done;
    l->saved_model = model;
    l->saved_state = state;
    if (l->c->pace) {
        pace_saved(l->c->pace, l->saved_s - began);
    }
    if (watch) {
        watch->saved(watch->arg, l->done, &l->saved_state.content, l->saved_s - began);
    }
    return 0;
}

static bool save_is_due(const struct loop *l)
{
    uint64_t every = l->c->spec->checkpoint.every_steps;
    if (l->done >= l->t->last) {
        return false;
    }
    return (every > 0 && l->done % every == 0) ||
           (l->c->pace && env_monotonic_s() - l->saved_s >= pace_interval_s(l->c->pace));
}

static struct msg_blob blob_of(const struct loop *l, int role, const struct checkpoint_digests *d)
{
    return (struct msg_blob){.role = role,
                             .index = l->t->index,
                             .digest = d->blob,
                             .content = d->content,
                             .bytes = d->bytes};
}

/* The newest save as what the job gives, for whoever goes on with it. */
static int give_save(struct loop *l, struct job_result *r, struct err *e)
{
    struct msg_blob blobs[2] = {blob_of(l, ROLE_MODEL, &l->saved_model),
                                blob_of(l, ROLE_STATE, &l->saved_state)};
    static const char *const what[2] = {"model", "state"};
    int rc = 0;
    for (int i = 0; !rc && i < 2; i++) {
        char *path = NULL;
        rc = saves_path(l->c->dir, l->saved, what[i], &path, e);
        if (!rc && blobs[i].bytes == 0) { /* an earlier process wrote it, and it was loaded */
            rc = saves_digest(path, &blobs[i].digest, &blobs[i].bytes, e);
            blobs[i].content = i == 0 ? l->w->model : l->w->state;
        }
        if (!rc) {
            rc = job_add_output(r, &blobs[i], path, e);
        }
        free(path);
    }
    r->saved_step = rc ? 0 : l->saved;
    return rc;
}

/* A stop saves what is done since the last save, if need be and possible; a lost lease needs
 * nothing of it. */
static int stopped(struct loop *l, struct job_result *r, struct err *e)
{
    struct err failed = {0};
    int rc = e->code;
    if (atomic_load(&l->c->progress->abandon)) {
        return rc;
    }
    if (l->done > l->saved) {
        (void)!save(l, &failed); /* the watch was told; the one before is good */
    }
    bool whole = l->saved_model.bytes > 0 || l->saved == l->done;
    if (l->saved > first_step(l) && whole && give_save(l, r, &failed)) {
        r->saved_step = 0;
    }
    return rc;
}

static int steps(struct loop *l, struct job_result *r, struct err *e)
{
    const struct training *t = l->t;
    struct job_progress *p = l->c->progress;
    uint64_t began_at = l->done;
    uint64_t a_step = (uint64_t)t->batch * t->length, told = l->done;
    double began = env_monotonic_s();
    int rc = 0;
    l->saved_s = began;
    while (l->done < t->last) {
        rc = job_poll(l->c, e);
        if (rc) {
            return stopped(l, r, e);
        }
        rc = one_step(l, e);
        if (rc) {
            return rc;
        }
        if ((l->done - told) * a_step >= POLL_TOKENS) {
            told = l->done;
            job_report(l->c, l->done, l->g->steps, (l->done - began_at) * a_step, began);
            atomic_store_explicit(&p->loss, mean_loss(l), memory_order_relaxed);
        }
        struct err failed = {0};
        if (save_is_due(l)) {
            (void)!save(l, &failed);
        }
    }
    return 0;
}

/* --- what it gives ------------------------------------------------------------------------------
 */

/* The cursor of what is published is 0, whatever the length of the link: where a link ends changes
 * no bit. Outputs need not survive a crash: the coordinator makes them durable before they count,
 * and the local save is what a job goes on from. */
static int write_outputs(struct loop *l, struct job_result *r, struct err *e)
{
    const struct training *t = l->t;
    struct weights *w = l->w;
    struct checkpoint_digests dm, ds;
    struct checkpoint_position p = {.step = t->last, .stream = t->stream, .spec = l->g->spec};
    char *model = job_path(l->c, "model.tar.zst"), *state = job_path(l->c, "state.tar.zst");
    atomic_store_explicit(&l->c->progress->phase, PHASE_SAVING, memory_order_relaxed);
    int rc = model && state ? 0 : err_set(e, ERR_NO_MEMORY, "no memory for a path");
    if (!rc) {
        rc = checkpoint_model_write(model, false, &w->config, w->parameters, &dm, e);
    }
    if (!rc) {
        rc = checkpoint_state_write(state, false, &w->config, w->optimizer, w->moment1, w->moment2,
                                    &p, &dm.content, &ds, e);
    }
    if (!rc) {
        struct msg_blob m = blob_of(l, ROLE_MODEL, &dm), s = blob_of(l, ROLE_STATE, &ds);
        rc = job_add_output(r, &m, model, e);
        if (!rc) {
            rc = job_add_output(r, &s, state, e);
        }
        w->model = dm.content;
        w->state = ds.content;
    }
    free(model);
    free(state);
    return rc;
}

int training_run(const struct job_context *c, const struct msg_grant *g, const struct training *t,
                 struct job_result *r, struct err *e)
{
    struct loop l = {.c = c, .g = g, .t = t};
    const struct engine_options o = {
        .arithmetic = spec_engine_arithmetic(c->spec), .train = true, .optimizer = t->optimizer};
    atomic_store(&c->progress->point_count, 0); /* a job that is tried again begins it anew */
    l.tokens = malloc((size_t)t->batch * t->length * sizeof *l.tokens);
    int rc = l.tokens ? 0 : err_set(e, ERR_NO_MEMORY, "no memory for a batch");
    if (!rc) {
        rc = kept_engine(c->kept, &t->config, &o, &l.engine, e);
    }
    if (!rc) {
        rc = kept_weights(c->kept, &t->config, t->optimizer, &l.w, e);
    }
    if (!rc) {
        rc = start_from(&l, e);
    }
    if (!rc) {
        rc = steps(&l, r, e);
    }
    if (!rc) {
        rc = write_outputs(&l, r, e);
    }
    while (rc == ERR_NO_SPACE && c->watch && c->watch->trouble(c->watch->arg, e, true)) {
        rc = write_outputs(&l, r, e); /* what was trained is in memory alone */
    }
    r->loss = mean_loss(&l);
    r->tokens = (t->last - t->first) * t->batch * t->length;
    free(l.tokens);
    return rc;
}
