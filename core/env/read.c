#include "core/env/read.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int env_path_kind(const char *path, enum env_path_kind *kind, struct err *e)
{
    struct stat st;
    *kind = ENV_PATH_NONE;
    if (stat(path, &st)) {
        if (errno == ENOENT || errno == ENOTDIR)
            return 0;
        return err_set_errno(e, "cannot look at %s", path);
    }
    *kind = S_ISREG(st.st_mode)   ? ENV_PATH_FILE
            : S_ISDIR(st.st_mode) ? ENV_PATH_FOLDER
                                  : ENV_PATH_STREAM;
    return 0;
}

int env_reader_open(struct env_reader *r, const char *path, struct err *e)
{
    if (!strcmp(path, "-")) {
        r->fd = STDIN_FILENO;
        return 0;
    }
    r->fd = open(path, O_RDONLY | O_CLOEXEC);
    if (r->fd < 0)
        return err_set_errno(e, "cannot open %s", path);
    return 0;
}

int env_reader_next(struct env_reader *r, void *out, size_t cap, size_t *n, struct err *e)
{
    ssize_t got;
    do
        got = read(r->fd, out, cap);
    while (got < 0 && errno == EINTR);
    *n = got < 0 ? 0 : (size_t)got;
    return got < 0 ? err_set_errno(e, "cannot read") : 0;
}

int env_reader_at(const struct env_reader *r, uint64_t offset, void *out, size_t len, struct err *e)
{
    char *p = out;
    while (len) {
        ssize_t got = pread(r->fd, p, len, (off_t)offset);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return err_set_errno(e, "cannot read at %llu", (unsigned long long)offset);
        if (got == 0)
            return err_set(e, ERR_IO, "the file ends before byte %llu",
                           (unsigned long long)(offset + len));
        p += got;
        len -= (size_t)got;
        offset += (uint64_t)got;
    }
    return 0;
}

void env_reader_close(struct env_reader *r)
{
    if (r->fd > STDIN_FILENO)
        close(r->fd);
    r->fd = -1;
}
