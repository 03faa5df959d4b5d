/* simd.h with NEON (64-bit ARM): four registers. */
#ifndef TACIT_KERNELS_SIMD_NEON_H
#define TACIT_KERNELS_SIMD_NEON_H

#include <arm_neon.h>

typedef struct {
    float32x4_t q[4];
} v16;
typedef struct {
    uint32x4_t q[4];
} m16;

/* One statement for each of the four quarters i. */
#define V_EACH_(statement)                                                                         \
    UNROLL(4) for (int i = 0; i < 4; i++)                                                          \
    {                                                                                              \
        statement;                                                                                 \
    }

INLINE v16 v_set1(float x)
{
    float32x4_t s = vdupq_n_f32(x);
    return (v16){{s, s, s, s}};
}
INLINE v16 v_zero(void)
{
    return v_set1(0.0f);
}
INLINE v16 v_load(const float *p)
{
    return (v16){{vld1q_f32(p), vld1q_f32(p + 4), vld1q_f32(p + 8), vld1q_f32(p + 12)}};
}
INLINE void v_store(float *p, v16 v){V_EACH_(vst1q_f32(p + 4 * i, v.q[i]))} INLINE m16
    v_first(size_t n)
{
    static const uint32_t lane[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    m16 m;
    V_EACH_(m.q[i] = vcltq_u32(vld1q_u32(lane + 4 * i), vdupq_n_u32((uint32_t)n)))
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
INLINE v16 v_fma(v16 a, v16 b, v16 c)
{
    V_EACH_(c.q[i] = vfmaq_f32(c.q[i], a.q[i], b.q[i]))
    return c;
}
INLINE v16 v_add(v16 a, v16 b)
{
    V_EACH_(a.q[i] = vaddq_f32(a.q[i], b.q[i]))
    return a;
}
INLINE v16 v_sub(v16 a, v16 b)
{
    V_EACH_(a.q[i] = vsubq_f32(a.q[i], b.q[i]))
    return a;
}
INLINE v16 v_mul(v16 a, v16 b)
{
    V_EACH_(a.q[i] = vmulq_f32(a.q[i], b.q[i]))
    return a;
}
INLINE v16 v_div(v16 a, v16 b)
{
    V_EACH_(a.q[i] = vdivq_f32(a.q[i], b.q[i]))
    return a;
}
INLINE v16 v_sqrt(v16 a)
{
    V_EACH_(a.q[i] = vsqrtq_f32(a.q[i]))
    return a;
}
INLINE v16 v_select(m16 m, v16 yes, v16 no)
{
    V_EACH_(no.q[i] = vbslq_f32(m.q[i], yes.q[i], no.q[i]))
    return no;
}
INLINE m16 v_less(v16 a, v16 b)
{
    m16 m;
    V_EACH_(m.q[i] = vcltq_f32(a.q[i], b.q[i]))
    return m;
}
/* By comparison: FMAX treats a value that is not a number otherwise than x86 does. */
INLINE v16 v_max(v16 a, v16 b)
{
    return v_select(v_less(b, a), a, b);
}
/* p with the integer in t's low bits (t = integer + 1.5·2^23) added to its exponent. */
INLINE v16 v_add_exponent(v16 p, v16 t)
{
    V_EACH_(p.q[i] = vreinterpretq_f32_s32(vaddq_s32(
                vreinterpretq_s32_f32(p.q[i]), vshlq_n_s32(vreinterpretq_s32_f32(t.q[i]), 23))))
    return p;
}
INLINE v16 v_negate(v16 a)
{
    V_EACH_(a.q[i] = vnegq_f32(a.q[i]))
    return a;
}
INLINE v16 v_bf16(v16 a)
{
    for (int i = 0; i < 4; i++) {
        uint32x4_t b = vreinterpretq_u32_f32(a.q[i]);
        uint32x4_t magnitude = vandq_u32(b, vdupq_n_u32(0x7fffffffu));
        uint32x4_t odd = vandq_u32(vshrq_n_u32(b, 16), vdupq_n_u32(1));
        uint32x4_t r = vaddq_u32(vaddq_u32(b, vdupq_n_u32(0x7fff)), odd);
        uint32x4_t nan = vcgtq_u32(magnitude, vdupq_n_u32(0x7f800000u));
        uint32x4_t tiny = vcltq_u32(magnitude, vdupq_n_u32(0x00800000u));
        r = vbslq_u32(nan, vorrq_u32(b, vdupq_n_u32(0x00400000u)), r);
        r = vbslq_u32(tiny, vandq_u32(b, vdupq_n_u32(0x80000000u)), r);
        a.q[i] = vreinterpretq_f32_u32(vandq_u32(r, vdupq_n_u32(0xffff0000u)));
    }
    return a;
}
INLINE v16 v_upper_half(v16 a)
{
    for (int i = 0; i < 4; i++)
        a.q[i] = vreinterpretq_f32_u32(
            vandq_u32(vreinterpretq_u32_f32(a.q[i]), vdupq_n_u32(0xffff0000u)));
    return a;
}
INLINE v16 v_lower_half(v16 a)
{
    for (int i = 0; i < 4; i++)
        a.q[i] = vreinterpretq_f32_u32(vshlq_n_u32(vreinterpretq_u32_f32(a.q[i]), 16));
    return a;
}
INLINE float v_sum(v16 a)
{
    float32x4_t q =
        vaddq_f32(vaddq_f32(a.q[0], a.q[2]), vaddq_f32(a.q[1], a.q[3])); /* l+8, then l+4 */
    float32x2_t d = vadd_f32(vget_low_f32(q), vget_high_f32(q));
    return vget_lane_f32(d, 0) + vget_lane_f32(d, 1);
}
INLINE float v_largest(v16 a)
{
    float t[16], m;
    v_store(t, a);
    for (int w = 8; w > 0; w /= 2) {
        for (int i = 0; i < w; i++) {
            t[i] = f1_max(t[i], t[i + w]);
        }
    }
    m = t[0];
    return m;
}
/* r[i] lane j becomes r[j] lane i. */
INLINE void v_transpose(v16 r[16])
{
    float t[16][16];
    for (int i = 0; i < 16; i++) {
        v_store(t[i], r[i]);
    }
    for (int i = 0; i < 16; i++) {
        float c[16];
        for (int j = 0; j < 16; j++) {
            c[j] = t[j][i];
        }
        r[i] = v_load(c);
    }
}

#endif
