/* A document in one of three forms: text for a terminal, Markdown, or one HTML page that needs
 * nothing else (no scripts, no fonts, no other files) and prints well. The first error is kept, and
 * what comes after it is left out; doc_end tells it. */
#ifndef TACIT_OPS_CLI_DOC_H
#define TACIT_OPS_CLI_DOC_H

#include <stdbool.h>
#include <stdint.h>
#include "core/base/arena.h"
#include "core/base/buf.h"
#include "ops/cli/chart.h"
#include "ops/cli/text_table.h"

enum doc_form { DOC_TEXT, DOC_MARKDOWN, DOC_HTML };

struct doc {
    enum doc_form form;
    bool color; /* DOC_TEXT: bold headings */
    struct arena *arena;
    struct buf out;
    int rc;
    struct err err;
};

void doc_begin(struct doc *d, enum doc_form form, bool color, struct arena *a, const char *title);
/* 0, and the whole document in d->out; or the first error. Free d->out either way. */
TACIT_MUST_CHECK int doc_end(struct doc *d, struct err *e);

/* Plain text; what the form reserves is escaped. Lines that are too long for a terminal are
 * broken there. */
void doc_heading(struct doc *d, const char *title);
void doc_say(struct doc *d, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void doc_table(struct doc *d, const struct table *t);
/* The same, cells that are shares ("12 %") shaded by how large they are: a heat map. */
void doc_heat(struct doc *d, const struct table *t);
void doc_code(struct doc *d, const char *text);
/* Big figures in a row, each with a line below: what a reader is to see first. */
struct doc_figure {
    const char *value, *words;
};
void doc_figures(struct doc *d, const struct doc_figure *figures, uint32_t count);
/* Pages alone; the tables beside them have the same figures. */
void doc_lines(struct doc *d, const struct chart_lines *c);
void doc_bars(struct doc *d, const struct chart_bars *c);

#endif
