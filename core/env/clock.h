/* Clock, sleep and entropy: with file.h, read.h, process.h, thread.h and http.h the only way to the
 * outside. A simulation links another implementation of these headers. */
#ifndef TACIT_ENV_CLOCK_H
#define TACIT_ENV_CLOCK_H

#include <stddef.h>
#include <stdint.h>

int64_t env_monotonic_ms(void); /* since an arbitrary start; never goes back */
double env_monotonic_s(void);
double env_thread_s(void); /* processor time of the calling thread: for benches */
int64_t env_wall_ms(void); /* since 1970, UTC; may jump: for people, never for deadlines */
void env_sleep_ms(int64_t ms);
void env_random(void *out, size_t len); /* unpredictable bytes (identities, tokens, jitter) */

#endif
