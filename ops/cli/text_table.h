/* Aligned tables: a header, then rows; numbers right, words left; the last column is not padded. */
#ifndef TACIT_OPS_CLI_TEXT_TABLE_H
#define TACIT_OPS_CLI_TEXT_TABLE_H

#include <stdbool.h>
#include <stdio.h>
#include "core/base/arena.h"

#define TABLE_COLUMNS_MAX 20

struct table {
    struct arena *arena;
    const char *titles[TABLE_COLUMNS_MAX];
    bool right[TABLE_COLUMNS_MAX];
    int columns;
    const char ***rows;
    int row_count, row_capacity;
};

/* Titles end with NULL; one that starts with '>' is of a right-aligned column. */
void table_init(struct table *t, struct arena *a, const char *const *titles);
/* As many cells as titles; NULL prints "–". Cells are borrowed until table_print. */
void table_row(struct table *t, const char *const *cells);
/* The header's line and one a row, ended by NULL, in the arena. */
const char *const *table_lines(const struct table *t);
/* color: a bold header. Widths count characters, not bytes. */
void table_print(const struct table *t, FILE *out, bool color);

#endif
