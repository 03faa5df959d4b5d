/* A coordinator's store at work on a journaled disk, and what of it had been acknowledged when: a
 * mark is the index of a fact. */
#ifndef TACIT_SIM_POWER_LOSS_STORE_SCENE_H
#define TACIT_SIM_POWER_LOSS_STORE_SCENE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "core/base/digest.h"
#include "core/protocol/messages.h"
#include "tests/sim/disk.h"

enum fact_kind {
    FACT_OPENED, /* id: the incarnation */
    FACT_AGENT,  /* id; token */
    FACT_RUN,    /* id */
    FACT_GRANT,  /* id: the job; agent, fence */
    FACT_DONE,   /* id: the job; digest: its first output */
    FACT_OFFSET, /* digest, bytes; size: what is durable of them */
    FACT_BLOB,   /* digest, bytes */
    FACT_CLOSED,
};
struct fact {
    enum fact_kind kind;
    uint64_t id, agent, size;
    struct msg_fence fence;
    struct digest digest;
    char token[PROTOCOL_TOKEN_MAX + 1];
    const uint8_t *bytes; /* len of them, to the scenario's end */
    size_t len;
};

#define FACTS_MAX 512

struct scene {
    struct fact facts[FACTS_MAX];
    size_t count;
    struct sim_disk *disk;
    struct sim_journal *journal;
    uint8_t *blobs[32]; /* owned */
    unsigned blob_count;
};

/* Plays and records. rounds: how many times the middle part is repeated. Fails the test where
 * anything fails. */
void scene_play(struct scene *s, unsigned rounds);
void scene_free(struct scene *s);

/* replay.h's two looks at what is on the current disk; arg is the scene. */
void scene_state(void *arg, uint64_t out[2]);
bool scene_check(void *arg, size_t acknowledged, char *why, size_t cap);

#endif
