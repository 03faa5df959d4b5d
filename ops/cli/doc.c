#include "ops/cli/doc.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "ops/cli/format.h"

#define DOC_MAX (64u << 20)
#define COLUMNS 98

static const char style[] =
    ":root{color-scheme:light dark;--paper:#fff;--ink:#1c2126;--soft:#5d6873;--rule:#d5dbe1;"
    "--tint:#f3f5f7;--c0:#0b62b8;--c1:#b3470b;--c2:#1e7a46;--c3:#7a3fa3;--heat:11 98 184}\n"
    "@media(prefers-color-scheme:dark){:root{--paper:#14181c;--ink:#e4e8ec;--soft:#9aa5b0;"
    "--rule:#353d45;--tint:#1d2329;--c0:#62b0ff;--c1:#ff9b5c;--c2:#63c78d;--c3:#c79aec;"
    "--heat:98 176 255}}\n"
    "@media print{:root{--paper:#fff;--ink:#000;--soft:#444;--rule:#bbb;--tint:#f3f5f7;"
    "--c0:#0b62b8;--c1:#b3470b;--c2:#1e7a46;--c3:#7a3fa3;--heat:11 98 184}"
    "body{font-size:10pt;max-width:none}figure,table,pre{break-inside:avoid}"
    "h2{break-after:avoid}}\n"
    "*{box-sizing:border-box}body{margin:0 auto;padding:1.5rem 1rem 4rem;max-width:60rem;"
    "background:var(--paper);color:var(--ink);font:1rem/1.5 system-ui,sans-serif;"
    "-webkit-print-color-adjust:exact;print-color-adjust:exact}\n"
    "h1{font-size:1.7rem;margin:0 0 .5rem}h2{font-size:1.2rem;margin:2.2rem 0 .5rem;"
    "border-top:1px solid var(--rule);padding-top:.9rem}p{margin:.5rem 0}\n"
    ".wide{overflow-x:auto}table{border-collapse:collapse;font-size:.9rem;"
    "font-variant-numeric:tabular-nums}th{font-weight:600;color:var(--soft);text-align:left}"
    "th,td{padding:.25rem .7rem .25rem 0;border-bottom:1px solid var(--rule);"
    "vertical-align:top}.r{text-align:right}\n"
    ".heat td.h{background:rgb(var(--heat)/calc(var(--v)*.75));padding-left:.5rem;"
    "border:1px solid var(--paper)}\n"
    "pre{background:var(--tint);padding:.8rem;overflow-x:auto;font-size:.85rem;"
    "white-space:pre-wrap}figure{margin:1rem 0}figcaption{font-weight:600;font-size:.95rem;"
    "margin-bottom:.3rem}.legend{color:var(--soft);font-size:.9rem}\n"
    ".figures{display:flex;flex-wrap:wrap;gap:1rem 2.5rem;margin:1rem 0;padding:0}"
    ".figures div{max-width:17rem}.figures dt{font-size:2rem;font-weight:650;line-height:1.2}"
    ".figures dd{margin:0;color:var(--soft)}\n"
    "svg{width:100%;height:auto}svg text{font-size:12px;fill:var(--soft)}"
    "svg .name{fill:var(--ink)}.grid{stroke:var(--rule);stroke-width:1}"
    ".axis{stroke:var(--soft);stroke-width:1;fill:none}.line{fill:none;stroke-width:2.2;"
    "stroke-linejoin:round}.thin{stroke-width:1.1;opacity:.65;stroke-dasharray:none!important}\n"
    ".c0{stroke:var(--c0)}.c1{stroke:var(--c1)}.c2{stroke:var(--c2)}.c3{stroke:var(--c3)}"
    ".c1{stroke-dasharray:7 3}.c2{stroke-dasharray:2 3}.c3{stroke-dasharray:9 3 2 3}"
    ".gain{fill:var(--c0)}.loss{fill:var(--c1)}\n"
    ".key{display:inline-block;width:1.6rem;border-top:3px solid;margin:0 .4rem .25rem .8rem}"
    ".k0{color:var(--c0)}.k1{color:var(--c1);border-top-style:dashed}.k2{color:var(--c2);"
    "border-top-style:dotted}.k3{color:var(--c3);border-top-style:dashed}\n";

