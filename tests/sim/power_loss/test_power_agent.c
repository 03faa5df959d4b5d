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
    print_message("agent: %zu operations, %zu acknowledged, %zu disks built\n", r.operations,
                  r.marks, r.builds);
    if (r.violations)
        fail_msg("%s", r.first);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_was_promised_survives),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
