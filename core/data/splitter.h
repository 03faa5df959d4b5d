/* One file's bytes into records, for reader.c. */
#ifndef TACIT_DATA_SPLITTER_H
#define TACIT_DATA_SPLITTER_H

#include "core/base/buf.h"
#include "core/data/feed.h"
#include "core/data/reader.h"

/* Kept from file to file for its buffer alone. */
struct splitter {
    const struct document_rules *rules;
    const struct reader_sink *sink;
    struct buf text; /* the line or text being gathered */
};

void splitter_init(struct splitter *s, const struct document_rules *rules,
                   const struct reader_sink *sink);
void splitter_free(struct splitter *s);

/* Reads feed to its end. must_be_json: the name says JSONL; named: the user named this very file,
 * so its being empty is an error. Sets file->json. */
TACIT_MUST_CHECK int splitter_run(struct splitter *s, struct feed *feed, struct reader_file *file,
                                  bool must_be_json, bool named, struct err *e);

#endif
