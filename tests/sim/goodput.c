#include "tests/sim/goodput.h"

#include <stdlib.h>
#include "tests/sim/world.h"

static struct {
    int64_t from, to;
    uint64_t *set; /* of hashes, open addressing; 0: free */
    uint64_t count, cap;
    struct goodput result;
} counted;

void goodput_window(int64_t from_us, int64_t to_us)
{
    counted.from = from_us;
    counted.to = to_us;
}

/* False where it was there. */
static bool set_add(uint64_t hash)
{
    uint64_t i = hash % counted.cap;
    while (counted.set[i] && counted.set[i] != hash)
        i = (i + 1) % counted.cap;
    bool added = counted.set[i] == 0;
    counted.set[i] = hash;
    counted.count += added;
    return added;
}

static void set_grow(void)
{
    uint64_t *old = counted.set, cap = counted.cap;
    if (2 * counted.count < cap)
        return;
    counted.cap = cap ? 2 * cap : 1u << 16;
    counted.count = 0;
    counted.set = calloc(counted.cap, sizeof *counted.set);
    if (!counted.set)
        abort();
    for (uint64_t i = 0; i < cap; i++)
        if (old[i])
            set_add(old[i]);
    free(old);
}

void goodput_step(uint64_t hash, int64_t us)
{
    if (counted.to == 0)
        return;
    set_grow();
    bool added = set_add(hash ? hash : 1);
    if (world_now() < counted.from || world_now() >= counted.to)
        return;
    *(added ? &counted.result.useful_s : &counted.result.again_s) += (double)us / 1e6;
}

void goodput_lived(int64_t from_us, int64_t to_us)
{
    from_us = from_us > counted.from ? from_us : counted.from;
    to_us = to_us < counted.to ? to_us : counted.to;
    if (to_us <= from_us)
        return;
    counted.result.lived_s += (double)(to_us - from_us) / 1e6;
    counted.result.lives++;
}

struct goodput goodput_result(void)
{
    return counted.result;
}
