/* tacit logs -f: a job's log as it grows. */
#ifndef TACIT_OPS_CLI_FOLLOW_H
#define TACIT_OPS_CLI_FOLLOW_H

#include "core/protocol/messages.h"
#include "ops/cli/command.h"

/* What is new in a log of which `before` has been shown: logs are tails that lose their beginning.
 * Points into now. */
const char *follow_news(const char *before, const char *now);

/* Prints what is added to the log of the last attempt, and of attempts that follow, until the job
 * has ended or a stop is requested. attempts: those that have been printed already. */
TACIT_MUST_CHECK int follow_job(struct cli *cli, const char *job_path, const char *attempts_path,
                                const struct msg_attempt *attempts, uint32_t count, struct err *e);

#endif
