/* The API over real connections: who may do what, what is refused and how, and claims that wait. */
#include "tests/coordinator/api/rig.h"
#include "coordinator/api/exchange.h"
#include <pthread.h>
#include <sqlite3.h>
#include "coordinator/lease/lease_tick.h"

static void health_needs_no_token(void **state)
{
    struct answer a;

    assert_int_equal(rig_json(*state, "GET /healthz", NULL, NULL, &a), 200);
    assert_string_equal(a.body, "ok\n");
    answer_free(&a);
}

static void without_a_known_token_nothing_is_told(void **state)
{
    struct rig *r = *state;
    static const char *const paths[] = {"GET /v1/runs", "GET /v1/nothing", "POST /v1/claims",
                                        "PUT /v1/blobs/x", "GET /v1"};
    struct answer a;

    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        assert_int_equal(rig_json(r, paths[i], NULL, NULL, &a), 401);
        assert_string_equal(answer_header(&a, "WWW-Authenticate"), "Bearer realm=\"tacit\"");
        assert_string_equal(answer_header(&a, "Content-Type"), "application/problem+json");
        assert_non_null(strstr(a.body, "\"code\":\"ERR_DENIED\",\"status\":401"));
        answer_free(&a);
        assert_int_equal(rig_json(r, paths[i], "wrong", NULL, &a), 401);
        answer_free(&a);
    }
    assert_int_equal(
        rig_call(r, "GET /v1/runs", NULL, "Authorization: Basic eDp5\r\n", NULL, 0, &a), 401);
    answer_free(&a);
    /* The scheme's name has no case (RFC 9110). */
    char header[200];
    snprintf(header, sizeof header, "authorization: bearer %s\r\n", r->tokens.admin);
    assert_int_equal(rig_call(r, "GET /v1/runs", NULL, header, NULL, 0, &a), 200);
    answer_free(&a);
}

static void each_token_opens_its_own_doors(void **state)
{
    struct rig *r = *state;
    char agent[PROTOCOL_TOKEN_MAX + 1], again[PROTOCOL_TOKEN_MAX + 1];
    struct answer a;
    static const struct {
        const char *line;
        int join, agent, admin; /* status */
    } cases[] = {
        {"GET /v1/runs", 403, 403, 200},      {"GET /v1/agents", 403, 403, 200},
        {"GET /v1/status", 403, 403, 200},    {"GET /v1/jobs", 403, 403, 200},
        {"GET /v1/datasets", 403, 403, 200},  {"POST /v1/claims", 403, 400, 403},
        {"POST /v1/agents", 400, 403, 403},   {"POST /v1/jobs/1/fail", 403, 400, 403},
        {"GET /v1/runs/none", 403, 403, 404},
    };

    rig_join(r, 1, agent);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(rig_json(r, cases[i].line, r->tokens.join, NULL, &a), cases[i].join);
        answer_free(&a);
        assert_int_equal(rig_json(r, cases[i].line, agent, NULL, &a), cases[i].agent);
        answer_free(&a);
        assert_int_equal(rig_json(r, cases[i].line, r->tokens.admin, NULL, &a), cases[i].admin);
        answer_free(&a);
    }
    /* Joining again gives a new token; the one before is good once more (a join may arrive twice).
     */
    rig_join(r, 1, again);
    assert_int_equal(rig_json(r, "POST /v1/claims", agent, "{}", &a), 204);
    answer_free(&a);
    rig_join(r, 1, again);
    assert_int_equal(rig_json(r, "POST /v1/claims", agent, "{}", &a), 401);
    answer_free(&a);
    assert_int_equal(rig_json(r, "POST /v1/claims", again, "{}", &a), 204);
    answer_free(&a);
}

