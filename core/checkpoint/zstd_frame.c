#include "core/checkpoint/zstd_frame.h"

#include <string.h>
#include "core/base/le.h"

#define FRAME_MAGIC 0xfd2fb528u
#define CHECKSUM_BYTES 4u

enum { MAGIC, HEADER, BLOCK, CONTENT, CHECKSUM, ENDED };

static void expect(struct zstd_frame *f, int state, uint32_t need)
{
    f->state = state;
    f->have = 0;
    f->need = need;
}

void zstd_frame_init(struct zstd_frame *f)
{
    memset(f, 0, sizeof *f);
    expect(f, MAGIC, 5); /* with the frame header's descriptor */
}

bool zstd_frame_ended(const struct zstd_frame *f)
{
    return f->state == ENDED;
}

static bool single_segment(const struct zstd_frame *f)
{
    return f->descriptor >> 5 & 1;
}

static uint32_t content_size_bytes(const struct zstd_frame *f)
{
    unsigned flag = f->descriptor >> 6;
    return flag == 0 ? single_segment(f) : 1u << flag;
}

static int magic_check(struct zstd_frame *f, struct err *e)
{
    if (le32_get(f->field) != FRAME_MAGIC)
        return err_set(e, ERR_FORMAT, "not a zstd stream");
    f->descriptor = f->field[4];
    if (f->descriptor & 0x0b) /* dictionary, reserved bit */
        return err_set(e, ERR_FORMAT, "zstd frame needs a dictionary or an unknown feature");
    expect(f, HEADER, content_size_bytes(f) + !single_segment(f));
    return 0;
}

static int header_check(struct zstd_frame *f, struct err *e)
{
    uint64_t window;
    if (single_segment(f)) { /* the window is all of the content */
        uint8_t size[8] = {0};
        memcpy(size, f->field, f->need);
        window = le64_get(size) + (f->need == 2 ? 256 : 0);
    } else {
        uint64_t base = UINT64_C(1) << (10 + (f->field[0] >> 3));
        window = base + base / 8 * (f->field[0] & 7);
    }
    if (window > ZSTD_FRAME_WINDOW_MAX)
        return err_set(
            e, ERR_TOO_LARGE,
            "zstd window of %llu bytes, at most %u are accepted: compress at level 19 or "
            "below",
            (unsigned long long)window, ZSTD_FRAME_WINDOW_MAX);
    expect(f, BLOCK, 3);
    return 0;
}

static int block_check(struct zstd_frame *f, struct err *e)
{
    uint32_t header = f->field[0] | (uint32_t)f->field[1] << 8 | (uint32_t)f->field[2] << 16;
    unsigned type = header >> 1 & 3;
    if (type == 3)
        return err_set(e, ERR_FORMAT, "zstd block of an unknown type");
    f->last = header & 1;
    f->skip = type == 1 ? 1 : header >> 3; /* 1: one byte, repeated */
    expect(f, CONTENT, 0);
    return 0;
}

static void content_end(struct zstd_frame *f)
{
    if (!f->last)
        expect(f, BLOCK, 3);
    else if (f->descriptor & 4)
        expect(f, CHECKSUM, CHECKSUM_BYTES);
    else
        expect(f, ENDED, 0);
}

static int field_check(struct zstd_frame *f, struct err *e)
{
    switch (f->state) {
    case MAGIC:
        return magic_check(f, e);
    case HEADER:
        return header_check(f, e);
    case BLOCK:
        return block_check(f, e);
    default: /* the checksum itself is the decompressor's to verify */
        expect(f, ENDED, 0);
        return 0;
    }
}

int zstd_frame_feed(struct zstd_frame *f, const uint8_t *data, size_t len, struct err *e)
{
    size_t at = 0;
    for (;;) {
        if (f->state == CONTENT) {
            size_t step = len - at < f->skip ? len - at : f->skip;
            at += step;
            f->skip -= (uint32_t)step;
            if (f->skip > 0)
                return 0;
            content_end(f);
            continue;
        }
        if (f->state == ENDED)
            return at == len ? 0 : err_set(e, ERR_FORMAT, "bytes after the end of the zstd stream");
        while (f->have < f->need && at < len)
            f->field[f->have++] = data[at++];
        if (f->have < f->need)
            return 0;
        int rc = field_check(f, e);
        if (rc != 0)
            return rc;
    }
}
