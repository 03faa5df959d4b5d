/* Which jobs of a run are due: a pure function of the run's facts. No timers, no memory: the same
 * facts give the same jobs, so a restarted coordinator derives exactly what it had.
 *
 *   train-router e, round 0 (all E) → score parts of round 1's draw → assign round 1 →
 *   train-router e, round 1 … (T phases, T−1 assignments), then chunk by chunk of the experts'
 *   corpus: score parts → assign → segment parts → train links of each expert as far as its data
 *   reaches; dense and dense-flops chains from the start; eval of every router, and of every model
 *   at each evaluated step; report when all of it is there. In mode `random` there are no routers
 *   to train. */
#ifndef TACIT_COORDINATOR_RUN_DUE_H
#define TACIT_COORDINATOR_RUN_DUE_H

#include <stdbool.h>
#include <stdint.h>
#include "core/base/err.h"
#include "core/protocol/spec.h"
#include "coordinator/store/ops.h"

/* What the rules look at: how far each stage is. */
struct run_facts {
    const struct run_spec *spec;
    uint32_t vocab, seq;
    uint64_t train_sequences, heldout_sequences;
    uint32_t shard_sequences; /* sequences of every train shard but the last */
    uint32_t rounds_trained;  /* rounds all of whose E routers are trained */
    uint32_t rounds_scored;   /* r: draws of rounds 1…r scored */
    uint32_t rounds_assigned; /* assignments of rounds 1…r made */
    uint32_t chunks_scored, chunks_assigned, chunks_segmented; /* of the experts' corpus */
    const uint64_t *expert_step;                               /* E: steps published */
    uint64_t dense_step, dense_flops_step;
    /* Where operators extended the experts' training to, in order: each end begins a cycle. */
    const uint64_t *ends;
    uint32_t end_count;
    uint32_t evals_done; /* due_after: needed only once no other job is open */
};

typedef int due_emit_fn(void *arg, const struct job_key *k, int priority, struct err *e);
/* Emits every job at the frontier, those already there included: the store ignores them. */
TACIT_MUST_CHECK int due_jobs(const struct run_facts *f, due_emit_fn *emit, void *arg,
                              struct err *e);

/* Those alone that can have become due by the end of `done`, which f counts already: after every
 * job of a run they make the same jobs as due_jobs, without looking at all models each time. Facts
 * that they need: for the stages of routers and segments, how far rounds and chunks are, and once
 * a chunk is segmented every expert_step; for a link, chunks_segmented and the step of its model;
 * for an evaluation, evals_done. */
TACIT_MUST_CHECK int due_after(const struct run_facts *f, const struct job_key *done,
                               due_emit_fn *emit, void *arg, struct err *e);

/* Parts of a round's (round ≥ 1) or chunk's score jobs, and of a chunk's segment jobs. */
uint32_t due_score_parts(const struct run_facts *f, bool final, uint32_t round_or_chunk);
uint32_t due_segment_parts(const struct run_facts *f, uint32_t chunk);
/* The window of the corpus that a part covers, in positions of the draw (round) or chunk. */
void due_part_window(const struct run_facts *f, int kind, bool final, uint32_t round_or_chunk,
                     uint32_t part, uint64_t *first, uint64_t *count);
uint64_t due_chunk_sequences(const struct run_facts *f, uint32_t chunk);
/* Where the link of a model that begins, or ends, at a step has its other end: at multiples of
 * publish_steps, and at every end that the model has, or had before it was extended. */
uint64_t due_link_last(const struct run_facts *f, int target, uint64_t first);
uint64_t due_link_first(const struct run_facts *f, int target, uint64_t last);
/* The cycle of the learning rate that a link which begins there is in: from *first to *last. */
void due_cycle(const struct run_facts *f, int target, uint64_t step_first, uint64_t *first,
               uint64_t *last);
/* Steps that a model does in all; TARGET_EXPERT, _DENSE, _DENSE_FLOPS. 0: is not trained. */
uint64_t due_steps(const struct run_facts *f, int target);
/* Eval jobs of the whole run. */
uint32_t due_evals_total(const struct run_facts *f);

#endif
