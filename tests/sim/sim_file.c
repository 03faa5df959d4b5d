/* core/env/file.h and core/env/read.h on the simulated disk of the machine whose code is running.
 * Linked in front of the real ones, which it replaces as a whole. */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "core/env/clock.h"
#include "core/env/file.h"
#include "core/env/read.h"
#include "tests/sim/disk.h"

#define READ_STEP 65536
#define LOCK_POLL_MS 50

/* 0, or errno set and -1. */
static int64_t answer(int64_t rc)
{
    if (rc >= 0)
        return rc;
    errno = (int)-rc;
    return -1;
}

char *env_path_join(const char *a, const char *b)
{
    size_t la = strlen(a);
    char *out;
    if (asprintf(&out, "%s%s%s", a, la > 0 && a[la - 1] != '/' ? "/" : "", b) < 0)
        return NULL;
    return out;
}

static int folder_sync(const char *path, struct err *e)
{
    if (answer(sim_disk_sync_folder(sim_disk_current(), path, true)) < 0)
        return err_set_errno(e, "cannot sync the folder of '%s'", path);
    return 0;
}

/* --- descriptors ----------------------------------------------------------------- */

static int open_with(const char *path, int flags, int *fd)
{
    *fd = (int)answer(sim_disk_open(sim_disk_current(), path, flags));
    return *fd < 0 ? -1 : 0;
}

int env_file_open_read(const char *path, int *fd, struct err *e)
{
    return open_with(path, 0, fd) ? err_set_errno(e, "cannot open '%s'", path) : 0;
}

int env_file_open_append(const char *path, int mode, int *fd, struct err *e)
{
    (void)mode;
    if (open_with(path, SIM_DISK_WRITE | SIM_DISK_CREATE | SIM_DISK_APPEND, fd))
        return err_set_errno(e, "cannot open '%s' for writing", path);
    return 0;
}

int env_file_open_write(const char *path, bool fresh, int *fd, struct err *e)
{
    int flags = SIM_DISK_WRITE | (fresh ? SIM_DISK_CREATE | SIM_DISK_EXCLUSIVE : 0);
    return open_with(path, flags, fd) ? err_set_errno(e, "cannot open '%s' for writing", path) : 0;
}

int env_file_keep(const char *path, struct err *e)
{
    return folder_sync(path, e);
}

int env_file_read_some(int fd, void *out, size_t cap, size_t *got, struct err *e)
{
    int64_t n = answer(sim_disk_read(sim_disk_current(), fd, out, cap));
    if (n < 0)
        return err_set_errno(e, "cannot read");
    *got = (size_t)n;
    return 0;
}

int env_file_read_at(int fd, uint64_t offset, void *out, size_t len, struct err *e)
{
    int64_t n = answer(sim_disk_read_at(sim_disk_current(), fd, offset, out, len));
    if (n < 0)
        return err_set_errno(e, "cannot read");
    if ((size_t)n < len)
        return err_set(e, ERR_FORMAT, "the file ends %zu bytes early", len - (size_t)n);
    return 0;
}

int env_file_write_all(int fd, const void *data, size_t len, struct err *e)
{
    if (len > 0 && answer(sim_disk_write(sim_disk_current(), fd, data, len)) < 0)
        return err_set_errno(e, "cannot write");
    return 0;
}

int env_file_write_at(int fd, uint64_t offset, const void *data, size_t len, struct err *e)
{
    if (answer(sim_disk_write_at(sim_disk_current(), fd, offset, data, len)) < 0)
        return err_set_errno(e, "cannot write");
    return 0;
}

int env_file_sync(int fd, struct err *e)
{
    if (answer(sim_disk_sync(sim_disk_current(), fd)) < 0)
        return err_set_errno(e, "cannot sync");
    return 0;
}

void env_file_close(int fd)
{
    if (fd >= 0)
        sim_disk_close(sim_disk_current(), fd);
}

static int read_until_end(int fd, struct buf *out, struct err *e)
{
    for (;;) {
        size_t left = out->max - out->len, room = left < READ_STEP ? left : READ_STEP, got = 0;
        char extra;
        char *at = room == 0 ? &extra : buf_reserve(out, room, e);
        if (!at)
            return ERR_NO_MEMORY;
        int rc = env_file_read_some(fd, at, room == 0 ? 1 : room, &got, e);
        if (rc)
            return rc;
        if (got == 0)
            return buf_append(out, "", 0, e); /* the terminator */
        if (room == 0)
            return err_set(e, ERR_TOO_LARGE, "larger than the limit of %zu bytes", out->max);
        out->len += got;
    }
}

