/* The agent's loop: does what step.h decides, over the real network and disk.
 *
 *     WORK/lock          held while the agent runs
 *     WORK/identity      identity.h
 *     WORK/agent.token
 *     WORK/join          a copy of the join file: the agent starts by it where none is given
 *     WORK/life, alive   life.h
 *     WORK/in-hand, last-words   words.h
 *     WORK/cache/        cache.h
 *     WORK/jobs/KEY/     local saves, outputs and log of the job in hand, and what is still to be
 *                        delivered (spool.h); KEY names what the job computes, so that the same job
 *                        under another fence goes on from there */
#ifndef TACIT_AGENT_AGENT_H
#define TACIT_AGENT_AGENT_H

#include <stdint.h>
#include "agent/preempt.h"
#include "core/base/err.h"
#include "core/base/log_line.h"

struct agent_options {
    const char *url, *token_file; /* token_file: the join token; NULL: an agent that has joined */
    const char *join;             /* a join file, of which WORK keeps a copy; or NULL */
    const char *work, *name, *ca_file;
    int threads;
    uint64_t cache_bytes;
    struct log_rules log;
    struct preempt_options preempt; /* exit_code: of every stop but one by hand */
};

/* Runs until a stop is requested or nothing can be done any more; logs to standard error. Returns
 * the exit code. */
int agent_run(const struct agent_options *o);

#endif
