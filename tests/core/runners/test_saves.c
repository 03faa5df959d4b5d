/* Local saves, and those of others. What would break for a user: work of preempted machines done
 * again, a job lost because its disk was full for a moment, saves that slow the training down. */
#define ROOT "build/test_saves"
#include "tests/core/runners/runner_jobs.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

/* The save at `step` in dir as an input. */
static void input_save(struct job *j, const char *dir, uint64_t step, char paths[2][128])
{
    static const char *const what[2] = {"model", "state"};
    struct model_config c;
    struct err e = {0};
    spec_expert_model(&spec, V, S, &c);
    for (int i = 0; i < 2; i++) {
        struct msg_blob b = {.role = i ? ROLE_STATE : ROLE_MODEL};
        snprintf(paths[i], 128, "%s/save-%012d.%s", dir, (int)step, what[i]);
        assert_int_equal(saves_digest(paths[i], &b.digest, &b.bytes, &e), 0);
        float *x = malloc(model_parameters(&c) * sizeof *x),
              *y = malloc(model_parameters(&c) * sizeof *y);
        assert_int_equal(i ? checkpoint_state_load(paths[i], &c, OPTIMIZER_ADAMW, x, y, NULL, NULL,
                                                   &b.content, &e)
                           : checkpoint_model_load(paths[i], &c, x, &b.content, &e),
                         0);
        free(x);
        free(y);
        input(j, b, paths[i]);
    }
}

/* What a preempted agent handed over is as good as a local save; and a local one that is further on
 * is not given up for it. */
static void test_goes_on_from_a_save_handed_over(void **state)
{
    struct job whole, broken, resumed;
    struct kept *k = new_kept(), *other = new_kept();
    char paths[2][128];
    (void)state;
    dense_link(&whole, ROOT "/h-whole", k, 0, 15, NULL);
    job_good(&whole);
    dense_link(&broken, ROOT "/h", k, 0, 15, NULL);
    broken.paths[2] = ROOT "/no-such-file"; /* breaks at step 11 of 15, saved at 10 */
    assert_true(job_go(&broken) < 0);
    dense_link(&resumed, ROOT "/h-other", other, 0, 15, NULL);
    resumed.paths[0] = ROOT "/no-such-file"; /* what steps 1 to 5 read: they are not done again */
    resumed.g.resume_step = 10;
    input_save(&resumed, ROOT "/h", 10, paths);
    spec.checkpoint.every_steps = 4;
    job_good(&resumed);
    spec.checkpoint.every_steps = 5;
    same_content(&whole, &resumed);
    job_result_free(&resumed.r);
    /* The other machine is back with its save at 12: what was handed over is older. */
    assert_int_equal(saves_newest(ROOT "/h-other"), 12);
    dense_link(&resumed, ROOT "/h-other", k, 0, 15, NULL);
    resumed.g.resume_step = 10;
    input_save(&resumed, ROOT "/h", 10, paths);
    resumed.paths[3] = resumed.paths[4] = ROOT "/no-such-file";
    job_good(&resumed);
    same_content(&whole, &resumed);
    job_result_free(&resumed.r);
    /* A save of another step than was said is not gone on from. */
    dense_link(&resumed, ROOT "/h-wrong", k, 0, 15, NULL);
    resumed.g.resume_step = 9;
    input_save(&resumed, ROOT "/h", 10, paths);
    assert_int_equal(job_go(&resumed), ERR_INVALID);
    job_result_free(&whole.r);
    job_result_free(&broken.r);
    job_result_free(&resumed.r);
    kept_destroy(k);
    kept_destroy(other);
}

struct heard {
    uint32_t saved, trouble, waits;
    uint64_t step;
};

static void hear_saved(void *arg, uint64_t step, const struct digest *content, double seconds)
{
    struct heard *h = arg;
    (void)content;
    assert_true(seconds > 0);
    h->saved++;
    h->step = step;
}

static bool hear_trouble(void *arg, const struct err *e, bool waits)
{
    struct heard *h = arg;
    assert_true(e->message[0]);
    h->trouble++;
    h->waits += waits;
    return true;
}

/* A save that can't be written is tried again later: the one before is good, and training goes on.
 */
static void test_a_failed_save_ends_no_job(void **state)
{
    struct job whole, j;
    struct kept *k = new_kept();
    struct heard heard = {0};
    struct job_watch watch = {hear_saved, hear_trouble, &heard};
    struct err e = {0};
    (void)state;
    dense_link(&whole, ROOT "/f-whole", k, 0, 15, NULL);
    job_good(&whole);
    /* A folder in the place of the save at step 10. */
    assert_int_equal(env_dir_make(ROOT "/f/save-000000000010.model/in-the-way", &e), 0);
    dense_link(&j, ROOT "/f", k, 0, 15, NULL);
    j.c.watch = &watch;
    job_good(&j);
    same_content(&whole, &j);
    assert_int_equal(heard.trouble, 1);
    assert_int_equal(heard.waits, 0);
    assert_int_equal(heard.saved, 1);
    assert_int_equal(heard.step, 5);
    assert_int_equal(saves_newest(ROOT "/f"), 5);
    assert_int_equal(env_dir_remove(ROOT "/f/save-000000000010.model/in-the-way", &e), 0);
    assert_int_equal(env_dir_remove(ROOT "/f/save-000000000010.model", &e), 0);
    job_result_free(&j.r);
    job_result_free(&whole.r);
    kept_destroy(k);
}

/* Killed again and again, most of the time in the middle of a save: there is always a good one, or
 * none yet, and the end is the same. */
