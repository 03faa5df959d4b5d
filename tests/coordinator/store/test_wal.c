/* Readers, however slow and many, neither make the log grow without bound nor a write fail; nor
 * does another program that has the database open. Health says what the disk does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include "core/env/clock.h"
#include "core/env/file.h"
#include "coordinator/store/conn.h"
#include "coordinator/store/ops.h"
#include "coordinator/store/store_parts.h"
#include "tests/coordinator/store/store_check.h"
#include "tests/coordinator/store/temp_dir.h"

static struct {
    char dir[64];
    struct store *s;
    atomic_bool stop, held;
    atomic_int failures;
} w;

static int setup(void **state)
{
    (void)state;
    temp_dir_make(w.dir);
    atomic_store(&w.stop, false);
    atomic_store(&w.held, false);
    atomic_store(&w.failures, 0);
    OK(store_open(&w.s, w.dir, &err));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    store_close(w.s);
    temp_dir_remove(w.dir);
    return 0;
}

static int first_fence(struct store_conn *c, struct err *e)
{
    struct query q;
    query_open(&q, c, "SELECT fence FROM meta");
    int rc = query_step(&q, e);
    query_close(&q);
    return rc == 1 ? 0 : rc;
}

/* Holds a snapshot all the time, of the sort that a report does: it takes a new one now and then,
 * but two more like it never leave a moment without. */
static void *read_on(void *arg)
{
    struct store_conn *c;
    struct err e;
    env_sleep_ms(*(int *)arg);
    bool failed = store_read_begin(w.s, &c, &e) || first_fence(c, &e);
    while (!failed && !atomic_load(&w.stop)) {
        env_sleep_ms(30);
        failed = store_read_renew(c, &e) || first_fence(c, &e);
    }
    store_read_end(w.s, c);
    atomic_fetch_add(&w.failures, failed);
    return NULL;
}

static int write_pages(struct store_conn *c, void *arg, struct err *e)
{
    static char text[60001];
    uint64_t *n = arg, id;
    struct digest d = {{9}};
    char name[32];
    struct msg_dataset set = {.name = "corpus", .vocab = 64, .seq = 16};
    memset(text, 'x', sizeof text - 1);
    int rc = *n == 0 ? op_dataset_insert(c, &set, 1, &id, e) : 0;
    snprintf(name, sizeof name, "run-%llu", (unsigned long long)*n);
    return rc ? rc : op_run_insert(c, name, 1, &d, text, 1, &id, e);
}

static uint64_t log_bytes(const char *file)
{
    char path[100];
    uint64_t size = 0;
    snprintf(path, sizeof path, "%s/%s-wal", w.dir, file);
    if (env_file_exists(path))
        OK(env_file_size(path, &size, &err));
    return size;
}

static void the_log_stays_bounded_with_slow_readers(void **state)
{
    (void)state;
    pthread_t threads[3];
    int delays[3] = {0, 10, 20};
    uint64_t last = 0, written = 0;
    int anew = 0;
    for (int i = 0; i < 3; i++)
        pthread_create(&threads[i], NULL, read_on, &delays[i]);
    /* Begun anew, it shrinks to what is kept of it; when, hangs on how readers get their turns. */
    for (uint64_t n = 0; anew < 2 && written < 1u << 30; n++) {
        OK(store_write_wait(w.s, write_pages, &n, &err));
        written += 60000;
        uint64_t now = log_bytes("tacit.db");
        anew += now < last;
        last = now;
    }
    atomic_store(&w.stop, true);
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(atomic_load(&w.failures), 0);
    print_message("log of tacit.db begun anew %d times while %llu bytes were written\n", anew,
                  (unsigned long long)written);
    assert_int_equal(anew, 2);
}

/* --- another program ---------------------------------------------------------------------------
 */

struct holder {
    const char *sql;
    bool writes;
};

enum { HOLD_MS = 300, HOLD_MS_MAX = 20000 };

