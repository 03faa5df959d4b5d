/* Threads for what takes long: checking results, assignments, reports. They keep requests and the
 * writer free. */
#ifndef TACIT_COORDINATOR_RUN_WORKS_H
#define TACIT_COORDINATOR_RUN_WORKS_H

#include "coordinator/service.h"

/* Starts the threads; they also take up the coordinator's own jobs (assign, report) that are due,
 * those of before a restart included. */
TACIT_MUST_CHECK int works_create(struct works **out, struct service *s, struct err *e);
/* The same with the first pause after a failure of an own job (tests). */
TACIT_MUST_CHECK int works_create_with(struct works **out, struct service *s, int64_t retry_ms,
                                       struct err *e);
/* Finishes what is queued; an own job that is being done goes back to waiting. */
void works_destroy(struct works *w);
/* Whether own jobs, and checks of results, are to end early. Any thread. */
bool works_stopping(struct works *w);
/* Queues fn(arg) for a works thread. */
void works_submit(struct works *w, void (*fn)(void *arg), void *arg);
/* The same of what an operator asks for, and may take minutes: on other threads. */
void works_submit_long(struct works *w, void (*fn)(void *arg), void *arg);
/* The coordinator's own jobs may be due: look. Any thread; does not block. */
void works_wake(struct works *w);

#endif
