/* DIR/admin.token and DIR/join.token: made at the first start, kept afterwards. */
#ifndef TACIT_COORDINATOR_API_TOKENS_H
#define TACIT_COORDINATOR_API_TOKENS_H

#include "core/base/err.h"
#include "core/protocol/messages.h"

struct tokens {
    char admin[PROTOCOL_TOKEN_MAX + 1], join[PROTOCOL_TOKEN_MAX + 1];
};

/* ERR_FORMAT where a file is there but holds no token. */
TACIT_MUST_CHECK int tokens_open(const char *dir, struct tokens *out, struct err *e);

#endif
