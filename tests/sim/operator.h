/* Whoever publishes the data set and starts the run: a machine that talks to the coordinator as the
 * command line does. */
#ifndef TACIT_SIM_OPERATOR_H
#define TACIT_SIM_OPERATOR_H

#include "tests/sim/world.h"

#define OPERATOR_SPECS 8

struct operator_run {
    unsigned spec;    /* which of the specs */
    unsigned experts; /* instead: so many, long chains and nothing else */
    bool started;     /* the run is there */
    bool ended;
    int state; /* enum run_state, once ended */
    unsigned retries;
    char reason[400];
    uint64_t done, waiting, leased; /* jobs, as last told */
};

/* A thread on `m`: starts the run, then looks after it every now and then. */
void operator_start(struct machine *m, struct operator_run *r);

#endif
