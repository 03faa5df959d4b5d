/* What a job's folder remembers, and what is remembered of the machine. What would break for a
 * user: a finished result computed again, or delivered damaged; words put into the mouth of an
 * agent that ended in order; lines of one job's log in another's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "agent/job_folders.h"
#include "agent/job_log.h"
#include "agent/life.h"
#include "agent/spool.h"
#include "agent/words.h"
#include "core/env/clock.h"
#include "core/env/file.h"
#include "core/env/last_words.h"
#include "core/runners/pace.h"

#define WORK "build/test_spool"
#define JOBS WORK "/jobs"
#define DIR JOBS "/0123"

static struct err e;
static struct msg_fence fence = {2, 17};

static int clean(void **state)
{
    (void)state;
    return system("rm -rf " WORK) || env_dir_make(DIR, &e) ? -1 : 0;
}

static struct msg_grant grant(void)
{
    return (struct msg_grant){.job = 5,
                              .fence = &fence,
                              .lease_ms = 60000,
                              .run = "demo",
                              .spec = {{1}},
                              .kind = JOB_TRAIN,
                              .target = TARGET_EXPERT,
                              .step_first = 10,
                              .step_last = 20,
                              .vocab = 64,
                              .seq = 16};
}

static void write_file(const char *path, const char *text)
{
    assert_int_equal(env_file_write_atomic(path, text, strlen(text), 0600, &e), 0);
}

/* A result of two files; slow: one that is worth a sync. */
static struct job_result result(bool slow)
{
    static const char *const text[2] = {"the model", "the state"};
    static const char *const path[2] = {DIR "/model.tar.zst", DIR "/state.tar.zst"};
    struct job_result r = {.loss = 2.5, .seconds = slow ? 100 : 0.1, .tokens = 77};
    for (int i = 0; i < 2; i++) {
        struct msg_blob b = {.role = i, .index = 3, .bytes = strlen(text[i])};
        digest_of(text[i], strlen(text[i]), &b.digest);
        b.content.bytes[0] = (uint8_t)(i + 1);
        write_file(path[i], text[i]);
        assert_int_equal(job_add_output(&r, &b, path[i], &e), 0);
    }
    return r;
}

static bool find(struct msg_grant *g, struct job_result *r, struct arena *a)
{
    char *dir = NULL;
    bool found = spool_find(JOBS, &dir, g, a, r);
    if (found)
        assert_string_equal(dir, DIR);
    free(dir);
    return found;
}

static void test_a_result_is_found_again(void **state)
{
    struct msg_grant g = grant(), back;
    struct arena a;
    (void)state;
    arena_init(&a, 1 << 20);
    for (int slow = 0; slow < 2; slow++) {
        clean(NULL);
        struct job_result r = result(slow), again;
        assert_false(find(&back, &again, &a));
        assert_false(spool_read(DIR, &again));
        if (spool_write(DIR, &g, &r, &e))
            fail_msg("%s", e.message);
        assert_true(find(&back, &again, &a));
        assert_int_equal(back.job, 5);
        assert_int_equal(back.fence->counter, 17); /* it is delivered under its old fence */
        assert_int_equal(again.count, 2);
        assert_true(again.loss == 2.5 && again.tokens == 77);
        assert_true(digest_equal(&again.outputs[1].blob.digest, &r.outputs[1].blob.digest));
        assert_true(digest_equal(&again.outputs[0].blob.content, &r.outputs[0].blob.content));
        assert_string_equal(again.outputs[1].path, DIR "/state.tar.zst");
        job_result_free(&again);
        /* Nothing that is still to be delivered makes room for anything. */
        assert_true(job_folders_trim(JOBS, "other", 0) == 0);
        assert_true(find(&back, &again, &a));
        job_result_free(&again);
        spool_keep(DIR); /* the job went to another: not delivered, but of use if it comes back */
        assert_false(find(&back, &again, &a));
        assert_true(spool_read(DIR, &again));
        job_result_free(&again);
        spool_owe(DIR, &g); /* it came back, and is owed again: nothing makes room of it */
        assert_true(job_folders_trim(JOBS, "other", 0) == 0);
        assert_true(find(&back, &again, &a));
        assert_int_equal(back.fence->counter, 17);
        job_result_free(&again);
        spool_keep(DIR);
        job_folders_trim(JOBS, "other", 0);
        assert_false(env_dir_exists(DIR));
        job_result_free(&r);
    }
    arena_free(&a);
}

