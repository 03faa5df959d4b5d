/* A coordinator without its network, and an agent that makes up results of the right form: real
 * databases, real checks, real works. What the models "know" is set, so a report can be foretold.
 */
#ifndef TACIT_TESTS_COORDINATOR_RUN_RUN_WORLD_H
#define TACIT_TESTS_COORDINATOR_RUN_RUN_WORLD_H

#include "tests/core/checkpoint/forge.h"

#include <math.h>
#include "core/data/shard.h"
#include "core/env/clock.h"
#include "core/mixture/assign.h"
#include "core/mixture/evalblob.h"
#include "core/mixture/scores.h"
#include "coordinator/lease/lease.h"
#include "coordinator/run/advance.h"
#include "coordinator/run/runs.h"
#include "coordinator/run/works.h"
#include "coordinator/store/blobs.h"
#include "tests/coordinator/store/store_check.h"
#include "tests/coordinator/store/temp_dir.h"

enum { SEQ = 16, VOCAB = 64, EXPERTS = 2, PREFIX = 4, TRAIN = 200, HELDOUT = 40, TEXT_BYTES = 20 };

/* What can be wrong with a result. */
enum wrong {
    RIGHT,
    OTHER_SHAPE,
    NOT_FINITE,
    WRONG_STEP,
    OTHER_RUN,
    OTHER_MODEL,
    OTHER_CONTENT,
    MISSING,
    SWAPPED,
    FEWER,
    NOT_UPLOADED,
    OTHER_SIZE
};

struct world {
    char dir[64];
    struct service service;
    struct arena arena;
    struct shard train; /* of train_bytes */
    struct buf train_bytes;
    struct run_spec spec;
    uint64_t agent, done; /* jobs that it has done */
};

static inline void world_start(struct world *w)
{
    w->service = (struct service){.dir = w->dir};
    OK(store_open(&w->service.store, w->dir, &err));
    OK(lease_clock_create(&w->service.leases, &err));
    OK(works_create_with(&w->service.works, &w->service, 5, &err));
}

static inline void world_stop(struct world *w)
{
    works_destroy(w->service.works);
    store_close(w->service.store);
    lease_clock_destroy(w->service.leases);
}

/* --- calls, as api/ makes them ---------------------------------------------------------------- */

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

static inline int ask(struct world *w, prepare_fn *prepare, call_fn *fn, const char *name,
                      uint64_t id, const void *in, void *out, struct call *after)
{
    struct request r = {.fn = fn, .in = in, .out = out};
    r.call = (struct call){.service = &w->service,
                           .arena = &w->arena,
                           .caller = CALLER_AGENT,
                           .agent = w->agent,
                           .name = name,
                           .id = id,
                           .now_ms = env_monotonic_ms(),
                           .wall_ms = env_wall_ms()};
    int rc = prepare ? prepare(&r.call, in, &err) : 0;
    if (!rc && fn)
        rc = store_write_wait(w->service.store, request_fn, &r, &err);
    if (after)
        *after = r.call;
    return rc;
}

static inline int create(struct world *w, const char *text, bool dry_run, struct msg_run *out)
{
    struct msg_run_create m = {.spec = text, .file = "t.ini", .dry_run = dry_run};
    return ask(w, runs_prepare_create, runs_create, NULL, 0, &m, out, NULL);
}

static inline struct msg_run show(struct world *w, const char *name)
{
    struct msg_run run;
    OK(ask(w, NULL, runs_show, name, 0, NULL, &run, NULL));
    return run;
}

static inline int report_of(struct world *w, const char *name, struct msg_report *out)
{
    struct call c;
    int rc = ask(w, NULL, runs_report, name, 0, NULL, NULL, &c);
    if (!rc)
        OK(message_decode(&message_report, c.raw, c.raw_len, out, &w->arena, &err));
    return rc;
}

