#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "core/backup/backup_archive.h"
#include "core/base/arena.h"
#include "core/base/buf.h"
#include "core/base/le.h"
#include "core/env/file.h"

#define BLOCK (256u << 10)
#define MANIFEST_MAX 65536
#define LIST_MAX (1u << 30) /* 26 million blobs */

struct reader {
    const char *path;
    const struct backup_sink *sink;
    int fd;
    struct archive *archive;
    struct msg_backup m;
    struct buf list;
    uint64_t done; /* bytes of blobs */
    struct err cause;
    uint8_t in[BLOCK], out[BLOCK];
};

static la_ssize_t on_read(struct archive *a, void *arg, const void **data)
{
    struct reader *r = arg;
    size_t got;
    if (env_file_read_some(r->fd, r->in, BLOCK, &got, &r->cause)) {
        archive_set_error(a, EIO, "read failed");
        return -1;
    }
    *data = r->in;
    return (la_ssize_t)got;
}

static int failed(const struct reader *r, struct err *e)
{
    if (r->cause.code) {
        *e = r->cause;
        return e->code;
    }
    const char *text = archive_error_string(r->archive);
    return err_set(e, ERR_FORMAT, "%s is no whole backup: %s", r->path, text ? text : "damaged");
}

/* The next entry, which must have this name. */
static int next_entry(struct reader *r, const char *name, uint64_t *size, struct err *e)
{
    struct archive_entry *entry;
    int rc = archive_read_next_header(r->archive, &entry);
    if (rc == ARCHIVE_EOF)
        return err_set(e, ERR_FORMAT, "%s ends before \"%s\": the backup was cut off", r->path,
                       name);
    if (rc != ARCHIVE_OK)
        return failed(r, e);
    const char *found = archive_entry_pathname(entry);
    if (!found || strcmp(found, name) != 0)
        return err_set(e, ERR_FORMAT,
                       "%s is no backup of a coordinator: \"%.80s\" stands where "
                       "\"%s\" belongs",
                       r->path, found ? found : "", name);
    *size = archive_entry_size(entry) < 0 ? 0 : (uint64_t)archive_entry_size(entry);
    return 0;
}

/* Into memory. */
static int read_whole(struct reader *r, const char *name, size_t max, struct buf *out,
                      struct err *e)
{
    uint64_t size;
    int rc = next_entry(r, name, &size, e);
    buf_init(out, max);
    if (!rc && size > max)
        rc = err_set(e, ERR_TOO_LARGE, "%s: \"%s\" has %" PRIu64 " bytes", r->path, name, size);
    while (!rc) {
        la_ssize_t n = archive_read_data(r->archive, r->out, BLOCK);
        if (n < 0)
            rc = failed(r, e);
        if (n <= 0)
            break;
        rc = buf_append(out, r->out, (size_t)n, e);
    }
    if (!rc && out->len != size)
        rc = err_set(e, ERR_FORMAT, "%s: \"%s\" is cut off", r->path, name);
    return rc;
}

static int damaged(const struct reader *r, const char *name, struct err *e)
{
    return err_set(e, ERR_DIGEST, "%s: \"%s\" is damaged: its bytes are not what its digest says",
                   r->path, name);
}

/* To the sink, its digest checked. */
static int read_part(struct reader *r, enum backup_part part, const char *name,
                     const struct digest *d, uint64_t size, struct err *e)
{
    const struct backup_sink *k = r->sink;
    struct digest_state hash;
    struct digest found;
    uint64_t has, done = 0;
    int rc = next_entry(r, name, &has, e);
    if (!rc && has != size)
        rc = err_set(e, ERR_FORMAT, "%s: \"%s\" has %" PRIu64 " bytes, not %" PRIu64, r->path, name,
                     has, size);
    if (!rc && k->begin)
        rc = k->begin(k->arg, part, d, size, e);
    digest_init(&hash);
    while (!rc) {
        la_ssize_t n = archive_read_data(r->archive, r->out, BLOCK);
        if (n < 0)
            rc = failed(r, e);
        if (n <= 0)
            break;
        digest_update(&hash, r->out, (size_t)n);
        done += (uint64_t)n;
        if (k->data)
            rc = k->data(k->arg, r->out, (size_t)n, e);
        if (!rc && part == BACKUP_BLOB)
            r->done += (uint64_t)n;
        if (!rc && k->progress)
            rc = k->progress(k->arg, r->done, r->m.blob_bytes, e);
    }
    if (rc)
        return rc;
    digest_final(&hash, &found);
    if (done != size || !digest_equal(&found, d))
        return damaged(r, name, e);
    return k->end ? k->end(k->arg, e) : 0;
}

