/* A backup of a coordinator in one file: a plain tar (pax; blobs hardly compress), readable with
 * any tar. In this order: backup.json           msg_backup, without tokens tacit.db the snapshot
 *     admin.token, join.token
 *     blobs.list            40 bytes a blob: digest, size (little-endian); ascending by digest
 *     blobs/HEX             each blob of the list, in its order
 *     end                   8 bytes: how many blobs there were
 * All of it is checked against backup.json and the list while it is read. */
#ifndef TACIT_BACKUP_BACKUP_ARCHIVE_H
#define TACIT_BACKUP_BACKUP_ARCHIVE_H

#include <stddef.h>
#include <stdint.h>
#include "core/base/digest.h"
#include "core/base/err.h"
#include "core/protocol/messages.h"

/* --- writing ---------------------------------------------------------------------------------- */

struct backup_writer;

/* Begins path under a temporary name, mode 0600, with backup.json. */
TACIT_MUST_CHECK int backup_writer_open(struct backup_writer **out, const char *path,
                                        const struct msg_backup *m, struct err *e);
/* Adds bytes, or a file of exactly `size` bytes, under a name: the caller keeps the order. */
TACIT_MUST_CHECK int backup_writer_bytes(struct backup_writer *w, const char *name,
                                         const void *data, size_t len, struct err *e);
TACIT_MUST_CHECK int backup_writer_file(struct backup_writer *w, const char *name, const char *path,
                                        uint64_t size, struct err *e);
/* Ends it: synced, and under its own name. Frees the writer in any case. */
TACIT_MUST_CHECK int backup_writer_commit(struct backup_writer *w, struct err *e);
void backup_writer_abandon(struct backup_writer *w); /* accepts NULL */

/* --- reading ---------------------------------------------------------------------------------- */

enum backup_part { BACKUP_DATABASE, BACKUP_ADMIN_TOKEN, BACKUP_JOIN_TOKEN, BACKUP_BLOB };
/* What a reader of a backup does with its parts; each may be NULL. An error ends the reading. */
struct backup_sink {
    void *arg;
    int (*start)(void *arg, const struct msg_backup *m, struct err *e);
    int (*begin)(void *arg, enum backup_part part, const struct digest *d, uint64_t size,
                 struct err *e); /* d: of a blob */
    int (*data)(void *arg, const void *data, size_t len, struct err *e);
    int (*end)(void *arg, struct err *e); /* the part is whole, and its digest right */
    int (*progress)(void *arg, uint64_t done, uint64_t total, struct err *e); /* bytes of blobs */
};
/* Reads and checks all of it. *out's strings are not filled. ERR_FORMAT: no backup, or cut off;
 * ERR_DIGEST: damaged, the part is named. */
TACIT_MUST_CHECK int backup_read(const char *path, const struct backup_sink *sink,
                                 struct msg_backup *out, struct err *e);

#endif