static void test_killed_in_the_middle_of_saves(void **state)
{
    struct job whole, last;
    struct kept *k = new_kept();
    (void)state;
    spec.checkpoint.every_steps = 0;
    dense_link(&whole, ROOT "/k-whole", k, 0, 3000, NULL);
    whole.g.steps = 3000;
    job_good(&whole);
    spec.checkpoint.every_steps = 1; /* it does little else than save */
    for (int i = 0; i < 15; i++) {
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
            struct job j;
            dense_link(&j, ROOT "/k", k, 0, 3000, NULL);
            j.g.steps = 3000;
            (void)job_go(&j);
            _exit(0);
        }
        uint64_t before = saves_newest(ROOT "/k");
        for (int ms = 0; ms < 10000 && saves_newest(ROOT "/k") <= before; ms++)
            env_sleep_ms(1); /* it goes on */
        env_sleep_ms(i % 5);
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
    }
    assert_true(saves_newest(ROOT "/k") > 0);
    spec.checkpoint.every_steps = 0;
    dense_link(&last, ROOT "/k", k, 0, 3000, NULL);
    last.g.steps = 3000;
    job_good(&last);
    same_content(&whole, &last);
    spec.checkpoint.every_steps = 5;
    job_result_free(&whole.r);
    job_result_free(&last.r);
    kept_destroy(k);
}

/* Young's interval, bounded; and saves follow it where the spec asks for none, changing no bit. */
static void test_saves_follow_the_pace(void **state)
{
    struct pace p = {.life_s = 600};
    struct job whole, j;
    struct kept *k = new_kept();
    struct heard heard = {0};
    struct job_watch watch = {hear_saved, hear_trouble, &heard};
    (void)state;
    assert_true(fabs(pace_interval_s(&p) - 10) < 1e-9); /* the cost is not known yet */
    pace_saved(&p, 3);
    assert_true(fabs(pace_interval_s(&p) - 60) < 1e-9); /* sqrt(2·3·600) */
    pace_saved(&p, 1);                                  /* the mean follows: 2.5 */
    assert_true(fabs(pace_interval_s(&p) - sqrt(3000)) < 1e-9);
    p = (struct pace){.cost_s = 2, .life_s = 1};
    assert_true(fabs(pace_interval_s(&p) - 20) < 1e-9); /* a tenth of the time at most */
    p = (struct pace){.cost_s = 1e-9, .life_s = 10};
    assert_true(fabs(pace_interval_s(&p) - 1) < 1e-9);
    p = (struct pace){.cost_s = 2};
    assert_true(fabs(pace_interval_s(&p) - 120) < 1e-9); /* an hour, of which nothing is known */

    spec.checkpoint.every_steps = 0;
    dense_link(&whole, ROOT "/p-whole", k, 0, 4000, NULL);
    whole.g.steps = 4000;
    job_good(&whole);
    p = (struct pace){.cost_s = 1e-6, .life_s = 1};
    dense_link(&j, ROOT "/p", k, 0, 4000, NULL);
    j.g.steps = 4000;
    j.c.pace = &p;
    j.c.watch = &watch;
    job_good(&j);
    same_content(&whole, &j);
    uint32_t most = (uint32_t)j.r.seconds; /* one a second */
    assert_in_range(heard.saved, most > 1 ? most - 1 : 0, most);
    assert_int_equal(heard.trouble, 0);
    spec.checkpoint.every_steps = 5;
    job_result_free(&whole.r);
    job_result_free(&j.r);
    kept_destroy(k);
}

static void stop_when_saved(void *arg, uint64_t step, const struct digest *content, double seconds)
{
    struct job *j = arg;
    (void)step;
    (void)content;
    (void)seconds;
    atomic_store(&j->progress.abandon, true);
}

/* Ended after a save at `step` of 15, and gone on with by another process. */
static void goes_on_at(const char *dir, uint32_t step)
{
    struct job j;
    struct kept *k = new_kept();
    struct job_watch watch = {.saved = stop_when_saved, .arg = &j};
    spec.checkpoint.every_steps = step;
    dense_link(&j, dir, k, 0, 15, NULL);
    j.c.watch = &watch;
    assert_int_equal(job_go(&j), ERR_STOPPED);
    job_result_free(&j.r);
    kept_destroy(k);
    k = new_kept();
    struct heard heard = {0};
    spec.checkpoint.every_steps = 1;
    dense_link(&j, dir, k, 0, 15, NULL);
    j.c.watch = &(struct job_watch){hear_saved, hear_trouble, &heard};
    for (uint32_t i = 0; i < step / 5; i++) /* a shard has the data of five steps */
        j.paths[i] = ROOT "/no-such-file";
    job_good(&j);
    assert_int_equal(heard.saved, 15 - step - 1); /* after each step that was done but the last */
    job_result_free(&j.r);
    kept_destroy(k);
    spec.checkpoint.every_steps = 5;
}

/* To go on late costs no more than to go on early: no step is done again, and no data is read, or
 * has to be there, of those before. */
static void test_going_on_does_not_grow_with_the_step(void **state)
{
    (void)state;
    goes_on_at(ROOT "/r-5", 5);
    goes_on_at(ROOT "/r-10", 10);
    goes_on_at(ROOT "/r-14", 14);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_goes_on_from_a_save_handed_over),
        cmocka_unit_test(test_a_failed_save_ends_no_job),
        cmocka_unit_test(test_saves_follow_the_pace),
        cmocka_unit_test(test_killed_in_the_middle_of_saves),
        cmocka_unit_test(test_going_on_does_not_grow_with_the_step),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
