#include "core/runners/job.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "core/env/clock.h"
#include "core/env/file.h"
#include "core/env/process.h"

int job_run(struct job_context *c, const struct msg_grant *g, struct job_result *r, struct err *e)
{
    job_runner_fn *run = NULL;
    *r = (struct job_result){.loss = NAN};
    switch (g->kind) {
    case JOB_TRAIN_ROUTER:
        run = run_train_router;
        break;
    case JOB_SCORE:
        run = run_score;
        break;
    case JOB_SEGMENT:
        run = run_segment;
        break;
    case JOB_TRAIN:
        run = run_train;
        break;
    case JOB_EVAL:
        run = run_eval;
        break;
    default:
        return err_set(e, ERR_INVALID, "jobs of kind %d are not an agent's", g->kind);
    }
    double began = env_monotonic_s();
    int rc = env_dir_make(c->dir, e);
    if (!rc) {
        rc = run(c, g, r, e);
    }
    r->seconds = env_monotonic_s() - began;
    return rc;
}

void job_result_free(struct job_result *r)
{
    for (uint32_t i = 0; i < r->count; i++) {
        free(r->outputs[i].path);
    }
    free(r->outputs);
    *r = (struct job_result){.loss = NAN};
}

int job_poll(const struct job_context *c, struct err *e)
{
    if (atomic_load_explicit(&c->progress->abandon, memory_order_relaxed)) {
        return err_set(e, ERR_STOPPED,
                       "the job was given to another agent or cancelled, or is to start again "
                       "from its last save");
    }
    if (env_stop_requested()) {
        return err_set(e, ERR_STOPPED, "a stop was requested");
    }
    if (atomic_load_explicit(&c->progress->hand_over, memory_order_relaxed)) {
        return err_set(e, ERR_STOPPED, "the coordinator wants the job back");
    }
    return 0;
}

#define BLOCK_FIRST 4
#define BLOCK_SHORT_S 0.5
#define BLOCK_LONG_S 2.0

uint32_t job_block_next(struct job_block *b, uint64_t left, uint32_t most)
{
    double now = env_monotonic_s(), took = now - b->began;
    if (b->size == 0) {
        b->size = BLOCK_FIRST;
    } else if (took < BLOCK_SHORT_S && b->size < most) {
        b->size *= 2;
    } else if (took > BLOCK_LONG_S && b->size > 1) {
        b->size /= 2;
    }
    b->size = b->size < most ? b->size : most;
    b->began = now;
    return left < b->size ? (uint32_t)left : b->size;
}

void job_report(const struct job_context *c, uint64_t done, uint64_t total, uint64_t tokens,
                double began)
{
    double seconds = env_monotonic_s() - began;
    atomic_store_explicit(&c->progress->step, done, memory_order_relaxed);
    atomic_store_explicit(&c->progress->total, total, memory_order_relaxed);
    if (seconds > 0 && tokens > 0) {
        atomic_store_explicit(&c->progress->rate, (double)tokens / seconds, memory_order_relaxed);
    }
}

const char *job_input(const struct job_context *c, const struct msg_grant *g, int role,
                      uint64_t index, const struct msg_blob **blob)
{
    for (uint32_t i = 0; i < g->input_count; i++) {
        if (g->inputs[i].role == role && (index == UINT64_MAX || g->inputs[i].index == index)) {
            if (blob) {
                *blob = &g->inputs[i];
            }
            return c->inputs[i];
        }
    }
    return NULL;
}

int job_add_output(struct job_result *r, const struct msg_blob *blob, const char *path,
                   struct err *e)
{
    if (r->count == r->capacity) {
        uint32_t more = r->capacity ? 2 * r->capacity : 4;
        struct job_output *grown = reallocarray(r->outputs, more, sizeof *grown);
        if (!grown) {
            return err_set(e, ERR_NO_MEMORY, "no memory for the outputs of a job");
        }
        r->outputs = grown;
        r->capacity = more;
    }
    struct job_output *o = &r->outputs[r->count];
    o->blob = *blob;
    o->path = strdup(path);
    if (!o->path) {
        return err_set(e, ERR_NO_MEMORY, "no memory for the outputs of a job");
    }
    r->count++;
    return 0;
}

char *job_path(const struct job_context *c, const char *name)
{
    return env_path_join(c->dir, name);
}

int job_write_output(const struct job_context *c, struct job_result *r,
                     const struct msg_blob *facts, const char *name, const void *data, size_t len,
                     struct err *e)
{
    char *path = job_path(c, name);
    if (!path) {
        return err_set(e, ERR_NO_MEMORY, "no memory for a path");
    }
    struct msg_blob blob = *facts;
    blob.bytes = len;
    digest_of(data, len, &blob.digest);
    struct env_file_new f;
    int rc = env_file_new_open(&f, path, 0600, e);
    f.passing = true; /* durable once it is in the store */
    if (!rc) {
        rc = env_file_new_write(&f, data, len, e);
    }
    if (!rc) {
        rc = env_file_new_commit(&f, e);
    }
    env_file_new_abandon(&f);
    if (!rc) {
        rc = job_add_output(r, &blob, path, e);
    }
    free(path);
    return rc;
}
