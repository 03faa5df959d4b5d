/* What this machine computes with, checked against the definition. */
#ifndef TACIT_AGENT_CAPABILITIES_H
#define TACIT_AGENT_CAPABILITIES_H

#include <stdbool.h>
#include "core/base/err.h"

/* --capabilities: processor, instruction sets and how each fares in the self-test, precisions,
 * library overrides. Returns an exit code: 0, or EX_SOFTWARE where the wanted set fails. */
int capabilities_print(bool json);
/* At the start of an agent, before any thread: where the kernels fail the self-test, says so on
 * standard error and has the process use the next set that passes. ERR_INVALID where TACIT_ISA
 * names no set of this machine. */
TACIT_MUST_CHECK int capabilities_check(struct err *e);

#endif
