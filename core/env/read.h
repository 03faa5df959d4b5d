/* Reading bit by bit, and what a path names: for inputs too large to hold. */
#ifndef TACIT_ENV_READ_H
#define TACIT_ENV_READ_H

#include <stddef.h>
#include <stdint.h>
#include "core/base/err.h"

enum env_path_kind { ENV_PATH_NONE, ENV_PATH_FILE, ENV_PATH_FOLDER, ENV_PATH_STREAM };

/* Follows links. ENV_PATH_NONE where nothing is there; ENV_PATH_STREAM: a pipe or device, which can
 * be read once alone. ERR_IO, ERR_DENIED where it cannot be looked at. */
TACIT_MUST_CHECK int env_path_kind(const char *path, enum env_path_kind *kind, struct err *e);

struct env_reader {
    int fd;
};

/* Opens for reading; "-" is standard input. */
TACIT_MUST_CHECK int env_reader_open(struct env_reader *r, const char *path, struct err *e);
/* The next bytes, at most cap; *n = 0 at the end alone. */
TACIT_MUST_CHECK int env_reader_next(struct env_reader *r, void *out, size_t cap, size_t *n,
                                     struct err *e);
/* Exactly len bytes at offset, wherever the reader stands. Threads may share this one. */
TACIT_MUST_CHECK int env_reader_at(const struct env_reader *r, uint64_t offset, void *out,
                                   size_t len, struct err *e);
void env_reader_close(
    struct env_reader *r); /* leaves standard input open; safe after failed open */

#endif
