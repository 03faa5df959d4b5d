/* Causal attention's forward pass and decoding: definition.c says what is computed.
 *
 * For a strip of queries i and keys j up to its end (strips.h), the scores are a product along d;
 * they are scaled, masked and their maximum taken while in registers. Softmax then needs no sum
 * across lanes: a lane is one query, and the 16 virtual lanes over j are 16 rows of partial sums.
 * out is a product along the keys. A strip's weights take 32·S floats: 32 KiB for S = 256,
 * first-level cache. Masked pairs have weight zero and take part in chains, which changes nothing
 * but the sign of a zero; that is settled by adding +0 at the end.
 *
 * Per pair of tokens: 4·D operations and one exp (some 15 instructions a vector, as much as the
 * products of D = 8), nothing read from memory twice: bound by arithmetic. */
#include "core/kernels/lanes/strips.h"

#include "core/kernels/lanes/lanes.h"

/* A row of weights starts 2·STRIP floats from that two before where pairs share a row. */
#define WEIGHTS_STEP(w) ((w)->pairs ? 2 * STRIP : STRIP)

struct forward {
    float *k, *v;   /* (strips, D·STRIP), as strip_put has them */
    float *e;       /* (S,STRIP): scores, then weights */
    float *q, *t;   /* (D,STRIP) */
    float *partial; /* (16,STRIP) */
    v16 max[STRIP_V], recip[STRIP_V];
};

/* Scores of the queries of strip s and the keys of strip b, and their maxima. */
static void scores(const struct unit *w, struct forward *f, size_t s, size_t b)
{
    const float *k = f->k + b * w->D * STRIP;
    v16 scale = v_set1(w->scale), low = v_set1(-(float)INFINITY);

    for (size_t j = 0; j < STRIP; j += STRIP_ROWS) {
        float *e = f->e + (b * STRIP + j) * STRIP;
        v16 c[STRIP_ROWS][STRIP_V];
        strip_scores(w, c, STRIP_ROWS, k + j, f->q);
        UNROLL(8)
        for (size_t r = 0; r < STRIP_ROWS; r++) {
            UNROLL(2)
            for (size_t v = 0; v < STRIP_V; v++) {
                size_t before = j + r > 16 * v ? j + r - 16 * v : 0; /* lanes before the key */
                v16 x = v_mul(c[r][v], scale);
                if (s == b)
                    x = v_select(v_first(before < 16 ? before : 16), low, x);
                f->max[v] = v_max(f->max[v], x);
                v_store(e + r * STRIP + 16 * v, x);
            }
        }
    }
}

/* Four virtual lanes from l of the sum of weights, over rows up to end; scores become weights. */
static void weights_of_lanes(const struct unit *w, struct forward *f, size_t l, size_t end)
{
    v16 sum[4][STRIP_V];
    UNROLL(4)
    for (size_t r = 0; r < 4; r++) {
        UNROLL(2)
        for (size_t v = 0; v < STRIP_V; v++)
            sum[r][v] = v_zero();
    }
    for (size_t j = l; j < end; j += 16) {
        float *row = f->e + j * STRIP;
        UNROLL(2)
        for (size_t v = 0; v < STRIP_V; v++, row += 16) {
            v16 e[4];
            UNROLL(4)
            for (size_t r = 0; r < 4; r++) {
                e[r] = v_exp_below(v_sub(v_load(row + r * STRIP), f->max[v]));
                sum[r][v] = v_add(sum[r][v], e[r]);
            }
#if LANES_PAIRS
            if (w->pairs) {
                v_store(row, v_pairs_across(e[0], e[1]));
                v_store(row + 2 * STRIP, v_pairs_across(e[2], e[3]));
                continue;
            }
#endif
            UNROLL(4)
            for (size_t r = 0; r < 4; r++)
                v_store(row + r * STRIP, w->bf16 ? v_bf16(e[r]) : e[r]);
        }
    }
    UNROLL(4)
    for (size_t r = 0; r < 4; r++) {
        UNROLL(2)
        for (size_t v = 0; v < STRIP_V; v++)
            v_store(f->partial + (l + r) * STRIP + 16 * v, sum[r][v]);
    }
}

static void softmax(const struct unit *w, struct forward *f, size_t end)
{
    for (size_t v = 0; v < STRIP_V; v++)
        f->max[v] = v_add(f->max[v], v_zero());
    for (size_t l = 0; l < 16; l += 4)
        weights_of_lanes(w, f, l, end);
    for (size_t l = 8; l > 0; l /= 2) {
        for (size_t i = 0; i < l * STRIP; i += 16)
            v_store(f->partial + i,
                    v_add(v_load(f->partial + i), v_load(f->partial + i + l * STRIP)));
    }
    for (size_t v = 0; v < STRIP_V; v++)
        f->recip[v] = v_div(v_set1(1.0f), v_load(f->partial + 16 * v));
}

