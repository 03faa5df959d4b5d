/* What a job was made of, as the coordinator tells it, and in words. */
#ifndef TACIT_OPS_CLI_MADE_H
#define TACIT_OPS_CLI_MADE_H

#include "core/protocol/messages.h"
#include "ops/cli/command.h"

/* "train expert 2, steps 500 to 1,000", "score round 2, part 1". */
const char *made_job_words(struct arena *a, const struct msg_grant *g);
/* "agent lab-3", "the coordinator". */
const char *made_doer(struct arena *a, const struct msg_made *m);
/* The name by which two results are compared: the content's, or the bytes'. */
const struct digest *made_name(const struct msg_blob *b);

TACIT_MUST_CHECK int made_of_job(struct client *c, uint64_t job, struct arena *a,
                                 struct msg_made *out, struct err *e);
/* digits: of a digest. */
TACIT_MUST_CHECK int made_of_digits(struct client *c, const char *digits, struct arena *a,
                                    struct msg_made *out, struct err *e);

#endif
