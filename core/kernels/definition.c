/* The definition of every kernel, one number at a time. This is the authority: each set of lanes/
 * must give the same bytes, whatever its tiles, packing and width. Written to be read, not to be
 * fast. */
#include "core/kernels/lanes_table.h"

#include <assert.h>
#include "core/kernels/mathfn.h"
#include "core/kernels/scalar.h"

/* Sums the 16 virtual lanes. */
static float lanes_sum(float l[16])
{
    for (int w = 8; w > 0; w /= 2) {
        for (int i = 0; i < w; i++)
            l[i] = l[i] + l[i + w];
    }
    return l[0];
}

static size_t round16(size_t n)
{
    return (n + 15) / 16 * 16;
}

/* What a product takes of an element. */
static float input(float x, bool bf16)
{
    return bf16 ? f1_bf16(x) : x;
}

static void product(const struct kern_product *p, size_t m0, size_t m1, size_t n0, size_t n1,
                    float *scratch)
{
    const size_t b_row = p->b_held ? 1 : p->b_row, b_col = p->b_held ? p->K : p->b_col;
    (void)scratch;
    for (size_t m = m0; m < m1; m++) {
        for (size_t n = n0; n < n1; n++) {
            float c = p->accumulate ? p->C[m * p->c_row + n] : 0.0f;
            for (size_t k = 0; k < p->K; k++)
                c = f1_fma(input(p->A[m * p->a_row + k * p->a_col], p->bf16),
                           input(p->B[k * b_row + n * b_col], p->bf16), c);
            p->C[m * p->c_row + n] = c;
        }
    }
}

/* Columns are held one after the other. */
static void hold(float *to, const struct kern_product *p, size_t n0, size_t n1)
{
    for (size_t n = n0; n < n1; n++) {
        for (size_t k = 0; k < p->K; k++)
            to[n * p->K + k] = input(p->B[k * p->b_row + n * p->b_col], p->bf16);
    }
}

static void vector(const struct kern_product *p, size_t n0, size_t n1, float *scratch)
{
    product(p, 0, 1, n0, n1, scratch);
}

/* Panels of one output: the weights' rows, rounded with bf16. */
static void panels_pack(float *P, const float *W, size_t in, size_t out, bool bf16)
{
    for (size_t i = 0; i < in * out; i++)
        P[i] = input(W[i], bf16);
}

static void panels(const struct kern_panels *p, size_t p0, size_t p1, float *scratch)
{
    (void)scratch;
    for (size_t r = 0; r < p->rows; r++) {
        for (size_t n = p0; n < p1; n++) {
            float *y = p->Y + r * p->out + n, c = p->accumulate ? *y : 0.0f;
            for (size_t k = 0; k < p->in; k++)
                c = f1_fma(input(p->X[r * p->in + k], p->bf16), p->panels[n * p->in + k], c);
            *y = c;
        }
    }
}

/* ---- attention ----
 * For head h of one sequence, D = head size, scale = 1/√D (float division of 1 by the float root):
 *   q, k       rotated: x[i]' = fma(x[i], cos, −(x[i+D/2]·sin)), x[i+D/2]' = fma(x[i+D/2], cos,
 *              x[i]·sin), i < D/2
 *   s[i][j]    chain over d of fma(k[j][d], q[i][d], s) from 0, times scale, j ≤ i
 *   max[i]     the largest s[i][j], + 0
 *   e[i][j]    exp(s[i][j] − max[i])
 *   r[i]       1 / (sum of e[i][j] in 16 virtual lanes over j)
 *   out[i][d]  (chain over j ≤ i of fma(e[i][j], v[j][d], c) from 0) · r[i] + 0
 * Backward:
 *   p[i][j]    e[i][j]·r[i]
 *   dv[j][d]   chain over i ≥ j of fma(p[i][j], dout[i][d], c) from 0, + 0
 *   dp[i][j]   chain over d of fma(v[j][d], dout[i][d], c) from 0
 *   t[i]       chain over d of fma(dout[i][d], out[i][d], c) from 0
 *   ds[i][j]   (p[i][j]·(dp[i][j] − t[i]))·scale
 *   dq[i][d]   chain over j ≤ i of fma(ds[i][j], k[j][d], c) from 0, + 0
 *   dk[j][d]   chain over i ≥ j of fma(ds[i][j], q[i][d], c) from 0, + 0
 *   and dq, dk turned back: the rotation with −sin.
 * With bf16, the two factors of each chain's multiply-adds are rounded first, but for t[i]: it is a
 * sum over elements, not a product of matrices.
 * "+ 0" makes −0 into +0, so that a kernel may run a chain on over masked pairs, whose e, p and ds
 * are zero. */

