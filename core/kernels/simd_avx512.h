/* simd.h with AVX-512: one register. */
#ifndef TACIT_KERNELS_SIMD_AVX512_H
#define TACIT_KERNELS_SIMD_AVX512_H

#include <immintrin.h>

typedef __m512 v16;
typedef __mmask16 m16;

INLINE v16 v_zero(void)
{
    return _mm512_setzero_ps();
}
INLINE v16 v_set1(float x)
{
    return _mm512_set1_ps(x);
}
INLINE v16 v_load(const float *p)
{
    return _mm512_loadu_ps(p);
}
INLINE void v_store(float *p, v16 v)
{
    _mm512_storeu_ps(p, v);
}
INLINE m16 v_first(size_t n)
{
    return (m16)((1u << n) - 1);
}
INLINE v16 v_load_n(const float *p, size_t n)
{
    return _mm512_maskz_loadu_ps(v_first(n), p);
}
INLINE void v_store_n(float *p, v16 v, size_t n)
{
    _mm512_mask_storeu_ps(p, v_first(n), v);
}
INLINE v16 v_fma(v16 a, v16 b, v16 c)
{
    return _mm512_fmadd_ps(a, b, c);
}
INLINE v16 v_add(v16 a, v16 b)
{
    return _mm512_add_ps(a, b);
}
INLINE v16 v_sub(v16 a, v16 b)
{
    return _mm512_sub_ps(a, b);
}
INLINE v16 v_mul(v16 a, v16 b)
{
    return _mm512_mul_ps(a, b);
}
INLINE v16 v_div(v16 a, v16 b)
{
    return _mm512_div_ps(a, b);
}
INLINE v16 v_sqrt(v16 a)
{
    return _mm512_sqrt_ps(a);
}
INLINE v16 v_max(v16 a, v16 b)
{
    return _mm512_max_ps(a, b);
}
INLINE m16 v_less(v16 a, v16 b)
{
    return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ);
}
INLINE v16 v_select(m16 m, v16 yes, v16 no)
{
    return _mm512_mask_blend_ps(m, no, yes);
}
/* p with the integer in t's low bits (t = integer + 1.5·2^23) added to its exponent. */
INLINE v16 v_add_exponent(v16 p, v16 t)
{
    __m512i n = _mm512_slli_epi32(_mm512_castps_si512(t), 23);
    return _mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(p), n));
}
INLINE v16 v_negate(v16 a)
{
    return _mm512_castsi512_ps(
        _mm512_xor_si512(_mm512_castps_si512(a), _mm512_set1_epi32((int)0x80000000u)));
}
INLINE v16 v_bf16(v16 a)
{
    __m512i b = _mm512_castps_si512(a), one = _mm512_set1_epi32(1);
    __m512i magnitude = _mm512_and_si512(b, _mm512_set1_epi32(0x7fffffff));
    __m512i odd = _mm512_and_si512(_mm512_srli_epi32(b, 16), one);
    __m512i r = _mm512_add_epi32(_mm512_add_epi32(b, _mm512_set1_epi32(0x7fff)), odd);
    __mmask16 nan = _mm512_cmpgt_epi32_mask(magnitude, _mm512_set1_epi32(0x7f800000));
    __mmask16 tiny = _mm512_cmplt_epi32_mask(magnitude, _mm512_set1_epi32(0x00800000));
    r = _mm512_mask_or_epi32(r, nan, b, _mm512_set1_epi32(0x00400000));
    r = _mm512_mask_and_epi32(r, tiny, b, _mm512_set1_epi32((int)0x80000000u));
    return _mm512_castsi512_ps(_mm512_and_si512(r, _mm512_set1_epi32((int)0xffff0000u)));
}
INLINE v16 v_upper_half(v16 a)
{
    return _mm512_castsi512_ps(
        _mm512_and_si512(_mm512_castps_si512(a), _mm512_set1_epi32((int)0xffff0000u)));
}
INLINE v16 v_lower_half(v16 a)
{
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_castps_si512(a), 16));
}
INLINE float v_sum(v16 a)
{
    __m256 h = _mm256_add_ps(_mm512_castps512_ps256(a), _mm512_extractf32x8_ps(a, 1));
    __m128 q = _mm_add_ps(_mm256_castps256_ps128(h), _mm256_extractf128_ps(h, 1));
    q = _mm_add_ps(q, _mm_movehl_ps(q, q));
    return _mm_cvtss_f32(_mm_add_ss(q, _mm_movehdup_ps(q)));
}
INLINE float v_largest(v16 a)
{
    __m256 h = _mm256_max_ps(_mm512_castps512_ps256(a), _mm512_extractf32x8_ps(a, 1));
    __m128 q = _mm_max_ps(_mm256_castps256_ps128(h), _mm256_extractf128_ps(h, 1));
    q = _mm_max_ps(q, _mm_movehl_ps(q, q));
    return _mm_cvtss_f32(_mm_max_ss(q, _mm_movehdup_ps(q)));
}
/* r[i] lane j becomes r[j] lane i. */
INLINE void v_transpose(v16 r[16])
{
    __m512 t[16];
    UNROLL(8)
    for (int i = 0; i < 16; i += 2) {
        t[i] = _mm512_unpacklo_ps(r[i], r[i + 1]);
        t[i + 1] = _mm512_unpackhi_ps(r[i], r[i + 1]);
    }
    /* u[4g + c], 128-bit part p: rows 4g…4g+3 of column 4p + c */
    __m512 u[16];
    UNROLL(4)
    for (int g = 0; g < 4; g++) {
        u[4 * g] = _mm512_shuffle_ps(t[4 * g], t[4 * g + 2], 0x44);
        u[4 * g + 1] = _mm512_shuffle_ps(t[4 * g], t[4 * g + 2], 0xee);
        u[4 * g + 2] = _mm512_shuffle_ps(t[4 * g + 1], t[4 * g + 3], 0x44);
        u[4 * g + 3] = _mm512_shuffle_ps(t[4 * g + 1], t[4 * g + 3], 0xee);
    }
    UNROLL(4)
    for (int c = 0; c < 4; c++) {
        __m512 a = _mm512_shuffle_f32x4(u[c], u[4 + c], 0x88); /* parts 0, 2 of groups 0, 1 */
        __m512 b = _mm512_shuffle_f32x4(u[c], u[4 + c], 0xdd); /* parts 1, 3 */
        __m512 d = _mm512_shuffle_f32x4(u[8 + c], u[12 + c], 0x88);
        __m512 e = _mm512_shuffle_f32x4(u[8 + c], u[12 + c], 0xdd);
        r[c] = _mm512_shuffle_f32x4(a, d, 0x88);
        r[8 + c] = _mm512_shuffle_f32x4(a, d, 0xdd);
        r[4 + c] = _mm512_shuffle_f32x4(b, e, 0x88);
        r[12 + c] = _mm512_shuffle_f32x4(b, e, 0xdd);
    }
}

