/* The page, who is let in by it, and who is not. What would break for a user: a page that talks to
 * strangers, a viewer who can stop a run, another site that does so in an operator's name. */
#include "tests/coordinator/api/rig.h"

#define OURS "X-Tacit-Request: 1\r\n"

/* Logs in and writes "Cookie: …\r\n". */
static void log_in(struct rig *r, const char *token, char line[200])
{
    struct answer a;
    char json[300];

    snprintf(json, sizeof json, "{\"token\":\"%s\"}", token);
    assert_int_equal(rig_json(r, "POST /v1/session", NULL, json, &a), 200);
    const char *set = answer_header(&a, "Set-Cookie");
    assert_non_null(set);
    assert_non_null(strstr(set, "; HttpOnly"));
    assert_non_null(strstr(set, "; SameSite=Strict"));
    assert_null(strstr(set, "Secure")); /* there is no TLS here */
    snprintf(line, 200, "Cookie: other=1; %.*s\r\n", (int)strcspn(set, ";"), set);
    answer_free(&a);
}

static int asked(struct rig *r, const char *line, const char *headers, struct answer *a)
{
    return rig_call(r, line, NULL, headers, NULL, 0, a);
}

static void expect(struct rig *r, const char *line, const char *headers, int status)
{
    struct answer a;

    if (asked(r, line, headers, &a) != status)
        fail_msg("%s: %d instead of %d: %s", line, a.status, status, a.body);
    answer_free(&a);
}

/* With headers of its own in addition. */
static void expect_with(struct rig *r, const char *line, const char *cookie, const char *more,
                        int status)
{
    char headers[400];

    snprintf(headers, sizeof headers, "%s%s", cookie, more);
    expect(r, line, headers, status);
}

static void the_page_keeps_to_itself(void **state)
{
    struct rig *r = *state;
    struct answer a;
    char tag[600];

    assert_int_equal(asked(r, "GET /", NULL, &a), 200);
    assert_non_null(strstr(a.body, "<!doctype html>"));
    assert_string_equal(answer_header(&a, "Content-Type"), "text/html; charset=utf-8");
    assert_non_null(strstr(answer_header(&a, "Content-Security-Policy"), "default-src 'none'"));
    assert_null(strstr(answer_header(&a, "Content-Security-Policy"), "unsafe"));
    assert_string_equal(answer_header(&a, "X-Content-Type-Options"), "nosniff");
    assert_string_equal(answer_header(&a, "Referrer-Policy"), "no-referrer");
    assert_string_equal(answer_header(&a, "Cross-Origin-Opener-Policy"), "same-origin");
    snprintf(tag, sizeof tag, "If-None-Match: %s\r\n", answer_header(&a, "ETag"));
    answer_free(&a);

    assert_int_equal(asked(r, "GET /", tag, &a), 304); /* it is not sent twice */
    assert_int_equal(a.len, 0);
    answer_free(&a);
    assert_int_equal(asked(r, "GET /assets/uPlot.js", NULL, &a), 200);
    assert_string_equal(answer_header(&a, "Content-Type"), "text/javascript; charset=utf-8");
    assert_true(a.len > 10000);
    answer_free(&a);
    expect(r, "HEAD /", NULL, 200);
    expect(r, "POST /", NULL, 405);
    expect(r, "GET /assets/", NULL, 404);
    expect(r, "GET /assets/index.html/..", NULL, 404);
}

static void a_viewer_sees_and_changes_nothing(void **state)
{
    struct rig *r = *state;
    struct answer a;
    char cookie[200];

    for (int by_cookie = 0; by_cookie < 2; by_cookie++) {
        if (by_cookie)
            log_in(r, r->tokens.viewer, cookie);
        else
            snprintf(cookie, sizeof cookie, "Authorization: Bearer %s\r\n", r->tokens.viewer);
        expect(r, "GET /v1/status", cookie, 200);
        expect(r, "GET /v1/runs", cookie, 200);
        expect(r, "GET /v1/history", cookie, 200);
        expect(r, "GET /v1/invitations", cookie, 200);
        expect_with(r, "POST /v1/gc", cookie, OURS, 403);
        expect_with(r, "POST /v1/tokens/viewer/rotate", cookie, OURS, 403);
        expect_with(r, "POST /v1/backups", cookie, OURS, 403);
        expect(r, "GET /v1/blobs/0000000000000000000000000000000000000000000000000000000000000000",
               cookie, 403);
        assert_int_equal(asked(r, "GET /v1/session", cookie, &a), 200);
        assert_non_null(strstr(a.body, "\"viewer\""));
        answer_free(&a);
    }
    expect_with(r, "POST /v1/runs/x/pause", cookie, OURS, 403);
    assert_int_equal(rig_call(r, "POST /v1/runs/x/cancel", NULL, cookie, NULL, 0, &a), 403);
    answer_free(&a);
}

