/* The runners on small data, through files, without a coordinator. What would break for a user:
 * work that is not the same when interrupted, resumed, or cut into other links; experts trained on
 * each other's text; a diverged run that is tried again for ever. */
#define ROOT "build/test_runners"
#include "tests/core/runners/runner_jobs.h"

#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>
#include "core/mixture/assign.h"
#include "core/mixture/evalblob.h"
#include "core/mixture/scores.h"

static void test_links_change_no_bit(void **state)
{
    struct job whole, a, b, c;
    struct kept *k = new_kept(), *other = new_kept();
    (void)state;
    spec.checkpoint.every_steps = 0;
    dense_link(&whole, ROOT "/whole", k, 0, 40, NULL);
    job_good(&whole);
    assert_true(whole.r.loss < logf(V) - 0.3); /* it has learned something */
    assert_int_equal(whole.r.tokens, 40 * spec.dense.batch * S);
    spec.checkpoint.every_steps = 5;
    dense_link(&a, ROOT "/a", other, 0, 10, NULL);
    job_good(&a);
    dense_link(&b, ROOT "/b", other, 10, 20, &a); /* weights still in memory */
    job_good(&b);
    kept_destroy(other);
    other = new_kept();
    dense_link(&c, ROOT "/c", other, 20, 40, &b); /* another machine: from the files */
    job_good(&c);
    same_content(&whole, &c);
    job_result_free(&whole.r);
    job_result_free(&a.r);
    job_result_free(&b.r);
    job_result_free(&c.r);
    kept_destroy(k);
    kept_destroy(other);
}

/* The learning curve ends where the job does, and its points' mean is what the job reports. */
static void test_curve(void **state)
{
    struct job a;
    struct kept *k = new_kept();
    (void)state;
    dense_link(&a, ROOT "/m-curve", k, 0, 10, NULL);
    job_good(&a);
    uint32_t n = atomic_load(&a.progress.point_count);
    double sum = 0;
    assert_int_equal(n, 10); /* of so few steps every one is a point */
    for (uint32_t i = 0; i < n; i++) {
        assert_int_equal(a.progress.points[i].step, i + 1);
        sum += a.progress.points[i].loss;
    }
    assert_true(fabs(sum / n - a.r.loss) < 1e-12);
    job_result_free(&a.r);
    kept_destroy(k);
}

/* The weights in memory are used for the very checkpoint that they are, and for no other. */
static void test_memory_is_not_mistaken(void **state)
{
    struct job a, b, again, fresh, unborn, fresh_on;
    struct kept *k = new_kept(), *clean = new_kept();
    (void)state;
    dense_link(&a, ROOT "/m-a", k, 0, 10, NULL);
    job_good(&a);
    dense_link(&b, ROOT "/m-b", k, 10, 20, &a); /* memory is now at step 20 */
    job_good(&b);
    dense_link(&again, ROOT "/m-again", k, 10, 20, &a);
    job_good(&again);
    same_content(&b, &again);
    dense_link(&fresh, ROOT "/m-fresh", clean, 10, 20, &a);
    job_good(&fresh);
    same_content(&b, &fresh);
    dense_link(&unborn, ROOT "/m-unborn", k, 0, 10, NULL);
    atomic_store(&unborn.progress.abandon, true); /* ends before its first step … */
    assert_int_equal(job_go(&unborn), ERR_STOPPED);
    job_result_free(&again.r);
    dense_link(&again, ROOT "/m-again", k, 20, 25, &b);
    job_good(&again);
    dense_link(&fresh_on, ROOT "/m-fresh", clean, 20, 25, &b);
    job_good(&fresh_on); /* … and leaves fresh weights under nobody's name */
    same_content(&again, &fresh_on);
    job_result_free(&fresh_on.r);
    job_result_free(&unborn.r);
    job_result_free(&a.r);
    job_result_free(&b.r);
    job_result_free(&again.r);
    job_result_free(&fresh.r);
    kept_destroy(k);
    kept_destroy(clean);
}

