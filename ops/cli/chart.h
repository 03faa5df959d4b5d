/* Charts as inline SVG for the pages that commands write: lines on two axes, and bars to both sides
 * of nothing. Colours are classes of the page's style sheet (doc.c), so that they follow its light
 * and dark, and print. Every chart has a title and a description for those who do not see it. */
#ifndef TACIT_OPS_CLI_CHART_H
#define TACIT_OPS_CLI_CHART_H

#include <stdbool.h>
#include <stdint.h>
#include "core/base/buf.h"

#define CHART_COLORS 4

struct chart_line {
    const char *name; /* in the legend; NULL: not there, or as the line before */
    const double *x, *y;
    uint32_t count;
    unsigned color; /* below CHART_COLORS */
    bool thin;      /* one of many */
};
struct chart_lines {
    const char *title, *about; /* what it shows; what one sees, in a sentence */
    const char *x_name, *y_name;
    bool log_y;
    const struct chart_line *lines;
    uint32_t count;
};
/* Points that are not finite are left out. */
TACIT_MUST_CHECK int chart_lines(struct buf *out, const struct chart_lines *c, struct err *e);

struct chart_bar {
    const char *name, *value_words;
    double value; /* NaN: no bar */
};
struct chart_bars {
    const char *title, *about;
    const struct chart_bar *bars;
    uint32_t count;
    bool low_is_good; /* below nothing is drawn as gain, above as loss */
};
TACIT_MUST_CHECK int chart_bars(struct buf *out, const struct chart_bars *c, struct err *e);

/* Appends text with what HTML reserves escaped. */
TACIT_MUST_CHECK int chart_escape(struct buf *out, const char *text, struct err *e);

#endif
