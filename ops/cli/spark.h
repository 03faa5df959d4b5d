/* A curve in one line of text: "█▆▅▄▃▃▂▂▁▁". */
#ifndef TACIT_OPS_CLI_SPARK_H
#define TACIT_OPS_CLI_SPARK_H

#include <stdint.h>
#include "core/base/arena.h"

/* `width` characters of values (count) over xs (ascending), the mean of those that fall on each; a
 * gap keeps the last one's height. What lies above nine tenths of the values is cut off: a loss
 * begins high, and its fall would hide the rest. "" where there are fewer than two values. */
const char *spark_line(struct arena *a, const double *xs, const double *values, uint32_t count,
                       int width);

#endif
