/* Notices of the end. What would break for a user: a machine that is taken away before its agent
 * has looked at the notice, because it was waiting for somebody else's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <poll.h>
#include <unistd.h>
#include "agent/preempt.h"
#include "core/env/clock.h"
#include "core/env/process.h"

/* A metadata service that takes the question and never answers. */
static int mute_service(char url[64])
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(listen(fd, 4), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
    snprintf(url, 64, "http://127.0.0.1:%d", ntohs(a.sin_port));
    return fd;
}

static void test_a_mute_cloud_hides_no_file(void **state)
{
    char url[64], file[] = "/tmp/tacit-preempt-XXXXXX";
    struct err e = {0};
    struct preempt *p;
    struct preempt_notice n;
    (void)state;
    int fd = mute_service(url), made = mkstemp(file);
    close(made);
    unlink(file);
    struct preempt_options o = {
        .file = file, .cloud = CLOUD_GCP, .url = url, .grace_ms = 60000, .exit_code = 1};
    if (preempt_create(&p, &o, NULL, NULL, &e))
        fail_msg("%s", e.message);
    struct pollfd asked = {.fd = fd, .events = POLLIN};
    assert_int_equal(poll(&asked, 1, 20000), 1); /* it is, and hangs for ten seconds */
    FILE *f = fopen(file, "w");
    assert_non_null(f);
    fclose(f);
    assert_true(env_stop_wait_ms(7000));
    preempt_notice(p, &n);
    assert_memory_equal(n.words, "the file ", 9);
    preempt_destroy(p);
    unlink(file);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_a_mute_cloud_hides_no_file)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