static void wrong_paths_and_methods_are_named(void **state)
{
    struct rig *r = *state;
    struct answer a;

    assert_int_equal(rig_json(r, "GET /v1/nothing", r->tokens.admin, NULL, &a), 404);
    answer_free(&a);
    assert_int_equal(rig_json(r, "GET /nothing", NULL, NULL, &a), 404);
    answer_free(&a);
    assert_int_equal(rig_json(r, "GET /v1/runs/a/b/c", r->tokens.admin, NULL, &a), 404);
    answer_free(&a);
    assert_int_equal(rig_json(r, "DELETE /v1/runs", r->tokens.admin, NULL, &a), 405);
    assert_string_equal(answer_header(&a, "Allow"), "POST, GET, HEAD");
    answer_free(&a);
    assert_int_equal(rig_json(r, "POST /healthz", NULL, "{}", &a), 405);
    assert_string_equal(answer_header(&a, "Allow"), "GET, HEAD");
    answer_free(&a);
    /* A program of another version is told in plain words. */
    assert_int_equal(rig_json(r, "POST /v2/claims", NULL, "{}", &a), 404);
    assert_non_null(strstr(a.body, "this coordinator speaks protocol 1, the request is of protocol "
                                   "2: install the same version"));
    assert_string_equal(answer_header(&a, PROTOCOL_HEADER), "1");
    answer_free(&a);
    /* What cannot be text in JSON must not break the answer. */
    assert_int_equal(rig_json(r, "GET /v1/runs/%ff%01x", r->tokens.admin, NULL, &a), 404);
    assert_non_null(strstr(a.body, "\"status\":404"));
    answer_free(&a);
}

static void bodies_are_checked(void **state)
{
    struct rig *r = *state;
    static const struct {
        const char *json;
        int status;
        const char *detail;
    } cases[] = {
        {"", 400, "a body is needed"},
        {"{\"spec\":", 400, "not valid JSON"},
        {"[]", 422, "run_create: expected an object"},
        {"{}", 422, "run_create.spec: missing"},
        {"{\"spec\":1}", 422, "run_create.spec: expected a string"},
        {"{\"spec\":\"\",\"dry_run\":\"no\"}", 422, "run_create.dry_run: expected true or false"},
        {"{\"spec\":\"x\",\"spec\":\"y\"}", 422, "run_create.spec: given twice"},
        {"{\"spec\":\"[run]\\nnam = x\\n\",\"file\":\"my.ini\"}", 422,
         "my.ini:2: [run] nam: unknown key; did you mean name?"},
    };
    struct answer a;

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int status = rig_json(r, "POST /v1/runs", r->tokens.admin, cases[i].json, &a);
        if (status != cases[i].status || !strstr(a.body, cases[i].detail))
            fail_msg("%s\n gave %d %s", cases[i].json, status, a.body);
        answer_free(&a);
    }
    assert_int_equal(rig_json(r, "GET /v1/jobs?limit=x", r->tokens.admin, NULL, &a), 400);
    answer_free(&a);
    assert_int_equal(rig_json(r, "GET /v1/jobs?state=odd", r->tokens.admin, NULL, &a), 422);
    answer_free(&a);
}

static void large_and_odd_bodies_are_refused(void **state)
{
    struct rig *r = *state;
    struct answer a;
    int fd = rig_connect(r);

    /* By what the head says: nothing of the body is waited for. */
    rig_say(fd,
            "POST /v1/runs HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n"
            "Content-Length: %u\r\n\r\n",
            r->tokens.admin, PROTOCOL_BODY_MAX + 1);
    rig_hear(fd, false, &a);
    assert_int_equal(a.status, 413);
    answer_free(&a);
    close(fd);

    /* By what comes. */
    fd = rig_connect(r);
    rig_say(fd,
            "POST /v1/runs HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n"
            "Transfer-Encoding: chunked\r\n\r\n",
            r->tokens.admin);
    static char block[1 << 20];
    memset(block, ' ', sizeof block);
    for (int i = 0; i < 5; i++) {
        rig_say(fd, "%zx\r\n", sizeof block);
        rig_send(fd, block, sizeof block);
        rig_say(fd, "\r\n");
    }
    rig_say(fd, "0\r\n\r\n");
    rig_hear(fd, false, &a);
    assert_int_equal(a.status, 413);
    answer_free(&a);
    close(fd);

    /* Two lengths: one of them would be a lie. */
    fd = rig_connect(r);
    rig_say(fd,
            "POST /v1/runs HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n"
            "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
            r->tokens.admin);
    rig_hear(fd, false, &a);
    assert_int_equal(a.status, 400);
    answer_free(&a);
    close(fd);

    /* A chunked body is as good as another. */
    fd = rig_connect(r);
    rig_say(fd,
            "POST /v1/runs HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n"
            "Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\n\r\n",
            r->tokens.admin);
    rig_hear(fd, false, &a);
    assert_int_equal(a.status, 422);
    answer_free(&a);
    close(fd);

    /* A body that never comes whole leaves the server as it was. */
    fd = rig_connect(r);
    rig_say(fd,
            "POST /v1/runs HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n"
            "Content-Length: 200\r\n\r\n{\"spec\":",
            r->tokens.admin);
    close(fd);
    assert_int_equal(rig_json(r, "GET /v1/runs", r->tokens.admin, NULL, &a), 200);
    assert_string_equal(a.body, "[]");
    answer_free(&a);
}

