/* The key and certificate that the server shows, looked at again and again: a renewed one is shown
 * to the next who connects, without a restart. */
#ifndef TACIT_COORDINATOR_TLS_SERVER_IDENTITY_H
#define TACIT_COORDINATOR_TLS_SERVER_IDENTITY_H

#include <gnutls/abstract.h>
#include <stdint.h>
#include "core/base/err.h"

struct tls_identity;

/* PEM files, which may be one; key NULL: the certificate's file has the key, too. */
TACIT_MUST_CHECK int tls_identity_open(struct tls_identity **out, const char *certificate,
                                       const char *key, struct err *e);
/* No connection may be left. */
void tls_identity_close(struct tls_identity *i);
/* Reads it again where the file has changed, and says when it is about to end. From one thread. */
void tls_identity_look(struct tls_identity *i);
/* When the first certificate of its chain ends, milliseconds since 1970. Any thread. */
int64_t tls_identity_until_ms(const struct tls_identity *i);
/* What is shown now; valid until the identity is closed. Any thread. */
void tls_identity_show(const struct tls_identity *i, gnutls_pcert_st **chain, unsigned *count,
                       gnutls_privkey_t *key);

#endif
