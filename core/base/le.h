/* Little-endian numbers at unaligned addresses: what every blob format of ours is made of. */
#ifndef TACIT_BASE_LE_H
#define TACIT_BASE_LE_H

#include <stdint.h>
#include <string.h>

static inline uint16_t le16_get(const uint8_t *p)
{
    return (uint16_t)(p[0] | (unsigned)p[1] << 8);
}

static inline uint32_t le32_get(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static inline uint64_t le64_get(const uint8_t *p)
{
    return (uint64_t)le32_get(p) | (uint64_t)le32_get(p + 4) << 32;
}

static inline void le16_put(uint8_t *p, uint16_t v)
{
    p[0] = (uint8_t)v;
    p[1] = (uint8_t)(v >> 8);
}

static inline void le32_put(uint8_t *p, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        p[i] = (uint8_t)(v >> 8 * i);
}

static inline void le64_put(uint8_t *p, uint64_t v)
{
    for (int i = 0; i < 8; i++)
        p[i] = (uint8_t)(v >> 8 * i);
}

static inline float lef32_get(const uint8_t *p)
{
    uint32_t bits = le32_get(p);
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static inline void lef32_put(uint8_t *p, float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    le32_put(p, bits);
}

static inline double lef64_get(const uint8_t *p)
{
    uint64_t bits = le64_get(p);
    double x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static inline void lef64_put(uint8_t *p, double x)
{
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    le64_put(p, bits);
}

#endif