static void test_a_damaged_result_is_not_delivered(void **state)
{
    struct msg_grant g = grant(), back;
    struct arena a;
    struct job_result r = result(true), again;
    (void)state;
    arena_init(&a, 1 << 20);
    assert_int_equal(spool_write(DIR, &g, &r, &e), 0);
    write_file(DIR "/state.tar.zst", "the stale");
    assert_false(find(&back, &again, &a));
    assert_int_equal(again.count, 0);
    write_file(DIR "/state.tar.zst", "the state");
    assert_false(find(&back, &again, &a)); /* given up, not tried at each start */
    assert_int_equal(spool_write(DIR, &g, &r, &e), 0);
    assert_int_equal(env_file_remove(DIR "/model.tar.zst", &e), 0);
    assert_false(spool_read(DIR, &again));
    write_file(DIR "/result.json", "{\"outputs\": [{\"file\": \"../../identity\"}]}");
    assert_false(spool_read(DIR, &again));
    job_result_free(&r);
    arena_free(&a);
}

static void test_saves_are_offered(void **state)
{
    struct arena a;
    uint32_t count;
    (void)state;
    arena_init(&a, 1 << 20);
    (void)spool_saves(JOBS, &a, &count);
    assert_int_equal(count, 0);
    (void)spool_saves(WORK "/nowhere", &a, &count);
    assert_int_equal(count, 0);
    spool_saved(DIR, &(struct msg_saved){.job = 8, .step = 30});
    spool_saved(DIR, &(struct msg_saved){.job = 8, .step = 40});
    for (int i = 0; i < 40; i++) {
        char dir[64];
        snprintf(dir, sizeof dir, JOBS "/a%02d", i);
        assert_int_equal(env_dir_make(dir, &e), 0);
        if (i == 0)
            spool_saved(dir, &(struct msg_saved){.job = 9, .step = 1});
    }
    struct msg_saved *s = spool_saves(JOBS, &a, &count);
    assert_int_equal(count, 2);
    assert_int_equal(s[0].job, 8);
    assert_int_equal(s[0].step, 40);
    assert_int_equal(s[1].job, 9);
    arena_free(&a);
}

static void test_words_of_the_dead(void **state)
{
    struct words w;
    struct msg_grant g = grant();
    static _Atomic uint64_t step = 14;
    (void)state;
    assert_int_equal(words_open(&w, WORK, &e), 0);
    assert_int_equal(w.job, 0); /* the first of all */
    words_hold(&w, &g, "0123", &step);
    w.holding = false;
    words_close(&w); /* as if it was killed */
    write_file(DIR "/log", "one\ntwo\n");
    write_file(DIR "/save-000000000013.state", "x");
    assert_int_equal(words_open(&w, WORK, &e), 0);
    assert_int_equal(w.job, 5);
    assert_int_equal(w.told.fence->counter, 17);
    assert_int_equal(w.told.step, 13); /* what is known of it: its save */
    assert_false(w.told.crash);
    assert_string_equal(w.told.end, "no last words: killed, or the machine went down");
    assert_string_equal(w.told.log, "one\ntwo\n");
    words_close(&w); /* could not tell it: the next one will */
    write_file(WORK "/last-words", "signal 11 (SIGSEGV) at step 14 of job 5 fence 2.17\n");
    assert_int_equal(words_open(&w, WORK, &e), 0);
    assert_int_equal(w.job, 5);
    assert_true(w.told.crash);
    assert_int_equal(w.told.step, 14);
    assert_string_equal(w.told.end, "signal 11 (SIGSEGV) at step 14 of job 5 fence 2.17");
    words_told(&w);
    words_close(&w);
    assert_int_equal(words_open(&w, WORK, &e), 0);
    assert_int_equal(w.job, 0);
    words_hold(&w, &g, "0123", &step);
    words_drop(&w); /* done in order */
    words_close(&w);
    assert_int_equal(words_open(&w, WORK, &e), 0);
    assert_int_equal(w.job, 0);
    words_hold(&w, &g, "0123", &step);
    words_close(&w); /* stopped while the coordinator was away */
    assert_int_equal(words_open(&w, WORK, &e), 0);
    assert_int_equal(w.job, 5);
    assert_false(w.told.crash);
    assert_int_equal(w.told.step, 14);
    assert_string_equal(w.told.end,
                        "ended in order, but could not give its job back at step 14 of job 5 fence "
                        "2.17");
    words_told(&w);
    words_close(&w);
}

