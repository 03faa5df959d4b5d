/* What happened, told in the words of people and kept in the store (ops_events.h). */
#ifndef TACIT_COORDINATOR_RUN_EVENTS_H
#define TACIT_COORDINATOR_RUN_EVENTS_H

#include "core/protocol/messages.h"
#include "coordinator/service.h"
#include "coordinator/store/ops_events.h"

/* Adds the event, its text from the format, in the caller's transaction. `who` is the caller where
 * an operator asked. */
int event_tell(struct call *c, const struct event *event, struct err *e, const char *fmt, ...)
    __attribute__((format(printf, 4, 5), warn_unused_result));

/* The first `limit` after that one, oldest first, as messages. */
TACIT_MUST_CHECK int events_after(struct store_conn *c, uint64_t after, uint32_t limit,
                                  struct arena *a, struct msg_event **list, uint32_t *count,
                                  struct err *e);

/* GET /v1/history → raw array of msg_event. */
call_fn events_list;

#endif
