/* "HOST:PORT" as people type it: 127.0.0.1:8420, [::1]:8080, localhost:8080, :8080 (everywhere). */
#ifndef TACIT_COORDINATOR_API_ADDRESS_H
#define TACIT_COORDINATOR_API_ADDRESS_H

#include <stdbool.h>
#include <netinet/in.h>
#include "core/base/err.h"

struct listen_address {
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } socket;
    bool loopback;
    char host[72]; /* as it stands in a URL: with brackets for IPv6 */
};

TACIT_MUST_CHECK int listen_address_parse(const char *text, struct listen_address *out,
                                          struct err *e);

#endif
