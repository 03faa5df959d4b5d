/* Manual pages in man(7), from what the programs' --help tells: the same descriptions and tables of
 * options. The first error is kept, and what comes after it is left out; manual_end tells it. */
#ifndef TACIT_BASE_MANUAL_H
#define TACIT_BASE_MANUAL_H

#include <argp.h>
#include <stdbool.h>
#include "core/base/buf.h"

struct manual {
    struct buf out;
    int rc;
    struct err err;
};

/* A page of NAME(section), and its one line for apropos(1). */
void manual_begin(struct manual *m, const char *name, int section, const char *summary);
/* 0, and the whole page in m->out; or the first error. Free m->out either way. */
TACIT_MUST_CHECK int manual_end(struct manual *m, struct err *e);

void manual_section(struct manual *m, const char *title);
void manual_subsection(struct manual *m, const char *title);
/* Prose: paragraphs parted by empty lines, lines that begin with two spaces as they are, `words` in
 * bold. A line "Examples:" opens a section of that name where sections is true. */
void manual_text(struct manual *m, const char *text, bool sections);
/* NAME [OPTION...] ARGS, as a synopsis. */
void manual_synopsis(struct manual *m, const char *name, const char *args);
void manual_break(struct manual *m);
void manual_paragraph(struct manual *m); /* none right below a heading */
/* A term in bold with its explanation. */
void manual_item(struct manual *m, const char *term, const char *text);
/* Hidden options are left out. */
void manual_options(struct manual *m, const struct argp_option *options);
/* What argp adds by itself. */
void manual_own_options(struct manual *m);
/* argp's doc string: what comes before \v, and what after it. */
void manual_doc_before(struct manual *m, const char *doc);
void manual_doc_after(struct manual *m, const char *doc, bool sections);

#endif
