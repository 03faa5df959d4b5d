#include "coordinator/run/own.h"

#include <stdlib.h>
#include <string.h>
#include "core/data/shard.h"
#include "core/mixture/assign.h"
#include "core/mixture/draw.h"
#include "core/mixture/evaluate.h"
#include "core/mixture/scores.h"
#include "coordinator/store/blobs.h"

#define DETAIL_BYTES_MAX (384u << 10) /* shares, and counts of PROTOCOL_PARTED_CELLS */
#define SCRATCH_MAX (1u << 20)

/* In an arena of its own: a report asks for as many as there are models and points of a curve. */
int own_output(struct own_job *j, const struct job_key *k, struct msg_blob *out, struct err *e)
{
    struct arena scratch;
    struct job_row row;
    arena_init(&scratch, SCRATCH_MAX);
    int rc = op_job_find(j->conn, j->view.row.id, k, &scratch, &row, e);
    if (!rc)
        rc = op_output(j->conn, row.id, 0, out, e);
    if (rc == ERR_NOT_FOUND)
        rc = err_set(e, ERR_INTERNAL, "%s has no result", run_job_words(&scratch, k));
    arena_free(&scratch);
    return rc;
}

static int read_exactly(struct own_job *j, const struct digest *d, uint64_t offset, void *out,
                        size_t len, struct err *e)
{
    size_t got;
    int rc = blob_read(j->service->store, d, offset, out, len, &got, e);
    if (!rc && got != len)
        rc = err_set(e, ERR_FORMAT, "a blob is cut short");
    return rc;
}

int own_shard_facts(struct own_job *j, const struct msg_shard *shard, uint64_t first,
                    uint64_t count, uint8_t *labels, uint32_t *text_bytes, struct err *e)
{
    const struct msg_dataset *d = &j->view.dataset;
    uint64_t width = d->vocab <= 65536 ? 2 : 4;
    uint64_t tokens = (shard->sequences * d->seq * width + 7) / 8 * 8;
    uint64_t bytes_at = SHARD_HEADER + tokens, labels_at = bytes_at + 4 * shard->sequences;
    int rc = read_exactly(j, &shard->digest, labels_at + first, labels, count, e);
    for (uint64_t i = 0; !rc && i < count; i++)
        if (labels[i] >= d->label_count)
            rc = err_set(e, ERR_FORMAT, "a shard has label %u of %u", labels[i], d->label_count);
    if (rc || !text_bytes)
        return rc;
    rc = read_exactly(j, &shard->digest, bytes_at + 4 * first, text_bytes, 4 * count, e);
    for (uint64_t i = 0; !rc && i < count; i++)
        text_bytes[i] = le32toh(text_bytes[i]);
    return rc;
}

/* The rows of all score parts, one behind the other. */
static int gather_rows(struct own_job *j, uint64_t n, uint8_t *rows, struct err *e)
{
    const struct job_key *k = &j->row.key;
    uint32_t which = k->final ? k->chunk : k->round, experts = j->view.spec.experts;
    size_t row = SCORES_ROW(experts);
    uint64_t at = 0;
    for (uint32_t p = 0; p < due_score_parts(&j->view.facts, k->final, which); p++) {
        struct job_key score = *k;
        struct msg_blob scores;
        uint64_t first, length;
        score.kind = JOB_SCORE;
        score.part = p;
        due_part_window(&j->view.facts, JOB_SCORE, k->final, which, p, &first, &length);
        int rc = own_poll(j, e);
        if (!rc)
            rc = own_output(j, &score, &scores, e);
        if (!rc)
            rc = read_exactly(j, &scores.digest, SCORES_HEADER, rows + at * row, length * row, e);
        if (rc)
            return rc;
        at += length;
    }
    return at == n ? 0 : err_set(e, ERR_INTERNAL, "the score parts do not cover the draw");
}

static void job_window(const struct own_job *j, struct draw_window *w)
{
    const struct run_spec *s = &j->view.spec;
    uint64_t total = j->view.dataset.train_sequences;
    if (!j->row.key.final) {
        draw_round(s->seed, total, s->router.sequences, j->row.key.round, w);
        return;
    }
    struct draw_window whole;
    draw_experts(s->seed, total, spec_expert_draw(s, total), &whole);
    draw_chunk_at(&whole, s->expert.chunk, j->row.key.chunk, w);
}

