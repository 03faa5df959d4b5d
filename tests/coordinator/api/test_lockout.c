/* Who is let in, over real connections: a rotated join token, invitations, revoked agents, and
 * uploads of jobs that are cancelled. If one failed, a stranger would stay in, or a coordinator
 * would store what nobody wants. */
#include "coordinator/store/ops.h"
#include "tests/coordinator/api/rig.h"

static int join_by(struct rig *r, const char *token, int n)
{
    struct answer a;
    char json[300], hex[DIGEST_HEX + 1];
    struct digest d;
    digest_of(&n, sizeof n, &d);
    snprintf(json, sizeof json, "{\"identity\":\"%s\",\"name\":\"agent-%d\",\"threads\":1}",
             digest_to_hex(&d, hex), n);
    int status = rig_json(r, "POST /v1/agents", token, json, &a);
    answer_free(&a);
    return status;
}

/* The token of an answer. */
static void token_of(const struct answer *a, char token[PROTOCOL_TOKEN_MAX + 1])
{
    const char *at = strstr(a->body, "\"token\":\"");
    assert_non_null(at);
    snprintf(token, PROTOCOL_TOKEN_MAX + 1, "%.*s", (int)strcspn(at + 9, "\""), at + 9);
}

static void a_rotated_join_token_lets_nobody_in(void **state)
{
    struct rig *r = *state;
    struct answer a;
    char agent[PROTOCOL_TOKEN_MAX + 1], fresh[PROTOCOL_TOKEN_MAX + 1];
    rig_join(r, 1, agent);
    assert_int_equal(rig_json(r, "POST /v1/tokens/join/rotate", agent, NULL, &a), 403);
    answer_free(&a);
    assert_int_equal(rig_json(r, "POST /v1/tokens/join/rotate", r->tokens.admin, NULL, &a), 200);
    token_of(&a, fresh);
    answer_free(&a);
    assert_int_equal(join_by(r, r->tokens.join, 2), 401);
    assert_int_equal(join_by(r, fresh, 2), 200);
    /* Who has joined stays, and a restart knows the new one. */
    assert_int_equal(rig_json(r, "POST /v1/claims", agent, "{\"wait_ms\":0}", &a), 204);
    answer_free(&a);
    rig_close(r);
    rig_open(r);
    assert_string_equal(r->tokens.join, fresh);
    assert_int_equal(rig_json(r, "GET /v1/history?limit=9", r->tokens.admin, NULL, &a), 200);
    assert_non_null(strstr(a.body, "\"kind\":\"token.rotated\",\"who\":\"admin\""));
    answer_free(&a);
}

static void an_invitation_is_for_its_number(void **state)
{
    struct rig *r = *state;
    struct answer a;
    char token[PROTOCOL_TOKEN_MAX + 1];
    assert_int_equal(rig_json(r, "POST /v1/invitations", r->tokens.admin,
                              "{\"uses\":1,\"owner\":\"alice\"}", &a),
                     200);
    token_of(&a, token);
    answer_free(&a);
    assert_int_equal(join_by(r, token, 1), 200);
    assert_int_equal(join_by(r, token, 1), 200); /* the same one again */
    assert_int_equal(join_by(r, token, 2), 403);
    assert_int_equal(rig_json(r, "GET /v1/invitations", r->tokens.admin, NULL, &a), 200);
    assert_null(strstr(a.body, token)); /* it is told once */
    answer_free(&a);
    assert_int_equal(rig_json(r, "GET /v1/agents", token, NULL, &a), 403); /* joining is all */
    answer_free(&a);
}

