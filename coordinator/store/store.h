/* The databases of a coordinator: DIR/tacit.db (what is known) and DIR/blobs.db (blobs: small ones'
 * bytes, and where those of large ones are durable, whose files are in DIR/blobs).
 * All SQL is in this folder. One writer thread a file: work that changes state is queued, each
 * piece runs in a SAVEPOINT of a shared transaction, and is answered after COMMIT; a failed COMMIT
 * fails all, and each is tried once more alone. Readers have connections of their own (WAL). */
#ifndef TACIT_COORDINATOR_STORE_STORE_H
#define TACIT_COORDINATOR_STORE_STORE_H

#include <stdbool.h>
#include <stdint.h>
#include "core/base/err.h"

struct store;
struct store_conn; /* tacit.db inside a transaction: the writer's, or a reader's snapshot */

/* Makes the folder and its databases where absent, migrates, takes the folder's lock (waits up to
 * 10 s for a dying predecessor: ERR_BUSY naming it). A newer schema is refused: ERR_VERSION. */
TACIT_MUST_CHECK int store_open(struct store **out, const char *dir, struct err *e);
void store_close(struct store *s); /* finishes what is queued; accepts NULL */

/* The same with choices. stepped: no writer threads; store_writer_step does their work
 * (simulations, tests), store_write_wait steps by itself. */
struct store_options {
    int64_t lock_ms; /* how long to wait for the folder's lock */
    bool stepped;
};
TACIT_MUST_CHECK int store_open_with(struct store **out, const char *dir,
                                     const struct store_options *o, struct err *e);
/* Runs one batch of each file's queue: a transaction, then its done calls. Returns how many pieces
 * of work there were. */
unsigned store_writer_step(struct store *s);

/* Grows by one at each opening: the first half of every fence. Opening also forgets backoffs and
 * takes the coordinator's own jobs back (op_jobs_restart). */
uint64_t store_incarnation(const struct store *s);

/* One piece of work inside the writer's transaction; an error rolls back its savepoint alone. It
 * may be called twice (a failed COMMIT), so it changes nothing but the database and *arg's results.
 */
typedef int store_write_fn(struct store_conn *c, void *arg, struct err *e);
/* After COMMIT (rc 0), or with the error; on the writer's thread: be short. */
typedef void store_done_fn(void *arg, int rc, const struct err *e);

/* Queues; never blocks. done is called exactly once, whatever happens: on the writer's thread, or
 * at once on the caller's where the queue is full (ERR_UNAVAILABLE) or there is no memory. */
void store_write(struct store *s, store_write_fn *fn, store_done_fn *done, void *arg);
/* Queues and waits. Not on the writer's thread. */
TACIT_MUST_CHECK int store_write_wait(struct store *s, store_write_fn *fn, void *arg,
                                      struct err *e);

/* A reader's snapshot, from a small pool (waits for a free one). */
TACIT_MUST_CHECK int store_read_begin(struct store *s, struct store_conn **c, struct err *e);
void store_read_end(struct store *s, struct store_conn *c);
/* Lets the snapshot go and takes a new one: called now and then by who reads for long, since the
 * log grows for as long as one stays. No query may be open. */
TACIT_MUST_CHECK int store_read_renew(struct store_conn *c, struct err *e);

/* Bytes that can still be stored: free on the file system, and in pages that dropped blobs left. */
TACIT_MUST_CHECK int store_disk_free(struct store *s, uint64_t *bytes, struct err *e);

/* Bytes of the databases' files, logs included. */
TACIT_MUST_CHECK int store_disk_used(struct store *s, uint64_t *bytes, struct err *e);
/* Whether the last writes went well, and there was room for the last upload: 0 and "ok", or the
 * failure's code, its words and since when (wall clock). store_probe: sees whether it works again,
 * with a write that changes nothing that matters, and does again what failed and nobody waits for;
 * waits for both writers. Quick where all is well. Any other thread. */
int store_health(struct store *s, char *words, size_t size, int64_t *since_ms);
void store_probe(struct store *s);

#endif