static void put(struct doc *d, const char *text)
{
    if (!d->rc)
        d->rc = buf_append(&d->out, text, strlen(text), &d->err);
}

static void escaped(struct doc *d, const char *text)
{
    if (!d->rc)
        d->rc = chart_escape(&d->out, text, &d->err);
}

/* What Markdown reads as more than text, in a line or a cell. */
static void marked(struct doc *d, const char *text)
{
    for (; *text; text++) {
        char c[3] = {*text, 0, 0};
        if (strchr("\\`*_[]<>|#", *text)) {
            c[0] = '\\';
            c[1] = *text;
        }
        put(d, c);
    }
}

/* --- beginning and end ------------------------------------------------------------------------ */

void doc_begin(struct doc *d, enum doc_form form, bool color, struct arena *a, const char *title)
{
    memset(d, 0, sizeof *d);
    d->form = form;
    d->color = color;
    d->arena = a;
    buf_init(&d->out, DOC_MAX);
    if (form == DOC_MARKDOWN) {
        put(d, "# ");
        marked(d, title);
        put(d, "\n");
    } else if (form == DOC_TEXT) {
        put(d, title);
        put(d, "\n");
    } else {
        put(d, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
               "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
               "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
               "style-src 'unsafe-inline'\">\n<title>");
        escaped(d, title);
        put(d, "</title>\n<style>\n");
        put(d, style);
        put(d, "</style>\n</head>\n<body>\n<main>\n<h1>");
        escaped(d, title);
        put(d, "</h1>\n");
    }
}

int doc_end(struct doc *d, struct err *e)
{
    if (d->form == DOC_HTML)
        put(d, "</main>\n</body>\n</html>\n");
    if (d->rc)
        *e = d->err;
    return d->rc;
}

/* --- text ------------------------------------------------------------------------------------- */

void doc_heading(struct doc *d, const char *title)
{
    if (d->form == DOC_HTML) {
        put(d, "<h2>");
        escaped(d, title);
        put(d, "</h2>\n");
    } else if (d->form == DOC_MARKDOWN) {
        put(d, "\n## ");
        marked(d, title);
        put(d, "\n");
    } else {
        put(d, d->color ? "\n\033[1m" : "\n");
        put(d, title);
        put(d, d->color ? "\033[0m\n" : "\n");
    }
}

/* Breaks at blanks, what follows set in a little. */
static void wrapped(struct doc *d, const char *text)
{
    size_t column = 0;
    while (*text) {
        size_t len = strcspn(text, " ");
        const char *word = arena_strndup(d->arena, text, len);
        size_t width = word ? format_width(word) : 0;
        if (column > 0 && column + 1 + width > COLUMNS) {
            put(d, "\n  ");
            column = 2;
        } else if (column > 0) {
            put(d, " ");
            column++;
        }
        put(d, word ? word : "");
        column += width;
        text += len + (text[len] == ' ');
    }
    put(d, "\n");
}

void doc_say(struct doc *d, const char *fmt, ...)
{
    va_list list;
    char *text = NULL;
    va_start(list, fmt);
    int n = vasprintf(&text, fmt, list);
    va_end(list);
    if (n < 0) {
        if (!d->rc)
            d->rc = err_set(&d->err, ERR_NO_MEMORY, "no memory for a document");
        return;
    }
    if (d->form == DOC_TEXT) {
        wrapped(d, text);
    } else if (d->form == DOC_MARKDOWN) {
        put(d, "\n");
        marked(d, text);
        put(d, "\n");
    } else {
        put(d, "<p>");
        escaped(d, text);
        put(d, "</p>\n");
    }
    free(text);
}

void doc_code(struct doc *d, const char *text)
{
    if (d->form == DOC_HTML) {
        put(d, "<pre>");
        escaped(d, text);
        put(d, "</pre>\n");
    } else if (d->form == DOC_MARKDOWN) {
        put(d, "\n```\n");
        put(d, text);
        put(d, "\n```\n");
    } else {
        put(d, text);
        put(d, "\n");
    }
}