static void test_log_of_a_job(void **state)
{
    struct job_log l;
    char text[PROTOCOL_LOG_MAX + 1];
    uint64_t mark = 0;
    (void)state;
    job_log_init(&l);
    job_log_begin(&l);
    assert_false(job_log_since(&l, &mark, text));
    job_log_say(&l, "info", "line %d", 1);
    job_log_keep(&l, DIR);
    job_log_say(&l, "info", "line %d", 2);
    assert_true(job_log_since(&l, &mark, text));
    assert_non_null(strstr(text, " line 1\n"));
    assert_non_null(strstr(text, " line 2\n"));
    assert_false(job_log_since(&l, &mark, text)); /* each line once */
    job_log_say(&l, "info", "line %d", 3);
    assert_true(job_log_since(&l, &mark, text));
    assert_null(strstr(text, " line 2\n"));
    assert_non_null(strstr(text, " line 3\n"));
    for (int i = 100; i < 1000; i++)
        job_log_say(&l, "info", "line %d of very many", i);
    assert_true(job_log_since(&l, &mark, text)); /* too many: the last ones, whole lines */
    assert_null(strstr(text, "line 100 "));
    assert_non_null(strstr(text, "line 999 of very many\n"));
    assert_int_equal(strspn(text, "0123456789-TZ:"), 20);
    job_log_begin(&l); /* the next job */
    job_log_say(&l, "info", "another");
    mark = 0;
    assert_true(job_log_since(&l, &mark, text));
    assert_null(strstr(text, "line"));
    job_log_free(&l);
    assert_true(job_log_read(DIR, text)); /* what the next process reads */
    assert_non_null(strstr(text, "line 999 of very many\n"));
    assert_null(strstr(text, "another"));
    assert_int_equal(strspn(text, "0123456789-TZ:"), 20);
    assert_false(job_log_read(JOBS, text));
}

static void test_lives(void **state)
{
    struct life l;
    (void)state;
    life_begin(&l, WORK);
    assert_true(fabs(life_mean_s(&l) - PACE_LIFE_S) < 5); /* nothing is known */
    life_end(&l, true);
    life_begin(&l, WORK);
    assert_true(fabs(life_mean_s(&l) - PACE_LIFE_S) < 5); /* somebody wanted it stopped */
    free(l.alive);                                        /* killed, after 100 s */
    free(l.file);
    char started[32];
    snprintf(started, sizeof started, "%lld\n", (long long)(env_wall_ms() - 100000));
    write_file(WORK "/alive", started);
    life_begin(&l, WORK);
    assert_true(fabs(life_mean_s(&l) - (PACE_LIFE_S + 100) / 2) < 5);
    free(l.alive);
    free(l.file);
    write_file(WORK "/life", "19 1900\n");
    assert_int_equal(env_file_remove(WORK "/alive", &e), 0);
    life_begin(&l, WORK);
    assert_true(fabs(life_mean_s(&l) - (PACE_LIFE_S + 1900) / 20) < 5);
    life_end(&l, false);
    write_file(WORK "/life", "nonsense");
    life_begin(&l, WORK);
    assert_true(fabs(life_mean_s(&l) - PACE_LIFE_S) < 5);
    life_end(&l, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_a_result_is_found_again, clean),
        cmocka_unit_test_setup(test_a_damaged_result_is_not_delivered, clean),
        cmocka_unit_test_setup(test_saves_are_offered, clean),
        cmocka_unit_test_setup(test_words_of_the_dead, clean),
        cmocka_unit_test_setup(test_log_of_a_job, clean),
        cmocka_unit_test_setup(test_lives, clean),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
