/* The heartbeat against a small real server. What would break for a user: an agent that computes on
 * for nothing after its job was given to another, or that stops because of an answer to an old one;
 * leases lost because a coordinator was away for a moment. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <microhttpd.h>
#include <stdio.h>
#include <string.h>
#include "agent/heartbeat.h"
#include "core/env/clock.h"

#define FENCED "{\"title\":\"lease\",\"status\":409,\"code\":\"ERR_FENCED\"}"

static struct {
    struct MHD_Daemon *daemon;
    char url[64];
    atomic_int beats, status;
    atomic_bool hold;
    _Atomic(const char *) body;
    char path[128], sent[512], authorization[128];
} server;

static enum MHD_Result handle(void *arg, struct MHD_Connection *c, const char *url,
                              const char *method, const char *version, const char *data,
                              size_t *size, void **state)
{
    static int begun;
    (void)arg;
    (void)method;
    (void)version;
    if (!*state) {
        *state = &begun;
        return MHD_YES;
    }
    if (*size > 0) {
        snprintf(server.sent, sizeof server.sent, "%.*s", (int)*size, data);
        *size = 0;
        return MHD_YES;
    }
    const char *auth = MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Authorization");
    snprintf(server.authorization, sizeof server.authorization, "%s", auth ? auth : "");
    snprintf(server.path, sizeof server.path, "%s", url);
    atomic_fetch_add(&server.beats, 1);
    while (atomic_load(&server.hold))
        env_sleep_ms(5);
    bool lost = strstr(url, "/jobs/666/") != NULL; /* a lease that another has, whatever else */
    const char *body = lost ? FENCED : atomic_load(&server.body);
    struct MHD_Response *r = MHD_create_response_from_buffer(strlen(body), (void *)(uintptr_t)body,
                                                             MHD_RESPMEM_MUST_COPY);
    MHD_add_response_header(r, PROTOCOL_HEADER, "1");
    enum MHD_Result rc =
        MHD_queue_response(c, lost ? 409 : (unsigned)atomic_load(&server.status), r);
    MHD_destroy_response(r);
    return rc;
}

static void answer(int status, const char *body)
{
    atomic_store(&server.body, body);
    atomic_store(&server.status, status);
}

static int start(void **state)
{
    answer(200, "{\"command\":\"continue\",\"lease_ms\":300}");
    atomic_store(&server.beats, 0);
    atomic_store(&server.hold, false);
    server.daemon =
        MHD_start_daemon(MHD_USE_THREAD_PER_CONNECTION | MHD_USE_INTERNAL_POLLING_THREAD, 0, NULL,
                         NULL, handle, NULL, MHD_OPTION_END);
    if (!server.daemon)
        return -1;
    snprintf(server.url, sizeof server.url, "http://127.0.0.1:%u",
             MHD_get_daemon_info(server.daemon, MHD_DAEMON_INFO_BIND_PORT)->port);
    struct heartbeat *h;
    struct err e = {0};
    struct client_options o = {.url = server.url};
    if (heartbeat_create(&h, &o, &e))
        return -1;
    heartbeat_set_token(h, "secret");
    *state = h;
    return 0;
}

static int stop(void **state)
{
    atomic_store(&server.hold, false);
    heartbeat_destroy(*state);
    MHD_stop_daemon(server.daemon);
    return 0;
}

/* Waits for a number to be reached; fails after ten seconds. */
static void reach(atomic_int *x, int n)
{
    for (int i = 0; i < 1000 && atomic_load(x) < n; i++)
        env_sleep_ms(10);
    assert_true(atomic_load(x) >= n);
}

static bool becomes(atomic_bool *x)
{
    for (int i = 0; i < 1000 && !atomic_load(x); i++)
        env_sleep_ms(10);
    return atomic_load(x);
}

