/* Files whose failure matters. Paths are UTF-8, relative to the working directory. */
#ifndef TACIT_ENV_FILE_H
#define TACIT_ENV_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "core/base/buf.h"
#include "core/base/err.h"

/* Reads a whole file of at most max bytes into out (initialised here; free with buf_free). */
TACIT_MUST_CHECK int env_file_read(const char *path, size_t max, struct buf *out, struct err *e);

/* Writes so that a crash leaves the old content or the new: temporary name in the same folder,
 * fsync, rename, fsync of the folder. mode: permission bits (0600 for tokens). */
TACIT_MUST_CHECK int env_file_write_atomic(const char *path, const void *data, size_t len, int mode,
                                           struct err *e);

/* The same for content that is produced bit by bit: write to *fd, then commit or abandon. */
struct env_file_new {
    int fd;
    char *path, *temporary; /* owned; temporary is path + ".new-" + six characters */
    bool passing; /* set after opening, for what is made again where a crash of the machine loses
                     or damages it: nothing is synced */
};
TACIT_MUST_CHECK int env_file_new_open(struct env_file_new *f, const char *path, int mode,
                                       struct err *e);
TACIT_MUST_CHECK int env_file_new_write(struct env_file_new *f, const void *data, size_t len,
                                        struct err *e);
TACIT_MUST_CHECK int env_file_new_commit(struct env_file_new *f, struct err *e);
void env_file_new_abandon(struct env_file_new *f); /* safe after commit and after a failed open */

/* Descriptors, for streams and for libraries that take one. Closed by env_file_close. */
TACIT_MUST_CHECK int env_file_open_read(const char *path, int *fd, struct err *e);
/* For writing at the end, made where absent: a download that goes on where it broke off. */
TACIT_MUST_CHECK int env_file_open_append(const char *path, int mode, int *fd, struct err *e);
/* For writing anywhere in it. fresh: made, and it must not be there; its name is not durable before
 * env_file_keep. */
TACIT_MUST_CHECK int env_file_open_write(const char *path, bool fresh, int *fd, struct err *e);
TACIT_MUST_CHECK int env_file_keep(const char *path, struct err *e);
/* At most cap bytes; *got = 0 at the end. */
TACIT_MUST_CHECK int env_file_read_some(int fd, void *out, size_t cap, size_t *got, struct err *e);
/* Exactly len bytes from offset; ERR_FORMAT where the file ends before. */
TACIT_MUST_CHECK int env_file_read_at(int fd, uint64_t offset, void *out, size_t len,
                                      struct err *e);
TACIT_MUST_CHECK int env_file_write_all(int fd, const void *data, size_t len, struct err *e);
/* From offset on; the file grows where it ends before. For much that is synced soon and not read
 * soon: whole pages, aligned in file and memory, go past the cache where the file system can, which
 * spares a copy of all and the memory for it; the disk begins with the rest at once. */
#define ENV_FILE_ALIGN 4096
TACIT_MUST_CHECK int env_file_write_at(int fd, uint64_t offset, const void *data, size_t len,
                                       struct err *e);
TACIT_MUST_CHECK int env_file_sync(int fd, struct err *e);
void env_file_close(int fd); /* ignores -1 */

/* Read-only mapping of a whole file; empty files map to (NULL, 0). Who shortens the file meanwhile
 * kills the reader: only files that are never changed in place are mapped. */
struct env_map {
    const void *data;
    size_t size;
};
TACIT_MUST_CHECK int env_file_map(const char *path, struct env_map *out, struct err *e);
void env_file_unmap(struct env_map *m);

bool env_file_exists(const char *path);
bool env_dir_exists(const char *path);
/* A folder, not a link to one, that belongs to this process's user. */
bool env_dir_is_own(const char *path);
TACIT_MUST_CHECK int env_file_size(const char *path, uint64_t *size, struct err *e);
/* When its content last changed (a folder's: the names in it), since 1970; for order alone. */
TACIT_MUST_CHECK int env_file_modified_ms(const char *path, int64_t *ms, struct err *e);
/* Sets that time to now. */
TACIT_MUST_CHECK int env_file_touch(const char *path, struct err *e);
TACIT_MUST_CHECK int env_file_remove(const char *path, struct err *e); /* absent is success */
/* Renames within a file system, replacing to, and syncs to's folder. The content must be synced. */
TACIT_MUST_CHECK int env_file_rename(const char *from, const char *to, struct err *e);
/* The same without syncing: a crash of the machine may undo it. */
TACIT_MUST_CHECK int env_file_move(const char *from, const char *to, struct err *e);
/* Makes the folder and its parents (mode 0700). */
TACIT_MUST_CHECK int env_dir_make(const char *path, struct err *e);
/* The name of a folder that is there becomes durable: whoever made it may have been killed before
 * that. Does nothing where the folder that it is in can't be read. */
TACIT_MUST_CHECK int env_dir_keep(const char *path, struct err *e);
TACIT_MUST_CHECK int env_dir_remove(const char *path, struct err *e); /* empty; absent is success */
/* Names in a folder, sorted by bytes, without "." and ".."; free with env_dir_list_free. */
TACIT_MUST_CHECK int env_dir_list(const char *path, char ***names, size_t *count, struct err *e);
void env_dir_list_free(char **names, size_t count);
/* Bytes free to this user on the file system that holds path. */
TACIT_MUST_CHECK int env_disk_free(const char *path, uint64_t *bytes, struct err *e);

/* Exclusive lock on a file (made where absent), held until the process ends or unlock. A holder is
 * waited for up to wait_ms: ERR_BUSY after that, naming its process. */
TACIT_MUST_CHECK int env_lock_take(const char *path, int64_t wait_ms, int *lock, struct err *e);
void env_lock_release(int lock);

/* Heap string "a/b"; NULL without memory. */
char *env_path_join(const char *a, const char *b);

#endif
