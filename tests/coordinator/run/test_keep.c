/* A whole run with housekeeping beside it: dropped checkpoints go while it runs, no job is told to
 * read what has gone, what is named at the end is there and whole, and the disk that it takes is
 * what its spec says beforehand. */
#include "tests/coordinator/run/run_world.h"

#include "coordinator/keep/keeper.h"
#include "coordinator/store/ops_storage.h"
#include "coordinator/store/scrub.h"

static const char spec_text[] =
    "[run]\nname = demo\ndataset = corpus\nexperts = 2\n"
    "[router]\nhidden = 4\nlayers = 1\nheads = 2\nprefix = 4\nrounds = 4\nsequences = 48\n"
    "batch = 4\n"
    "[expert]\nhidden = 8\nlayers = 1\nheads = 2\nbatch = 4\nsteps = 60\nchunk = 80\n"
    "[checkpoint]\npublish_steps = 6\nkeep = 2\nmilestone_steps = 24\n";

static struct run_row run;

static void totals(struct world *w, uint64_t *blobs, uint64_t *bytes, uint64_t *data)
{
    struct store_conn *c;
    OK(store_read_begin(w->service.store, &c, &err));
    OK(op_run_find(c, "demo", &w->arena, &run, &err));
    OK(op_named_totals(c, run.id, blobs, bytes, data, &err));
    store_read_end(w->service.store, c);
}

static bool is_swept(struct world *w)
{
    struct store_conn *c;
    struct digest d = {{0}};
    struct released_row rows[1];
    uint32_t count;
    bool more;
    OK(store_read_begin(w->service.store, &c, &err));
    OK(op_to_sweep(c, &more, &err));
    OK(op_released(c, &d, 1, rows, &count, &err));
    store_read_end(w->service.store, c);
    return !more && count == 0;
}

static void whole_run_stays_within_its_plan(void **state)
{
    (void)state;
    struct world *w = world_make();
    struct keeper_options o = {.grace_ms = 3600000, .first_ms = 1};
    struct msg_grant g;
    struct msg_run made;
    struct spec_disk plan;
    struct scrub *k;
    uint64_t blobs, bytes, data, stored, stored_bytes, most = 0;
    OK(keeper_create(&w->service.keeper, &w->service, &o, &err));
    OK(spec_parse(spec_text, strlen(spec_text), "t.ini", &w->spec, &err));
    OK(create(w, spec_text, false, &made));
    while (next_job(w, "demo", &g)) {
        while (do_job(w, &g))
            ;
        totals(w, &blobs, &bytes, &data);
        most = bytes - data > most ? bytes - data : most;
    }
    assert_int_equal(show(w, "demo").state, RUN_DONE);
    for (int64_t end = env_monotonic_ms() + 20000; !is_swept(w) && env_monotonic_ms() < end;)
        env_sleep_ms(20);
    assert_true(is_swept(w));
    keeper_destroy(w->service.keeper);
    w->service.keeper = NULL;

    totals(w, &blobs, &bytes, &data);
    spec_disk(&w->spec, VOCAB, SEQ, TRAIN, HELDOUT, &plan);
    print_message("peak %.0f planned, %llu named; after %.0f planned, %llu named\n", plan.peak,
                  (unsigned long long)most, plan.after, (unsigned long long)(bytes - data));
    assert_true((double)most <= plan.peak && (double)(bytes - data) <= plan.after);
    assert_true(plan.after < plan.peak);
    OK(blob_totals(w->service.store, &stored, &stored_bytes, &err));
    assert_int_equal(stored, blobs); /* what was dropped is gone, and nothing else */

    bool more = true;
    OK(scrub_create(&k, w->service.store, run.id, &err));
    while (more)
        OK(scrub_step(k, 1u << 20, &more, &err));
    assert_int_equal(scrub_found(k)->bad_total, 0);
    scrub_destroy(k);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(whole_run_stays_within_its_plan)};
    return cmocka_run_group_tests(tests, forge_folder_make, forge_folder_remove);
}
