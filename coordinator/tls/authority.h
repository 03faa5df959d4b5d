/* A coordinator's own authority: a key that signs its certificate, so that clients who know the
 * authority know the coordinator, and its certificate can be made anew without their noticing.
 *
 *     DIR/tls/authority.pem   its certificate: what clients trust
 *     DIR/tls/authority.key   its key: may be kept elsewhere, and is needed to renew
 *     DIR/tls/server.pem      the coordinator's key and certificate, and the authority's: one file,
 *                             so that a crash leaves a pair that fits
 *     DIR/operator.join       core/client/join_file.h: for `tacit`
 *     DIR/agent.join          the same, with the join token, for agents
 */
#ifndef TACIT_COORDINATOR_TLS_AUTHORITY_H
#define TACIT_COORDINATOR_TLS_AUTHORITY_H

#include <stdbool.h>
#include <stdint.h>
#include "core/base/err.h"

#define TLS_HOSTS_MAX 32
#define TLS_DAYS 397 /* what browsers take at most */
#define TLS_DAYS_MAX 3650
#define TLS_AUTHORITY_DAYS 7300

struct tls_wanted {
    const char *hosts[TLS_HOSTS_MAX]; /* names and addresses that clients use; the first is in join
                                         files */
    uint32_t host_count;              /* tls_renew: 0: those of before */
    uint16_t port;                    /* tls_renew: 0: that of before */
    uint32_t days;                    /* of the coordinator's certificate; 0: TLS_DAYS */
};

/* What was made. */
struct tls_made {
    char url[320];
    int64_t until_ms; /* of the coordinator's certificate */
};

/* "train.example.org,10.0.0.5": into wanted; text is cut. */
TACIT_MUST_CHECK int tls_hosts_parse(char *text, struct tls_wanted *wanted, struct err *e);
/* ERR_EXISTS where there is an authority. The operator's and the join token are made where absent.
 */
TACIT_MUST_CHECK int tls_init(const char *dir, const struct tls_wanted *wanted,
                              struct tls_made *made, struct err *e);
/* Another key and certificate of the coordinator's by the same authority. */
TACIT_MUST_CHECK int tls_renew(const char *dir, const struct tls_wanted *wanted,
                               struct tls_made *made, struct err *e);
/* Writes agent.join anew with this token, where there is one. */
TACIT_MUST_CHECK int tls_join_token(const char *dir, const char *token, struct err *e);
/* DIR/tls/server.pem, where it is there; else NULL. Heap. */
char *tls_server_path(const char *dir);

#endif
