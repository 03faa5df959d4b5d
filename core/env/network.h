/* The way to another host, step by step: for those who want to know which one fails. All else goes
 * through http.h. */
#ifndef TACIT_ENV_NETWORK_H
#define TACIT_ENV_NETWORK_H

#include <stddef.h>
#include <stdint.h>
#include "core/base/err.h"

/* The addresses of a host, "10.0.0.1, ::1", at most a few. ERR_NOT_FOUND where there are none;
 * ERR_UNAVAILABLE where nobody who would know answers. */
TACIT_MUST_CHECK int env_net_find(const char *host, char *out, size_t cap, struct err *e);
/* Whether a connection comes about with one of them, and how long that took. ERR_UNAVAILABLE says
 * why not. */
TACIT_MUST_CHECK int env_net_reach(const char *host, uint16_t port, int64_t timeout_ms,
                                   int64_t *took_ms, struct err *e);

#endif