static int read_token(struct reader *r, enum backup_part part, const char *name, struct err *e)
{
    const struct backup_sink *k = r->sink;
    struct buf token;
    int rc = read_whole(r, name, PROTOCOL_TOKEN_MAX + 1, &token, e);
    if (!rc && k->begin)
        rc = k->begin(k->arg, part, NULL, token.len, e);
    if (!rc && k->data)
        rc = k->data(k->arg, token.data, token.len, e);
    if (!rc && k->end)
        rc = k->end(k->arg, e);
    buf_free(&token);
    return rc;
}

static int read_manifest(struct reader *r, struct arena *a, struct err *e)
{
    struct buf json;
    int rc = read_whole(r, "backup.json", MANIFEST_MAX, &json, e);
    if (!rc)
        rc = message_decode(&message_backup, json.data, json.len, &r->m, a, e);
    buf_free(&json);
    if (!rc && r->sink->start)
        rc = r->sink->start(r->sink->arg, &r->m, e);
    return rc;
}

static int read_list(struct reader *r, struct err *e)
{
    struct digest d;
    int rc = read_whole(r, "blobs.list", LIST_MAX, &r->list, e);
    if (rc)
        return rc;
    digest_of(r->list.data ? r->list.data : "", r->list.len, &d);
    if (!digest_equal(&d, &r->m.list) || r->list.len != r->m.blobs * PROTOCOL_BACKUP_ROW)
        return damaged(r, "blobs.list", e);
    return 0;
}

static int read_blobs(struct reader *r, struct err *e)
{
    int rc = 0;
    for (uint64_t i = 0; !rc && i < r->m.blobs; i++) {
        const uint8_t *row = (const uint8_t *)r->list.data + i * PROTOCOL_BACKUP_ROW;
        char name[DIGEST_HEX + 8], hex[DIGEST_HEX + 1];
        struct digest d;
        memcpy(d.bytes, row, DIGEST_BYTES);
        snprintf(name, sizeof name, "blobs/%s", digest_to_hex(&d, hex));
        rc = read_part(r, BACKUP_BLOB, name, &d, le64_get(row + DIGEST_BYTES), e);
    }
    return rc;
}

static int read_end(struct reader *r, struct err *e)
{
    struct buf end;
    int rc = read_whole(r, "end", 8, &end, e);
    if (!rc && (end.len != 8 || le64_get((const uint8_t *)end.data) != r->m.blobs))
        rc = err_set(e, ERR_FORMAT, "%s has another number of blobs than it says", r->path);
    buf_free(&end);
    return rc;
}

static int read_all(struct reader *r, struct arena *a, struct err *e)
{
    int rc = read_manifest(r, a, e);
    if (!rc)
        rc = read_part(r, BACKUP_DATABASE, "tacit.db", &r->m.snapshot, r->m.snapshot_bytes, e);
    if (!rc)
        rc = read_token(r, BACKUP_ADMIN_TOKEN, "admin.token", e);
    if (!rc)
        rc = read_token(r, BACKUP_JOIN_TOKEN, "join.token", e);
    if (!rc)
        rc = read_list(r, e);
    if (!rc)
        rc = read_blobs(r, e);
    return rc ? rc : read_end(r, e);
}

int backup_read(const char *path, const struct backup_sink *sink, struct msg_backup *out,
                struct err *e)
{
    struct reader *r = calloc(1, sizeof *r);
    struct arena a;
    if (!r)
        return err_set(e, ERR_NO_MEMORY, "no memory to read a backup");
    r->path = path;
    r->sink = sink;
    arena_init(&a, 4 * MANIFEST_MAX);
    int rc = env_file_open_read(path, &r->fd, e);
    if (rc)
        r->fd = -1;
    if (!rc && !(r->archive = archive_read_new()))
        rc = err_set(e, ERR_NO_MEMORY, "no memory to read a backup");
    if (!rc && (archive_read_support_format_tar(r->archive) != ARCHIVE_OK ||
                archive_read_open(r->archive, r, NULL, on_read, NULL) != ARCHIVE_OK))
        rc = failed(r, e);
    if (!rc)
        rc = read_all(r, &a, e);
    *out = r->m;
    out->version = out->admin_token = out->join_token = NULL;
    archive_read_free(r->archive);
    env_file_close(r->fd);
    buf_free(&r->list);
    arena_free(&a);
    free(r);
    return rc;
}
