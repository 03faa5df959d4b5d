/* Replays jobs on this machine with the code that agents run, and compares what comes out with what
 * was published. Inputs come from the coordinator; one that retention has dropped is made again by
 * replaying the job that gave it, and so on back to what is there, or to the initial weights. */
#ifndef TACIT_OPS_CLI_JOB_REPLAY_H
#define TACIT_OPS_CLI_JOB_REPLAY_H

#include "core/runners/job.h"
#include "ops/cli/made.h"
#include "ops/cli/verify_store.h"

struct replayer;

/* threads: of the kernels; changes no bit. */
TACIT_MUST_CHECK int replayer_create(struct replayer **out, struct cli *cli,
                                     struct verify_store *store, int threads, struct err *e);
void replayer_destroy(struct replayer *r); /* accepts NULL */
/* Of the job under way; another thread may look. */
struct job_progress *replayer_progress(struct replayer *r);

enum replay_verdict {
    REPLAY_AGREES,
    REPLAY_DIFFERS,   /* published and replayed name what two computations gave */
    REPLAY_BAD_INPUT, /* the input in the store is not what its names say */
    REPLAY_BAD_OUTPUT /* the same of the result itself */
};

/* Strings and arrays in the arena of the call. */
struct replay_outcome {
    enum replay_verdict verdict;
    bool recalled;        /* nothing was computed: a replay of before is remembered */
    uint32_t remade;      /* jobs before it that were replayed, since their results are dropped */
    struct msg_made made; /* unless it agrees: the job it is about, which is the one asked for, or
                             the first before it that differs */
    struct msg_blob published, replayed; /* the first output that differs; of a bad one, as it was
                                            published */
    struct msg_made source; /* of a bad input: where it comes from; what: MADE_BY_JOB if a job */
    const char *why;        /* of a bad one */
};

/* Whether jobs of this kind can be replayed: all but reports, which hold times. */
bool replay_can(int kind);
TACIT_MUST_CHECK int replay_job(struct replayer *r, uint64_t job, struct arena *a,
                                struct replay_outcome *o, struct err *e);

#endif
