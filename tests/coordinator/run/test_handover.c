/* Jobs handed over half done. If one of these failed, a preempted agent's work would be lost or
 * taken from a stranger's word, or an agent would go on from another job's save. */
#pragma GCC diagnostic ignored "-Wunused-function" /* of the made-up agent's parts */
#include "tests/coordinator/run/whole_run.h"

static struct world *begin(void)
{
    struct world *w = world_make();
    make_run(w);
    return w;
}

static uint64_t first_of(const struct msg_grant *g)
{
    return g->kind == JOB_TRAIN ? g->step_first : g->prior_steps;
}

/* A save of the job at a step, `cursor` steps after its start. */
static void make_save(struct world *w, const struct msg_grant *g, uint64_t step, uint64_t cursor,
                      struct outputs *o)
{
    struct model_config c;
    struct checkpoint_digests model, state;
    char path[128];
    if (g->target == TARGET_ROUTER)
        spec_router_model(&w->spec, VOCAB, SEQ, &c);
    else
        spec_expert_model(&w->spec, VOCAB, SEQ, &c);
    uint64_t n = model_parameters(&c);
    float *values = malloc(n * sizeof *values);
    for (uint64_t i = 0; i < n; i++)
        values[i] = rng_uniform(step, RNG_TEST, i, 0);
    OK(checkpoint_model_write(forge_path("model", path), false, &c, values, &model, &err));
    put_file(w, path, &model, ROLE_MODEL, &o->items[0]);
    struct checkpoint_position p = {
        .step = step, .round_step = cursor, .stream = stream_of(g), .spec = g->spec};
    OK(checkpoint_state_write(forge_path("state", path), false, &c, OPTIMIZER_ADAMW, values, values,
                              &p, &model.content, &state, &err));
    put_file(w, path, &state, ROLE_STATE, &o->items[1]);
    free(values);
    o->count = 2;
}

static int hand_over(struct world *w, const struct msg_grant *g, uint64_t step, struct outputs *o)
{
    struct msg_release m = {
        .fence = g->fence, .step = step, .outputs = o->items, .output_count = o->count};
    return ask(w, runs_prepare_release, lease_release, NULL, g->job, &m, NULL, NULL);
}

static const struct msg_blob *input(const struct msg_grant *g, int role)
{
    const struct msg_blob *found = NULL;
    for (uint32_t i = 0; i < g->input_count; i++)
        if (g->inputs[i].role == role) {
            assert_null(found);
            found = &g->inputs[i];
        }
    return found;
}

static void handed_on(struct world *w, int kind)
{
    struct msg_grant g, next;
    struct outputs o, later;
    struct msg_blob state = {0};
    uint64_t one = w->agent, other = world_join(w, 'b', "other");
    assert_true(work_until(w, "demo", kind, false, &g));
    while (first_of(&g) == 0) /* a job that starts from another's model */
        if (!do_job(w, &g))
            assert_true(work_until(w, "demo", kind, false, &g));
    if (input(&g, ROLE_STATE))
        state = *input(&g, ROLE_STATE);
    uint64_t first = first_of(&g);
    assert_int_equal(g.resume_step, 0);
    make_save(w, &g, first + 3, 3, &o);
    OK(hand_over(w, &g, first + 3, &o));
    OK(hand_over(w, &g, first + 3, &o)); /* its answer was lost */
    struct msg_claim offer = {.saves = &(struct msg_saved){.job = g.job, .step = 1},
                              .save_count = 1};
    w->agent = other;
    OK(ask(w, NULL, lease_claim, NULL, 0, &offer, &next, NULL));
    assert_int_equal(next.job, g.job);
    assert_int_equal(next.resume_step, first + 3);
    assert_true(digest_equal(&next.start, &state.content));
    assert_true(digest_equal(&input(&next, ROLE_STATE)->digest, &o.items[1].digest));
    assert_true(digest_equal(&input(&next, ROLE_MODEL)->content, &o.items[0].content));
    assert_int_equal(next.input_count, g.input_count);
    /* An older save does not take the place of a newer one; nor does one from an old fence. */
    make_save(w, &next, first + 2, 2, &later);
    OK(hand_over(w, &next, first + 2, &later));
    assert_int_equal(hand_over(w, &g, first + 4, &later), ERR_FENCED);
    OK(ask(w, NULL, lease_claim, NULL, 0, &offer, &next, NULL));
    assert_int_equal(next.resume_step, first + 3);
    make_save(w, &next, first + 5, 5, &later);
    OK(hand_over(w, &next, first + 5, &later));
    w->agent = one;
    OK(ask(w, NULL, lease_claim, NULL, 0, &offer, &next, NULL));
    assert_int_equal(next.resume_step, first + 5);
    (void)do_job(w, &next);
    struct store_conn *c;
    struct job_save kept;
    OK(store_read_begin(w->service.store, &c, &err));
    assert_int_equal(op_save_get(c, g.job, &kept, &err), ERR_NOT_FOUND); /* it was done */
    store_read_end(w->service.store, c);
}

