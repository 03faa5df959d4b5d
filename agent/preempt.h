/* Notices that this machine, or this agent, is to stop: signals, a file that appears, a command
 * that ends, a cloud's metadata. Whichever comes first sets the stop flag, which every long loop
 * polls; from then on the grace runs, and ends the process where it has not ended by itself. A
 * thread of its own looks. */
#ifndef TACIT_AGENT_PREEMPT_H
#define TACIT_AGENT_PREEMPT_H

#include <stdbool.h>
#include <stdint.h>
#include "agent/cloud.h"
#include "core/base/err.h"

struct preempt_options {
    const char *file, *command; /* NULL: none */
    enum cloud cloud;
    const char *url;  /* of the cloud's metadata; NULL: its own */
    int64_t grace_ms; /* from the notice to the end; a cloud may give less */
    int exit_code;    /* of a process that the grace ended */
};

struct preempt;

/* tick (may be NULL): called every ten seconds on the thread. */
TACIT_MUST_CHECK int preempt_create(struct preempt **out, const struct preempt_options *o,
                                    void (*tick)(void *arg), void *arg, struct err *e);
void preempt_destroy(struct preempt *p); /* accepts NULL */

struct preempt_notice {
    char words[128];     /* "SIGUSR1", "AWS: terminate at 10:31:07" */
    int64_t deadline_ms; /* monotonic: when all must be done */
    bool by_hand;        /* SIGINT: somebody at a terminal */
    bool broken;         /* the command can't be run: nothing will ever be noticed */
};
/* Once a stop is requested: what it was. Any thread; the first call starts the grace. */
void preempt_notice(struct preempt *p, struct preempt_notice *out);

#endif
