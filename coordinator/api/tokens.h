/* DIR/admin.token, join.token and viewer.token: made at the first start, kept afterwards. */
#ifndef TACIT_COORDINATOR_API_TOKENS_H
#define TACIT_COORDINATOR_API_TOKENS_H

#include "core/base/err.h"
#include "core/protocol/messages.h"

enum token_kind { TOKEN_ADMIN, TOKEN_JOIN, TOKEN_VIEWER, TOKEN_KINDS };

struct tokens {
    char admin[PROTOCOL_TOKEN_MAX + 1], join[PROTOCOL_TOKEN_MAX + 1];
    char viewer[PROTOCOL_TOKEN_MAX + 1];
};

/* ERR_FORMAT where a file is there but holds no token. */
TACIT_MUST_CHECK int tokens_open(const char *dir, struct tokens *out, struct err *e);

/* Another token in its kind's file in DIR. token: PROTOCOL_TOKEN_MAX + 1 bytes. */
TACIT_MUST_CHECK int tokens_renew(const char *dir, int kind, char *token, struct err *e);

/* POST /v1/tokens/{name}/rotate → msg_token; on a works thread. name: admin, join, viewer. */
struct call;
int tokens_rotate(struct call *c, const void *in, void *out, struct err *e);

#endif
