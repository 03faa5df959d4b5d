/* How the corpus is parted among the experts, round by round, by source: what the coordinator kept
 * with each assignment. */
#include <math.h>
#include <string.h>
#include "coordinator/run/advance.h"
#include "coordinator/run/find.h"
#include "coordinator/run/runs.h"

#define CHUNKS_MAX 64 /* the newest, of which the corpus is summed up */
#define ROUNDS_MIN 4

/* False where it is not made yet, or was undone. */
static int read_detail(struct call *c, uint64_t run, const struct job_key *k,
                       struct msg_parted *out, bool *there, struct err *e)
{
    struct job_row row;
    int rc = op_job_find(c->conn, run, k, c->arena, &row, NULL);
    *there = rc == 0 && row.state == JOB_DONE && row.detail;
    if (rc == ERR_NOT_FOUND || (rc == 0 && !*there))
        return 0;
    return rc ? err_set(e, rc, "cannot read an assignment")
              : message_decode(&message_parted, row.detail, strlen(row.detail), out, c->arena, e);
}

/* Its counts, a row a source, where they were kept. */
static int fill_sources(struct call *c, const struct msg_parted *p, uint32_t experts,
                        uint32_t sources, struct msg_parting_round *out, struct err *e)
{
    if (sources == 0 || p->count_count != (uint64_t)sources * experts)
        return 0;
    out->sources = arena_alloc_array(c->arena, sources, sizeof *out->sources);
    if (!out->sources)
        return err_set(e, ERR_NO_MEMORY, "no memory for a round");
    out->source_count = sources;
    for (uint32_t i = 0; i < sources; i++)
        out->sources[i] = (struct msg_parting_row){p->counts + (size_t)i * experts, experts};
    return 0;
}

static int add_round(struct call *c, const struct run_view *v, const struct msg_parted *p,
                     struct msg_parting *m, struct err *e)
{
    struct msg_parting_round *r = &m->rounds[m->round_count];
    if (p->share_count != v->spec.experts)
        return err_set(e, ERR_INTERNAL, "an assignment has %u shares", p->share_count);
    *r = (struct msg_parting_round){.round = p->round,
                                    .final = p->final,
                                    .purity = p->purity,
                                    .inverse_purity = p->inverse_purity,
                                    .shares = p->shares,
                                    .share_count = p->share_count};
    m->round_count++;
    return fill_sources(c, p, v->spec.experts, v->dataset.label_count, r, e);
}

/* Some of many rounds: the first, the last, and others at equal distances. */
static int add_rounds(struct call *c, const struct run_view *v, uint32_t limit,
                      struct msg_parting *m, struct err *e)
{
    uint32_t all = v->facts.rounds_assigned, shown = all < limit ? all : limit;
    int rc = 0;
    for (uint32_t i = 0; !rc && i < shown; i++) {
        uint32_t at = shown > 1 ? (uint32_t)((uint64_t)i * (all - 1) / (shown - 1)) : 0;
        struct job_key k = {.kind = JOB_ASSIGN, .round = at + 1};
        struct msg_parted p;
        bool there;
        rc = read_detail(c, v->row.id, &k, &p, &there, e);
        if (!rc && there)
            rc = add_round(c, v, &p, m, e);
    }
    return rc;
}

/* Adds a chunk's figures to those of the corpus, by its sequences. */
static void weigh_in(const struct msg_parted *p, double weight, struct msg_parted *sum,
                     double *shares, double *counts)
{
    sum->purity += weight * p->purity;
    sum->inverse_purity += weight * p->inverse_purity;
    for (uint32_t i = 0; i < p->share_count && i < sum->share_count; i++)
        shares[i] += weight * p->shares[i];
    if (p->count_count != sum->count_count)
        sum->count_count = 0; /* not kept of all: of none then */
    for (uint32_t i = 0; i < sum->count_count; i++)
        counts[i] += p->counts[i];
}

static int add_corpus(struct call *c, const struct run_view *v, struct msg_parting *m,
                      struct err *e)
{
    uint32_t all = v->facts.chunks_assigned, first = all > CHUNKS_MAX ? all - CHUNKS_MAX : 0;
    uint32_t experts = v->spec.experts, cells = experts * v->dataset.label_count;
    double *shares = arena_alloc_array(c->arena, experts, sizeof *shares);
    double *counts = arena_alloc_array(c->arena, cells + 1, sizeof *counts), total = 0;
    if (!shares || !counts)
        return err_set(e, ERR_NO_MEMORY, "no memory for the corpus");
    struct msg_parted sum = {.round = v->spec.router.rounds,
                             .final = true,
                             .shares = shares,
                             .counts = counts,
                             .share_count = experts,
                             .count_count = cells};
    for (uint32_t i = first; i < all; i++)
        total += (double)due_chunk_sequences(&v->facts, i);
    for (uint32_t i = first; i < all; i++) {
        struct job_key k = {.kind = JOB_ASSIGN, .final = true, .chunk = i};
        struct msg_parted p;
        bool there;
        int rc = read_detail(c, v->row.id, &k, &p, &there, e);
        if (rc)
            return rc;
        if (there)
            weigh_in(&p, (double)due_chunk_sequences(&v->facts, i) / total, &sum, shares, counts);
    }
    return all > 0 ? add_round(c, v, &sum, m, e) : 0;
}

int runs_parting(struct call *c, const void *in, void *out, struct err *e)
{
    (void)in;
    struct msg_parting *m = out;
    struct run_row row;
    struct run_view v;
    int rc = run_find(c, &row, e);
    if (!rc)
        rc = run_view_load(c->conn, row.id, true, c->arena, &v, e);
    if (rc)
        return rc;
    uint32_t cells = v.spec.experts * (v.dataset.label_count + 1);
    uint32_t limit = PROTOCOL_PARTING_CELLS / cells;
    limit = limit < ROUNDS_MIN ? ROUNDS_MIN : limit;
    limit = limit > PROTOCOL_PARTING_ROUNDS ? PROTOCOL_PARTING_ROUNDS : limit;
    m->experts = v.spec.experts;
    m->sources = v.dataset.labels;
    m->source_count = v.dataset.label_count;
    m->rounds = arena_alloc_array(c->arena, limit + 1, sizeof *m->rounds);
    if (!m->rounds)
        return err_set(e, ERR_NO_MEMORY, "no memory for the rounds");
    rc = add_rounds(c, &v, limit, m, e);
    return rc ? rc : add_corpus(c, &v, m, e);
}
