#include "core/kernels/mathfn.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

/* ln 2 and π/2 in parts of 32 bits and a rest, so that n·part is exact for |n| < 2^20. */
#define LN2_HI 0x1.62e42feep-1
#define LN2_LO 0x1.a39ef35793c76p-33
#define HALFPI_1 0x1.921fb544p+0
#define HALFPI_2 0x1.0b4611a6p-34
#define HALFPI_3 0x1.3198a2e037073p-69
/* Adding it rounds to an integer, which its low bits then hold. */
#define ROUNDER 0x1.8p+52

static uint64_t bits_of(double x)
{
    uint64_t b;
    memcpy(&b, &x, 8);
    return b;
}

static double from_bits(uint64_t b)
{
    double x;
    memcpy(&x, &b, 8);
    return x;
}

/* n = round(x / ln 2), r = x − n·ln 2, then the Taylor series of e^r − 1 up to r^13 (the rest is
 * below 2^-57) and n added to the exponent. */
double mathfn_exp(double x)
{
    if (!(x >= -708.0))
        return x < -708.0 ? 0.0 : x;
    if (x > 709.78)
        return (double)INFINITY;
    double t = x * 0x1.71547652b82fep+0 + ROUNDER;
    double n = t - ROUNDER;
    double hi = x - n * LN2_HI, lo = n * LN2_LO;
    double r = hi - lo;
    double q = 1.0 / 6227020800.0;
    q = q * r + 1.0 / 479001600.0;
    q = q * r + 1.0 / 39916800.0;
    q = q * r + 1.0 / 3628800.0;
    q = q * r + 1.0 / 362880.0;
    q = q * r + 1.0 / 40320.0;
    q = q * r + 1.0 / 5040.0;
    q = q * r + 1.0 / 720.0;
    q = q * r + 1.0 / 120.0;
    q = q * r + 1.0 / 24.0;
    q = q * r + 1.0 / 6.0;
    q = q * r + 0.5;
    double p = 1.0 + (hi + (r * r * q - lo));
    return from_bits(bits_of(p) + (bits_of(t) << 52));
}

/* x = 2^k·m, √½ ≤ m < √2; f = m − 1, s = f / (2 + f): ln m = f − (f²/2 − s·(f²/2 + R)) with
 * R = 2·(s²/3 + s⁴/5 + …), which keeps the leading term f exact. */
double mathfn_log(double x)
{
    if (!(x > 0.0))
        return x == 0.0 ? -(double)INFINITY : (double)NAN;
    if (x > 0x1.fffffffffffffp+1023)
        return x;
    uint64_t b = bits_of(x);
    /* Moves the bound of the exponent's step from 1 to √½. */
    uint64_t shifted = b + (bits_of(1.0) - bits_of(0x1.6a09e667f3bcdp-1));
    double k = (double)((int64_t)(shifted >> 52) - 1023);
    double m = from_bits((shifted & 0xfffffffffffffu) + bits_of(0x1.6a09e667f3bcdp-1));
    double f = m - 1.0, s = f / (2.0 + f), z = s * s;
    double R = 2.0 / 23.0;
    R = R * z + 2.0 / 21.0;
    R = R * z + 2.0 / 19.0;
    R = R * z + 2.0 / 17.0;
    R = R * z + 2.0 / 15.0;
    R = R * z + 2.0 / 13.0;
    R = R * z + 2.0 / 11.0;
    R = R * z + 2.0 / 9.0;
    R = R * z + 2.0 / 7.0;
    R = R * z + 2.0 / 5.0;
    R = R * z + 2.0 / 3.0;
    R = R * z;
    double half = 0.5 * f * f;
    return k * LN2_HI - ((half - (s * (half + R) + k * LN2_LO)) - f);
}

/* sin and cos of r + tail, |r| ≤ π/4: Taylor series up to r^17 and r^18; tail is the low part of
 * the reduction. */
static double sin_near_zero(double r, double tail)
{
    double z = r * r;
    double q = 1.0 / 355687428096000.0;
    q = q * z - 1.0 / 1307674368000.0;
    q = q * z + 1.0 / 6227020800.0;
    q = q * z - 1.0 / 39916800.0;
    q = q * z + 1.0 / 362880.0;
    q = q * z - 1.0 / 5040.0;
    q = q * z + 1.0 / 120.0;
    q = q * z - 1.0 / 6.0;
    return r + (r * z * q + tail * (1.0 - 0.5 * z));
}

static double cos_near_zero(double r, double tail)
{
    double z = r * r;
    double q = -1.0 / 6402373705728000.0;
    q = q * z + 1.0 / 20922789888000.0;
    q = q * z - 1.0 / 87178291200.0;
    q = q * z + 1.0 / 479001600.0;
    q = q * z - 1.0 / 3628800.0;
    q = q * z + 1.0 / 40320.0;
    q = q * z - 1.0 / 720.0;
    q = q * z + 1.0 / 24.0;
    double half = 0.5 * z, w = 1.0 - half;
    return w + (((1.0 - w) - half) + (z * z * q - r * tail));
}

/* sin(x + quarter·π/2). */
static double sin_turned(double x, unsigned quarter)
{
    if (!(fabs(x) <= 0x1p20 * HALFPI_1))
        return (double)NAN;
    double t = x * 0x1.45f306dc9c883p-1 + ROUNDER;
    double n = t - ROUNDER;
    double a = x - n * HALFPI_1; /* exact: neighbours */
    double b = n * HALFPI_2;
    double c = a - b;
    double tail = ((a - c) - b) - n * HALFPI_3;
    double r = c + tail;
    tail = (c - r) + tail;
    unsigned turn = ((unsigned)bits_of(t) + quarter) & 3;
    double y = turn & 1 ? cos_near_zero(r, tail) : sin_near_zero(r, tail);
    return turn & 2 ? -y : y;
}

double mathfn_sin(double x)
{
    return sin_turned(x, 0);
}

double mathfn_cos(double x)
{
    return sin_turned(x, 1);
}

double mathfn_pow(double x, double y)
{
    return mathfn_exp(y * mathfn_log(x));
}
