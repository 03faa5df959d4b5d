/* Ready-made JSON replies of the operations of run/. */
#ifndef TACIT_COORDINATOR_RUN_REPLY_H
#define TACIT_COORDINATOR_RUN_REPLY_H

#include "coordinator/service.h"
#include "core/protocol/field.h"

/* Sets c->raw to the JSON array of the items, in the call's arena. */
TACIT_MUST_CHECK int reply_array(struct call *c, const struct message *of, const void *items,
                                 uint32_t count, struct err *e);

#endif
