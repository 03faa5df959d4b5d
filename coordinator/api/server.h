/* The shell around api.h: libmicrohttpd, two threads on epoll. */
#ifndef TACIT_COORDINATOR_API_SERVER_H
#define TACIT_COORDINATOR_API_SERVER_H

#include <stdint.h>
#include "coordinator/api/address.h"
#include "coordinator/api/api.h"

struct server;
struct tls_identity;

struct server_options {
    const struct listen_address *address; /* port 0: any free one */
    const struct tls_identity *identity;  /* tls/server_identity.h; NULL: without TLS */
    int64_t wait_ms; /* how long a port that is in use is waited for: a dying predecessor */
};

/* ERR_BUSY where the port is in use. */
TACIT_MUST_CHECK int server_start(struct server **out, struct api *a, struct service *s,
                                  const struct server_options *o, struct err *e);
uint16_t server_port(const struct server *s);
/* Refuses new requests, finishes what is queued, answers waiting claims with 503, closes. */
void server_stop(struct server *s);
/* After the store is closed: uploads that broke off may be written until then. */
void server_destroy(struct server *s);

#endif
