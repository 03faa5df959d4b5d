/* A part of a chunk, parted among the experts: one piece each, in shard format, so that an agent
 * later downloads the data of its expert alone. Sequences keep their order. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include "core/runners/sequences.h"
#include "core/mixture/assign.h"

#define SEGMENT_BYTES_MAX ((size_t)SHARD_MAX_BYTES + 4096)

struct parting {
    const struct job_context *c;
    struct sequences sequences;
    struct shard_shape shape;
    const uint8_t *values; /* assignment of the part's first sequence */
    uint64_t count;
};

static int build_piece(struct parting *x, uint64_t expert, uint64_t own, struct buf *out,
                       struct err *e)
{
    struct shard_builder b;
    int rc = shard_builder_init(&b, &x->shape, (uint32_t)own, e);
    if (rc) {
        return rc;
    }
    for (uint64_t i = 0; !rc && i < x->count; i++) {
        const struct shard *shard;
        uint32_t index;
        if (assign_at(x->values, i) == expert) {
            rc = sequences_find(&x->sequences, i, &shard, &index, e);
            if (!rc) {
                shard_builder_copy(&b, shard, index);
            }
        }
    }
    if (!rc) {
        rc = shard_builder_finish(&b, out, e);
    }
    shard_builder_free(&b);
    return rc;
}

static int write_piece(struct parting *x, uint64_t expert, uint64_t own, struct job_result *r,
                       struct err *e)
{
    struct buf out;
    char name[32];
    buf_init(&out, SEGMENT_BYTES_MAX);
    snprintf(name, sizeof name, "piece-%" PRIu64, expert);
    int rc = build_piece(x, expert, own, &out, e);
    if (!rc) {
        struct msg_blob facts = {.role = ROLE_PIECE, .index = expert, .count = own};
        rc = job_write_output(x->c, r, &facts, name, out.data, out.len, e);
    }
    buf_free(&out);
    return rc;
}

static int part(struct parting *x, uint32_t experts, struct job_result *r, struct err *e)
{
    uint64_t *own = calloc(experts, sizeof *own);
    if (!own) {
        return err_set(e, ERR_NO_MEMORY, "no memory for %u pieces", experts);
    }
    for (uint64_t i = 0; i < x->count; i++) {
        own[assign_at(x->values, i)]++; /* assign_open checked that it is one of them */
    }
    int rc = 0;
    for (uint32_t k = 0; !rc && k < experts; k++) {
        rc = job_poll(x->c, e);
        if (!rc) {
            rc = write_piece(x, k, own[k], r, e);
        }
        atomic_store(&x->c->progress->step, k + 1);
        atomic_store(&x->c->progress->total, experts);
    }
    free(own);
    return rc;
}

static int open_shape(struct parting *x, struct err *e)
{
    const struct shard *first;
    uint32_t index;
    int rc = sequences_find(&x->sequences, 0, &first, &index, e);
    if (!rc) {
        x->shape = first->shape;
    }
    return rc;
}

int run_segment(struct job_context *c, const struct msg_grant *g, struct job_result *r,
                struct err *e)
{
    struct parting x = {.c = c, .count = g->window_count};
    struct env_map map = {0};
    uint64_t n = 0;
    uint32_t experts = 0;
    const char *path = job_input(c, g, ROLE_ASSIGNMENT, UINT64_MAX, NULL);
    if (!path) {
        return err_set(e, ERR_INVALID, "the grant has no assignment");
    }
    int rc = env_file_map(path, &map, e);
    if (rc) {
        return rc;
    }
    rc = assign_open(map.data, map.size, &n, &experts, &x.values, e);
    if (!rc && (experts != c->spec->experts || g->window_first > n ||
                g->window_count > n - g->window_first)) {
        rc = err_set(e, ERR_INVALID, "the assignment does not cover the part");
    }
    if (!rc) {
        x.values += 2 * g->window_first;
        rc = sequences_of_shards(&x.sequences, c, g, 0, e);
    }
    if (!rc && (x.count == 0 || x.sequences.total != x.count)) {
        rc = err_set(e, ERR_INVALID, "%" PRIu64 " sequences to part, %" PRIu64 " are given",
                     x.count, x.sequences.total);
    }
    if (!rc) {
        rc = open_shape(&x, e);
    }
    if (!rc) {
        rc = part(&x, experts, r, e);
    }
    r->tokens = 0;
    sequences_close(&x.sequences);
    env_file_unmap(&map);
    return rc;
}