/* Agents keep their connections: errors and empty answers must not cost them one. */
static void connections_are_kept(void **state)
{
    static const char fence[] = "{\"fence\":{\"incarnation\":1,\"counter\":1}}";
    struct rig *r = *state;
    char agent[PROTOCOL_TOKEN_MAX + 1];
    int fd = rig_connect(r);
    struct answer a;

    rig_join(r, 2, agent);
    for (int i = 0; i < 3; i++) {
        rig_ask(fd, "GET /v1/runs", agent, NULL, NULL, 0);
        rig_hear(fd, false, &a);
        assert_int_equal(a.status, 403);
        assert_null(answer_header(&a, "Connection"));
        answer_free(&a);
        rig_ask(fd, "POST /v1/claims", agent, NULL, "{}", 2);
        rig_hear(fd, false, &a);
        assert_int_equal(a.status, 204);
        answer_free(&a);
        rig_ask(fd, "POST /v1/jobs/77/release", agent, NULL, fence, strlen(fence));
        rig_hear(fd, false, &a);
        assert_int_equal(a.status, 404);
        answer_free(&a);
    }
    close(fd);
}

/* --- claims ---------------------------------------------------------------------------------- */

static void a_claim_waits_as_long_as_it_says(void **state)
{
    struct rig *r = *state;
    char agent[PROTOCOL_TOKEN_MAX + 1];
    struct answer a;
    int64_t start, took;

    rig_join(r, 1, agent);
    start = env_monotonic_ms();
    assert_int_equal(rig_json(r, "POST /v1/claims", agent, "{\"wait_ms\":300}", &a), 204);
    took = env_monotonic_ms() - start;
    answer_free(&a);
    assert_in_range(took, 300, 10000);
    assert_int_equal(rig_json(r, "POST /v1/claims", agent, "{\"wait_ms\":60001}", &a), 422);
    answer_free(&a);
}

/* Asks for a job that is not there, and returns when the coordinator has put it behind all others
 * that wait. */
static void wait_for_job(struct rig *r, int fd, const char *token)
{
    uint64_t before, newest = 0;

    env_mutex_lock(&r->api->mutex);
    before = r->api->sequence;
    env_mutex_unlock(&r->api->mutex);
    rig_ask(fd, "POST /v1/claims", token, NULL, "{\"wait_ms\":15000}", 17);
    for (int i = 0; i < 4000 && newest <= before; i++, env_sleep_ms(5)) {
        env_mutex_lock(&r->api->mutex);
        newest = r->api->last ? r->api->last->sequence : 0;
        env_mutex_unlock(&r->api->mutex);
    }
    assert_true(newest > before);
}

/* An agent that was killed and started again must not lose its wake-up to its dead connection. */
static void a_new_claim_ends_the_agents_older_one(void **state)
{
    struct rig *r = *state;
    char agent[PROTOCOL_TOKEN_MAX + 1];
    int old = rig_connect(r), new = rig_connect(r);
    struct answer a;
    int64_t start = env_monotonic_ms();

    rig_join(r, 1, agent);
    wait_for_job(r, old, agent);
    rig_ask(new, "POST /v1/claims", agent, NULL, "{\"wait_ms\":500}", 15);
    rig_hear(old, false, &a);
    assert_int_equal(a.status, 204);
    answer_free(&a);
    assert_true(env_monotonic_ms() - start < 10000);
    rig_hear(new, false, &a);
    assert_int_equal(a.status, 204);
    answer_free(&a);
    close(old);
    close(new);
}

/* A data set of made-up shards, which nobody reads here, and a run of two experts: three jobs are
 * ready at its start, two routers and the dense model. */
