/* Whatever the coordinator has acknowledged is there after a power loss at any moment, and nothing
 * is half there: a training run of weeks is worth no more than this. What is committed is looked at
 * after every operation; with TACIT_SLOW=1 (make power-loss) the program itself opens each disk, a
 * longer life is played, and more losses are drawn. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "tests/sim/power_loss/replay.h"
#include "tests/sim/power_loss/store_scene.h"

static struct scene scene;

static struct replay_result replay(const char *ignored_syncs, bool slow)
{
    struct replay r = {
        .journal = scene.journal,
        .drawn = slow ? 6 : 1,
        .check_every = slow ? 1 : 16,
        .ignored_syncs = ignored_syncs,
        .arg = &scene,
        .state = scene_state,
        .check = scene_check,
    };
    return replay_run(&r);
}

static void test_what_was_acknowledged_survives(void **state)
{
    bool slow = getenv("TACIT_SLOW") != NULL;
    (void)state;
    scene_play(&scene, slow ? 4 : 1);
    struct replay_result r = replay(NULL, slow);
    print_message("store: %zu acknowledged; opened after %zu of %zu operations; of %zu disks "
                  "built, %zu opened\n",
                  r.marks, r.opened, r.operations, r.builds, r.checks);
    if (r.violations)
        fail_msg("%s", r.first);
    assert_true(!slow || r.opened == r.operations);
    assert_true(r.marks == scene.count);

    /* Controls. A disk that ignores syncs must be found out; so must answers that come before the
     * log is synced, as with synchronous=NORMAL. */
    r = replay("", false);
    print_message("without syncs: %s\n", r.first);
    assert_true(r.violations > 0);
    r = replay("tacit.db-wal", false);
    print_message("without the log's: %s\n", r.first);
    assert_non_null(strstr(r.first, "from before what was acknowledged"));
    /* And so must a blob's file that is not synced before its row. */
    r = replay(".blob", false);
    print_message("without the files': %s\n", r.first);
    assert_true(r.violations > 0);
    scene_free(&scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_was_acknowledged_survives),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
