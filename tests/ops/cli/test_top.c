/* What a person sees in `tacit top`, and what keys do: on screens in memory. */
#include "ops/cli/top.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "core/base/rng.h"
#include "ops/cli/format.h"
#include "ops/cli/spark.h"
#include "ops/cli/trouble.h"

#define NOW 1700000000000ll
#define S 1000

struct scene {
    struct arena arena;
    struct overview s;
    struct top_view v;
    struct top_ui ui;
    struct msg_run runs[3];
    struct msg_model_progress models[6];
    struct msg_agent agents[5];
    struct msg_job jobs[4];
    struct msg_curve curve;
    struct msg_event events[2];
    double steps[8], losses[8];
};

static struct msg_agent agent(uint64_t id, const char *name, const char *state, const char *job)
{
    return (struct msg_agent){.agent = id,
                              .name = name,
                              .state = state,
                              .job = job,
                              .host = "host",
                              .version = "1",
                              .isa = "avx2",
                              .threads = 4,
                              .seen_at = NOW - 250 * S,
                              .rate = job ? 61000 : NAN};
}

static struct msg_job job(uint64_t id, int state, const char *who, uint64_t index)
{
    return (struct msg_job){.job = id,
                            .run = "books",
                            .kind = JOB_TRAIN,
                            .target = TARGET_EXPERT,
                            .index = index,
                            .step_last = 2000,
                            .state = state,
                            .agent = who,
                            .reason = state == JOB_QUARANTINED
                                          ? "given up; failed 3 times: lab-1: loss is not finite"
                                          : "at 100 of 2,000",
                            .since_at = NOW - 90 * S,
                            .loss = 3.25,
                            .rate = who ? 61000 : NAN};
}

static int setup(void **state)
{
    struct scene *t = calloc(1, sizeof *t);
    assert_non_null(t);
    arena_init(&t->arena, 512u << 20);
    t->runs[0] = (struct msg_run){.name = "books",
                                  .state = RUN_ACTIVE,
                                  .phase = "experts",
                                  .experts = 4,
                                  .progress = 0.42,
                                  .jobs_leased = 2,
                                  .jobs_waiting = 1,
                                  .jobs_quarantined = 1,
                                  .created_at = NOW - 3600 * S};
    t->runs[1] = t->runs[2] = t->runs[0];
    t->runs[1].name = "verse";
    t->runs[1].paused = true;
    t->runs[1].jobs_quarantined = 0;
    t->runs[2].name = "gone";
    t->runs[2].state = RUN_DONE;
    t->runs[2].phase = "done";
    t->runs[2].progress = 1;
    for (uint64_t i = 0; i < 6; i++)
        t->models[i] = (struct msg_model_progress){.target = i < 2 ? TARGET_ROUTER : TARGET_EXPERT,
                                                   .index = i < 2 ? i : i - 2,
                                                   .step = 100,
                                                   .steps = 2000,
                                                   .state = i == 2 ? "training" : "waiting",
                                                   .agent = i == 2 ? "lab-1" : NULL,
                                                   .loss = 3.25,
                                                   .rate = i == 2 ? 61000 : NAN};
    t->runs[0].models = t->models;
    t->runs[0].model_count = 6;
    t->agents[0] = agent(1, "lab-1", "working", "books: train expert 0");
    t->agents[1] = agent(2, "lab-2", "idle", NULL);
    t->agents[2] = agent(3, "spot-7", "silent", "books: train expert 1");
    t->agents[3] = agent(4, "old-pc", "drained", NULL);
    t->agents[4] = agent(5, "bad-ram", "benched", NULL);
    t->agents[4].reason = "for another 8m 20s: it failed 3 different jobs in a row";
    t->jobs[0] = job(13, JOB_QUARANTINED, NULL, 2);
    t->jobs[1] = job(11, JOB_RUNNING, "lab-1", 0);
    t->jobs[2] = job(12, JOB_UPLOADING, "spot-7", 1);
    t->jobs[3] = job(14, JOB_WAITING, NULL, 3);
    for (int i = 0; i < 8; i++) {
        t->steps[i] = i * 100;
        t->losses[i] = 8 - i;
    }
    t->curve = (struct msg_curve){.target = TARGET_EXPERT,
                                  .index = 0,
                                  .steps = t->steps,
                                  .losses = t->losses,
                                  .step_count = 8,
                                  .loss_count = 8};
    t->events[0] = (struct msg_event){
        .event = 1, .at = NOW - 60 * S, .kind = "run.created", .run = "books", .text = "4 experts"};
    t->events[1] = (struct msg_event){.event = 2,
                                      .at = NOW - 50 * S,
                                      .kind = "agent.joined",
                                      .agent = "lab-1",
                                      .text = "lab-1 has joined"};
    t->s = (struct overview){.wall_ms = NOW,
                             .status = {.version = "1",
                                        .uptime_ms = 7200 * S,
                                        .agents = 5,
                                        .agents_working = 1,
                                        .agents_idle = 1,
                                        .agents_benched = 2,
                                        .jobs_running = 1,
                                        .jobs_moving = 1,
                                        .jobs_waiting = 1,
                                        .jobs_quarantined = 1,
                                        .storage = "ok",
                                        .disk_free = 12000000000},
                             .runs = t->runs,
                             .run_count = 3,
                             .agents = t->agents,
                             .agent_count = 5,
                             .jobs = t->jobs,
                             .job_count = 4,
                             .chosen = &t->runs[0],
                             .curves = &t->curve,
                             .curve_count = 1,
                             .events = t->events,
                             .event_count = 2};
    t->v = (struct top_view){.url = "http://h:1", .s = &t->s, .now_ms = NOW, .stored_rate = NAN};
    top_ui_init(&t->ui);
    *state = t;
    return 0;
}

