/* The job in hand: its grant, its folder, its inputs in the cache, its result. */
#ifndef TACIT_AGENT_HOLD_H
#define TACIT_AGENT_HOLD_H

#include <stdbool.h>
#include "agent/cache.h"
#include "core/runners/job.h"
#include "core/base/arena.h"
#include "core/client/client.h"

struct hold {
    bool held;
    struct msg_grant grant; /* strings and arrays in `arena` */
    struct arena arena;
    char *dir; /* WORK/jobs/KEY; NULL until it is there */
    const char **inputs;
    struct job_progress progress;
    struct job_result result;
    uint32_t uploaded; /* outputs that are in the store */
    uint64_t bytes_down, bytes_up;
    /* The spec of the last job, parsed: chains share theirs. */
    bool has_spec;
    struct digest spec_digest;
    struct run_spec spec;
};

void hold_init(struct hold *h);
void hold_free(struct hold *h);

/* What a job computes, as 32 hexadecimal digits: equal for the same work under any fence and job
 * number. */
void hold_key(const struct msg_grant *g, char key[33]);
/* "train expert 2, steps 400 to 800". */
void hold_words(const struct msg_grant *g, char *out, size_t cap);

/* Takes a grant whose strings are in `arena`, which is moved into h. Can't fail: a job that is held
 * here is one whose failures can be told. */
void hold_take(struct hold *h, const struct msg_grant *g, struct arena *arena);
/* Makes the job's folder, where it is not there from before; spec and inputs into the cache,
 * pinned.
 */
TACIT_MUST_CHECK int hold_fetch(struct hold *h, struct cache *cache, struct client *c,
                                const char *work, struct err *e);
TACIT_MUST_CHECK int hold_run(struct hold *h, struct kept *kept, struct err *e);
/* Goes on with the output where an earlier call broke off. */
TACIT_MUST_CHECK int hold_upload(struct hold *h, struct client *c, struct err *e);
/* Forgets the job; its folder goes too where `remove`. adopt: its outputs go into the cache first,
 * since they are likely to be inputs of what comes next. */
void hold_drop(struct hold *h, struct cache *cache, bool adopt, bool remove);

#endif
