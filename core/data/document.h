/* One document, from a line of JSON or from a file's text. */
#ifndef TACIT_DATA_DOCUMENT_H
#define TACIT_DATA_DOCUMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "core/base/err.h"

enum document_status { DOCUMENT_OK, DOCUMENT_EMPTY, DOCUMENT_UTF8, DOCUMENT_LONG, DOCUMENT_JSON };

struct document_rules {
    const char *field_text, *field_source;
    uint64_t bytes_max;
    double holdout;
};

struct document {
    const char *text; /* valid UTF-8 without NUL, not blank */
    size_t len;
    const char *source; /* or NULL; borrowed as text is */
    size_t source_len;
    uint64_t fraction; /* the text's digest, as a fraction of 2^64 */
    bool heldout;
    void *json; /* owned */
};

/* Reads a line of JSON or a plain text. On anything but DOCUMENT_OK there is nothing to free; why
 * (may be NULL) is told what is wrong with a line of JSON. text points into data where it is plain.
 */
enum document_status document_read(struct document *d, const struct document_rules *rules,
                                   const char *data, size_t len, bool is_json, struct err *why);
void document_free(struct document *d);

#endif