/* A crash at any moment costs the steps since the last save, and no bit. */
static void test_goes_on_from_the_local_save(void **state)
{
    struct job whole, broken, resumed;
    struct kept *k = new_kept(), *other = new_kept();
    (void)state;
    dense_link(&whole, ROOT "/r-whole", k, 0, 15, NULL);
    job_good(&whole);
    dense_link(&broken, ROOT "/r", other, 0, 15, NULL);
    broken.paths[2] = ROOT "/no-such-file"; /* breaks at step 11 of 15, saved at 10 */
    assert_true(job_go(&broken) < 0);
    assert_true(env_file_exists(ROOT "/r/save-000000000010.state"));
    assert_false(env_file_exists(ROOT "/r/save-000000000005.state"));
    kept_destroy(other);
    other = new_kept();
    dense_link(&resumed, ROOT "/r", other, 0, 15, NULL);
    resumed.paths[0] = ROOT "/no-such-file"; /* what steps 1 to 5 read: they are not done again */
    job_good(&resumed);
    same_content(&whole, &resumed);
    job_result_free(&whole.r);
    job_result_free(&broken.r);
    job_result_free(&resumed.r);
    kept_destroy(k);
    kept_destroy(other);
}

static void test_damaged_save_is_passed_over(void **state)
{
    struct job whole, resumed;
    struct kept *k = new_kept(), *other = new_kept();
    (void)state;
    dense_link(&whole, ROOT "/d-whole", k, 0, 15, NULL);
    job_good(&whole);
    struct err e = {0};
    assert_int_equal(env_dir_make(ROOT "/d", &e), 0);
    write_file(ROOT "/d/save-000000000010.state", "garbage", 7);
    write_file(ROOT "/d/save-000000000010.model", "garbage", 7);
    dense_link(&resumed, ROOT "/d", other, 0, 15, NULL);
    job_good(&resumed);
    same_content(&whole, &resumed);
    job_result_free(&whole.r);
    job_result_free(&resumed.r);
    kept_destroy(k);
    kept_destroy(other);
}

static void *stop_after_some_steps(void *arg)
{
    struct job *j = arg;
    while (atomic_load(&j->progress.step) == 0)
        env_sleep_ms(1);
    env_stop_request();
    return NULL;
}

/* SIGTERM: the runner saves where it is, and the next start goes on from there. */
static void test_stop_saves(void **state)
{
    struct job whole, resumed;
    struct kept *k = new_kept();
    (void)state;
    spec.checkpoint.every_steps = 0;
    uint64_t steps = spec.expert.steps;
    spec.expert.steps = 3000;
    dense_link(&whole, ROOT "/s-whole", k, 0, 3000, NULL);
    whole.g.steps = 3000;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct job stopped;
        pthread_t t;
        dense_link(&stopped, ROOT "/s", k, 0, 3000, NULL);
        stopped.g.steps = 3000;
        pthread_create(&t, NULL, stop_after_some_steps, &stopped);
        int rc = job_go(&stopped);
        bool given = stopped.r.count == 2 && stopped.r.saved_step > 0 &&
                     stopped.r.outputs[1].blob.role == ROLE_STATE;
        _exit(rc == ERR_STOPPED ? given ? 0 : 3 : rc == 0 ? 2 : 1);
    }
    int status;
    waitpid(pid, &status, 0);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    char **names;
    size_t count;
    struct err e = {0};
    assert_int_equal(env_dir_list(ROOT "/s", &names, &count, &e), 0);
    assert_int_equal(count, 2); /* one save, though none was due */
    env_dir_list_free(names, count);
    job_good(&whole);
    dense_link(&resumed, ROOT "/s", k, 0, 3000, NULL);
    resumed.g.steps = 3000;
    job_good(&resumed);
    same_content(&whole, &resumed);
    spec.checkpoint.every_steps = 5;
    spec.expert.steps = steps;
    job_result_free(&whole.r);
    job_result_free(&resumed.r);
    kept_destroy(k);
}

static void test_lost_lease_stops(void **state)
{
    struct job j;
    struct kept *k = new_kept();
    (void)state;
    dense_link(&j, ROOT "/lost", k, 0, 15, NULL);
    atomic_store(&j.progress.abandon, true);
    assert_int_equal(job_go(&j), ERR_STOPPED);
    assert_int_equal(j.r.count, 0);
    job_result_free(&j.r);
    kept_destroy(k);
}

