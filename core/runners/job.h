/* What a runner gets and gives. A job is a deterministic function of its inputs: files that are in
 * the cache already; its outputs are files that are uploaded later. So no runner talks to anyone.
 */
#ifndef TACIT_CORE_RUNNERS_JOB_H
#define TACIT_CORE_RUNNERS_JOB_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include "core/base/digest.h"
#include "core/base/err.h"
#include "core/protocol/messages.h"
#include "core/protocol/spec.h"

struct kept; /* engines and weights in memory between jobs: kept.h */
struct pace; /* how often a model is saved: pace.h */

/* Shared with the heartbeat's thread. */
struct job_progress {
    _Atomic uint64_t step, total;
    _Atomic double loss, rate; /* NaN: none yet; tokens a second */
    _Atomic int phase;         /* enum job_phase */
    atomic_bool abandon;       /* the lease is another's: stop, nothing is to be saved */
    /* The learning curve of this attempt: the job's thread adds points, and what is below
     * point_count does not change any more. */
    struct msg_point points[PROTOCOL_CURVE_MAX];
    _Atomic uint32_t point_count;
    atomic_bool hand_over; /* save, and stop: another is to go on, or nobody for now */
};

/* What whoever runs a job hears of it on the way. Called on the runner's thread. */
struct job_watch {
    /* A local save was made, which took so long; content: of its state. */
    void (*saved)(void *arg, uint64_t step, const struct digest *content, double seconds);
    /* Something could not be written. waits: the job can't go on without, so the callee makes room
     * or waits for a while, and returns whether to try again; else the job goes on. */
    bool (*trouble)(void *arg, const struct err *e, bool waits);
    void *arg;
};

struct job_context {
    const struct run_spec *spec;
    const char *const *inputs; /* paths of grant->inputs, in their order */
    const char *dir;           /* the job's own folder: local saves and outputs; a job that was
                                  interrupted finds it as it left it */
    struct kept *kept;
    struct job_progress *progress;
    struct pace *pace;             /* NULL: saves as the spec says alone */
    const struct job_watch *watch; /* may be NULL */
};

struct job_output {
    struct msg_blob blob;
    char *path; /* owned */
};

struct job_result {
    struct job_output *outputs; /* owned */
    uint32_t count, capacity;
    double loss; /* mean of the last steps; NaN for jobs without one */
    double seconds;
    uint64_t tokens;
    uint64_t saved_step; /* after ERR_STOPPED: the outputs are a model and state at this step, from
                            which the job can go on elsewhere; 0: there are none */
};

/* Runs the job. ERR_STOPPED where a stop was requested (saved, where there was something to save)
 * or the lease is gone; ERR_NOT_FINITE: a failure of the run's settings. r is initialised here;
 * free it with job_result_free, also after an error. */
TACIT_MUST_CHECK int job_run(struct job_context *c, const struct msg_grant *g, struct job_result *r,
                             struct err *e);
void job_result_free(struct job_result *r);

typedef int job_runner_fn(struct job_context *c, const struct msg_grant *g, struct job_result *r,
                          struct err *e);
job_runner_fn run_train_router, run_score, run_segment, run_train, run_eval;

/* --- for runners -------------------------------------------------------------------------------
 */

/* 0, or ERR_STOPPED: polled in every loop. */
TACIT_MUST_CHECK int job_poll(const struct job_context *c, struct err *e);
/* How much is done between two polls: what takes about a second here, be the machine fast or slow,
 * so that a stop is seen within its grace, and progress as long as there is some. Zeroed at first.
 */
struct job_block {
    uint32_t size;
    double began;
};
/* The size of the next block, of at most `most` and what is left; the last one has been done. */
uint32_t job_block_next(struct job_block *b, uint64_t left, uint32_t most);
/* done of total units, and the rate since `began` (env_monotonic_s) at which `tokens` were done. */
void job_report(const struct job_context *c, uint64_t done, uint64_t total, uint64_t tokens,
                double began);
/* Path of the nth input of a role and index (UINT64_MAX: any); NULL where there is none. */
const char *job_input(const struct job_context *c, const struct msg_grant *g, int role,
                      uint64_t index, const struct msg_blob **blob);
/* Adds an output that has been written to path (copied) and whose blob facts are known. */
TACIT_MUST_CHECK int job_add_output(struct job_result *r, const struct msg_blob *blob,
                                    const char *path, struct err *e);
/* Heap string: the job's folder and a name. NULL without memory. */
char *job_path(const struct job_context *c, const char *name);
/* Writes len bytes as an output of this role and index. */
TACIT_MUST_CHECK int job_write_output(const struct job_context *c, struct job_result *r,
                                      const struct msg_blob *facts, const char *name,
                                      const void *data, size_t len, struct err *e);

#endif
