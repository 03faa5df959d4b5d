/* simd.h with AVX2 and FMA: two registers. */
#ifndef TACIT_KERNELS_SIMD_AVX2_H
#define TACIT_KERNELS_SIMD_AVX2_H

#include <immintrin.h>

typedef struct {
    __m256 l, h;
} v16;
typedef v16 m16; /* all bits of a lane set or clear */

INLINE v16 v_zero(void)
{
    return (v16){_mm256_setzero_ps(), _mm256_setzero_ps()};
}
INLINE v16 v_set1(float x)
{
    return (v16){_mm256_set1_ps(x), _mm256_set1_ps(x)};
}
INLINE v16 v_load(const float *p)
{
    return (v16){_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)};
}
INLINE void v_store(float *p, v16 v)
{
    _mm256_storeu_ps(p, v.l);
    _mm256_storeu_ps(p + 8, v.h);
}
INLINE m16 v_first(size_t n)
{
    __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    __m256i count = _mm256_set1_epi32((int)n);
    return (m16){_mm256_castsi256_ps(_mm256_cmpgt_epi32(count, lane)),
                 _mm256_castsi256_ps(
                     _mm256_cmpgt_epi32(count, _mm256_add_epi32(lane, _mm256_set1_epi32(8))))};
}
INLINE v16 v_load_n(const float *p, size_t n)
{
    m16 m = v_first(n);
    return (v16){_mm256_maskload_ps(p, _mm256_castps_si256(m.l)),
                 _mm256_maskload_ps(p + 8, _mm256_castps_si256(m.h))};
}
INLINE void v_store_n(float *p, v16 v, size_t n)
{
    m16 m = v_first(n);
    _mm256_maskstore_ps(p, _mm256_castps_si256(m.l), v.l);
    _mm256_maskstore_ps(p + 8, _mm256_castps_si256(m.h), v.h);
}
INLINE v16 v_fma(v16 a, v16 b, v16 c)
{
    return (v16){_mm256_fmadd_ps(a.l, b.l, c.l), _mm256_fmadd_ps(a.h, b.h, c.h)};
}
INLINE v16 v_add(v16 a, v16 b)
{
    return (v16){_mm256_add_ps(a.l, b.l), _mm256_add_ps(a.h, b.h)};
}
INLINE v16 v_sub(v16 a, v16 b)
{
    return (v16){_mm256_sub_ps(a.l, b.l), _mm256_sub_ps(a.h, b.h)};
}
INLINE v16 v_mul(v16 a, v16 b)
{
    return (v16){_mm256_mul_ps(a.l, b.l), _mm256_mul_ps(a.h, b.h)};
}
INLINE v16 v_div(v16 a, v16 b)
{
    return (v16){_mm256_div_ps(a.l, b.l), _mm256_div_ps(a.h, b.h)};
}
INLINE v16 v_sqrt(v16 a)
{
    return (v16){_mm256_sqrt_ps(a.l), _mm256_sqrt_ps(a.h)};
}
INLINE v16 v_max(v16 a, v16 b)
{
    return (v16){_mm256_max_ps(a.l, b.l), _mm256_max_ps(a.h, b.h)};
}
INLINE m16 v_less(v16 a, v16 b)
{
    return (m16){_mm256_cmp_ps(a.l, b.l, _CMP_LT_OQ), _mm256_cmp_ps(a.h, b.h, _CMP_LT_OQ)};
}
INLINE v16 v_select(m16 m, v16 yes, v16 no)
{
    return (v16){_mm256_blendv_ps(no.l, yes.l, m.l), _mm256_blendv_ps(no.h, yes.h, m.h)};
}
INLINE __m256 v_add_exponent_half_(__m256 p, __m256 t)
{
    __m256i n = _mm256_slli_epi32(_mm256_castps_si256(t), 23);
    return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(p), n));
}
/* p with the integer in t's low bits (t = integer + 1.5·2^23) added to its exponent. */
INLINE v16 v_add_exponent(v16 p, v16 t)
{
    return (v16){v_add_exponent_half_(p.l, t.l), v_add_exponent_half_(p.h, t.h)};
}
INLINE v16 v_negate(v16 a)
{
    __m256 sign = _mm256_set1_ps(-0.0f);
    return (v16){_mm256_xor_ps(a.l, sign), _mm256_xor_ps(a.h, sign)};
}
INLINE __m256 v_bf16_half_(__m256 a)
{
    __m256i b = _mm256_castps_si256(a), sign = _mm256_set1_epi32((int)0x80000000u);
    __m256i magnitude = _mm256_andnot_si256(sign, b);
    __m256i odd = _mm256_and_si256(_mm256_srli_epi32(b, 16), _mm256_set1_epi32(1));
    __m256i r = _mm256_add_epi32(_mm256_add_epi32(b, _mm256_set1_epi32(0x7fff)), odd);
    __m256i nan = _mm256_cmpgt_epi32(magnitude, _mm256_set1_epi32(0x7f800000));
    __m256i tiny = _mm256_cmpgt_epi32(_mm256_set1_epi32(0x00800000), magnitude);
    r = _mm256_blendv_epi8(r, _mm256_or_si256(b, _mm256_set1_epi32(0x00400000)), nan);
    r = _mm256_blendv_epi8(r, _mm256_and_si256(b, sign), tiny);
    return _mm256_castsi256_ps(_mm256_and_si256(r, _mm256_set1_epi32((int)0xffff0000u)));
}
INLINE v16 v_bf16(v16 a)
{
    return (v16){v_bf16_half_(a.l), v_bf16_half_(a.h)};
}
INLINE v16 v_upper_half(v16 a)
{
    const __m256 upper = _mm256_castsi256_ps(_mm256_set1_epi32((int)0xffff0000u));
    return (v16){_mm256_and_ps(a.l, upper), _mm256_and_ps(a.h, upper)};
}
INLINE v16 v_lower_half(v16 a)
{
    return (v16){_mm256_castsi256_ps(_mm256_slli_epi32(_mm256_castps_si256(a.l), 16)),
                 _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_castps_si256(a.h), 16))};
}
INLINE float v_sum(v16 a)
{
    __m256 h = _mm256_add_ps(a.l, a.h);
    __m128 q = _mm_add_ps(_mm256_castps256_ps128(h), _mm256_extractf128_ps(h, 1));
    q = _mm_add_ps(q, _mm_movehl_ps(q, q));
    return _mm_cvtss_f32(_mm_add_ss(q, _mm_movehdup_ps(q)));
}
INLINE float v_largest(v16 a)
{
    __m256 h = _mm256_max_ps(a.l, a.h);
    __m128 q = _mm_max_ps(_mm256_castps256_ps128(h), _mm256_extractf128_ps(h, 1));
    q = _mm_max_ps(q, _mm_movehl_ps(q, q));
    return _mm_cvtss_f32(_mm_max_ss(q, _mm_movehdup_ps(q)));
}
/* 8 rows of 8 in place. */
INLINE void v_transpose_quarter_(__m256 r[8])
{
    __m256 t[8], u[8];
    UNROLL(4)
    for (int i = 0; i < 8; i += 2) {
        t[i] = _mm256_unpacklo_ps(r[i], r[i + 1]);
        t[i + 1] = _mm256_unpackhi_ps(r[i], r[i + 1]);
    }
    UNROLL(2)
    for (int g = 0; g < 8; g += 4) {
        u[g] = _mm256_shuffle_ps(t[g], t[g + 2], 0x44);
        u[g + 1] = _mm256_shuffle_ps(t[g], t[g + 2], 0xee);
        u[g + 2] = _mm256_shuffle_ps(t[g + 1], t[g + 3], 0x44);
        u[g + 3] = _mm256_shuffle_ps(t[g + 1], t[g + 3], 0xee);
    }
    UNROLL(4)
    for (int c = 0; c < 4; c++) {
        r[c] = _mm256_permute2f128_ps(u[c], u[4 + c], 0x20);
        r[4 + c] = _mm256_permute2f128_ps(u[c], u[4 + c], 0x31);
    }
}
/* r[i] lane j becomes r[j] lane i. */
INLINE void v_transpose(v16 r[16])
{
    __m256 a[8], b[8], c[8], d[8];
    UNROLL(8)
    for (int i = 0; i < 8; i++) {
        a[i] = r[i].l, b[i] = r[i].h, c[i] = r[8 + i].l, d[i] = r[8 + i].h;
    }
    v_transpose_quarter_(a);
    v_transpose_quarter_(b);
    v_transpose_quarter_(c);
    v_transpose_quarter_(d);
    UNROLL(8)
    for (int i = 0; i < 8; i++) {
        r[i] = (v16){a[i], c[i]};
        r[8 + i] = (v16){b[i], d[i]};
    }
}

#endif
