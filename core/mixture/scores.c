#include "core/mixture/scores.h"

#include <string.h>
#include "core/base/digest.h"
#include "core/base/le.h"
#include "core/base/rng.h"

static const char SCORES_MAGIC[8] = "TACSCOR1";

#define HALF_LOWEST 0xfbffu /* −65,504, the most negative finite float16 */

static uint32_t float_bits(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

uint16_t half_from_float(float x)
{
    uint32_t bits = float_bits(x);
    uint32_t sign = bits >> 16 & 0x8000u;
    uint32_t magnitude = bits & 0x7fffffffu;
    if (magnitude > 0x7f800000u) /* a quiet NaN that keeps the payload's top */
        return (uint16_t)(sign | 0x7e00u | (magnitude >> 13 & 0x3ffu));
    /* 65,520 lies half way between the largest finite value and the next power of two. */
    if (magnitude >= 0x477ff000u)
        return (uint16_t)(sign | 0x7c00u);
    if (magnitude >= 0x38800000u) { /* 2^-14 and up: normal; a carry into the exponent is right */
        uint32_t rounded = magnitude + 0xfffu + (magnitude >> 13 & 1u);
        return (uint16_t)(sign | (rounded - 0x38000000u) >> 13);
    }
    if (magnitude <= 0x33000000u) /* 2^-25 is a tie with zero, and zero is even */
        return (uint16_t)sign;
    uint32_t significand = (magnitude & 0x7fffffu) | 0x800000u;
    uint32_t shift = 126u - (magnitude >> 23); /* 14 … 24 */
    uint32_t kept = significand >> shift;
    uint32_t rest = significand & ((1u << shift) - 1u);
    uint32_t tie = 1u << (shift - 1u);
    kept += rest > tie || (rest == tie && (kept & 1u));
    return (uint16_t)(sign | kept);
}

float half_to_float(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000u) << 16;
    uint32_t exponent = h >> 10 & 0x1fu;
    uint32_t mantissa = h & 0x3ffu;
    uint32_t bits;
    if (exponent == 0x1fu) {
        bits = sign | 0x7f800000u | mantissa << 13;
    } else if (exponent != 0) {
        bits = sign | (exponent + 112u) << 23 | mantissa << 13;
    } else if (mantissa == 0) {
        bits = sign;
    } else { /* subnormal in float16, normal in float32 */
        exponent = 113u;
        while (!(mantissa & 0x400u)) {
            mantissa <<= 1;
            exponent--;
        }
        bits = sign | exponent << 23 | (mantissa & 0x3ffu) << 13;
    }
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

void scores_header_write(uint8_t header[SCORES_HEADER], uint64_t n, uint32_t routers)
{
    memcpy(header, SCORES_MAGIC, 8);
    le64_put(header + 8, n);
    le32_put(header + 16, routers);
    le32_put(header + 20, 0);
}

static int row_check(const uint8_t *row, uint64_t i, uint32_t routers, struct err *e)
{
    if ((le32_get(row) & 0x7f800000u) == 0x7f800000u)
        return err_set(e, ERR_NOT_FINITE, "scores: maximum of row %llu is not finite",
                       (unsigned long long)i);
    unsigned zeros = 0;
    for (uint32_t r = 0; r < routers; r++) {
        uint16_t h = le16_get(row + 4 + 2 * r);
        if ((h & 0x7c00u) == 0x7c00u)
            return err_set(e, ERR_NOT_FINITE, "scores: row %llu, router %u is not finite",
                           (unsigned long long)i, r);
        if (!(h & 0x8000u) && h != 0)
            return err_set(e, ERR_FORMAT, "scores: row %llu, router %u is above its maximum",
                           (unsigned long long)i, r);
        zeros += (h & 0x7fffu) == 0;
    }
    if (zeros == 0)
        return err_set(e, ERR_FORMAT, "scores: no router of row %llu has its maximum",
                       (unsigned long long)i);
    return 0;
}

int scores_open(const void *data, uint64_t size, uint64_t *n, uint32_t *routers,
                const uint8_t **rows, struct err *e)
{
    const uint8_t *p = data;
    if (size < SCORES_HEADER || memcmp(p, SCORES_MAGIC, 8) != 0)
        return err_set(e, ERR_FORMAT, "scores: not a score blob");
    uint64_t count = le64_get(p + 8);
    uint32_t width = le32_get(p + 16);
    if (width < 1 || width > SCORES_ROUTERS_MAX || le32_get(p + 20) != 0)
        return err_set(e, ERR_FORMAT, "scores: header names %u routers, 1 to %u are possible",
                       width, SCORES_ROUTERS_MAX);
    uint64_t body = size - SCORES_HEADER;
    if (body % SCORES_ROW(width) != 0 || body / SCORES_ROW(width) != count)
        return err_set(e, ERR_FORMAT, "scores: %llu bytes do not hold %llu rows of %u routers",
                       (unsigned long long)size, (unsigned long long)count, width);
    for (uint64_t i = 0; i < count; i++) {
        int rc = row_check(p + SCORES_HEADER + i * SCORES_ROW(width), i, width, e);
        if (rc != 0)
            return rc;
    }
    *n = count;
    *routers = width;
    *rows = p + SCORES_HEADER;
    return 0;
}

void scores_row_write(uint8_t *row, const float *scores, uint32_t routers)
{
    float max = scores[scores_route(scores, routers)];
    lef32_put(row, max);
    for (uint32_t r = 0; r < routers; r++) {
        uint16_t h = half_from_float(scores[r] - max);
        if (h == 0xfc00u) /* −∞: beyond float16 */
            h = HALF_LOWEST;
        le16_put(row + 4 + 2 * r, h);
    }
}

float scores_row_max(const uint8_t *row)
{
    return lef32_get(row);
}

float scores_row_difference(const uint8_t *row, uint32_t router)
{
    return half_to_float(le16_get(row + 4 + 2 * router));
}

uint32_t scores_route(const float *scores, uint32_t routers)
{
    uint32_t best = 0;
    for (uint32_t r = 1; r < routers; r++)
        if (scores[r] > scores[best])
            best = r;
    return best;
}

float scores_random(uint64_t seed, const uint32_t *tokens, uint32_t prefix, uint32_t router)
{
    struct digest_state state;
    digest_init(&state);
    uint8_t part[256];
    for (uint32_t i = 0; i < prefix;) {
        size_t len = 0;
        for (; i < prefix && len < sizeof part; i++, len += 4)
            le32_put(part + len, tokens[i]);
        digest_update(&state, part, len);
    }
    struct digest d;
    digest_final(&state, &d);
    return rng_uniform(seed, RNG_RANDOM_ROUTE, le64_get(d.bytes), router);
}
