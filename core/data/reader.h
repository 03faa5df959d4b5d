/* From what the user names (files, folders, "-" or pipes) to records: lines of JSON or whole plain
 * texts, in input order: arguments as given, folders by name in order of bytes, archives as packed.
 * In folders, names that start with a dot are left out, and links are followed.
 *
 * A file is JSONL where its name ends in .jsonl or .ndjson (before .gz and the like), or where its
 * first line that is not blank is a JSON object with the text field; else it is one document. */
#ifndef TACIT_DATA_READER_H
#define TACIT_DATA_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "core/base/err.h"
#include "core/data/document.h"
#include "core/data/labels.h"

/* Where records come from; all borrowed until the callback returns. */
struct reader_file {
    const char *name; /* for errors: "folder/a.tar: b.jsonl" */
    uint64_t number;  /* from 1, in order */
    bool json;
    char stem[LABEL_BYTES + 1];  /* its name without endings */
    char place[LABEL_BYTES + 1]; /* the folder or archive just below the input, or stem */
    char input[LABEL_BYTES + 1]; /* the stem of what the user named */
};

struct reader_record {
    const char *data; /* NULL where it is longer than any document may be */
    size_t len;
};

struct reader_sink {
    void *arg;
    int (*record)(void *arg, const struct reader_file *f, const struct reader_record *r,
                  struct err *e);
    int (*file_end)(void *arg, const struct reader_file *f, struct err *e);
    /* After each read, with the bytes read from the outside. */
    int (*tick)(void *arg, size_t bytes, struct err *e);
};

/* name: what to call path in errors and labels where it differs from it (a spooled stream), or
 * NULL. */
TACIT_MUST_CHECK int reader_walk(const char *path, const char *name,
                                 const struct document_rules *rules, const struct reader_sink *sink,
                                 struct err *e);
/* Bytes of the files that reader_walk would read, for progress. */
TACIT_MUST_CHECK int reader_total(const char *path, uint64_t *bytes, struct err *e);

#endif
