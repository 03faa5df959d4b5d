/* simd.h in plain C: an array. */
#ifndef TACIT_KERNELS_SIMD_PLAIN_H
#define TACIT_KERNELS_SIMD_PLAIN_H

typedef struct {
    float a[16];
} v16;
typedef struct {
    uint32_t a[16];
} m16;

#define V_EACH_(statement)                                                                         \
    for (int i = 0; i < 16; i++) {                                                                 \
        statement;                                                                                 \
    }

INLINE v16 v_set1(float x)
{
    v16 r;
    V_EACH_(r.a[i] = x)
    return r;
}
INLINE v16 v_zero(void)
{
    return v_set1(0.0f);
}
INLINE v16 v_load(const float *p)
{
    v16 r;
    memcpy(r.a, p, sizeof r.a);
    return r;
}
INLINE void v_store(float *p, v16 v)
{
    memcpy(p, v.a, sizeof v.a);
}
INLINE m16 v_first(size_t n)
{
    m16 m;
    V_EACH_(m.a[i] = (size_t)i < n)
    return m;
}
INLINE v16 v_load_n(const float *p, size_t n)
{
    v16 r = v_zero();
    memcpy(r.a, p, n * sizeof *r.a);
    return r;
}
INLINE void v_store_n(float *p, v16 v, size_t n)
{
    memcpy(p, v.a, n * sizeof *v.a);
}
INLINE v16 v_fma(v16 a, v16 b, v16 c)
{
    V_EACH_(c.a[i] = f1_fma(a.a[i], b.a[i], c.a[i]))
    return c;
}
INLINE v16 v_add(v16 a, v16 b)
{
    V_EACH_(a.a[i] += b.a[i])
    return a;
}
INLINE v16 v_sub(v16 a, v16 b)
{
    V_EACH_(a.a[i] -= b.a[i])
    return a;
}
INLINE v16 v_mul(v16 a, v16 b)
{
    V_EACH_(a.a[i] *= b.a[i])
    return a;
}
INLINE v16 v_div(v16 a, v16 b)
{
    V_EACH_(a.a[i] /= b.a[i])
    return a;
}
INLINE v16 v_sqrt(v16 a)
{
    V_EACH_(a.a[i] = sqrtf(a.a[i]))
    return a;
}
INLINE v16 v_max(v16 a, v16 b)
{
    V_EACH_(a.a[i] = f1_max(a.a[i], b.a[i]))
    return a;
}
INLINE m16 v_less(v16 a, v16 b)
{
    m16 m;
    V_EACH_(m.a[i] = a.a[i] < b.a[i])
    return m;
}
INLINE v16 v_select(m16 m, v16 yes, v16 no)
{
    V_EACH_(no.a[i] = m.a[i] ? yes.a[i] : no.a[i])
    return no;
}
/* p with the integer in t's low bits (t = integer + 1.5·2^23) added to its exponent. */
INLINE v16 v_add_exponent(v16 p, v16 t)
{
    V_EACH_(p.a[i] = f1_from_bits(f1_bits(p.a[i]) + (f1_bits(t.a[i]) << 23)))
    return p;
}
INLINE v16 v_negate(v16 a)
{
    V_EACH_(a.a[i] = -a.a[i])
    return a;
}
INLINE float v_sum(v16 a)
{
    for (int w = 8; w > 0; w /= 2) {
        for (int i = 0; i < w; i++) {
            a.a[i] += a.a[i + w];
        }
    }
    return a.a[0];
}
INLINE float v_largest(v16 a)
{
    for (int w = 8; w > 0; w /= 2) {
        for (int i = 0; i < w; i++) {
            a.a[i] = f1_max(a.a[i], a.a[i + w]);
        }
    }
    return a.a[0];
}
/* r[i] lane j becomes r[j] lane i. */
INLINE void v_transpose(v16 r[16])
{
    for (int i = 0; i < 16; i++) {
        for (int j = 0; j < i; j++) {
            float t = r[i].a[j];
            r[i].a[j] = r[j].a[i];
            r[j].a[i] = t;
        }
    }
}

#endif
