/* The rules of due jobs, played through with a store that is a list: if one failed, a run would
 * hang, train on what is not there, or do other work after a restart than before. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "core/mixture/assign.h"
#include "coordinator/run/due.h"
#include "tests/coordinator/run/job_keys.h"

#define JOBS_MAX 4096

struct world {
    struct run_spec spec;
    struct run_facts facts;
    uint64_t steps[16];
    struct job_key jobs[JOBS_MAX];
    bool done[JOBS_MAX];
    uint32_t count;
    struct job_key frontier[JOBS_MAX];
    uint32_t frontier_count;
};

static int emit(void *arg, const struct job_key *k, int priority, struct err *e)
{
    struct world *w = arg;
    (void)e;
    assert_true(priority > 0);
    w->frontier[w->frontier_count++] = *k;
    for (uint32_t i = 0; i < w->count; i++)
        if (job_keys_equal(&w->jobs[i], k))
            return 0;
    assert_true(w->count < JOBS_MAX);
    w->jobs[w->count++] = *k;
    return 0;
}

static uint32_t done_like(const struct world *w, int kind, bool final, uint32_t round,
                          uint32_t chunk)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < w->count; i++)
        n += w->done[i] && w->jobs[i].kind == kind && w->jobs[i].final == final &&
             w->jobs[i].round == round && w->jobs[i].chunk == chunk;
    return n;
}

static void update_facts(struct world *w)
{
    struct run_facts *f = &w->facts;
    uint32_t rounds = w->spec.router.mode == SPEC_EM ? w->spec.router.rounds : 0;
    uint32_t chunks = (uint32_t)spec_chunks(&w->spec, f->train_sequences);
    f->rounds_trained = f->rounds_scored = f->rounds_assigned = 0;
    for (uint32_t r = 0; r < rounds; r++) {
        f->rounds_trained += done_like(w, JOB_TRAIN_ROUTER, false, r, 0) == w->spec.experts;
        f->rounds_scored +=
            r > 0 && done_like(w, JOB_SCORE, false, r, 0) == due_score_parts(f, false, r);
        f->rounds_assigned += done_like(w, JOB_ASSIGN, false, r, 0);
    }
    f->chunks_scored = f->chunks_assigned = f->chunks_segmented = 0;
    for (uint32_t c = 0; c < chunks; c++) {
        f->chunks_scored += done_like(w, JOB_SCORE, true, 0, c) == due_score_parts(f, true, c);
        f->chunks_assigned += done_like(w, JOB_ASSIGN, true, 0, c);
        f->chunks_segmented += done_like(w, JOB_SEGMENT, true, 0, c) == due_segment_parts(f, c);
    }
    memset(w->steps, 0, sizeof w->steps);
    f->dense_step = f->dense_flops_step = 0;
    for (uint32_t i = 0; i < w->count; i++) {
        if (!w->done[i] || w->jobs[i].kind != JOB_TRAIN)
            continue;
        uint64_t *step = w->jobs[i].target == TARGET_EXPERT  ? &w->steps[w->jobs[i].index]
                         : w->jobs[i].target == TARGET_DENSE ? &f->dense_step
                                                             : &f->dense_flops_step;
        if (w->jobs[i].step_last > *step)
            *step = w->jobs[i].step_last;
    }
    f->expert_step = w->steps;
    f->evals_done = 0;
    for (uint32_t i = 0; i < w->count; i++)
        f->evals_done += w->done[i] && w->jobs[i].kind == JOB_EVAL;
}

static void derive(struct world *w)
{
    struct run_facts *f = &w->facts;
    update_facts(w);
    w->frontier_count = 0;
    struct err e = {0};
    assert_int_equal(due_jobs(f, emit, w, &e), 0);
}

static void world_init(struct world *w, const char *extra)
{
    static const char base[] = "[run]\nname = t\ndataset = d\nexperts = 4\n"
                               "[router]\nhidden = 16\nlayers = 1\nheads = 2\nrounds = 3\n"
                               "sequences = 3000\n"
                               "[expert]\nhidden = 32\nlayers = 2\nheads = 2\nsteps = 1100\n"
                               "batch = 8\nchunk = 10000\n"
                               "[checkpoint]\npublish_steps = 250\nevery_steps = 125\n";
    char text[2048];
    struct err e = {0};
    snprintf(text, sizeof text, "%s%s", base, extra);
    memset(w, 0, sizeof *w);
    if (spec_parse(text, strlen(text), "t.ini", &w->spec, &e))
        fail_msg("%s", e.message);
    w->facts = (struct run_facts){.spec = &w->spec,
                                  .vocab = 1024,
                                  .seq = 128,
                                  .train_sequences = 32000,
                                  .heldout_sequences = 1000,
                                  .shard_sequences = 1000};
}

static void check_inputs_are_there(const struct world *w, const struct job_key *k)
{
    const struct run_facts *f = &w->facts;
    if (k->kind == JOB_TRAIN_ROUTER && k->round > 0)
        assert_int_equal(done_like(w, JOB_ASSIGN, false, k->round, 0), 1);
    if (k->kind == JOB_SCORE && k->final && w->spec.router.mode == SPEC_EM)
        assert_int_equal(f->rounds_trained, w->spec.router.rounds);
    if (k->kind == JOB_SEGMENT)
        assert_int_equal(done_like(w, JOB_ASSIGN, true, 0, k->chunk), 1);
    if (k->kind == JOB_TRAIN && k->target == TARGET_EXPERT) {
        uint64_t there = 0;
        for (uint32_t c = 0; c < f->chunks_segmented; c++)
            there += assign_capacity(due_chunk_sequences(f, c), w->spec.experts, k->index);
        if (f->chunks_segmented < spec_chunks(&w->spec, f->train_sequences))
            assert_true(k->step_last * w->spec.expert.batch <= there);
    }
}

/* The facts that due_after says it needs, and nothing true beside them. */
static struct run_facts facts_after(const struct world *w, const struct job_key *done,
                                    uint64_t *steps)
{
    const struct run_facts *all = &w->facts;
    struct run_facts f = *all;
    uint32_t open = 0;
    bool link = done->kind == JOB_TRAIN, segmented = done->kind == JOB_SEGMENT;
    for (uint32_t i = 0; i < w->count; i++)
        open += !w->done[i];
    for (uint32_t i = 0; i < w->spec.experts; i++)
        steps[i] = (segmented && all->chunks_segmented > done->chunk) ||
                           (link && done->target == TARGET_EXPERT && done->index == i)
                       ? all->expert_step[i]
                       : 0;
    f.expert_step = steps;
    if (!link || done->target != TARGET_DENSE)
        f.dense_step = 0;
    if (!link || done->target != TARGET_DENSE_FLOPS)
        f.dense_flops_step = 0;
    if (done->kind != JOB_EVAL || open > 0)
        f.evals_done = 0;
    if (link || done->kind == JOB_EVAL)
        f.rounds_trained = f.rounds_scored = f.rounds_assigned = 0;
    if (done->kind == JOB_EVAL)
        f.chunks_scored = f.chunks_assigned = f.chunks_segmented = 0;
    return f;
}

