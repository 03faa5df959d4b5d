/* Causal attention by strips of KERN_STRIP queries, one query a lane: definition.c says what is
 * computed.
 *
 * For a strip of queries i and keys j up to its end, the scores are a product of the keys (j,D) and
 * the transposed queries (D,strip); softmax then needs no sum across lanes, and its 16 virtual
 * lanes over j are 16 rows of partial sums. out and dq are products of the transposed weights and
 * values or keys; dk and dv take each strip's part in turn, so their chains run over i in order.
 * All are products with small strides which lanes/product.c reads in place. A strip's weights take
 * 32·S floats: 16 KiB for S = 128, first-level cache. Masked pairs have weight zero and take part
 * in chains, which changes nothing but the sign of a zero; that is settled by adding +0 at the end.
 * With bf16, what products take is rounded where it is put into scratch, once: the products
 * themselves then are the usual ones. */
#include "core/kernels/simd.h"
#include "core/kernels/lanes_table.h"

#include "core/kernels/lanes/lanes.h"

#define STRIP KERN_STRIP
#define HALVES (STRIP / 16)

/* One head of one sequence, and where its parts lie in scratch. */
struct unit {
    size_t S, D, P;       /* P: D rounded up to 16, the stride of rows in scratch */
    size_t H, at, at_qkv; /* offsets of token 0 in (B,S,H) and (B,S,3H) */
    const struct kern_attention *a;
    float scale;
    bool bf16;
    float *pack;
    float *e, *ds;          /* (S,STRIP) */
    float *k, *v, *dk, *dv; /* (S,P): keys rotated */
    float *qt, *dot, *outt; /* (P,STRIP), rotated queries, dout and out, transposed */
    float *q, *dout, *rows; /* (STRIP,P) */
    float *partial;         /* (16,STRIP) */
};

static struct unit unit_of(const struct kern_attention *a, bool bf16, size_t u, float *scratch)
{
    size_t b = u / a->heads, h = u % a->heads, S = a->seq, D = a->head, P = (D + 15) / 16 * 16;
    size_t Sp = (S + STRIP - 1) / STRIP * STRIP;
    struct unit w = {.S = S, .D = D, .P = P, .H = (size_t)a->heads * D, .a = a};

    w.at = b * S * w.H + h * D;
    w.at_qkv = b * S * 3 * w.H + h * D;
    w.scale = 1.0f / sqrtf((float)D);
    w.bf16 = bf16;
    w.pack = scratch;
    w.e = scratch + KERN_PACK;
    w.ds = w.e + Sp * STRIP;
    w.k = w.ds + Sp * STRIP;
    w.v = w.k + Sp * P;
    w.dk = w.v + Sp * P;
    w.dv = w.dk + Sp * P;
    w.qt = w.dv + Sp * P;
    w.dot = w.qt + P * STRIP;
    w.outt = w.dot + P * STRIP;
    w.q = w.outt + P * STRIP;
    w.dout = w.q + P * STRIP;
    w.rows = w.dout + P * STRIP;
    w.partial = w.rows + P * STRIP;
    return w;
}

/* y = x turned to position pos, or back. */
INLINE void rotate(float *y, const float *x, const struct kern_attention *a, size_t pos, bool back)
{
    size_t half = a->head / 2;
    const float *cos = a->cos + pos * half, *sin = a->sin + pos * half;

    for (size_t i = 0; i < half; i += 16) {
        size_t n = half - i;
        v16 c = v_load_some(cos + i, n), s = v_load_some(sin + i, n);
        v16 x0 = v_load_some(x + i, n), x1 = v_load_some(x + half + i, n);
        if (back)
            s = v_negate(s);
        v_store_some(y + i, v_fma(x0, c, v_negate(v_mul(x1, s))), n);
        v_store_some(y + half + i, v_fma(x1, c, v_mul(x0, s)), n);
    }
}

/* Rows of D floats to rows of P, padded with zeros. */
INLINE void copy_row(float *y, const float *x, size_t D, size_t P)
{
    for (size_t i = 0; i < P; i += 16)
        v_store(y + i, v_load_some(x + i, D - i));
}

/* What a product takes of v. */
INLINE v16 input(const struct unit *w, v16 v)
{
    return w->bf16 ? v_bf16(v) : v;
}

/* n floats from x, a multiple of 16, as products take them. */
INLINE void inputs(const struct unit *w, float *x, size_t n)
{
    for (size_t i = 0; w->bf16 && i < n; i += 16)
        v_store(x + i, v_bf16(v_load(x + i)));
}

