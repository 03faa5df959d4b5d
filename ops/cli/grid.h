/* A table on a canvas: columns that fit, rows that are scrolled, one that is picked. */
#ifndef TACIT_OPS_CLI_GRID_H
#define TACIT_OPS_CLI_GRID_H

#include "ops/cli/canvas.h"

#define GRID_COLUMNS_MAX 12

struct grid_column {
    const char *title; /* NULL: the end */
    bool right;
    int least; /* may be cut to so many columns where room is short; 0: is not cut */
    int rank;  /* where the others do not fit, the highest rank goes first; 0: stays */
};

struct grid_row {
    const char *cells[GRID_COLUMNS_MAX]; /* NULL: "–" */
    uint8_t styles[GRID_COLUMNS_MAX];
    char key[96];  /* what it is, from one look to the next: a name, a number */
    uint32_t item; /* where it is in what it was made of */
};

struct grid {
    const struct grid_column *columns;
    struct grid_row *rows;
    uint32_t row_count;
};

struct box {
    int row, column, rows, columns;
};

/* The header's row, then those from *first on; *first moves so that `picked` (−1: none) is seen. A
 * last row says how many are not. focus: the picked row is marked. */
void grid_draw(struct canvas *c, struct box b, const struct grid *g, int picked, uint32_t *first,
               bool focus);

#endif