static void test_divergence_is_the_settings_fault(void **state)
{
    struct job j;
    struct kept *k = new_kept();
    double rate = spec.expert.learning_rate;
    (void)state;
    spec.expert.learning_rate = 1e30;
    dense_link(&j, ROOT "/nan", k, 0, 15, NULL);
    assert_int_equal(job_go(&j), ERR_NOT_FINITE);
    assert_non_null(strstr(j.e.message, "at step "));
    assert_non_null(strstr(j.e.message, "batch of 8 sequences: "));
    spec.expert.learning_rate = rate;
    job_result_free(&j.r);
    kept_destroy(k);
}

static void test_wrong_inputs_are_named(void **state)
{
    struct job a, j;
    struct kept *k = new_kept();
    (void)state;
    dense_link(&a, ROOT "/w-a", k, 0, 5, NULL);
    job_good(&a);
    dense_link(&j, ROOT "/w-j", k, 10, 15, &a); /* the state is at step 5 */
    kept_destroy(k);
    k = new_kept();
    j.c.kept = k;
    assert_int_equal(job_go(&j), ERR_INVALID);
    assert_non_null(strstr(j.e.message, "step 5"));
    job_result_free(&j.r);
    dense_link(&j, ROOT "/w-j", k, 10, 15, NULL);
    assert_int_equal(job_go(&j), ERR_INVALID);
    job_result_free(&j.r);
    dense_link(&j, ROOT "/w-j", k, 0, 5, NULL);
    j.g.vocab = 128;
    assert_int_equal(job_go(&j), ERR_INVALID);
    job_result_free(&j.r);
    dense_link(&j, ROOT "/w-j", k, 0, 15, NULL);
    j.g.input_count--; /* a shard less than the link reads */
    assert_int_equal(job_go(&j), ERR_INVALID);
    assert_non_null(strstr(j.e.message, "do not hold sequence"));
    job_result_free(&j.r);
    job_result_free(&a.r);
    kept_destroy(k);
}

/* --- the mixture's way --------------------------------------------------------------------------
 */

static void router_round(struct job *j, const char *dir, struct kept *k, uint32_t index,
                         uint32_t round, const struct job *before, const char *assignment)
{
    job_begin(j, JOB_TRAIN_ROUTER, dir, k);
    j->g.target = TARGET_ROUTER;
    j->g.index = index;
    j->g.round = round;
    j->g.window_count = 60;
    j->g.prior_steps = round * 7; /* 30 sequences in batches of 4 */
    j->g.steps = 14;
    if (before) {
        input_output(j, before, 0);
        input_output(j, before, 1);
        input(j, (struct msg_blob){.role = ROLE_ASSIGNMENT}, assignment);
    }
    input_window(j, round * 60, 60);
    job_good(j);
    assert_int_equal(j->r.outputs[0].blob.role, ROLE_MODEL);
    assert_int_equal(j->r.outputs[1].blob.role, ROLE_STATE);
    assert_int_equal(j->r.outputs[0].blob.index, index);
}

static void score(struct job *j, const char *dir, struct kept *k, uint64_t first, uint64_t count,
                  const struct job *routers)
{
    job_begin(j, JOB_SCORE, dir, k);
    for (uint32_t i = 0; routers && i < E; i++)
        input_output(j, &routers[i], 0);
    j->g.window_first = first;
    j->g.window_count = count;
    input_window(j, first, count);
    job_good(j);
}

static void map_output(const struct job *j, uint32_t n, struct env_map *m)
{
    struct err e = {0};
    struct digest d;
    assert_true(n < j->r.count);
    assert_int_equal(env_file_map(j->r.outputs[n].path, m, &e), 0);
    digest_of(m->data, m->size, &d);
    assert_true(digest_equal(&d, &j->r.outputs[n].blob.digest));
    assert_int_equal(m->size, j->r.outputs[n].blob.bytes);
}