static void rotate(float *y, const float *x, const float *cos, const float *sin, size_t D,
                   bool back)
{
    size_t half = D / 2;
    for (size_t i = 0; i < half; i++) {
        float s = back ? -sin[i] : sin[i], a = x[i], b = x[i + half];
        y[i] = f1_fma(a, cos[i], -(b * s));
        y[i + half] = f1_fma(b, cos[i], a * s);
    }
}

struct head {
    size_t S, D, H3; /* H3: stride of tokens in qkv */
    const float *cos, *sin;
    const float *q, *k, *v; /* of token 0, unrotated */
    float scale;
    bool bf16;
};

static struct head head_of(const struct kern_attention *a, bool bf16, const float *qkv, size_t unit)
{
    size_t b = unit / a->heads, h = unit % a->heads, H = (size_t)a->heads * a->head;
    const float *q = qkv + b * a->seq * 3 * H + h * a->head;
    float scale = 1.0f / sqrtf((float)a->head);
    return (struct head){a->seq, a->head, 3 * H, a->cos, a->sin, q, q + H, q + 2 * H, scale, bf16};
}

static const float *turned(const struct head *h, float *y, const float *x, size_t pos)
{
    rotate(y, x + pos * h->H3, h->cos + pos * (h->D / 2), h->sin + pos * (h->D / 2), h->D, false);
    for (size_t d = 0; d < h->D; d++)
        y[d] = input(y[d], h->bf16);
    return y;
}

/* e[j], j ≤ i, of query i; *max and *r too; q and k are left in scratch as products take them:
 * turned, and rounded with bf16. Keys are turned
 * anew for each query: slow and plain. */
struct scratch {
    float *q, *k, *dq, *e; /* D, D, D, S */
};

static struct scratch scratch_of(float *scratch, size_t D)
{
    return (struct scratch){scratch, scratch + D, scratch + 2 * D, scratch + 3 * D};
}

static void weights(const struct head *h, size_t i, const struct scratch *w, float *max, float *r)
{
    float lane[16] = {0}, *q = w->q, *k = w->k, *e = w->e;

    turned(h, q, h->q, i);
    *max = -(float)INFINITY;
    for (size_t j = 0; j <= i; j++) {
        turned(h, k, h->k, j);
        float s = 0.0f;
        for (size_t d = 0; d < h->D; d++)
            s = f1_fma(k[d], q[d], s);
        e[j] = s * h->scale;
        *max = f1_max(*max, e[j]);
    }
    *max = *max + 0.0f;
    for (size_t j = 0; j <= i; j++) {
        e[j] = f1_exp(e[j] - *max);
        lane[j % 16] = lane[j % 16] + e[j];
    }
    *r = 1.0f / lanes_sum(lane);
}

static void attention_forward(const struct kern_attention *a, bool bf16, float *out, float *stats,
                              const float *qkv, size_t u0, size_t u1, float *scratch)
{
    struct scratch w = scratch_of(scratch, a->head);
    for (size_t u = u0; u < u1; u++) {
        struct head h = head_of(a, bf16, qkv, u);
        size_t b = u / a->heads, H = (size_t)a->heads * a->head;
        float *y = out + b * a->seq * H + (u % a->heads) * a->head;
        for (size_t i = 0; i < h.S; i++) {
            float max, r;
            weights(&h, i, &w, &max, &r);
            for (size_t d = 0; d < h.D; d++) {
                float c = 0.0f;
                for (size_t j = 0; j <= i; j++)
                    c = f1_fma(input(w.e[j], bf16), input(h.v[j * h.H3 + d], bf16), c);
                y[i * H + d] = c * r + 0.0f;
            }
            if (stats != NULL) {
                stats[(u * h.S + i) * 2] = max;
                stats[(u * h.S + i) * 2 + 1] = r;
            }
        }
    }
}

