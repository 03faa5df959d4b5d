#include "core/mixture/assign.h"

#include <stdlib.h>
#include <string.h>
#include "core/base/le.h"
#include "core/base/rng.h"

static const char ASSIGN_MAGIC[8] = "TACASGN1";

uint64_t assign_capacity(uint64_t n, uint32_t experts, uint32_t e)
{
    return n / experts + (e < n % experts);
}

/* The maximum as an unsigned key that sorts ascending where the maximum sorts descending. */
static uint32_t descending_key(uint32_t bits)
{
    if (bits == 0x80000000u) /* −0 equals 0 */
        bits = 0;
    return bits & 0x80000000u ? bits : ~(bits | 0x80000000u);
}

/* Stable least-significant-digit radix sort of the indices 0…n−1 by keys. 11 bits a pass: three
 * passes, and the 2,048 write positions of a pass still fit the first-level cache. Returns
 * whichever of a and b holds the order. */
#define RADIX_BITS 11
#define RADIX_SIZE (1u << RADIX_BITS)

static uint32_t *order_by_keys(const uint32_t *keys, uint32_t n, uint32_t *a, uint32_t *b)
{
    for (uint32_t i = 0; i < n; i++)
        a[i] = i;
    for (unsigned shift = 0; shift < 32; shift += RADIX_BITS) {
        uint32_t at[RADIX_SIZE] = {0};
        for (uint32_t i = 0; i < n; i++)
            at[keys[i] >> shift & (RADIX_SIZE - 1)]++;
        uint32_t sum = 0;
        for (unsigned d = 0; d < RADIX_SIZE; d++) {
            uint32_t count = at[d];
            at[d] = sum;
            sum += count;
        }
        for (uint32_t i = 0; i < n; i++)
            b[at[keys[a[i]] >> shift & (RADIX_SIZE - 1)]++] = a[i];
        uint32_t *swap = a;
        a = b;
        b = swap;
    }
    return a;
}

/* Experts that still have room, by ascending index. */
struct assign_room {
    uint64_t left[ASSIGN_EXPERTS_MAX];
    uint16_t open[ASSIGN_EXPERTS_MAX];
    uint32_t count;
};

static void room_init(struct assign_room *room, uint64_t n, uint32_t experts)
{
    room->count = 0;
    for (uint32_t x = 0; x < experts; x++) {
        room->left[x] = assign_capacity(n, experts, x);
        if (room->left[x] > 0)
            room->open[room->count++] = (uint16_t)x;
    }
}

/* Differences are never positive, so the best one is the float16 with the smallest magnitude, and
 * magnitudes of float16 order as their bits do. */
static uint16_t room_take(struct assign_room *room, const uint8_t *row)
{
    uint32_t best = 0, best_magnitude = UINT32_MAX;
    for (uint32_t k = 0; k < room->count; k++) {
        uint32_t magnitude = le16_get(row + 4 + 2 * room->open[k]) & 0x7fffu;
        if (magnitude < best_magnitude) {
            best_magnitude = magnitude;
            best = k;
            if (magnitude == 0) /* none later can be better */
                break;
        }
    }
    uint16_t x = room->open[best];
    if (--room->left[x] == 0) {
        room->count--;
        memmove(room->open + best, room->open + best + 1,
                (room->count - best) * sizeof room->open[0]);
    }
    return x;
}

/* Rows are visited in an order that no cache foresees: ask for them this many sequences ahead. */
#define PREFETCH_AHEAD 16

static void choose(const uint8_t *rows, const uint32_t *order, uint32_t n, uint32_t experts,
                   uint16_t *expert)
{
    size_t width = SCORES_ROW(experts);
    struct assign_room room;
    room_init(&room, n, experts);
    for (uint32_t i = 0; i < n; i++) {
        if (n - i > PREFETCH_AHEAD) {
            const uint8_t *ahead = rows + order[i + PREFETCH_AHEAD] * width;
            __builtin_prefetch(ahead);
            __builtin_prefetch(ahead + (width < 64 ? width - 1 : 64));
        }
        expert[order[i]] = room_take(&room, rows + order[i] * width);
    }
}

