#include "tests/sim/disk/one_machine.h"

#include "core/env/clock.h"

#define START_MS 1700000000000

static struct sim_disk *disk;
static int64_t now_us;
static uint64_t entropy;

void machine_use(struct sim_disk *d)
{
    disk = d;
}

void machine_seed(uint64_t seed)
{
    entropy = seed;
    now_us = 0;
}

void machine_pass_ms(int64_t ms)
{
    now_us += ms * 1000;
}

struct sim_disk *sim_disk_current(void)
{
    return disk;
}

void sim_disk_spend(int64_t us)
{
    now_us += us;
}

int64_t env_monotonic_ms(void)
{
    return now_us / 1000;
}

double env_monotonic_s(void)
{
    return (double)now_us * 1e-6;
}

int64_t env_wall_ms(void)
{
    return START_MS + now_us / 1000;
}

void env_sleep_ms(int64_t ms)
{
    if (ms > 0)
        machine_pass_ms(ms);
}

void env_random(void *out, size_t len)
{
    unsigned char *to = out;
    for (size_t i = 0; i < len; i++) {
        entropy = entropy * 6364136223846793005u + 1442695040888963407u;
        to[i] = (unsigned char)(entropy >> 56);
    }
}
