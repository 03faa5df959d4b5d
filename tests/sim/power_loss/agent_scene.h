/* An agent's work folder in use on a journaled disk: its identity and token, what it downloads, its
 * local saves, its outputs in the cache; and what of it had been promised when. */
#ifndef TACIT_SIM_POWER_LOSS_AGENT_SCENE_H
#define TACIT_SIM_POWER_LOSS_AGENT_SCENE_H

#include <stdbool.h>
#include <stddef.h>
#include "core/base/digest.h"
#include "tests/sim/disk.h"

enum promise_kind {
    PROMISE_IDENTITY, /* text */
    PROMISE_TOKEN,    /* text */
    PROMISE_SAVE,     /* job, step */
    PROMISE_RESULT,   /* job: what it gave will be delivered */
    PROMISE_REMOVED,  /* job: about to be, so that nothing is promised of it any more */
};
struct promise {
    enum promise_kind kind;
    char text[80];
    unsigned job, step;
};

#define PROMISES_MAX 64
#define SCENE_BLOBS 8
#define SCENE_JOBS 5

struct agent_scene {
    struct promise promises[PROMISES_MAX];
    size_t count;
    char tokens[2][80]; /* in their order */
    struct {
        struct digest digest;
        uint8_t *data;
        size_t len;
    } blobs[SCENE_BLOBS]; /* all that the coordinator has */
    struct sim_disk *disk;
    struct sim_journal *journal;
};

void agent_scene_play(struct agent_scene *s);
/* Whether a start finds a result that is to be delivered (two are, at the scene's end); deliver: it
 * is no more. */
bool agent_scene_find_owed(bool deliver);
void agent_scene_free(struct agent_scene *s);
/* replay.h's look at what is on the current disk; arg is the scene. */
bool agent_scene_check(void *arg, size_t acknowledged, char *why, size_t cap);

#endif