/* Three heartbeats' time without one, within ten seconds: one may still have been under way. */
static bool is_quiet(void)
{
    int beats = -1;
    for (int i = 0; i < 30 && beats != atomic_load(&server.beats); i++) {
        beats = atomic_load(&server.beats);
        env_sleep_ms(300);
    }
    return beats == atomic_load(&server.beats);
}

static void begin(struct heartbeat *h, uint64_t job, struct job_progress *p)
{
    struct msg_fence fence = {2, 41};
    heartbeat_begin(h, job, &fence, 300, p, NULL);
}

static void test_tells_progress_and_keeps_on(void **state)
{
    struct job_progress p = {.step = 120, .total = 400, .loss = NAN, .rate = 1000};
    begin(*state, 17, &p);
    reach(&server.beats, 3); /* a third of the lease between two */
    assert_string_equal(server.path, "/v1/jobs/17/heartbeat");
    assert_string_equal(server.authorization, "Bearer secret");
    assert_non_null(strstr(server.sent, "\"counter\":41"));
    assert_non_null(strstr(server.sent, "\"step\":120"));
    assert_non_null(strstr(server.sent, "\"loss\":null"));
    assert_false(atomic_load(&p.abandon));
    heartbeat_end(*state);
    assert_true(is_quiet()); /* no job, no heartbeat */
}

/* The learning curve: what an answered heartbeat has brought is not sent again, and a job that is
 * tried again begins its curve anew. */
static void test_curve_goes_on(void **state)
{
    struct job_progress p = {.loss = NAN, .points = {{1, 5}, {2, 4.5}}, .point_count = 2};
    answer(503, "{}");
    begin(*state, 17, &p);
    reach(&server.beats, 1);
    assert_non_null(strstr(server.sent, "{\"step\":1,"));
    answer(200, "{\"command\":\"continue\",\"lease_ms\":300}");
    int beats = atomic_load(&server.beats);
    reach(&server.beats, beats + 2); /* the second of them at least is after an answer */
    p.points[2] = (struct msg_point){3, 4};
    atomic_store(&p.point_count, 3);
    beats = atomic_load(&server.beats);
    reach(&server.beats, beats + 1);
    for (int i = 0; i < 100 && !strstr(server.sent, "{\"step\":3,"); i++)
        env_sleep_ms(10);
    assert_null(strstr(server.sent, "{\"step\":2,"));
    atomic_store(&p.point_count, 1);
    for (int i = 0; i < 1000 && !strstr(server.sent, "{\"step\":1,"); i++)
        env_sleep_ms(10);
    assert_non_null(strstr(server.sent, "{\"step\":1,"));
    heartbeat_end(*state);
}

static void test_commands(void **state)
{
    struct job_progress p = {.loss = NAN};
    answer(200, "{\"command\":\"continue\",\"lease_ms\":300}");
    begin(*state, 1, &p);
    reach(&server.beats, 2);
    assert_false(atomic_load(&p.abandon));
    answer(200, "{\"command\":\"abandon\",\"lease_ms\":300}");
    assert_true(becomes(&p.abandon));
}

/* A stalled job is stopped, to be claimed again: its lease is left to that. */
static void test_restart(void **state)
{
    struct job_progress p = {.loss = NAN};
    answer(200, "{\"command\":\"restart\",\"lease_ms\":300}");
    begin(*state, 1, &p);
    assert_true(becomes(&p.abandon));
    int beats = atomic_load(&server.beats);
    env_sleep_ms(300);
    assert_int_equal(atomic_load(&server.beats), beats);
}

