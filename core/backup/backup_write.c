#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "core/backup/backup_archive.h"
#include "core/base/buf.h"
#include "core/env/file.h"

#define BLOCK (256u << 10)
#define MANIFEST_MAX 65536

struct backup_writer {
    struct env_file_new file;
    struct archive *archive;
    int64_t created_s; /* every entry's time */
    struct err cause;  /* of the first failure below libarchive */
    uint8_t block[BLOCK];
};

static la_ssize_t on_bytes(struct archive *a, void *arg, const void *data, size_t len)
{
    struct backup_writer *w = arg;
    if (env_file_new_write(&w->file, data, len, &w->cause) == 0)
        return (la_ssize_t)len;
    archive_set_error(a, EIO, "write failed");
    return -1;
}

static int failed(const struct backup_writer *w, struct err *e)
{
    if (w->cause.code) {
        *e = w->cause;
        return e->code;
    }
    const char *text = archive_error_string(w->archive);
    return err_set(e, ERR_INTERNAL, "writing the backup: %s", text ? text : "failed");
}

static int begin_entry(struct backup_writer *w, const char *name, uint64_t size, struct err *e)
{
    struct archive_entry *entry = archive_entry_new();
    if (!entry)
        return err_set(e, ERR_NO_MEMORY, "no memory for a backup");
    archive_entry_set_pathname(entry, name);
    archive_entry_set_size(entry, (int64_t)size);
    archive_entry_set_filetype(entry, AE_IFREG);
    archive_entry_set_perm(entry, 0600);
    archive_entry_set_mtime(entry, w->created_s, 0);
    int rc = archive_write_header(w->archive, entry) == ARCHIVE_OK ? 0 : failed(w, e);
    archive_entry_free(entry);
    return rc;
}

static int add_data(struct backup_writer *w, const void *data, size_t len, struct err *e)
{
    if (len == 0)
        return 0;
    return archive_write_data(w->archive, data, len) == (la_ssize_t)len ? 0 : failed(w, e);
}

int backup_writer_bytes(struct backup_writer *w, const char *name, const void *data, size_t len,
                        struct err *e)
{
    int rc = begin_entry(w, name, len, e);
    return rc ? rc : add_data(w, data, len, e);
}

int backup_writer_file(struct backup_writer *w, const char *name, const char *path, uint64_t size,
                       struct err *e)
{
    int fd;
    uint64_t done = 0;
    int rc = env_file_open_read(path, &fd, e);
    if (rc)
        return rc;
    rc = begin_entry(w, name, size, e);
    while (!rc && done < size) {
        size_t part = size - done < BLOCK ? (size_t)(size - done) : BLOCK;
        rc = env_file_read_at(fd, done, w->block, part, e);
        if (!rc)
            rc = add_data(w, w->block, part, e);
        done += part;
    }
    env_file_close(fd);
    return rc;
}

static int add_manifest(struct backup_writer *w, const struct msg_backup *m, struct err *e)
{
    struct msg_backup public = *m;
    struct buf json;
    public.admin_token = public.join_token = NULL;
    buf_init(&json, MANIFEST_MAX);
    int rc = message_encode(&message_backup, &public, &json, e);
    if (!rc)
        rc = backup_writer_bytes(w, "backup.json", json.data, json.len, e);
    buf_free(&json);
    return rc;
}

int backup_writer_open(struct backup_writer **out, const char *path, const struct msg_backup *m,
                       struct err *e)
{
    struct backup_writer *w = calloc(1, sizeof *w);
    if (!w)
        return err_set(e, ERR_NO_MEMORY, "no memory for a backup");
    w->created_s = (int64_t)(m->created_at / 1000);
    int rc = env_file_new_open(&w->file, path, 0600, e);
    if (rc) {
        free(w);
        return rc;
    }
    w->archive = archive_write_new();
    if (!w->archive || archive_write_set_format_pax_restricted(w->archive) != ARCHIVE_OK ||
        archive_write_set_bytes_in_last_block(w->archive, 1) != ARCHIVE_OK ||
        archive_write_open(w->archive, w, NULL, on_bytes, NULL) != ARCHIVE_OK)
        rc = w->archive ? failed(w, e) : err_set(e, ERR_NO_MEMORY, "no memory for a backup");
    if (!rc)
        rc = add_manifest(w, m, e);
    if (rc)
        backup_writer_abandon(w);
    else
        *out = w;
    return rc;
}

int backup_writer_commit(struct backup_writer *w, struct err *e)
{
    int rc = archive_write_close(w->archive) == ARCHIVE_OK ? 0 : failed(w, e);
    if (!rc)
        rc = env_file_new_commit(&w->file, e);
    backup_writer_abandon(w);
    return rc;
}

void backup_writer_abandon(struct backup_writer *w)
{
    if (!w)
        return;
    archive_write_free(w->archive);
    env_file_new_abandon(&w->file);
    free(w);
}
