/* Follows the structure of a zstd stream (RFC 8878) beside the decompressor, which would accept
 * more than a checkpoint may be: here exactly one frame, without dictionary, with a window that
 * keeps the decompressor's memory small, and nothing after it. */
#ifndef TACIT_CHECKPOINT_ZSTD_FRAME_H
#define TACIT_CHECKPOINT_ZSTD_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "core/base/err.h"

/* What `zstd -19` uses; --ultra goes to 128 MiB, too much for a coordinator that checks results. */
#define ZSTD_FRAME_WINDOW_MAX (8u << 20)

struct zstd_frame {
    int state;
    uint8_t field[16]; /* the field being gathered */
    uint32_t have, need;
    uint32_t skip; /* bytes of a block's content still to come */
    uint8_t descriptor;
    bool last; /* the block at hand is the last one */
};

void zstd_frame_init(struct zstd_frame *f);
/* The next bytes of the stream, however cut: ERR_FORMAT, ERR_TOO_LARGE (window). */
TACIT_MUST_CHECK int zstd_frame_feed(struct zstd_frame *f, const uint8_t *data, size_t len,
                                     struct err *e);
bool zstd_frame_ended(const struct zstd_frame *f);

#endif