/* What the coordinator shows of a job is not twenty seconds old. */
static void test_new_phase_is_told_soon(void **state)
{
    struct msg_fence fence = {2, 41};
    struct job_progress p = {.loss = NAN, .phase = PHASE_FETCHING};
    answer(200, "{\"command\":\"continue\",\"lease_ms\":60000}");
    heartbeat_begin(*state, 17, &fence, 60000, &p, NULL);
    reach(&server.beats, 1);
    int beats = atomic_load(&server.beats);
    atomic_store(&p.phase, PHASE_RUNNING);
    reach(&server.beats, beats + 1);
    assert_non_null(strstr(server.sent, "\"phase\":\"running\""));
    beats = atomic_load(&server.beats);
    atomic_store(&p.step, 1); /* and that it gets on */
    reach(&server.beats, beats + 1);
    assert_non_null(strstr(server.sent, "\"step\":1,"));
    heartbeat_end(*state);
}

/* Lines about the job go with it: each until it was taken, then no more. */
static void test_tells_the_log(void **state)
{
    struct msg_fence fence = {2, 41};
    struct job_progress p = {.loss = NAN};
    static struct job_log log;
    job_log_init(&log);
    job_log_begin(&log);
    job_log_say(&log, "info", "first words");
    answer(503, "{\"title\":\"x\",\"status\":503,\"code\":\"ERR_UNAVAILABLE\"}");
    heartbeat_begin(*state, 17, &fence, 300, &p, &log);
    reach(&server.beats, 1);
    assert_non_null(strstr(server.sent, "first words"));
    answer(200, "{\"command\":\"continue\",\"lease_ms\":300}");
    int beats = atomic_load(&server.beats);
    reach(&server.beats, beats + 1); /* after a while: again */
    assert_non_null(strstr(server.sent, "first words"));
    beats = atomic_load(&server.beats);
    reach(&server.beats, beats + 2);
    assert_null(strstr(server.sent, "first words"));
    job_log_say(&log, "info", "second words");
    beats = atomic_load(&server.beats);
    reach(&server.beats, beats + 2);
    heartbeat_end(*state);
    job_log_free(&log);
}

static void test_superseded_lease(void **state)
{
    struct job_progress p = {.loss = NAN};
    begin(*state, 666, &p);
    assert_true(becomes(&p.abandon));
}

/* Neither errors of the coordinator nor its absence end a job. */
static void test_trouble_is_not_the_end(void **state)
{
    struct job_progress p = {.loss = NAN};
    answer(500, "{\"title\":\"disk\",\"status\":500,\"code\":\"ERR_IO\"}");
    begin(*state, 1, &p);
    reach(&server.beats, 1);
    answer(401, "{\"title\":\"token\",\"status\":401,\"code\":\"ERR_DENIED\"}");
    reach(&server.beats, 2);
    assert_false(atomic_load(&p.abandon));
    answer(200, "{\"command\":\"continue\",\"lease_ms\":300}");
    reach(&server.beats, 4);
    assert_false(atomic_load(&p.abandon));
}

/* An answer that comes when its job has ended says nothing about the next one. */
static void test_late_answer(void **state)
{
    struct job_progress first = {.loss = NAN}, second = {.loss = NAN};
    atomic_store(&server.hold, true);
    begin(*state, 666, &first);
    reach(&server.beats, 1);
    heartbeat_end(*state);
    begin(*state, 2, &second);
    atomic_store(&server.hold, false);
    reach(&server.beats, 3);
    assert_false(atomic_load(&first.abandon));
    assert_false(atomic_load(&second.abandon));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_tells_progress_and_keeps_on, start, stop),
        cmocka_unit_test_setup_teardown(test_curve_goes_on, start, stop),
        cmocka_unit_test_setup_teardown(test_commands, start, stop),
        cmocka_unit_test_setup_teardown(test_restart, start, stop),
        cmocka_unit_test_setup_teardown(test_new_phase_is_told_soon, start, stop),
        cmocka_unit_test_setup_teardown(test_tells_the_log, start, stop),
        cmocka_unit_test_setup_teardown(test_superseded_lease, start, stop),
        cmocka_unit_test_setup_teardown(test_trouble_is_not_the_end, start, stop),
        cmocka_unit_test_setup_teardown(test_late_answer, start, stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
