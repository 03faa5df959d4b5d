/* Scalar float32 operations of the one arithmetic: what simd.h does in 16 lanes, for one. */
#ifndef TACIT_KERNELS_SCALAR_H
#define TACIT_KERNELS_SCALAR_H

#include <math.h>
#include <stdint.h>
#include <string.h>

static inline uint32_t f1_bits(float x)
{
    uint32_t b;
    memcpy(&b, &x, 4);
    return b;
}

static inline float f1_from_bits(uint32_t b)
{
    float x;
    memcpy(&x, &b, 4);
    return x;
}

/* a·b + c, rounded once. Without the instruction: the product of two floats is exact in double; the
 * sum is rounded there to odd (the last bit records that something was cut), and 53 ≥ 2·24 + 2 bits
 * then make the second rounding the right one. Denormal inputs and results are flushed by the
 * conversions, as the instruction does it. */
static inline float f1_fma(float a, float b, float c)
{
#ifdef __FP_FAST_FMAF
    return __builtin_fmaf(a, b, c);
#else
    double p = (double)a * (double)b, d = (double)c;
    double s = p + d, t = s - p;
    double cut = (p - (s - t)) + (d - t);
    int64_t u;
    memcpy(&u, &s, 8);
    int64_t up = (cut > 0) == (s > 0) ? 1 : -1;
    int64_t inexact = (cut > 0) | (cut < 0); /* neither where s is not finite */
    u += up * (inexact & ~u & 1);
    memcpy(&s, &u, 8);
    return (float)s;
#endif
}

/* The larger; b where either is not a number, as x86 has it. */
static inline float f1_max(float a, float b)
{
    return a > b ? a : b;
}

/* The nearest bfloat16, ties to even, as the float of the same value. Denormals become zero, as
 * x86's conversion has it whatever the mode; what is not a number stays so. */
static inline float f1_bf16(float x)
{
    uint32_t b = f1_bits(x), magnitude = b & 0x7fffffffu;
    if (magnitude > 0x7f800000u)
        return f1_from_bits((b | 0x00400000u) & 0xffff0000u);
    if (magnitude < 0x00800000u)
        return f1_from_bits(b & 0x80000000u);
    return f1_from_bits((b + 0x7fffu + (b >> 16 & 1)) & 0xffff0000u);
}

/* e^x. n = round(x·log2 e) by adding 1.5·2^23; r = x − n·ln 2 in two parts (the first product is
 * exact); e^r = 1 + r + r²·q(r), q of degree 4 (minimax over |r| ≤ ln 2 / 2); n is added to the
 * exponent. Within 1 ulp. 0 below −87.33, where results near the denormals begin; +∞ above 88.72.
 */
#define EXP_LOWEST (-87.33f)
#define EXP_HIGHEST 88.72f
#define EXP_LOG2E 0x1.715476p+0f
#define EXP_MAGIC 0x1.8p+23f
#define EXP_LN2_HI 0x1.62e4p-1f
#define EXP_LN2_LO 0x1.7f7d1cp-20f
#define EXP_Q4 0x1.6a23dp-10f
#define EXP_Q3 0x1.123a2p-7f
#define EXP_Q2 0x1.5558f2p-5f
#define EXP_Q1 0x1.555492p-3f
#define EXP_Q0 0x1.fffffcp-2f
static inline float f1_exp(float x)
{
    float t = f1_fma(x, EXP_LOG2E, EXP_MAGIC);
    float n = t - EXP_MAGIC;
    float r = f1_fma(n, -EXP_LN2_HI, x);
    r = f1_fma(n, -EXP_LN2_LO, r);
    float q = f1_fma(EXP_Q4, r, EXP_Q3);
    q = f1_fma(q, r, EXP_Q2);
    q = f1_fma(q, r, EXP_Q1);
    q = f1_fma(q, r, EXP_Q0);
    float p = f1_fma(r * r, q, r) + 1.0f;
    float y = f1_from_bits(f1_bits(p) + (f1_bits(t) << 23));
    y = x < EXP_LOWEST ? 0.0f : y;
    return x > EXP_HIGHEST ? (float)INFINITY : y;
}

/* GELU, tanh form: −2·√(2/π)·(x + 0.044715·x³) = x·(GELU_B·x² + GELU_A). */
#define GELU_A (-1.5957691216f)
#define GELU_B (-0.0713548163f)

#endif
