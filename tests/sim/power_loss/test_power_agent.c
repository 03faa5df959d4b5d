/* After a power loss at any moment an agent is still the same, goes on from its last save, and
 * trains on nothing that was damaged. TACIT_SLOW=1 draws more losses at each moment (make
 * power-loss). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "agent/identity.h"
#include "core/env/file.h"
#include "tests/sim/disk/one_machine.h"
#include "tests/sim/power_loss/agent_scene.h"
#include "tests/sim/power_loss/replay.h"

static struct agent_scene scene;

static struct replay_result replay(const char *ignored_syncs, unsigned drawn)
{
    struct replay r = {
        .journal = scene.journal,
        .drawn = drawn,
        .check_every = 1,
        .ignored_syncs = ignored_syncs,
        .arg = &scene,
        .check = agent_scene_check,
    };
    return replay_run(&r);
}

static void test_what_was_promised_survives(void **state)
{
    (void)state;
    agent_scene_play(&scene);
    struct replay_result r = replay(NULL, getenv("TACIT_SLOW") ? 100 : 4);
    print_message("agent: %zu acknowledged; opened after %zu of %zu operations; of %zu disks "
                  "built, %zu opened\n",
                  r.marks, r.opened, r.operations, r.builds, r.checks);
    if (r.violations)
        fail_msg("%s", r.first);
    assert_true(r.opened == r.operations);
    assert_true(r.marks == scene.count);

    /* Controls: without syncs at all, and without those of folders' names alone. */
    r = replay("", 4);
    print_message("without syncs: %s\n", r.first);
    assert_true(r.violations > 0);
    r = replay("sync work", 4);
    print_message("without the folder's: %s\n", r.first);
    assert_non_null(strstr(r.first, "identity"));
    agent_scene_free(&scene);
}

/* Or the coordinator would count two machines, and the first one's work would wait for a lease to
 * run out. */
static void test_a_disk_that_cannot_be_read_makes_no_new_agent(void **state)
{
    struct sim_disk *d = sim_disk_create(1);
    struct identity first, again;
    struct err err;
    (void)state;
    machine_use(d);
    machine_seed(1);
    assert_int_equal(env_dir_make("work", &err), 0);
    assert_int_equal(identity_load("work", &first, &err), 0);
    for (uint32_t ppm = 1000000; ppm > 1000; ppm /= 2) {
        sim_disk_set_faults(d, &(struct sim_disk_faults){.read_ppm = ppm});
        for (int i = 0; i < 20; i++)
            if (identity_load("work", &again, &err) == 0)
                assert_string_equal(again.hex, first.hex);
    }
    sim_disk_set_faults(d, &(struct sim_disk_faults){0});
    assert_int_equal(identity_load("work", &again, &err), 0);
    assert_string_equal(again.hex, first.hex);
    sim_disk_destroy(d);
}

/* What was computed is not thrown away since it can't be read for a moment. */
static void test_a_disk_that_cannot_be_read_costs_no_result(void **state)
{
    (void)state;
    agent_scene_play(&scene);
    for (uint32_t ppm = 1000000; ppm > 1000; ppm /= 2) {
        sim_disk_set_faults(scene.disk, &(struct sim_disk_faults){.read_ppm = ppm});
        for (int i = 0; i < 5; i++)
            (void)agent_scene_find_owed(false);
    }
    sim_disk_set_faults(scene.disk, &(struct sim_disk_faults){0});
    assert_true(agent_scene_find_owed(true));
    assert_true(agent_scene_find_owed(true));
    assert_false(agent_scene_find_owed(true));
    agent_scene_free(&scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_was_promised_survives),
        cmocka_unit_test(test_a_disk_that_cannot_be_read_makes_no_new_agent),
        cmocka_unit_test(test_a_disk_that_cannot_be_read_costs_no_result),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