/* How the assignment and the labels fall together. */
static int count_labels(struct own_job *j, const struct draw_window *w, const uint16_t *expert,
                        struct evaluate_counts *counts, struct err *e)
{
    uint64_t done = 0;
    struct draw_range r;
    uint8_t *labels = arena_alloc(j->arena, j->view.facts.shard_sequences);
    if (!labels)
        return err_set(e, ERR_NO_MEMORY, "no memory for labels");
    while (draw_range_next(w, j->view.facts.shard_sequences, &done, &r)) {
        struct msg_shard *shard;
        int rc = own_poll(j, e);
        if (!rc)
            rc = op_shards(j->conn, j->view.row.dataset, 0, r.shard, 1, j->arena, &shard, e);
        if (!rc)
            rc = own_shard_facts(j, shard, r.first, r.count, labels, NULL, e);
        if (rc)
            return rc;
        for (uint32_t i = 0; i < r.count; i++)
            evaluate_counts_add(counts, expert[r.at + i], labels[i]);
    }
    return 0;
}

/* A row a source. NULL where there are too many to keep, or no memory for it: shares do then. */
static const double *counts_by_source(struct own_job *j, const struct evaluate_counts *c)
{
    size_t cells = (size_t)c->parts * c->labels;
    double *counts =
        cells > PROTOCOL_PARTED_CELLS ? NULL : arena_alloc_array(j->arena, cells, sizeof *counts);
    for (uint32_t l = 0; counts && l < c->labels; l++)
        for (uint32_t p = 0; p < c->parts; p++)
            counts[(size_t)l * c->parts + p] = (double)c->counts[(size_t)p * c->labels + l];
    return counts;
}

static int write_detail(struct own_job *j, const struct evaluate_counts *counts,
                        const char **detail, struct err *e)
{
    uint32_t experts = counts->parts;
    double *shares = arena_alloc_array(j->arena, experts, sizeof *shares);
    if (!shares)
        return err_set(e, ERR_NO_MEMORY, "no memory for %u shares", experts);
    for (uint32_t i = 0; i < experts; i++)
        shares[i] = evaluate_counts_share(counts, i);
    struct msg_parted r = {.round =
                               j->row.key.final ? j->view.spec.router.rounds : j->row.key.round,
                           .final = j->row.key.final,
                           .purity = evaluate_counts_purity(counts),
                           .inverse_purity = evaluate_counts_inverse_purity(counts),
                           .shares = shares,
                           .share_count = experts,
                           .counts = counts_by_source(j, counts)};
    r.count_count = r.counts ? experts * counts->labels : 0;
    struct buf b;
    buf_init(&b, DETAIL_BYTES_MAX);
    int rc = message_encode(&message_parted, &r, &b, e);
    if (!rc && !(*detail = arena_strndup(j->arena, b.data, b.len)))
        rc = err_set(e, ERR_NO_MEMORY, "no memory for a detail");
    buf_free(&b);
    return rc;
}

static int store_assignment(struct own_job *j, uint64_t n, const uint16_t *expert,
                            struct msg_blob *output, struct err *e)
{
    uint64_t size = ASSIGN_HEADER + 2 * n;
    uint8_t *blob = malloc(size);
    if (!blob)
        return err_set(e, ERR_NO_MEMORY, "no memory for an assignment");
    assign_header_write(blob, n, j->view.spec.experts);
    for (uint64_t i = 0; i < n; i++) {
        blob[ASSIGN_HEADER + 2 * i] = (uint8_t)expert[i];
        blob[ASSIGN_HEADER + 2 * i + 1] = (uint8_t)(expert[i] >> 8);
    }
    *output = (struct msg_blob){.role = ROLE_ASSIGNMENT, .bytes = size, .count = n};
    int rc = blob_put(j->service->store, blob, size, &output->digest, e);
    free(blob);
    return rc;
}

int own_assign(struct own_job *j, struct msg_blob *output, const char **detail, struct err *e)
{
    struct draw_window w;
    struct evaluate_counts counts = {0};
    uint32_t experts = j->view.spec.experts;
    job_window(j, &w);
    uint8_t *rows = malloc(w.count * SCORES_ROW(experts));
    uint16_t *expert = malloc(w.count * sizeof *expert);
    int rc = rows && expert ? 0 : err_set(e, ERR_NO_MEMORY, "no memory to assign");
    if (!rc)
        rc = gather_rows(j, w.count, rows, e);
    if (!rc)
        rc = assign_balanced(rows, w.count, experts, expert, e);
    free(rows);
    if (!rc)
        rc = evaluate_counts_init(&counts, experts, j->view.dataset.label_count, e);
    if (!rc)
        rc = count_labels(j, &w, expert, &counts, e);
    if (!rc)
        rc = write_detail(j, &counts, detail, e);
    if (!rc)
        rc = store_assignment(j, w.count, expert, output, e);
    evaluate_counts_free(&counts);
    free(expert);
    return rc;
}
