#include "ops/cli/canvas.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "core/base/text.h"

#define LINE_MAX_BYTES 1024

int canvas_init(struct canvas *c, struct arena *a, int rows, int columns, struct err *e)
{
    c->rows = rows > 0 ? rows : 1;
    c->columns = columns > 0 ? columns : 1;
    size_t count = (size_t)c->rows * (size_t)c->columns;
    c->cells = arena_alloc_array(a, count, sizeof *c->cells);
    if (!c->cells)
        return err_set(e, ERR_NO_MEMORY, "no memory for a screen of %d by %d", columns, rows);
    for (size_t i = 0; i < count; i++)
        c->cells[i].character = ' ';
    return 0;
}

/* The next character of valid or invalid UTF-8; 0 at the end. */
static uint32_t next(const char **text)
{
    static const uint8_t lead[] = {0, 0x7F, 0x1F, 0x0F, 0x07};
    const uint8_t *s = (const uint8_t *)*text;
    int len = s[0] < 0x80 ? 1 : s[0] >= 0xF0 ? 4 : s[0] >= 0xE0 ? 3 : s[0] >= 0xC0 ? 2 : 0;
    if (s[0] == 0)
        return 0;
    uint32_t c = len ? s[0] & lead[len] : 0;
    for (int i = 1; i < len; i++) {
        if ((s[i] & 0xC0) != 0x80) {
            len = 0;
            break;
        }
        c = c << 6 | (s[i] & 0x3F);
    }
    *text += len ? len : 1;
    return len ? c : '?';
}

/* Columns that a terminal gives it. */
static int columns_of(uint32_t c)
{
    static const struct {
        uint32_t first, last;
    } none[] = {{0x0300, 0x036F}, {0x200B, 0x200F}, {0x202A, 0x202E},  {0x2060, 0x206F},
                {0xFE00, 0xFE0F}, {0xFEFF, 0xFEFF}, {0xE0000, 0xE0FFF}},
      two[] = {{0x1100, 0x115F}, {0x2E80, 0xA4CF}, {0xAC00, 0xD7A3},   {0xF900, 0xFAFF},
               {0xFE30, 0xFE6F}, {0xFF00, 0xFF60}, {0x1F300, 0x1FAFF}, {0x20000, 0x3FFFD}};
    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++)
        if (c >= none[i].first && c <= none[i].last)
            return 0;
    for (size_t i = 0; i < sizeof two / sizeof two[0]; i++)
        if (c >= two[i].first && c <= two[i].last)
            return 2;
    return 1;
}

int canvas_put(struct canvas *c, int row, int column, int width, uint8_t style, const char *text)
{
    int put = 0;
    if (row < 0 || row >= c->rows || column < 0)
        return 0;
    width = width < c->columns - column ? width : c->columns - column;
    struct canvas_cell *cells = c->cells + (size_t)row * (size_t)c->columns + column;
    for (uint32_t one; (one = next(&text)) != 0;) {
        int wide = columns_of(one);
        if (wide == 0)
            continue;
        if (put >= width) {
            if (width > 0)
                cells[width - 1].character = 0x2026;
            break;
        }
        if (one < ' ' || (one >= 0x7F && one < 0xA0))
            one = ' ';
        cells[put++] = (struct canvas_cell){wide == 1 ? one : '?', style};
    }
    return put;
}

int canvas_printf(struct canvas *c, int row, int column, int width, uint8_t style, const char *fmt,
                  ...)
{
    char line[LINE_MAX_BYTES];
    va_list args;
    va_start(args, fmt);
    vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    text_make_utf8(line);
    return canvas_put(c, row, column, width, style, line);
}

void canvas_pick(struct canvas *c, int row, int column, int width)
{
    if (row < 0 || row >= c->rows)
        return;
    for (int i = column < 0 ? 0 : column; i < column + width && i < c->columns; i++)
        c->cells[row * c->columns + i].style |= STYLE_PICKED;
}

void canvas_utf8(uint32_t c, char out[5])
{
    int n = 0;
    if (c < 0x80) {
        out[n++] = (char)c;
    } else {
        int more = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
        out[n++] = (char)((0xF00u >> (more + 1) & 0xFF) | c >> 6 * more);
        while (more-- > 0)
            out[n++] = (char)(0x80 | (c >> 6 * more & 0x3F));
    }
    out[n] = 0;
}

const char *canvas_text(const struct canvas *c, struct arena *a)
{
    char *out = arena_alloc(a, (size_t)c->rows * ((size_t)c->columns * 4 + 1) + 1);
    size_t n = 0;
    for (int r = 0; out && r < c->rows; r++) {
        size_t used = n;
        for (int i = 0; i < c->columns; i++) {
            char one[5];
            canvas_utf8(c->cells[r * c->columns + i].character, one);
            memcpy(out + n, one, strlen(one));
            n += strlen(one);
            used = strcmp(one, " ") == 0 ? used : n;
        }
        n = used;
        out[n++] = '\n';
        out[n] = 0;
    }
    return out ? out : "";
}