int env_file_read(const char *path, size_t max, struct buf *out, struct err *e)
{
    int fd;
    buf_init(out, max);
    int rc = env_file_open_read(path, &fd, e);
    if (rc)
        return rc;
    rc = read_until_end(fd, out, e);
    env_file_close(fd);
    if (rc) {
        buf_free(out);
        err_prefix(e, "'%s'", path);
    }
    return rc;
}

/* --- new files ---------------------------------------------------------------------- */

int env_file_new_open(struct env_file_new *f, const char *path, int mode, struct err *e)
{
    (void)mode;
    *f = (struct env_file_new){.fd = -1, .path = strdup(path)};
    for (;;) {
        unsigned number = (unsigned)(sim_disk_random(sim_disk_current()) & 0xffffff);
        if (!f->path || asprintf(&f->temporary, "%s.new-%06x", path, number) < 0) {
            f->temporary = NULL;
            env_file_new_abandon(f);
            return err_set(e, ERR_NO_MEMORY, "no memory for the path '%s'", path);
        }
        if (!open_with(f->temporary, SIM_DISK_WRITE | SIM_DISK_CREATE | SIM_DISK_EXCLUSIVE, &f->fd))
            return 0;
        free(f->temporary);
        f->temporary = NULL; /* somebody else's, or not there: nothing to remove */
        if (errno == EEXIST)
            continue;
        int rc = err_set_errno(e, "cannot make '%s'", path);
        env_file_new_abandon(f);
        return rc;
    }
}

int env_file_new_write(struct env_file_new *f, const void *data, size_t len, struct err *e)
{
    int rc = env_file_write_all(f->fd, data, len, e);
    if (rc)
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
    if (rc) {
        err_prefix(e, "'%s'", f->path);
        return rc;
    }
    env_file_close(f->fd);
    f->fd = -1;
    rc = f->passing ? env_file_move(f->temporary, f->path, e)
                    : env_file_rename(f->temporary, f->path, e);
    if (!rc)
        new_forget(f);
    return rc;
}

void env_file_new_abandon(struct env_file_new *f)
{
    env_file_close(f->fd);
    if (f->temporary)
        (void)sim_disk_unlink(sim_disk_current(), f->temporary);
    new_forget(f);
}

int env_file_write_atomic(const char *path, const void *data, size_t len, int mode, struct err *e)
{
    struct env_file_new f;
    int rc = env_file_new_open(&f, path, mode, e);
    if (rc)
        return rc;
    rc = env_file_new_write(&f, data, len, e);
    if (!rc)
        rc = env_file_new_commit(&f, e);
    if (rc)
        env_file_new_abandon(&f);
    return rc;
}

/* --- mapping: a copy, so that it stays what it was ------------------------------------ */

int env_file_map(const char *path, struct env_map *out, struct err *e)
{
    struct sim_disk *d = sim_disk_current();
    struct sim_disk_stat st;
    int fd, rc = env_file_open_read(path, &fd, e);
    *out = (struct env_map){0};
    if (rc)
        return rc;
    if (answer(sim_disk_fstat(d, fd, &st)) < 0) {
        rc = err_set_errno(e, "cannot read '%s'", path);
    } else if (st.folder) {
        rc = err_set(e, ERR_INVALID, "'%s' is not a regular file", path);
    } else if (st.size > 0) {
        void *data = malloc(st.size);
        rc = data ? env_file_read_at(fd, 0, data, st.size, e)
                  : err_set(e, ERR_NO_MEMORY, "no memory to map '%s'", path);
        if (rc)
            free(data);
        else
            *out = (struct env_map){.data = data, .size = st.size};
    }
    env_file_close(fd);
    return rc;
}

void env_file_unmap(struct env_map *m)
{
    free((void *)(uintptr_t)m->data);
    *m = (struct env_map){0};
}

/* --- names ------------------------------------------------------------------------------ */

bool env_file_exists(const char *path)
{
    struct sim_disk_stat st;
    return sim_disk_stat(sim_disk_current(), path, &st) == 0;
}

bool env_dir_exists(const char *path)
{
    struct sim_disk_stat st;
    return sim_disk_stat(sim_disk_current(), path, &st) == 0 && st.folder;
}

bool env_dir_is_own(const char *path)
{
    return env_dir_exists(path);
}

int env_file_size(const char *path, uint64_t *size, struct err *e)
{
    struct sim_disk_stat st;
    if (answer(sim_disk_stat(sim_disk_current(), path, &st)) < 0)
        return err_set_errno(e, "cannot read '%s'", path);
    *size = st.size;
    return 0;
}

