/* What is wrong, worst first, each with what to do about it: a function of what the coordinator
 * says. `tacit status` and `tacit top` show the same. */
#ifndef TACIT_OPS_CLI_TROUBLE_H
#define TACIT_OPS_CLI_TROUBLE_H

#include "ops/cli/overview.h"

enum trouble_level { TROUBLE_WARN, TROUBLE_FAULT };

struct trouble {
    int level;        /* enum trouble_level: work is slowed or at risk; something stands still */
    const char *what; /* "run demo: 2 jobs are quarantined: loss is not finite" */
    const char *fix;  /* the command to type, or a sentence where there is none */
};

#define TROUBLE_MAX 64

/* At most TROUBLE_MAX, in the arena; *count. */
struct trouble *trouble_find(struct arena *a, const char *url, const struct overview *s,
                             uint32_t *count);

#endif
