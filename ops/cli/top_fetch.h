/* The thread of `tacit top` that talks to the coordinator, so that keys never wait for an answer.
 * Functions are for the thread that shows things. */
#ifndef TACIT_OPS_CLI_TOP_FETCH_H
#define TACIT_OPS_CLI_TOP_FETCH_H

#include "ops/cli/top.h"

struct top_fetch;

/* Starts looking, through a client that is its own from here on. */
TACIT_MUST_CHECK int top_fetch_start(struct top_fetch **out, struct client *c, struct err *e);
/* Ends it (a stop was requested, so that no exchange holds it up). */
void top_fetch_stop(struct top_fetch *f);
/* What to look at besides: a run (NULL: the default), a job's log (0: none). Looks at once where it
 * is news. */
void top_fetch_want(struct top_fetch *f, const char *run, uint64_t log_job);
/* Carries it out, then looks again. */
void top_fetch_order(struct top_fetch *f, const struct top_order *o);
/* Brings v up to date (its overview and words stay until the next call), and tells what came of an
 * order. True: something is new. */
bool top_fetch_take(struct top_fetch *f, struct top_view *v, struct top_ui *ui);

#endif
