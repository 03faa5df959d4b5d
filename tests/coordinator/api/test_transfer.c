/* Blobs up and down over real connections: whole, by range, broken off and continued, refused. */
#include "tests/coordinator/api/rig.h"

#define MIB (1u << 20)
#define SIZE (3 * MIB + 12345)

struct sample {
    uint8_t *data;
    struct digest digest;
    char hex[DIGEST_HEX + 1];
    char put[100], get[100], head[100];
};

static struct sample sample_make(size_t size, uint32_t seed)
{
    struct sample s = {.data = malloc(size + 1)};

    for (size_t i = 0; i < size; i++) {
        seed = seed * 1664525u + 1013904223u;
        s.data[i] = (uint8_t)(seed >> 24);
    }
    digest_of(s.data, size, &s.digest);
    digest_to_hex(&s.digest, s.hex);
    snprintf(s.put, sizeof s.put, "PUT /v1/blobs/%s", s.hex);
    snprintf(s.get, sizeof s.get, "GET /v1/blobs/%s", s.hex);
    snprintf(s.head, sizeof s.head, "HEAD /v1/blobs/%s", s.hex);
    return s;
}

static int put_whole(struct rig *r, const struct sample *s, size_t size)
{
    struct answer a;
    int status = rig_call(r, s->put, r->tokens.admin, NULL, s->data, size, &a);
    answer_free(&a);
    return status;
}

static void expect_blob(struct rig *r, const struct sample *s, size_t size)
{
    struct answer a;
    assert_int_equal(rig_call(r, s->get, r->tokens.admin, NULL, NULL, 0, &a), 200);
    assert_int_equal(a.len, size);
    assert_memory_equal(a.body, s->data, size);
    answer_free(&a);
}

static void a_blob_comes_back(void **state)
{
    struct rig *r = *state;
    struct sample s = sample_make(SIZE, 1);
    struct answer a;

    assert_int_equal(rig_call(r, s.get, r->tokens.admin, NULL, NULL, 0, &a), 404);
    answer_free(&a);
    assert_int_equal(put_whole(r, &s, SIZE), 201);
    expect_blob(r, &s, SIZE);
    assert_int_equal(put_whole(r, &s, SIZE), 200);
    assert_int_equal(rig_call(r, s.head, r->tokens.admin, NULL, NULL, 0, &a), 200);
    assert_int_equal(atoi(answer_header(&a, "Content-Length")), SIZE);
    assert_string_equal(answer_header(&a, "Accept-Ranges"), "bytes");
    answer_free(&a);
    free(s.data);
}

static void an_empty_blob_is_one(void **state)
{
    struct rig *r = *state;
    struct sample s = sample_make(0, 1);

    assert_int_equal(put_whole(r, &s, 0), 201);
    expect_blob(r, &s, 0);
    free(s.data);
}

/* Blobs are for agents and operators; who may only join reads none. */
static void the_join_token_reads_no_blob(void **state)
{
    struct rig *r = *state;
    struct sample s = sample_make(10, 1);
    char agent[PROTOCOL_TOKEN_MAX + 1];
    struct answer a;

    rig_join(r, 1, agent);
    assert_int_equal(rig_call(r, s.put, r->tokens.join, NULL, s.data, 10, &a), 403);
    answer_free(&a);
    assert_int_equal(rig_call(r, s.put, agent, NULL, s.data, 10, &a), 201);
    answer_free(&a);
    assert_int_equal(rig_call(r, s.get, r->tokens.join, NULL, NULL, 0, &a), 403);
    answer_free(&a);
    free(s.data);
}