/* Assigns what a score job gave; writes it as a blob. */
static void assign(const struct job *scores, uint64_t count, const char *path, uint16_t *expert)
{
    struct env_map m;
    struct err e = {0};
    uint64_t n;
    uint32_t routers;
    const uint8_t *rows;
    uint8_t out[ASSIGN_HEADER + 2 * TRAIN];
    map_output(scores, 0, &m);
    assert_int_equal(scores_open(m.data, m.size, &n, &routers, &rows, &e), 0);
    assert_int_equal(n, count);
    assert_int_equal(routers, E);
    assert_int_equal(assign_balanced(rows, n, E, expert, &e), 0);
    assign_header_write(out, n, E);
    for (uint64_t i = 0; i < n; i++) {
        out[ASSIGN_HEADER + 2 * i] = (uint8_t)expert[i];
        out[ASSIGN_HEADER + 2 * i + 1] = (uint8_t)(expert[i] >> 8);
    }
    write_file(path, out, ASSIGN_HEADER + 2 * n);
    env_file_unmap(&m);
}

static struct job routers[2][E], chunk_scores, segments[2], experts[E];

static void test_router_rounds(void **state)
{
    struct kept *k = new_kept();
    struct job s, again;
    uint16_t expert[TRAIN];
    char dir[64];
    (void)state;
    for (uint32_t i = 0; i < E; i++) {
        snprintf(dir, sizeof dir, ROOT "/router-0-%u", i);
        router_round(&routers[0][i], dir, k, i, 0, NULL, NULL);
    }
    score(&s, ROOT "/score-1", k, 60, 60, routers[0]);
    assign(&s, 60, ROOT "/assign-1", expert);
    for (uint32_t i = 0; i < E; i++) {
        snprintf(dir, sizeof dir, ROOT "/router-1-%u", i);
        router_round(&routers[1][i], dir, k, i, 1, &routers[0][i], ROOT "/assign-1");
    }
    /* Another machine gives the same. */
    struct kept *other = new_kept();
    router_round(&again, ROOT "/router-1-again", other, 1, 1, &routers[0][1], ROOT "/assign-1");
    same_content(&routers[1][1], &again);
    struct job whole;
    score(&whole, ROOT "/score-whole", k, 0, TRAIN, routers[1]);
    chunk_scores = whole;
    job_result_free(&s.r);
    job_result_free(&again.r);
    kept_destroy(k);
    kept_destroy(other);
}

/* A part's rows are those of the whole: parts are only a way to share the work. */
static void test_score_parts_equal_the_whole(void **state)
{
    struct kept *k = new_kept();
    struct job part;
    struct env_map a, b;
    (void)state;
    score(&part, ROOT "/score-part", k, 30, 70, routers[1]);
    map_output(&chunk_scores, 0, &a);
    map_output(&part, 0, &b);
    size_t row = SCORES_ROW(E);
    assert_memory_equal((const char *)a.data + SCORES_HEADER + 30 * row,
                        (const char *)b.data + SCORES_HEADER, 70 * row);
    env_file_unmap(&a);
    env_file_unmap(&b);
    job_result_free(&part.r);
    kept_destroy(k);
}

static void segment(struct job *j, const char *dir, uint64_t first, uint64_t count)
{
    job_begin(j, JOB_SEGMENT, dir, NULL);
    input(j, (struct msg_blob){.role = ROLE_ASSIGNMENT}, ROOT "/assign-chunk");
    j->g.window_first = first;
    j->g.window_count = count;
    input_window(j, first, count);
    job_good(j);
    assert_int_equal(j->r.count, E);
}

static void corpus_tokens(uint64_t i, uint32_t *out)
{
    struct env_map m;
    struct shard s;
    struct err e = {0};
    assert_int_equal(env_file_map(shard_path[i / PER_SHARD], &m, &e), 0);
    assert_int_equal(shard_open(&s, m.data, m.size, &e), 0);
    shard_tokens(&s, (uint32_t)(i % PER_SHARD), S, out);
    env_file_unmap(&m);
}