int env_file_modified_ms(const char *path, int64_t *ms, struct err *e)
{
    struct sim_disk_stat st;
    if (answer(sim_disk_stat(sim_disk_current(), path, &st)) < 0)
        return err_set_errno(e, "cannot read '%s'", path);
    *ms = st.modified_ms;
    return 0;
}

int env_file_touch(const char *path, struct err *e)
{
    if (answer(sim_disk_touch(sim_disk_current(), path)) < 0)
        return err_set_errno(e, "cannot change the time of '%s'", path);
    return 0;
}

int env_file_remove(const char *path, struct err *e)
{
    if (answer(sim_disk_unlink(sim_disk_current(), path)) < 0 && errno != ENOENT)
        return err_set_errno(e, "cannot remove '%s'", path);
    return 0;
}

int env_file_move(const char *from, const char *to, struct err *e)
{
    if (answer(sim_disk_rename(sim_disk_current(), from, to)) < 0)
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
    if (answer(sim_disk_mkdir(sim_disk_current(), path)) == 0) {
        int rc = folder_sync(path, e);
        if (rc)
            (void)sim_disk_rmdir(sim_disk_current(), path);
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
    if (!part)
        return err_set(e, ERR_NO_MEMORY, "no memory for the path '%s'", path);
    for (char *at = part + 1; !rc && part[0] && *at; at++) {
        if (*at != '/' || at[-1] == '/' || !at[1])
            continue;
        *at = '\0';
        rc = dir_make_one(part, e);
        *at = '/';
    }
    if (!rc)
        rc = dir_make_one(part, e);
    free(part);
    return rc;
}

int env_dir_keep(const char *path, struct err *e)
{
    return folder_sync(path, e);
}

int env_dir_remove(const char *path, struct err *e)
{
    if (answer(sim_disk_rmdir(sim_disk_current(), path)) < 0 && errno != ENOENT)
        return err_set_errno(e, "cannot remove the folder '%s'", path);
    return 0;
}

int env_dir_list(const char *path, char ***names, size_t *count, struct err *e)
{
    if (answer(sim_disk_list(sim_disk_current(), path, names, count)) < 0)
        return err_set_errno(e, "cannot read the folder '%s'", path);
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
    struct sim_disk_stat st;
    if (answer(sim_disk_stat(sim_disk_current(), path, &st)) < 0)
        return err_set_errno(e, "cannot tell the free space of '%s'", path);
    *bytes = sim_disk_free(sim_disk_current());
    return 0;
}

/* --- locks --------------------------------------------------------------------------------- */

int env_lock_take(const char *path, int64_t wait_ms, int *lock, struct err *e)
{
    int64_t deadline = env_monotonic_ms() + wait_ms;
    int fd;
    *lock = -1;
    if (open_with(path, SIM_DISK_WRITE | SIM_DISK_CREATE, &fd))
        return err_set_errno(e, "cannot open the lock '%s'", path);
    while (answer(sim_disk_lock(sim_disk_current(), fd)) < 0) {
        int rc = 0;
        if (errno != EWOULDBLOCK)
            rc = err_set_errno(e, "cannot lock '%s'", path);
        else if (env_monotonic_ms() >= deadline)
            rc = err_set(e, ERR_BUSY, "'%s' is locked by another process", path);
        if (rc) {
            env_file_close(fd);
            return rc;
        }
        env_sleep_ms(LOCK_POLL_MS);
    }
    *lock = fd;
    return 0;
}

void env_lock_release(int lock)
{
    env_file_close(lock);
}

/* --- reading bit by bit ----------------------------------------------------------------------- */

int env_path_kind(const char *path, enum env_path_kind *kind, struct err *e)
{
    struct sim_disk_stat st;
    *kind = ENV_PATH_NONE;
    if (answer(sim_disk_stat(sim_disk_current(), path, &st)) < 0)
        return errno == ENOENT || errno == ENOTDIR ? 0
                                                   : err_set_errno(e, "cannot look at %s", path);
    *kind = st.folder ? ENV_PATH_FOLDER : ENV_PATH_FILE;
    return 0;
}

int env_reader_open(struct env_reader *r, const char *path, struct err *e)
{
    return open_with(path, 0, &r->fd) ? err_set_errno(e, "cannot open %s", path) : 0;
}

int env_reader_next(struct env_reader *r, void *out, size_t cap, size_t *n, struct err *e)
{
    *n = 0;
    return env_file_read_some(r->fd, out, cap, n, e);
}

int env_reader_at(const struct env_reader *r, uint64_t offset, void *out, size_t len, struct err *e)
{
    return env_file_read_at(r->fd, offset, out, len, e);
}

void env_reader_close(struct env_reader *r)
{
    env_file_close(r->fd);
    r->fd = -1;
}
