/* A plan for people and for scripts. */
#ifndef TACIT_OPS_CLI_PLAN_PRINT_H
#define TACIT_OPS_CLI_PLAN_PRINT_H

#include "ops/cli/command.h"
#include "ops/cli/plan.h"

/* Where the plan's figures come from, and what was found of agents. */
struct plan_context {
    const char *file;
    const char *dataset_note; /* "of data set demo", "assumed: …" */
    bool asked;               /* a coordinator told of its agents */
    uint32_t agents;          /* connected */
    uint64_t threads;         /* theirs */
    double flops_s;           /* of one thread of this machine; 0: could not be timed */
    double seconds;           /* on these agents; NaN where there are none */
    const char *why_untimed;
};

void plan_print(struct cli *cli, const struct plan *p, const struct plan_context *x);
TACIT_MUST_CHECK int plan_print_json(const struct plan *p, const struct plan_context *x,
                                     struct err *e);
void plan_print_paper(struct cli *cli);

#endif
