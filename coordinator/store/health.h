/* Whether the coordinator can store things: what the last writes and refusals said. Private to
 * store/, but for store_health (store.h). */
#ifndef TACIT_COORDINATOR_STORE_HEALTH_H
#define TACIT_COORDINATOR_STORE_HEALTH_H

#include <stdbool.h>
#include <stdint.h>
#include "core/base/err.h"
#include "core/env/thread.h"

enum health_side { HEALTH_TACIT, HEALTH_BLOBS, HEALTH_ROOM, HEALTH_SIDES };
struct health {
    struct env_mutex mutex; /* guards what follows; nothing is called under it */
    struct {
        int code;          /* 0: it works */
        int64_t since_ms;  /* wall clock */
        int64_t failed_ms; /* monotonic: the last failure */
        char message[256];
    } sides[HEALTH_SIDES];
};

void health_init(struct health *h);
void health_free(struct health *h);
/* A write, or a look whether there is room, has failed: code and message; or went well: 0, NULL.
 * Only what is the machine's counts: no room, errors of the disk, a read-only file system. */
void health_note(struct health *h, enum health_side side, int code, const char *message);
bool health_is_bad(struct health *h, enum health_side side);

#endif