#if defined(LANES_ISA_avx512bf16)
/* Pairs of bfloat16 a lane. VDPBF16PS adds the product of the upper halves, then that of the lower
 * ones, each with one rounding, flushing denormals whatever the mode: a step of the chain with the
 * first element above the second is two fused multiply-adds. */
#define LANES_PAIRS 1

INLINE v16 v_fma_pairs(v16 a, v16 b, v16 c)
{
    return _mm512_dpbf16_ps(c, (__m512bh)a, (__m512bh)b);
}
/* Lane i: first[i] over second[i], rounded. */
INLINE v16 v_pairs_across(v16 first, v16 second)
{
    static const uint16_t zip[32] = {0, 16, 1, 17, 2,  18, 3,  19, 4,  20, 5,  21, 6,  22, 7,  23,
                                     8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
    __m512i both = (__m512i)_mm512_cvtne2ps_pbh(first, second); /* second below */
    return _mm512_castsi512_ps(_mm512_permutexvar_epi16(_mm512_loadu_si512(zip), both));
}
/* Lane i: element 2i over element 2i+1 of the 32 in a and then b, rounded. */
INLINE v16 v_pairs_along(v16 a, v16 b)
{
    __m512i both = (__m512i)_mm512_cvtne2ps_pbh(b, a);
    return _mm512_castsi512_ps(_mm512_rol_epi32(both, 16));
}
#endif

#endif