INLINE void clear_padding(float *y, size_t D, size_t P)
{
    for (size_t i = D; i < P; i++)
        y[i] = 0.0f;
}

/* T (P,STRIP) = the transpose of n ≤ STRIP rows of D floats; zeros elsewhere. */
static void transpose_strip(float *T, const float *x, size_t stride, size_t n, size_t D, size_t P)
{
    for (size_t r = 0; r < STRIP; r += 16) {
        for (size_t d = 0; d < P; d += 16) {
            v16 t[16];
            for (size_t i = 0; i < 16; i++)
                t[i] = r + i < n ? v_load_some(x + (r + i) * stride + d, D - d) : v_zero();
            v_transpose(t);
            for (size_t i = 0; i < 16; i++)
                v_store(T + (d + i) * STRIP + r, t[i]);
        }
    }
}

/* Keys, rotated, and values of a unit into scratch. */
static void keys_and_values(const struct unit *w, const float *qkv)
{
    for (size_t j = 0; j < w->S; j++) {
        const float *x = qkv + w->at_qkv + j * 3 * w->H;
        rotate(w->k + j * w->P, x + w->H, w->a, j, false);
        clear_padding(w->k + j * w->P, w->D, w->P);
        copy_row(w->v + j * w->P, x + 2 * w->H, w->D, w->P);
    }
    inputs(w, w->k, w->S * w->P);
    inputs(w, w->v, w->S * w->P);
}

/* Rotated queries of n rows from s, as rows and transposed. */
static void queries(const struct unit *w, const float *qkv, size_t s, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        rotate(w->q + i * w->P, qkv + w->at_qkv + (s + i) * 3 * w->H, w->a, s + i, false);
        clear_padding(w->q + i * w->P, w->D, w->P);
    }
    inputs(w, w->q, n * w->P);
    transpose_strip(w->qt, w->q, w->P, n, w->P, w->P);
}

/* C (M,N) stride N (+)= A B, everything in scratch. */
INLINE void multiply(const struct unit *w, size_t M, size_t N, size_t K, const float *A,
                     size_t a_row, size_t a_col, const float *B, size_t b_row, float *C,
                     bool accumulate)
{
    struct kern_product p = {K, A, a_row, a_col, B, b_row, 1, C, N, accumulate, false};
    LANES(lanes_product)(&p, 0, M, 0, N, w->pack);
}

/* Row j of raw scores, scaled, −∞ where the query of a lane (s + lane) is before j. */
INLINE void scaled_scores(const struct unit *w, size_t s, size_t j, v16 x[HALVES])
{
    v16 scale = v_set1(w->scale);
    for (size_t h = 0; h < HALVES; h++)
        x[h] = v_mul(v_load(w->e + j * STRIP + 16 * h), scale);
    for (size_t h = 0; h < HALVES && j > s; h++) {
        size_t masked = j - s > 16 * h ? j - s - 16 * h : 0;
        x[h] = v_select(v_first(masked < 16 ? masked : 16), v_set1(-(float)INFINITY), x[h]);
    }
}

/* Raw scores in e to exp(score − max), and max and reciprocal sum a lane. */
static void strip_softmax(const struct unit *w, size_t s, size_t end, v16 max[HALVES],
                          v16 recip[HALVES])
{
    v16 x[HALVES];

    for (size_t h = 0; h < HALVES; h++)
        max[h] = v_set1(-(float)INFINITY);
    for (size_t j = 0; j < end; j++) {
        scaled_scores(w, s, j, x);
        for (size_t h = 0; h < HALVES; h++) {
            v_store(w->e + j * STRIP + 16 * h, x[h]);
            max[h] = v_max(max[h], x[h]);
        }
    }
    for (size_t h = 0; h < HALVES; h++)
        max[h] = v_add(max[h], v_zero());
    for (size_t l = 0; l < 16 * STRIP; l += 16)
        v_store(w->partial + l, v_zero());
    for (size_t j = 0; j < end; j++) {
        float *sum = w->partial + j % 16 * STRIP;
        for (size_t h = 0; h < HALVES; h++) {
            v16 e = v_exp(v_sub(v_load(w->e + j * STRIP + 16 * h), max[h]));
            v_store(w->e + j * STRIP + 16 * h, input(w, e));
            v_store(sum + 16 * h, v_add(v_load(sum + 16 * h), e));
        }
    }
    for (size_t l = 8; l > 0; l /= 2) {
        for (size_t i = 0; i < l * STRIP; i += 16)
            v_store(w->partial + i,
                    v_add(v_load(w->partial + i), v_load(w->partial + i + l * STRIP)));
    }
    for (size_t h = 0; h < HALVES; h++)
        recip[h] = v_div(v_set1(1.0f), v_load(w->partial + 16 * h));
}

