/* The report of a finished run as a document: the same sections as text, Markdown and a page. */
#ifndef TACIT_OPS_CLI_REPORT_H
#define TACIT_OPS_CLI_REPORT_H

#include "core/protocol/messages.h"
#include "ops/cli/command.h"
#include "ops/cli/doc.h"

struct report_machine {
    uint64_t agent, jobs;          /* agent 0: the coordinator */
    double seconds;                /* computing */
    const struct msg_agent *about; /* NULL: not known any more */
};

/* What a page says beyond msg_report; all of it from the coordinator. */
struct report_facts {
    struct msg_report report;
    bool whole; /* what follows is there */
    struct msg_run run;
    const char *spec; /* canonical text */
    struct msg_curve *curves;
    uint32_t curve_count;
    struct report_machine *machines; /* most jobs first */
    uint32_t machine_count;
    uint64_t jobs;
    struct report_sample *samples;
    uint32_t sample_count;
};

/* One held-out beginning, continued by the mixture and by the dense model. */
struct report_sample {
    const char *source, *prompt;
    uint64_t expert;
    const char *mixture, *dense, *truth; /* dense: NULL where none was trained */
};

/* cli is connected. whole: for a page; else the report alone. */
TACIT_MUST_CHECK int report_facts_get(struct cli *cli, const char *run, bool whole,
                                      struct report_facts *out, struct err *e);
void report_write(struct doc *d, const struct report_facts *f);

struct mixture;
/* The first held-out sequence of each of `wanted` sources at most: its routing prefix, continued by
 * so many tokens. */
TACIT_MUST_CHECK int report_samples_get(struct mixture *m, uint32_t wanted, uint32_t tokens,
                                        struct report_facts *f, struct err *e);

/* report_charts.c: what only pages have. */
void report_learning(struct doc *d, const struct report_facts *f);
void report_gaps(struct doc *d, const struct report_facts *f);
void report_prefixes(struct doc *d, const struct report_facts *f);

#endif
