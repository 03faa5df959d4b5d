/* A coordinator without its network: real database files, the real rules of runs, an injected
 * clock, and agents that say what a test tells them to. */
#ifndef TACIT_TESTS_COORDINATOR_LEASE_LEASE_WORLD_H
#define TACIT_TESTS_COORDINATOR_LEASE_LEASE_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "core/protocol/spec.h"
#include "coordinator/lease/lease_clock.h"
#include "coordinator/lease/lease_tick.h"
#include "coordinator/run/advance.h"
#include "coordinator/run/works.h"
#include "coordinator/store/blobs.h"
#include "coordinator/store/conn.h"
#include "coordinator/store/ops.h"
#include "tests/coordinator/run/corpus_run.h"
#include "tests/coordinator/store/store_check.h"
#include "tests/coordinator/store/temp_dir.h"

struct world {
    char dir[64];
    struct service service;
    struct arena arena;
    int64_t now_ms;
    uint64_t woken; /* jobs told to jobs_ready */
    uint64_t ready; /* of the last call */
    uint64_t run, other, agents[3];
    const char *spec;
    char token[PROTOCOL_TOKEN_MAX];
    bool unchecked; /* results come as if nobody had looked at them */
};

static inline void jobs_ready(void *arg, uint64_t jobs)
{
    ((struct world *)arg)->woken += jobs;
}

static inline void start(struct world *w)
{
    struct store_options o = {.lock_ms = 0, .stepped = true};
    OK(store_open_with(&w->service.store, w->dir, &o, &err));
    OK(lease_clock_create(&w->service.leases, &err));
    w->service.dir = w->dir;
    w->service.jobs_ready = jobs_ready;
    w->service.jobs_ready_arg = w;
}

static inline void stop(struct world *w)
{
    store_close(w->service.store);
    lease_clock_destroy(w->service.leases);
}

/* A call as the API makes it: in the writer's transaction, or on a reader's snapshot. */
struct request {
    call_fn *fn;
    struct call call;
    const void *in;
    void *out;
};

static inline int request_fn(struct store_conn *c, void *arg, struct err *e)
{
    struct request *r = arg;
    r->call.conn = c;
    r->call.ready = 0;
    return r->fn(&r->call, r->in, r->out, e);
}

static inline int request(struct world *w, call_fn *fn, uint64_t agent, uint64_t job,
                          const void *in, void *out)
{
    struct request r = {.fn = fn, .in = in, .out = out};
    r.call = (struct call){.service = &w->service,
                           .arena = &w->arena,
                           .caller = CALLER_AGENT,
                           .agent = agent,
                           .id = job,
                           .checked = !w->unchecked,
                           .now_ms = w->now_ms,
                           .wall_ms = 1700000000000 + w->now_ms};
    int rc;
    if (fn == lease_heartbeat) {
        struct store_conn *c;
        OK(store_read_begin(w->service.store, &c, &err));
        rc = request_fn(c, &r, &err);
        store_read_end(w->service.store, c);
    } else {
        rc = store_write_wait(w->service.store, request_fn, &r, &err);
    }
    w->ready = r.call.ready;
    return rc;
}

static inline int join(struct world *w, char letter, uint64_t *agent)
{
    char identity[65];
    struct msg_joined joined;
    memset(identity, letter, 64);
    identity[64] = 0;
    struct msg_join m = {.identity = identity, .name = "machine", .threads = 1};
    int rc = request(w, lease_join, 0, 0, &m, &joined);
    if (!rc) {
        *agent = joined.agent;
        strcpy(w->token, joined.token);
    }
    return rc;
}

static inline int claim(struct world *w, int agent, struct msg_grant *g)
{
    struct msg_claim m = {0};
    return request(w, lease_claim, w->agents[agent], 0, &m, g);
}

static inline int heartbeat(struct world *w, int agent, const struct msg_grant *g, int *command)
{
    struct msg_heartbeat m = {.fence = g->fence, .step = 7, .total = 10, .loss = 2.5, .rate = NAN};
    struct msg_command out = {.command = -1};
    int rc = request(w, lease_heartbeat, w->agents[agent], g->job, &m, &out);
    *command = out.command;
    return rc;
}

static inline int fail_job(struct world *w, int agent, const struct msg_grant *g, const char *error,
                           bool settings)
{
    struct msg_fail m = {.fence = g->fence, .error = error, .settings = settings};
    struct msg_empty out;
    return request(w, lease_fail, w->agents[agent], g->job, &m, &out);
}

