#include "core/data/feed.h"

#include <string.h>
#include <archive.h>
#include <archive_entry.h>

void feed_init(struct feed *f, const char *name, struct env_reader *reader)
{
    memset(f, 0, offsetof(struct feed, block));
    f->name = name;
    f->reader = reader;
}

void feed_init_entry(struct feed *f, const char *name, struct feed *outer, struct archive *archive)
{
    feed_init(f, name, NULL);
    f->outer = outer;
    f->archive = archive;
}

/* What libarchive failed at while it read f: an error in reading f itself is the cause of whatever
 * libarchive makes of it. */
static int unpack_error(const struct feed *f, struct archive *a, struct err *e)
{
    const char *why = archive_error_string(a);
    if (!f->err.code)
        return err_set(e, ERR_FORMAT, "%s is cut off or damaged (%s): get it again", f->name,
                       why ? why : "no reason given");
    if (e)
        *e = f->err;
    return f->err.code;
}

static int fill(struct feed *f, char *out, size_t cap, size_t *n, struct err *e)
{
    if (f->archive) {
        la_ssize_t got = archive_read_data(f->archive, out, cap);
        if (got < 0)
            return unpack_error(f->outer, f->archive, e);
        *n = (size_t)got;
        return 0;
    }
    int rc = env_reader_next(f->reader, out, cap, n, e);
    if (rc)
        return err_prefix(e, "%s", f->name);
    return f->tick ? f->tick(f->tick_arg, *n, e) : 0;
}

int feed_peek(struct feed *f, const char **data, size_t *len, struct err *e)
{
    if (f->at && f->at < f->len)
        memmove(f->block, f->block + f->at, f->len - f->at);
    f->len -= f->at;
    f->at = 0;
    while (!f->end && f->len < FEED_BLOCK) {
        size_t n = 0;
        int rc = fill(f, f->block + f->len, FEED_BLOCK - f->len, &n, e);
        if (rc)
            return rc;
        f->end = n == 0;
        f->len += n;
    }
    *data = f->block;
    *len = f->len;
    return 0;
}

int feed_next(struct feed *f, const char **data, size_t *len, struct err *e)
{
    if (f->at == f->len) {
        f->at = f->len = 0;
        if (!f->end) {
            int rc = fill(f, f->block, FEED_BLOCK, &f->len, e);
            if (rc)
                return rc;
            f->end = f->len == 0;
        }
    }
    *data = f->block + f->at;
    *len = f->len - f->at;
    f->at = f->len;
    return 0;
}

int feed_is_packed(struct feed *f, bool *packed, struct err *e)
{
    static const struct {
        uint8_t len, at;
        const char *bytes;
    } magics[] = {{3, 0, "\x1f\x8b\x08"},
                  {6, 0,
                   "\xfd"
                   "7zXZ\0"},
                  {4, 0, "\x28\xb5\x2f\xfd"},
                  {3, 0, "BZh"}};
    const char *data;
    size_t len;
    int rc = feed_peek(f, &data, &len, e);
    if (rc)
        return rc;
    *packed = len >= 263 && !memcmp(data + 257, "ustar", 5);
    for (size_t i = 0; i < sizeof magics / sizeof *magics; i++)
        if (len >= magics[i].len && !memcmp(data, magics[i].bytes, magics[i].len))
            *packed = true;
    return 0;
}

static la_ssize_t archive_wants(struct archive *a, void *arg, const void **data)
{
    struct feed *f = arg;
    const char *block = NULL;
    size_t len = 0;
    if (feed_next(f, &block, &len, &f->err)) {
        archive_set_error(a, -1, "%s", f->err.message);
        return -1;
    }
    *data = block;
    return (la_ssize_t)len;
}

int feed_unpack(struct feed *f, struct archive **out, struct err *e)
{
    struct archive *a = archive_read_new();
    *out = NULL;
    if (!a)
        return err_set(e, ERR_NO_MEMORY, "no memory to unpack %s", f->name);
    archive_read_support_filter_gzip(a);
    archive_read_support_filter_xz(a);
    archive_read_support_filter_zstd(a);
    archive_read_support_filter_bzip2(a);
    archive_read_support_format_tar(a);
    archive_read_support_format_raw(a);
    archive_read_support_format_empty(a);
    if (archive_read_open(a, f, NULL, archive_wants, NULL) != ARCHIVE_OK) {
        int rc = unpack_error(f, a, e);
        archive_read_free(a);
        return rc;
    }
    *out = a;
    return 0;
}

int feed_unpack_next(struct feed *f, struct archive *a, const char **path, struct err *e)
{
    struct archive_entry *entry;
    *path = NULL;
    for (;;) {
        int got = archive_read_next_header(a, &entry);
        if (got == ARCHIVE_EOF)
            return 0;
        if (got != ARCHIVE_OK && got != ARCHIVE_WARN)
            return unpack_error(f, a, e);
        int format = archive_format(a) & ARCHIVE_FORMAT_BASE_MASK;
        if (format != ARCHIVE_FORMAT_TAR) {
            *path = "";
            return 0;
        }
        if (archive_entry_filetype(entry) != AE_IFREG || archive_entry_hardlink(entry))
            continue;
        *path = archive_entry_pathname(entry);
        if (!*path)
            *path = archive_entry_pathname_utf8(entry);
        if (!*path)
            return err_set(e, ERR_FORMAT, "%s has an entry whose name cannot be read", f->name);
        return 0;
    }
}

void feed_unpack_close(struct archive *a)
{
    if (a)
        archive_read_free(a);
}
