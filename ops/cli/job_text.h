/* A job and its attempts as text: `tacit logs` prints it, `tacit top` pages through it. */
#ifndef TACIT_OPS_CLI_JOB_TEXT_H
#define TACIT_OPS_CLI_JOB_TEXT_H

#include "core/base/arena.h"
#include "core/base/buf.h"
#include "core/protocol/messages.h"

/* What the job is, its state and why. now: wall clock. */
void job_text_head(struct buf *out, struct arena *a, const struct msg_job *j, uint32_t attempts,
                   int64_t now);
/* By whom, when, how far, how it ended, and its log. */
void job_text_attempt(struct buf *out, struct arena *a, const struct msg_attempt *t, int64_t now);

#endif
