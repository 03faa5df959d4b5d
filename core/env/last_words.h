/* How a process ends that can't go on: its last words, for whoever starts the next one; and an end
 * at once. */
#ifndef TACIT_ENV_LAST_WORDS_H
#define TACIT_ENV_LAST_WORDS_H

#include <stdatomic.h>
#include <stdint.h>
#include "core/base/err.h"

/* From now on SIGSEGV, SIGBUS, SIGILL, SIGFPE and SIGABRT write a line to the file at path, which
 * is emptied here, before they end the process as they would have: "signal 11 (SIGSEGV) at step 120
 * of SUBJECT" */
TACIT_MUST_CHECK int env_last_words_open(const char *path, struct err *e);
/* What the process is at: subject (≤ 100 bytes, copied) and a number that goes with it, read when
 * the time comes. NULL: nothing. */
void env_last_words_about(const char *subject, const _Atomic uint64_t *step);
/* "WHAT at step 120 of SUBJECT": of an end that is no signal. */
void env_last_words_say(const char *what);

/* Ends the process here, without a farewell to anything: buffers, threads, files. */
void env_end_now(int code) __attribute__((noreturn));

#endif
