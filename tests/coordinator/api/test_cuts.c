/* The client and the coordinator over a line that breaks, at every tenth of a blob, both ways. What
 * would break for a user: a large state over a bad line that is sent from its start again and
 * again, or a finished upload that counts as failed because its last answer was lost. */
#include "tests/coordinator/api/rig.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include "core/client/client.h"
#include "core/env/file.h"
#include "coordinator/store/store_parts.h"

#define SIZE (5 * BLOB_CHUNK + 4321u)
#define HEADS 16384 /* bytes of requests and answers beside the blob's */
#define UP 0
#define DOWN 1
#define NEVER UINT64_MAX

/* Passes connections on to the coordinator, one at a time. */
struct line {
    struct rig *rig;
    int listener;
    uint16_t port;
    pthread_t thread;
    atomic_bool ending;
    /* Of the next connection: it breaks after so many bytes that way. */
    _Atomic uint64_t cut[2];
    _Atomic uint64_t passed[2]; /* bytes, of all connections */
    atomic_bool swallow;        /* the answer to a whole upload is lost, once */
};

static bool pass(struct line *l, int way, int from, int to, uint64_t *left)
{
    char data[16384];
    size_t want = *left < sizeof data ? (size_t)*left : sizeof data;
    ssize_t n = want > 0 ? recv(from, data, want, 0) : 0;
    if (n <= 0)
        return false;
    atomic_fetch_add(&l->passed[way], (uint64_t)n);
    *left -= (uint64_t)n;
    rig_send(to, data, (size_t)n);
    return *left > 0;
}

static void serve(struct line *l, int client)
{
    int server = rig_connect(l->rig);
    uint64_t left[2] = {atomic_exchange(&l->cut[UP], NEVER), atomic_exchange(&l->cut[DOWN], NEVER)};
    bool open = true;
    while (open && !atomic_load(&l->ending)) {
        struct pollfd p[2] = {{.fd = client, .events = POLLIN}, {.fd = server, .events = POLLIN}};
        if (poll(p, 2, 50) < 0)
            break;
        if (p[UP].revents)
            open = pass(l, UP, client, server, &left[UP]);
        if (open && p[DOWN].revents && atomic_load(&l->passed[UP]) > SIZE &&
            atomic_exchange(&l->swallow, false))
            break;
        if (open && p[DOWN].revents)
            open = pass(l, DOWN, server, client, &left[DOWN]);
    }
    close(client);
    close(server);
}

static void *line_main(void *arg)
{
    struct line *l = arg;
    while (!atomic_load(&l->ending)) {
        struct pollfd p = {.fd = l->listener, .events = POLLIN};
        if (poll(&p, 1, 50) != 1)
            continue;
        int client = accept(l->listener, NULL, NULL);
        if (client >= 0)
            serve(l, client);
    }
    return NULL;
}

