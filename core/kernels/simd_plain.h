/* simd.h in plain C: four of the compiler's vectors of four, of which it makes what the base
 * instruction set offers (SSE2 on x86, single floats where there is nothing). */
#ifndef TACIT_KERNELS_SIMD_PLAIN_H
#define TACIT_KERNELS_SIMD_PLAIN_H

typedef float v4_ __attribute__((vector_size(16)));
typedef int32_t m4_ __attribute__((vector_size(16))); /* all bits of a lane set or clear */
typedef uint32_t u4_ __attribute__((vector_size(16)));

typedef struct {
    v4_ q[4];
} v16;
typedef struct {
    m4_ q[4];
} m16;

/* One statement for each of the four quarters i. */
#define V_EACH_(statement)                                                                         \
    UNROLL(4) for (int i = 0; i < 4; i++)                                                          \
    {                                                                                              \
        statement;                                                                                 \
    }

INLINE v16 v_set1(float x)
{
    v4_ s = {x, x, x, x};
    return (v16){{s, s, s, s}};
}
INLINE v16 v_zero(void)
{
    return v_set1(0.0f);
}
INLINE v16 v_load(const float *p)
{
    v16 r;
    V_EACH_(memcpy(&r.q[i], p + 4 * i, sizeof r.q[i]))
    return r;
}
INLINE void v_store(float *p, v16 v){V_EACH_(memcpy(p + 4 * i, &v.q[i], sizeof v.q[i]))} INLINE m16
    v_first(size_t n)
{
    int32_t c = (int32_t)n;
    m4_ lane = {0, 1, 2, 3}, count = {c, c, c, c};
    m16 m;
    V_EACH_(m.q[i] = (m4_)(lane + 4 * i < count))
    return m;
}
INLINE v16 v_load_n(const float *p, size_t n)
{
    float t[16] = {0};
    memcpy(t, p, n * sizeof *t);
    return v_load(t);
}
INLINE void v_store_n(float *p, v16 v, size_t n)
{
    float t[16];
    v_store(t, v);
    memcpy(p, t, n * sizeof *t);
}
#ifdef __FP_FAST_FMAF
INLINE v16 v_fma(v16 a, v16 b, v16 c)
{
    V_EACH_(for (int l = 0; l < 4; l++) c.q[i][l] = __builtin_fmaf(a.q[i][l], b.q[i][l], c.q[i][l]))
    return c;
}
#else
/* f1_fma, two lanes at a time. */
typedef float v2_ __attribute__((vector_size(8)));
typedef double d2_ __attribute__((vector_size(16)));
typedef int64_t i2_ __attribute__((vector_size(16)));
INLINE v2_ v_fma_two_(v2_ a, v2_ b, v2_ c)
{
    d2_ p = __builtin_convertvector(a, d2_) * __builtin_convertvector(b, d2_);
    d2_ d = __builtin_convertvector(c, d2_);
    d2_ s = p + d, t = s - p, zero = {0, 0};
    d2_ cut = (p - (s - t)) + (d - t);
    i2_ u = (i2_)s, above = (i2_)(cut > zero), below = (i2_)(cut < zero);
    i2_ up = (above ^ (i2_)(s > zero)) | 1;    /* 1 away from zero, −1 towards it */
    u += up & (above | below) & ((u & 1) - 1); /* where inexact and even */
    return __builtin_convertvector((d2_)u, v2_);
}
INLINE v16 v_fma(v16 a, v16 b, v16 c)
{
    v2_ x[8], y[8], z[8];
    memcpy(x, &a, sizeof x);
    memcpy(y, &b, sizeof y);
    memcpy(z, &c, sizeof z);
    UNROLL(8)
    for (int i = 0; i < 8; i++)
        z[i] = v_fma_two_(x[i], y[i], z[i]);
    memcpy(&c, z, sizeof c);
    return c;
}
#endif
INLINE v16 v_add(v16 a, v16 b)
{
    V_EACH_(a.q[i] += b.q[i])
    return a;
}
INLINE v16 v_sub(v16 a, v16 b)
{
    V_EACH_(a.q[i] -= b.q[i])
    return a;
}
INLINE v16 v_mul(v16 a, v16 b)
{
    V_EACH_(a.q[i] *= b.q[i])
    return a;
}
INLINE v16 v_div(v16 a, v16 b)
{
    V_EACH_(a.q[i] /= b.q[i])
    return a;
}
INLINE v16 v_sqrt(v16 a)
{
    V_EACH_(for (int l = 0; l < 4; l++) a.q[i][l] = sqrtf(a.q[i][l]))
    return a;
}
INLINE m16 v_less(v16 a, v16 b)
{
    m16 m;
    V_EACH_(m.q[i] = (m4_)(a.q[i] < b.q[i]))
    return m;
}
INLINE v16 v_select(m16 m, v16 yes, v16 no)
{
    V_EACH_(no.q[i] = (v4_)(((m4_)yes.q[i] & m.q[i]) | ((m4_)no.q[i] & ~m.q[i])))
    return no;
}
INLINE v16 v_max(v16 a, v16 b)
{
    return v_select(v_less(b, a), a, b);
}
/* p with the integer in t's low bits (t = integer + 1.5·2^23) added to its exponent. */
INLINE v16 v_add_exponent(v16 p, v16 t)
{
    V_EACH_(p.q[i] = (v4_)((u4_)p.q[i] + ((u4_)t.q[i] << 23)))
    return p;
}
INLINE v16 v_negate(v16 a)
{
    V_EACH_(a.q[i] = -a.q[i])
    return a;
}
INLINE v16 v_bf16(v16 a)
{
    for (int i = 0; i < 4; i++) {
        u4_ b = (u4_)a.q[i], magnitude = b & 0x7fffffffu;
        u4_ r = b + 0x7fffu + (b >> 16 & 1u);
        u4_ nan = (u4_)(magnitude > 0x7f800000u), tiny = (u4_)(magnitude < 0x00800000u);
        r = (r & ~nan) | ((b | 0x00400000u) & nan);
        r = (r & ~tiny) | (b & 0x80000000u & tiny);
        a.q[i] = (v4_)(r & 0xffff0000u);
    }
    return a;
}
INLINE v16 v_upper_half(v16 a)
{
    V_EACH_(a.q[i] = (v4_)((u4_)a.q[i] & 0xffff0000u))
    return a;
}
INLINE v16 v_lower_half(v16 a)
{
    V_EACH_(a.q[i] = (v4_)((u4_)a.q[i] << 16))
    return a;
}
INLINE float v_sum(v16 v)
{
    float a[16];
    v_store(a, v);
    for (int w = 8; w > 0; w /= 2) {
        for (int i = 0; i < w; i++)
            a[i] += a[i + w];
    }
    return a[0];
}
INLINE float v_largest(v16 v)
{
    float a[16];
    v_store(a, v);
    for (int w = 8; w > 0; w /= 2) {
        for (int i = 0; i < w; i++)
            a[i] = f1_max(a[i], a[i + w]);
    }
    return a[0];
}
/* r[i] lane j becomes r[j] lane i. */
INLINE void v_transpose(v16 r[16])
{
    float t[16][16];
    for (int i = 0; i < 16; i++)
        v_store(t[i], r[i]);
    for (int i = 0; i < 16; i++) {
        float c[16];
        for (int j = 0; j < 16; j++)
            c[j] = t[j][i];
        r[i] = v_load(c);
    }
}

#endif
