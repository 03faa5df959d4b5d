/* The programs' options, checked before argp reads them: its own complaints name no alternative. */
#ifndef TACIT_BASE_OPTIONS_H
#define TACIT_BASE_OPTIONS_H

#include <argp.h>
#include <stdbool.h>
#include "core/base/err.h"

/* Every option of argv[1…argc) up to "--" must be in list (ended by a zero), written out or as an
 * unambiguous beginning, with a value where it takes one. ERR_INVALID says which one is not, and
 * names the nearest. own_help: list is without --help, --usage and --version, which argp adds. */
TACIT_MUST_CHECK int options_check(const struct argp_option *list, bool own_help, int argc,
                                   char **argv, struct err *e);

#endif
