/* A made-up data set "corpus", without its shards, and a run of it: for tests in which no result is
 * looked at. */
#ifndef TACIT_TESTS_COORDINATOR_RUN_CORPUS_RUN_H
#define TACIT_TESTS_COORDINATOR_RUN_CORPUS_RUN_H

#include <string.h>
#include "core/protocol/spec.h"
#include "coordinator/run/advance.h"
#include "coordinator/store/ops.h"

/* Makes both, and the run's first jobs; *spec is set up for the canonical text and the caller's to
 * free, also where this fails. */
static inline int corpus_run_make(struct call *c, const char *text, struct buf *spec, uint64_t *run,
                                  struct err *e)
{
    struct run_spec parsed;
    struct digest d;
    struct msg_shard train = {.bytes = 10, .sequences = 4000};
    struct msg_shard heldout = {.bytes = 10, .sequences = 100};
    struct msg_dataset m = {.name = "corpus",
                            .vocab = 512,
                            .seq = 16,
                            .train = &train,
                            .train_count = 1,
                            .heldout = &heldout,
                            .heldout_count = 1,
                            .train_sequences = 4000,
                            .heldout_sequences = 100};
    uint64_t dataset;
    buf_init(spec, SPEC_BYTES_MAX);
    int rc = spec_parse(text, strlen(text), "a.ini", &parsed, e);
    if (!rc)
        rc = spec_canonical(&parsed, spec, e);
    if (!rc) {
        digest_of(spec->data, spec->len, &d);
        rc = op_dataset_insert(c->conn, &m, 1, &dataset, e);
    }
    if (!rc)
        rc = op_run_insert(c->conn, "demo", dataset, &d, spec->data, 1, run, e);
    return rc ? rc : run_advance(c, *run, NULL, e);
}

#endif
