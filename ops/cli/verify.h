/* Verifying a run: which jobs are replayed, the store's blobs against their names, and what is
 * found. */
#ifndef TACIT_OPS_CLI_VERIFY_H
#define TACIT_OPS_CLI_VERIFY_H

#include "core/protocol/messages.h"
#include "ops/cli/command.h"
#include "ops/cli/job_replay.h"

struct verify_options {
    const char *run, *work; /* work NULL: a folder of the user's cache */
    bool all;
    uint64_t links, seed; /* not all: so many training jobs, picked by seed */
    uint64_t threads;     /* 0: all processors */
};

/* What was found; arrays and strings in the command's arena. */
TACIT_MUST_CHECK int verify_here(struct cli *cli, const struct verify_options *o,
                                 struct msg_verified *out, struct err *e);
/* The same by agents, whose replays the coordinator compares; work and threads are of no use. */
TACIT_MUST_CHECK int verify_by_agents(struct cli *cli, const struct verify_options *o,
                                      struct msg_verified *out, struct err *e);
/* Calls take on the jobs that are asked for; *jobs: how many there are in all. */
typedef int verify_take_fn(void *arg, uint64_t job, double seconds, struct err *e);
TACIT_MUST_CHECK int verify_picked(struct cli *cli, const struct verify_options *o, uint64_t *jobs,
                                   verify_take_fn *take, void *arg, struct err *e);
/* Opens the folder of work and a replayer in it. Close both, also after an error. */
TACIT_MUST_CHECK int verify_open(struct cli *cli, const char *work, uint64_t threads,
                                 struct verify_store **store, struct replayer **r, struct err *e);

/* Has the coordinator read the run's blobs; fills blobs, bytes, bad and bad_total. */
TACIT_MUST_CHECK int verify_stored(struct cli *cli, const char *run, struct msg_verified *v,
                                   struct err *e);
/* Calls each on the run's done jobs in the order of their numbers, which is one in which what a job
 * reads comes before it. Non-zero ends it. */
typedef int verify_each_fn(void *arg, const struct msg_result *r, struct err *e);
TACIT_MUST_CHECK int verify_each(struct cli *cli, const char *run, verify_each_fn *each, void *arg,
                                 struct err *e);
/* Whether a sample picks among jobs like this: links of routers, experts and dense models. */
bool verify_is_link(int kind);
/* Says in words what was found; the exit code: 0, 65 or 69. */
int verify_print(struct cli *cli, const struct msg_verified *v);
/* Room for one more in the list, which has room for *capacity; NULL: no memory. */
struct msg_difference *verify_difference_new(struct cli *cli, struct msg_verified *out,
                                             uint32_t *capacity, struct err *e);
void verify_difference_of(struct cli *cli, const struct replay_outcome *o,
                          struct msg_difference *d);

#endif
