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
    bool finished;     /* result is what the job gives */
    bool spooled;      /* and is on the disk (spool.h) */
    uint32_t uploaded; /* outputs that are in the store */
    uint64_t bytes_down, bytes_up;
    double up_rate;          /* of uploads of this process, bytes a second; 0: none yet */
    int64_t upload_until_ms; /* monotonic: uploads end then; 0: never */
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
/* Runs the job, unless its result is there from before, and spools what it gives. After ERR_STOPPED
 * result may be a save to be handed over (result.saved_step). pace, watch: of job.h. */
TACIT_MUST_CHECK int hold_run(struct hold *h, struct kept *kept, struct pace *pace,
                              const struct job_watch *watch, struct err *e);
/* Takes the next result that an earlier process finished and could not deliver; false where there
 * is none. arena: as for hold_take. */
bool hold_take_spooled(struct hold *h, const char *work, struct arena *arena);
/* Seconds that the upload of what is in hand is likely to take. */
double hold_upload_seconds(const struct hold *h);
/* Goes on with the output where an earlier call broke off. */
TACIT_MUST_CHECK int hold_upload(struct hold *h, struct client *c, struct err *e);
/* Forgets the job; its folder goes too where `remove`. adopt: its outputs go into the cache first,
 * since they are likely to be inputs of what comes next. */
void hold_drop(struct hold *h, struct cache *cache, bool adopt, bool remove);

#endif
