/* Causal attention's backward pass: definition.c says what is computed.
 *
 * Weights are computed again, a block of STRIP queries i (rows) and STRIP keys j (lanes) at a time:
 * scores and dp are two products along d that end in the same registers, where p and ds are made of
 * them. A strip of keys goes over the queries from its own on, so that dk and dv, chains over i,
 * stay in cache; dq, a chain over j, continues from strip to strip, and takes ds transposed:
 * 16×16 values by 64 shuffles, a tenth of the products at D = 8, where computing the scores a
 * second time with queries as lanes would take a third.
 *
 * Per pair of tokens: 10·D operations and one exp, nothing but D floats a token read from memory:
 * bound by arithmetic. */
#include "core/kernels/lanes/strips.h"

#include "core/kernels/lanes/lanes.h"

#define BLOCK (STRIP * STRIP)
#define ROWS (STRIP_ROWS / 2) /* of each of two products at a time */

struct backward {
    /* By strips of queries: q and dout as strip_put has them, dq (D,STRIP), rows (3,STRIP) of max,
     * reciprocal sum and t. */
    float *q, *dout, *dq, *rows;
    float *k, *v, *dk, *dv, *t; /* (D,STRIP) */
    float *p, *ds, *dst;        /* (STRIP,STRIP): p and ds by queries, ds by keys */
};

/* Queries, dout and what belongs to them, of strip s. */
static void take_queries(const struct unit *w, const struct backward *g, const float *dout,
                         const float *out, const float *stats, const float *qkv, size_t s)
{
    size_t i = s * STRIP, n = w->S - i < STRIP ? w->S - i : STRIP, D = w->D;
    float *rows = g->rows + 3 * i;

    strip_load(g->t, qkv + w->at_qkv + i * 3 * w->H, 3 * w->H, n, D);
    strip_turn(w, g->t, s, false);
    strip_put(w, g->q + i * D, g->t);
    strip_load(g->t, dout + w->at + i * w->H, w->H, n, D);
    strip_load(g->dk, out + w->at + i * w->H, w->H, n, D);
    for (size_t v = 0; v < STRIP; v += 16) {
        v16 t = v_zero();
        for (size_t d = 0; d < D; d++)
            t = v_fma(v_load(g->t + d * STRIP + v), v_load(g->dk + d * STRIP + v), t);
        v_store(rows + 2 * STRIP + v, t);
    }
    strip_put(w, g->dout + i * D, g->t);
    for (size_t j = 0; j < STRIP; j++) {
        rows[j] = j < n ? stats[(i + j) * 2] : 0.0f;
        rows[STRIP + j] = j < n ? stats[(i + j) * 2 + 1] : 0.0f;
    }
    memset(g->dq + i * D, 0, D * STRIP * sizeof *g->dq);
}

/* ds of 16 queries from i by keys, into lanes i… of dst. */
static void transpose_ds(const struct unit *w, const struct backward *g, const float *ds, size_t i)
{
    for (size_t j = 0; j < w->along; j += 16) {
        v16 t[16];
        UNROLL(16)
        for (size_t r = 0; r < 16; r++)
            t[r] = v_load(ds + r * w->along + j);
        v_transpose(t);
        UNROLL(16)
        for (size_t r = 0; r < 16; r++)
            v_store(g->dst + (j + r) * STRIP + i, t[r]);
    }
}

/* p and ds of ROWS queries from i of a strip, out of raw scores and dp; `own`: the strip of the
 * keys' own queries, where those before a key are masked. along (16, w->along): ds of 16 queries
 * from the last multiple of 16, as transpose_ds takes it. */
INLINE void gradients_of_rows(const struct unit *w, const struct backward *g, const float *rows,
                              v16 score[][STRIP_V], v16 dp[][STRIP_V], float *along, size_t i,
                              bool own)
{
    v16 scale = v_set1(w->scale);

    UNROLL(4)
    for (size_t r = 0; r < ROWS; r++) {
        v16 max = v_set1(rows[i + r]), recip = v_set1(rows[STRIP + i + r]);
        v16 t = v_set1(rows[2 * STRIP + i + r]);
        UNROLL(2)
        for (size_t v = 0; v < STRIP_V; v++) {
            v16 p = v_mul(v_exp_below(v_sub(v_mul(score[r][v], scale), max)), recip);
            v16 ds = v_mul(v_mul(p, v_sub(dp[r][v], t)), scale);
            if (own) {
                size_t n = i + r + 1 > 16 * v ? i + r + 1 - 16 * v : 0;
                m16 keep = v_first(n < 16 ? n : 16);
                p = v_select(keep, p, v_zero());
                ds = v_select(keep, ds, v_zero());
            }
            score[r][v] = p;
            dp[r][v] = ds;
        }
    }
#if LANES_PAIRS
    if (w->pairs) {
        UNROLL(2)
        for (size_t r = 0; r < ROWS; r += 2) {
            UNROLL(2)
            for (size_t v = 0; v < STRIP_V; v++) {
                size_t at = (i + r) / 2 * STRIP + 16 * v;
                v_store(g->p + at, v_pairs_across(score[r][v], score[r + 1][v]));
                v_store(g->ds + at, v_pairs_across(dp[r][v], dp[r + 1][v]));
            }
            v_store(along + (i + r) % 16 * 16, v_pairs_along(dp[r][0], dp[r][1]));
            v_store(along + (i + r + 1) % 16 * 16, v_pairs_along(dp[r + 1][0], dp[r + 1][1]));
        }
        return;
    }
#endif
    UNROLL(4)
    for (size_t r = 0; r < ROWS; r++) {
        UNROLL(2)
        for (size_t v = 0; v < STRIP_V; v++) {
            size_t at = (i + r) * STRIP + 16 * v;
            v16 ds = w->bf16 ? v_bf16(dp[r][v]) : dp[r][v];
            v_store(g->p + at, w->bf16 ? v_bf16(score[r][v]) : score[r][v]);
            v_store(g->ds + at, ds);
            v_store(along + (i + r) % 16 * STRIP + 16 * v, ds);
        }
    }
}

