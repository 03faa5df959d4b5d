#include "core/env/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>
#include "core/env/clock.h"

#define READ_STEP 65536
#define LOCK_POLL_MS 50 /* a predecessor that is just ending is noticed within a blink */

char *env_path_join(const char *a, const char *b)
{
    size_t la = strlen(a), lb = strlen(b);
    bool slash = la > 0 && a[la - 1] != '/';
    char *out = malloc(la + slash + lb + 1);

    if (out == NULL)
        return NULL;
    memcpy(out, a, la);
    if (slash)
        out[la] = '/';
    memcpy(out + la + slash, b, lb + 1);
    return out;
}

/* The folder that holds path: "." where path has none. Heap. */
static char *folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');

    if (slash == NULL)
        return strdup(".");
    return strndup(path, slash == path ? 1 : (size_t)(slash - path));
}

/* A new name is durable only once its folder is. */
static int folder_sync(const char *path, struct err *e)
{
    char *folder = folder_of(path);
    int rc = 0;

    if (folder == NULL)
        return err_set(e, ERR_NO_MEMORY, "no memory for the path '%s'", path);
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) != 0)
        rc = err_set_errno(e, "cannot sync the folder '%s'", folder);
    if (fd >= 0)
        close(fd);
    free(folder);
    return rc;
}

int env_file_open_read(const char *path, int *fd, struct err *e)
{
    *fd = open(path, O_RDONLY | O_CLOEXEC);
    if (*fd < 0)
        return err_set_errno(e, "cannot open '%s'", path);
    return 0;
}

int env_file_open_append(const char *path, int mode, int *fd, struct err *e)
{
    *fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, (mode_t)mode);
    if (*fd < 0)
        return err_set_errno(e, "cannot open '%s' for writing", path);
    return 0;
}

int env_file_open_write(const char *path, bool fresh, int *fd, struct err *e)
{
    *fd = open(path, O_WRONLY | O_CLOEXEC | (fresh ? O_CREAT | O_EXCL : 0), 0600);
    if (*fd < 0)
        return err_set_errno(e, "cannot open '%s' for writing", path);
    return 0;
}

int env_file_keep(const char *path, struct err *e)
{
    return folder_sync(path, e);
}

int env_file_read_some(int fd, void *out, size_t cap, size_t *got, struct err *e)
{
    ssize_t n;

    do
        n = read(fd, out, cap);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return err_set_errno(e, "cannot read");
    *got = (size_t)n;
    return 0;
}