static void create_run(struct rig *r, const char *name)
{
    struct digest d;
    struct answer a;
    struct err e = {0};
    char json[1200], hex[DIGEST_HEX + 1];

    must(blob_put(r->service.store, "shard", 5, &d, &e), &e);
    digest_to_hex(&d, hex);
    snprintf(json, sizeof json,
             "{\"name\":\"corpus\",\"vocab\":64,\"seq\":64,\"tokenizer\":\"%s\","
             "\"tokenizer_bytes\":5,\"train\":[{\"digest\":\"%s\",\"bytes\":5,\"sequences\":2000}],"
             "\"heldout\":[{\"digest\":\"%s\",\"bytes\":5,\"sequences\":10}],\"labels\":[{\"name\":"
             "\"all\"}],\"train_sequences\":2000,\"heldout_sequences\":10}",
             hex, hex, hex);
    int status = rig_json(r, "POST /v1/datasets", r->tokens.admin, json, &a);
    if (status != 200 && status != 409)
        fail_msg("%d %s", status, a.body);
    answer_free(&a);
    snprintf(json, sizeof json,
             "{\"spec\":\"[run]\\nname=%s\\ndataset=corpus\\nexperts=2\\n[router]\\nhidden=8\\n"
             "layers=1\\nheads=1\\nsequences=100\\nrounds=2\\nbatch=4\\n[expert]\\nhidden=8\\n"
             "layers=1\\nheads=1\\nsteps=10\\n[checkpoint]\\npublish_steps=5\\n\"}",
             name);
    status = rig_json(r, "POST /v1/runs", r->tokens.admin, json, &a);
    if (status != 200)
        fail_msg("%d %s", status, a.body);
    answer_free(&a);
}

static uint64_t number_after(const char *text, const char *name)
{
    const char *at = strstr(text, name);
    assert_non_null(at);
    return strtoull(at + strlen(name), NULL, 10);
}

/* A new job starts at once, and one job wakes one waiter, the one that waits longest. */
static void ready_jobs_wake_as_many_waiters(void **state)
{
    struct rig *r = *state;
    char tokens[4][PROTOCOL_TOKEN_MAX + 1], json[200];
    int fds[4];
    struct answer a;
    int64_t start;
    uint64_t job = 0, counter = 0;

    for (int i = 0; i < 4; i++) {
        rig_join(r, i, tokens[i]);
        fds[i] = rig_connect(r);
        wait_for_job(r, fds[i], tokens[i]);
    }
    start = env_monotonic_ms();
    create_run(r, "a");
    for (int i = 0; i < 3; i++) {
        rig_hear(fds[i], false, &a);
        assert_int_equal(a.status, 200);
        job = number_after(a.body, "\"job\":");
        counter = number_after(a.body, "\"counter\":");
        answer_free(&a);
    }
    assert_true(env_monotonic_ms() - start < 10000);

    /* The fourth waits on, until one is given back. */
    char byte;
    env_sleep_ms(100);
    assert_int_equal(recv(fds[3], &byte, 1, MSG_DONTWAIT), -1);
    snprintf(json, sizeof json, "{\"fence\":{\"incarnation\":1,\"counter\":%llu}}",
             (unsigned long long)counter);
    char line[100];
    snprintf(line, sizeof line, "POST /v1/jobs/%llu/release", (unsigned long long)job);
    assert_int_equal(rig_json(r, line, tokens[2], json, &a), 200);
    answer_free(&a);
    rig_hear(fds[3], false, &a);
    assert_int_equal(a.status, 200);
    assert_true(number_after(a.body, "\"job\":") == job);
    assert_true(number_after(a.body, "\"counter\":") > counter);
    answer_free(&a);
    for (int i = 0; i < 4; i++)
        close(fds[i]);
}

/* Claims the one job that is ready to this agent; returns its number and fence. */
static uint64_t claim_one(struct rig *r, const char *token, uint64_t *counter)
{
    struct answer a;
    assert_int_equal(rig_json(r, "POST /v1/claims", token, "{}", &a), 200);
    uint64_t job = number_after(a.body, "\"job\":");
    *counter = number_after(a.body, "\"counter\":");
    answer_free(&a);
    return job;
}

/* Ends agent's hold on the job: "release" or "fail". */
static void give_back(struct rig *r, const char *how, const char *token, uint64_t job,
                      uint64_t counter)
{
    struct answer a;
    char line[100], json[200];
    snprintf(line, sizeof line, "POST /v1/jobs/%llu/%s", (unsigned long long)job, how);
    snprintf(json, sizeof json,
             strcmp(how, "fail") == 0
                 ? "{\"fence\":{\"incarnation\":1,\"counter\":%llu},\"error\":\"no\"}"
                 : "{\"fence\":{\"incarnation\":1,\"counter\":%llu}}",
             (unsigned long long)counter);
    assert_int_equal(rig_json(r, line, token, json, &a), 200);
    answer_free(&a);
}

/* Five agents; the first three hold all jobs there are, the last two wait for one, in this order.
 */