/* Holds the database: a reader until it is told to end, a writer for a while. */
static void *hold(void *arg)
{
    const struct holder *h = arg;
    char path[100];
    sqlite3 *db;
    snprintf(path, sizeof path, "%s/tacit.db", w.dir);
    if (sqlite3_open(path, &db) != SQLITE_OK ||
        sqlite3_exec(db, h->sql, NULL, NULL, NULL) != SQLITE_OK)
        atomic_fetch_add(&w.failures, 1);
    atomic_store(&w.held, true);
    int64_t end = env_monotonic_ms() + (h->writes ? HOLD_MS : HOLD_MS_MAX);
    while (!atomic_load(&w.stop) && env_monotonic_ms() < end)
        env_sleep_ms(1);
    atomic_store(&w.held, false); /* before anybody else can have it */
    sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    sqlite3_close(db);
    return NULL;
}

static int next_fence(struct store_conn *c, void *arg, struct err *e)
{
    return op_fence_next(c, arg, e);
}

static void other_programs_are_waited_for(void **state)
{
    (void)state;
    static const struct holder holders[] = {
        {"BEGIN IMMEDIATE; UPDATE meta SET fence = fence", true},
        {"BEGIN; SELECT * FROM meta", false},
    };
    struct msg_fence f;
    for (int i = 0; i < 2; i++) {
        pthread_t thread;
        atomic_store(&w.stop, false);
        pthread_create(&thread, NULL, hold, (void *)(uintptr_t)&holders[i]);
        while (!atomic_load(&w.held) && atomic_load(&w.failures) == 0)
            env_sleep_ms(1);
        for (int n = 0; n < 20; n++) {
            struct store_conn *c;
            OK(store_write_wait(w.s, next_fence, &f, &err));
            OK(store_read_begin(w.s, &c, &err));
            OK(first_fence(c, &err));
            store_read_end(w.s, c);
        }
        /* Writers take turns; a reader holds up nobody. */
        assert_true(atomic_load(&w.held) == !holders[i].writes);
        atomic_store(&w.stop, true);
        pthread_join(thread, NULL);
    }
    assert_int_equal(atomic_load(&w.failures), 0);
}

/* --- health ------------------------------------------------------------------------------------
 */

static int limit_pages(struct store_conn *c, void *arg, struct err *e)
{
    static const char *const limits[] = {"PRAGMA max_page_count = 300",
                                         "PRAGMA max_page_count = 1073741823"};
    return conn_run(c, limits[*(int *)arg], e);
}

static void health_tells_a_full_disk_and_its_end(void **state)
{
    (void)state;
    char words[300];
    int64_t since;
    uint64_t n = 0;
    struct err e;
    assert_int_equal(store_health(w.s, words, sizeof words, &since), 0);
    assert_string_equal(words, "ok");
    int full = 0, room = 1;
    OK(store_write_wait(w.s, limit_pages, &full, &err));
    int rc = 0;
    while (!rc && n < 100) {
        rc = store_write_wait(w.s, write_pages, &n, &e);
        n++;
    }
    assert_int_equal(rc, ERR_NO_SPACE);
    assert_int_equal(store_health(w.s, words, sizeof words, &since), ERR_NO_SPACE);
    assert_true(since > 0 && strncmp(words, "full: ", 6) == 0);
    OK(store_write_wait(w.s, limit_pages, &room, &err));
    int64_t end = env_monotonic_ms() + 20000;
    do { /* nobody needs to write for the state to be true again */
        env_sleep_ms(20);
        store_probe(w.s);
        rc = store_health(w.s, words, sizeof words, &since);
    } while (rc && env_monotonic_ms() < end);
    assert_int_equal(rc, 0);
    assert_int_equal(since, 0);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(the_log_stays_bounded_with_slow_readers),
        TEST(other_programs_are_waited_for),
        TEST(health_tells_a_full_disk_and_its_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