static void strip_forward(const struct unit *w, size_t u, float *out, float *stats,
                          const float *qkv, size_t s)
{
    size_t n = w->S - s < STRIP ? w->S - s : STRIP, end = s + n;
    v16 max[HALVES], recip[HALVES];
    float m[STRIP], r[STRIP];

    queries(w, qkv, s, n);
    multiply(w, end, STRIP, w->D, w->k, w->P, 1, w->qt, STRIP, w->e, false);
    strip_softmax(w, s, end, max, recip);
    multiply(w, STRIP, w->P, end, w->e, 1, STRIP, w->v, w->P, w->rows, false);
    for (size_t h = 0; h < HALVES; h++) {
        v_store(m + 16 * h, max[h]);
        v_store(r + 16 * h, recip[h]);
    }
    for (size_t i = 0; i < n; i++) {
        float *y = out + w->at + (s + i) * w->H;
        for (size_t d = 0; d < w->D; d += 16) {
            v16 c = v_mul(v_load(w->rows + i * w->P + d), v_set1(r[i]));
            v_store_some(y + d, v_add(c, v_zero()), w->D - d);
        }
        if (stats != NULL) {
            stats[(u * w->S + s + i) * 2] = m[i];
            stats[(u * w->S + s + i) * 2 + 1] = r[i];
        }
    }
}

void LANES(lanes_attention_forward)(const struct kern_attention *a, bool bf16, float *out,
                                    float *stats, const float *qkv, size_t u0, size_t u1,
                                    float *scratch)
{
    for (size_t u = u0; u < u1; u++) {
        struct unit w = unit_of(a, bf16, u, scratch);
        keys_and_values(&w, qkv);
        for (size_t s = 0; s < w.S; s += STRIP)
            strip_forward(&w, u, out, stats, qkv, s);
    }
}

/* t of each lane's query. */
static void strip_along(const struct unit *w, v16 t[HALVES])
{
    for (size_t h = 0; h < HALVES; h++) {
        t[h] = v_zero();
        for (size_t d = 0; d < w->D; d++)
            t[h] = v_fma(v_load(w->dot + d * STRIP + 16 * h), v_load(w->outt + d * STRIP + 16 * h),
                         t[h]);
    }
}

/* Raw scores in e and dp in ds become p and ds. */
static void strip_gradient(const struct unit *w, size_t u, const float *stats, size_t s, size_t n,
                           const v16 t[HALVES])
{
    float m[STRIP] = {0}, r[STRIP] = {0};
    v16 max[HALVES], recip[HALVES], x[HALVES], scale = v_set1(w->scale);

    for (size_t i = 0; i < n; i++) {
        m[i] = stats[(u * w->S + s + i) * 2];
        r[i] = stats[(u * w->S + s + i) * 2 + 1];
    }
    for (size_t h = 0; h < HALVES; h++) {
        max[h] = v_load(m + 16 * h);
        recip[h] = v_load(r + 16 * h);
    }
    for (size_t j = 0; j < s + n; j++) {
        scaled_scores(w, s, j, x);
        for (size_t h = 0; h < HALVES; h++) {
            float *at = w->ds + j * STRIP + 16 * h;
            v16 p = v_mul(v_exp(v_sub(x[h], max[h])), recip[h]);
            v_store(w->e + j * STRIP + 16 * h, input(w, p));
            v_store(at, input(w, v_mul(v_mul(p, v_sub(v_load(at), t[h])), scale)));
        }
    }
}

