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

/* Another join token in DIR/join.token. token: PROTOCOL_TOKEN_MAX + 1 bytes. */
TACIT_MUST_CHECK int tokens_renew_join(const char *dir, char *token, struct err *e);

/* POST /v1/tokens/join/rotate → msg_token; on a works thread. */
struct call;
int tokens_rotate_join(struct call *c, const void *in, void *out, struct err *e);

#endif
