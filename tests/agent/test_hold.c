/* The job in hand. What would break for a user: local saves not found again after a restart, or
 * those of another job taken up; a save deleted because another job came in
 * between; the folders of old jobs filling the disk. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include "agent/hold.h"
#include "core/env/clock.h"
#include "core/env/file.h"

#define WORK "build/test_hold"

static struct msg_blob inputs[2];

static struct msg_grant grant(void)
{
    memset(inputs, 0, sizeof inputs);
    inputs[0].role = ROLE_STATE; /* names its model */
    inputs[0].digest.bytes[0] = 1;
    inputs[0].content.bytes[0] = 2;
    inputs[1].role = ROLE_SHARD;
    inputs[1].digest.bytes[0] = 3;
    inputs[1].count = 7;
    return (struct msg_grant){.job = 5,
                              .kind = JOB_TRAIN,
                              .target = TARGET_EXPERT,
                              .index = 2,
                              .step_first = 400,
                              .step_last = 800,
                              .steps = 4000,
                              .inputs = inputs,
                              .input_count = 2};
}

static void assert_key(const struct msg_grant *a, const char *key, bool same)
{
    char other[33];
    hold_key(a, other);
    assert_int_equal(strcmp(key, other) == 0, same);
}

static void test_key_names_the_work(void **state)
{
    char key[33];
    struct msg_fence fence = {3, 9};
    struct msg_grant g = grant();
    (void)state;
    hold_key(&g, key);
    assert_int_equal(strlen(key), 32);
    g.job = 77; /* a coordinator restored from a backup may number jobs anew */
    g.fence = &fence;
    g.lease_ms = 5;
    assert_key(&g, key, true);
    inputs[0].digest.bytes[0] = 9; /* the same model in another archive */
    assert_key(&g, key, true);
    inputs[0].content.bytes[0] = 9;
    assert_key(&g, key, false);
    g.start.bytes[0] = 2; /* handed over half done: the same work */
    g.resume_step = 500;
    assert_key(&g, key, true);
    g.start.bytes[0] = 3;
    assert_key(&g, key, false);
    g = grant();
    inputs[1].digest.bytes[0] = 9;
    assert_key(&g, key, false);
    g = grant();
    inputs[1].first = 1;
    assert_key(&g, key, false);
    g = grant();
    g.step_last = 801;
    assert_key(&g, key, false);
    g = grant();
    g.spec.bytes[31] = 1;
    assert_key(&g, key, false);
    g = grant();
    g.index = 1;
    assert_key(&g, key, false);
}

static void test_words(void **state)
{
    char words[128];
    struct msg_grant g = grant();
    (void)state;
    hold_words(&g, words, sizeof words);
    assert_string_equal(words, "train expert 2, steps 401 to 800");
    g.kind = JOB_SCORE;
    g.target = TARGET_NONE;
    g.round = 3;
    g.part = 1;
    hold_words(&g, words, sizeof words);
    assert_string_equal(words, "score round 3, part 1");
}

#define JOBS 20

struct fixture {
    struct hold h;
    struct cache *cache;
    struct client *client; /* to nobody: a fetch makes the folder, then ends there */
};

static void begin(struct fixture *f, uint64_t cache_max)
{
    struct err e = {0};
    struct client_options o = {.url = "http://127.0.0.1:9"};
    assert_int_equal(cache_open(&f->cache, WORK "/cache", cache_max, &e), 0);
    assert_int_equal(client_open(&f->client, &o, &e), 0);
    hold_init(&f->h);
}

static void end(struct fixture *f)
{
    hold_free(&f->h);
    client_close(f->client);
    cache_close(f->cache);
}

/* Takes the grant as the loop does, with an arena of its own, up to where its folder is there. */
static void take(struct fixture *f, const struct msg_grant *g)
{
    struct arena a;
    struct err e = {0};
    arena_init(&a, 1 << 20);
    assert_non_null(arena_alloc(&a, 100));
    hold_take(&f->h, g, &a);
    arena_free(&a);
    assert_int_equal(hold_fetch(&f->h, f->cache, f->client, WORK, &e), ERR_UNAVAILABLE);
    assert_true(env_dir_exists(f->h.dir));
}

static struct msg_grant grant_n(uint64_t n)
{
    struct msg_grant g = grant();
    g.index = n;
    return g;
}

/* A save in the folder of the job in hand; its path. */
static char *save(struct fixture *f, size_t bytes)
{
    static char zeros[10000];
    struct err e = {0};
    char *path = env_path_join(f->h.dir, "save-1.model");
    assert_int_equal(env_file_write_atomic(path, zeros, bytes, 0600, &e), 0);
    env_sleep_ms(3); /* the order of saves is that of their times */
    return path;
}

static void test_saves_are_found_again(void **state)
{
    struct fixture f;
    struct msg_grant first = grant_n(1), second = grant_n(2);
    (void)state;
    begin(&f, 1 << 20);
    take(&f, &first);
    char *path = save(&f, 100);
    take(&f, &first); /* again, under another fence */
    assert_true(env_file_exists(path));
    end(&f); /* stopped, started again, and granted another job first */
    begin(&f, 1 << 20);
    take(&f, &second);
    assert_true(env_file_exists(path));
    atomic_store(&f.h.progress.abandon, true);
    hold_drop(&f.h, f.cache, false, false); /* its lease was lost: it may come back */
    assert_true(env_dir_exists(f.h.dir));
    take(&f, &first);
    assert_true(env_file_exists(path));
    assert_false(atomic_load(&f.h.progress.abandon)); /* of the job before */
    hold_drop(&f.h, f.cache, false, true);            /* done */
    assert_false(env_dir_exists(f.h.dir));
    free(path);
    end(&f);
}

static size_t folders(void)
{
    char **names;
    size_t count;
    struct err e = {0};
    assert_int_equal(env_dir_list(WORK "/jobs", &names, &count, &e), 0);
    env_dir_list_free(names, count);
    return count;
}

static void test_old_saves_go(void **state)
{
    struct fixture f;
    struct msg_grant g;
    char *path[JOBS];
    (void)state;
    begin(&f, 10000);
    for (uint64_t i = 0; i < 4; i++) { /* half of the limit holds two of these */
        g = grant_n(i);
        take(&f, &g);
        path[i] = save(&f, 2000);
    }
    g = grant_n(99);
    take(&f, &g);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(env_file_exists(path[i]), i >= 2);
        free(path[i]);
    }
    assert_int_equal(folders(), 3); /* with that of the job in hand */
    end(&f);
    begin(&f, 1 << 20);
    for (uint64_t i = 0; i < JOBS; i++) { /* nor are there ever many */
        g = grant_n(i);
        take(&f, &g);
        free(save(&f, 1));
    }
    assert_int_equal(folders(), 17);
    end(&f);
}

static int clean(void **state)
{
    (void)state;
    return system("rm -rf " WORK) ? -1 : 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_key_names_the_work),
        cmocka_unit_test(test_words),
        cmocka_unit_test_setup(test_saves_are_found_again, clean),
        cmocka_unit_test_setup(test_old_saves_go, clean),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
