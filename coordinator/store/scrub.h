/* Reads stored blobs and compares them with their names: disks rot, and people repair databases by
 * hand. In steps, so that whoever calls it decides how much of the disk's time it takes. */
#ifndef TACIT_COORDINATOR_STORE_SCRUB_H
#define TACIT_COORDINATOR_STORE_SCRUB_H

#include <stdbool.h>
#include <stdint.h>
#include "core/base/err.h"
#include "core/protocol/messages.h"
#include "coordinator/store/store.h"

struct scrub;

/* run: what it names alone, its data set and spec with it; 0: every stored blob, and what outputs
 * name that is not there. */
TACIT_MUST_CHECK int scrub_create(struct scrub **out, struct store *s, uint64_t run, struct err *e);
void scrub_destroy(struct scrub *k); /* accepts NULL */
/* Compares about `bytes` more. *more: there are others. An error is the database's, not a blob's;
 * the step may be tried again. One thread at a time; short snapshots. */
TACIT_MUST_CHECK int scrub_step(struct scrub *k, uint64_t bytes, bool *more, struct err *e);
/* What has been found: all fields but number, running, run and error. Strings and array are the
 * the scrub's. */
const struct msg_scrub *scrub_found(const struct scrub *k);

#endif