static void another_goes_on_from_a_save(void **state)
{
    (void)state;
    struct world *w = begin();
    handed_on(w, JOB_TRAIN_ROUTER);
    handed_on(w, JOB_TRAIN);
    struct msg_grant g;
    assert_false(work_until(w, "demo", -1, false, &g));
    assert_int_equal(show(w, "demo").state, RUN_DONE);
    world_free(w);
}

static void wrong_saves_are_refused(void **state)
{
    (void)state;
    struct world *w = begin();
    struct msg_grant g, again;
    struct outputs o;
    assert_true(work_until(w, "demo", JOB_TRAIN, false, &g));
    make_save(w, &g, g.step_last, g.step_last - g.step_first, &o); /* that would be the result */
    assert_int_equal(hand_over(w, &g, g.step_last, &o), ERR_INVALID);
    make_save(w, &g, g.step_first, 0, &o);
    assert_int_equal(hand_over(w, &g, g.step_first, &o), ERR_INVALID);
    make_save(w, &g, g.step_first + 2, 2, &o);
    assert_int_equal(hand_over(w, &g, g.step_first + 3, &o), ERR_INVALID); /* another than said */
    make_save(w, &g, g.step_first + 2, 1, &o);
    assert_int_equal(hand_over(w, &g, g.step_first + 2, &o), ERR_INVALID); /* cursor off by one */
    make_save(w, &g, g.step_first + 2, 2, &o);
    o.count = 1;
    assert_int_equal(hand_over(w, &g, g.step_first + 2, &o), ERR_INVALID);
    o.count = 2;
    o.items[1].content.bytes[0] ^= 1;
    assert_int_equal(hand_over(w, &g, g.step_first + 2, &o), ERR_DIGEST);
    o.items[1].content.bytes[0] ^= 1;
    o.items[0].digest.bytes[0] ^= 1;
    assert_int_equal(hand_over(w, &g, g.step_first + 2, &o), ERR_CONFLICT); /* not uploaded */
    /* It holds the job still, and gives it back without a save. */
    struct msg_release plain = {.fence = g.fence};
    OK(ask(w, runs_prepare_release, lease_release, NULL, g.job, &plain, NULL, NULL));
    OK(claim(w, &again));
    assert_int_equal(again.resume_step, 0);
    world_free(w);
}

/* Of what an agent offers it gets what waits, before other jobs of the queue. */
static void offered_jobs_come_first(void **state)
{
    (void)state;
    struct world *w = begin();
    struct msg_grant first, second, g;
    uint64_t one = w->agent, other = world_join(w, 'b', "other");
    OK(claim(w, &first));
    w->agent = other;
    OK(claim(w, &second));
    struct msg_release back = {.fence = second.fence};
    OK(ask(w, runs_prepare_release, lease_release, NULL, second.job, &back, NULL, NULL));
    struct msg_saved saves[] = {{.job = 999999, .step = 1},    /* of another coordinator, say */
                                {.job = first.job, .step = 1}, /* held by another */
                                {.job = second.job, .step = 1}};
    struct msg_claim offer = {.saves = saves, .save_count = 3};
    OK(ask(w, NULL, lease_claim, NULL, 0, &offer, &g, NULL));
    assert_int_equal(g.job, second.job);
    assert_true(g.fence->counter > second.fence->counter);
    back.fence = g.fence;
    OK(ask(w, runs_prepare_release, lease_release, NULL, g.job, &back, NULL, NULL));
    w->agent = one;
    back.fence = first.fence;
    OK(ask(w, runs_prepare_release, lease_release, NULL, first.job, &back, NULL, NULL));
    offer.saves = &saves[2]; /* though `first` is the queue's first */
    offer.save_count = 1;
    OK(ask(w, NULL, lease_claim, NULL, 0, &offer, &g, NULL));
    assert_int_equal(g.job, second.job);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(another_goes_on_from_a_save),
        cmocka_unit_test(wrong_saves_are_refused),
        cmocka_unit_test(offered_jobs_come_first),
    };
    return cmocka_run_group_tests(tests, forge_folder_make, forge_folder_remove);
}
