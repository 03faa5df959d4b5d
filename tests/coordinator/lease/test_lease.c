/* One agent holds a job at a time, whatever gets lost on the way: old grants publish nothing, a
 * vanished agent's work is taken up, a failing job ends its run and says why, and retries are
 * harmless. Real database files, the real rules of runs, an injected clock. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <string.h>
#include "core/protocol/spec.h"
#include "coordinator/lease/lease_clock.h"
#include "coordinator/lease/lease_tick.h"
#include "coordinator/run/advance.h"
#include "coordinator/run/works.h"
#include "coordinator/store/blobs.h"
#include "coordinator/store/conn.h"
#include "coordinator/store/ops.h"
#include "tests/coordinator/store/temp_dir.h"

#define OK(call) check_ok((call), &err, #call, __LINE__)

static struct err err;

static void check_ok(int rc, const struct err *e, const char *what, int line)
{
    if (rc)
        fail_msg("line %d: %s: %s (%s)", line, what, e->message, err_name(rc));
}

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

static void jobs_ready(void *arg, uint64_t jobs)
{
    ((struct world *)arg)->woken += jobs;
}

static void start(struct world *w)
{
    struct store_options o = {.lock_ms = 0, .stepped = true};
    OK(store_open_with(&w->service.store, w->dir, &o, &err));
    OK(lease_clock_create(&w->service.leases, &err));
    w->service.dir = w->dir;
    w->service.jobs_ready = jobs_ready;
    w->service.jobs_ready_arg = w;
}

static void stop(struct world *w)
{
    store_close(w->service.store);
    lease_clock_destroy(w->service.leases);
}

/* A call as the API makes it: in the writer's transaction, or on a reader's snapshot. */
struct request {
    struct world *w;
    call_fn *fn;
    struct call call;
    const void *in;
    void *out;
};

static int request_fn(struct store_conn *c, void *arg, struct err *e)
{
    struct request *r = arg;
    r->call.conn = c;
    r->call.ready = 0;
    return r->fn(&r->call, r->in, r->out, e);
}