static void strip_forward(const struct unit *w, struct forward *f, float *out, float *stats,
                          const float *qkv, size_t s)
{
    size_t i = s * STRIP, n = w->S - i < STRIP ? w->S - i : STRIP, D = w->D;
    float m[STRIP], r[STRIP];

    strip_load(f->t, qkv + w->at_qkv + i * 3 * w->H, 3 * w->H, n, D);
    strip_turn(w, f->t, s, false);
    strip_put(w, f->q, f->t);
    for (size_t v = 0; v < STRIP_V; v++)
        f->max[v] = v_set1(-(float)INFINITY);
    for (size_t b = 0; b <= s; b++)
        scores(w, f, s, b);
    softmax(w, f, (s + 1) * STRIP);
    memset(f->t, 0, D * STRIP * sizeof *f->t);
    strip_gather(w, f->t, f->v, D * STRIP, f->e, WEIGHTS_STEP(w), s + 1);
    for (size_t v = 0; v < STRIP_V; v++) {
        for (size_t d = 0; d < D; d++) {
            float *c = f->t + d * STRIP + 16 * v;
            v_store(c, v_add(v_mul(v_load(c), f->recip[v]), v_zero()));
        }
        v_store(m + 16 * v, f->max[v]);
        v_store(r + 16 * v, f->recip[v]);
    }
    strip_unload(out + w->at + i * w->H, w->H, f->t, n, D);
    for (size_t j = 0; j < n && stats != NULL; j++) {
        stats[(i + j) * 2] = m[j];
        stats[(i + j) * 2 + 1] = r[j];
    }
}

void LANES(lanes_attention_forward)(const struct kern_attention *a, bool bf16, float *out,
                                    float *stats, const float *qkv, size_t u0, size_t u1,
                                    float *scratch)
{
    size_t D = a->head, S = (a->seq + STRIP - 1) / STRIP * STRIP;
    float *cos = scratch, *sin = cos + S * (D / 2);
    struct forward f = {.k = sin + S * (D / 2)};
    f.v = f.k + S * D;
    f.e = f.v + S * D;
    f.q = f.e + S * STRIP;
    f.t = f.q + D * STRIP;
    f.partial = f.t + D * STRIP;

    strip_angles(cos, a->cos, a->seq, D / 2);
    strip_angles(sin, a->sin, a->seq, D / 2);
    for (size_t u = u0; u < u1; u++) {
        const struct unit w = unit_of(a, bf16, cos, sin, u);
        for (size_t s = 0; s < w.strips; s++) {
            size_t j = s * STRIP, n = w.S - j < STRIP ? w.S - j : STRIP;
            const float *k = qkv + w.at_qkv + j * 3 * w.H + w.H;
            strip_load(f.t, k, 3 * w.H, n, D);
            strip_turn(&w, f.t, s, false);
            strip_put(&w, f.k + j * D, f.t);
            strip_load(f.t, k + w.H, 3 * w.H, n, D);
            strip_put(&w, f.v + j * D, f.t);
        }
        for (size_t s = 0; s < w.strips; s++)
            strip_forward(&w, &f, out, stats == NULL ? NULL : stats + u * w.S * 2, qkv, s);
    }
}

/* y = x turned to position pos. */
INLINE void rotate(float *y, const float *x, const struct kern_attention *a, size_t pos)
{
    size_t half = a->head / 2;
    const float *cos = a->cos + pos * half, *sin = a->sin + pos * half;

    for (size_t i = 0; i < half; i += 16) {
        size_t n = half - i;
        v16 c = v_load_some(cos + i, n), s = v_load_some(sin + i, n);
        v16 x0 = v_load_some(x + i, n), x1 = v_load_some(x + half + i, n);
        v_store_some(y + i, v_fma(x0, c, v_negate(v_mul(x1, s))), n);
        v_store_some(y + half + i, v_fma(x1, c, v_mul(x0, s)), n);
    }
}

