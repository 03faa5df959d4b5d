/* The simulated disk keeps exactly what a real one may: if it kept more, a missing fsync would pass
 * every simulation; if it kept less, correct programs would fail them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "core/env/clock.h"
#include "core/env/file.h"
#include "tests/sim/disk/one_machine.h"

static struct err err;

#define OK(call)                                                                                   \
    do {                                                                                           \
        if (call)                                                                                  \
            fail_msg("line %d: %s: %s", __LINE__, #call, err.message);                             \
    } while (0)

static struct sim_disk *fresh(void)
{
    struct sim_disk *d = sim_disk_create(1);
    machine_seed(1);
    machine_use(d);
    return d;
}

static void expect(const char *path, const char *content)
{
    struct buf b;
    OK(env_file_read(path, 1 << 20, &b, &err));
    assert_string_equal(b.data, content);
    buf_free(&b);
}

static void write_plain(struct sim_disk *d, const char *path, const char *text, bool sync)
{
    int fd = sim_disk_open(d, path, SIM_DISK_WRITE | SIM_DISK_CREATE);
    assert_true(fd >= 0);
    assert_int_equal(sim_disk_write(d, fd, text, strlen(text)), 0);
    if (sync)
        assert_int_equal(sim_disk_sync(d, fd), 0);
    sim_disk_close(d, fd);
}

static void test_files_and_folders_work(void **state)
{
    struct sim_disk *d = fresh();
    char **names;
    size_t count;
    uint64_t size;
    int lock, second;
    (void)state;
    OK(env_dir_make("a/b/c", &err));
    OK(env_file_write_atomic("a/b/one", "first", 5, 0600, &err));
    OK(env_file_write_atomic("/a/./b/../b/one", "second", 6, 0600, &err));
    expect("a/b/one", "second");
    OK(env_file_rename("a/b/one", "a/two", &err));
    assert_false(env_file_exists("a/b/one"));
    OK(env_dir_list("a", &names, &count, &err));
    assert_int_equal(count, 2);
    assert_string_equal(names[0], "b");
    assert_string_equal(names[1], "two");
    env_dir_list_free(names, count);
    OK(env_file_size("a/two", &size, &err));
    assert_int_equal(size, 6);
    assert_int_equal(env_dir_remove("a", &err), ERR_IO);
    assert_int_equal(env_file_size("a/none", &size, &err), ERR_NOT_FOUND);
    OK(env_lock_take("lock", 0, &lock, &err));
    assert_int_equal(env_lock_take("lock", 100, &second, &err), ERR_BUSY);
    env_lock_release(lock);
    OK(env_lock_take("lock", 0, &lock, &err));
    sim_disk_kill(d); /* a lock ends with its process */
    OK(env_lock_take("lock", 0, &lock, &err));
    sim_disk_destroy(d);
}

static void test_bytes_are_where_they_were_written(void **state)
{
    struct sim_disk *d = fresh();
    uint8_t model[40000] = {0}, back[40000], data[9000];
    uint64_t size = 0, random = 7;
    int fd = sim_disk_open(d, "f", SIM_DISK_WRITE | SIM_DISK_CREATE);
    (void)state;
    for (int i = 0; i < 2000; i++) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        size_t at = (size_t)(random >> 33) % 30000, len = (size_t)(random >> 20) % sizeof data;
        if (i % 7 == 0) {
            assert_int_equal(sim_disk_truncate(d, fd, at), 0);
            memset(model + at, 0, sizeof model - at);
            size = at;
        } else {
            memset(data, i, len);
            assert_int_equal(sim_disk_write_at(d, fd, at, data, len), 0);
            memcpy(model + at, data, len);
            size = at + len > size && len ? at + len : size;
        }
        if (i % 5 == 0) { /* what is synced comes back from a power loss, byte for byte */
            assert_int_equal(sim_disk_sync(d, fd), 0);
            assert_int_equal(sim_disk_sync_folder(d, "/", false), 0);
            struct sim_disk *after = sim_disk_clone(d, 1);
            sim_disk_power_loss(after, SIM_DISK_LOSS_ALL, 0);
            int other = sim_disk_open(after, "f", 0);
            assert_int_equal(sim_disk_read_at(after, other, 0, back, sizeof back), size);
            assert_memory_equal(back, model, size);
            sim_disk_destroy(after);
        }
        assert_int_equal(sim_disk_read_at(d, fd, 0, back, sizeof back), size);
        assert_memory_equal(back, model, size);
    }
    sim_disk_destroy(d);
}

