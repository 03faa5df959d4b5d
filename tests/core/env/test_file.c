#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "core/env/clock.h"
#include "core/env/file.h"
#include "tests/core/env/own_folder.h"

static size_t names_in(const char *path)
{
    char **names;
    size_t count;
    struct err e = {0};

    assert_int_equal(env_dir_list(path, &names, &count, &e), 0);
    env_dir_list_free(names, count);
    return count;
}

static void written_is_what_is_read(void **state)
{
    struct err e = {0};
    struct buf b;
    struct stat st;
    static char big[200000];
    uint64_t size;

    (void)state;
    memset(big, 'b', sizeof big);
    assert_int_equal(env_file_write_atomic("token", "secret\n", 7, 0600, &e), 0);
    assert_int_equal(stat("token", &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(env_file_read("token", 7, &b, &e), 0);
    assert_string_equal(b.data, "secret\n");
    buf_free(&b);
    assert_int_equal(env_file_read("token", 6, &b, &e), ERR_TOO_LARGE);
    assert_non_null(strstr(e.message, "token"));
    assert_int_equal(env_file_write_atomic("token", big, sizeof big, 0640, &e), 0);
    assert_int_equal(env_file_read("token", 1 << 20, &b, &e), 0);
    assert_int_equal(b.len, sizeof big);
    assert_memory_equal(b.data, big, sizeof big);
    buf_free(&b);
    assert_int_equal(env_file_size("token", &size, &e), 0);
    assert_int_equal(size, sizeof big);
    assert_int_equal(env_file_write_atomic("empty", "", 0, 0600, &e), 0);
    assert_int_equal(env_file_read("empty", 0, &b, &e), 0);
    assert_string_equal(b.data, "");
    buf_free(&b);
    assert_int_equal(env_file_read("absent", 10, &b, &e), ERR_NOT_FOUND);
    assert_non_null(strstr(e.message, "absent"));
    assert_int_equal(env_file_read("/", 10, &b, &e), ERR_IO);
}

/* A crash or an abandoned write leaves the old content, and no litter after an orderly end. */
static void old_content_stays_until_commit(void **state)
{
    struct err e = {0};
    struct env_file_new f;
    struct buf b;

    (void)state;
    assert_int_equal(env_dir_make("atomic", &e), 0);
    assert_int_equal(env_file_write_atomic("atomic/x", "old", 3, 0600, &e), 0);
    assert_int_equal(env_file_new_open(&f, "atomic/x", 0600, &e), 0);
    assert_int_equal(env_file_new_write(&f, "ne", 2, &e), 0);
    assert_int_equal(env_file_read("atomic/x", 10, &b, &e), 0);
    assert_string_equal(b.data, "old");
    buf_free(&b);
    assert_int_equal(names_in("atomic"), 2);
    env_file_new_abandon(&f);
    env_file_new_abandon(&f);
    assert_int_equal(names_in("atomic"), 1);
    for (int passing = 0; passing < 2; passing++) {
        assert_int_equal(env_file_new_open(&f, "atomic/x", 0600, &e), 0);
        assert_int_equal(env_file_new_write(&f, "ne", 2, &e), 0);
        f.passing = passing;
        assert_int_equal(env_file_new_write(&f, passing ? "xt" : "w", passing ? 2 : 1, &e), 0);
        assert_int_equal(env_file_new_commit(&f, &e), 0);
        env_file_new_abandon(&f);
        assert_int_equal(names_in("atomic"), 1);
        assert_int_equal(env_file_read("atomic/x", 10, &b, &e), 0);
        assert_string_equal(b.data, passing ? "next" : "new");
        buf_free(&b);
    }
    assert_int_equal(env_file_new_open(&f, "no/such/folder/x", 0600, &e), ERR_NOT_FOUND);
    env_file_new_abandon(&f);
    /* A folder stands where the file should go. */
    assert_int_equal(env_dir_make("atomic/taken", &e), 0);
    assert_int_not_equal(env_file_write_atomic("atomic/taken", "x", 1, 0600, &e), 0);
    assert_int_equal(names_in("atomic"), 2);
}

static void a_full_disk_is_named(void **state)
{
    struct err e = {0};
    int fd;

    (void)state;
    assert_int_equal(env_file_open_append("/dev/full", 0600, &fd, &e), 0);
    assert_int_equal(env_file_write_all(fd, "x", 1, &e), ERR_NO_SPACE);
    env_file_close(fd);
    env_file_close(-1);
}

static void streams_go_on_where_they_broke_off(void **state)
{
    struct err e = {0};
    char out[8] = "";
    size_t got;
    int fd;

    (void)state;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(env_file_open_append("part", 0600, &fd, &e), 0);
        assert_int_equal(env_file_write_all(fd, i == 0 ? "abc" : "def", 3, &e), 0);
        assert_int_equal(env_file_sync(fd, &e), 0);
        env_file_close(fd);
    }
    assert_int_equal(env_file_rename("part", "whole", &e), 0);
    assert_false(env_file_exists("part"));
    assert_int_equal(env_file_rename("part", "whole", &e), ERR_NOT_FOUND);
    assert_int_equal(env_file_open_read("whole", &fd, &e), 0);
    assert_int_equal(env_file_read_at(fd, 2, out, 3, &e), 0);
    assert_memory_equal(out, "cde", 3);
    assert_int_equal(env_file_read_at(fd, 4, out, 3, &e), ERR_FORMAT);
    assert_int_equal(env_file_read_some(fd, out, 8, &got, &e), 0);
    assert_int_equal(got, 6);
    assert_int_equal(env_file_read_some(fd, out, 8, &got, &e), 0);
    assert_int_equal(got, 0);
    env_file_close(fd);
}

/* A checkpoint's bytes come in pieces of any size, some of whole pages, and must all be there. */
static void pieces_lie_where_they_belong(void **state)
{
    enum { PAGE = ENV_FILE_ALIGN, SIZE = 9 * PAGE + 100 };
    static const size_t pieces[] = {4 * PAGE, 2 * PAGE + 7, PAGE - 7, 2 * PAGE + 100};
    struct err e = {0};
    struct buf b;
    int fd;
    uint8_t *data = aligned_alloc(PAGE, 10 * PAGE);

    (void)state;
    assert_non_null(data);
    for (size_t i = 0; i < SIZE; i++)
        data[i] = (uint8_t)(i * 2654435761u >> 13);
    assert_int_equal(env_file_open_write("pieces", true, &fd, &e), 0);
    for (size_t i = 0, at = 0; i < sizeof pieces / sizeof pieces[0]; at += pieces[i++])
        assert_int_equal(env_file_write_at(fd, at, data + at, pieces[i], &e), 0);
    /* Over what is there, from memory that begins nowhere in particular. */
    assert_int_equal(env_file_write_at(fd, PAGE, data + PAGE, PAGE, &e), 0);
    data[2 * PAGE] ^= 1;
    assert_int_equal(env_file_write_at(fd, 2 * PAGE - 1, data + 2 * PAGE - 1, 2 * PAGE, &e), 0);
    assert_int_equal(env_file_sync(fd, &e), 0);
    env_file_close(fd);
    assert_int_equal(env_file_read("pieces", SIZE, &b, &e), 0);
    assert_int_equal(b.len, SIZE);
    assert_memory_equal(b.data, data, SIZE);
    buf_free(&b);
    free(data);

    assert_int_equal(env_file_open_write("/dev/full", false, &fd, &e), 0);
    data = aligned_alloc(PAGE, PAGE);
    assert_non_null(data);
    memset(data, 1, PAGE);
    assert_int_equal(env_file_write_at(fd, 0, data, PAGE, &e), ERR_NO_SPACE);
    env_file_close(fd);
    free(data);
}

static void maps_whole_files(void **state)
{
    struct err e = {0};
    struct env_map m;

    (void)state;
    assert_int_equal(env_file_write_atomic("m", "mapped", 6, 0600, &e), 0);
    assert_int_equal(env_file_map("m", &m, &e), 0);
    assert_int_equal(m.size, 6);
    assert_memory_equal(m.data, "mapped", 6);
    env_file_unmap(&m);
    env_file_unmap(&m);
    assert_int_equal(env_file_write_atomic("m", "", 0, 0600, &e), 0);
    assert_int_equal(env_file_map("m", &m, &e), 0);
    assert_true(m.data == NULL && m.size == 0);
    assert_int_equal(env_file_map("/tmp", &m, &e), ERR_INVALID);
    assert_int_equal(env_file_map("absent", &m, &e), ERR_NOT_FOUND);
}

static void folders_are_made_listed_removed(void **state)
{
    struct err e = {0};
    struct stat st;
    char **names;
    size_t count;
    uint64_t bytes = 0;

    (void)state;
    assert_int_equal(env_dir_make("d/e//f/", &e), 0);
    assert_int_equal(env_dir_make("d/e/f", &e), 0);
    assert_int_equal(stat("d/e/f", &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    static const char *const unsorted[] = {"d/e/b", "d/e/a", "d/e/\xc3\xa9", "d/e/Z"};
    for (int i = 0; i < 4; i++)
        assert_int_equal(env_file_write_atomic(unsorted[i], "", 0, 0600, &e), 0);
    assert_int_equal(env_dir_list("d/e", &names, &count, &e), 0);
    assert_int_equal(count, 5);
    static const char *const sorted[] = {"Z", "a", "b", "f", "\xc3\xa9"};
    for (int i = 0; i < 5; i++)
        assert_string_equal(names[i], sorted[i]);
    env_dir_list_free(names, count);
    assert_int_equal(env_dir_list("absent", &names, &count, &e), ERR_NOT_FOUND);
    assert_int_equal(env_dir_make("d/e/a", &e), ERR_EXISTS);
    assert_int_not_equal(env_dir_make("d/e/a/below", &e), 0);
    assert_int_equal(env_dir_make("", &e), ERR_NOT_FOUND);
    assert_true(env_dir_exists("d/e") && env_file_exists("d/e/a") && !env_dir_exists("d/e/a"));
    assert_int_equal(env_file_remove("d/e/a", &e), 0);
    assert_int_equal(env_file_remove("d/e/a", &e), 0);
    assert_int_not_equal(env_dir_remove("d/e", &e), 0);
    assert_int_equal(env_dir_remove("d/e/f", &e), 0);
    assert_int_equal(env_dir_remove("d/e/f", &e), 0);
    assert_int_equal(env_disk_free(".", &bytes, &e), 0);
    assert_true(bytes > 0);
}

static void paths_join(void **state)
{
    static const char *const cases[][3] = {
        {"a", "b", "a/b"}, {"a/", "b", "a/b"}, {"/", "b", "/b"}, {"", "b", "b"}};

    (void)state;
    for (int i = 0; i < 4; i++) {
        char *path = env_path_join(cases[i][0], cases[i][1]);
        assert_string_equal(path, cases[i][2]);
        free(path);
    }
}

static void a_lock_keeps_others_out(void **state)
{
    struct err e = {0};
    char holder[64];
    int first, second;

    (void)state;
    assert_int_equal(env_lock_take("lock", 0, &first, &e), 0);
    assert_int_equal(env_lock_take("lock", 0, &second, &e), ERR_BUSY);
    snprintf(holder, sizeof holder, "process %ld", (long)getpid());
    assert_non_null(strstr(e.message, holder));
    env_lock_release(first);
    assert_int_equal(env_lock_take("lock", 0, &second, &e), 0);
    env_lock_release(second);
    env_lock_release(-1);
    assert_int_equal(env_lock_take("no/such/lock", 0, &second, &e), ERR_NOT_FOUND);
}

/* A coordinator started again right after kill -9 of the old one. */
static void a_dying_holder_is_waited_for(void **state)
{
    struct err e = {0};
    int ready[2], lock;
    char byte;

    (void)state;
    assert_int_equal(pipe(ready), 0);
    pid_t child = fork();
    if (child == 0) {
        if (env_lock_take("held", 0, &lock, &e) != 0 || write(ready[1], "r", 1) != 1)
            _exit(1);
        env_sleep_ms(200);
        _exit(0); /* without release */
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    int64_t start = env_monotonic_ms();
    assert_int_equal(env_lock_take("held", 0, &lock, &e), ERR_BUSY);
    assert_int_equal(env_lock_take("held", 10000, &lock, &e), 0);
    assert_true(env_monotonic_ms() - start >= 100);
    assert_true(env_monotonic_ms() - start < 9000);
    env_lock_release(lock);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    close(ready[0]);
    close(ready[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(written_is_what_is_read),
        cmocka_unit_test(old_content_stays_until_commit),
        cmocka_unit_test(a_full_disk_is_named),
        cmocka_unit_test(streams_go_on_where_they_broke_off),
        cmocka_unit_test(pieces_lie_where_they_belong),
        cmocka_unit_test(maps_whole_files),
        cmocka_unit_test(folders_are_made_listed_removed),
        cmocka_unit_test(paths_join),
        cmocka_unit_test(a_lock_keeps_others_out),
        cmocka_unit_test(a_dying_holder_is_waited_for),
    };
    return cmocka_run_group_tests(tests, own_folder_enter, own_folder_leave);
}