static void test_segments_hold_each_sequence_once(void **state)
{
    uint16_t expert[TRAIN];
    (void)state;
    assign(&chunk_scores, TRAIN, ROOT "/assign-chunk", expert);
    segment(&segments[0], ROOT "/segment-0", 0, 70);
    segment(&segments[1], ROOT "/segment-1", 70, 50);
    for (uint32_t x = 0; x < E; x++) {
        uint64_t at = 0;
        for (uint32_t p = 0; p < 2; p++) {
            struct env_map m;
            struct shard s;
            struct err e = {0};
            uint32_t got[S], want[S];
            map_output(&segments[p], x, &m);
            assert_int_equal(shard_open(&s, m.data, m.size, &e), 0);
            assert_int_equal(s.count, segments[p].r.outputs[x].blob.count);
            for (uint32_t i = 0; i < s.count; i++, at++) {
                while (expert[at] != x)
                    at++;
                corpus_tokens(at, want);
                shard_tokens(&s, i, S, got);
                assert_memory_equal(got, want, sizeof got);
                assert_int_equal(shard_text_bytes(&s, i), S);
            }
            env_file_unmap(&m);
        }
        while (at < TRAIN)
            assert_int_not_equal(expert[at++], x);
    }
}

static void expert_link(struct job *j, const char *dir, struct kept *k, uint32_t index,
                        uint64_t first, uint64_t last, const struct job *before)
{
    uint64_t at = 0;
    job_begin(j, JOB_TRAIN, dir, k);
    j->g.target = TARGET_EXPERT;
    j->g.index = index;
    j->g.step_first = first;
    j->g.step_last = last;
    j->g.steps = 40;
    j->g.segment_count = TRAIN / E;
    if (before) {
        input_output(j, before, 0);
        input_output(j, before, 1);
    }
    for (uint32_t p = 0; p < 2; p++) {
        struct msg_blob b = segments[p].r.outputs[index].blob;
        b.first = at;
        at += b.count;
        input(j, b, segments[p].r.outputs[index].path);
    }
    assert_int_equal(at, TRAIN / E);
    job_good(j);
}

static void test_experts_train_on_pieces(void **state)
{
    struct kept *k = new_kept();
    struct job half, rest;
    (void)state;
    for (uint32_t i = 0; i < E; i++) {
        char dir[64];
        snprintf(dir, sizeof dir, ROOT "/expert-%u", i);
        expert_link(&experts[i], dir, k, i, 0, 40, NULL); /* several passes */
    }
    expert_link(&half, ROOT "/expert-half", k, 1, 0, 20, NULL);
    expert_link(&rest, ROOT "/expert-rest", k, 1, 20, 40, &half);
    same_content(&experts[1], &rest);
    assert_memory_not_equal(&experts[0].r.outputs[0].blob.content,
                            &experts[1].r.outputs[0].blob.content, sizeof(struct digest));
    job_result_free(&half.r);
    job_result_free(&rest.r);
    kept_destroy(k);
}

static void eval(struct job *j, const char *dir, struct kept *k, int target, uint32_t index,
                 const struct job *model)
{
    job_begin(j, JOB_EVAL, dir, k);
    j->g.target = target;
    j->g.index = index;
    j->g.step_last = 40;
    if (model)
        input_output(j, model, 0);
    input(j, (struct msg_blob){.role = ROLE_SHARD, .count = HELD}, held_path);
    job_good(j);
    assert_int_equal(j->r.count, 1);
    assert_int_equal(j->r.outputs[0].blob.role, ROLE_EVAL);
}

static void test_evaluations(void **state)
{
    struct kept *k = new_kept();
    struct job j;
    struct env_map m;
    struct evalblob b;
    const uint8_t *rows;
    struct err e = {0};
    double all, after, sum = 0;
    float scores[M];
    (void)state;
    eval(&j, ROOT "/eval-expert", k, TARGET_EXPERT, 1, &experts[1]);
    map_output(&j, 0, &m);
    assert_int_equal(evalblob_open(m.data, m.size, &b, &rows, &e), 0);
    assert_int_equal(b.kind, EVALBLOB_MODEL);
    assert_int_equal(b.count, HELD);
    for (uint32_t i = 0; i < HELD; i++) {
        evalblob_model_row(rows, i, &all, &after);
        assert_true(after > 0 && after < all);
        sum += all;
    }
    assert_true(fabs(sum / (HELD * (S - 1)) - j.r.loss) < 1e-9);
    env_file_unmap(&m);
    job_result_free(&j.r);
    eval(&j, ROOT "/eval-router", k, TARGET_ROUTER, 1, &routers[1][1]);
    map_output(&j, 0, &m);
    assert_int_equal(evalblob_open(m.data, m.size, &b, &rows, &e), 0);
    assert_int_equal(b.kind, EVALBLOB_ROUTER);
    assert_int_equal(b.columns, M);
    evalblob_router_row(&b, rows, 5, scores);
    assert_true(scores[0] == 0 && scores[M - 1] < scores[1] && scores[1] < 0);
    env_file_unmap(&m);
    job_result_free(&j.r);
    kept_destroy(k);
}

