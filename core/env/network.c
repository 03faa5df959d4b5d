#include "core/env/network.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "core/env/clock.h"

#define NAMES_MAX 4

static int find(const char *host, const char *port, struct addrinfo **list, struct err *e)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    int code = getaddrinfo(host, port, &hints, list);
    if (code == 0)
        return 0;
    if (code == EAI_AGAIN)
        return err_set(e, ERR_UNAVAILABLE, "no name server answers when asked for '%s'", host);
    return err_set(e, ERR_NOT_FOUND, "no host '%s' is known: %s", host,
                   code == EAI_SYSTEM ? strerror(errno) : gai_strerror(code));
}

int env_net_find(const char *host, char *out, size_t cap, struct err *e)
{
    struct addrinfo *list;
    size_t n = 0;
    int names = 0, rc = find(host, NULL, &list, e);
    if (rc)
        return rc;
    out[0] = 0;
    for (const struct addrinfo *a = list; a && names < NAMES_MAX && n + 1 < cap; a = a->ai_next) {
        char name[64];
        if (getnameinfo(a->ai_addr, a->ai_addrlen, name, sizeof name, NULL, 0, NI_NUMERICHOST))
            continue;
        n += (size_t)snprintf(out + n, cap - n, "%s%s", names++ ? ", " : "", name);
    }
    freeaddrinfo(list);
    return 0;
}

/* 0, or errno. */
static int reach(const struct addrinfo *a, int64_t timeout_ms)
{
    int error = 0;
    socklen_t len = sizeof error;
    int fd = socket(a->ai_family, a->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, a->ai_protocol);
    if (fd < 0)
        return errno;
    if (connect(fd, a->ai_addr, a->ai_addrlen) != 0)
        error = errno;
    if (error == EINPROGRESS) {
        struct pollfd p = {.fd = fd, .events = POLLOUT};
        int ready = poll(&p, 1, (int)timeout_ms);
        error = ready == 0 ? ETIMEDOUT : ready < 0 ? errno : 0;
        if (ready > 0 && getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0)
            error = errno;
    }
    close(fd);
    return error;
}

int env_net_reach(const char *host, uint16_t port, int64_t timeout_ms, int64_t *took_ms,
                  struct err *e)
{
    char number[8];
    struct addrinfo *list;
    int error = EHOSTUNREACH;
    int64_t began = env_monotonic_ms();
    snprintf(number, sizeof number, "%u", port);
    int rc = find(host, number, &list, e);
    if (rc)
        return rc;
    for (const struct addrinfo *a = list; a && error; a = a->ai_next)
        error = reach(a, timeout_ms);
    freeaddrinfo(list);
    *took_ms = env_monotonic_ms() - began;
    return error ? err_set(e, ERR_UNAVAILABLE, "%s", strerror(error)) : 0;
}