/* Adds query i's part to dk (rotated) and dv, and writes dq. */
static void attention_backward_query(const struct head *h, size_t i, float *dq, float *dk,
                                     float *dv, const float *dout, const float *out,
                                     const struct scratch *w)
{
    float max, r, t = 0.0f, *q = w->q, *k = w->k, *dqr = w->dq, *e = w->e;

    weights(h, i, w, &max, &r);
    for (size_t d = 0; d < h->D; d++) {
        t = f1_fma(dout[d], out[d], t);
        dqr[d] = 0.0f;
    }
    for (size_t j = 0; j <= i; j++) {
        float p = e[j] * r, dp = 0.0f;
        for (size_t d = 0; d < h->D; d++)
            dp = f1_fma(input(h->v[j * h->H3 + d], h->bf16), input(dout[d], h->bf16), dp);
        float ds = input((p * (dp - t)) * h->scale, h->bf16);
        p = input(p, h->bf16);
        turned(h, k, h->k, j);
        for (size_t d = 0; d < h->D; d++) {
            dqr[d] = f1_fma(ds, k[d], dqr[d]);
            dk[j * h->H3 + d] = f1_fma(ds, q[d], dk[j * h->H3 + d]);
            dv[j * h->H3 + d] = f1_fma(p, input(dout[d], h->bf16), dv[j * h->H3 + d]);
        }
    }
    for (size_t d = 0; d < h->D; d++)
        dqr[d] = dqr[d] + 0.0f;
    rotate(dq, dqr, h->cos + i * (h->D / 2), h->sin + i * (h->D / 2), h->D, true);
}

static void attention_backward(const struct kern_attention *a, bool bf16, float *dqkv,
                               const float *dout, const float *out, const float *stats,
                               const float *qkv, size_t u0, size_t u1, float *scratch)
{
    struct scratch w = scratch_of(scratch, a->head);
    float *x = w.q;
    (void)stats; /* the same numbers, computed again */
    for (size_t u = u0; u < u1; u++) {
        struct head h = head_of(a, bf16, qkv, u);
        size_t b = u / a->heads, H = (size_t)a->heads * a->head;
        size_t at = b * a->seq * H + (u % a->heads) * a->head;
        float *dq = dqkv + b * a->seq * 3 * H + (u % a->heads) * a->head;
        float *dk = dq + H, *dv = dk + H;
        for (size_t j = 0; j < h.S; j++) {
            for (size_t d = 0; d < h.D; d++)
                dk[j * h.H3 + d] = dv[j * h.H3 + d] = 0.0f;
        }
        for (size_t i = 0; i < h.S; i++)
            attention_backward_query(&h, i, dq + i * h.H3, dk, dv, dout + at + i * H,
                                     out + at + i * H, &w);
        for (size_t j = 0; j < h.S; j++) {
            for (size_t d = 0; d < h.D; d++) {
                x[d] = dk[j * h.H3 + d] + 0.0f;
                dv[j * h.H3 + d] = dv[j * h.H3 + d] + 0.0f;
            }
            rotate(dk + j * h.H3, x, h.cos + j * (h.D / 2), h.sin + j * (h.D / 2), h.D, true);
        }
    }
}

/* The caches hold the rotated keys (A,D,cache_seq) and the values (A,cache_seq,D), rounded with
 * bf16. One token of one head. */
