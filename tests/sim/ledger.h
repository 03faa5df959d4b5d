/* What the coordinator has promised, as everybody outside could see it, and whether it keeps it. */
#ifndef TACIT_SIM_LEDGER_H
#define TACIT_SIM_LEDGER_H

#include "core/base/digest.h"
#include "tests/sim/net.h"

struct exchange; /* coordinator/api/exchange.h */

/* What a run without faults publishes: content of every output by what it is of. */
#define REFERENCE_MAX 1024
struct reference {
    uint32_t count, jobs;
    struct {
        char of[96];
        struct digest content;
    } outputs[REFERENCE_MAX];
};

void ledger_start(void);
/* A request is whole. */
void ledger_arrived(struct wire *w);
/* Its transaction is committed, or has failed; in the order of commits. */
void ledger_committed(struct wire *w, const struct exchange *x);
/* The reply is about to leave. */
void ledger_reply(struct wire *w, const struct exchange *x);
/* A download broke off for a reason of the coordinator's. */
void ledger_broken_download(struct wire *w, int rc, const char *why);
/* Errors of the coordinator's disk, or of agents', are expected from now on. */
void ledger_expect_io_errors(bool coordinator);
bool ledger_expects_io_errors(void);
/* The coordinator's wall clock, by which grace times are counted. */
void ledger_expect_clock_jumps(void);

/* At the end, on a copy of the coordinator's disk: everything promised is there, and the run has
 * published what it should (reference NULL: fills *out). */
void ledger_check(struct sim_disk *disk, const struct reference *reference, struct reference *out);
/* Jobs that are not done, for a history that does not end. */
void ledger_print_jobs(struct sim_disk *disk);
uint64_t ledger_completions(void);

#endif