static void hold_all_and_wait(struct rig *r, char tokens[5][PROTOCOL_TOKEN_MAX + 1],
                              uint64_t job[3], uint64_t counter[3], int fds[2])
{
    create_run(r, "a");
    for (int i = 0; i < 5; i++) {
        rig_join(r, i, tokens[i]);
        if (i < 3) {
            job[i] = claim_one(r, tokens[i], &counter[i]);
            continue;
        }
        fds[i - 3] = rig_connect(r);
        wait_for_job(r, fds[i - 3], tokens[i]);
    }
}

/* Whoever is woken and then fails, for a full disk, say, must not leave the others asleep beside a
 * job that is ready. */
static void a_failed_claim_hands_its_wakeup_on(void **state)
{
    struct rig *r = *state;
    char tokens[5][PROTOCOL_TOKEN_MAX + 1], path[100];
    uint64_t job[3], counter[3];
    int fds[2];
    struct answer a;
    sqlite3 *db;

    hold_all_and_wait(r, tokens, job, counter, fds);
    snprintf(path, sizeof path, "%s/tacit.db", r->dir);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(
        sqlite3_exec(
            db,
            "CREATE TRIGGER unlucky BEFORE UPDATE ON job WHEN new.state = 1 AND new.agent ="
            " (SELECT id FROM agent WHERE name = 'agent-3')"
            " BEGIN SELECT RAISE(ABORT, 'out of luck'); END",
            NULL, NULL, NULL),
        SQLITE_OK);
    sqlite3_close(db);
    int64_t start = env_monotonic_ms();
    give_back(r, "release", tokens[0], job[0], counter[0]);
    rig_hear(fds[0], false, &a);
    assert_int_equal(a.status, 409);
    answer_free(&a);
    rig_hear(fds[1], false, &a);
    assert_int_equal(a.status, 200);
    assert_true(number_after(a.body, "\"job\":") == job[0]);
    assert_true(env_monotonic_ms() - start < 10000);
    answer_free(&a);
    close(fds[0]);
    close(fds[1]);
}

/* A job that its last agent failed is for others: where that agent is the first to be woken, the
 * next one hears of it. */
static void a_job_kept_from_one_goes_to_the_next(void **state)
{
    struct rig *r = *state;
    char tokens[5][PROTOCOL_TOKEN_MAX + 1], byte;
    uint64_t job[3], counter[3];
    int64_t next;
    int fds[2];
    struct answer a;
    struct err e = {0};

    hold_all_and_wait(r, tokens, job, counter, fds);
    must(lease_tick(&r->service, &next, &e), &e);
    give_back(r, "release", tokens[0], job[0], counter[0]);
    rig_hear(fds[0], false, &a);
    assert_int_equal(a.status, 200);
    counter[0] = number_after(a.body, "\"counter\":");
    answer_free(&a);
    /* The first waiter is the one that fails, and the one that waits again. */
    give_back(r, "fail", tokens[3], job[0], counter[0]);
    close(fds[1]);
    wait_for_job(r, fds[0], tokens[3]);
    fds[1] = rig_connect(r);
    wait_for_job(r, fds[1], tokens[4]);
    int64_t later = env_monotonic_ms() + LEASE_BACKOFF_MS;
    must(lease_tick_at(&r->service, later, env_wall_ms(), &next, &e), &e);
    rig_hear(fds[1], false, &a);
    assert_int_equal(a.status, 200);
    assert_true(number_after(a.body, "\"job\":") == job[0]);
    answer_free(&a);
    assert_int_equal(recv(fds[0], &byte, 1, MSG_DONTWAIT), -1);
    close(fds[0]);
    close(fds[1]);
}