static void strip_backward(const struct unit *w, size_t u, float *dqkv, const float *dout,
                           const float *out, const float *stats, const float *qkv, size_t s)
{
    size_t n = w->S - s < STRIP ? w->S - s : STRIP, end = s + n;
    v16 t[HALVES];

    queries(w, qkv, s, n);
    for (size_t i = 0; i < n; i++)
        copy_row(w->dout + i * w->P, dout + w->at + (s + i) * w->H, w->D, w->P);
    transpose_strip(w->dot, w->dout, w->P, n, w->P, w->P);
    transpose_strip(w->outt, out + w->at + s * w->H, w->H, n, w->D, w->P);
    strip_along(w, t);
    inputs(w, w->dout, n * w->P);
    inputs(w, w->dot, w->P * STRIP);
    multiply(w, end, STRIP, w->D, w->k, w->P, 1, w->qt, STRIP, w->e, false);
    multiply(w, end, STRIP, w->D, w->v, w->P, 1, w->dot, STRIP, w->ds, false);
    strip_gradient(w, u, stats, s, n, t);
    multiply(w, end, w->P, n, w->e, STRIP, 1, w->dout, w->P, w->dv, true);
    multiply(w, end, w->P, n, w->ds, STRIP, 1, w->q, w->P, w->dk, true);
    multiply(w, STRIP, w->P, end, w->ds, 1, STRIP, w->k, w->P, w->rows, false);
    for (size_t i = 0; i < n; i++) {
        float *x = w->rows + i * w->P;
        for (size_t d = 0; d < w->P; d += 16)
            v_store(x + d, v_add(v_load(x + d), v_zero()));
        rotate(dqkv + w->at_qkv + (s + i) * 3 * w->H, x, w->a, s + i, true);
    }
}

void LANES(lanes_attention_backward)(const struct kern_attention *a, bool bf16, float *dqkv,
                                     const float *dout, const float *out, const float *stats,
                                     const float *qkv, size_t u0, size_t u1, float *scratch)
{
    for (size_t u = u0; u < u1; u++) {
        struct unit w = unit_of(a, bf16, u, scratch);
        keys_and_values(&w, qkv);
        memset(w.dk, 0, w.S * w.P * sizeof *w.dk);
        memset(w.dv, 0, w.S * w.P * sizeof *w.dv);
        for (size_t s = 0; s < w.S; s += STRIP)
            strip_backward(&w, u, dqkv, dout, out, stats, qkv, s);
        for (size_t j = 0; j < w.S; j++) {
            float *to = dqkv + w.at_qkv + j * 3 * w.H + w.H, *dk = w.dk + j * w.P;
            for (size_t d = 0; d < w.P; d += 16)
                v_store(dk + d, v_add(v_load(dk + d), v_zero()));
            rotate(to, dk, a, j, true);
            for (size_t d = 0; d < w.D; d += 16)
                v_store_some(to + w.H + d, v_add(v_load(w.dv + j * w.P + d), v_zero()), w.D - d);
        }
    }
}

/* The caches hold rotated keys (A,D,cache_seq), so that scores of 16 positions are one vector, and
 * values (A,cache_seq,D), rounded with bf16. */
void LANES(lanes_attention_decode)(const struct kern_attention *a, bool bf16, float *out,
                                   const float *qkv, float *k_cache, float *v_cache,
                                   size_t cache_seq, size_t pos, size_t h0, size_t h1,
                                   float *scratch)
{
    size_t D = a->head, H = (size_t)a->heads * D, n = pos + 1;
    float *q = scratch + KERN_PACK, *k = q + D, *e = k + D;
    v16 scale = v_set1(1.0f / sqrtf((float)D)), low = v_set1(-(float)INFINITY);

    for (size_t h = h0; h < h1; h++) {
        float *kc = k_cache + h * D * cache_seq, *vc = v_cache + h * D * cache_seq;
        rotate(q, qkv + h * D, a, pos, false);
        rotate(k, qkv + H + h * D, a, pos, false);
        for (size_t d = 0; d < D; d++) {
            q[d] = bf16 ? f1_bf16(q[d]) : q[d];
            kc[d * cache_seq + pos] = bf16 ? f1_bf16(k[d]) : k[d];
            vc[pos * D + d] = bf16 ? f1_bf16(qkv[2 * H + h * D + d]) : qkv[2 * H + h * D + d];
        }
        struct kern_product p = {D, q, D, 1, kc, cache_seq, 1, e, n, false, false};
        LANES(lanes_product)(&p, 0, 1, 0, n, scratch);
        v16 largest = low, sum = v_zero();
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
        float r = 1.0f / v_sum(sum), *y = out + h * D;
        struct kern_product o = {n, e, n, 1, vc, D, 1, y, D, false, false};
        LANES(lanes_product)(&o, 0, 1, 0, D, scratch);
        for (size_t d = 0; d < D; d += 16)
            v_store_some(y + d, v_add(v_mul(v_load_some(y + d, D - d), v_set1(r)), v_zero()),
                         D - d);
    }
}
