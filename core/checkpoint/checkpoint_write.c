/* Writing checkpoints: tensors go through one small buffer into the archive, and the archive's
 * bytes through the digest into the file, so that nothing of the model's size is copied. */
#include "core/checkpoint/checkpoint.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "core/base/buf.h"
#include "core/base/le.h"
#include "core/checkpoint/meta.h"
#include "core/checkpoint/tensors.h"
#include "core/env/file.h"

#define CHUNK_FLOATS 16384u

/* zstd's default level: weights hardly compress further. Its threads stay at libarchive's 0, in the
 * calling thread. */
#define ZSTD_LEVEL "3"

struct writer {
    struct env_file_new file;
    struct archive *archive;
    struct digest_state blob, content;
    uint64_t bytes;
    struct err cause; /* of the first failure below libarchive */
    uint8_t chunk[CHUNK_FLOATS * 4];
};

static la_ssize_t on_bytes(struct archive *a, void *arg, const void *data, size_t len)
{
    struct writer *w = arg;
    if (env_file_new_write(&w->file, data, len, &w->cause) != 0) {
        archive_set_error(a, EIO, "write failed");
        return -1;
    }
    digest_update(&w->blob, data, len);
    w->bytes += len;
    return (la_ssize_t)len;
}

static int archive_failed(const struct writer *w, struct err *e)
{
    if (w->cause.code != 0) {
        if (e != NULL)
            *e = w->cause;
        return w->cause.code;
    }
    const char *text = archive_error_string(w->archive);
    return err_set(e, ERR_INTERNAL, "checkpoint: archive: %s", text ? text : "failed");
}

static int writer_open(struct writer *w, struct err *e)
{
    w->archive = archive_write_new();
    if (w->archive == NULL)
        return err_set(e, ERR_NO_MEMORY, "checkpoint: no memory for an archive");
    struct archive *a = w->archive;
    /* Restricted: an extended header only where ustar has no room (beyond 8 GiB). The last block is
     * not padded, since what follows the zstd frame would be no part of it. */
    if (archive_write_set_format_pax_restricted(a) != ARCHIVE_OK ||
        archive_write_add_filter_zstd(a) != ARCHIVE_OK ||
        archive_write_set_filter_option(a, "zstd", "compression-level", ZSTD_LEVEL) != ARCHIVE_OK ||
        archive_write_set_bytes_in_last_block(a, 1) != ARCHIVE_OK ||
        archive_write_open(a, w, NULL, on_bytes, NULL) != ARCHIVE_OK)
        return archive_failed(w, e);
    return 0;
}

static int entry_begin(struct writer *w, const char *name, uint64_t size, struct err *e)
{
    struct archive_entry *entry = archive_entry_new();
    if (entry == NULL)
        return err_set(e, ERR_NO_MEMORY, "checkpoint: no memory for an archive entry");
    archive_entry_set_pathname(entry, name);
    archive_entry_set_size(entry, (la_int64_t)size);
    archive_entry_set_filetype(entry, AE_IFREG);
    archive_entry_set_perm(entry, 0644);
    archive_entry_set_uid(entry, 0);
    archive_entry_set_gid(entry, 0);
    archive_entry_set_mtime(entry, 0, 0);
    int rc = archive_write_header(w->archive, entry);
    archive_entry_free(entry);
    return rc == ARCHIVE_OK ? 0 : archive_failed(w, e);
}

static int entry_bytes(struct writer *w, const void *data, size_t len, struct err *e)
{
    la_ssize_t written = archive_write_data(w->archive, data, len);
    return written == (la_ssize_t)len ? 0 : archive_failed(w, e);
}

static int tensor_write(struct writer *w, const struct tensors_entry *entry, const float *values,
                        struct err *e)
{
    for (uint64_t done = 0; done < entry->floats;) {
        uint64_t left = entry->floats - done;
        uint32_t n = left < CHUNK_FLOATS ? (uint32_t)left : CHUNK_FLOATS;
        for (uint32_t i = 0; i < n; i++) {
            if (!isfinite(values[done + i]))
                return err_set(e, ERR_NOT_FINITE, "checkpoint: value %llu of \"%s\" is not finite",
                               (unsigned long long)(done + i), entry->name);
            lef32_put(w->chunk + 4 * i, values[done + i]);
        }
        digest_update(&w->content, w->chunk, 4ull * n);
        int rc = entry_bytes(w, w->chunk, 4ull * n, e);
        if (rc != 0)
            return rc;
        done += n;
    }
    return 0;
}