static void heartbeats_and_fences_travel(void **state)
{
    struct rig *r = *state;
    char agent[PROTOCOL_TOKEN_MAX + 1], json[300], line[100];
    struct answer a;

    create_run(r, "a");
    rig_join(r, 1, agent);
    assert_int_equal(rig_json(r, "POST /v1/claims", agent, "{}", &a), 200);
    uint64_t job = number_after(a.body, "\"job\":"), counter = number_after(a.body, "\"counter\":");
    answer_free(&a);
    snprintf(line, sizeof line, "POST /v1/jobs/%llu/heartbeat", (unsigned long long)job);
    snprintf(
        json, sizeof json,
        "{\"fence\":{\"incarnation\":1,\"counter\":%llu},\"step\":3,\"total\":9,\"loss\":null}",
        (unsigned long long)counter);
    assert_int_equal(rig_json(r, line, agent, json, &a), 200);
    assert_non_null(strstr(a.body, "\"command\":\"continue\""));
    answer_free(&a);
    snprintf(json, sizeof json, "{\"fence\":{\"incarnation\":1,\"counter\":%llu},\"step\":3}",
             (unsigned long long)counter + 9);
    assert_int_equal(rig_json(r, line, agent, json, &a), 409);
    assert_non_null(strstr(a.body, "\"code\":\"ERR_FENCED\""));
    answer_free(&a);
    /* Results are looked at off the request path, and refused with what is wrong. */
    snprintf(line, sizeof line, "POST /v1/jobs/%llu/complete", (unsigned long long)job);
    snprintf(json, sizeof json, "{\"fence\":{\"incarnation\":1,\"counter\":%llu},\"outputs\":[]}",
             (unsigned long long)counter);
    assert_int_equal(rig_json(r, line, agent, json, &a), 422);
    answer_free(&a);
    /* But not for whoever does not hold the job: it could race the check. */
    snprintf(json, sizeof json, "{\"fence\":{\"incarnation\":1,\"counter\":%llu},\"outputs\":[]}",
             (unsigned long long)counter + 1);
    assert_int_equal(rig_json(r, line, agent, json, &a), 409);
    answer_free(&a);
    snprintf(line, sizeof line, "POST /v1/jobs/%llu/complete", (unsigned long long)job + 1);
    assert_int_equal(rig_json(r, line, agent,
                              "{\"fence\":{\"incarnation\":0,\"counter\":0},\"outputs\":[]}", &a),
                     409);
    answer_free(&a);
    /* A run's name is taken once. */
    assert_int_equal(rig_json(r, "GET /v1/runs/a", r->tokens.admin, NULL, &a), 200);
    assert_non_null(strstr(a.body, "\"name\":\"a\""));
    answer_free(&a);
    assert_int_equal(rig_json(r, "GET /v1/runs/a/report", r->tokens.admin, NULL, &a), 409);
    answer_free(&a);
    assert_int_equal(rig_json(r, "POST /v1/runs/a/cancel", r->tokens.admin, NULL, &a), 200);
    assert_non_null(strstr(a.body, "\"state\":\"cancelled\""));
    answer_free(&a);
}

struct stopper {
    struct rig *rig;
    int64_t took_ms;
};

static void *stop_main(void *arg)
{
    struct stopper *s = arg;
    int64_t start = env_monotonic_ms();

    rig_close(s->rig);
    s->took_ms = env_monotonic_ms() - start;
    return NULL;
}

/* Stopping does not wait for the waiting: they are told to come back, and what was acknowledged is
 * there at the next start. */
static void stopping_answers_waiting_claims(void **state)
{
    struct rig *r = *state;
    char agent[PROTOCOL_TOKEN_MAX + 1];
    struct stopper s = {.rig = r};
    struct answer a;
    pthread_t thread;
    int fd;

    rig_join(r, 1, agent);
    fd = rig_connect(r);
    wait_for_job(r, fd, agent);
    assert_int_equal(pthread_create(&thread, NULL, stop_main, &s), 0);
    rig_hear(fd, false, &a);
    assert_int_equal(a.status, 503);
    assert_string_equal(answer_header(&a, "Retry-After"), "2");
    answer_free(&a);
    pthread_join(thread, NULL);
    assert_true(s.took_ms < 5000);
    close(fd);

    char before[PROTOCOL_TOKEN_MAX + 1];
    strcpy(before, r->tokens.admin);
    rig_open(r);
    assert_string_equal(before, r->tokens.admin);
    assert_int_equal(rig_json(r, "POST /v1/claims", agent, "{}", &a), 204);
    answer_free(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define RIGGED(f) cmocka_unit_test_setup_teardown(f, rig_setup, rig_teardown)
        RIGGED(health_needs_no_token),
        RIGGED(without_a_known_token_nothing_is_told),
        RIGGED(each_token_opens_its_own_doors),
        RIGGED(wrong_paths_and_methods_are_named),
        RIGGED(bodies_are_checked),
        RIGGED(large_and_odd_bodies_are_refused),
        RIGGED(connections_are_kept),
        RIGGED(a_claim_waits_as_long_as_it_says),
        RIGGED(a_new_claim_ends_the_agents_older_one),
        RIGGED(ready_jobs_wake_as_many_waiters),
        RIGGED(a_failed_claim_hands_its_wakeup_on),
        RIGGED(a_job_kept_from_one_goes_to_the_next),
        RIGGED(heartbeats_and_fences_travel),
        RIGGED(stopping_answers_waiting_claims),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
