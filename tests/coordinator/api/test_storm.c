/* A thousand agents come back at once, over a thousand connections: every one is answered, with a
 * job, with none, or with when to come back; nobody is cut off, and no job is given twice. */
#include "tests/coordinator/api/rig.h"

#include <poll.h>
#include <sys/resource.h>
#include "core/base/text.h"

#define AGENTS 1000
#define WAIT_MS 2000
#define SLOW_MS 1500
#define PATIENCE_MS 60000

struct agent {
    char token[PROTOCOL_TOKEN_MAX + 1];
    int fd;
    char head[2048];
    size_t len;
    int64_t again_ms; /* to ask again */
    int refused;
    bool done;
};

/* All at once, too: their writes go together. */
static void join_all(struct rig *r, struct agent *agents)
{
    for (int i = 0; i < AGENTS; i++) {
        char json[300], hex[DIGEST_HEX + 1];
        struct digest d;
        digest_of(&i, sizeof i, &d);
        snprintf(json, sizeof json, "{\"identity\":\"%s\",\"name\":\"agent-%d\",\"threads\":1}",
                 digest_to_hex(&d, hex), i);
        agents[i].fd = rig_connect(r);
        rig_ask(agents[i].fd, "POST /v1/agents", r->tokens.join, NULL, json, strlen(json));
    }
    for (int i = 0; i < AGENTS; i++) {
        struct answer a;
        rig_hear(agents[i].fd, false, &a);
        assert_int_equal(a.status, 200);
        const char *at = strstr(a.body, "\"token\":\"");
        assert_non_null(at);
        snprintf(agents[i].token, sizeof agents[i].token, "%.*s", (int)strcspn(at + 9, "\""),
                 at + 9);
        answer_free(&a);
    }
}

/* A disk that takes its time, so that claims pile up. */
static int slow_fn(struct store_conn *c, void *arg, struct err *e)
{
    (void)c;
    (void)arg;
    (void)e;
    env_sleep_ms(SLOW_MS);
    return 0;
}

static void slow_done(void *arg, int rc, const struct err *e)
{
    (void)arg;
    (void)rc;
    (void)e;
}

static void ask(struct agent *a)
{
    char json[64];
    snprintf(json, sizeof json, "{\"wait_ms\":%d}", WAIT_MS);
    a->len = 0;
    a->again_ms = 0;
    rig_ask(a->fd, "POST /v1/claims", a->token, NULL, json, strlen(json));
}

/* An answer is whole: 204 and problems alike. */
static void take(struct agent *a, int64_t now)
{
    a->head[a->len] = 0;
    const char *end = strstr(a->head, "\r\n\r\n"),
               *length = strcasestr(a->head, "Content-Length: ");
    size_t body = length && end && length < end ? strtoull(length + 16, NULL, 10) : 0;
    if (!end || a->len < (size_t)(end - a->head) + 4 + body)
        return;
    int status = atoi(a->head + 9);
    assert_in_range(status, 100, 599);
    if (status == 503) {
        const char *later = strcasestr(a->head, "Retry-After: ");
        assert_non_null(later); /* a refusal says when to come back */
        assert_non_null(strstr(a->head, "ERR_UNAVAILABLE"));
        a->refused++;
        a->again_ms = now + 1000 * atoll(later + 13);
    } else {
        assert_int_equal(status, 204); /* there are no jobs here */
        a->done = true;
    }
    a->len = 0;
}

static void hear(struct agent *a, int64_t now)
{
    ssize_t n = recv(a->fd, a->head + a->len, sizeof a->head - 1 - a->len, 0);
    assert_true(n > 0); /* nobody is cut off */
    a->len += (size_t)n;
    take(a, now);
}

static void a_thousand_come_back_at_once(void **state)
{
    struct rig *r = *state;
    struct agent *agents = calloc(AGENTS, sizeof *agents);
    struct pollfd *fds = calloc(AGENTS, sizeof *fds);
    int done = 0, refused = 0;
    join_all(r, agents);
    store_write(r->service.store, slow_fn, slow_done, NULL);
    int64_t start = env_monotonic_ms(), now = start;
    for (int i = 0; i < AGENTS; i++)
        ask(&agents[i]);
    while (done < AGENTS && now - start < PATIENCE_MS) {
        for (int i = 0; i < AGENTS; i++) {
            bool waits = agents[i].again_ms > now;
            if (!waits && agents[i].again_ms > 0)
                ask(&agents[i]);
            fds[i] = (struct pollfd){agents[i].done || waits ? -1 : agents[i].fd, POLLIN, 0};
        }
        assert_true(poll(fds, AGENTS, 100) >= 0);
        now = env_monotonic_ms();
        done = 0;
        for (int i = 0; i < AGENTS; i++) {
            if (fds[i].fd >= 0 && fds[i].revents)
                hear(&agents[i], now);
            done += agents[i].done;
        }
    }
    assert_int_equal(done, AGENTS);
    for (int i = 0; i < AGENTS; i++) {
        refused += agents[i].refused;
        close(agents[i].fd);
    }
    assert_true(refused > 0); /* rather than kept waiting in a queue without end */
    print_message("answered in %.1f s, %d times with when to come back\n",
                  (double)(now - start) / 1000, refused);
    free(fds);
    free(agents);
}

int main(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max; /* both ends are here */
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_thousand_come_back_at_once, rig_setup, rig_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
