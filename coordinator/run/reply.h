/* Ready-made JSON replies of the operations of run/. */
#ifndef TACIT_COORDINATOR_RUN_REPLY_H
#define TACIT_COORDINATOR_RUN_REPLY_H

#include "coordinator/service.h"
#include "core/protocol/field.h"
#include "core/protocol/messages.h"
#include "coordinator/store/ops.h"

/* The fields of a message that say which job it is about, in its initializer. */
#define REPLY_JOB_KEY(k)                                                                           \
    .kind = (k)->kind, .target = (k)->target, .index = (k)->index, .round = (k)->round,            \
    .chunk = (k)->chunk, .part = (k)->part, .step_first = (k)->step_first,                         \
    .step_last = (k)->step_last

/* Sets c->raw to the JSON array of the items, in the call's arena. */
TACIT_MUST_CHECK int reply_array(struct call *c, const struct message *of, const void *items,
                                 uint32_t count, struct err *e);

/* What people call the agent; NULL where there is none (0: the coordinator). */
const char *reply_agent_name(struct call *c, uint64_t agent);

/* A done job as a list of results shows it. */
struct msg_result reply_result(const struct job_row *job);

#endif