/* Of all runs, with the rows in the arena. */
static inline uint32_t jobs_of(struct world *w, struct job_row **rows)
{
    struct store_conn *c;
    uint32_t count;
    OK(store_read_begin(w->service.store, &c, &err));
    OK(op_jobs(c, 0, -1, -1, 10000, &w->arena, rows, &count, &err));
    store_read_end(w->service.store, c);
    return count;
}

/* --- a data set of two sources, in turn --------------------------------------------------------
 */

static inline uint32_t label_of(uint64_t sequence)
{
    return sequence % 2;
}

static inline struct shard_shape shape_of_data(void)
{
    struct shard_shape shape = {.seq = SEQ, .vocab = VOCAB, .labels = 2};
    digest_of("words", 5, &shape.tokenizer);
    return shape;
}

static inline void put(struct world *w, const void *data, uint64_t len, struct msg_blob *b)
{
    b->bytes = len;
    OK(blob_put(w->service.store, data, len, &b->digest, &err));
}

static inline struct msg_shard put_shard(struct world *w, uint32_t n, struct buf *kept)
{
    struct shard_builder b;
    struct shard_shape shape = shape_of_data();
    struct msg_blob blob;
    OK(shard_builder_init(&b, &shape, n, &err));
    for (uint32_t i = 0; i < n; i++) {
        uint32_t tokens[SEQ];
        for (uint32_t k = 0; k < SEQ; k++)
            tokens[k] = (i * 7 + k) % VOCAB;
        shard_builder_add(&b, tokens, TEXT_BYTES, label_of(i));
    }
    OK(shard_builder_finish(&b, kept, &err));
    shard_builder_free(&b);
    put(w, kept->data, kept->len, &blob);
    return (struct msg_shard){blob.digest, blob.bytes, n};
}

static inline void make_dataset(struct world *w)
{
    struct msg_label labels[] = {{"even"}, {"odd"}};
    struct buf heldout_bytes;
    struct msg_blob tokenizer;
    buf_init(&heldout_bytes, 1u << 20);
    struct msg_shard train = put_shard(w, TRAIN, &w->train_bytes);
    struct msg_shard heldout = put_shard(w, HELDOUT, &heldout_bytes);
    OK(shard_open(&w->train, w->train_bytes.data, w->train_bytes.len, &err));
    put(w, "words", 5, &tokenizer);
    struct msg_dataset out, d = {.name = "corpus",
                                 .vocab = VOCAB,
                                 .seq = SEQ,
                                 .tokenizer_bytes = 5,
                                 .train = &train,
                                 .train_count = 1,
                                 .heldout = &heldout,
                                 .heldout_count = 1,
                                 .labels = labels,
                                 .label_count = 2,
                                 .train_sequences = TRAIN,
                                 .heldout_sequences = HELDOUT,
                                 .train_text_bytes = TRAIN * TEXT_BYTES,
                                 .heldout_text_bytes = HELDOUT * TEXT_BYTES,
                                 .documents = TRAIN + HELDOUT};
    d.tokenizer = tokenizer.digest;
    OK(ask(w, NULL, datasets_create, NULL, 0, &d, &out, NULL));
    buf_free(&heldout_bytes);
}

/* --- made-up results ---------------------------------------------------------------------------
 */

struct outputs {
    struct msg_blob items[EXPERTS + 1];
    uint32_t count;
};

static inline void put_file(struct world *w, const char *path, const struct checkpoint_digests *d,
                            int role, struct msg_blob *out)
{
    static uint8_t data[1u << 20];
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    size_t n = fread(data, 1, sizeof data, f);
    fclose(f);
    *out = (struct msg_blob){.role = role, .content = d->content};
    put(w, data, n, out);
}

/* Puts a NaN in the place of an archive's last weight. */
static inline void spoil(const char *path)
{
    static const float bad = NAN;
    struct forge f;
    struct buf out;
    buf_init(&out, FORGE_MAX);
    forge_open(&f, path);
    for (int i = 0; i < f.count; i++)
        if (strstr(f.entries[i].name, "safetensors"))
            memcpy(f.entries[i].data.data + f.entries[i].data.len - sizeof bad, &bad, sizeof bad);
    forge_archive(&f, &out);
    FILE *file = fopen(path, "wb");
    assert_int_equal(fwrite(out.data, 1, out.len, file), out.len);
    fclose(file);
    forge_free(&f);
    buf_free(&out);
}

