/* The agent's cache. What would break for a user: a disk that fills up, a job whose input is thrown
 * away under it, damaged bytes trained on, the same shard downloaded again after a restart. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "agent/cache.h"
#include "core/env/file.h"

#define DIR_PATH "build/test_cache"
#define SIZE 1000

static int fetched;
static int broken; /* the next fetch leaves a part and fails */

static void fill(unsigned n, unsigned char out[SIZE])
{
    for (size_t i = 0; i < SIZE; i++)
        out[i] = (unsigned char)(i * 3 + n);
}

static struct digest digest_n(unsigned n)
{
    unsigned char data[SIZE];
    struct digest d;
    fill(n, data);
    digest_of(data, SIZE, &d);
    return d;
}

static int fetch(void *arg, const struct digest *d, const char *path, struct err *e)
{
    unsigned char data[SIZE];
    unsigned n = *(unsigned *)arg;
    struct digest check = digest_n(n);
    char part[256];
    assert_true(digest_equal(d, &check));
    fill(n, data);
    snprintf(part, sizeof part, "%s.part", path);
    if (broken) {
        broken = 0;
        assert_int_equal(env_file_write_atomic(part, data, 400, 0600, e), 0);
        return err_set(e, ERR_UNAVAILABLE, "broke off");
    }
    fetched++;
    assert_int_equal(env_file_remove(part, e), 0);
    return env_file_write_atomic(path, data, SIZE, 0600, e);
}

static int get(struct cache *c, unsigned n, const char **path)
{
    struct err e = {0};
    struct digest d = digest_n(n);
    return cache_get(c, &d, SIZE, fetch, &n, path, &e);
}

static int clean(void **state)
{
    (void)state;
    fetched = broken = 0;
    return system("rm -rf " DIR_PATH) ? -1 : 0;
}

static struct cache *reopen(struct cache *c, uint64_t max)
{
    struct err e = {0};
    cache_close(c);
    assert_int_equal(cache_open(&c, DIR_PATH, max, &e), 0);
    return c;
}

static void test_kept_over_a_restart(void **state)
{
    const char *path, *again;
    struct cache *c = reopen(NULL, 10 * SIZE);
    (void)state;
    assert_int_equal(get(c, 1, &path), 0);
    assert_int_equal(get(c, 1, &again), 0);
    assert_ptr_equal(path, again);
    assert_int_equal(fetched, 1);
    c = reopen(c, 10 * SIZE);
    assert_int_equal(cache_bytes(c), SIZE);
    assert_int_equal(get(c, 1, &path), 0);
    assert_int_equal(fetched, 1);
    cache_close(c);
}

static void test_least_recently_used_goes(void **state)
{
    const char *path;
    struct cache *c = reopen(NULL, 3 * SIZE);
    (void)state;
    for (unsigned n = 1; n <= 3; n++)
        assert_int_equal(get(c, n, &path), 0);
    cache_unpin_all(c);
    assert_int_equal(get(c, 1, &path), 0); /* 2 is now the oldest */
    assert_int_equal(get(c, 4, &path), 0);
    assert_int_equal(cache_bytes(c), 3 * SIZE);
    fetched = 0;
    assert_int_equal(get(c, 1, &path), 0);
    assert_int_equal(get(c, 3, &path), 0);
    assert_int_equal(fetched, 0);
    assert_int_equal(get(c, 2, &path), 0);
    assert_int_equal(fetched, 1);
    cache_close(c);
}

static void test_pinned_stays(void **state)
{
    const char *path[5];
    struct cache *c = reopen(NULL, 2 * SIZE);
    (void)state;
    for (unsigned n = 0; n < 5; n++) /* a job that needs more than the limit gets it */
        assert_int_equal(get(c, n, &path[n]), 0);
    for (unsigned n = 0; n < 5; n++)
        assert_true(env_file_exists(path[n]));
    cache_unpin_all(c);
    assert_int_equal(get(c, 9, &path[0]), 0); /* the next one brings it back under the limit */
    assert_true(cache_bytes(c) <= 2 * SIZE);
    cache_close(c);
}

/* The limit is of the cache and of what is kept beside it. */
static void test_others_have_their_share(void **state)
{
    const char *path;
    struct cache *c = reopen(NULL, 4 * SIZE);
    (void)state;
    cache_reserve(c, 2 * SIZE);
    for (unsigned n = 0; n < 5; n++) {
        assert_int_equal(get(c, n, &path), 0);
        cache_unpin_all(c);
    }
    assert_int_equal(cache_bytes(c), 2 * SIZE);
    cache_reserve(c, 0);
    for (unsigned n = 0; n < 5; n++) {
        assert_int_equal(get(c, n, &path), 0);
        cache_unpin_all(c);
    }
    assert_int_equal(cache_bytes(c), 4 * SIZE);
    cache_close(c);
}

static void test_damage_is_noticed(void **state)
{
    const char *path;
    struct err e = {0};
    struct cache *c = reopen(NULL, 10 * SIZE);
    (void)state;
    assert_int_equal(get(c, 1, &path), 0);
    assert_int_equal(env_file_write_atomic(path, "garbage", 7, 0600, &e), 0);
    c = reopen(c, 10 * SIZE);
    assert_int_equal(get(c, 1, &path), 0);
    assert_int_equal(fetched, 2);
    assert_int_equal(cache_bytes(c), SIZE);
    cache_close(c);
}

static void test_part_of_a_download(void **state)
{
    const char *path;
    struct cache *c = reopen(NULL, 10 * SIZE);
    (void)state;
    broken = 1;
    assert_int_equal(get(c, 1, &path), ERR_UNAVAILABLE);
    assert_int_equal(cache_bytes(c), 400); /* at once, not only after a restart */
    c = reopen(c, 10 * SIZE);
    assert_int_equal(cache_bytes(c), 400); /* counted, and left for the download to go on */
    assert_int_equal(get(c, 1, &path), 0);
    assert_int_equal(cache_bytes(c), SIZE);
    broken = 1;
    assert_int_equal(get(c, 2, &path), ERR_UNAVAILABLE);
    c = reopen(c, SIZE + 100); /* an old part makes room like anything else */
    assert_int_equal(get(c, 3, &path), 0);
    assert_int_equal(cache_bytes(c), SIZE);
    cache_close(c);
}

static void test_adopts_what_the_agent_made(void **state)
{
    unsigned char data[SIZE];
    const char *path;
    struct err e = {0};
    struct digest d = digest_n(7);
    struct cache *c = reopen(NULL, 10 * SIZE);
    (void)state;
    fill(7, data);
    for (int i = 0; i < 2; i++) { /* a second copy is thrown away */
        assert_int_equal(env_file_write_atomic(DIR_PATH "/own", data, SIZE, 0600, &e), 0);
        assert_int_equal(cache_adopt(c, &d, DIR_PATH "/own", &e), 0);
        assert_false(env_file_exists(DIR_PATH "/own"));
    }
    assert_int_equal(cache_bytes(c), SIZE);
    assert_int_equal(get(c, 7, &path), 0);
    assert_int_equal(fetched, 0);
    cache_close(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_kept_over_a_restart, clean),
        cmocka_unit_test_setup(test_least_recently_used_goes, clean),
        cmocka_unit_test_setup(test_pinned_stays, clean),
        cmocka_unit_test_setup(test_others_have_their_share, clean),
        cmocka_unit_test_setup(test_damage_is_noticed, clean),
        cmocka_unit_test_setup(test_part_of_a_download, clean),
        cmocka_unit_test_setup(test_adopts_what_the_agent_made, clean),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