/* Keys and values of the run's tokens into the caches of head h. */
static void cache_run(const struct kern_attention *a, bool bf16, const float *qkv,
                      const struct kern_attention_run *run, size_t cache_seq, size_t h, float *k)
{
    size_t D = a->head, H = (size_t)a->heads * D;
    float *kc = run->k_cache + h * D * cache_seq, *vc = run->v_cache + h * D * cache_seq;

    for (size_t t = 0; t < run->count; t++) {
        const float *row = qkv + (run->row + t) * 3 * H + h * D;
        rotate(k, row + H, a, run->pos + t);
        for (size_t d = 0; d < D; d++) {
            kc[d * cache_seq + run->pos + t] = bf16 ? f1_bf16(k[d]) : k[d];
            vc[(run->pos + t) * D + d] = bf16 ? f1_bf16(row[2 * H + d]) : row[2 * H + d];
        }
    }
}

/* Scores e of positions 0…n−1 become weights; returns the reciprocal of their sum. */
static float weights_of_row(float *e, size_t n, v16 scale, bool bf16)
{
    v16 low = v_set1(-(float)INFINITY), largest = low, sum = v_zero();
    for (size_t j = 0; j < n; j += 16) {
        v16 s = v_mul(v_load_some(e + j, n - j), scale);
        v_store_some(e + j, s, n - j);
        largest = v_max(largest, n - j >= 16 ? s : v_select(v_first(n - j), s, low));
    }
    v16 max = v_set1(v_largest(largest) + 0.0f);
    for (size_t j = 0; j < n; j += 16) {
        v16 x = v_exp(v_sub(v_load_some(e + j, n - j), max));
        v_store_some(e + j, bf16 ? v_bf16(x) : x, n - j);
        sum = v_add(sum, n - j >= 16 ? x : v_select(v_first(n - j), x, v_zero()));
    }
    return 1.0f / v_sum(sum);
}

/* The caches hold rotated keys (A,D,cache_seq), so that scores of 16 positions are one vector, and
 * values (A,cache_seq,D), rounded with bf16. KERN_DECODE_ROWS tokens at a time share what is read
 * of them; what a token must not see yet has weight zero, which changes no chain. */
void LANES(lanes_attention_decode)(const struct kern_attention *a, bool bf16, float *out,
                                   const float *qkv, const struct kern_attention_run *run,
                                   size_t cache_seq, size_t h0, size_t h1, float *scratch)
{
    size_t D = a->head, H = (size_t)a->heads * D;
    size_t ld = ((size_t)run->pos + run->count + 15) / 16 * 16 + 16;
    float *q = scratch + KERN_PACK, *k = q + KERN_DECODE_ROWS * D, *e = k + D;
    v16 scale = v_set1(1.0f / sqrtf((float)D));

    for (size_t h = h0; h < h1; h++) {
        cache_run(a, bf16, qkv, run, cache_seq, h, k);
        for (size_t t = 0; t < run->count; t += KERN_DECODE_ROWS) {
            const size_t left = run->count - t,
                         rows = left < KERN_DECODE_ROWS ? left : KERN_DECODE_ROWS;
            const size_t at = run->pos + t, n = at + rows;
            float r[KERN_DECODE_ROWS], *y = out + (run->row + t) * H + h * D;
            for (size_t i = 0; i < rows; i++) {
                rotate(q + i * D, qkv + (run->row + t + i) * 3 * H + h * D, a, at + i);
                for (size_t d = 0; bf16 && d < D; d++)
                    q[i * D + d] = f1_bf16(q[i * D + d]);
            }
            const struct kern_product s = {.K = D,
                                           .A = q,
                                           .a_row = D,
                                           .a_col = 1,
                                           .B = run->k_cache + h * D * cache_seq,
                                           .b_row = cache_seq,
                                           .b_col = 1,
                                           .C = e,
                                           .c_row = ld};
            LANES(lanes_product)(&s, 0, rows, 0, n, scratch);
            for (size_t i = 0; i < rows; i++) {
                r[i] = weights_of_row(e + i * ld, at + i + 1, scale, bf16);
                memset(e + i * ld + at + i + 1, 0, (rows - i - 1) * sizeof *e);
            }
            const struct kern_product o = {.K = n,
                                           .A = e,
                                           .a_row = ld,
                                           .a_col = 1,
                                           .B = run->v_cache + h * D * cache_seq,
                                           .b_row = D,
                                           .b_col = 1,
                                           .C = y,
                                           .c_row = H};
            LANES(lanes_product)(&o, 0, rows, 0, D, scratch);
            for (size_t i = 0; i < rows; i++, y += H)
                for (size_t d = 0; d < D; d += 16)
                    v_store_some(y + d,
                                 v_add(v_mul(v_load_some(y + d, D - d), v_set1(r[i])), v_zero()),
                                 D - d);
        }
    }
}
