/* A world of one machine with a simulated disk, for tests of the disk and of what stands on it. It
 * also stands in for core/env/clock.h: time moves with sleeping and with slow disks alone. */
#ifndef TACIT_SIM_ONE_MACHINE_H
#define TACIT_SIM_ONE_MACHINE_H

#include "tests/sim/disk.h"

/* The disk that everything below runs on from now on; the one before is the caller's again. */
void machine_use(struct sim_disk *d);
/* Starts entropy and the clock anew. */
void machine_seed(uint64_t seed);
void machine_pass_ms(int64_t ms);

#endif