static int entries_write(struct writer *w, const struct tensors *t, const struct model_config *c,
                         const struct tensors_extra *extra, const float *const arrays[2],
                         struct err *e)
{
    struct buf meta, header;
    buf_init(&meta, META_BYTES_MAX);
    buf_init(&header, TENSORS_HEADER_MAX);
    int rc = meta_write(t->kind, c, t->optimizer, &meta, e);
    if (rc == 0)
        rc = entry_begin(w, "meta.json", meta.len, e);
    if (rc == 0)
        rc = entry_bytes(w, meta.data, meta.len, e);
    if (rc == 0)
        rc = tensors_header_write(t, extra, &header, e);
    if (rc == 0)
        rc = entry_begin(w, tensors_file(t->kind), header.len + t->bytes, e);
    if (rc == 0)
        rc = entry_bytes(w, header.data, header.len, e);
    if (rc == 0)
        digest_update(&w->content, header.data, header.len);
    for (uint32_t i = 0; rc == 0 && i < t->count; i++)
        rc = tensor_write(w, &t->entries[i], arrays[t->entries[i].array] + t->entries[i].offset, e);
    buf_free(&header);
    buf_free(&meta);
    return rc;
}

static int file_write(struct writer *w, const char *path, bool lasting, const struct tensors *t,
                      const struct model_config *c, const struct tensors_extra *extra,
                      const float *const arrays[2], struct checkpoint_digests *out, struct err *e)
{
    int rc = env_file_new_open(&w->file, path, 0600, e);
    if (rc != 0)
        return rc;
    w->file.passing = !lasting;
    digest_init(&w->blob);
    digest_init(&w->content);
    rc = writer_open(w, e);
    if (rc == 0)
        rc = entries_write(w, t, c, extra, arrays, e);
    if (rc == 0 && archive_write_close(w->archive) != ARCHIVE_OK)
        rc = archive_failed(w, e);
    archive_write_free(w->archive);
    if (rc == 0)
        rc = env_file_new_commit(&w->file, e);
    if (rc != 0) {
        env_file_new_abandon(&w->file);
        return err_prefix(e, "%s", path), rc;
    }
    digest_final(&w->blob, &out->blob);
    digest_final(&w->content, &out->content);
    out->bytes = w->bytes;
    return 0;
}

static int checkpoint_write(const char *path, bool lasting, enum tensors_kind kind,
                            const struct model_config *c, enum optimizer optimizer,
                            const struct tensors_extra *extra, const float *const arrays[2],
                            struct checkpoint_digests *out, struct err *e)
{
    struct tensors t;
    int rc = tensors_init(&t, kind, c, optimizer, e);
    if (rc != 0)
        return rc;
    struct writer *w = calloc(1, sizeof *w);
    rc = w ? file_write(w, path, lasting, &t, c, extra, arrays, out, e)
           : err_set(e, ERR_NO_MEMORY, "checkpoint: no memory to write %s", path);
    free(w);
    tensors_free(&t);
    return rc;
}

int checkpoint_model_write(const char *path, bool lasting, const struct model_config *c,
                           const float *parameters, struct checkpoint_digests *out, struct err *e)
{
    const float *const arrays[2] = {parameters, NULL};
    return checkpoint_write(path, lasting, TENSORS_MODEL, c, OPTIMIZER_ADAMW, NULL, arrays, out, e);
}

int checkpoint_state_write(const char *path, bool lasting, const struct model_config *c,
                           enum optimizer optimizer, const float *moment1, const float *moment2,
                           const struct checkpoint_position *p, const struct digest *model_content,
                           struct checkpoint_digests *out, struct err *e)
{
    const float *const arrays[2] = {moment1, moment2};
    const struct tensors_extra extra = {.position = *p, .model = *model_content};
    return checkpoint_write(path, lasting, TENSORS_STATE, c, optimizer, &extra, arrays, out, e);
}