int env_file_read_at(int fd, uint64_t offset, void *out, size_t len, struct err *e)
{
    char *at = out;

    while (len > 0) {
        ssize_t n = pread(fd, at, len, (off_t)offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_set_errno(e, "cannot read");
        if (n == 0)
            return err_set(e, ERR_FORMAT, "the file ends %zu bytes early", len);
        at += n;
        offset += (uint64_t)n;
        len -= (size_t)n;
    }
    return 0;
}

int env_file_write_all(int fd, const void *data, size_t len, struct err *e)
{
    const char *at = data;

    while (len > 0) {
        ssize_t n = write(fd, at, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_set_errno(e, "cannot write");
        at += n;
        len -= (size_t)n;
    }
    return 0;
}

static int write_at(int fd, uint64_t offset, const char *at, size_t len, struct err *e)
{
    while (len > 0) {
        ssize_t n = pwrite(fd, at, len, (off_t)offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_set_errno(e, "cannot write");
        at += n;
        offset += (uint64_t)n;
        len -= (size_t)n;
    }
    return 0;
}

#ifdef O_DIRECT
/* False where the file system can't. */
static bool past_cache(int fd, bool past)
{
    int flags = fcntl(fd, F_GETFL);
    return flags >= 0 && fcntl(fd, F_SETFL, past ? flags | O_DIRECT : flags & ~O_DIRECT) == 0;
}

/* How much was written past the cache, of what lies on whole pages. A disk whose blocks are larger
 * refuses, and a full one stops early: what is left is for the way that tells why. */
static size_t write_past_cache(int fd, uint64_t offset, const char *at, size_t len)
{
    size_t done = 0;
    len -= len % ENV_FILE_ALIGN;
    if (len == 0 || offset % ENV_FILE_ALIGN || (uintptr_t)at % ENV_FILE_ALIGN ||
        !past_cache(fd, true))
        return 0;
    while (done < len) {
        ssize_t n = pwrite(fd, at + done, len - done, (off_t)(offset + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        done += (size_t)n;
    }
    past_cache(fd, false);
    return done;
}
#else
static size_t write_past_cache(int fd, uint64_t offset, const char *at, size_t len)
{
    (void)fd, (void)offset, (void)at, (void)len;
    return 0;
}
#endif

int env_file_write_at(int fd, uint64_t offset, const void *data, size_t len, struct err *e)
{
    size_t done = write_past_cache(fd, offset, data, len);
    int rc = write_at(fd, offset + done, (const char *)data + done, len - done, e);
#ifdef SYNC_FILE_RANGE_WRITE /* what fails here, the sync tells */
    if (!rc && done < len)
        (void)!sync_file_range(fd, (off_t)(offset + done), (off_t)(len - done),
                               SYNC_FILE_RANGE_WRITE);
#endif
    return rc;
}

int env_file_sync(int fd, struct err *e)
{
    return fsync(fd) == 0 ? 0 : err_set_errno(e, "cannot sync");
}

void env_file_close(int fd)
{
    if (fd >= 0)
        close(fd);
}

static int read_until_end(int fd, struct buf *out, struct err *e)
{
    for (;;) {
        size_t left = out->max - out->len, room = left < READ_STEP ? left : READ_STEP, got = 0;
        char extra;
        char *at = room == 0 ? &extra : buf_reserve(out, room, e);
        if (at == NULL)
            return ERR_NO_MEMORY;
        int rc = env_file_read_some(fd, at, room == 0 ? 1 : room, &got, e);
        if (rc != 0)
            return rc;
        if (got == 0)
            break;
        if (room == 0)
            return err_set(e, ERR_TOO_LARGE, "larger than the limit of %zu bytes", out->max);
        out->len += got;
    }
    return buf_append(out, "", 0, e); /* the terminator */
}

int env_file_read(const char *path, size_t max, struct buf *out, struct err *e)
{
    int fd;

    buf_init(out, max);
    int rc = env_file_open_read(path, &fd, e);
    if (rc != 0)
        return rc;
    rc = read_until_end(fd, out, e);
    close(fd);
    if (rc != 0) {
        buf_free(out);
        err_prefix(e, "'%s'", path);
    }
    return rc;
}

int env_file_new_open(struct env_file_new *f, const char *path, int mode, struct err *e)
{
    *f = (struct env_file_new){.fd = -1, .path = strdup(path)};
    if (f->path == NULL || asprintf(&f->temporary, "%s.new-XXXXXX", path) < 0) {
        f->temporary = NULL;
        env_file_new_abandon(f);
        return err_set(e, ERR_NO_MEMORY, "no memory for the path '%s'", path);
    }
    f->fd = mkostemp(f->temporary, O_CLOEXEC);
    if (f->fd < 0 || fchmod(f->fd, (mode_t)mode) != 0) {
        int rc = err_set_errno(e, "cannot make '%s'", path);
        env_file_new_abandon(f);
        return rc;
    }
    return 0;
}

int env_file_new_write(struct env_file_new *f, const void *data, size_t len, struct err *e)
{
    int rc = env_file_write_all(f->fd, data, len, e);

    if (rc != 0)
        err_prefix(e, "'%s'", f->path);
    return rc;
}

static void new_forget(struct env_file_new *f)
{
    free(f->path);
    free(f->temporary);
    *f = (struct env_file_new){.fd = -1};
}

int env_file_new_commit(struct env_file_new *f, struct err *e)
{
    int rc = f->passing ? 0 : env_file_sync(f->fd, e);

    if (rc != 0) {
        err_prefix(e, "'%s'", f->path);
        return rc;
    }
    int closed = close(f->fd);
    f->fd = -1;
    if (closed != 0)
        return err_set_errno(e, "cannot write '%s'", f->path);
    rc = f->passing ? env_file_move(f->temporary, f->path, e)
                    : env_file_rename(f->temporary, f->path, e);
    if (rc == 0)
        new_forget(f);
    return rc;
}

void env_file_new_abandon(struct env_file_new *f)
{
    if (f->fd >= 0)
        close(f->fd);
    if (f->temporary != NULL)
        unlink(f->temporary);
    new_forget(f);
}

int env_file_write_atomic(const char *path, const void *data, size_t len, int mode, struct err *e)
{
    struct env_file_new f;
    int rc = env_file_new_open(&f, path, mode, e);

    if (rc != 0)
        return rc;
    rc = env_file_new_write(&f, data, len, e);
    if (rc == 0)
        rc = env_file_new_commit(&f, e);
    if (rc != 0)
        env_file_new_abandon(&f);
    return rc;
}

int env_file_map(const char *path, struct env_map *out, struct err *e)
{
    struct stat st;
    int fd, rc = env_file_open_read(path, &fd, e);

    *out = (struct env_map){0};
    if (rc != 0)
        return rc;
    if (fstat(fd, &st) != 0) {
        rc = err_set_errno(e, "cannot read '%s'", path);
    } else if (!S_ISREG(st.st_mode)) {
        rc = err_set(e, ERR_INVALID, "'%s' is not a regular file", path);
    } else if (st.st_size > 0) {
        void *data = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (data == MAP_FAILED)
            rc = err_set_errno(e, "cannot map '%s'", path);
        else
            *out = (struct env_map){.data = data, .size = (size_t)st.st_size};
    }
    close(fd);
    return rc;
}

void env_file_unmap(struct env_map *m)
{
    if (m->data != NULL)
        munmap((void *)(uintptr_t)m->data, m->size);
    *m = (struct env_map){0};
}

bool env_file_exists(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0;
}

bool env_dir_exists(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

bool env_dir_is_own(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0 && S_ISDIR(st.st_mode) && st.st_uid == geteuid();
}

int env_file_size(const char *path, uint64_t *size, struct err *e)
{
    struct stat st;

    if (stat(path, &st) != 0)
        return err_set_errno(e, "cannot read '%s'", path);
    *size = (uint64_t)st.st_size;
    return 0;
}

int env_file_modified_ms(const char *path, int64_t *ms, struct err *e)
{
    struct stat st;

    if (stat(path, &st) != 0)
        return err_set_errno(e, "cannot read '%s'", path);
    *ms = (int64_t)st.st_mtim.tv_sec * 1000 + st.st_mtim.tv_nsec / 1000000;
    return 0;
}

int env_file_touch(const char *path, struct err *e)
{
    if (utimensat(AT_FDCWD, path, NULL, 0) != 0)
        return err_set_errno(e, "cannot change the time of '%s'", path);
    return 0;
}

int env_file_remove(const char *path, struct err *e)
{
    if (unlink(path) != 0 && errno != ENOENT)
        return err_set_errno(e, "cannot remove '%s'", path);
    return 0;
}

int env_file_move(const char *from, const char *to, struct err *e)
{
    if (rename(from, to) != 0)
        return err_set_errno(e, "cannot rename '%s' to '%s'", from, to);
    return 0;
}

int env_file_rename(const char *from, const char *to, struct err *e)
{
    int rc = env_file_move(from, to, e);

    return rc ? rc : folder_sync(to, e);
}

static int dir_make_one(const char *path, struct err *e)
{
    if (mkdir(path, 0700) == 0) {
        int rc = folder_sync(path, e);
        if (rc != 0) /* who finds it the next time would take it for durable */
            rmdir(path);
        return rc;
    }
    if (errno != EEXIST)
        return err_set_errno(e, "cannot make the folder '%s'", path);
    if (!env_dir_exists(path))
        return err_set(e, ERR_EXISTS, "'%s' exists and is not a folder", path);
    return 0;
}

int env_dir_make(const char *path, struct err *e)
{
    char *part = strdup(path);
    int rc = 0;

    if (part == NULL)
        return err_set(e, ERR_NO_MEMORY, "no memory for the path '%s'", path);
    size_t len = strlen(part);
    while (len > 1 && part[len - 1] == '/')
        part[--len] = '\0';
    for (char *at = part + 1; rc == 0 && len > 0 && *at != '\0'; at++) {
        if (*at != '/' || at[-1] == '/')
            continue;
        *at = '\0';
        rc = dir_make_one(part, e);
        *at = '/';
    }
    if (rc == 0)
        rc = dir_make_one(part, e);
    free(part);
    return rc;
}

int env_dir_keep(const char *path, struct err *e)
{
    char *bare = strdup(path), *folder = NULL;
    size_t len = bare == NULL ? 0 : strlen(bare);
    int rc = 0;

    while (len > 1 && bare[len - 1] == '/')
        bare[--len] = '\0';
    if (bare != NULL)
        folder = folder_of(bare);
    if (folder == NULL)
        rc = err_set(e, ERR_NO_MEMORY, "no memory for the path '%s'", path);
    else if (access(folder, R_OK) == 0)
        rc = folder_sync(bare, e);
    free(folder);
    free(bare);
    return rc;
}

int env_dir_remove(const char *path, struct err *e)
{
    if (rmdir(path) != 0 && errno != ENOENT)
        return err_set_errno(e, "cannot remove the folder '%s'", path);
    return 0;
}

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int names_add(char ***names, size_t *count, size_t *cap, const char *name)
{
    if (*count == *cap) {
        size_t more = *cap == 0 ? 64 : 2 * *cap;
        char **grown = reallocarray(*names, more, sizeof *grown);
        if (grown == NULL)
            return ERR_NO_MEMORY;
        *names = grown;
        *cap = more;
    }
    (*names)[*count] = strdup(name);
    if ((*names)[*count] == NULL)
        return ERR_NO_MEMORY;
    ++*count;
    return 0;
}

int env_dir_list(const char *path, char ***names, size_t *count, struct err *e)
{
    DIR *dir = opendir(path);
    size_t cap = 0;
    int rc = 0;

    *names = NULL;
    *count = 0;
    if (dir == NULL)
        return err_set_errno(e, "cannot read the folder '%s'", path);
    for (;;) {
        errno = 0;
        const struct dirent *d = readdir(dir);
        if (d == NULL) {
            if (errno != 0)
                rc = err_set_errno(e, "cannot read the folder '%s'", path);
            break;
        }
        if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0)
            continue;
        if (names_add(names, count, &cap, d->d_name) != 0) {
            rc = err_set(e, ERR_NO_MEMORY, "no memory for the names in '%s'", path);
            break;
        }
    }
    closedir(dir);
    if (rc != 0) {
        env_dir_list_free(*names, *count);
        *names = NULL;
        *count = 0;
        return rc;
    }
    if (*count > 0)
        qsort(*names, *count, sizeof **names, by_bytes);
    return 0;
}

void env_dir_list_free(char **names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(names[i]);
    free(names);
}

int env_disk_free(const char *path, uint64_t *bytes, struct err *e)
{
    struct statvfs st;

    if (statvfs(path, &st) != 0)
        return err_set_errno(e, "cannot tell the free space of '%s'", path);
    *bytes = (uint64_t)st.f_bavail * st.f_frsize;
    return 0;
}

/* "process 123" as its holder wrote it, or "another process". */
static void lock_holder(int fd, char out[32])
{
    char text[16] = "";
    ssize_t n = pread(fd, text, sizeof text - 1, 0);
    long pid = n > 0 ? strtol(text, NULL, 10) : 0;

    if (pid > 0)
        snprintf(out, 32, "process %ld", pid);
    else
        snprintf(out, 32, "another process");
}

/* flock: the lock belongs to the open file, so that it also keeps out a second taker in the same
 * process, and ends with the process however it ends. */
int env_lock_take(const char *path, int64_t wait_ms, int *lock, struct err *e)
{
    int64_t deadline = env_monotonic_ms() + wait_ms;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

    *lock = -1;
    if (fd < 0)
        return err_set_errno(e, "cannot open the lock '%s'", path);
    while (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        int rc = 0;
        if (errno != EWOULDBLOCK && errno != EINTR) {
            rc = err_set_errno(e, "cannot lock '%s'", path);
        } else if (env_monotonic_ms() >= deadline) {
            char holder[32];
            lock_holder(fd, holder);
            rc = err_set(e, ERR_BUSY, "'%s' is locked by %s", path, holder);
        }
        if (rc != 0) {
            close(fd);
            return rc;
        }
        env_sleep_ms(LOCK_POLL_MS);
    }
    /* The number only helps people; a full disk must not refuse the lock. */
    if (ftruncate(fd, 0) == 0)
        (void)!dprintf(fd, "%ld\n", (long)getpid());
    *lock = fd;
    return 0;
}

void env_lock_release(int lock)
{
    if (lock >= 0)
        close(lock);
}
