/* Learning curves. If one of these failed, a curve would be drawn twice, jump back, or lose what a
 * heartbeat brought before the coordinator was killed. */
#pragma GCC diagnostic ignored "-Wunused-function" /* of the made-up agent's parts */
#include "tests/coordinator/run/run_world.h"
#include "coordinator/store/ops_curves.h"

static const char spec_text[] =
    "[run]\nname = demo\ndataset = corpus\nexperts = 2\n"
    "[router]\nhidden = 4\nlayers = 1\nheads = 2\nprefix = 4\nrounds = 1\n"
    "sequences = 60\nbatch = 4\n"
    "[expert]\nhidden = 8\nlayers = 1\nheads = 2\nsteps = 24\nbatch = 4\nchunk = 80\n"
    "[dense]\nenabled = no\n[checkpoint]\npublish_steps = 12\n";

static struct world *begin(void)
{
    struct world *w = world_make();
    struct msg_run run;
    OK(spec_parse(spec_text, strlen(spec_text), "t.ini", &w->spec, &err));
    OK(create(w, spec_text, false, &run));
    return w;
}

/* Points of loss 10 − step/10. */
static uint32_t points_of(struct msg_point *out, uint64_t first, uint64_t last)
{
    uint32_t n = 0;
    for (uint64_t step = first; step <= last; step++)
        out[n++] = (struct msg_point){step, 10 - (double)step / 10};
    return n;
}

static void beat(struct world *w, const struct msg_grant *g, uint64_t first, uint64_t last)
{
    struct msg_point points[64];
    struct msg_command command;
    struct msg_heartbeat m = {.fence = g->fence,
                              .step = last,
                              .loss = 1,
                              .rate = 1,
                              .phase = PHASE_RUNNING,
                              .points = points,
                              .point_count = points_of(points, first, last)};
    OK(ask(w, NULL, lease_heartbeat, NULL, g->job, &m, &command, NULL));
}

struct curves {
    struct msg_curve *curves;
    uint32_t count;
};

/* The curve of expert `index`, which must ascend and have the losses of points_of. */
static struct msg_curve *curve_of(struct world *w, uint64_t index, uint64_t limit)
{
    static const struct field fields[] = {{.name = "curves",
                                           .type = FIELD_ARRAY,
                                           .required = true,
                                           .offset = offsetof(struct curves, curves),
                                           .count_offset = offsetof(struct curves, count),
                                           .length_max = 100,
                                           .of = &message_curve}};
    static const struct message message = {"curves", sizeof(struct curves), fields, 1};
    struct request r = {.fn = runs_curves};
    struct curves all;
    r.call = (struct call){.service = &w->service,
                           .arena = &w->arena,
                           .caller = CALLER_ADMIN,
                           .name = "demo",
                           .query_limit = limit,
                           .now_ms = env_monotonic_ms(),
                           .wall_ms = env_wall_ms()};
    OK(store_write_wait(w->service.store, request_fn, &r, &err));
    const struct call c = r.call;
    char *text = arena_printf(&w->arena, "{\"curves\":%.*s}", (int)c.raw_len, c.raw);
    OK(message_decode(&message, text, strlen(text), &all, &w->arena, &err));
    for (uint32_t i = 0; i < all.count; i++) {
        struct msg_curve *m = &all.curves[i];
        if (m->target != TARGET_EXPERT || m->index != index)
            continue;
        for (uint32_t k = 0; k < m->step_count; k++) {
            assert_true(k == 0 || m->steps[k] > m->steps[k - 1]);
            assert_true(k == 0 || m->ats[k] >= m->ats[k - 1]);
        }
        return m;
    }
    return NULL;
}

static void must_be(struct world *w, uint64_t index, uint32_t first, uint32_t last)
{
    const struct msg_curve *m = curve_of(w, index, 1000);
    assert_non_null(m);
    assert_int_equal(m->step_count, last - first + 1);
    assert_int_equal(m->step_tokens, 4 * SEQ);
    for (uint32_t i = 0; i < m->step_count; i++) {
        assert_true(m->steps[i] == first + i);
        assert_true(fabs(m->losses[i] - (10 - m->steps[i] / 10)) < 1e-6);
    }
}

