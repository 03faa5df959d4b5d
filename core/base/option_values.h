/* The values of a program's options from three places: its command line, a configuration file of
 * "name = value" lines with the long names of options, the environment. They are collected first,
 * each with what says so, and then taken in the list's order; so that a mistake names where it
 * stands, and each setting can be shown with its source. */
#ifndef TACIT_BASE_OPTION_VALUES_H
#define TACIT_BASE_OPTION_VALUES_H

#include <argp.h>
#include <stdbool.h>
#include "core/base/arena.h"
#include "core/base/err.h"

#define OPTION_VALUES_MAX 64
/* Flag of an option (beside argp's own): it is for the command line alone. */
#define OPTION_TYPED_ONLY 0x1000

struct option_value {
    const char *value;  /* "" of an option without one; NULL: not set */
    const char *source; /* "--threads", "FILE:LINE", "TACIT_URL" */
};
struct option_values {
    const struct argp_option *list;
    struct arena *arena;
    struct option_value at[OPTION_VALUES_MAX];
};

void option_values_init(struct option_values *v, const struct argp_option *list, struct arena *a);
/* An option of the command line; the last one given wins. False: the key is of none. */
bool option_values_typed(struct option_values *v, int key, const char *arg);
/* Those of a file that are not typed. An option without a value is yes or no there. */
TACIT_MUST_CHECK int option_values_file(struct option_values *v, const char *text, size_t len,
                                        const char *file, struct err *e);
/* value of a place that comes last, unless NULL or empty. */
void option_values_last(struct option_values *v, int key, const char *value, const char *source);
const struct option_value *option_values_get(const struct option_values *v, int key);
/* Hands all that is set to `set`; arg is NULL for options without one. Errors begin with the
 * source. */
TACIT_MUST_CHECK int option_values_apply(const struct option_values *v,
                                         int (*set)(void *input, int key, const char *arg,
                                                    struct err *e),
                                         void *input, struct err *e);

#endif
