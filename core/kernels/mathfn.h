/* Elementary functions in double precision, from + − × ÷ and √ of IEEE doubles in a stated order,
 * so that schedules, initial weights and rotary tables have the same bits on every machine. Within
 * 2 ulp of the true value for the ranges given; tested against libm. Nothing here calls libm but
 * sqrt. */
#ifndef TACIT_KERNELS_MATHFN_H
#define TACIT_KERNELS_MATHFN_H

double mathfn_exp(double x); /* 0 below −708, +∞ above 709.78 */
double mathfn_log(double x); /* x > 0, normal; −∞ at 0, NaN below */
double mathfn_sin(double x); /* |x| ≤ 2^20·π/2; beyond it NaN */
double mathfn_cos(double x);
double mathfn_pow(double x, double y); /* x > 0; relative error up to 3·|y·ln x|·2^-52 */

#endif
