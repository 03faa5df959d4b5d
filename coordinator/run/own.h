/* The jobs that the coordinator does itself: balanced assignments, and the report that ends a run.
 * Each reads what earlier jobs published and gives one blob. */
#ifndef TACIT_COORDINATOR_RUN_OWN_H
#define TACIT_COORDINATOR_RUN_OWN_H

#include "coordinator/run/advance.h"
#include "coordinator/service.h"

struct own_job {
    struct service *service;
    struct store_conn *conn; /* a reader's snapshot */
    struct arena *arena;
    struct run_view view;
    struct job_row row;
};

/* Scores → assignment blob; detail is a msg_round_report. Memory: 2E + 16 bytes a sequence of the
 * round or chunk. */
TACIT_MUST_CHECK int own_assign(struct own_job *j, struct msg_blob *output, const char **detail,
                                struct err *e);
/* Evaluations → report blob, in blocks of a fixed size over all of them: memory does not grow with
 * models, prefix or held-out sequences, but for 2 bytes of each of these. */
TACIT_MUST_CHECK int own_report(struct own_job *j, struct msg_blob *output, struct err *e);

/* ERR_STOPPED once the coordinator is to stop: polled in every loop over blobs, outside of queries,
 * since it also takes a new snapshot. */
TACIT_MUST_CHECK int own_poll(const struct own_job *j, struct err *e);
/* The first output of a done job of the same run. */
TACIT_MUST_CHECK int own_output(struct own_job *j, const struct job_key *k, struct msg_blob *out,
                                struct err *e);
/* The labels (uint8) of sequences first…first+count−1 of a shard blob, and, where text_bytes is not
 * NULL, the bytes of text of each. */
TACIT_MUST_CHECK int own_shard_facts(struct own_job *j, const struct msg_shard *shard,
                                     uint64_t first, uint64_t count, uint8_t *labels,
                                     uint32_t *text_bytes, struct err *e);

#endif