static int teardown(void **state)
{
    struct scene *t = *state;
    arena_free(&t->arena);
    free(t);
    return 0;
}

static const char *draw(struct scene *t, int rows, int columns)
{
    struct canvas c;
    struct err e;
    assert_int_equal(canvas_init(&c, &t->arena, rows, columns, &e), 0);
    top_draw(&t->v, &t->ui, &c, &t->arena);
    return canvas_text(&c, &t->arena);
}

static struct top_order press(struct scene *t, int key)
{
    struct top_order o;
    top_key(&t->v, &t->ui, key, &t->arena, &o);
    return o;
}

static void assert_shows(const char *screen, const char *words)
{
    if (!strstr(screen, words))
        fail_msg("no \"%s\" on\n%s", words, screen);
}

static void assert_hides(const char *screen, const char *words)
{
    if (strstr(screen, words))
        fail_msg("\"%s\" on\n%s", words, screen);
}

/* On the smallest terminal: runs, what is wrong, and one list. */
static void test_small(void **state)
{
    struct scene *t = *state;
    const char *p = draw(t, 24, 80);
    assert_shows(p, "5 agents: 1 working, 1 idle, 1 silent, 2 benched");
    assert_shows(p, "jobs: 1 running, 1 moving, 1 waiting, 1 quarantined");
    assert_shows(p, "! run books: 1 job is in quarantine: given up; failed 3 times: lab-1: loss");
    assert_shows(p, "! agent bad-ram is benched for another 8m 20s");
    assert_shows(p, "42 %  [####......]");
    assert_shows(p, "paused");
    assert_shows(p, "2 Models of books");
    assert_shows(p, "█");
    assert_shows(p, "100/2,000  3.250");
    assert_shows(p, "? help  q quit");
    assert_hides(p, "agent.joined");
    press(t, '3');
    p = draw(t, 24, 80);
    assert_shows(p, "spot-7");
    assert_shows(p, "4m 10s");     /* since when nothing is heard of it */
    assert_shows(p, "8m 20s: it"); /* why it is benched */
    press(t, '4');
    assert_shows(draw(t, 24, 80), "train expert 2, to st");
    press(t, '5');
    p = draw(t, 24, 80);
    assert_shows(p, "uploading");
    assert_hides(p, "quarantined  –");
    press(t, '6');
    assert_shows(draw(t, 24, 80), "lab-1 has joined");
    t->s.status.alarms = 1; /* more than there is room for */
    assert_shows(draw(t, 24, 80), "and 2 more: `tacit status` lists all");
}

/* On a wide one: all at once, with what to type. */
static void test_wide(void **state)
{
    struct scene *t = *state;
    const char *p = draw(t, 50, 200);
    static const char *const titles[] = {"1 Runs",  "2 Models of books", "3 Agents",
                                         "4 Queue", "5 Transfers",       "6 Events"};
    for (int i = 0; i < 6; i++)
        assert_shows(p, titles[i]);
    assert_shows(p, "→ tacit jobs --run books --state quarantined; tacit retry books");
    assert_shows(p, "→ tacit agents unbench bad-ram");
    assert_shows(p, "agent spot-7 is silent for 4m 10s, and holds a job");
    assert_shows(p, "lab-1 has joined");
}