static void ranges(void **state)
{
    struct rig *r = *state;
    struct sample s = sample_make(SIZE, 2);
    static const struct {
        const char *range;
        int status;
        size_t first, count;
    } cases[] = {
        {"bytes=0-0", 206, 0, 1},
        {"bytes=5-9", 206, 5, 5},
        {"bytes=1048570-1048580", 206, MIB - 6, 11}, /* across a chunk's edge */
        {"bytes=3145728-", 206, 3 * MIB, 12345},
        {"bytes=-7", 206, SIZE - 7, 7},
        {"bytes=-99999999999", 206, 0, SIZE},
        {"bytes=10-99999999999", 206, 10, SIZE - 10},
        {"bytes=3158073-", 416, 0, 0},
        {"bytes=-0", 416, 0, 0},
        {"bytes=9-5", 200, 0, SIZE}, /* not ranges: the whole, as RFC 9110 says */
        {"bytes=0-1,5-6", 200, 0, SIZE},
        {"bytes=a-b", 200, 0, SIZE},
        {"bytes=-", 200, 0, SIZE},
        {"lines=1-2", 200, 0, SIZE},
        {"bytes=99999999999999999999999-", 200, 0, SIZE},
    };

    assert_int_equal(put_whole(r, &s, SIZE), 201);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct answer a;
        char more[100], wanted[100];
        snprintf(more, sizeof more, "Range: %s\r\n", cases[i].range);
        int status = rig_call(r, s.get, r->tokens.admin, more, NULL, 0, &a);
        if (status != cases[i].status)
            fail_msg("%s gave %d, not %d", cases[i].range, status, cases[i].status);
        if (status == 416) {
            assert_string_equal(answer_header(&a, "Content-Range"), "bytes */3158073");
        } else {
            assert_int_equal(a.len, cases[i].count);
            assert_memory_equal(a.body, s.data + cases[i].first, cases[i].count);
        }
        if (status == 206) {
            snprintf(wanted, sizeof wanted, "bytes %zu-%zu/%u", cases[i].first,
                     cases[i].first + cases[i].count - 1, SIZE);
            assert_string_equal(answer_header(&a, "Content-Range"), wanted);
        }
        answer_free(&a);
    }
    free(s.data);
}

/* Waits until the coordinator has what a broken connection left. */
static uint64_t durable_bytes(struct rig *r, const struct sample *s, uint64_t wanted)
{
    uint64_t offset = 0;

    for (int i = 0; i < 700 && offset != wanted; i++) {
        struct answer a;
        int status = rig_call(r, s->head, r->tokens.admin, NULL, NULL, 0, &a);
        assert_int_equal(status, 404);
        const char *text = answer_header(&a, "Upload-Offset");
        offset = text ? strtoull(text, NULL, 10) : 0;
        answer_free(&a);
        env_sleep_ms(20);
    }
    return offset;
}

static void put_part(struct rig *r, const struct sample *s, size_t from, size_t len)
{
    int fd = rig_connect(r);

    rig_say(fd,
            "%s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nUpload-Length: %u\r\n"
            "Upload-Offset: %zu\r\nContent-Length: %zu\r\n\r\n",
            s->put, r->tokens.admin, SIZE, from, SIZE - from);
    rig_send(fd, s->data + from, len);
    shutdown(fd, SHUT_WR);
    close(fd);
}

static int put_rest(struct rig *r, const struct sample *s, size_t from, struct answer *a)
{
    char more[100];
    snprintf(more, sizeof more, "Upload-Length: %u\r\nUpload-Offset: %zu\r\n", SIZE, from);
    return rig_call(r, s->put, r->tokens.admin, more, s->data + from, SIZE - from, a);
}

/* A connection that breaks loses nothing that has arrived, not even across a restart. */
static void a_broken_upload_goes_on(void **state)
{
    struct rig *r = *state;
    struct sample s = sample_make(SIZE, 3);
    struct answer a;

    put_part(r, &s, 0, MIB + 500000);
    assert_int_equal(durable_bytes(r, &s, MIB + 500000), MIB + 500000);
    rig_close(r);
    rig_open(r);
    assert_int_equal(durable_bytes(r, &s, MIB + 500000), MIB + 500000);
    put_part(r, &s, MIB + 500000, MIB);
    assert_int_equal(durable_bytes(r, &s, 2 * MIB + 500000), 2 * MIB + 500000);
    assert_int_equal(rig_call(r, s.get, r->tokens.admin, NULL, NULL, 0, &a), 404);
    assert_non_null(strstr(a.body, "is being uploaded"));
    answer_free(&a);

    /* From elsewhere than what is there: told where to go on. */
    assert_int_equal(put_rest(r, &s, MIB, &a), 409);
    assert_int_equal(atoi(answer_header(&a, "Upload-Offset")), 2 * MIB + 500000);
    answer_free(&a);
    assert_int_equal(put_rest(r, &s, 2 * MIB + 500000, &a), 201);
    answer_free(&a);
    expect_blob(r, &s, SIZE);
    free(s.data);
}