int assign_balanced(const uint8_t *rows, uint64_t n, uint32_t experts, uint16_t *expert,
                    struct err *e)
{
    if (experts < 1 || experts > ASSIGN_EXPERTS_MAX)
        return err_set(e, ERR_RANGE, "assignment: %u experts, 1 to %u are possible", experts,
                       ASSIGN_EXPERTS_MAX);
    if (n > UINT32_MAX)
        return err_set(e, ERR_RANGE, "assignment: %llu sequences at once; choose a smaller chunk",
                       (unsigned long long)n);
    if (n == 0)
        return 0;
    uint32_t *memory = malloc(n * 3 * sizeof *memory);
    if (memory == NULL)
        return err_set(e, ERR_NO_MEMORY, "assignment: no memory for %llu sequences",
                       (unsigned long long)n);
    uint32_t *keys = memory;
    for (uint64_t i = 0; i < n; i++) {
        uint32_t bits = le32_get(rows + i * SCORES_ROW(experts));
        if ((bits & 0x7f800000u) == 0x7f800000u) {
            free(memory);
            return err_set(e, ERR_NOT_FINITE, "assignment: score of sequence %llu is not finite",
                           (unsigned long long)i);
        }
        keys[i] = descending_key(bits);
    }
    uint32_t *order = order_by_keys(keys, (uint32_t)n, memory + n, memory + 2 * n);
    choose(rows, order, (uint32_t)n, experts, expert);
    free(memory);
    return 0;
}

void assign_random(uint64_t seed, uint64_t n, uint32_t experts, uint16_t *expert)
{
    if (n == 0)
        return;
    struct rng_perm perm;
    rng_perm_init(&perm, n, seed, RNG_FIRST_ASSIGN, 0);
    uint64_t small = n / experts, larger = n % experts; /* the first `larger` hold one more */
    uint64_t border = larger * (small + 1);
    for (uint64_t i = 0; i < n; i++) {
        uint64_t at = rng_perm_at(&perm, i);
        expert[i] = (uint16_t)(at < border ? at / (small + 1) : larger + (at - border) / small);
    }
}

void assign_header_write(uint8_t header[ASSIGN_HEADER], uint64_t n, uint32_t experts)
{
    memcpy(header, ASSIGN_MAGIC, 8);
    le64_put(header + 8, n);
    le32_put(header + 16, experts);
    le32_put(header + 20, 0);
}

int assign_open(const void *data, uint64_t size, uint64_t *n, uint32_t *experts,
                const uint8_t **values, struct err *e)
{
    const uint8_t *p = data;
    if (size < ASSIGN_HEADER || memcmp(p, ASSIGN_MAGIC, 8) != 0)
        return err_set(e, ERR_FORMAT, "assignment: not an assignment blob");
    uint64_t count = le64_get(p + 8);
    uint32_t parts = le32_get(p + 16);
    if (parts < 1 || parts > ASSIGN_EXPERTS_MAX || le32_get(p + 20) != 0)
        return err_set(e, ERR_FORMAT, "assignment: header names %u experts, 1 to %u are possible",
                       parts, ASSIGN_EXPERTS_MAX);
    uint64_t body = size - ASSIGN_HEADER;
    if (body % 2 != 0 || body / 2 != count)
        return err_set(e, ERR_FORMAT, "assignment: %llu bytes do not hold %llu sequences",
                       (unsigned long long)size, (unsigned long long)count);
    for (uint64_t i = 0; i < count; i++)
        if (assign_at(p + ASSIGN_HEADER, i) >= parts)
            return err_set(e, ERR_FORMAT, "assignment: sequence %llu has expert %u of %u",
                           (unsigned long long)i, assign_at(p + ASSIGN_HEADER, i), parts);
    *n = count;
    *experts = parts;
    *values = p + ASSIGN_HEADER;
    return 0;
}

uint32_t assign_at(const uint8_t *values, uint64_t i)
{
    return le16_get(values + 2 * i);
}
