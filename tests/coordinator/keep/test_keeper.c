/* Housekeeping removes what is its own, and answers in time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include "core/env/clock.h"
#include "core/env/file.h"
#include "coordinator/keep/keeper_parts.h"
#include "coordinator/store/blobs.h"
#include "coordinator/store/ops_storage.h"
#include "tests/coordinator/store/temp_dir.h"

static struct err err;

static void must(int rc)
{
    if (rc)
        fail_msg("%s (%s)", err.message, err_name(rc));
}

static void path_of(char path[160], const char *dir, const char *name)
{
    snprintf(path, 160, "%s/%s", dir, name);
}

static void a_start_removes_what_backups_left_and_no_more(void **state)
{
    static const char *const ours[] = {"snapshot-1.db", "snapshot-12.db-journal",
                                       "snapshot-12.list", "snapshot-3.list.new-aBcDeF"};
    static const char *const theirs[] = {"snapshot-of-friday.db", "snapshot-1.db.gz",
                                         "snapshot-.db", "snapshot-7", "my-snapshot-1.db"};
    char dir[64], path[160];
    (void)state;
    temp_dir_make(dir);
    for (unsigned i = 0; i < 9; i++) {
        path_of(path, dir, i < 4 ? ours[i] : theirs[i - 4]);
        must(env_file_write_atomic(path, "x", 1, 0600, &err));
    }
    keep_sweep_snapshots(dir);
    for (unsigned i = 0; i < 9; i++) {
        path_of(path, dir, i < 4 ? ours[i] : theirs[i - 4]);
        assert_int_equal(env_file_exists(path), i >= 4);
    }
    temp_dir_remove(dir);
}

/* A backup that has ended: its two blobs are released. */
static int end_backup(struct store_conn *c, void *arg, struct err *e)
{
    const struct digest *d = arg;
    uint64_t id;
    int rc = op_backup_insert(c, 5, &id, e);
    if (!rc)
        rc = op_backup_made(c, id, &d[0], &d[1], 9, (uint64_t)env_wall_ms() + 1, e);
    return rc ? rc : op_backup_end(c, id, e);
}

static void collecting_ends_when_its_time_is_up(void **state)
{
    struct service s = {0};
    struct keeper k = {.service = &s, .options = {.grace_ms = 1000000}};
    struct digest d[2];
    uint64_t blobs = 0, bytes = 0;
    char dir[64];
    bool end = true;
    (void)state;
    temp_dir_make(dir);
    env_mutex_init(&k.mutex);
    must(store_open_with(&s.store, dir, &(struct store_options){.stepped = true}, &err));
    must(blob_put(s.store, "one", 3, &d[0], &err));
    must(blob_put(s.store, "other", 5, &d[1], &err));
    must(store_write_wait(s.store, end_backup, d, &err));
    must(keep_released(&k, env_monotonic_ms() - 1, &end, &blobs, &bytes, &err));
    assert_false(end); /* so that whoever asked asks again */
    assert_int_equal(blobs, 0);
    must(keep_released(&k, INT64_MAX, &end, &blobs, &bytes, &err));
    assert_true(end);
    assert_true(blobs == 2 && bytes == 8);
    store_close(s.store);
    env_mutex_destroy(&k.mutex);
    temp_dir_remove(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_start_removes_what_backups_left_and_no_more),
        cmocka_unit_test(collecting_ends_when_its_time_is_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
