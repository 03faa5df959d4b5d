/* The job in hand. What would break for a user: local saves not found again after a restart, or
 * those of another job taken up; the folders of old jobs filling the disk. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include "agent/hold.h"
#include "core/env/file.h"

#define WORK "build/test_hold"

static struct msg_blob inputs[2];

static struct msg_grant grant(void)
{
    memset(inputs, 0, sizeof inputs);
    inputs[0].role = ROLE_MODEL;
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

/* Takes the grant as the loop does, with an arena of its own. */
static void take(struct hold *h, const struct msg_grant *g)
{
    struct arena a;
    struct err e = {0};
    arena_init(&a, 1 << 20);
    assert_non_null(arena_alloc(&a, 100));
    assert_int_equal(hold_take(h, g, &a, WORK, &e), 0);
    arena_free(&a);
}

static void test_folders(void **state)
{
    struct hold h;
    struct cache *cache;
    struct err e = {0};
    struct msg_grant g = grant();
    char **names;
    size_t count;
    (void)state;
    assert_int_equal(system("rm -rf " WORK), 0);
    assert_int_equal(cache_open(&cache, WORK "/cache", 1 << 20, &e), 0);
    hold_init(&h);
    take(&h, &g);
    char *save = env_path_join(h.dir, "save-1.model");
    assert_int_equal(env_file_write_atomic(save, "x", 1, 0600, &e), 0);
    take(&h, &g); /* again, under another fence: what was saved is still there */
    assert_true(env_file_exists(save));
    g.step_first = 800;
    g.step_last = 1200;
    take(&h, &g); /* another job: the old one is nobody's any more */
    assert_false(env_file_exists(save));
    assert_int_equal(env_dir_list(WORK "/jobs", &names, &count, &e), 0);
    assert_int_equal(count, 1);
    env_dir_list_free(names, count);
    atomic_store(&h.progress.abandon, true);
    hold_drop(&h, cache, false, true);
    assert_false(env_dir_exists(h.dir));
    take(&h, &g);
    assert_false(atomic_load(&h.progress.abandon)); /* of the job before */
    free(save);
    hold_free(&h);
    cache_close(cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_key_names_the_work),
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_folders),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