static void test_unsynced_content_may_go_in_any_part(void **state)
{
    unsigned whole = 0, none = 0, torn = 0;
    (void)state;
    for (uint64_t seed = 0; seed < 200; seed++) {
        struct sim_disk *d = fresh();
        char back[2048];
        memset(back, 'x', sizeof back);
        int fd = sim_disk_open(d, "f", SIM_DISK_WRITE | SIM_DISK_CREATE);
        assert_int_equal(sim_disk_write_at(d, fd, 0, back, sizeof back), 0);
        assert_int_equal(sim_disk_sync(d, fd), 0);
        assert_int_equal(sim_disk_sync_folder(d, "/", false), 0);
        memset(back, 'y', sizeof back);
        assert_int_equal(sim_disk_write_at(d, fd, 0, back, sizeof back), 0);
        sim_disk_power_loss(d, SIM_DISK_LOSS_DRAWN, seed);
        fd = sim_disk_open(d, "f", 0);
        assert_int_equal(sim_disk_read_at(d, fd, 0, back, sizeof back), sizeof back);
        size_t new = 0;
        for (size_t i = 0; i < sizeof back; i++)
            new += back[i] == 'y';
        assert_int_equal(new % SIM_DISK_SECTOR, 0);
        whole += new == sizeof back;
        none += new == 0;
        torn += new > 0 && new < sizeof back;
        sim_disk_destroy(d);
    }
    assert_true(whole > 20 && none > 20 && torn > 20);
}

static void test_names_need_their_folder_synced(void **state)
{
    struct sim_disk *d = fresh();
    (void)state;
    OK(env_dir_make("dir", &err));
    write_plain(d, "dir/synced-file-unsynced-name", "x", true);
    sim_disk_power_loss(d, SIM_DISK_LOSS_ALL, 0);
    assert_true(env_dir_exists("dir"));
    assert_false(env_file_exists("dir/synced-file-unsynced-name"));

    /* A rename without its content: the name is there, the bytes may not be. */
    write_plain(d, "dir/f", "old", true);
    write_plain(d, "dir/f.new", "new", false);
    assert_int_equal(sim_disk_rename(d, "dir/f.new", "dir/f"), 0);
    assert_int_equal(sim_disk_sync_folder(d, "dir", false), 0);
    sim_disk_power_loss(d, SIM_DISK_LOSS_ALL, 0);
    expect("dir/f", "");

    /* Done properly, it is the old content or the new, never neither. */
    OK(env_file_write_atomic("dir/f", "old", 3, 0600, &err));
    for (uint64_t seed = 0; seed < 100; seed++) {
        struct sim_disk *after;
        struct buf b;
        write_plain(d, "dir/g", "new", true);
        assert_int_equal(sim_disk_rename(d, "dir/g", "dir/f"), 0);
        after = sim_disk_clone(d, seed);
        machine_use(after);
        sim_disk_power_loss(after, SIM_DISK_LOSS_DRAWN, seed);
        OK(env_file_read("dir/f", 100, &b, &err));
        assert_true(!strcmp(b.data, "old") || !strcmp(b.data, "new"));
        buf_free(&b);
        sim_disk_destroy(after);
        machine_use(d);
        OK(env_file_write_atomic("dir/f", "old", 3, 0600, &err));
    }
    sim_disk_destroy(d);
}

static void test_names_go_in_their_order(void **state)
{
    unsigned partly = 0;
    (void)state;
    for (uint64_t seed = 0; seed < 300; seed++) {
        struct sim_disk *d = fresh();
        OK(env_dir_make("a", &err));
        OK(env_dir_make("b", &err));
        write_plain(d, "a/1", "1", true);
        write_plain(d, "a/2", "2", true);
        assert_int_equal(sim_disk_rename(d, "a/2", "b/2"), 0);
        write_plain(d, "b/3", "3", true);
        sim_disk_power_loss(d, SIM_DISK_LOSS_DRAWN, seed);
        bool one = env_file_exists("a/1"), two = env_file_exists("a/2");
        bool moved = env_file_exists("b/2"), three = env_file_exists("b/3");
        assert_false(two && moved);
        assert_true(one || !(two || moved));
        assert_true(moved || !three);
        partly += one && !three;
        sim_disk_destroy(d);
    }
    assert_true(partly > 30);
}

