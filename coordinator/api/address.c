#include "coordinator/api/address.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include "core/base/text.h"

static int parse_v6(const char *host, uint16_t port, struct listen_address *out)
{
    struct sockaddr_in6 *v6 = &out->socket.v6;

    *v6 = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = htons(port)};
    if (inet_pton(AF_INET6, host, &v6->sin6_addr) != 1)
        return -1;
    out->loopback = IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr);
    snprintf(out->host, sizeof out->host, "[%s]", host);
    return 0;
}

static int parse_v4(const char *host, uint16_t port, struct listen_address *out)
{
    struct sockaddr_in *v4 = &out->socket.v4;

    if (host[0] == 0)
        host = "0.0.0.0";
    if (strcmp(host, "localhost") == 0)
        host = "127.0.0.1";
    *v4 = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port)};
    if (inet_pton(AF_INET, host, &v4->sin_addr) != 1)
        return -1;
    out->loopback = ntohl(v4->sin_addr.s_addr) >> 24 == 127;
    snprintf(out->host, sizeof out->host, "%s", host);
    return 0;
}

int listen_address_parse(const char *text, struct listen_address *out, struct err *e)
{
    const char *colon = strrchr(text, ':');
    char host[64];
    uint64_t port;
    size_t len = colon ? (size_t)(colon - text) : 0;

    memset(out, 0, sizeof *out);
    if (!colon || !text_to_u64(colon + 1, &port) || port > 65535 || len >= sizeof host - 2)
        return err_set(e, ERR_INVALID,
                       "\"%.100s\" is not HOST:PORT: give an address and a port from 0 to 65535, "
                       "such as 127.0.0.1:8420",
                       text);
    memcpy(host, text, len);
    host[len] = 0;
    if (host[0] == '[' && host[len - 1] == ']') {
        host[len - 1] = 0;
        if (parse_v6(host + 1, (uint16_t)port, out) == 0)
            return 0;
    } else if (parse_v4(host, (uint16_t)port, out) == 0) {
        return 0;
    }
    return err_set(e, ERR_INVALID,
                   "\"%s\" is no address to listen on: give one of this machine's addresses, such "
                   "as 127.0.0.1 or [::1], or 0.0.0.0 for all",
                   host);
}