static inline uint64_t stream_of(const struct msg_grant *g)
{
    return g->target == TARGET_ROUTER   ? MODEL_STREAM_ROUTER + g->index
           : g->target == TARGET_EXPERT ? MODEL_STREAM_EXPERT + g->index
           : g->target == TARGET_DENSE  ? MODEL_STREAM_DENSE
                                        : MODEL_STREAM_DENSE_FLOPS;
}

static inline void make_training(struct world *w, const struct msg_grant *g, enum wrong wrong,
                                 struct outputs *o)
{
    struct model_config c;
    struct checkpoint_digests model, state;
    char path[128];
    if (g->target == TARGET_ROUTER)
        spec_router_model(&w->spec, VOCAB, SEQ, &c);
    else
        spec_expert_model(&w->spec, VOCAB, SEQ, &c);
    if (wrong == OTHER_SHAPE)
        c.ffn++;
    uint64_t n = model_parameters(&c);
    float *values = malloc(n * sizeof *values);
    for (uint64_t i = 0; i < n; i++)
        values[i] = rng_uniform(g->job, RNG_TEST, i, 0);
    OK(checkpoint_model_write(forge_path("model", path), false, &c, values, &model, &err));
    if (wrong == NOT_FINITE)
        spoil(path);
    put_file(w, path, &model, ROLE_MODEL, &o->items[0]);
    struct checkpoint_position p = {.step = g->kind == JOB_TRAIN
                                                ? g->step_last
                                                : spec_router_steps(&w->spec, (uint32_t)g->index) *
                                                      (g->round + 1),
                                    .stream = stream_of(g),
                                    .spec = g->spec};
    p.step += wrong == WRONG_STEP;
    p.stream += wrong == OTHER_MODEL;
    p.spec.bytes[0] ^= wrong == OTHER_RUN;
    OK(checkpoint_state_write(forge_path("state", path), false, &c, OPTIMIZER_ADAMW, values, values,
                              &p, &model.content, &state, &err));
    put_file(w, path, &state, ROLE_STATE, &o->items[1]);
    free(values);
    o->count = 2;
    if (wrong == OTHER_CONTENT)
        o->items[0].content.bytes[0] ^= 1;
    if (wrong == SWAPPED) {
        struct msg_blob first = o->items[0];
        o->items[0] = o->items[1];
        o->items[1] = first;
    }
}

static inline void make_scores(struct world *w, const struct msg_grant *g, enum wrong wrong,
                               struct outputs *o)
{
    uint32_t routers = EXPERTS + (wrong == OTHER_SHAPE);
    uint64_t n = g->window_count - (wrong == FEWER), at = 0;
    size_t len = SCORES_HEADER + n * SCORES_ROW(routers);
    uint8_t *blob = calloc(1, len);
    scores_header_write(blob, n, routers);
    for (uint32_t i = 0; i < g->input_count; i++) {
        const struct msg_blob *b = &g->inputs[i];
        for (uint64_t k = 0; b->role == ROLE_SHARD && k < b->count && at < n; k++, at++) {
            float scores[EXPERTS + 1];
            for (uint32_t r = 0; r < routers; r++)
                scores[r] = label_of(b->first + k) == r ? -1.0f : -5.0f;
            scores_row_write(blob + SCORES_HEADER + at * SCORES_ROW(routers), scores, routers);
        }
    }
    assert_int_equal(at, n);
    if (wrong == NOT_FINITE)
        memset(blob + SCORES_HEADER, 0xff, 4);
    o->items[0] = (struct msg_blob){.role = ROLE_SCORES};
    put(w, blob, len, &o->items[0]);
    o->count = 1;
    free(blob);
}

