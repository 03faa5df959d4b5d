/* tacit-agent --doctor: what may keep this machine from working for the coordinator. */
#ifndef TACIT_AGENT_AGENT_DOCTOR_H
#define TACIT_AGENT_AGENT_DOCTOR_H

#include <stdint.h>
#include "agent/agent.h"

/* spec: also whether the memory is enough for training its experts, on data of this vocabulary and
 * length; or NULL. Prints what is found; returns the exit code. */
int agent_doctor(const struct agent_options *o, const char *spec, uint32_t vocab, uint32_t seq,
                 bool json);

#endif
