/* tacit-agent --settings: each setting with its value and what says so. */
#ifndef TACIT_AGENT_SETTINGS_PRINT_H
#define TACIT_AGENT_SETTINGS_PRINT_H

#include "core/base/option_values.h"

TACIT_MUST_CHECK int settings_print(const struct option_values *v, bool json, struct err *e);

#endif