static inline int release(struct world *w, int agent, const struct msg_grant *g)
{
    struct msg_release m = {.fence = g->fence};
    struct msg_empty out;
    return request(w, lease_release, w->agents[agent], g->job, &m, &out);
}

/* Outputs of a training link; number makes them differ. */
static inline void make_outputs(struct world *w, unsigned number, struct msg_blob out[2])
{
    char text[32];
    for (int i = 0; i < 2; i++) {
        int len = snprintf(text, sizeof text, "blob %u of %d", number, i);
        out[i] = (struct msg_blob){.role = i ? ROLE_STATE : ROLE_MODEL, .bytes = (uint64_t)len};
        OK(blob_put(w->service.store, text, (uint64_t)len, &out[i].digest, &err));
        out[i].content = out[i].digest;
    }
}

static inline int complete(struct world *w, int agent, const struct msg_grant *g,
                           struct msg_blob out[2], struct msg_completed *answer)
{
    struct msg_complete m = {.fence = g->fence,
                             .outputs = out,
                             .output_count = 2,
                             .loss = NAN,
                             .seconds = 1.5,
                             .tokens = 1000};
    return request(w, lease_complete, w->agents[agent], g->job, &m, answer);
}

static inline struct job_row job_of(struct world *w, uint64_t id)
{
    struct store_conn *c;
    struct job_row row;
    OK(store_read_begin(w->service.store, &c, &err));
    OK(op_job_get(c, id, &w->arena, &row, &err));
    store_read_end(w->service.store, c);
    return row;
}

static inline struct run_row run_of(struct world *w)
{
    struct store_conn *c;
    struct run_row row;
    OK(store_read_begin(w->service.store, &c, &err));
    OK(op_run_get(c, w->run, &w->arena, &row, &err));
    store_read_end(w->service.store, c);
    return row;
}

static inline int64_t tick(struct world *w)
{
    int64_t next;
    OK(lease_tick_at(&w->service, w->now_ms, 1700000000000 + w->now_ms, &next, &err));
    assert_true(next >= 1 && next <= 1000);
    return next;
}

static const char spec_text[] = "[run]\nname = demo\ndataset = corpus\nexperts = 2\n"
                                "[router]\nhidden = 16\nlayers = 1\nheads = 2\nsequences = 64\n"
                                "rounds = 2\nbatch = 8\nprefix = 8\n"
                                "[expert]\nhidden = 16\nlayers = 1\nheads = 2\nsteps = 40\n"
                                "batch = 2\n[checkpoint]\nevery_steps = 10\npublish_steps = 20\n";

/* A data set and an active run, whose first jobs are two routers and the dense model's first link.
 */
static inline int make_run(struct call *c, const void *in, void *out, struct err *e)
{
    struct world *w = out;
    struct buf spec;
    (void)in;
    int rc = corpus_run_make(c, spec_text, &spec, &w->run, e);
    w->spec = rc ? NULL : arena_strndup(&w->arena, spec.data, spec.len);
    buf_free(&spec);
    return rc;
}

static inline int make_other(struct call *c, struct world *w, struct err *e)
{
    struct run_row row;
    struct digest d = {{7}};
    int rc = op_run_get(c->conn, w->run, &w->arena, &row, e);
    if (!rc)
        rc = op_run_insert(c->conn, "other", row.dataset, &d, w->spec, 2, &w->other, e);
    return rc ? rc : run_advance(c, w->other, NULL, e);
}

static inline int setup(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    temp_dir_make(w->dir);
    arena_init(&w->arena, 64u << 20);
    w->now_ms = 5000;
    start(w);
    for (int i = 0; i < 3; i++)
        OK(join(w, (char)('a' + i), &w->agents[i]));
    OK(request(w, make_run, 0, 0, NULL, w));
    assert_true(w->ready >= 3);
    *state = w;
    return 0;
}

static inline int teardown(void **state)
{
    struct world *w = *state;
    stop(w);
    arena_free(&w->arena);
    temp_dir_remove(w->dir);
    free(w);
    return 0;
}

static inline bool same_fence(const struct msg_fence *a, const struct msg_fence *b)
{
    return lease_fence_compare(a, b) == 0;
}

static inline int cancel_run(struct call *c, const void *in, void *out, struct err *e)
{
    (void)in;
    return op_run_end(c->conn, ((struct world *)out)->run, RUN_CANCELLED, "by hand", 9, e);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