static void test_faults_strike_and_pass(void **state)
{
    struct sim_disk *d = fresh();
    char big[100000];
    int fd;
    uint64_t left;
    (void)state;
    memset(big, 'x', sizeof big);
    OK(env_file_write_atomic("f", "old", 3, 0600, &err));
    sim_disk_set_faults(d, &(struct sim_disk_faults){.bytes_max = 65536});
    assert_int_equal(env_file_write_atomic("f", big, sizeof big, 0600, &err), ERR_NO_SPACE);
    expect("f", "old");
    OK(env_disk_free("/", &left, &err)); /* what failed has left nothing behind */
    assert_int_equal(left, 65536 - sim_disk_used(d));
    sim_disk_set_faults(d, &(struct sim_disk_faults){.write_ppm = 1000000});
    assert_int_equal(env_file_write_atomic("f", big, 100, 0600, &err), ERR_IO);
    sim_disk_set_faults(d, &(struct sim_disk_faults){.sync_ppm = 1000000});
    assert_int_equal(env_file_write_atomic("f", big, 100, 0600, &err), ERR_IO);
    sim_disk_set_faults(d, &(struct sim_disk_faults){.read_only = true});
    assert_int_equal(env_file_write_atomic("f", big, 100, 0600, &err), ERR_IO);
    expect("f", "old");
    sim_disk_set_faults(d, &(struct sim_disk_faults){.read_ppm = 1000000});
    struct buf b;
    assert_int_equal(env_file_read("f", 100, &b, &err), ERR_IO);
    sim_disk_set_faults(d, &(struct sim_disk_faults){.op_us = 1000, .sync_us = 50000});
    int64_t before = env_monotonic_ms();
    OK(env_file_write_atomic("f", "new", 3, 0600, &err));
    assert_true(env_monotonic_ms() >= before + 100);
    expect("f", "new");

    /* A sync that failed has given up what it had: the next one doesn't bring it. */
    sim_disk_set_faults(d, &(struct sim_disk_faults){.sync_ppm = 1000000});
    fd = sim_disk_open(d, "f", SIM_DISK_WRITE);
    assert_int_equal(sim_disk_write(d, fd, "abc", 3), 0);
    assert_int_equal(sim_disk_sync(d, fd), -EIO);
    sim_disk_set_faults(d, &(struct sim_disk_faults){0});
    assert_int_equal(sim_disk_sync(d, fd), 0);
    sim_disk_power_loss(d, SIM_DISK_LOSS_ALL, 0);
    expect("f", "new");
    sim_disk_destroy(d);
}

static void test_a_journal_builds_any_moment(void **state)
{
    struct sim_disk *d = fresh(), *replay = sim_disk_create(2);
    struct sim_journal *j = sim_disk_record(d);
    unsigned marks = 0;
    char text[128];
    (void)state;
    OK(env_dir_make("dir", &err));
    OK(env_file_write_atomic("dir/f", "one", 3, 0600, &err));
    sim_disk_mark(d, 1);
    OK(env_file_write_atomic("dir/f", "two", 3, 0600, &err));
    sim_disk_mark(d, 2);
    for (size_t i = 0; i < sim_journal_count(j); i++) {
        uint64_t what;
        sim_journal_text(j, i, text, sizeof text);
        if (sim_journal_apply(j, i, replay, &what) != SIM_JOURNAL_MARK)
            continue;
        assert_int_equal(what, ++marks);
        struct sim_disk *now = sim_disk_clone(replay, 0);
        machine_use(now);
        sim_disk_power_loss(now, SIM_DISK_LOSS_ALL, 0);
        expect("dir/f", marks == 1 ? "one" : "two");
        sim_disk_destroy(now);
    }
    assert_int_equal(marks, 2);
    sim_disk_destroy(replay);
    sim_disk_destroy(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_files_and_folders_work),
        cmocka_unit_test(test_bytes_are_where_they_were_written),
        cmocka_unit_test(test_unsynced_content_may_go_in_any_part),
        cmocka_unit_test(test_names_need_their_folder_synced),
        cmocka_unit_test(test_names_go_in_their_order),
        cmocka_unit_test(test_faults_strike_and_pass),
        cmocka_unit_test(test_a_journal_builds_any_moment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
