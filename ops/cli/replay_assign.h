/* The coordinator's own arithmetic, done again: scores → balanced assignment. */
#ifndef TACIT_OPS_CLI_REPLAY_ASSIGN_H
#define TACIT_OPS_CLI_REPLAY_ASSIGN_H

#include "core/runners/job.h"

/* As a runner: inputs are the parts' scores. */
job_runner_fn replay_assign;

#endif
