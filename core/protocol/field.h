/* One description of the fields of a message, from which encoding, decoding and the checks of
 * types, ranges and lengths come. Messages are JSON objects; unknown fields are ignored when
 * reading (a neighbour one version ahead may send more), duplicates and wrong types are errors that
 * name the field's path. */
#ifndef TACIT_PROTOCOL_FIELD_H
#define TACIT_PROTOCOL_FIELD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "core/base/arena.h"
#include "core/base/buf.h"
#include "core/base/err.h"

enum field_type {
    FIELD_U64,    /* uint64_t; min…max (at most 2^63−1) */
    FIELD_DOUBLE, /* double; NaN is written as null and read from null where optional */
    FIELD_BOOL,   /* bool */
    FIELD_STRING, /* const char *, in the arena; NULL where absent; UTF-8 without NUL, ≤ length_max
                     bytes */
    FIELD_WORD,   /* int, index into words[] */
    FIELD_DIGEST,  /* struct digest as 64 hexadecimal digits; all zero where absent */
    FIELD_OBJECT,  /* const T *, NULL where absent: `of` describes T */
    FIELD_ARRAY,   /* T *items and uint32_t count at count_offset: `of` describes T */
    FIELD_DOUBLES, /* const double *items and uint32_t count at count_offset */
};

struct field {
    const char *name;
    enum field_type type;
    bool required; /* absent or null is an error; optional ones keep zero (NaN for doubles) */
    size_t offset, count_offset;
    uint64_t min, max;   /* FIELD_U64; max 0: 2^63−1 */
    uint32_t length_max; /* bytes of a string, items of an array; 0: 256 */
    const struct message *of;
    const char *const *words; /* NULL-terminated */
    bool absent_null;         /* an absent string, digest or object is written as null */
    const char *about;        /* what it says, in a few words; "": nothing beyond its name */
};

struct message {
    const char *name; /* for errors: "claim" */
    size_t size;      /* of the struct */
    const struct field *fields;
    uint32_t field_count;
};

/* Appends value's JSON, one line, fields in their order; absent strings, digests and objects are
 * left out (numbers, booleans and arrays always stand there), doubles that are NaN are null. What
 * the reader would refuse is refused here: ERR_INVALID, naming the field. */
TACIT_MUST_CHECK int message_encode(const struct message *m, const void *value, struct buf *out,
                                    struct err *e);
/* Fills *value (zeroed here first); strings and arrays go to the arena. ERR_FORMAT for what is not
 * JSON, ERR_INVALID for a field that does not fit, naming it. */
TACIT_MUST_CHECK int message_decode(const struct message *m, const char *json, size_t len,
                                    void *value, struct arena *a, struct err *e);
/* A JSON array of messages. */
TACIT_MUST_CHECK int message_encode_array(const struct message *m, const void *items,
                                          uint32_t count, struct buf *out, struct err *e);

#endif