/* Strip s of queries with the strip of keys that is in k and v. */
static void block(const struct unit *w, const struct backward *g, size_t s, bool own)
{
    const size_t at = s * STRIP * w->D;
    const float *q = g->q + at, *dout = g->dout + at, *rows = g->rows + 3 * s * STRIP;
    float along[16 * STRIP];

    for (size_t i = 0; i < STRIP; i += ROWS) {
        v16 score[ROWS][STRIP_V], dp[ROWS][STRIP_V];
        strip_scores(w, score, ROWS, q + i, g->k);
        strip_scores(w, dp, ROWS, dout + i, g->v);
        gradients_of_rows(w, g, rows, score, dp, along, i, own);
        if ((i + ROWS) % 16 == 0)
            transpose_ds(w, g, along, i + ROWS - 16);
    }
    strip_gather(w, g->dv, dout, 0, g->p, STRIP, 1);
    strip_gather(w, g->dk, q, 0, g->ds, STRIP, 1);
    strip_gather(w, g->dq + at, g->k, 0, g->dst, STRIP, 1);
}

/* Everything of strip s of keys, and dq of the same strip, whose chain ends there. */
static void strip_backward(const struct unit *w, const struct backward *g, float *dqkv,
                           const float *qkv, size_t s)
{
    size_t j = s * STRIP, n = w->S - j < STRIP ? w->S - j : STRIP, D = w->D, H = w->H;
    const float *k = qkv + w->at_qkv + j * 3 * H + H;
    float *to = dqkv + w->at_qkv + j * 3 * H, *dq = g->dq + j * D;

    strip_load(g->t, k, 3 * H, n, D);
    strip_turn(w, g->t, s, false);
    strip_put(w, g->k, g->t);
    strip_load(g->t, k + H, 3 * H, n, D);
    strip_put(w, g->v, g->t);
    memset(g->dk, 0, D * STRIP * sizeof *g->dk);
    memset(g->dv, 0, D * STRIP * sizeof *g->dv);
    block(w, g, s, true);
    for (size_t i = s + 1; i < w->strips; i++)
        block(w, g, i, false);
    strip_clean_zeros(dq, D * STRIP);
    strip_clean_zeros(g->dk, D * STRIP);
    strip_clean_zeros(g->dv, D * STRIP);
    strip_turn(w, dq, s, true);
    strip_turn(w, g->dk, s, true);
    strip_unload(to, 3 * H, dq, n, D);
    strip_unload(to + H, 3 * H, g->dk, n, D);
    strip_unload(to + 2 * H, 3 * H, g->dv, n, D);
}

void LANES(lanes_attention_backward)(const struct kern_attention *a, bool bf16, float *dqkv,
                                     const float *dout, const float *out, const float *stats,
                                     const float *qkv, size_t u0, size_t u1, float *scratch)
{
    size_t D = a->head, S = (a->seq + STRIP - 1) / STRIP * STRIP;
    float *cos = scratch, *sin = cos + S * (D / 2);
    struct backward g = {.q = sin + S * (D / 2)};
    g.dout = g.q + S * D;
    g.dq = g.dout + S * D;
    g.rows = g.dq + S * D;
    g.k = g.rows + 3 * S;
    g.v = g.k + D * STRIP;
    g.dk = g.v + D * STRIP;
    g.dv = g.dk + D * STRIP;
    g.t = g.dv + D * STRIP;
    g.p = g.t + D * STRIP;
    g.ds = g.p + BLOCK;
    g.dst = g.ds + BLOCK;

    strip_angles(cos, a->cos, a->seq, D / 2);
    strip_angles(sin, a->sin, a->seq, D / 2);
    for (size_t u = u0; u < u1; u++) {
        const struct unit w = unit_of(a, bf16, cos, sin, u);
        for (size_t s = 0; s < w.strips; s++)
            take_queries(&w, &g, dout, out, stats + u * w.S * 2, qkv, s);
        for (size_t s = 0; s < w.strips; s++)
            strip_backward(&w, &g, dqkv, qkv, s);
    }
}
