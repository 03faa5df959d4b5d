#include "core/checkpoint/stream.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "core/checkpoint/zstd_frame.h"

#define STREAM_BLOCK 65536u

/* A tar archive ends with zeros up to a multiple of its record, which is 10,240 bytes and 512 KiB
 * at most in use. */
#define TAR_END_MAX (1u << 20)

struct stream {
    checkpoint_read_fn *read;
    void *arg;
    struct archive *zstd, *tar;
    struct zstd_frame frame;
    uint64_t compressed, compressed_max;
    uint64_t plain;     /* bytes decompressed so far */
    uint64_t plain_end; /* one past the last of them that is not zero */
    uint64_t entry_size;
    struct err cause; /* of the first failure below libarchive */
    uint8_t compressed_block[STREAM_BLOCK], plain_block[STREAM_BLOCK];
};

static int archive_failed(const struct stream *s, struct archive *a, struct err *e)
{
    if (s->cause.code != 0) {
        if (e != NULL)
            *e = s->cause;
        return s->cause.code;
    }
    const char *text = archive_error_string(a);
    return err_set(e, archive_errno(a) == ENOMEM ? ERR_NO_MEMORY : ERR_FORMAT, "checkpoint: %s",
                   text ? text : "archive is damaged");
}

/* Compressed bytes from the caller, through the frame's check. */
static la_ssize_t on_compressed(struct archive *a, void *arg, const void **data)
{
    struct stream *s = arg;
    if (s->cause.code != 0)
        return -1;
    long n = s->read(s->arg, s->compressed_block, STREAM_BLOCK, &s->cause);
    if (n > 0) {
        s->compressed += (uint64_t)n;
        if (s->compressed > s->compressed_max)
            n = err_set(&s->cause, ERR_TOO_LARGE,
                        "checkpoint: more than the %llu bytes that its model can have",
                        (unsigned long long)s->compressed_max);
        else if (zstd_frame_feed(&s->frame, s->compressed_block, (size_t)n, &s->cause) != 0)
            n = s->cause.code;
    }
    if (n < 0) {
        if (s->cause.code == 0) /* a reader that says no more than that it failed */
            err_set(&s->cause, (int)n, "checkpoint: reading failed");
        archive_set_error(a, EIO, "read failed");
        return -1;
    }
    *data = s->compressed_block;
    return (la_ssize_t)n;
}

/* Decompressed bytes for the tar reader, remembering where the last one is that is not zero. */
static la_ssize_t on_plain(struct archive *a, void *arg, const void **data)
{
    struct stream *s = arg;
    la_ssize_t n = archive_read_data(s->zstd, s->plain_block, STREAM_BLOCK);
    if (n < 0) {
        if (s->cause.code == 0)
            (void)archive_failed(s, s->zstd, &s->cause);
        archive_set_error(a, EIO, "read failed");
        return -1;
    }
    la_ssize_t last = n;
    while (last > 0 && s->plain_block[last - 1] == 0)
        last--;
    if (last > 0)
        s->plain_end = s->plain + (uint64_t)last;
    s->plain += (uint64_t)n;
    *data = s->plain_block;
    return n;
}

static int zstd_open(struct stream *s, struct err *e)
{
    struct archive_entry *entry;
    s->zstd = archive_read_new();
    if (s->zstd == NULL)
        return err_set(e, ERR_NO_MEMORY, "checkpoint: no memory to read an archive");
    if (archive_read_support_filter_zstd(s->zstd) != ARCHIVE_OK ||
        archive_read_support_format_raw(s->zstd) != ARCHIVE_OK ||
        archive_read_open(s->zstd, s, NULL, on_compressed, NULL) != ARCHIVE_OK ||
        archive_read_next_header(s->zstd, &entry) != ARCHIVE_OK)
        return archive_failed(s, s->zstd, e);
    /* Two: zstd and what reads the bytes. More would be zstd within zstd. */
    if (archive_filter_count(s->zstd) != 2 ||
        archive_filter_code(s->zstd, 0) != ARCHIVE_FILTER_ZSTD)
        return err_set(e, ERR_FORMAT, "checkpoint: not a .tar.zst archive");
    return 0;
}

