#include "ops/cli/spark.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define LEVELS 8
#define CUT 0.9

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Lowest and (cut) highest of the values; false where there are none. */
static bool range_of(struct arena *a, const double *values, uint32_t count, double *low,
                     double *high)
{
    double *sorted = arena_alloc_array(a, (size_t)count + 1, sizeof *sorted);
    uint32_t n = 0;
    for (uint32_t i = 0; sorted && i < count; i++)
        if (isfinite(values[i]))
            sorted[n++] = values[i];
    if (n < 2)
        return false;
    qsort(sorted, n, sizeof *sorted, by_size);
    *low = sorted[0];
    *high = sorted[(uint32_t)(CUT * (n - 1) + 0.5)];
    return true;
}

const char *spark_line(struct arena *a, const double *xs, const double *values, uint32_t count,
                       int width)
{
    double low, high;
    if (width < 1 || count < 2 || !range_of(a, values, count, &low, &high))
        return "";
    double *sums = arena_alloc_array(a, (size_t)width, sizeof *sums);
    uint32_t *counts = arena_alloc_array(a, (size_t)width, sizeof *counts);
    char *out = arena_alloc(a, (size_t)width * 3 + 1);
    if (!sums || !counts || !out)
        return "";
    double span = xs[count - 1] - xs[0];
    for (uint32_t i = 0; i < count; i++) {
        int at = span > 0 ? (int)((xs[i] - xs[0]) / span * width) : 0;
        at = at < 0 ? 0 : at < width ? at : width - 1;
        if (!isfinite(values[i]))
            continue;
        sums[at] += values[i];
        counts[at]++;
    }
    double height = 1;
    for (int i = 0; i < width; i++) {
        if (counts[i])
            height = high > low ? (sums[i] / counts[i] - low) / (high - low) : 0;
        int level = (int)(height * LEVELS);
        level = level < 0 ? 0 : level < LEVELS ? level : LEVELS - 1;
        memcpy(out + 3 * i, "\xE2\x96", 2); /* U+2581 … U+2588 */
        out[3 * i + 2] = (char)(0x81 + level);
    }
    return out;
}