static void decode_token(const struct kern_attention *a, bool bf16, float *out, const float *qkv,
                         float *kc, float *vc, size_t cache_seq, size_t pos,
                         const struct scratch *w)
{
    size_t D = a->head, H = (size_t)a->heads * D;
    float *q = w->q, *k = w->k, *e = w->e;
    const float *cos = a->cos + pos * (D / 2), *sin = a->sin + pos * (D / 2);
    float scale = 1.0f / sqrtf((float)D), lane[16] = {0}, max = -(float)INFINITY;

    rotate(q, qkv, cos, sin, D, false);
    rotate(k, qkv + H, cos, sin, D, false);
    for (size_t d = 0; d < D; d++) {
        q[d] = input(q[d], bf16);
        kc[d * cache_seq + pos] = input(k[d], bf16);
        vc[pos * D + d] = input(qkv[2 * H + d], bf16);
    }
    for (size_t j = 0; j <= pos; j++) {
        float s = 0.0f;
        for (size_t d = 0; d < D; d++)
            s = f1_fma(kc[d * cache_seq + j], q[d], s);
        e[j] = s * scale;
        max = f1_max(max, e[j]);
    }
    max = max + 0.0f;
    for (size_t j = 0; j <= pos; j++) {
        e[j] = f1_exp(e[j] - max);
        lane[j % 16] = lane[j % 16] + e[j];
    }
    float r = 1.0f / lanes_sum(lane);
    for (size_t d = 0; d < D; d++) {
        float c = 0.0f;
        for (size_t j = 0; j <= pos; j++)
            c = f1_fma(input(e[j], bf16), vc[j * D + d], c);
        out[d] = c * r + 0.0f;
    }
}

static void attention_decode(const struct kern_attention *a, bool bf16, float *out,
                             const float *qkv, const struct kern_attention_run *run,
                             size_t cache_seq, size_t h0, size_t h1, float *scratch)
{
    size_t D = a->head, H = (size_t)a->heads * D;
    struct scratch w = scratch_of(scratch, D);

    for (size_t h = h0; h < h1; h++) {
        float *kc = run->k_cache + h * D * cache_seq, *vc = run->v_cache + h * D * cache_seq;
        for (size_t t = 0; t < run->count; t++)
            decode_token(a, bf16, out + (run->row + t) * H + h * D,
                         qkv + (run->row + t) * 3 * H + h * D, kc, vc, cache_seq, run->pos + t, &w);
    }
}

/* ---- rows ---- */

static void layernorm_forward(float *y, float *stats, const float *x, const float *w, size_t rows,
                              size_t H)
{
    for (size_t r = 0; r < rows; r++, x += H, y += H) {
        float lane[16] = {0}, square[16] = {0};
        for (size_t i = 0; i < round16(H); i++)
            lane[i % 16] = lane[i % 16] + (i < H ? x[i] : 0.0f);
        float mean = lanes_sum(lane) / (float)H;
        for (size_t i = 0; i < round16(H); i++) {
            float d = i < H ? x[i] - mean : 0.0f;
            square[i % 16] = f1_fma(d, d, square[i % 16]);
        }
        float rstd = 1.0f / sqrtf(lanes_sum(square) / (float)H + KERN_NORM_EPSILON);
        for (size_t i = 0; i < H; i++)
            y[i] = ((x[i] - mean) * rstd) * w[i];
        if (stats != NULL) {
            stats[2 * r] = mean;
            stats[2 * r + 1] = rstd;
        }
    }
}

/* With n = (x − mean)·rstd and g = dy·w: dx = add + rstd·((g − mean(g)) − n·mean(g·n)). */
static void layernorm_backward(float *dx, const float *dy, const float *add, const float *x,
                               const float *stats, const float *w, size_t rows, size_t H)
{
    for (size_t r = 0; r < rows; r++) {
        size_t at = r * H;
        float mean = stats[2 * r], rstd = stats[2 * r + 1];
        float lane[16] = {0}, along[16] = {0};
        for (size_t i = 0; i < round16(H); i++) {
            float g = i < H ? dy[at + i] * w[i] : 0.0f;
            float n = i < H ? (x[at + i] - mean) * rstd : 0.0f;
            lane[i % 16] = lane[i % 16] + g;
            along[i % 16] = f1_fma(g, n, along[i % 16]);
        }
        float g_mean = lanes_sum(lane) / (float)H, gn_mean = lanes_sum(along) / (float)H;
        for (size_t i = 0; i < H; i++) {
            float g = dy[at + i] * w[i], n = (x[at + i] - mean) * rstd;
            dx[at + i] =
                f1_fma(rstd, f1_fma(n, -gn_mean, g - g_mean), add != NULL ? add[at + i] : 0.0f);
        }
    }
}

