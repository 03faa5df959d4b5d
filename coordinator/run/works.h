/* Threads for what takes long: checking results, assignments, reports. They keep requests and the
 * writer free. */
#ifndef TACIT_COORDINATOR_RUN_WORKS_H
#define TACIT_COORDINATOR_RUN_WORKS_H

#include "coordinator/service.h"

/* Starts the threads; they also take up the coordinator's own jobs (assign, report) that are due,
 * those of before a restart included. */
TACIT_MUST_CHECK int works_create(struct works **out, struct service *s, struct err *e);
void works_destroy(struct works *w);
/* Queues fn(arg) for a works thread. */
void works_submit(struct works *w, void (*fn)(void *arg), void *arg);
/* The coordinator's own jobs may be due: look. Any thread; does not block. */
void works_wake(struct works *w);

#endif
