/* Learning rates. Table 1: experts warm up linearly, then cosine decay to zero; routers warm up,
 * then stay. step counts from 1; own cosine, so that every machine gets the same bits. */
#ifndef TACIT_MODEL_SCHEDULE_H
#define TACIT_MODEL_SCHEDULE_H

#include <stdint.h>

double schedule_cosine(uint64_t step, uint64_t steps, uint64_t warmup, double peak);
double schedule_constant(uint64_t step, uint64_t warmup, double peak);

#endif
