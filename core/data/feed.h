/* Bytes of an input, block by block: of a file as it is, or of what is inside .gz, .xz, .zst, .bz2
 * and .tar, by libarchive. Told apart by content, not by name. */
#ifndef TACIT_DATA_FEED_H
#define TACIT_DATA_FEED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "core/base/err.h"
#include "core/env/read.h"

#define FEED_BLOCK 65536

struct archive;

struct feed {
    const char *name; /* for errors; borrowed */
    /* Called after each read from the outside with the bytes read; non-zero is an error's code
     * (filled in), which ends the reading. May be NULL. */
    int (*tick)(void *arg, size_t bytes, struct err *e);
    void *tick_arg;

    struct env_reader *reader; /* either this is set, or the next two; borrowed */
    struct feed *outer;
    struct archive *archive;
    size_t at, len;
    bool end;
    struct err err; /* what stopped libarchive's reading from this feed */
    char block[FEED_BLOCK];
};

/* Over a file, or over the current entry of an archive opened on outer. Big: keep it on the heap.
 */
void feed_init(struct feed *f, const char *name, struct env_reader *reader);
void feed_init_entry(struct feed *f, const char *name, struct feed *outer, struct archive *archive);

/* Makes as much visible as is there, at most FEED_BLOCK bytes, without taking it. */
TACIT_MUST_CHECK int feed_peek(struct feed *f, const char **data, size_t *len, struct err *e);
/* Takes the next block; *len = 0 at the end alone. Valid until the next call. */
TACIT_MUST_CHECK int feed_next(struct feed *f, const char **data, size_t *len, struct err *e);

/* True where what comes is compressed or a tar archive. */
TACIT_MUST_CHECK int feed_is_packed(struct feed *f, bool *packed, struct err *e);
/* Opens what is inside; close with feed_unpack_close. */
TACIT_MUST_CHECK int feed_unpack(struct feed *f, struct archive **a, struct err *e);
/* Goes to the next file inside. *path is NULL at the end; "" where the feed is one compressed file
 * without a name. Borrowed until the next call. */
TACIT_MUST_CHECK int feed_unpack_next(struct feed *f, struct archive *a, const char **path,
                                      struct err *e);
void feed_unpack_close(struct archive *a);

#endif
