/* How much of the time that agents live goes into steps that count: those done for the first time.
 * Steps that a death has lost are done again, and fetching, saving and waiting is time, too. */
#ifndef TACIT_SIM_GOODPUT_H
#define TACIT_SIM_GOODPUT_H

#include <stdint.h>

/* Counts between two moments of the virtual clock; before it is called, nothing. */
void goodput_window(int64_t from_us, int64_t to_us);
/* An optimizer step that took so long; equal hashes are equal work. */
void goodput_step(uint64_t hash, int64_t us);
/* A process has lived from … to …. */
void goodput_lived(int64_t from_us, int64_t to_us);

struct goodput {
    double useful_s, again_s, lived_s;
    uint64_t lives;
};
struct goodput goodput_result(void);

#endif
