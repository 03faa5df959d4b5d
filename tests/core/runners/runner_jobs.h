/* Jobs on small data, through files, without a coordinator: what the tests of runners share. */
#ifndef TACIT_TESTS_CORE_RUNNERS_RUNNER_JOBS_H
#define TACIT_TESTS_CORE_RUNNERS_RUNNER_JOBS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "core/runners/job.h"
#include "core/runners/kept.h"
#include "core/runners/pace.h"
#include "core/runners/saves.h"
#include "core/base/rng.h"
#include "core/checkpoint/checkpoint.h"
#include "core/data/shard.h"
#include "core/env/clock.h"
#include "core/env/file.h"
#include "core/env/process.h"

/* The folder that they work in: programs that run side by side define one each. */
#ifndef ROOT
#define ROOT "build/runner_jobs"
#endif

#define V 64
#define S 16
#define M 8
#define PER_SHARD 40
#define SHARDS 3
#define TRAIN (PER_SHARD * SHARDS)
#define HELD 30
#define E 2

static struct run_spec spec;
static struct digest spec_digest;
static const char *const shard_path[SHARDS] = {ROOT "/shard0", ROOT "/shard1", ROOT "/shard2"};
static const char *const held_path = ROOT "/held";

static void write_file(const char *path, const void *data, size_t len)
{
    struct err e = {0};
    assert_int_equal(env_file_write_atomic(path, data, len, 0600, &e), 0);
}

/* Two languages that share no token: half of the sequences each, in random order. */
static void make_shard(const char *path, uint64_t first, uint32_t count)
{
    struct shard_shape shape = {.seq = S, .vocab = V, .labels = 2};
    struct shard_builder b;
    struct buf out;
    struct err e = {0};
    buf_init(&out, 1 << 20);
    assert_int_equal(shard_builder_init(&b, &shape, count, &e), 0);
    for (uint64_t i = first; i < first + count; i++) {
        uint32_t tokens[S], language = rng_u64(1, RNG_TEST, 0, i) % 2;
        for (uint32_t s = 0; s < S; s++)
            tokens[s] = language * 32 + (uint32_t)((rng_u64(1, RNG_TEST, 1 + i, s) % 5 + s) % 32);
        shard_builder_add(&b, tokens, S, language);
    }
    assert_int_equal(shard_builder_finish(&b, &out, &e), 0);
    write_file(path, out.data, out.len);
    shard_builder_free(&b);
    buf_free(&out);
}

static int set_up(void **state)
{
    static const char text[] = "[run]\nname = t\ndataset = d\nexperts = 2\nseed = 7\n"
                               "[router]\nhidden = 8\nlayers = 1\nheads = 2\nprefix = 8\n"
                               "rounds = 2\nsequences = 60\nbatch = 4\nlearning_rate = 1e-2\n"
                               "warmup = 2\n"
                               "[expert]\nhidden = 16\nlayers = 1\nheads = 2\nbatch = 4\n"
                               "steps = 40\nlearning_rate = 5e-3\nwarmup = 5\n"
                               "[checkpoint]\nevery_steps = 5\npublish_steps = 20\n";
    struct err e = {0};
    (void)state;
    if (system("rm -rf " ROOT) || env_dir_make(ROOT, &e))
        return -1;
    if (spec_parse(text, strlen(text), "test.ini", &spec, &e)) {
        print_error("%s\n", e.message);
        return -1;
    }
    digest_of(text, strlen(text), &spec_digest);
    for (uint32_t i = 0; i < SHARDS; i++)
        make_shard(shard_path[i], i * PER_SHARD, PER_SHARD);
    make_shard(held_path, 1000, HELD);
    return 0;
}

/* --- one job ------------------------------------------------------------------------------------
 */

#define INPUTS 16

struct job {
    struct msg_grant g;
    struct msg_blob inputs[INPUTS];
    const char *paths[INPUTS];
    struct job_context c;
    struct job_progress progress;
    struct job_result r;
    struct err e;
    int rc;
};

static void job_begin(struct job *j, int kind, const char *dir, struct kept *kept)
{
    memset(j, 0, sizeof *j);
    j->g = (struct msg_grant){.kind = kind, .spec = spec_digest, .vocab = V, .seq = S};
    j->g.inputs = j->inputs;
    j->c = (struct job_context){
        .spec = &spec, .inputs = j->paths, .dir = dir, .kept = kept, .progress = &j->progress};
}

static void input(struct job *j, struct msg_blob b, const char *path)
{
    assert_true(j->g.input_count < INPUTS);
    j->paths[j->g.input_count] = path;
    j->inputs[j->g.input_count++] = b;
}

/* Sequences first…first+count−1 of the corpus, by the shards that hold them. */
static void input_window(struct job *j, uint64_t first, uint64_t count)
{
    while (count > 0) {
        uint64_t shard = first / PER_SHARD, in = first % PER_SHARD;
        uint64_t n = PER_SHARD - in < count ? PER_SHARD - in : count;
        input(j, (struct msg_blob){.role = ROLE_SHARD, .index = shard, .first = in, .count = n},
              shard_path[shard]);
        first += n;
        count -= n;
    }
}

static int job_go(struct job *j)
{
    j->rc = job_run(&j->c, &j->g, &j->r, &j->e);
    return j->rc;
}

static void job_good(struct job *j)
{
    if (job_go(j))
        fail_msg("%s", j->e.message);
}

static void input_output(struct job *j, const struct job *from, uint32_t n)
{
    input(j, from->r.outputs[n].blob, from->r.outputs[n].path);
}

static struct kept *new_kept(void)
{
    struct kept *k;
    struct err e = {0};
    assert_int_equal(kept_create(&k, 1, &e), 0);
    return k;
}

static void same_content(const struct job *a, const struct job *b)
{
    assert_int_equal(a->r.count, b->r.count);
    for (uint32_t i = 0; i < a->r.count; i++) {
        assert_int_equal(a->r.outputs[i].blob.role, b->r.outputs[i].blob.role);
        assert_memory_equal(&a->r.outputs[i].blob.content, &b->r.outputs[i].blob.content,
                            sizeof(struct digest));
    }
}

/* A dense link of the whole corpus, with just what it reads. */
static void dense_link(struct job *j, const char *dir, struct kept *kept, uint64_t first,
                       uint64_t last, const struct job *before)
{
    uint64_t from = first * spec.dense.batch, to = last * spec.dense.batch;
    job_begin(j, JOB_TRAIN, dir, kept);
    j->g.target = TARGET_DENSE;
    j->g.step_first = first;
    j->g.step_last = last;
    j->g.steps = 40;
    j->g.segment_count = TRAIN;
    if (before) {
        input_output(j, before, 0);
        input_output(j, before, 1);
    }
    if (to <= TRAIN) {
        j->g.window_first = from;
        input_window(j, from, to - from);
    } else {
        input_window(j, 0, TRAIN);
    }
}

#endif
