/* What simulated computing takes. */
#ifndef TACIT_SIM_ENGINE_TIME_H
#define TACIT_SIM_ENGINE_TIME_H

#include <stdint.h>

extern int64_t sim_engine_step_us;     /* an optimizer step */
extern int64_t sim_engine_sequence_us; /* scoring or evaluating a sequence */

#endif
