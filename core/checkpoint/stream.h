/* Reading a checkpoint's archive as a stream, trusting nothing: zstd and tar are libarchive's, one
 * upon the other, with what they would let pass checked beside them. Private to core/checkpoint. */
#ifndef TACIT_CHECKPOINT_STREAM_H
#define TACIT_CHECKPOINT_STREAM_H

#include <stddef.h>
#include <stdint.h>
#include "core/base/err.h"
#include "core/checkpoint/checkpoint.h"

struct stream;

/* compressed_max: the archive is refused beyond as many bytes. */
TACIT_MUST_CHECK int stream_create(struct stream **out, checkpoint_read_fn *read, void *arg,
                                   uint64_t compressed_max, struct err *e);
void stream_destroy(struct stream *s); /* accepts NULL */
/* The next entry must be a plain file of this name; its size. */
TACIT_MUST_CHECK int stream_entry(struct stream *s, const char *name, uint64_t *size,
                                  struct err *e);
/* Exactly len bytes of the entry. */
TACIT_MUST_CHECK int stream_read(struct stream *s, void *out, size_t len, struct err *e);
/* After the last byte of the last entry: nothing may follow but the archive's own end. */
TACIT_MUST_CHECK int stream_end(struct stream *s, struct err *e);

#endif