static int request(struct world *w, call_fn *fn, uint64_t agent, uint64_t job, const void *in,
                   void *out)
{
    struct request r = {.w = w, .fn = fn, .in = in, .out = out};
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

static int join(struct world *w, char letter, uint64_t *agent)
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

static int claim(struct world *w, int agent, struct msg_grant *g)
{
    struct msg_claim m = {0};
    return request(w, lease_claim, w->agents[agent], 0, &m, g);
}

static int heartbeat(struct world *w, int agent, const struct msg_grant *g, int *command)
{
    struct msg_heartbeat m = {.fence = g->fence, .step = 7, .total = 10, .loss = 2.5, .rate = NAN};
    struct msg_command out = {.command = -1};
    int rc = request(w, lease_heartbeat, w->agents[agent], g->job, &m, &out);
    *command = out.command;
    return rc;
}

static int fail_job(struct world *w, int agent, const struct msg_grant *g, const char *error,
                    bool settings)
{
    struct msg_fail m = {.fence = g->fence, .error = error, .settings = settings};
    struct msg_empty out;
    return request(w, lease_fail, w->agents[agent], g->job, &m, &out);
}

static int release(struct world *w, int agent, const struct msg_grant *g)
{
    struct msg_release m = {.fence = g->fence};
    struct msg_empty out;
    return request(w, lease_release, w->agents[agent], g->job, &m, &out);
}

/* Outputs of a training link; number makes them differ. */
static void make_outputs(struct world *w, unsigned number, struct msg_blob out[2])
{
    char text[32];
    for (int i = 0; i < 2; i++) {
        int len = snprintf(text, sizeof text, "blob %u of %d", number, i);
        out[i] = (struct msg_blob){.role = i ? ROLE_STATE : ROLE_MODEL, .bytes = (uint64_t)len};
        OK(blob_put(w->service.store, text, (uint64_t)len, &out[i].digest, &err));
        out[i].content = out[i].digest;
    }
}

static int complete(struct world *w, int agent, const struct msg_grant *g, struct msg_blob out[2],
                    struct msg_completed *answer)
{
    struct msg_complete m = {.fence = g->fence,
                             .outputs = out,
                             .output_count = 2,
                             .loss = NAN,
                             .seconds = 1.5,
                             .tokens = 1000};
    return request(w, lease_complete, w->agents[agent], g->job, &m, answer);
}

static struct job_row job_of(struct world *w, uint64_t id)
{
    struct store_conn *c;
    struct job_row row;
    OK(store_read_begin(w->service.store, &c, &err));
    OK(op_job_get(c, id, &w->arena, &row, &err));
    store_read_end(w->service.store, c);
    return row;
}

static struct run_row run_of(struct world *w)
{
    struct store_conn *c;
    struct run_row row;
    OK(store_read_begin(w->service.store, &c, &err));
    OK(op_run_get(c, w->run, &w->arena, &row, &err));
    store_read_end(w->service.store, c);
    return row;
}

static int64_t tick(struct world *w)
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
static int make_run(struct call *c, const void *in, void *out, struct err *e)
{
    struct world *w = out;
    struct run_spec spec;
    struct buf text;
    struct digest d;
    struct msg_shard train = {.bytes = 10, .sequences = 4000};
    struct msg_shard heldout = {.bytes = 10, .sequences = 100};
    struct msg_dataset m = {.name = "corpus",
                            .vocab = 512,
                            .seq = 16,
                            .train = &train,
                            .train_count = 1,
                            .heldout = &heldout,
                            .heldout_count = 1,
                            .train_sequences = 4000,
                            .heldout_sequences = 100};
    uint64_t dataset;
    (void)in;
    OK(spec_parse(spec_text, strlen(spec_text), "a.ini", &spec, e));
    buf_init(&text, SPEC_BYTES_MAX);
    OK(spec_canonical(&spec, &text, e));
    digest_of(text.data, text.len, &d);
    int rc = op_dataset_insert(c->conn, &m, 1, &dataset, e);
    if (!rc)
        rc = op_run_insert(c->conn, "demo", dataset, &d, text.data, 1, &w->run, e);
    w->spec = arena_strndup(&w->arena, text.data, text.len);
    buf_free(&text);
    return rc ? rc : run_advance(c, w->run, NULL, e);
}

static int make_other(struct call *c, struct world *w, struct err *e)
{
    struct run_row row;
    struct digest d = {{7}};
    int rc = op_run_get(c->conn, w->run, &w->arena, &row, e);
    if (!rc)
        rc = op_run_insert(c->conn, "other", row.dataset, &d, w->spec, 2, &w->other, e);
    return rc ? rc : run_advance(c, w->other, NULL, e);
}

static int setup(void **state)
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

static int teardown(void **state)
{
    struct world *w = *state;
    stop(w);
    arena_free(&w->arena);
    temp_dir_remove(w->dir);
    free(w);
    return 0;
}

static bool same_fence(const struct msg_fence *a, const struct msg_fence *b)
{
    return lease_fence_compare(a, b) == 0;
}

/* --- joining ---------------------------------------------------------------- */

static void test_joining_again_gives_the_same_agent_a_new_token(void **state)
{
    struct world *w = *state;
    char first[PROTOCOL_TOKEN_MAX];
    uint64_t agent, again, owner;
    struct store_conn *c;
    OK(join(w, 'd', &agent));
    strcpy(first, w->token);
    OK(join(w, 'd', &again));
    assert_int_equal(agent, again);
    assert_string_not_equal(first, w->token);
    OK(store_read_begin(w->service.store, &c, &err));
    OK(lease_agent_of_token(c, w->token, &owner, &err));
    assert_int_equal(owner, agent);
    assert_int_equal(lease_agent_of_token(c, first, &owner, &err), ERR_DENIED);
    assert_int_equal(lease_agent_of_token(c, "", &owner, &err), ERR_DENIED);
    store_read_end(w->service.store, c);
    assert_int_equal(join(w, 'x', &agent), ERR_INVALID); /* not hexadecimal */
}

/* Who reads the data folder does not learn the agents' tokens. */
static void test_tokens_are_not_stored(void **state)
{
    struct world *w = *state;
    char command[256];
    stop(w);
    snprintf(command, sizeof command, "! grep -q %s %s/tacit.db", w->token, w->dir);
    assert_int_equal(system(command), 0);
    start(w);
}

/* --- holding ---------------------------------------------------------------- */

static void test_dense_chain_is_granted_first_and_each_job_once(void **state)
{
    struct world *w = *state;
    struct msg_grant g[3];
    for (int i = 0; i < 3; i++) {
        OK(claim(w, i, &g[i]));
        assert_int_equal(g[i].lease_ms, LEASE_MS);
        assert_true(g[i].fence->incarnation == store_incarnation(w->service.store));
        for (int j = 0; j < i; j++)
            assert_true(g[i].job != g[j].job && !same_fence(g[i].fence, g[j].fence));
    }
    assert_true(g[0].kind == JOB_TRAIN && g[0].target == TARGET_DENSE);
}

static void test_nothing_to_do_uses_no_fence(void **state)
{
    struct world *w = *state;
    struct msg_grant g, none;
    uint64_t extra = 0;
    for (int i = 0; i < 3; i++)
        OK(claim(w, i, &g));
    OK(join(w, 'e', &extra));
    struct msg_claim m = {0};
    for (int i = 0; i < 5; i++)
        assert_int_equal(request(w, lease_claim, extra, 0, &m, &none), ERR_NOT_FOUND);
    OK(release(w, 2, &g));
    assert_int_equal(w->ready, 1);
    struct msg_grant again;
    OK(request(w, lease_claim, extra, 0, &m, &again));
    assert_int_equal(again.job, g.job);
    assert_int_equal(again.fence->counter, g.fence->counter + 1);
}

static void test_claiming_again_gives_the_same_job_a_new_fence(void **state)
{
    struct world *w = *state;
    struct msg_grant first, second;
    struct msg_blob out[2];
    struct msg_completed answer;
    int command;
    OK(claim(w, 0, &first));
    OK(claim(w, 0, &second));
    assert_int_equal(first.job, second.job);
    assert_true(lease_fence_compare(second.fence, first.fence) > 0);
    assert_int_equal(heartbeat(w, 0, &first, &command), ERR_FENCED);
    OK(heartbeat(w, 0, &second, &command));
    assert_int_equal(command, COMMAND_CONTINUE);
    /* The older of the two is heard by nothing, and stored nowhere. */
    make_outputs(w, 1, out);
    assert_int_equal(complete(w, 0, &first, out, &answer), ERR_FENCED);
    assert_int_equal(fail_job(w, 0, &first, "late", true), ERR_FENCED);
    assert_int_equal(release(w, 0, &first), ERR_FENCED);
    struct job_row job = job_of(w, first.job);
    assert_true(job.state == JOB_LEASED && job.failures == 0 && !job.errors);
    OK(complete(w, 0, &second, out, &answer));
}

static void test_another_agent_cannot_use_a_fence(void **state)
{
    struct world *w = *state;
    struct msg_grant g;
    struct msg_blob out[2];
    struct msg_completed answer;
    int command;
    OK(claim(w, 0, &g));
    make_outputs(w, 1, out);
    assert_int_equal(heartbeat(w, 1, &g, &command), ERR_FENCED);
    assert_int_equal(complete(w, 1, &g, out, &answer), ERR_FENCED);
    assert_int_equal(release(w, 1, &g), ERR_FENCED);
    assert_int_equal(job_of(w, g.job).state, JOB_LEASED);
}

static void test_heartbeats_keep_a_lease_and_silence_ends_it(void **state)
{
    struct world *w = *state;
    struct msg_grant g, other;
    struct lease_progress p;
    int command;
    OK(claim(w, 0, &g));
    assert_false(lease_progress_of(w->service.leases, g.job, &p));
    for (int i = 0; i < 5; i++) {
        w->now_ms += LEASE_MS - 1;
        tick(w);
        OK(heartbeat(w, 0, &g, &command));
        assert_int_equal(command, COMMAND_CONTINUE);
    }
    assert_true(lease_progress_of(w->service.leases, g.job, &p));
    assert_true(p.step == 7 && p.total == 10 && p.loss == 2.5 && isnan(p.rate));
    assert_int_equal(p.seen_ms, w->now_ms);
    assert_int_equal(lease_agent_seen(w->service.leases, w->agents[0]), w->now_ms);
    w->woken = 0;
    w->now_ms += LEASE_MS - 1;
    tick(w);
    assert_int_equal(job_of(w, g.job).state, JOB_LEASED);
    w->now_ms += 1;
    tick(w);
    struct job_row job = job_of(w, g.job);
    assert_true(job.state == JOB_WAITING && job.ready && job.failures == 0);
    assert_int_equal(w->woken, 1);
    OK(claim(w, 1, &other)); /* the highest priority: the same job */
    assert_int_equal(other.job, g.job);
    assert_int_equal(heartbeat(w, 0, &g, &command), ERR_FENCED);
    w->now_ms += LEASE_MS - 1; /* the first holder's deadline is not the second's */
    tick(w);
    assert_int_equal(job_of(w, g.job).state, JOB_LEASED);
}

/* Cut off for longer than a lease, while nobody else was there to take over: hours of work must not
 * be lost for that. */
static void test_cut_off_agent_goes_on_where_nobody_took_over(void **state)
{
    struct world *w = *state;
    struct msg_grant g, other;
    struct msg_blob out[2];
    struct msg_completed answer;
    int command;
    tick(w);
    OK(claim(w, 0, &g));
    w->now_ms += LEASE_MS;
    tick(w);
    assert_int_equal(job_of(w, g.job).state, JOB_WAITING);
    assert_int_equal(heartbeat(w, 1, &g, &command), ERR_FENCED); /* it was never agent 1's */
    OK(heartbeat(w, 0, &g, &command));
    assert_int_equal(command, COMMAND_CONTINUE);
    while (store_writer_step(w->service.store))
        ;
    struct job_row job = job_of(w, g.job);
    assert_true(job.state == JOB_LEASED && job.agent == w->agents[0] && job.failures == 0);
    assert_true(same_fence(&job.fence, g.fence));
    OK(claim(w, 1, &other));
    assert_true(other.job != g.job);
    w->now_ms += LEASE_MS - 1;
    tick(w);
    assert_int_equal(job_of(w, g.job).state, JOB_LEASED); /* a full term */
    w->now_ms += 1;
    tick(w);
    assert_int_equal(job_of(w, g.job).state, JOB_WAITING);
    /* The coordinator even restarts, and the result comes before any heartbeat. */
    stop(w);
    start(w);
    make_outputs(w, 1, out);
    assert_int_equal(complete(w, 1, &g, out, &answer), ERR_FENCED);
    OK(complete(w, 0, &g, out, &answer));
    assert_true(job_of(w, g.job).state == JOB_DONE && job_of(w, g.job).agent == w->agents[0]);
    assert_non_null(answer.next);
    OK(complete(w, 0, &g, out, &answer)); /* the answer was lost */
}

static void test_overtaken_agent_publishes_nothing(void **state)
{
    struct world *w = *state;
    struct msg_grant g, other;
    struct msg_blob out[2];
    struct msg_completed answer;
    int command;
    tick(w);
    OK(claim(w, 0, &g));
    w->now_ms += LEASE_MS;
    tick(w);
    assert_int_equal(job_of(w, g.job).state, JOB_WAITING);
    OK(claim(w, 1, &other));
    assert_int_equal(other.job, g.job);
    make_outputs(w, 1, out);
    assert_int_equal(complete(w, 0, &g, out, &answer), ERR_FENCED);
    assert_int_equal(heartbeat(w, 0, &g, &command), ERR_FENCED);
    assert_int_equal(job_of(w, g.job).state, JOB_LEASED);
}

/* Who gave a job back, or failed it, holds nothing any more. */
static void test_given_back_is_not_cut_off(void **state)
{
    struct world *w = *state;
    struct msg_grant g;
    struct msg_blob out[2];
    struct msg_completed answer;
    int command;
    make_outputs(w, 1, out);
    OK(claim(w, 0, &g));
    OK(release(w, 0, &g));
    assert_int_equal(heartbeat(w, 0, &g, &command), ERR_FENCED);
    assert_int_equal(complete(w, 0, &g, out, &answer), ERR_FENCED);
    OK(claim(w, 0, &g));
    OK(fail_job(w, 0, &g, "no", false));
    assert_int_equal(complete(w, 0, &g, out, &answer), ERR_FENCED);
}

static void test_restart_gives_a_full_term(void **state)
{
    struct world *w = *state;
    struct msg_grant g;
    int command;
    OK(claim(w, 0, &g));
    stop(w);
    w->now_ms = 90 * 1000; /* another boot's clock: no deadline carries over */
    start(w);
    tick(w);
    w->now_ms += LEASE_MS - 1;
    tick(w);
    assert_int_equal(job_of(w, g.job).state, JOB_LEASED);
    OK(heartbeat(w, 0, &g, &command)); /* the grant of before the restart still holds */
    w->now_ms += LEASE_MS - 1;
    tick(w);
    assert_int_equal(job_of(w, g.job).state, JOB_LEASED);
    w->now_ms += 1;
    tick(w);
    assert_int_equal(job_of(w, g.job).state, JOB_WAITING);
    struct msg_grant after;
    OK(claim(w, 0, &after));
    assert_true(after.fence->incarnation == g.fence->incarnation + 1);
}

/* A grant whose transaction was lost leaves a trace in memory; it must not keep a dead agent's job
 * for ever, nor take a living one's away early. */
static void test_uncommitted_grant_does_no_harm(void **state)
{
    struct world *w = *state;
    struct msg_grant g;
    OK(claim(w, 0, &g));
    struct msg_fence lost = {g.fence->incarnation, g.fence->counter + 100};
    OK(lease_clock_lease(w->service.leases, g.job, &lost, w->now_ms + LEASE_MS, NULL, &err));
    w->now_ms += LEASE_MS;
    assert_true(tick(w) > 1);
    assert_int_equal(job_of(w, g.job).state, JOB_LEASED);
    w->now_ms += LEASE_MS;
    tick(w);
    assert_int_equal(job_of(w, g.job).state, JOB_WAITING);
}

/* --- failing ---------------------------------------------------------------- */

static void test_release_is_no_failure(void **state)
{
    struct world *w = *state;
    struct msg_grant g;
    for (int i = 0; i < 2 * LEASE_FAILURES_MAX; i++) {
        OK(claim(w, 0, &g));
        OK(release(w, 0, &g));
        assert_int_equal(w->ready, 1);
        OK(release(w, 0, &g)); /* the answer was lost */
        assert_int_equal(w->ready, 0);
    }
    struct job_row job = job_of(w, g.job);
    assert_true(job.state == JOB_WAITING && job.ready && job.failures == 0);
}

static void test_failures_back_off_and_end_in_quarantine(void **state)
{
    struct world *w = *state;
    struct msg_grant g, other;
    char error[32];
    int command;
    OK(claim(w, 1, &other)); /* dense: not ours */
    for (int i = 1; i < LEASE_FAILURES_MAX; i++) {
        int agent = i % 2 ? 0 : 2;
        OK(claim(w, agent, &g));
        assert_int_equal(g.kind, JOB_TRAIN_ROUTER);
        snprintf(error, sizeof error, "error number %d", i);
        OK(fail_job(w, agent, &g, error, false));
        OK(fail_job(w, agent, &g, error, false)); /* the answer was lost: counted once */
        struct job_row job = job_of(w, g.job);
        assert_true(job.state == JOB_WAITING && !job.ready);
        assert_int_equal(job.failures, i);
        w->woken = 0;
        w->now_ms += (LEASE_BACKOFF_MS << (i - 1)) - 1;
        tick(w);
        assert_false(job_of(w, g.job).ready);
        w->now_ms += 1;
        tick(w);
        assert_true(job_of(w, g.job).ready);
        assert_int_equal(w->woken, 1);
        OK(heartbeat(w, 1, &other, &command));
    }
    OK(claim(w, 0, &g));
    OK(fail_job(w, 0, &g, "the last straw", false));
    struct job_row job = job_of(w, g.job);
    assert_int_equal(job.state, JOB_QUARANTINED);
    assert_int_equal(job.failures, LEASE_FAILURES_MAX);
    assert_true(strncmp(job.errors, "the last straw\nerror number 4\n", 30) == 0);
    struct run_row run = run_of(w);
    assert_int_equal(run.state, RUN_FAILED);
    assert_non_null(strstr(run.reason, "the last straw"));
    assert_non_null(strstr(run.reason, "router"));
    /* What others do for the run is of no use any more. */
    OK(heartbeat(w, 1, &other, &command));
    assert_int_equal(command, COMMAND_ABANDON);
    struct msg_grant none;
    assert_int_equal(claim(w, 2, &none), ERR_NOT_FOUND);
    assert_int_equal(claim(w, 1, &none), ERR_NOT_FOUND);
}

/* A machine whose disk is full fails all that it gets, while the others are busy for hours: the run
 * goes on, and the others get what it failed. */
static void test_one_broken_agent_does_not_end_a_run(void **state)
{
    struct world *w = *state;
    struct msg_grant busy[2], g;
    int command, failures = 0;
    uint64_t failed = 0;
    OK(claim(w, 1, &busy[0]));
    OK(claim(w, 2, &busy[1]));
    for (int i = 0; i < 4 * 3600 / 10; i++) {
        int rc = claim(w, 0, &g);
        if (rc == 0) {
            OK(fail_job(w, 0, &g, "no space left", false));
            failed = g.job;
            failures++;
        } else {
            assert_int_equal(rc, ERR_NOT_FOUND);
            /* Ready, and kept from it alone: whoever else waits must hear of it. */
            assert_int_equal(w->ready, job_of(w, failed).ready);
        }
        w->now_ms += 10000;
        OK(heartbeat(w, 1, &busy[0], &command));
        OK(heartbeat(w, 2, &busy[1], &command));
        tick(w);
    }
    assert_int_equal(run_of(w).state, RUN_ACTIVE);
    assert_in_range(failures, LEASE_FAILURES_MAX + 1, 100); /* it is tried again, at leisure */
    OK(release(w, 1, &busy[0]));
    OK(claim(w, 1, &g)); /* the dense model's, again */
    assert_int_equal(g.job, busy[0].job);
    while (!job_of(w, failed).ready) {
        w->now_ms += 10000;
        tick(w);
        OK(heartbeat(w, 1, &g, &command));
        OK(heartbeat(w, 2, &busy[1], &command));
    }
    OK(release(w, 2, &busy[1]));
    OK(claim(w, 2, &g));
    OK(release(w, 2, &g));
    /* A second agent fails it, too: it is the job's fault. */
    while (g.job != failed) {
        OK(fail_job(w, 2, &g, "unused", false));
        OK(claim(w, 2, &g));
    }
    OK(fail_job(w, 2, &g, "no space left here, too", false));
    assert_int_equal(run_of(w).state, RUN_FAILED);
}

/* Where one agent is all there is, nobody else will ever succeed: it gets the job back, and its
 * failures count. */
static void test_the_only_agent_ends_a_run_that_fails(void **state)
{
    struct world *w = *state;
    struct msg_grant g = {0};
    w->now_ms += LEASE_MS + 1; /* the others joined, and were never heard of again */
    int claims = 0;
    while (run_of(w).state == RUN_ACTIVE && claims < 100) {
        int rc = claim(w, 0, &g);
        if (rc == 0) {
            claims++;
            OK(fail_job(w, 0, &g, "broken", false));
        } else {
            assert_int_equal(rc, ERR_NOT_FOUND);
        }
        w->now_ms += 1000;
        tick(w);
    }
    assert_int_equal(run_of(w).state, RUN_FAILED);
    struct job_row job = job_of(w, g.job);
    assert_true(job.state == JOB_QUARANTINED && job.failures == LEASE_FAILURES_MAX);
}

static int spoil_spec(struct call *c, const void *in, void *out, struct err *e)
{
    (void)in;
    return conn_run(c->conn, "UPDATE run SET spec_text = '[nonsense]' WHERE name = 'demo'", e) ||
           make_other(c, out, e);
}

static int spoil_all(struct call *c, const void *in, void *out, struct err *e)
{
    (void)in;
    (void)out;
    return conn_run(c->conn, "UPDATE run SET spec_text = '[nonsense]'", e);
}

/* A job that can't be handed out heads the queue: its run ends and says why, and the fleet goes on
 * with the others. */
static void test_ungrantable_job_does_not_starve_the_fleet(void **state)
{
    struct world *w = *state;
    struct msg_grant g;
    OK(request(w, spoil_spec, 0, 0, NULL, w));
    OK(claim(w, 0, &g));
    assert_string_equal(g.run, "other");
    struct run_row run = run_of(w);
    assert_int_equal(run.state, RUN_FAILED);
    assert_non_null(strstr(run.reason, "cannot hand it out: demo: [run]"));
    assert_non_null(strstr(run.reason, "dense"));
    /* And where there is nothing else, that is kept all the same. */
    OK(release(w, 0, &g));
    OK(request(w, spoil_all, 0, 0, NULL, w));
    OK(claim(w, 0, &g));
    assert_int_equal(g.job, 0);
    w->run = w->other;
    assert_int_equal(run_of(w).state, RUN_FAILED);
    assert_int_equal(claim(w, 0, &g), ERR_NOT_FOUND);
}

static void test_failure_of_settings_ends_the_run_at_once(void **state)
{
    struct world *w = *state;
    struct msg_grant g;
    OK(claim(w, 0, &g));
    OK(fail_job(w, 0, &g, "the loss is not finite at step 12", true));
    struct run_row run = run_of(w);
    assert_int_equal(run.state, RUN_FAILED);
    assert_non_null(strstr(run.reason, "the loss is not finite at step 12"));
    assert_non_null(strstr(run.reason, "dense"));
    assert_int_equal(job_of(w, g.job).state, JOB_QUARANTINED);
}

/* A restart forgets backoffs: the clock that they were on is gone. */
static void test_restart_makes_backing_off_jobs_ready(void **state)
{
    struct world *w = *state;
    struct msg_grant g;
    OK(claim(w, 0, &g));
    OK(fail_job(w, 0, &g, "no", false));
    assert_false(job_of(w, g.job).ready);
    stop(w);
    start(w);
    assert_true(job_of(w, g.job).ready);
}

/* --- completing ------------------------------------------------------------- */

static void test_completing_gives_the_next_link(void **state)
{
    struct world *w = *state;
    struct msg_grant g;
    struct msg_blob out[2], again[2];
    struct msg_completed answer;
    OK(claim(w, 0, &g));
    assert_true(g.step_first == 0 && g.step_last == 20);
    make_outputs(w, 1, out);
    OK(complete(w, 0, &g, out, &answer));
    assert_non_null(answer.next);
    assert_true(answer.next->kind == JOB_TRAIN && answer.next->target == TARGET_DENSE);
    assert_true(answer.next->step_first == 20 && answer.next->step_last == 40);
    assert_true(lease_fence_compare(answer.next->fence, g.fence) > 0);
    assert_int_equal(answer.next->lease_ms, LEASE_MS);
    assert_int_equal(w->ready, 0); /* it waits for nobody else */
    bool model = false;
    for (uint32_t i = 0; i < answer.next->input_count; i++)
        model |= digest_equal(&answer.next->inputs[i].digest, &out[0].digest);
    assert_true(model); /* it goes on from what was published */
    struct job_row job = job_of(w, g.job);
    assert_true(job.state == JOB_DONE && job.agent == w->agents[0] && isnan(job.loss));
    assert_true(job.seconds == 1.5 && job.tokens == 1000);
    /* The answer was lost: the same again is a success, something else is not. */
    struct msg_completed lost;
    OK(complete(w, 0, &g, out, &lost));
    make_outputs(w, 2, again);
    assert_int_equal(complete(w, 0, &g, again, &lost), ERR_CONFLICT);
    assert_int_equal(complete(w, 1, &g, out, &lost), ERR_FENCED);
    /* And its claim gets the link that it does not know of. */
    struct msg_grant next;
    OK(claim(w, 0, &next));
    assert_int_equal(next.job, answer.next->job);
    int command;
    struct msg_grant old = *answer.next;
    assert_int_equal(heartbeat(w, 0, &old, &command), ERR_FENCED);
}

static void test_outputs_must_be_in_the_store(void **state)
{
    struct world *w = *state;
    struct msg_grant g;
    struct msg_blob out[2];
    struct msg_completed answer;
    struct digest known;
    OK(claim(w, 0, &g));
    make_outputs(w, 1, out);
    known = out[1].digest;
    out[1].digest.bytes[3] ^= 1;
    assert_int_equal(complete(w, 0, &g, out, &answer), ERR_INVALID);
    assert_non_null(strstr(err.message, "output 1"));
    out[1].digest = known;
    out[1].bytes++;
    assert_int_equal(complete(w, 0, &g, out, &answer), ERR_INVALID);
    assert_int_equal(job_of(w, g.job).state, JOB_LEASED);
    out[1].bytes--;
    OK(complete(w, 0, &g, out, &answer));
}

/* Only what was checked is published: what nobody could look at is asked for again. */
static void test_unchecked_outputs_are_not_published(void **state)
{
    struct world *w = *state;
    struct msg_grant g;
    struct msg_blob out[2];
    struct msg_completed answer;
    OK(claim(w, 0, &g));
    make_outputs(w, 1, out);
    w->unchecked = true;
    assert_int_equal(complete(w, 0, &g, out, &answer), ERR_UNAVAILABLE);
    assert_int_equal(job_of(w, g.job).state, JOB_LEASED);
    w->unchecked = false;
    OK(complete(w, 0, &g, out, &answer));
}

static int cancel_run(struct call *c, const void *in, void *out, struct err *e)
{
    (void)in;
    return op_run_end(c->conn, ((struct world *)out)->run, RUN_CANCELLED, "by hand", 9, e);
}

static void test_cancelled_run_takes_nothing_more(void **state)
{
    struct world *w = *state;
    struct msg_grant g;
    struct msg_blob out[2];
    struct msg_completed answer;
    int command;
    OK(claim(w, 0, &g));
    make_outputs(w, 1, out);
    OK(request(w, cancel_run, 0, 0, NULL, w));
    OK(heartbeat(w, 0, &g, &command));
    assert_int_equal(command, COMMAND_ABANDON);
    assert_int_equal(complete(w, 0, &g, out, &answer), ERR_FENCED);
    OK(release(w, 0, &g));
    OK(fail_job(w, 0, &g, "whatever", true));
    assert_string_equal(run_of(w).reason, "by hand");
    w->now_ms += 2 * LEASE_MS;
    tick(w);
    assert_int_equal(job_of(w, g.job).state, JOB_CANCELLED);
    assert_int_equal(request(w, cancel_run, 0, 0, NULL, w), ERR_CONFLICT);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_joining_again_gives_the_same_agent_a_new_token),
        TEST(test_tokens_are_not_stored),
        TEST(test_dense_chain_is_granted_first_and_each_job_once),
        TEST(test_nothing_to_do_uses_no_fence),
        TEST(test_claiming_again_gives_the_same_job_a_new_fence),
        TEST(test_another_agent_cannot_use_a_fence),
        TEST(test_heartbeats_keep_a_lease_and_silence_ends_it),
        TEST(test_cut_off_agent_goes_on_where_nobody_took_over),
        TEST(test_overtaken_agent_publishes_nothing),
        TEST(test_given_back_is_not_cut_off),
        TEST(test_restart_gives_a_full_term),
        TEST(test_uncommitted_grant_does_no_harm),
        TEST(test_release_is_no_failure),
        TEST(test_failures_back_off_and_end_in_quarantine),
        TEST(test_one_broken_agent_does_not_end_a_run),
        TEST(test_the_only_agent_ends_a_run_that_fails),
        TEST(test_ungrantable_job_does_not_starve_the_fleet),
        TEST(test_failure_of_settings_ends_the_run_at_once),
        TEST(test_restart_makes_backing_off_jobs_ready),
        TEST(test_completing_gives_the_next_link),
        TEST(test_outputs_must_be_in_the_store),
        TEST(test_unchecked_outputs_are_not_published),
        TEST(test_cancelled_run_takes_nothing_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
