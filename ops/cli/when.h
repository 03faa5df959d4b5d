/* Times as people type them. */
#ifndef TACIT_OPS_CLI_WHEN_H
#define TACIT_OPS_CLI_WHEN_H

#include <stdint.h>
#include "core/base/err.h"

/* "90s", "20m", "2h", "7d", and together, "1h30m": milliseconds. ERR_INVALID names what. */
TACIT_MUST_CHECK int when_duration(const char *what, const char *text, int64_t *ms, struct err *e);
/* A duration, counted on from now, or a local time, "18:30" (the next one), "2026-03-01" or
 * "2026-03-01 18:30" (a T in between will do, a Z behind it means UTC): milliseconds since 1970. */
TACIT_MUST_CHECK int when_time(const char *what, const char *text, int64_t now_ms, int64_t *at_ms,
                               struct err *e);

#endif
