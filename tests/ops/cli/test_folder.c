/* What the command line leaves on a disk: the working folders of killed processes go, those of
 * living ones and what others put beside them stay. */
#include "ops/cli/folder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include "core/env/file.h"
#include "tests/core/env/own_folder.h"

static void put(const char *path)
{
    struct err e = {0};
    assert_int_equal(env_file_write_atomic(path, "x", 1, 0600, &e), 0);
}

/* A process that works in a folder of its own, and is killed: the folder's path. */
static void killed(char path[256])
{
    int to[2], status;
    assert_int_equal(pipe(to), 0);
    pid_t child = fork();
    if (child == 0) {
        struct arena a;
        struct folder_work w;
        struct err e = {0};
        arena_init(&a, 1u << 16);
        if (folder_work_make(&w, &a, own_folder, &e) || chdir(w.path) ||
            env_dir_make("inner/more", &e) ||
            env_file_write_atomic("inner/more/ingest-train.pack", "x", 1, 0600, &e) ||
            write(to[1], w.path, strlen(w.path)) < 0)
            _exit(1);
        close(to[1]);
        pause();
    }
    close(to[1]);
    ssize_t n, len = 0;
    while ((n = read(to[0], path + len, 255 - (size_t)len)) > 0)
        len += n;
    close(to[0]);
    path[len] = 0;
    assert_true(len > 0 && env_dir_exists(path));
    kill(child, SIGKILL);
    waitpid(child, &status, 0);
}

static void leftovers_of_killed_processes_go(void **state)
{
    char left[256];
    struct arena a;
    struct folder_work first, second;
    struct err e = {0};
    (void)state;
    arena_init(&a, 1u << 16);
    killed(left);
    assert_int_equal(folder_work_make(&first, &a, own_folder, &e), 0);
    assert_false(env_dir_exists(left));
    /* The one being worked in stays when another begins. */
    char *mine = env_path_join(first.path, "ingest-train.pack");
    put(mine);
    assert_int_equal(folder_work_make(&second, &a, own_folder, &e), 0);
    assert_true(env_file_exists(mine));
    assert_int_equal(folder_work_remove(&second, &e), 0);
    assert_int_equal(folder_work_remove(&first, &e), 0);
    assert_false(env_dir_exists(first.path));
    free(mine);
    arena_free(&a);
}

static void what_is_not_ours_stays(void **state)
{
    struct arena a;
    struct folder_work w;
    struct err e = {0};
    (void)state;
    arena_init(&a, 1u << 16);
    /* Names that only resemble, and a link that would lead the sweep to somebody's letters. */
    assert_int_equal(env_dir_make("tacit-ingest-notes", &e), 0);
    put("tacit-ingest-notes/page");
    assert_int_equal(env_dir_make("letters", &e), 0);
    put("letters/first");
    assert_int_equal(symlink("letters", "tacit-ingest-00112233aabb"), 0);
    assert_int_equal(folder_work_make(&w, &a, own_folder, &e), 0);
    assert_true(env_file_exists("tacit-ingest-notes/page"));
    assert_true(env_file_exists("letters/first"));
    assert_int_equal(folder_work_remove(&w, &e), 0);
    arena_free(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(leftovers_of_killed_processes_go),
        cmocka_unit_test(what_is_not_ours_stays),
    };
    return cmocka_run_group_tests(tests, own_folder_enter, own_folder_leave);
}
