/* The one writer of a database file: a queue of pieces of work, run in batches, and the thread that
 * steps through it. Private to store/. */
#ifndef TACIT_COORDINATOR_STORE_WRITER_H
#define TACIT_COORDINATOR_STORE_WRITER_H

#include "coordinator/store/store.h"

struct writer;

/* conn is the writer's from here to writer_destroy, which closes it. batch: pieces of one
 * transaction at most. stepped: no thread; somebody calls writer_step. */
TACIT_MUST_CHECK int writer_create(struct writer **out, struct store_conn *conn, unsigned batch,
                                   bool stepped, struct err *e);
void writer_stop(struct writer *w);    /* finishes what is queued, and ends the thread */
void writer_destroy(struct writer *w); /* stopped before; both accept NULL */

void writer_put(struct writer *w, store_write_fn *fn, store_done_fn *done, void *arg);
TACIT_MUST_CHECK int writer_wait(struct writer *w, store_write_fn *fn, void *arg, struct err *e);
/* Runs one batch and its done calls; returns how many pieces it had. */
unsigned writer_step(struct writer *w);

#endif