/* Whoever looks at a slow link sees how far it is, and nothing of what is over. */
static void uploads_are_seen_while_they_go_on(void **state)
{
    struct rig *r = *state;
    struct sample s = sample_make(SIZE, 9);
    struct answer a;
    char here[60];

    int fd = rig_connect(r);
    rig_say(fd, "%s?job=1 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n", s.put,
            r->tokens.admin);
    rig_say(fd, "Content-Length: %u\r\n\r\n", SIZE);
    rig_send(fd, s.data, MIB + 4096);
    snprintf(here, sizeof here, "\"bytes\":%u,\"total\":%u", MIB + 4096, SIZE);
    for (bool seen = false; !seen;) { /* the rig's patience bounds it */
        assert_int_equal(rig_json(r, "GET /v1/transfers", r->tokens.viewer, NULL, &a), 200);
        seen = strstr(a.body, here) != NULL;
        answer_free(&a);
        env_sleep_ms(5);
    }
    rig_send(fd, s.data + MIB + 4096, SIZE - MIB - 4096);
    rig_hear(fd, false, &a);
    assert_int_equal(a.status, 201);
    answer_free(&a);
    close(fd);
    do {
        assert_int_equal(rig_json(r, "GET /v1/transfers", r->tokens.viewer, NULL, &a), 200);
        fd = strcmp(a.body, "[]");
        answer_free(&a);
    } while (fd != 0);
    free(s.data);
}

static void wrong_bytes_never_show(void **state)
{
    struct rig *r = *state;
    struct sample s = sample_make(SIZE, 4);
    struct answer a;

    s.data[2 * MIB] ^= 1;
    assert_int_equal(rig_call(r, s.put, r->tokens.admin, NULL, s.data, SIZE, &a), 422);
    assert_non_null(strstr(a.body, "\"code\":\"ERR_DIGEST\""));
    answer_free(&a);
    assert_int_equal(rig_call(r, s.head, r->tokens.admin, NULL, NULL, 0, &a), 404);
    assert_null(answer_header(&a, "Upload-Offset"));
    answer_free(&a);
    s.data[2 * MIB] ^= 1;
    assert_int_equal(put_whole(r, &s, SIZE), 201);
    expect_blob(r, &s, SIZE);
    free(s.data);
}

static void sizes_must_agree(void **state)
{
    struct rig *r = *state;
    struct sample s = sample_make(1000, 5);
    static const struct {
        const char *more;
        int status;
    } cases[] = {
        {"Upload-Length: 1000\r\n", 400},
        {"Upload-Offset: 0\r\n", 400},
        {"Upload-Length: 1001\r\nUpload-Offset: 0\r\n", 400},
        {"Upload-Length: 1000\r\nUpload-Offset: 1\r\n", 400},
        {"Upload-Length: 10\r\nUpload-Offset: 11\r\n", 400},
        {"Upload-Length: x\r\nUpload-Offset: 0\r\n", 400},
        {"Upload-Length: 1099511627777\r\nUpload-Offset: 1099511626777\r\n", 413},
        {"Upload-Length: 2000\r\nUpload-Offset: 1000\r\n", 409},
        {"Upload-Length: 1000\r\nUpload-Offset: 0\r\n", 201},
    };
    struct answer a;

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int status = rig_call(r, s.put, r->tokens.admin, cases[i].more, s.data, 1000, &a);
        if (status != cases[i].status)
            fail_msg("%s gave %d, not %d", cases[i].more, status, cases[i].status);
        answer_free(&a);
    }
    assert_int_equal(rig_call(r, "PUT /v1/blobs/123", r->tokens.admin, NULL, "x", 1, &a), 404);
    answer_free(&a);
    free(s.data);
}

static int put_chunked(struct rig *r, const struct sample *s, const char *more, size_t len)
{
    int fd = rig_connect(r);
    struct answer a;

    rig_ask(fd, s->put, r->tokens.admin, more, NULL, 0);
    rig_say(fd, "%zx\r\n", len);
    rig_send(fd, s->data, len);
    rig_say(fd, "\r\n0\r\n\r\n");
    rig_hear(fd, false, &a);
    answer_free(&a);
    close(fd);
    return a.status;
}

