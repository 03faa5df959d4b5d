/* Server-sent events. What would break for a user: a page that misses what happened while it was
 * cut off, or hears it twice; a coordinator that does not stop because a page is open, or that a
 * forgotten browser fills with streams. */
#include "tests/coordinator/api/rig.h"

#define STREAMS 200

/* Begins to listen; the head is read. */
static int listen_to(struct rig *r, const char *path, const char *more, struct answer *a)
{
    char line[100];
    int fd = rig_connect(r);

    snprintf(line, sizeof line, "GET %s", path);
    rig_ask(fd, line, r->tokens.viewer, more, NULL, 0);
    rig_hear(fd, true, a);
    return fd;
}

/* Reads until the text has been there (true), or the stream is over. */
static bool hears(int fd, const char *text, char *seen, size_t cap)
{
    size_t n = strlen(seen);

    while (!strstr(seen, text)) {
        if (n + 1 >= cap || recv(fd, seen + n, 1, 0) != 1)
            return false;
        seen[++n] = 0;
    }
    return true;
}

static void make_event(struct rig *r, int n)
{
    char json[100];
    struct answer a;

    snprintf(json, sizeof json, "{\"owner\":\"owner-%d\",\"limited\":true,\"jobs\":1}", n);
    assert_int_equal(rig_json(r, "POST /v1/quotas", r->tokens.admin, json, &a), 200);
    answer_free(&a);
}

static void what_happens_is_told_and_told_once(void **state)
{
    struct rig *r = *state;
    struct answer a;
    char seen[8192] = "", token[PROTOCOL_TOKEN_MAX + 1];

    make_event(r, 0); /* before anybody listens */
    int fd = listen_to(r, "/v1/events", NULL, &a);
    assert_int_equal(a.status, 200);
    assert_string_equal(answer_header(&a, "Content-Type"), "text/event-stream");
    answer_free(&a);
    make_event(r, 1);
    assert_true(hears(fd, "id: 2\nevent: log\ndata: {\"event\":2,", seen, sizeof seen));
    assert_null(strstr(seen, "\"event\":1,"));
    make_event(r, 2);
    assert_true(hears(fd, "\"event\":3,", seen, sizeof seen));
    rig_join(r, 7, token);
    assert_true(hears(fd, "event: change\ndata: {\"runs\":[],\"jobs\":false,\"agents\":true}\n\n",
                      seen, sizeof seen));
    close(fd);

    /* It comes back, and hears what it has missed, and nothing again. */
    make_event(r, 3);
    seen[0] = 0;
    fd = listen_to(r, "/v1/events", "Last-Event-ID: 3\r\n", &a);
    answer_free(&a);
    assert_true(hears(fd, "\"event\":5,", seen, sizeof seen));
    assert_non_null(strstr(seen, "\"event\":4,"));
    assert_null(strstr(seen, "\"event\":3,"));
    close(fd);
    /* The same by the address, as who begins has it. More than goes at once. */
    for (int i = 0; i < 100; i++)
        make_event(r, i);
    seen[0] = 0;
    fd = listen_to(r, "/v1/events?after=1", NULL, &a);
    answer_free(&a);
    static char all[65536];
    all[0] = 0;
    assert_true(hears(fd, "\"event\":105,", all, sizeof all));
    for (int i = 2; i <= 105; i++) {
        char id[30];
        snprintf(id, sizeof id, "id: %d\n", i);
        char *first = strstr(all, id);
        assert_non_null(first);
        assert_null(strstr(first + 1, id));
    }
    close(fd);
    /* A number of another coordinator's, or of a database from before a restore. */
    fd = listen_to(r, "/v1/events", "Last-Event-ID: 999999\r\n", &a);
    answer_free(&a);
    make_event(r, 0);
    all[0] = 0;
    assert_true(hears(fd, "\"event\":106,", all, sizeof all));
    close(fd);
}

static void nobody_without_a_role_listens(void **state)
{
    struct rig *r = *state;
    struct answer a;
    char token[PROTOCOL_TOKEN_MAX + 1];

    rig_join(r, 1, token);
    r->service.open_figures = true;
    assert_int_equal(rig_json(r, "GET /v1/events", NULL, NULL, &a), 401);
    answer_free(&a);
    assert_int_equal(rig_json(r, "GET /v1/events", token, NULL, &a), 403);
    answer_free(&a);
    assert_int_equal(rig_json(r, "GET /v1/events", r->tokens.join, NULL, &a), 403);
    answer_free(&a);
}

/* At the end the rig stops the coordinator while all of them are open. */
static void streams_are_bounded_and_end_at_a_stop(void **state)
{
    struct rig *r = *state;
    struct answer a;
    static int fds[STREAMS];
    static char seen[STREAMS][2048];

    for (int i = 0; i < STREAMS; i++) {
        fds[i] = listen_to(r, "/v1/events", NULL, &a);
        assert_int_equal(a.status, 200);
        answer_free(&a);
        seen[i][0] = 0;
        assert_true(hears(fds[i], "retry: ", seen[i], sizeof seen[i]));
    }
    int fd = listen_to(r, "/v1/events", NULL, &a);
    assert_int_equal(a.status, 503);
    assert_string_equal(answer_header(&a, "Retry-After"), "10");
    answer_free(&a);
    close(fd);
    make_event(r, 1);
    for (int i = 0; i < STREAMS; i++)
        assert_true(hears(fds[i], "event: log\n", seen[i], sizeof seen[i]));

    int64_t start = env_monotonic_ms();
    server_stop(r->server);
    assert_true(env_monotonic_ms() - start < 1900); /* it was not left to a deadline */
    for (int i = 0; i < STREAMS; i++) {
        char rest[4096];
        ssize_t n;
        while ((n = recv(fds[i], rest, sizeof rest, 0)) > 0)
            ;
        assert_int_equal(n, 0);
        close(fds[i]);
    }
    works_destroy(r->service.works);
    store_close(r->service.store);
    server_destroy(r->server);
    api_destroy(r->api);
    lease_clock_destroy(r->service.leases);
    rig_open(r);
}

#define RIGGED(f) cmocka_unit_test_setup_teardown(f, rig_setup, rig_teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        RIGGED(what_happens_is_told_and_told_once),
        RIGGED(nobody_without_a_role_listens),
        RIGGED(streams_are_bounded_and_end_at_a_stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