static void line_open(struct line *l, struct rig *r)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof a;
    *l = (struct line){.rig = r, .listener = socket(AF_INET, SOCK_STREAM, 0)};
    atomic_store(&l->cut[UP], NEVER);
    atomic_store(&l->cut[DOWN], NEVER);
    assert_int_equal(bind(l->listener, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(listen(l->listener, 8), 0);
    assert_int_equal(getsockname(l->listener, (struct sockaddr *)&a, &len), 0);
    l->port = ntohs(a.sin_port);
    assert_int_equal(pthread_create(&l->thread, NULL, line_main, l), 0);
}

static void line_close(struct line *l)
{
    atomic_store(&l->ending, true);
    pthread_join(l->thread, NULL);
    close(l->listener);
}

static struct client *client_of(struct line *l)
{
    struct client *c;
    struct err e = {0};
    char url[64];
    snprintf(url, sizeof url, "http://127.0.0.1:%u", l->port);
    struct client_options o = {.url = url, .token = l->rig->tokens.admin};
    must(client_open(&c, &o, &e), &e);
    return c;
}

/* A blob of its own for each number, in a file. */
static void make_blob(struct rig *r, unsigned number, struct digest *d, char path[128])
{
    struct err e = {0};
    uint8_t *data = malloc(SIZE);
    for (size_t i = 0; i < SIZE; i++)
        data[i] = (uint8_t)((i * 2654435761u >> 7) + number);
    digest_of(data, SIZE, d);
    snprintf(path, 128, "%s/blob-%u", r->dir, number);
    must(env_file_write_atomic(path, data, SIZE, 0600, &e), &e);
    free(data);
}

static bool is_there(struct rig *r, const struct digest *d)
{
    struct blob_info info;
    struct err e = {0};
    return blob_stat(r->service.store, d, &info, &e) == 0 && info.complete;
}

/* Until the coordinator has seen that the upload has begun and ended, and kept what came of it. */
static void wait_for_the_end(struct rig *r, const struct digest *d)
{
    struct blob_info info;
    struct err e = {0};
    for (int i = 0; i < 2000; i++, env_sleep_ms(10))
        if (blob_stat(r->service.store, d, &info, &e) == 0 && info.offset > 0 &&
            atomic_load(&r->service.store->upload_bytes) == 0)
            return;
    fail_msg("the coordinator keeps nothing of an upload that was cut, or does not end it");
}

static void uploads_go_on(void **state)
{
    struct rig *r = *state;
    struct line l;
    line_open(&l, r);
    for (unsigned tenth = 1; tenth < 10; tenth++) {
        struct err e = {0};
        struct digest d;
        char path[128];
        uint64_t moved = 0;
        struct client *c = client_of(&l);
        make_blob(r, tenth, &d, path);
        atomic_store(&l.passed[UP], 0);
        atomic_store(&l.cut[UP], (uint64_t)SIZE * tenth / 10);
        assert_int_equal(client_blob_put(c, &d, path, SIZE, NULL, NULL, &moved, &e),
                         ERR_UNAVAILABLE);
        assert_false(is_there(r, &d));
        wait_for_the_end(r, &d);
        must(client_blob_put(c, &d, path, SIZE, NULL, NULL, &moved, &e), &e);
        assert_true(is_there(r, &d));
        if (atomic_load(&l.passed[UP]) > SIZE + BLOB_CHUNK + HEADS)
            fail_msg("cut at %u tenths: %llu bytes were sent for %u", tenth,
                     (unsigned long long)atomic_load(&l.passed[UP]), SIZE);
        client_close(c);
    }
    line_close(&l);
}

/* All has arrived, but who sent it does not hear of it. */
static void a_lost_answer_is_no_loss(void **state)
{
    struct rig *r = *state;
    struct line l;
    struct err e = {0};
    struct digest d;
    char path[128];
    uint64_t moved = 0;
    line_open(&l, r);
    struct client *c = client_of(&l);
    make_blob(r, 20, &d, path);
    atomic_store(&l.swallow, true);
    (void)!client_blob_put(c, &d, path, SIZE, NULL, NULL, &moved, &e);
    assert_false(atomic_load(&l.swallow));
    for (int i = 0; i < 500 && !is_there(r, &d); i++)
        env_sleep_ms(10);
    assert_true(is_there(r, &d));
    uint64_t before = atomic_load(&l.passed[UP]);
    must(client_blob_put(c, &d, path, SIZE, NULL, NULL, &moved, &e), &e);
    assert_true(atomic_load(&l.passed[UP]) - before < HEADS); /* asked, and sent nothing again */
    client_close(c);
    line_close(&l);
}

static void downloads_go_on(void **state)
{
    struct rig *r = *state;
    struct line l;
    struct err e = {0};
    struct digest d;
    char path[128], copy[160];
    uint64_t moved = 0;
    line_open(&l, r);
    make_blob(r, 30, &d, path);
    struct client *c = client_of(&l);
    must(client_blob_put(c, &d, path, SIZE, NULL, NULL, &moved, &e), &e);
    client_close(c);
    for (unsigned tenth = 1; tenth < 10; tenth++) {
        c = client_of(&l);
        snprintf(copy, sizeof copy, "%s/copy-%u", r->dir, tenth);
        atomic_store(&l.passed[DOWN], 0);
        atomic_store(&l.cut[DOWN], (uint64_t)SIZE * tenth / 10);
        assert_int_equal(client_blob_get(c, &d, copy, NULL, NULL, &moved, &e), ERR_UNAVAILABLE);
        assert_false(env_file_exists(copy));
        must(client_blob_get(c, &d, copy, NULL, NULL, &moved, &e), &e); /* digest checked */
        assert_true(env_file_exists(copy));
        assert_true(atomic_load(&l.passed[DOWN]) <= SIZE + BLOB_CHUNK + HEADS);
        client_close(c);
    }
    line_close(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(uploads_go_on, rig_setup, rig_teardown),
        cmocka_unit_test_setup_teardown(a_lost_answer_is_no_loss, rig_setup, rig_teardown),
        cmocka_unit_test_setup_teardown(downloads_go_on, rig_setup, rig_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
