/* A disk that is full, fails or has become read-only costs an agent the save or result that it was
 * just about to write, never one that was written before: training goes on from it, and once the
 * disk is well saves are made again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "agent/spool.h"
#include "core/env/file.h"
#include "core/runners/saves.h"
#include "tests/sim/disk/one_machine.h"

#define MILLION 1000000
#define JOBS "work/jobs"
#define DIR JOBS "/00000000000000000000000000000001"
#define SPOOL_DIR JOBS "/00000000000000000000000000000002"
#define SPOOL_OUTPUT SPOOL_DIR "/scores"

static struct err err;

struct world {
    unsigned seed;
    uint64_t random, step, saved; /* saved: the newest step whose save was acknowledged */
    bool owed;                    /* a result was acknowledged */
    struct sim_disk *disk;
    struct weights w;
    unsigned agreed, refused;
};

static unsigned draw(struct world *w, unsigned below)
{
    w->random = w->random * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(w->random >> 33) % below;
}

static void trouble(struct world *w)
{
    static const uint32_t chances[] = {MILLION, MILLION / 3, MILLION / 20};
    struct sim_disk_faults f = {0};
    uint32_t ppm = chances[draw(w, 3)];
    switch (draw(w, 5)) {
    case 0:
        f.bytes_max = sim_disk_used(w->disk) + draw(w, 60000);
        break;
    case 1:
        f.write_ppm = ppm;
        break;
    case 2:
        f.sync_ppm = ppm;
        break;
    case 3:
        f.read_only = true;
        break;
    default:
        f.write_ppm = f.sync_ppm = f.read_ppm = ppm / 5;
    }
    sim_disk_set_faults(w->disk, &f);
}

static struct checkpoint_position position(uint64_t step)
{
    return (struct checkpoint_position){.step = step, .round_step = step, .stream = 3};
}

static void fill(struct weights *w, uint64_t step)
{
    for (uint64_t i = 0; i < w->count; i++) {
        w->parameters[i] = (float)(i % 89) + (float)step;
        w->moment1[i] = (float)step * 0.25f;
        w->moment2[i] = (float)(i % 7);
    }
}

static int save(struct world *w)
{
    struct checkpoint_position p = position(++w->step);
    struct checkpoint_digests model, state;
    fill(&w->w, w->step);
    int rc = env_dir_make(DIR, &err);
    if (!rc)
        rc = saves_write(DIR, &w->w, &p, &model, &state, &err);
    if (!rc)
        w->saved = w->step;
    *(rc ? &w->refused : &w->agreed) += 1;
    return rc;
}

/* A result of another job, written once. */
static int give(struct world *w)
{
    static const char text[] = "what took an hour to compute";
    struct msg_fence fence = {1, 2};
    struct msg_grant g = {
        .job = 2, .run = "demo", .kind = JOB_SCORE, .lease_ms = 60000, .vocab = 64, .seq = 16};
    struct job_result r = {.seconds = 3600};
    struct msg_blob blob = {.role = ROLE_SCORES, .bytes = sizeof text};
    struct env_file_new f;
    g.fence = &fence;
    digest_of(text, sizeof text, &blob.digest);
    g.spec = blob.digest;
    int rc = env_dir_make(SPOOL_DIR, &err);
    if (rc || (rc = env_file_new_open(&f, SPOOL_OUTPUT, 0600, &err)))
        return rc;
    f.passing = true; /* as the runners write outputs: spool_write syncs them */
    rc = env_file_new_write(&f, text, sizeof text, &err);
    if (!rc)
        rc = env_file_new_commit(&f, &err);
    env_file_new_abandon(&f);
    if (!rc)
        rc = job_add_output(&r, &blob, SPOOL_OUTPUT, &err);
    if (!rc)
        rc = spool_write(SPOOL_DIR, &g, &r, &err);
    w->owed |= rc == 0;
    job_result_free(&r);
    return rc;
}

static void check(struct world *w)
{
    struct checkpoint_position like = position(0), p;
    bool found = false;
    uint64_t bytes = w->w.count * sizeof(float);
    if (env_dir_exists(DIR) && saves_load(DIR, &like, 0, 1u << 20, &w->w, &p, &found, &err) != 0)
        fail_msg("seed %u: %s", w->seed, err.message);
    if (w->saved > 0 && (!found || p.step < w->saved))
        fail_msg("seed %u: step %u was saved, and step %u is loaded", w->seed, (unsigned)w->saved,
                 found ? (unsigned)p.step : 0);
    if (found) {
        struct weights expected = w->w;
        expected.parameters = malloc(bytes);
        expected.moment1 = malloc(bytes);
        expected.moment2 = malloc(bytes);
        fill(&expected, p.step);
        assert_memory_equal(w->w.parameters, expected.parameters, bytes);
        assert_memory_equal(w->w.moment1, expected.moment1, bytes);
        assert_memory_equal(w->w.moment2, expected.moment2, bytes);
        free(expected.parameters);
        free(expected.moment1);
        free(expected.moment2);
    }
    struct job_result r;
    struct msg_grant g;
    struct arena a;
    char *dir;
    arena_init(&a, 1u << 20);
    bool there = spool_find(JOBS, &dir, &g, &a, &r);
    if (w->owed && !there)
        fail_msg("seed %u: a result that was to be delivered is gone", w->seed);
    if (there) {
        assert_int_equal(r.count, 1);
        free(dir);
        job_result_free(&r);
    }
    arena_free(&a);
}

static void play(unsigned seed, unsigned *agreed, unsigned *refused)
{
    static const struct model_config shape = {
        .vocab = 64, .seq = 16, .hidden = 16, .layers = 1, .heads = 2, .ffn = 64};
    struct world *w = calloc(1, sizeof *w);
    w->seed = seed;
    w->random = seed * 99991u;
    w->disk = sim_disk_create(seed);
    machine_use(w->disk);
    machine_seed(seed);
    w->w = (struct weights){.config = shape, .count = model_parameters(&shape)};
    w->w.parameters = calloc(w->w.count, sizeof(float));
    w->w.moment1 = calloc(w->w.count, sizeof(float));
    w->w.moment2 = calloc(w->w.count, sizeof(float));
    assert_int_equal(env_dir_make(JOBS, &err), 0);
    for (unsigned round = 0; round < 10; round++) {
        trouble(w);
        for (unsigned i = 0; i < 3; i++)
            (void)!save(w);
        if (!w->owed)
            (void)!give(w);
        unsigned end = draw(w, 3);
        if (end == 1)
            sim_disk_kill(w->disk);
        if (end == 2)
            sim_disk_power_loss(w->disk, SIM_DISK_LOSS_DRAWN, w->random);
        sim_disk_set_faults(w->disk, &(struct sim_disk_faults){0});
        check(w);
        if (save(w))
            fail_msg("seed %u: the disk is well, and a save fails: %s", seed, err.message);
    }
    *agreed += w->agreed;
    *refused += w->refused;
    free(w->w.parameters);
    free(w->w.moment1);
    free(w->w.moment2);
    sim_disk_destroy(w->disk);
    free(w);
}

static void test_troubles_of_the_disk_pass(void **state)
{
    unsigned agreed = 0, refused = 0, seeds = getenv("TACIT_SLOW") ? 2000 : 60;
    (void)state;
    for (unsigned seed = 1; seed <= seeds; seed++)
        play(seed, &agreed, &refused);
    print_message("%u seeds: %u saves made, %u refused\n", seeds, agreed, refused);
    assert_true(agreed > 10 * seeds && refused > 5 * seeds);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_troubles_of_the_disk_pass),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
