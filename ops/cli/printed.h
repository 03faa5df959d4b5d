/* What commands print with --json that no path of the API gives. */
#ifndef TACIT_OPS_CLI_PRINTED_H
#define TACIT_OPS_CLI_PRINTED_H

#include "core/protocol/field.h"

extern const struct message message_plan, message_sample, message_config;

#endif