static void layernorm_weight(float *dw, const float *dy, const float *x, const float *stats,
                             size_t rows, size_t H, size_t c0, size_t c1)
{
    for (size_t c = c0; c < c1; c++) {
        for (size_t r = 0; r < rows; r++) {
            float n = (x[r * H + c] - stats[2 * r]) * stats[2 * r + 1];
            dw[c] = f1_fma(dy[r * H + c], n, dw[c]);
        }
    }
}

/* gelu(x) = x·σ(2u), u = √(2/π)·(x + 0.044715·x³), since (1 + tanh u)/2 = σ(2u) = 1/(1 + e^(−2u)).
 */

static float gelu_sigma(float x)
{
    return 1.0f / (1.0f + f1_exp(x * f1_fma(GELU_B, x * x, GELU_A)));
}

static void gelu_forward(float *y, const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] = x[i] * gelu_sigma(x[i]);
}

/* gelu'(x) = σ + x·σ·(1 − σ)·2u', 2u' = −(GELU_A + 3·GELU_B·x²). */
static void gelu_backward(float *dx, const float *dy, const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        float s = gelu_sigma(x[i]);
        float slope = f1_fma(-3.0f * GELU_B, x[i] * x[i], -GELU_A);
        dx[i] = dy[i] * f1_fma((x[i] * slope) * s, 1.0f - s, s);
    }
}

static void add(float *y, const float *a, const float *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] = a[i] + b[i];
}

static void scale(float *y, const float *x, float s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] = x[i] * s;
}

static void mix(float *y, float s, const float *x, float t, const float *z, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] = f1_fma(s, x[i], t * z[i]);
}

static void embed_backward(float *dE, const float *dx, const uint32_t *tokens, size_t rows,
                           size_t H, size_t c0, size_t c1)
{
    for (size_t r = 0; r < rows; r++) {
        for (size_t c = c0; c < c1; c++)
            dE[tokens[r] * H + c] = dE[tokens[r] * H + c] + dx[r * H + c];
    }
}

/* max, e[v] = exp(x[v] − max), sum in 16 virtual lanes; loss = ln(sum) − (x[target] − max), ln in
 * double, rounded. */
static float loss_of(const float *logits, uint32_t target, size_t V, float *max, float *sum)
{
    float lane[16] = {0};
    *max = -(float)INFINITY;
    for (size_t v = 0; v < V; v++)
        *max = f1_max(*max, logits[v]);
    for (size_t v = 0; v < V; v++)
        lane[v % 16] = lane[v % 16] + f1_exp(logits[v] - *max);
    *sum = lanes_sum(lane);
    return (float)mathfn_log((double)*sum) - (logits[target] - *max);
}

static void loss(float *losses, const float *logits, size_t ld, const uint32_t *targets,
                 size_t rows, size_t V)
{
    float max, sum;
    for (size_t r = 0; r < rows; r++, logits += ld)
        losses[r] =
            targets[r] == KERN_NO_TARGET ? 0.0f : loss_of(logits, targets[r], V, &max, &sum);
}

/* d[v] = e[v]·(scale/sum), less scale at the target. */
static void head_rows(float *losses, float *logits, size_t ld, float *across, size_t block,
                      const uint32_t *targets, size_t rows, size_t V, float scale_, bool bf16)
{
    for (size_t r = 0; r < rows; r++, logits += ld, across += KERN_HEAD_WORDS) {
        const bool none = targets[r] == KERN_NO_TARGET;
        float max = 0.0f, sum = 1.0f;
        losses[r] = none ? 0.0f : loss_of(logits, targets[r], V, &max, &sum);
        for (size_t v = 0; v < V; v++) {
            float d = none ? 0.0f : f1_exp(logits[v] - max) * (scale_ / sum);
            d = v == targets[r] ? d - scale_ : d;
            logits[v] = input(d, bf16);
            across[v / KERN_HEAD_WORDS * block + v % KERN_HEAD_WORDS] = logits[v];
        }
    }
}

