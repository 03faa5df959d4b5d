/* A screen in memory: cells of one character and one style each. What draws on it needs no
 * terminal, so tests read what a person would see. */
#ifndef TACIT_OPS_CLI_CANVAS_H
#define TACIT_OPS_CLI_CANVAS_H

#include <stdbool.h>
#include <stdint.h>
#include "core/base/arena.h"

enum canvas_style {
    STYLE_PLAIN,
    STYLE_STRONG, /* names, headings */
    STYLE_FAINT,  /* what is there to be looked up, not to be read */
    STYLE_GOOD,
    STYLE_WARN,
    STYLE_BAD,
    STYLE_ACCENT, /* curves, bars */
    STYLE_COUNT
};
#define STYLE_PICKED 0x80 /* beside a style: the row that keys act on */

struct canvas_cell {
    uint32_t character; /* Unicode; one column wide */
    uint8_t style;
};

struct canvas {
    int rows, columns;
    struct canvas_cell *cells; /* (rows, columns) */
};

/* Blank, in the arena. */
TACIT_MUST_CHECK int canvas_init(struct canvas *c, struct arena *a, int rows, int columns,
                                 struct err *e);
/* UTF-8 text from (row, column) on, at most `width` columns, its last one "…" where it was cut;
 * returns how many it took. Control characters are blanks, what is wider than a column is '?', what
 * has no width is left out: nobody's name moves the cursor. Outside of the screen nothing happens.
 */
int canvas_put(struct canvas *c, int row, int column, int width, uint8_t style, const char *text);
int canvas_printf(struct canvas *c, int row, int column, int width, uint8_t style, const char *fmt,
                  ...) __attribute__((format(printf, 6, 7)));
/* Adds STYLE_PICKED in part of a row. */
void canvas_pick(struct canvas *c, int row, int column, int width);
/* The rows as lines, blanks at their ends left out. */
const char *canvas_text(const struct canvas *c, struct arena *a);
/* One character as UTF-8. */
void canvas_utf8(uint32_t character, char out[5]);

#endif