static void sessions_begin_and_end(void **state)
{
    struct rig *r = *state;
    struct answer a;
    char cookie[200], second[200];

    assert_int_equal(asked(r, "GET /v1/session", NULL, &a), 200);
    assert_non_null(strstr(a.body, "\"none\""));
    answer_free(&a);
    log_in(r, r->tokens.admin, cookie);
    log_in(r, r->tokens.admin, second);
    assert_string_not_equal(cookie, second);
    assert_int_equal(asked(r, "GET /v1/session", cookie, &a), 200);
    assert_non_null(strstr(a.body, "\"operator\""));
    answer_free(&a);

    expect_with(r, "DELETE /v1/session", cookie, OURS, 204);
    expect(r, "GET /v1/status", cookie, 401); /* the cookie is worth nothing */
    expect(r, "GET /v1/status", second, 200);

    /* Whoever learnt the token from a page that was left open is out with it. */
    expect_with(r, "POST /v1/tokens/admin/rotate", second, OURS, 200);
    expect(r, "GET /v1/status", second, 401);
    assert_int_equal(rig_json(r, "GET /v1/status", r->tokens.admin, NULL, &a), 401);
    answer_free(&a);
    expect(r, "GET /v1/status", "Cookie: tacit_session=\r\n", 401);
    expect(r, "GET /v1/status", "Cookie: tacit_session\r\n", 401);
}

static void other_sites_change_nothing(void **state)
{
    struct rig *r = *state;
    char cookie[200];

    log_in(r, r->tokens.admin, cookie);
    expect(r, "POST /v1/runs/x/cancel", cookie, 403); /* a form of another page can send as much */
    expect_with(r, "POST /v1/runs/x/cancel", cookie, "X-Tacit-Request: 0\r\n", 403);
    expect_with(r, "POST /v1/runs/x/cancel", cookie, OURS "Origin: http://evil.example\r\n", 403);
    expect_with(r, "POST /v1/runs/x/cancel", cookie, OURS "Origin: null\r\n", 403);
    expect_with(r, "POST /v1/runs/x/cancel", cookie, OURS "Origin: http://x.evil.example\r\n", 403);
    expect_with(r, "DELETE /v1/session", cookie, "", 403);
    expect_with(r, "POST /v1/runs/x/cancel", cookie, OURS "Origin: http://x\r\n",
                404);                                            /* Host: x */
    expect_with(r, "POST /v1/runs/x/cancel", cookie, OURS, 404); /* there is no such run */
    /* Nor do they log somebody in as whom they please. */
    struct answer a;
    char json[300];
    snprintf(json, sizeof json, "{\"token\":\"%s\"}", r->tokens.admin);
    assert_int_equal(rig_call(r, "POST /v1/session", NULL, "Origin: http://evil.example\r\n", json,
                              strlen(json), &a),
                     403);
    assert_null(answer_header(&a, "Set-Cookie"));
    answer_free(&a);
}

/* What the rig asks is for the host "x": a name that somebody made lead to this machine. */
static void rebound_names_are_refused_on_loopback(void **state)
{
    struct rig *r = *state;
    struct answer a;
    char cookie[200];

    log_in(r, r->tokens.admin, cookie);
    r->service.open_figures = true;
    expect(r, "GET /", NULL, 403);
    expect(r, "GET /metrics", NULL, 403);
    expect(r, "GET /v1/status", cookie, 403);
    assert_int_equal(rig_json(r, "GET /v1/status", r->tokens.admin, NULL, &a), 200);
    answer_free(&a);

    static const char *const names[] = {"127.0.0.1:8420", "localhost:8420", "LOCALHOST", "[::1]:1",
                                        "127.8.9.1"};
    static const char *const others[] = {
        "127.0.0.1.evil.example", "localhost.evil.example", "[::1", "[::2]:1", "10.0.0.1", ""};
    for (size_t i = 0; i < sizeof names / sizeof names[0] + sizeof others / sizeof others[0]; i++) {
        bool ours = i < sizeof names / sizeof names[0];
        const char *name = ours ? names[i] : others[i - sizeof names / sizeof names[0]];
        int fd = rig_connect(r);
        rig_say(fd, "GET /metrics HTTP/1.1\r\nHost: %s\r\n\r\n", name);
        rig_hear(fd, false, &a);
        if (a.status != (ours ? 200 : 403))
            fail_msg("\"%s\": %d", name, a.status);
        answer_free(&a);
        close(fd);
    }
}

static void wrong_tokens_are_slowed(void **state)
{
    struct rig *r = *state;
    struct answer a;
    char json[200];
    int refused = 0;

    for (int i = 0; i < 12; i++) {
        snprintf(json, sizeof json, "{\"token\":\"a-guessed-token-%d\"}", i);
        int status = rig_json(r, "POST /v1/session", NULL, json, &a);
        assert_true(status == 401 || status == 429);
        if (status == 429) {
            refused++;
            assert_in_range(atoi(answer_header(&a, "Retry-After")), 1, 10);
        }
        assert_null(answer_header(&a, "Set-Cookie"));
        answer_free(&a);
    }
    assert_in_range(refused, 5, 7);
    /* Not even the right one comes in meanwhile, or guessing would go on at full speed. */
    snprintf(json, sizeof json, "{\"token\":\"%s\"}", r->tokens.admin);
    assert_int_equal(rig_json(r, "POST /v1/session", NULL, json, &a), 429);
    answer_free(&a);
    /* Programs that bring theirs are not concerned. */
    assert_int_equal(rig_json(r, "GET /v1/status", r->tokens.admin, NULL, &a), 200);
    answer_free(&a);
}

#define RIGGED(f) cmocka_unit_test_setup_teardown(f, rig_setup, rig_teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        RIGGED(the_page_keeps_to_itself),
        RIGGED(a_viewer_sees_and_changes_nothing),
        RIGGED(sessions_begin_and_end),
        RIGGED(other_sites_change_nothing),
        RIGGED(rebound_names_are_refused_on_loopback),
        RIGGED(wrong_tokens_are_slowed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