static void a_revoked_token_is_good_for_nothing(void **state)
{
    struct rig *r = *state;
    struct answer a;
    char token[PROTOCOL_TOKEN_MAX + 1], other[PROTOCOL_TOKEN_MAX + 1];
    rig_join(r, 1, token);
    rig_join(r, 2, other);
    assert_int_equal(rig_json(r, "POST /v1/agents/revoke", r->tokens.admin,
                              "{\"names\":[{\"pattern\":\"agent-1\"}]}", &a),
                     200);
    answer_free(&a);
    assert_int_equal(rig_json(r, "POST /v1/claims", token, "{\"wait_ms\":0}", &a), 401);
    answer_free(&a);
    assert_int_equal(rig_json(r, "POST /v1/claims", other, "{\"wait_ms\":0}", &a), 204);
    answer_free(&a);
    assert_int_equal(join_by(r, r->tokens.join, 1), 403);
}

/* Job 1 of a run that is cancelled. */
static int cancelled_job(struct store_conn *c, void *arg, struct err *e)
{
    struct digest d = {{5}};
    struct msg_shard shard = {{{1}}, 100, 40};
    struct msg_dataset m = {.name = "corpus",
                            .vocab = 512,
                            .seq = 16,
                            .train = &shard,
                            .train_count = 1,
                            .heldout = &shard,
                            .heldout_count = 1,
                            .train_sequences = 40,
                            .heldout_sequences = 40};
    struct job_key k = {.kind = JOB_EVAL};
    uint64_t dataset, run;
    bool inserted;
    (void)arg;
    int rc = op_dataset_insert(c, &m, 1, &dataset, e);
    if (!rc)
        rc = op_run_insert(c, "demo", dataset, &d, "[run]\n", 1, &run, e);
    if (!rc)
        rc = op_job_insert(c, run, &k, 1, 1, &inserted, e);
    return rc ? rc : op_run_end(c, run, RUN_CANCELLED, "by hand", 2, e);
}

static void a_cancelled_job_uploads_nothing(void **state)
{
    struct rig *r = *state;
    struct err e = {0};
    struct answer a;
    struct digest d;
    char token[PROTOCOL_TOKEN_MAX + 1], hex[DIGEST_HEX + 1], line[160];
    must(store_write_wait(r->service.store, cancelled_job, NULL, &e), &e);
    rig_join(r, 1, token);
    digest_of("data", 4, &d);
    snprintf(line, sizeof line, "PUT /v1/blobs/%s?job=1", digest_to_hex(&d, hex));
    assert_int_equal(rig_call(r, line, token, NULL, "data", 4, &a), 409);
    assert_non_null(strstr(a.body, "ERR_FENCED"));
    answer_free(&a);
    snprintf(line, sizeof line, "PUT /v1/blobs/%s", hex);
    assert_int_equal(rig_call(r, line, token, NULL, "data", 4, &a), 201);
    answer_free(&a);
}

/* Whatever an operator does is found again, with his token's name; what changed nothing is not. */
static void operators_acts_are_kept(void **state)
{
    struct rig *r = *state;
    struct answer a;
    char token[PROTOCOL_TOKEN_MAX + 1];
    rig_join(r, 1, token);
    assert_int_equal(rig_json(r, "POST /v1/jobs/77/retry", r->tokens.admin, NULL, &a), 404);
    answer_free(&a);
    assert_int_equal(rig_json(r, "POST /v1/agents/undrain", r->tokens.admin,
                              "{\"names\":[{\"pattern\":\"*\"}]}", &a),
                     200);
    answer_free(&a);
    assert_int_equal(rig_json(r, "GET /v1/history", r->tokens.admin, NULL, &a), 200);
    assert_non_null(strstr(a.body, "\"kind\":\"operator\",\"who\":\"admin\",\"job\":0,\"text\":"
                                   "\"POST /v1/agents/undrain\""));
    assert_null(strstr(a.body, "retry"));
    answer_free(&a);
    assert_int_equal(rig_json(r, "GET /v1/history", token, NULL, &a), 403);
    answer_free(&a);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_rotated_join_token_lets_nobody_in),
        TEST(an_invitation_is_for_its_number),
        TEST(a_revoked_token_is_good_for_nothing),
        TEST(a_cancelled_job_uploads_nothing),
        TEST(operators_acts_are_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