/* What is derived from the end of one job must be what is derived from everything. */
static void check_after(struct world *w, const struct job_key *done)
{
    struct err e = {0};
    uint64_t steps[16];
    update_facts(w);
    struct run_facts f = facts_after(w, done, steps);
    uint32_t before = w->count;
    w->frontier_count = 0;
    assert_int_equal(due_after(&f, done, emit, w, &e), 0);
    uint32_t after = w->count;
    derive(w);
    assert_int_equal(w->count, after); /* it missed none */
    for (uint32_t i = before; i < after; i++) {
        bool due = false;
        for (uint32_t k = 0; k < w->frontier_count; k++)
            due |= job_keys_equal(&w->frontier[k], &w->jobs[i]);
        assert_true(due); /* and made none too early */
    }
}

/* Does the jobs in an order that depends on `pick` until none is left. */
static uint32_t play(struct world *w, unsigned pick)
{
    uint32_t left = 1, turns = 0;
    while (left > 0) {
        derive(w);
        left = 0;
        for (uint32_t i = 0; i < w->count; i++)
            left += !w->done[i];
        if (left == 0)
            break;
        pick = pick * 1664525u + 1013904223u;
        uint32_t chosen = pick % left;
        for (uint32_t i = 0; i < w->count; i++)
            if (!w->done[i] && chosen-- == 0) {
                check_inputs_are_there(w, &w->jobs[i]);
                w->done[i] = true;
                struct job_key done = w->jobs[i];
                check_after(w, &done);
                break;
            }
        assert_true(++turns < JOBS_MAX);
    }
    return turns;
}