static inline void make_pieces(struct world *w, const struct msg_grant *g, enum wrong wrong,
                               struct outputs *o)
{
    static uint8_t assignment[1u << 16];
    struct shard_builder b[EXPERTS];
    struct shard_shape piece = shape_of_data();
    uint64_t n, at = g->window_first;
    uint32_t experts, left_out = 0;
    const uint8_t *values;
    size_t got;
    assert_int_equal(g->inputs[0].role, ROLE_ASSIGNMENT);
    OK(blob_read(w->service.store, &g->inputs[0].digest, 0, assignment, sizeof assignment, &got,
                 &err));
    OK(assign_open(assignment, got, &n, &experts, &values, &err));
    piece.vocab += wrong == OTHER_SHAPE;
    for (uint32_t e = 0; e < EXPERTS; e++)
        OK(shard_builder_init(&b[e], &piece, TRAIN, &err));
    for (uint32_t i = 1; i < g->input_count; i++)
        for (uint64_t k = 0; k < g->inputs[i].count; k++, at++) {
            uint32_t tokens[SEQ], s = (uint32_t)(g->inputs[i].first + k);
            uint32_t e = assign_at(values, at);
            shard_tokens(&w->train, s, SEQ, tokens);
            if (e == 0 && wrong == FEWER && left_out++ == 0)
                continue;
            shard_builder_add(&b[e], tokens, TEXT_BYTES, shard_label(&w->train, s));
        }
    for (uint32_t e = 0; e < EXPERTS; e++) {
        struct buf bytes;
        buf_init(&bytes, 1u << 20);
        OK(shard_builder_finish(&b[e], &bytes, &err));
        o->items[e] = (struct msg_blob){.role = ROLE_PIECE, .index = e, .count = b[e].count};
        put(w, bytes.data, bytes.len, &o->items[e]);
        buf_free(&bytes);
        shard_builder_free(&b[e]);
    }
    o->count = EXPERTS;
}

/* Losses of a prediction, in nats: experts know their source, the dense models a little of both,
 * and all know less before their last step. */
static inline double loss_of(const struct msg_grant *g, uint32_t label, uint64_t steps)
{
    double early = g->step_last < steps ? 0.5 : 0;
    if (g->target == TARGET_EXPERT)
        return early + (label == g->index ? 1.0 : 3.0);
    return early + (g->target == TARGET_DENSE ? 2.0 : 1.75);
}

static inline void make_eval(struct world *w, const struct msg_grant *g, enum wrong wrong,
                             struct outputs *o)
{
    bool router = (g->target == TARGET_ROUTER) != (wrong == OTHER_SHAPE);
    uint32_t row = router ? 4 * PREFIX : 16;
    uint64_t n = HELDOUT - (wrong == FEWER);
    size_t len = EVALBLOB_HEADER + n * row;
    uint8_t *blob = calloc(1, len);
    evalblob_header_write(blob, router ? EVALBLOB_ROUTER : EVALBLOB_MODEL, n, PREFIX);
    for (uint64_t i = 0; i < n; i++) {
        float cumulative[PREFIX];
        double loss = loss_of(g, label_of(i), g->steps ? g->steps : w->spec.expert.steps);
        for (uint32_t s = 0; s < PREFIX; s++)
            cumulative[s] = (label_of(i) == g->index ? -0.125f : -1.0f) * (float)s;
        if (wrong == NOT_FINITE && i == n - 1)
            loss = cumulative[1] = NAN;
        uint8_t *at = blob + EVALBLOB_HEADER + i * row;
        if (router)
            evalblob_router_row_write(at, cumulative, PREFIX);
        else
            evalblob_model_row_write(at, (SEQ - 1) * loss, (SEQ - PREFIX) * loss);
    }
    o->items[0] = (struct msg_blob){.role = ROLE_EVAL};
    put(w, blob, len, &o->items[0]);
    o->count = 1;
    free(blob);
}