int stream_create(struct stream **out, checkpoint_read_fn *read, void *arg, uint64_t compressed_max,
                  struct err *e)
{
    struct stream *s = calloc(1, sizeof *s);
    if (s == NULL)
        return err_set(e, ERR_NO_MEMORY, "checkpoint: no memory to read an archive");
    s->read = read;
    s->arg = arg;
    s->compressed_max = compressed_max;
    zstd_frame_init(&s->frame);
    int rc = zstd_open(s, e);
    if (rc == 0 && (s->tar = archive_read_new()) == NULL)
        rc = err_set(e, ERR_NO_MEMORY, "checkpoint: no memory to read an archive");
    if (rc == 0 && (archive_read_support_format_tar(s->tar) != ARCHIVE_OK ||
                    archive_read_open(s->tar, s, NULL, on_plain, NULL) != ARCHIVE_OK))
        rc = archive_failed(s, s->tar, e);
    if (rc != 0) {
        stream_destroy(s);
        return rc;
    }
    *out = s;
    return 0;
}

void stream_destroy(struct stream *s)
{
    if (s == NULL)
        return;
    archive_read_free(s->tar);
    archive_read_free(s->zstd);
    free(s);
}

int stream_entry(struct stream *s, const char *name, uint64_t *size, struct err *e)
{
    struct archive_entry *entry;
    int rc = archive_read_next_header(s->tar, &entry);
    if (rc == ARCHIVE_EOF)
        return err_set(e, ERR_FORMAT, "checkpoint: archive ends before \"%s\"", name);
    if (rc != ARCHIVE_OK)
        return archive_failed(s, s->tar, e);
    const char *path = archive_entry_pathname(entry);
    if (path == NULL || strcmp(path, name) != 0)
        return err_set(e, ERR_FORMAT, "checkpoint: archive has \"%.64s\" where \"%s\" belongs",
                       path ? path : "", name);
    if (archive_entry_filetype(entry) != AE_IFREG || archive_entry_hardlink(entry) != NULL ||
        archive_entry_symlink(entry) != NULL || archive_entry_sparse_count(entry) > 0 ||
        !archive_entry_size_is_set(entry) || archive_entry_size(entry) < 0)
        return err_set(e, ERR_FORMAT, "checkpoint: \"%s\" is not a plain file", name);
    s->entry_size = (uint64_t)archive_entry_size(entry);
    *size = s->entry_size;
    return 0;
}

int stream_read(struct stream *s, void *out, size_t len, struct err *e)
{
    uint8_t *p = out;
    while (len > 0) {
        la_ssize_t n = archive_read_data(s->tar, p, len);
        if (n < 0)
            return archive_failed(s, s->tar, e);
        if (n == 0)
            return err_set(e, ERR_FORMAT, "checkpoint: archive is cut short");
        p += n;
        len -= (size_t)n;
    }
    return 0;
}

/* The tar reader stops at the end mark: see what the stream still holds. */
static int drain(struct stream *s, struct err *e)
{
    uint64_t start = s->plain;
    const void *data;
    la_ssize_t n;
    while ((n = on_plain(s->tar, s, &data)) > 0)
        if (s->plain - start > TAR_END_MAX)
            return err_set(e, ERR_TOO_LARGE, "checkpoint: archive goes on after its end");
    return n < 0 ? archive_failed(s, s->zstd, e) : 0;
}

int stream_end(struct stream *s, struct err *e)
{
    uint8_t more;
    la_ssize_t n = archive_read_data(s->tar, &more, 1);
    if (n < 0)
        return archive_failed(s, s->tar, e);
    if (n > 0)
        return err_set(e, ERR_FORMAT, "checkpoint: entry is longer than it says");
    /* The entry is read and its padding, to a multiple of 512, skipped. */
    uint64_t end = (uint64_t)archive_filter_bytes(s->tar, 0) - (-s->entry_size & 511);
    struct archive_entry *entry;
    int rc = archive_read_next_header(s->tar, &entry);
    if (rc == ARCHIVE_OK)
        return err_set(e, ERR_FORMAT, "checkpoint: unexpected archive entry \"%.64s\"",
                       archive_entry_pathname(entry) ? archive_entry_pathname(entry) : "");
    if (rc != ARCHIVE_EOF)
        return archive_failed(s, s->tar, e);
    rc = drain(s, e);
    if (rc != 0)
        return rc;
    if (s->plain_end > end)
        return err_set(e, ERR_FORMAT, "checkpoint: bytes after the archive's last entry");
    /* The decompressor stops at the frame's end, wherever the caller's bytes end. */
    const void *data;
    la_ssize_t rest;
    while ((rest = on_compressed(s->zstd, s, &data)) > 0)
        ;
    if (rest < 0)
        return archive_failed(s, s->zstd, e);
    if (!zstd_frame_ended(&s->frame))
        return err_set(e, ERR_FORMAT, "checkpoint: archive is cut short");
    return 0;
}