static void chunked_bodies_need_a_length(void **state)
{
    struct rig *r = *state;
    struct sample s = sample_make(1000, 6);

    assert_int_equal(put_chunked(r, &s, "Transfer-Encoding: chunked\r\n", 1000), 411);
    assert_int_equal(put_chunked(r, &s,
                                 "Transfer-Encoding: chunked\r\nUpload-Length: 999\r\n"
                                 "Upload-Offset: 0\r\n",
                                 1000),
                     400);
    assert_int_equal(put_chunked(r, &s,
                                 "Transfer-Encoding: chunked\r\nUpload-Length: 1000\r\n"
                                 "Upload-Offset: 0\r\n",
                                 1000),
                     201);
    expect_blob(r, &s, 1000);
    free(s.data);
}

/* Refused before its bytes travel: a large upload over a slow line is not sent for nothing. */
static void continue_is_asked_for(void **state)
{
    struct rig *r = *state;
    struct sample s = sample_make(SIZE, 7);
    int fd = rig_connect(r);
    struct answer a;

    rig_say(fd,
            "%s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nExpect: 100-continue\r\n"
            "Upload-Length: %u\r\nUpload-Offset: 1048576\r\nContent-Length: %u\r\n\r\n",
            s.put, r->tokens.admin, SIZE, SIZE - MIB);
    rig_hear(fd, false, &a);
    assert_int_equal(a.status, 409);
    assert_false(a.continued);
    answer_free(&a);
    close(fd);

    fd = rig_connect(r);
    rig_say(fd,
            "%s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nExpect: 100-continue\r\n"
            "Content-Length: %u\r\n\r\n",
            s.put, r->tokens.admin, SIZE);
    char head[100];
    rig_head(fd, head, sizeof head);
    assert_memory_equal(head, "HTTP/1.1 100", 12);
    rig_send(fd, s.data, SIZE);
    rig_hear(fd, false, &a);
    assert_int_equal(a.status, 201);
    answer_free(&a);
    close(fd);

    /* There already: 200 without a byte of the body. */
    fd = rig_connect(r);
    rig_say(fd,
            "%s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nExpect: 100-continue\r\n"
            "Content-Length: %u\r\n\r\n",
            s.put, r->tokens.admin, SIZE);
    rig_hear(fd, false, &a);
    assert_int_equal(a.status, 200);
    assert_false(a.continued);
    answer_free(&a);
    close(fd);
    free(s.data);
}

/* Two agents that computed the same upload it at once: one is told that it is there, or to go on
 * elsewhere, and the blob is right. */
static void two_uploads_of_one_blob(void **state)
{
    struct rig *r = *state;
    struct sample s = sample_make(SIZE, 8);
    int one = rig_connect(r), two = rig_connect(r);
    struct answer a, b;

    rig_ask(one, s.put, r->tokens.admin, "Content-Length: 3158073\r\n", NULL, 0);
    rig_ask(two, s.put, r->tokens.admin, "Content-Length: 3158073\r\n", NULL, 0);
    for (size_t at = 0; at < SIZE; at += 100000) {
        size_t n = SIZE - at < 100000 ? SIZE - at : 100000;
        rig_send(one, s.data + at, n);
        rig_send(two, s.data + at, n);
    }
    rig_hear(one, false, &a);
    rig_hear(two, false, &b);
    assert_true(a.status == 201 || b.status == 201);
    int other = a.status == 201 ? b.status : a.status;
    assert_true(other == 200 || other == 409);
    answer_free(&a);
    answer_free(&b);
    close(one);
    close(two);
    expect_blob(r, &s, SIZE);
    free(s.data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define RIGGED(f) cmocka_unit_test_setup_teardown(f, rig_setup, rig_teardown)
        RIGGED(a_blob_comes_back),
        RIGGED(an_empty_blob_is_one),
        RIGGED(the_join_token_reads_no_blob),
        RIGGED(ranges),
        RIGGED(a_broken_upload_goes_on),
        RIGGED(uploads_are_seen_while_they_go_on),
        RIGGED(wrong_bytes_never_show),
        RIGGED(sizes_must_agree),
        RIGGED(chunked_bodies_need_a_length),
        RIGGED(continue_is_asked_for),
        RIGGED(two_uploads_of_one_blob),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