/* Word v is in lane v mod 16. For each block of KERN_WORDS and lane: m' = the largest of m and the
 * block's logits, + 0, s ← s·exp(m − m'), then s ← s + exp(x − m') word by word; m begins as
 * −FLT_MAX, which is less than any logit that leaves the loss finite, s as 0. */
static void words_block(float *state, const float *logits, size_t ld, size_t rows, size_t n)
{
    for (size_t r = 0; r < rows; r++, state += 32, logits += ld) {
        for (size_t l = 0; l < 16; l++) {
            float max = state[l], sum = state[16 + l];
            for (size_t v = l; v < n; v += 16)
                max = f1_max(logits[v], max);
            max = max + 0.0f;
            sum = sum * f1_exp(state[l] - max);
            for (size_t v = l; v < n; v += 16)
                sum = sum + f1_exp(logits[v] - max);
            state[l] = max;
            state[16 + l] = sum;
        }
    }
}

/* max = the largest m; loss = ln(sum of s·exp(m − max) over the lanes) − (x[target] − max). */
static void words_loss(float *losses, const float *state, const float *at, size_t rows)
{
    for (size_t r = 0; r < rows; r++, state += 32) {
        float max = -(float)INFINITY, lane[16];
        for (size_t l = 0; l < 16; l++)
            max = f1_max(max, state[l]);
        for (size_t l = 0; l < 16; l++)
            lane[l] = state[16 + l] * f1_exp(state[l] - max);
        losses[r] = (float)mathfn_log((double)lanes_sum(lane)) - (at[r] - max);
    }
}

/* ---- optimizer ---- */

static void adamw(float *p, float *m, float *v, const float *g, size_t n,
                  const struct kern_adamw_f *o)
{
    for (size_t i = 0; i < n; i++) {
        float d = g[i] * o->scale;
        m[i] = f1_fma(o->beta1, m[i], o->rest1 * d);
        v[i] = f1_fma(o->beta2, v[i], o->rest2 * (d * d));
        float root = sqrtf(v[i] * o->unbias2) + o->epsilon;
        float step = (m[i] * o->unbias1) / root;
        p[i] = f1_fma(-o->rate, step, p[i] * o->keep);
    }
}

static float squares(const float *x, size_t n)
{
    float lane[16] = {0};
    assert(n <= KERN_SQUARES);
    for (size_t i = 0; i < round16(n); i++) {
        float d = i < n ? x[i] : 0.0f;
        lane[i % 16] = f1_fma(d, d, lane[i % 16]);
    }
    return lanes_sum(lane);
}

static double peak(float *out, size_t rounds, bool bf16)
{
    float c = 0.0f;
    for (size_t i = 0; i < rounds; i++)
        c = f1_fma(input(out[0], bf16), input(out[1], bf16), c);
    out[2] = c;
    return 2.0 * (double)rounds;
}

const struct kern_lanes kern_lanes_definition = {
    .name = "definition",
    .product = product,
    .hold = hold,
    .vector = vector,
    .words_block = words_block,
    .words_loss = words_loss,
    .panel = 1,
    .panels_pack = panels_pack,
    .panels = panels,
    .attention_forward = attention_forward,
    .attention_backward = attention_backward,
    .attention_decode = attention_decode,
    .layernorm_forward = layernorm_forward,
    .layernorm_backward = layernorm_backward,
    .layernorm_weight = layernorm_weight,
    .gelu_forward = gelu_forward,
    .gelu_backward = gelu_backward,
    .add = add,
    .scale = scale,
    .mix = mix,
    .embed_backward = embed_backward,
    .loss = loss,
    .head_rows = head_rows,
    .adamw = adamw,
    .peak = peak,
    .squares = squares,
};
