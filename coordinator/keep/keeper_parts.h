/* What the files of keep/ share. */
#ifndef TACIT_COORDINATOR_KEEP_KEEPER_PARTS_H
#define TACIT_COORDINATOR_KEEP_KEEPER_PARTS_H

#include <stdbool.h>
#include "core/env/thread.h"
#include "core/protocol/messages.h"
#include "coordinator/keep/keeper.h"
#include "coordinator/store/scrub.h"

struct keeper {
    struct service *service;
    struct keeper_options options;
    struct env_thread thread;
    bool started;
    struct env_mutex mutex; /* guards stopping and wake; nothing is called under it */
    struct env_cond changed;
    bool stopping, wake;

    /* The thread's own. */
    int64_t released_at_ms, pass_at_ms, expire_at_ms; /* when each is due again */
    int64_t health_at_ms, plan_at_ms, pace_at_ms;
    int health;   /* what the last look said */
    bool passing; /* a search through all blobs is under way */
    uint64_t cursor;

    struct env_mutex scrub_mutex; /* guards what follows; the store is called under it */
    struct scrub *scrub;
    struct msg_scrub shown; /* number, running, run, error */
    char run_name[65], scrub_error[512];
};

void keeper_wake(struct keeper *k);
bool keeper_stopping(struct keeper *k);
TACIT_MUST_CHECK int keeper_of(const struct call *c, struct keeper **out, struct err *e);

/* collect.c: one look and what goes of it. *end: all blobs have been looked at. */
TACIT_MUST_CHECK int keep_pass_step(struct keeper *k, uint64_t *cursor, bool *end, uint64_t *blobs,
                                    uint64_t *bytes, struct err *e);
/* What was released lately, and what ended runs leave: all of it (*end), or until the time (of the
 * monotonic clock) or a stop. */
TACIT_MUST_CHECK int keep_released(struct keeper *k, int64_t until_ms, bool *end, uint64_t *blobs,
                                   uint64_t *bytes, struct err *e);

/* backing.c: what a backup that was killed has left in the folder. */
void keep_sweep_snapshots(const char *dir);

/* scrubbing.c: reads on for a moment; returns for how long to leave the disk to others, −1 where no
 * scrub is running. */
int64_t keep_scrub_step(struct keeper *k);
void keep_scrub_free(struct keeper *k);

#endif
