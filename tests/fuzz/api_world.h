/* A coordinator without its HTTP server, in a folder of its own: a data set, a run, an agent that
 * holds a job; always the same ones. */
#ifndef TACIT_TESTS_FUZZ_API_WORLD_H
#define TACIT_TESTS_FUZZ_API_WORLD_H

#include <stdbool.h>
#include "core/protocol/messages.h"
#include "coordinator/api/api.h"

#define WORLD_ADMIN "admin-token"
#define WORLD_JOIN "join-token"

struct world {
    char dir[64], start[64]; /* what it works in, and the state that it begins in */
    char agent[PROTOCOL_TOKEN_MAX + 1];
    struct service service;
    struct api *api;
};

void world_make(struct world *w);
/* Back to the start, however far it has gone. */
void world_reset(struct world *w);
void world_remove(struct world *w);
/* One request: the reply's status, and its body (appended, NULL: left) as api.h gives it. body
 * NULL: none. */
int world_ask(struct world *w, const struct api_request *head, const void *body, size_t len,
              struct buf *answer);

#endif
