/* Who this agent is: WORK/identity, 64 random hexadecimal digits that are on disk before it first
 * joins, so that a crash can't make two agents of one; and WORK/agent.token, what the coordinator
 * gave it, for itself alone (mode 0600). */
#ifndef TACIT_AGENT_IDENTITY_H
#define TACIT_AGENT_IDENTITY_H

#include <stdbool.h>
#include "core/base/digest.h"
#include "core/base/err.h"
#include "core/protocol/messages.h"

struct identity {
    char hex[DIGEST_HEX + 1];
    char token[PROTOCOL_TOKEN_MAX + 1]; /* "" where none was kept */
};

/* Reads both from the work folder; makes the identity where there is none. */
TACIT_MUST_CHECK int identity_load(const char *work, struct identity *id, struct err *e);
TACIT_MUST_CHECK int identity_keep_token(const char *work, struct identity *id, const char *token,
                                         struct err *e);

#endif