void doc_figures(struct doc *d, const struct doc_figure *figures, uint32_t count)
{
    if (d->form == DOC_HTML)
        put(d, "<dl class=\"figures\">\n");
    for (uint32_t i = 0; i < count; i++)
        if (d->form == DOC_HTML) {
            put(d, "<div><dt>");
            escaped(d, figures[i].value);
            put(d, "</dt><dd>");
            escaped(d, figures[i].words);
            put(d, "</dd></div>\n");
        } else {
            doc_say(d, "%s %s", figures[i].value, figures[i].words);
        }
    if (d->form == DOC_HTML)
        put(d, "</dl>\n");
}

/* --- tables ----------------------------------------------------------------------------------- */

static void markdown_table(struct doc *d, const struct table *t)
{
    put(d, "\n");
    for (int c = 0; c < t->columns; c++) {
        put(d, "| ");
        marked(d, t->titles[c]);
        put(d, " ");
    }
    put(d, "|\n");
    for (int c = 0; c < t->columns; c++)
        put(d, t->right[c] ? "|--:" : "|---");
    put(d, "|\n");
    for (int r = 0; r < t->row_count; r++) {
        for (int c = 0; c < t->columns; c++) {
            put(d, "| ");
            marked(d, t->rows[r][c]);
            put(d, " ");
        }
        put(d, "|\n");
    }
}

/* "12 %" as 0.12 shades its cell. */
static void cell(struct doc *d, const char *text, bool right, bool heat)
{
    char shade[64], *end;
    double percent = strtod(text, &end);
    if (heat && end > text && strcmp(end, " %") == 0) {
        snprintf(shade, sizeof shade, "<td class=\"r h\" style=\"--v:%.3f\">", percent / 100);
        put(d, shade);
    } else {
        put(d, right ? "<td class=\"r\">" : "<td>");
    }
    escaped(d, text);
    put(d, "</td>");
}

static void html_table(struct doc *d, const struct table *t, bool heat)
{
    put(d, heat ? "<div class=\"wide\"><table class=\"heat\">\n<thead><tr>"
                : "<div class=\"wide\"><table>\n<thead><tr>");
    for (int c = 0; c < t->columns; c++) {
        put(d, t->right[c] ? "<th scope=\"col\" class=\"r\">" : "<th scope=\"col\">");
        escaped(d, t->titles[c]);
        put(d, "</th>");
    }
    put(d, "</tr></thead>\n<tbody>\n");
    for (int r = 0; r < t->row_count; r++) {
        put(d, "<tr>");
        for (int c = 0; c < t->columns; c++)
            cell(d, t->rows[r][c], t->right[c], heat);
        put(d, "</tr>\n");
    }
    put(d, "</tbody></table></div>\n");
}

static void any_table(struct doc *d, const struct table *t, bool heat)
{
    if (d->form == DOC_HTML) {
        html_table(d, t, heat);
    } else if (d->form == DOC_MARKDOWN) {
        markdown_table(d, t);
    } else {
        const char *const *lines = table_lines(t);
        for (int i = 0; lines[i]; i++) {
            put(d, d->color && i == 0 ? "\033[1m" : "");
            put(d, lines[i]);
            put(d, d->color && i == 0 ? "\033[0m\n" : "\n");
        }
    }
}

void doc_table(struct doc *d, const struct table *t)
{
    any_table(d, t, false);
}

void doc_heat(struct doc *d, const struct table *t)
{
    any_table(d, t, true);
}

/* --- charts ----------------------------------------------------------------------------------- */

static void figure(struct doc *d, const char *title)
{
    put(d, "<figure><figcaption>");
    escaped(d, title);
    put(d, "</figcaption>\n");
}

void doc_lines(struct doc *d, const struct chart_lines *c)
{
    if (d->form != DOC_HTML)
        return;
    figure(d, c->title);
    if (!d->rc)
        d->rc = chart_lines(&d->out, c, &d->err);
    put(d, "</figure>\n");
}

void doc_bars(struct doc *d, const struct chart_bars *c)
{
    if (d->form != DOC_HTML)
        return;
    figure(d, c->title);
    if (!d->rc)
        d->rc = chart_bars(&d->out, c, &d->err);
    put(d, "</figure>\n");
}
