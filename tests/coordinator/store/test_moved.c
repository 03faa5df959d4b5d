/* What a page is told has moved. A run that is left out stays as it was on the screen; one that is
 * told before its COMMIT is asked for too early, and stays so, too. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>
#include "coordinator/store/moved.h"
#include "coordinator/store/ops.h"
#include "tests/coordinator/store/store_check.h"
#include "tests/coordinator/store/temp_dir.h"

#define RUNS 3

static struct world {
    char dir[64];
    struct store *s;
    struct arena arena;
    uint64_t runs[RUNS];
    uint32_t jobs, fails; /* to insert; and whether the piece then fails */
    int run;              /* into which */
    uint64_t next;
} w;

static int make_runs(struct store_conn *c, void *arg, struct err *e)
{
    static struct msg_shard shards[1] = {{{{1}}, 100, 40}}, heldout[1] = {{{{4}}, 30, 10}};
    static struct msg_label label = {"all"};
    static const struct msg_dataset corpus = {.name = "corpus",
                                              .vocab = 512,
                                              .seq = 16,
                                              .tokenizer = {{9}},
                                              .train = shards,
                                              .train_count = 1,
                                              .heldout = heldout,
                                              .heldout_count = 1,
                                              .labels = &label,
                                              .label_count = 1,
                                              .train_sequences = 40,
                                              .heldout_sequences = 10};
    struct digest d = {{5}};
    uint64_t dataset;
    (void)arg;
    int rc = op_dataset_insert(c, &corpus, 42, &dataset, e);
    for (int i = 0; !rc && i < RUNS; i++) {
        char name[24];
        snprintf(name, sizeof name, "run-%d", i);
        rc = op_run_insert(c, name, dataset, &d, "[run]\n", 43, &w.runs[i], e);
    }
    return rc;
}

static int make_jobs(struct store_conn *c, void *arg, struct err *e)
{
    (void)arg;
    for (uint32_t i = 0; i < w.jobs; i++) {
        struct job_key k = {.kind = JOB_EVAL, .target = TARGET_EXPERT, .step_last = ++w.next};
        bool inserted;
        int rc = op_job_insert(c, w.runs[w.run], &k, 0, 44, &inserted, e);
        if (rc)
            return rc;
    }
    return w.fails ? err_set(e, ERR_CONFLICT, "not this time") : 0;
}

static int setup(void **state)
{
    (void)state;
    memset(&w, 0, sizeof w);
    temp_dir_make(w.dir);
    arena_init(&w.arena, 1u << 24);
    OK(store_open_with(&w.s, w.dir, &(struct store_options){.stepped = true}, &err));
    OK(store_write_wait(w.s, make_runs, NULL, &err));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    store_close(w.s);
    arena_free(&w.arena);
    temp_dir_remove(w.dir);
    return 0;
}

/* The names of those told since, ascending. */
static void expect_told(const char *names, bool jobs)
{
    struct moved m;
    struct store_conn *c;
    const char **list;
    uint32_t count;
    char all[100] = "";
    store_moved_take(w.s, &m);
    OK(store_read_begin(w.s, &c, &err));
    OK(op_moved_runs(c, &m, 10, &w.arena, &list, &count, &err));
    store_read_end(w.s, c);
    for (int i = 0; i < RUNS; i++)
        for (uint32_t k = 0; k < count; k++)
            if (list[k][4] == '0' + i)
                strcat(strcat(all, list[k]), " ");
    assert_string_equal(all, names);
    assert_int_equal(m.many || m.job_count > 0, jobs);
}

static void nothing(void *arg, int rc, const struct err *e)
{
    (void)arg;
    (void)rc;
    (void)e;
}

static void test_what_commits_is_told_once(void **state)
{
    (void)state;
    expect_told("run-0 run-1 run-2 ", false);
    expect_told("", false);
    w.jobs = 2;
    w.run = 1;
    store_write(w.s, make_jobs, nothing, NULL);
    expect_told("", false); /* it is queued, and not done */
    while (store_writer_step(w.s) > 0)
        ;
    expect_told("run-1 ", true);
    expect_told("", false);
}

/* More jobs than are named: all runs that go on are meant. And what failed does no harm. */
static void test_many_at_once(void **state)
{
    (void)state;
    expect_told("run-0 run-1 run-2 ", false);
    w.jobs = MOVED_MAX + 50;
    OK(store_write_wait(w.s, make_jobs, NULL, &err));
    expect_told("run-0 run-1 run-2 ", true);
    w.jobs = 1;
    w.run = 2;
    OK(store_write_wait(w.s, make_jobs, NULL, &err));
    expect_told("run-2 ", true);
    w.fails = 1;
    assert_int_equal(store_write_wait(w.s, make_jobs, NULL, &err), ERR_CONFLICT);
    w.fails = 0;
    w.run = 0;
    OK(store_write_wait(w.s, make_jobs, NULL, &err));
    struct moved m;
    store_moved_take(w.s, &m);
    assert_false(m.many);
    assert_true(m.job_count >= 1);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_what_commits_is_told_once),
        TEST(test_many_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
