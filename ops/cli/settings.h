/* Which coordinator a command talks to, and where each setting comes from: options, the
 * environment, or the configuration file, $XDG_CONFIG_HOME/tacit/config.ini:
 *
 *     default = lab
 *     [lab]
 *     url = https://train.example.org:8420
 *     token-file = lab.token          (beside this file; ~/ is the home folder)
 *     ca = lab.pem
 *
 * A join file (core/client/join_file.h), --join or TACIT_JOIN, is all three in one.
 *
 * --at NAME takes a section, and options alone override it. Without it, what names an address by
 * --url or TACIT_URL has nothing to do with the file: a token of the file is never sent to an
 * address that is not beside it there. Else the default section, or the only one, completes options
 * and environment. */
#ifndef TACIT_OPS_CLI_SETTINGS_H
#define TACIT_OPS_CLI_SETTINGS_H

#include <stdbool.h>
#include "core/base/arena.h"
#include "core/base/err.h"

#define SETTINGS_COORDINATORS_MAX 64

struct setting {
    const char *value;  /* NULL: not set */
    const char *source; /* "--url", "TACIT_URL", "FILE:LINE"; NULL: not set */
};
/* One coordinator's section. */
struct settings_section {
    const char *name;
    struct setting url, token_file, ca;
};
struct settings {
    const char *file;        /* its path; NULL where there is no home folder */
    bool found;              /* it is there */
    struct setting fallback; /* its default */
    struct settings_section sections[SETTINGS_COORDINATORS_MAX];
    int count;
    /* What holds. */
    struct setting coordinator, url, token_file, ca;
};
/* What was given as options; NULL where not. */
struct settings_given {
    const char *at, *url, *token_file, *ca, *join;
};

/* Strings are in the arena. Mistakes in the file are named with its line, whatever is taken of it.
 */
TACIT_MUST_CHECK int settings_read(const struct settings_given *given, struct arena *a,
                                   struct settings *out, struct err *e);

#endif
