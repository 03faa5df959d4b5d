/* Sixteen float32 lanes on whatever the instruction set offers: one 512-bit register, two of 256,
 * four of 128, or an array. Every operation is IEEE exact per lane, so all sets give the same bits.
 * Included by lanes/, which the Makefile compiles once per set with LANES_ISA naming it. */
#ifndef TACIT_KERNELS_SIMD_H
#define TACIT_KERNELS_SIMD_H

#include <stddef.h>
#include <stdint.h>
#include "core/kernels/scalar.h"

#define LANES_JOIN2_(a, b) a##_##b
#define LANES_JOIN_(a, b) LANES_JOIN2_(a, b)
#define LANES(name) LANES_JOIN_(name, LANES_ISA) /* the name with the set's suffix */

#define INLINE static inline __attribute__((always_inline))

/* Before a loop of n rounds, n constant: arrays it indexes then live in registers. */
#define LANES_PRAGMA_(x) _Pragma(#x)
#ifdef __clang__
#define UNROLL(n) LANES_PRAGMA_(clang loop unroll(full))
#else
#define UNROLL(n) LANES_PRAGMA_(GCC unroll n)
#endif

/* v16: the lanes. m16: one truth value a lane. v_load_n and v_store_n touch only the first n ≤ 16
 * elements; lanes beyond n load as zero. v_bf16: f1_bf16 in each lane. v_upper_half:
 * the upper 16 bits of each lane, as the bfloat16 that they are; v_lower_half: the lower ones. */
#if defined(LANES_ISA_avx512) || defined(LANES_ISA_avx512bf16)
#include "core/kernels/simd_avx512.h"
#elif defined(LANES_ISA_avx2)
#include "core/kernels/simd_avx2.h"
#elif defined(LANES_ISA_neon)
#include "core/kernels/simd_neon.h"
#else
#include "core/kernels/simd_plain.h"
#endif

#ifndef LANES_PAIRS
#define LANES_PAIRS 0 /* no multiply-adds of pairs of bfloat16 */
#endif

/* The first min(n, 16) elements: the last vector of a row. */
INLINE v16 v_load_some(const float *p, size_t n)
{
    return n >= 16 ? v_load(p) : v_load_n(p, n);
}
INLINE void v_store_some(float *p, v16 v, size_t n)
{
    if (n >= 16)
        v_store(p, v);
    else
        v_store_n(p, v, n);
}

/* e^x in each lane, x ≤ 88.72 (or not a number): f1_exp, step by step. */
INLINE v16 v_exp_below(v16 x)
{
    v16 magic = v_set1(EXP_MAGIC);
    v16 t = v_fma(x, v_set1(EXP_LOG2E), magic);
    v16 n = v_sub(t, magic);
    v16 r = v_fma(n, v_set1(-EXP_LN2_HI), x);
    r = v_fma(n, v_set1(-EXP_LN2_LO), r);
    v16 q = v_fma(v_set1(EXP_Q4), r, v_set1(EXP_Q3));
    q = v_fma(q, r, v_set1(EXP_Q2));
    q = v_fma(q, r, v_set1(EXP_Q1));
    q = v_fma(q, r, v_set1(EXP_Q0));
    v16 p = v_add(v_fma(v_mul(r, r), q, r), v_set1(1.0f));
    v16 y = v_add_exponent(p, t);
    return v_select(v_less(x, v_set1(EXP_LOWEST)), v_zero(), y);
}

/* The same for every x. */
INLINE v16 v_exp(v16 x)
{
    return v_select(v_less(v_set1(EXP_HIGHEST), x), v_set1((float)INFINITY), v_exp_below(x));
}

#endif