/* Any total order: both lists are sorted by it. */
static int by_fields(const void *va, const void *vb)
{
    const struct job_key *a = va, *b = vb;
    const uint64_t left[] = {
        (uint64_t)a->kind, (uint64_t)a->target, a->index,    a->round, a->chunk,
        a->part,           a->step_first,       a->step_last};
    const uint64_t right[] = {
        (uint64_t)b->kind, (uint64_t)b->target, b->index,    b->round, b->chunk,
        b->part,           b->step_first,       b->step_last};
    for (size_t i = 0; i < sizeof left / sizeof left[0]; i++)
        if (left[i] != right[i])
            return left[i] < right[i] ? -1 : 1;
    return 0;
}

static void a_run_ends_with_its_report_whatever_the_order(void **state)
{
    (void)state;
    struct world *first = malloc(sizeof *first), *other = malloc(sizeof *other);
    const char *dense = "[dense]\nmatch = both\n[eval]\nevery_steps = 500\n";
    world_init(first, dense);
    play(first, 1);
    assert_int_equal(done_like(first, JOB_REPORT, false, 0, 0), 1);
    assert_int_equal(first->jobs[first->count - 1].kind, JOB_REPORT);
    assert_int_equal(first->facts.evals_done, due_evals_total(&first->facts));
    for (int i = 0; i < 4; i++)
        assert_int_equal(first->steps[i], 1100);
    assert_int_equal(first->facts.dense_step, due_steps(&first->facts, TARGET_DENSE));
    assert_true(first->facts.dense_flops_step > first->facts.dense_step);
    qsort(first->jobs, first->count, sizeof first->jobs[0], by_fields);
    for (unsigned pick = 2; pick < 12; pick++) {
        world_init(other, dense);
        play(other, pick);
        assert_int_equal(other->count, first->count);
        qsort(other->jobs, other->count, sizeof other->jobs[0], by_fields);
        for (uint32_t i = 0; i < first->count; i++)
            assert_true(job_keys_equal(&other->jobs[i], &first->jobs[i]));
    }
    free(first);
    free(other);
}

static void experts_start_before_the_last_chunk(void **state)
{
    (void)state;
    struct world *w = malloc(sizeof *w);
    world_init(w, "[dense]\nenabled = no\n");
    bool early = false;
    for (int turn = 0; turn < 400; turn++) {
        derive(w);
        for (uint32_t i = 0; i < w->frontier_count; i++)
            early |= w->frontier[i].kind == JOB_TRAIN && w->facts.chunks_segmented == 1;
        for (uint32_t i = 0; i < w->count; i++)
            if (!w->done[i] && w->jobs[i].chunk == 0 && w->jobs[i].kind != JOB_TRAIN) {
                w->done[i] = true;
                break;
            }
    }
    assert_true(early);
    free(w);
}

static void the_random_control_trains_no_router(void **state)
{
    (void)state;
    struct world *w = malloc(sizeof *w);
    world_init(w, "[dense]\nenabled = no\n");
    w->spec.router.mode = SPEC_RANDOM;
    play(w, 7);
    assert_int_equal(done_like(w, JOB_REPORT, false, 0, 0), 1);
    for (uint32_t i = 0; i < w->count; i++)
        assert_int_not_equal(w->jobs[i].kind, JOB_TRAIN_ROUTER);
    free(w);
}

/* Every router scores every sequence: with a thousand of them, a part of as many sequences as with
 * four takes hours, and agents that live for minutes never finish one. */
static void a_score_part_is_no_more_work_with_many_routers(void **state)
{
    (void)state;
    struct world *w = malloc(sizeof *w);
    for (uint32_t experts = 4; experts <= 1024; experts *= 4) {
        world_init(w, "");
        w->spec.experts = experts;
        uint64_t first, count;
        due_part_window(&w->facts, JOB_SCORE, false, 1, 0, &first, &count);
        assert_true(count * experts <= 64 * 1024);
        assert_true(count >= 64);
        due_part_window(&w->facts, JOB_SCORE, true, 0, 0, &first, &count);
        assert_true(count * experts <= 64 * 1024);
    }
    free(w);
}