static void restart(struct world *w)
{
    world_stop(w);
    world_start(w);
}

static void test_grows_and_rewinds(void **state)
{
    (void)state;
    struct world *w = begin();
    struct msg_grant g;
    assert_true(work_until(w, "demo", JOB_TRAIN, false, &g));
    uint64_t index = g.index;
    assert_null(curve_of(w, index, 0));
    beat(w, &g, 1, 4); /* in memory */
    must_be(w, index, 1, 4);
    beat(w, &g, 5, 6);
    must_be(w, index, 1, 6);
    OK(lease_flush(&w->service, &err));
    must_be(w, index, 1, 6); /* written, and not there twice */
    beat(w, &g, 7, 8);
    OK(lease_flush(&w->service, &err));
    restart(w); /* what was written is there */
    must_be(w, index, 1, 8);
    beat(w, &g, 5, 7); /* it went on from a save at step 4 */
    must_be(w, index, 1, 7);
    beat(w, &g, 6, 9); /* and again from one at step 5, before the minute was over */
    must_be(w, index, 1, 9);
    OK(lease_flush(&w->service, &err));
    must_be(w, index, 1, 9);
    world_free(w);
}

static void test_result_brings_all(void **state)
{
    (void)state;
    struct world *w = begin();
    struct msg_grant g;
    struct msg_point points[24];
    struct outputs o;
    struct msg_completed done = {0}, again = {0};
    assert_true(work_until(w, "demo", JOB_TRAIN, false, &g));
    uint64_t index = g.index;
    beat(w, &g, 3, 5); /* the one before was lost */
    make_outputs(w, &g, RIGHT, &o);
    struct msg_complete m = result_of(&g, &o);
    m.points = points;
    m.point_count = points_of(points, 1, 12);
    OK(ask(w, runs_prepare_complete, lease_complete, NULL, g.job, &m, &done, NULL));
    must_be(w, index, 1, 12);
    OK(lease_flush(&w->service, &err)); /* what heartbeats brought before is older */
    must_be(w, index, 1, 12);
    OK(ask(w, runs_prepare_complete, lease_complete, NULL, g.job, &m, &again, NULL));
    must_be(w, index, 1, 12);
    assert_non_null(done.next); /* the chain's next link goes on where this one ended */
    beat(w, done.next, 13, 15);
    must_be(w, index, 1, 15);
    const struct msg_curve *few = curve_of(w, index, 5); /* three steps a point */
    assert_int_equal(few->step_count, 5);
    assert_true(few->steps[0] == 3 && fabs(few->losses[0] - 9.8) < 1e-6 && few->steps[4] == 15);
    world_free(w);
}

/* Times are spread over the time in which the steps were done, and never change. */
static void test_times(void **state)
{
    (void)state;
    struct curve c = {.count = 0};
    struct msg_point p[8];
    curve_join(&c, p, points_of(p, 1, 4), 1000, 5000);
    for (uint32_t i = 0; i < 4; i++)
        assert_int_equal(c.points[i].at_ms, 2000 + 1000 * i);
    curve_join(&c, p, points_of(p, 3, 6), 1000, 9000); /* 3 and 4 are said again */
    assert_int_equal(c.count, 6);
    assert_int_equal(c.points[2].at_ms, 4000);
    assert_int_equal(c.points[3].at_ms, 5000);
    assert_int_equal(c.points[4].at_ms, 7000);
    assert_int_equal(c.points[5].at_ms, 9000);
    curve_join(&c, p, points_of(p, 2, 2), 1000, 500); /* a clock that was set back */
    assert_int_equal(c.count, 2);
    assert_int_equal(c.points[1].at_ms, 3000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_grows_and_rewinds),
        cmocka_unit_test(test_result_brings_all),
        cmocka_unit_test(test_times),
    };
    return cmocka_run_group_tests(tests, forge_folder_make, forge_folder_remove);
}
