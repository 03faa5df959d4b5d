#include "ops/cli/grid.h"

#include <string.h>
#include "ops/cli/format.h"

#define GAP 2
#define NOTHING "–"

static const char *cell_of(const struct grid_row *r, int column)
{
    return r->cells[column] ? r->cells[column] : NOTHING;
}

static int sum_of(const int *widths, int count)
{
    int sum = 0, shown = 0;
    for (int i = 0; i < count; i++)
        if (widths[i] > 0) {
            sum += widths[i];
            shown++;
        }
    return shown ? sum + GAP * (shown - 1) : 0;
}

/* What can be cut is cut, the widest first. */
static void cut(const struct grid_column *columns, int count, int *widths, int room)
{
    while (sum_of(widths, count) > room) {
        int widest = -1;
        for (int i = 0; i < count; i++)
            if (columns[i].least > 0 && widths[i] > columns[i].least &&
                (widest < 0 || widths[i] > widths[widest]))
                widest = i;
        if (widest < 0)
            return;
        widths[widest]--;
    }
}

static int least_sum(const struct grid_column *columns, int count, const int *widths)
{
    int least[GRID_COLUMNS_MAX];
    for (int i = 0; i < count; i++)
        least[i] =
            columns[i].least > 0 && widths[i] > columns[i].least ? columns[i].least : widths[i];
    return sum_of(least, count);
}

/* Width of each column, 0 where it is left out. All rows count, seen or not, so that columns stay
 * where they are while one scrolls. */
static int fit(const struct grid *g, int room, int *widths)
{
    int count = 0;
    for (; g->columns[count].title && count < GRID_COLUMNS_MAX; count++) {
        int width = (int)format_width(g->columns[count].title), empty = 1;
        for (uint32_t r = 0; r < g->row_count; r++) {
            const char *cell = cell_of(&g->rows[r], count);
            int w = (int)format_width(cell);
            width = w > width ? w : width;
            empty &= strcmp(cell, NOTHING) == 0 || *cell == 0;
        }
        widths[count] = empty && g->row_count > 0 && g->columns[count].rank > 0 ? 0 : width;
    }
    while (least_sum(g->columns, count, widths) > room) {
        int goes = -1;
        for (int i = 0; i < count; i++)
            if (widths[i] > 0 && g->columns[i].rank > 0 &&
                (goes < 0 || g->columns[i].rank > g->columns[goes].rank))
                goes = i;
        if (goes < 0)
            break;
        widths[goes] = 0;
    }
    cut(g->columns, count, widths, room);
    return count;
}

static void draw_cell(struct canvas *c, int row, int column, int width, bool right, uint8_t style,
                      const char *text)
{
    int len = (int)format_width(text);
    int pad = right && len < width ? width - len : 0;
    canvas_put(c, row, column + pad, width - pad, style, text);
}

void grid_draw(struct canvas *c, struct box b, const struct grid *g, int picked, uint32_t *first,
               bool focus)
{
    int widths[GRID_COLUMNS_MAX], count = fit(g, b.columns, widths), at = b.column;
    uint32_t room = b.rows > 1 ? (uint32_t)b.rows - 1 : 0, n = g->row_count;
    if (n > room && room > 1)
        room--; /* the last row says that there are more */
    if (*first + room > n)
        *first = n > room ? n - room : 0;
    if (picked >= 0 && (uint32_t)picked < *first)
        *first = (uint32_t)picked;
    if (picked >= 0 && room > 0 && (uint32_t)picked >= *first + room)
        *first = (uint32_t)picked - room + 1;
    for (int i = 0; i < count; i++) {
        int width = widths[i] < b.column + b.columns - at ? widths[i] : b.column + b.columns - at;
        if (widths[i] == 0 || width <= 0)
            continue;
        draw_cell(c, b.row, at, width, g->columns[i].right, STYLE_FAINT, g->columns[i].title);
        for (uint32_t r = 0; r < room && *first + r < n; r++) {
            const struct grid_row *row = &g->rows[*first + r];
            draw_cell(c, b.row + 1 + (int)r, at, width, g->columns[i].right, row->styles[i],
                      cell_of(row, i));
        }
        at += width + GAP;
    }
    if (n > room && b.rows > 2)
        canvas_printf(c, b.row + b.rows - 1, b.column, b.columns, STYLE_FAINT, "%u to %u of %u",
                      *first + 1, *first + room, n);
    if (focus && picked >= 0 && (uint32_t)picked >= *first && (uint32_t)picked < *first + room)
        canvas_pick(c, b.row + 1 + picked - (int)*first, b.column, b.columns);
}