static inline void make_outputs(struct world *w, const struct msg_grant *g, enum wrong wrong,
                                struct outputs *o)
{
    memset(o, 0, sizeof *o);
    if (g->kind == JOB_TRAIN || g->kind == JOB_TRAIN_ROUTER)
        make_training(w, g, wrong, o);
    else if (g->kind == JOB_SCORE)
        make_scores(w, g, wrong, o);
    else if (g->kind == JOB_SEGMENT)
        make_pieces(w, g, wrong, o);
    else
        make_eval(w, g, wrong, o);
    if (wrong == MISSING)
        o->count--;
    if (wrong == NOT_UPLOADED)
        o->items[0].digest.bytes[0] ^= 1;
    if (wrong == OTHER_SIZE)
        o->items[0].bytes++;
}

/* --- the agent ---------------------------------------------------------------------------------
 */

static inline int claim(struct world *w, struct msg_grant *g)
{
    struct msg_claim m = {0};
    return ask(w, NULL, lease_claim, NULL, 0, &m, g, NULL);
}

static inline struct msg_complete result_of(const struct msg_grant *g, struct outputs *o)
{
    return (struct msg_complete){.fence = g->fence,
                                 .outputs = o->items,
                                 .output_count = o->count,
                                 .loss = 1.5,
                                 .seconds = 0.5,
                                 .tokens = 100,
                                 .bytes_down = 1000,
                                 .bytes_up = 10};
}

/* Only what is looked at before the job can be done. */
static inline int check(struct world *w, const struct msg_grant *g, enum wrong wrong)
{
    struct outputs o;
    make_outputs(w, g, wrong, &o);
    struct msg_complete m = result_of(g, &o);
    return ask(w, runs_prepare_complete, NULL, NULL, g->job, &m, NULL, NULL);
}

/* Does the job; *g is the chain's next link where that is true. */
static inline bool do_job(struct world *w, struct msg_grant *g)
{
    struct outputs o;
    struct msg_completed done = {0};
    make_outputs(w, g, RIGHT, &o);
    struct msg_complete m = result_of(g, &o);
    OK(ask(w, runs_prepare_complete, lease_complete, NULL, g->job, &m, &done, NULL));
    w->done++;
    if (done.next)
        *g = *done.next;
    return done.next != NULL;
}

/* Claims until there is a job, which may need the coordinator to do its own before; false once the
 * run has ended. */
static inline bool next_job(struct world *w, const char *run, struct msg_grant *g)
{
    for (int64_t end = env_monotonic_ms() + 30000; env_monotonic_ms() < end; env_sleep_ms(2)) {
        int64_t next;
        int rc = claim(w, g);
        if (!rc)
            return true;
        assert_int_equal(rc, ERR_NOT_FOUND);
        if (show(w, run).state != RUN_ACTIVE)
            return false;
        OK(lease_tick(&w->service, &next, &err));
    }
    fail_msg("run %s goes no further", run);
    return false;
}

/* Jobs up to the first of a kind (and, for rounds, final or not), which is left in *g; or all. */
static inline bool work_until(struct world *w, const char *run, int kind, bool final,
                              struct msg_grant *g)
{
    while (next_job(w, run, g))
        do {
            if (g->kind == kind && g->final == final)
                return true;
        } while (do_job(w, g));
    return false;
}

/* An agent of its own for each letter ('a' is the world's first); its number. */
static inline uint64_t world_join(struct world *w, char letter, const char *name)
{
    char identity[65];
    struct msg_joined joined;
    memset(identity, letter, 64);
    identity[64] = 0;
    struct msg_join m = {.identity = identity, .name = name, .threads = 1};
    OK(ask(w, NULL, lease_join, NULL, 0, &m, &joined, NULL));
    return joined.agent;
}

static inline struct world *world_make(void)
{
    struct world *w = calloc(1, sizeof *w);
    temp_dir_make(w->dir);
    arena_init(&w->arena, 1u << 28);
    buf_init(&w->train_bytes, 1u << 20);
    world_start(w);
    make_dataset(w);
    w->agent = world_join(w, 'a', "machine");
    return w;
}

static inline void world_free(struct world *w)
{
    world_stop(w);
    temp_dir_remove(w->dir);
    buf_free(&w->train_bytes);
    arena_free(&w->arena);
    free(w);
}

#endif
