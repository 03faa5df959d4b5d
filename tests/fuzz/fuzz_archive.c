/* Checkpoints. The first byte says how much of the way in the input is: a whole archive, the tar
 * within it, or the safetensors file within that, wrapped here so that mutations reach the inner
 * readers; and whether a model or a state is wanted. */
#include <archive.h>
#include <archive_entry.h>
#include "core/base/le.h"
#include "core/checkpoint/checkpoint.h"
#include "core/checkpoint/meta.h"
#include "core/checkpoint/zstd_frame.h"
#include "tests/fuzz/small_model.h"

#define RAW_BLOCK_MAX (128u << 10)

enum layer { LAYER_ARCHIVE, LAYER_TAR, LAYER_CONTENT, LAYERS };

struct source {
    const uint8_t *data;
    size_t size, at, piece;
};

static long source_read(void *arg, void *out, size_t cap, struct err *e)
{
    struct source *s = arg;
    size_t n = s->size - s->at;

    (void)e;
    n = n < cap ? n : cap;
    n = n < s->piece ? n : s->piece;
    if (n > 0)
        memcpy(out, s->data + s->at, n);
    s->at += n;
    return (long)n;
}

static la_ssize_t on_bytes(struct archive *a, void *arg, const void *data, size_t len)
{
    struct err e = {0};

    (void)a;
    FUZZ_OK(buf_append(arg, data, len, &e), &e);
    return (la_ssize_t)len;
}

static void add(struct archive *a, const char *name, const void *data, size_t size)
{
    struct archive_entry *entry = archive_entry_new();

    archive_entry_set_pathname(entry, name);
    archive_entry_set_filetype(entry, AE_IFREG);
    archive_entry_set_perm(entry, 0644);
    archive_entry_set_size(entry, (la_int64_t)size);
    FUZZ_CHECK(archive_write_header(a, entry) == ARCHIVE_OK);
    archive_write_data(a, data, size);
    archive_entry_free(entry);
}

/* A zstd stream (RFC 8878) that holds the bytes as they are, in raw blocks: no compressor is as
 * quick.
 */
static void store(const struct buf *data, struct buf *out)
{
    struct err e = {0};
    uint8_t head[9] = {0x28, 0xb5, 0x2f, 0xfd, 0xa0}; /* one segment, its size in four bytes */

    le32_put(head + 5, (uint32_t)data->len);
    FUZZ_OK(buf_append(out, head, sizeof head, &e), &e);
    for (size_t at = 0; at == 0 || at < data->len;) {
        size_t n = data->len - at < RAW_BLOCK_MAX ? data->len - at : RAW_BLOCK_MAX;
        uint8_t block[4];
        le32_put(block, (uint32_t)(n << 3) | (at + n == data->len));
        FUZZ_OK(buf_append(out, block, 3, &e), &e);
        FUZZ_OK(buf_append(out, data->data + at, n, &e), &e);
        at += n > 0 ? n : 1;
    }
}

/* What the input stands for, as an archive's bytes. */
static void wrap(enum layer layer, enum tensors_kind kind, const uint8_t *data, size_t size,
                 struct buf *out)
{
    struct err e = {0};
    struct buf meta, tar;

    buf_init(&meta, META_BYTES_MAX);
    buf_init(&tar, 64u << 20);
    FUZZ_OK(buf_append(&tar, "", 0, &e), &e);
    if (layer == LAYER_TAR) {
        FUZZ_OK(buf_append(&tar, data, size, &e), &e);
    } else {
        struct archive *a = archive_write_new();
        FUZZ_OK(meta_write(kind, &small_model, OPTIMIZER_ADAMW, &meta, &e), &e);
        archive_write_set_format_pax_restricted(a);
        archive_write_set_bytes_in_last_block(a, 1);
        FUZZ_CHECK(archive_write_open(a, &tar, NULL, on_bytes, NULL) == ARCHIVE_OK);
        add(a, "meta.json", meta.data, meta.len);
        add(a, tensors_file(kind), data, size);
        FUZZ_CHECK(archive_write_close(a) == ARCHIVE_OK);
        archive_write_free(a);
    }
    store(&tar, out);
    buf_free(&meta);
    buf_free(&tar);
}

/* What the frame's follower says does not depend on how the bytes are cut. */
static void check_frame(const uint8_t *data, size_t size)
{
    struct zstd_frame whole, bytes;
    struct err e = {0};
    int rc, one = 0;

    zstd_frame_init(&whole);
    zstd_frame_init(&bytes);
    rc = zstd_frame_feed(&whole, data, size, &e);
    for (size_t i = 0; i < size && !one; i++)
        one = zstd_frame_feed(&bytes, data + i, 1, &e);
    FUZZ_CHECK(rc == one);
    FUZZ_CHECK(rc || zstd_frame_ended(&whole) == zstd_frame_ended(&bytes));
}

/* With and without the numbers kept: both come to the same. */
static int check_read(enum tensors_kind kind, const uint8_t *data, size_t size, size_t piece,
                      bool keep, struct digest *content)
{
    static float first[SMALL_PARAMETERS_MAX], second[SMALL_PARAMETERS_MAX];
    struct source s = {data, size, 0, piece};
    struct checkpoint_position p;
    struct digest of_model;
    struct err e = {0};
    int rc;

    FUZZ_CHECK(model_parameters(&small_model) <= SMALL_PARAMETERS_MAX);
    rc =
        kind == TENSORS_MODEL
            ? checkpoint_model_read(source_read, &s, &small_model, keep ? first : NULL, content, &e)
            : checkpoint_state_read(source_read, &s, &small_model, OPTIMIZER_ADAMW,
                                    keep ? first : NULL, keep ? second : NULL, &p, &of_model,
                                    content, &e);
    if (rc)
        fuzz_refused(rc, &e);
    return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf archive;
    struct digest a, b;

    if (size == 0)
        return -1;
    enum tensors_kind kind = data[0] & 1 ? TENSORS_STATE : TENSORS_MODEL;
    enum layer layer = (enum layer)((data[0] >> 1) % LAYERS);
    buf_init(&archive, 64u << 20);
    if (layer != LAYER_ARCHIVE) {
        wrap(layer, kind, data + 1, size - 1, &archive);
        data = (const uint8_t *)archive.data;
        size = archive.len;
    } else {
        data++;
        size--;
    }
    check_frame(data, size);
    int rc = check_read(kind, data, size, SIZE_MAX, false, &a);
    FUZZ_CHECK(rc == check_read(kind, data, size, 7, true, &b));
    FUZZ_CHECK(rc || digest_equal(&a, &b));
    buf_free(&archive);
    return 0;
}
