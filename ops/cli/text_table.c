#include "ops/cli/text_table.h"

#include <string.h>
#include "ops/cli/format.h"

#define GAP "  "

void table_init(struct table *t, struct arena *a, const char *const *titles)
{
    memset(t, 0, sizeof *t);
    t->arena = a;
    for (; titles[t->columns] && t->columns < TABLE_COLUMNS_MAX; t->columns++) {
        const char *title = titles[t->columns];
        t->right[t->columns] = title[0] == '>';
        t->titles[t->columns] = title + (title[0] == '>');
    }
}

void table_row(struct table *t, const char *const *cells)
{
    if (t->row_count == t->row_capacity) {
        int capacity = t->row_capacity ? 2 * t->row_capacity : 32;
        const char ***rows = arena_alloc_array(t->arena, (size_t)capacity, sizeof *rows);
        if (!rows)
            return;
        if (t->row_count)
            memcpy(rows, t->rows, (size_t)t->row_count * sizeof *rows);
        t->rows = rows;
        t->row_capacity = capacity;
    }
    const char **row = arena_alloc_array(t->arena, (size_t)t->columns, sizeof *row);
    if (!row)
        return;
    for (int i = 0; i < t->columns; i++)
        row[i] = cells[i] ? format_plain(t->arena, cells[i]) : "–";
    t->rows[t->row_count++] = row;
}

/* One line: cells are padded to their column's width, the last one of a line is not. */
static const char *line_of(const struct table *t, const char *const *cells, const size_t *widths)
{
    size_t size = 1;
    for (int i = 0; i < t->columns; i++)
        size += strlen(GAP) + widths[i] + strlen(cells[i]);
    char *line = arena_alloc(t->arena, size);
    size_t n = 0;
    for (int i = 0; line && i < t->columns; i++) {
        int pad = (int)(widths[i] - format_width(cells[i]));
        const char *gap = i ? GAP : "";
        int wrote = t->right[i] ? snprintf(line + n, size - n, "%s%*s%s", gap, pad, "", cells[i])
                                : snprintf(line + n, size - n, "%s%s%*s", gap, cells[i],
                                           i + 1 < t->columns ? pad : 0, "");
        n += (size_t)wrote;
    }
    while (n > 0 && line[n - 1] == ' ')
        line[--n] = '\0';
    return line ? line : "";
}

const char *const *table_lines(const struct table *t)
{
    size_t widths[TABLE_COLUMNS_MAX];
    const char **lines = arena_alloc_array(t->arena, (size_t)t->row_count + 2, sizeof *lines);
    static const char *const none[] = {NULL};
    if (!lines)
        return none;
    for (int i = 0; i < t->columns; i++) {
        widths[i] = format_width(t->titles[i]);
        for (int r = 0; r < t->row_count; r++) {
            size_t width = format_width(t->rows[r][i]);
            widths[i] = width > widths[i] ? width : widths[i];
        }
    }
    lines[0] = line_of(t, t->titles, widths);
    for (int r = 0; r < t->row_count; r++)
        lines[r + 1] = line_of(t, t->rows[r], widths);
    return lines;
}

void table_print(const struct table *t, FILE *out, bool color)
{
    const char *const *lines = table_lines(t);
    for (int i = 0; lines[i]; i++)
        fprintf(out, color && i == 0 ? "\033[1m%s\033[0m\n" : "%s\n", lines[i]);
}