static uint64_t below(uint64_t *n, uint64_t max)
{
    return rng_u64(7, 1, 0, (*n)++) % max;
}

/* No size makes it write elsewhere, whatever keys were pressed before. */
static void test_any_size(void **state)
{
    struct scene *t = *state;
    uint64_t n = 0;
    static const int keys[] = {'1',
                               '2',
                               '3',
                               '4',
                               '5',
                               '6',
                               '\t',
                               'k',
                               'j',
                               TOP_KEY_END,
                               TOP_KEY_HOME,
                               '/',
                               'b',
                               27,
                               '\n',
                               '?',
                               'q',
                               'p',
                               'd',
                               'D',
                               'u',
                               'r',
                               'y',
                               'n',
                               'l',
                               '\r',
                               0x4E2D,
                               TOP_KEY_PAGE_DOWN,
                               TOP_KEY_PAGE_UP,
                               TOP_KEY_BACKSPACE};
    t->v.log = "job 11\nattempt 1\n  | line\n";
    for (int i = 0; i < 4000; i++) {
        press(t, keys[below(&n, sizeof keys / sizeof keys[0])]);
        t->v.log_job = t->ui.log_job;
        t->v.away_since_ms = i % 3 ? 0 : NOW - 5 * S;
        t->v.s = i % 7 ? &t->s : NULL;
        t->s.agent_count = (uint32_t)below(&n, 6);
        t->s.job_count = (uint32_t)below(&n, 5);
        (void)draw(t, 1 + (int)below(&n, 60), 1 + (int)below(&n, 220));
        arena_reset(&t->arena);
    }
}

/* The coordinator's absence is told with since when, above what was last known. */
static void test_away(void **state)
{
    struct scene *t = *state;
    t->v.away_since_ms = NOW - 95 * S;
    t->v.away = "can't reach http://h:1";
    const char *p = draw(t, 24, 80);
    assert_shows(p, "no answer for 1m 35s (since");
    assert_shows(p, "books");
    t->v.s = NULL;
    assert_shows(draw(t, 24, 80), "can't reach http://h:1");
}

/* Nothing is changed that was not asked for and answered with y. */
static void test_asks_first(void **state)
{
    struct scene *t = *state;
    (void)draw(t, 24, 80);
    assert_int_equal(press(t, 'p').what, ORDER_NONE);
    assert_shows(draw(t, 24, 80), "Pause run books?");
    assert_int_equal(press(t, 'n').what, ORDER_NONE);
    press(t, 'p');
    struct top_order o = press(t, 'y');
    assert_int_equal(o.what, ORDER_PAUSE);
    assert_string_equal(o.name, "books");
    press(t, TOP_KEY_DOWN);
    press(t, 'p');
    assert_int_equal(press(t, 'y').what, ORDER_RESUME); /* verse is paused */
    press(t, TOP_KEY_DOWN);
    press(t, 'p');
    assert_shows(draw(t, 24, 80), "this run has ended");
    assert_int_equal(press(t, 'y').what, ORDER_NONE);
}

static void test_agents_and_jobs(void **state)
{
    struct scene *t = *state;
    press(t, '3');
    press(t, '/');
    for (const char *c = "old-pc\n"; *c; c++)
        press(t, *c);
    const char *p = draw(t, 24, 80);
    assert_shows(p, "1 match");
    assert_hides(p, "lab-2");
    press(t, 'd');
    struct top_order o = press(t, 'y');
    assert_int_equal(o.what, ORDER_UNDRAIN);
    assert_string_equal(o.name, "old-pc");
    press(t, 27);
    press(t, TOP_KEY_HOME); /* the silent one that holds a job comes first */
    press(t, 'D');
    o = press(t, 'y');
    assert_int_equal(o.what, ORDER_DRAIN_NOW);
    assert_string_equal(o.name, "spot-7");
    press(t, '\n');
    assert_int_equal(t->ui.mode, TOP_LOG);
    assert_int_equal(t->ui.log_job, 12);
    press(t, 'q');
    press(t, '4');
    press(t, 'r');
    o = press(t, 'y');
    assert_int_equal(o.what, ORDER_RETRY_JOB);
    assert_int_equal(o.job, 13);
}