/* The report goes, as an extension undoes it. */
static void extend(struct world *w, const uint64_t *ends, uint32_t count)
{
    for (uint32_t i = 0; i < w->count; i++)
        if (w->jobs[i].kind == JOB_REPORT) {
            w->jobs[i] = w->jobs[--w->count];
            w->done[i] = w->done[w->count];
            w->done[w->count] = false;
        }
    w->facts.ends = ends;
    w->facts.end_count = count;
}

/* What was done stays, links begin where others ended, and each lies within one cycle: else past
 * steps would change, or a link could not be told what it goes on from. */
static void an_extended_run_goes_on_from_its_last_links(void **state)
{
    (void)state;
    static const uint64_t ends[] = {1500, 1560};
    static const uint64_t links[][2] = {{0, 250},     {250, 500},   {500, 750},   {750, 1000},
                                        {1000, 1100}, {1100, 1250}, {1250, 1500}, {1500, 1560}};
    struct world *late = malloc(sizeof *late), *early = malloc(sizeof *early);
    const char *more = "[dense]\nmatch = tokens\n[eval]\nevery_steps = 500\n";
    world_init(late, more);
    play(late, 3);
    extend(late, ends, 1);
    play(late, 4);
    extend(late, ends, 2);
    play(late, 5);
    world_init(early, more);
    extend(early, ends, 2);
    play(early, 6);
    assert_int_equal(late->count, early->count);
    assert_int_equal(done_like(late, JOB_REPORT, false, 0, 0), 1);
    for (int i = 0; i < 4; i++)
        assert_int_equal(late->steps[i], 1560);
    assert_int_equal(late->facts.dense_step, due_steps(&late->facts, TARGET_DENSE));
    for (size_t i = 0; i < sizeof links / sizeof links[0]; i++) {
        uint64_t first, last;
        assert_int_equal(due_link_last(&late->facts, TARGET_EXPERT, links[i][0]), links[i][1]);
        assert_int_equal(due_link_first(&late->facts, TARGET_EXPERT, links[i][1]), links[i][0]);
        due_cycle(&late->facts, TARGET_EXPERT, links[i][0], &first, &last);
        assert_true(first <= links[i][0] && links[i][1] <= last);
    }
    /* The cycles of links that were done before are those that they were told. */
    uint64_t first, last;
    due_cycle(&late->facts, TARGET_EXPERT, 1000, &first, &last);
    assert_true(first == 0 && last == 1100);
    due_cycle(&late->facts, TARGET_EXPERT, 1100, &first, &last);
    assert_true(first == 1100 && last == 1500);
    uint32_t evals = 0;
    for (uint32_t i = 0; i < late->count; i++)
        evals += late->jobs[i].kind == JOB_EVAL && late->jobs[i].target == TARGET_EXPERT &&
                 late->jobs[i].index == 2;
    assert_int_equal(evals, 5); /* 500, 1000, 1100, 1500, 1560 */
    free(late);
    free(early);
}

static void parts_cover_their_window_once(void **state)
{
    (void)state;
    struct world *w = malloc(sizeof *w);
    world_init(w, "");
    for (uint32_t chunk = 0; chunk < spec_chunks(&w->spec, 32000); chunk++) {
        for (int pass = 0; pass < 2; pass++) {
            int kind = pass ? JOB_SEGMENT : JOB_SCORE;
            uint32_t parts = pass ? due_segment_parts(&w->facts, chunk)
                                  : due_score_parts(&w->facts, true, chunk);
            uint64_t at = 0;
            for (uint32_t p = 0; p < parts; p++) {
                uint64_t first, count;
                due_part_window(&w->facts, kind, true, chunk, p, &first, &count);
                assert_int_equal(first, at);
                assert_true(count > 0);
                at += count;
            }
            assert_int_equal(at, due_chunk_sequences(&w->facts, chunk));
        }
    }
    free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_run_ends_with_its_report_whatever_the_order),
        cmocka_unit_test(experts_start_before_the_last_chunk),
        cmocka_unit_test(the_random_control_trains_no_router),
        cmocka_unit_test(a_score_part_is_no_more_work_with_many_routers),
        cmocka_unit_test(an_extended_run_goes_on_from_its_last_links),
        cmocka_unit_test(parts_cover_their_window_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
