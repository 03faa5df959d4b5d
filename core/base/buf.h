/* A growable byte buffer with a maximum. After any failed append the buffer is unchanged. */
#ifndef TACIT_BASE_BUF_H
#define TACIT_BASE_BUF_H

#include <stddef.h>
#include <stdint.h>
#include "core/base/err.h"

struct buf {
    char *data; /* always NUL-terminated once non-NULL; owned */
    size_t len; /* bytes, without the terminator */
    size_t cap;
    size_t max; /* refuses to grow beyond this many bytes: ERR_TOO_LARGE */
};

void buf_init(struct buf *b, size_t max);
void buf_free(struct buf *b);  /* leaves it initialised and empty, max kept */
void buf_reset(struct buf *b); /* len = 0, memory kept */
TACIT_MUST_CHECK int buf_append(struct buf *b, const void *data, size_t len, struct err *e);
TACIT_MUST_CHECK int buf_printf(struct buf *b, struct err *e, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* Makes room for len more bytes and returns where they go, or NULL. b->len is not changed: raise it
 * by what was filled; a NUL stands after the len bytes, whoever fills fewer puts it there. */
char *buf_reserve(struct buf *b, size_t len, struct err *e);
/* Hands the memory to the caller (free()), leaving the buffer empty. Never NULL unless out of
 * memory: an empty buffer gives "". */
char *buf_take(struct buf *b);

#endif