/* The control routes by a hash of the prefix, the same in training and at inference. */
static void test_random_control(void **state)
{
    struct job s, j;
    struct env_map ms, mj;
    struct evalblob b;
    const uint8_t *rows, *wire;
    struct err e = {0};
    uint64_t n;
    uint32_t count;
    float column[M];
    (void)state;
    spec.router.mode = SPEC_RANDOM;
    struct kept *k = new_kept();
    job_begin(&s, JOB_SCORE, ROOT "/score-random", k);
    s.g.window_count = HELD;
    input(&s, (struct msg_blob){.role = ROLE_SHARD, .count = HELD}, held_path);
    job_good(&s);
    map_output(&s, 0, &ms);
    assert_int_equal(scores_open(ms.data, ms.size, &n, &count, &wire, &e), 0);
    float both[HELD][E];
    for (uint32_t x = 0; x < E; x++) {
        char dir[64];
        snprintf(dir, sizeof dir, ROOT "/eval-random-%u", x);
        eval(&j, dir, k, TARGET_ROUTER, x, NULL);
        map_output(&j, 0, &mj);
        assert_int_equal(evalblob_open(mj.data, mj.size, &b, &rows, &e), 0);
        for (uint32_t i = 0; i < HELD; i++) {
            evalblob_router_row(&b, rows, i, column);
            both[i][x] = column[M - 1];
        }
        env_file_unmap(&mj);
        job_result_free(&j.r);
    }
    for (uint32_t i = 0; i < HELD; i++) {
        const uint8_t *row = wire + i * SCORES_ROW(E);
        uint32_t best = scores_route(both[i], E);
        assert_true(scores_row_max(row) == both[i][best]);
        assert_true(scores_row_difference(row, best) == 0);
    }
    env_file_unmap(&ms);
    job_result_free(&s.r);
    kept_destroy(k);
    spec.router.mode = SPEC_EM;
}

static int tear_down(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < E; i++) {
        job_result_free(&routers[0][i].r);
        job_result_free(&routers[1][i].r);
        job_result_free(&experts[i].r);
        job_result_free(&segments[i].r);
    }
    job_result_free(&chunk_scores.r);
    return 0;
}

/* Muon's states have other tensors; links, saves and memory must carry them as well. */
static int set_up_muon(void **state)
{
    int rc = set_up(state);
    spec.expert.optimizer = OPTIMIZER_MUON;
    return rc;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_links_change_no_bit),
        cmocka_unit_test(test_curve),
        cmocka_unit_test(test_memory_is_not_mistaken),
        cmocka_unit_test(test_goes_on_from_the_local_save),
        cmocka_unit_test(test_damaged_save_is_passed_over),
        cmocka_unit_test(test_stop_saves),
        cmocka_unit_test(test_lost_lease_stops),
        cmocka_unit_test(test_divergence_is_the_settings_fault),
        cmocka_unit_test(test_wrong_inputs_are_named),
        cmocka_unit_test(test_router_rounds),
        cmocka_unit_test(test_score_parts_equal_the_whole),
        cmocka_unit_test(test_segments_hold_each_sequence_once),
        cmocka_unit_test(test_experts_train_on_pieces),
        cmocka_unit_test(test_evaluations),
        cmocka_unit_test(test_random_control),
    };
    const struct CMUnitTest muon[] = {
        cmocka_unit_test(test_links_change_no_bit),
        cmocka_unit_test(test_memory_is_not_mistaken),
        cmocka_unit_test(test_goes_on_from_the_local_save),
        cmocka_unit_test(test_damaged_save_is_passed_over),
        cmocka_unit_test(test_stop_saves),
        cmocka_unit_test(test_divergence_is_the_settings_fault),
    };
    int failed = cmocka_run_group_tests(tests, set_up, tear_down);
    return failed + cmocka_run_group_tests_name("Muon", muon, set_up_muon, NULL);
}