/* While rows come and go, keys act on what is marked. */
static void test_stays_picked(void **state)
{
    struct scene *t = *state;
    press(t, '4');
    press(t, 'j'); /* job 11 */
    t->s.jobs = t->jobs + 1;
    t->s.job_count = 3;
    press(t, '\n');
    assert_int_equal(t->ui.log_job, 11);
}

static void test_log(void **state)
{
    struct scene *t = *state;
    char log[4000] = "job 11 of run books\n";
    for (int i = 0; i < 100; i++)
        sprintf(log + strlen(log), "  | line %d\n", i);
    press(t, '4');
    press(t, 'j');
    press(t, '\n');
    assert_shows(draw(t, 24, 80), "asking");
    t->v.log_job = 11;
    t->v.log = log;
    const char *p = draw(t, 24, 80);
    assert_shows(p, "line 99"); /* the end is what one wants first */
    press(t, TOP_KEY_HOME);
    p = draw(t, 24, 80);
    assert_shows(p, "job 11 of run books");
    assert_hides(p, "line 99");
    press(t, TOP_KEY_END);
    assert_shows(draw(t, 24, 80), "line 99");
}

/* What agents call themselves moves no cursor and breaks no column. */
static void test_hostile_words(void **state)
{
    struct scene *t = *state;
    struct canvas c;
    struct err e;
    assert_int_equal(canvas_init(&c, &t->arena, 1, 12, &e), 0);
    assert_int_equal(canvas_put(&c, 0, 0, 12, 0,
                                "a\033[2Jb\xFF\xC0"
                                "c"),
                     9);
    assert_string_equal(canvas_text(&c, &t->arena), "a [2Jb??c\n");
    assert_int_equal(canvas_init(&c, &t->arena, 1, 6, &e), 0);
    canvas_put(&c, 0, 0, 6, 0, "\xE4\xB8\xAD\xE2\x80\x8Ex\xCC\x81 end and more");
    assert_string_equal(canvas_text(&c, &t->arena), "?x en…\n");
}

/* A loss that falls is a line that falls. */
static void test_spark(void **state)
{
    struct scene *t = *state;
    assert_string_equal(spark_line(&t->arena, t->steps, t->losses, 8, 8), "██▇▆▅▃▂▁");
    assert_string_equal(spark_line(&t->arena, t->steps, t->losses, 1, 8), "");
    t->losses[3] = NAN;
    assert_int_equal(format_width(spark_line(&t->arena, t->steps, t->losses, 8, 30)), 30);
}

static const char *all_troubles(struct scene *t)
{
    uint32_t count;
    const struct trouble *list = trouble_find(&t->arena, "http://h:1", &t->s, &count);
    const char *all = "";
    for (uint32_t i = 0; i < count; i++)
        all = arena_printf(&t->arena, "%s%c %s → %s\n", all,
                           list[i].level == TROUBLE_FAULT ? 'F' : 'W', list[i].what, list[i].fix);
    return all;
}

/* Each thing that is wrong is named with what mends it; what is well says nothing. */
static void test_troubles(void **state)
{
    struct scene *t = *state;
    const char *all = all_troubles(t);
    assert_ptr_equal(strstr(all, "F run books"), all); /* the worst first */
    assert_hides(all, "old-pc");                       /* drained on purpose */
    t->s.status.storage = "full: 40 MB are needed";
    t->s.status.storage_since = NOW - 60 * S;
    t->s.status.alarms = 2;
    all = all_troubles(t);
    assert_shows(all, "F the coordinator can't write for 1m 00s: full: 40 MB are needed");
    assert_shows(all, "F 2 alarms");
    t->s.agents[0].version = "0.9";
    assert_shows(all_troubles(t), "W lab-1: its version is 0.9, and the coordinator is 1");
    t->s.status = (struct msg_status){.version = "1", .storage = "ok", .disk_free = 10};
    t->s.agent_count = 0;
    all = all_troubles(t);
    assert_shows(all, "F no agent has joined yet");
    assert_shows(all, "tacit-agent --coordinator http://h:1");
    t->s.status.disk_planned = 100;
    assert_shows(all_troubles(t), "W the active runs will add up to 100 B");
    t->s.run_count = 0;
    t->s.status.disk_planned = 0;
    assert_string_equal(all_troubles(t), "");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_small),        TEST(test_wide),       TEST(test_any_size),
        TEST(test_away),         TEST(test_asks_first), TEST(test_agents_and_jobs),
        TEST(test_stays_picked), TEST(test_log),        TEST(test_hostile_words),
        TEST(test_spark),        TEST(test_troubles),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
