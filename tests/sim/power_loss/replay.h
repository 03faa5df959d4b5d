/* Power loss at every moment of a recorded scenario: for each prefix of a journal the disk is built
 * as a power loss there may leave it, opened again, and held against what had been acknowledged. */
#ifndef TACIT_SIM_POWER_LOSS_REPLAY_H
#define TACIT_SIM_POWER_LOSS_REPLAY_H

#include "tests/sim/disk.h"

#define REPLAY_PARTS 2

struct replay {
    const struct sim_journal *journal;
    unsigned drawn;       /* builds with a random part of what was unsynced, a prefix */
    unsigned check_every; /* of builds, one in so many is opened by the program itself; 1: every
                             prefix is, and every drawn build of it */
    /* The control: syncs of files whose name ends so did nothing ("": all). NULL: none. */
    const char *ignored_syncs;
    void *arg;
    /* Numbers that stand for all that is committed in each part (a database), found on the current
     * disk without the program. NULL: nothing has states. */
    void (*state)(void *arg, uint64_t out[REPLAY_PARTS]);
    /* Opens what is on the current disk as the program does: the first `acknowledged` marks must
     * hold. False: why not. */
    bool (*check)(void *arg, size_t acknowledged, char *why, size_t cap);
};
struct replay_result {
    size_t operations, marks, builds, checks, violations;
    size_t opened;   /* prefixes of which at least one build was opened, of `operations` */
    char first[512]; /* the first violation: where, which loss, why */
};
/* Stops at the first violation. */
struct replay_result replay_run(const struct replay *r);

#endif
