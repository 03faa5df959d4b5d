#include "ops/cli/spec_file.h"

#include <string.h>
#include "core/env/read.h"

#define PIECE 4096

static int read_all(const char *path, struct buf *text, struct err *e)
{
    struct env_reader r;
    int rc = env_reader_open(&r, path, e);
    for (size_t n = 1; !rc && n > 0;) {
        char piece[PIECE];
        rc = env_reader_next(&r, piece, sizeof piece, &n, e);
        if (!rc && text->len + n > SPEC_BYTES_MAX)
            rc = err_set(e, ERR_TOO_LARGE, "%s is longer than the %u KiB of a spec", path,
                         SPEC_BYTES_MAX >> 10);
        if (!rc)
            rc = buf_append(text, piece, n, e);
    }
    env_reader_close(&r);
    return rc;
}

int spec_file_read(const char *path, struct buf *text, struct run_spec *spec, struct err *e)
{
    const char *name = strcmp(path, "-") == 0 ? "standard input" : path;
    enum env_path_kind kind = ENV_PATH_STREAM;
    buf_init(text, SPEC_BYTES_MAX);
    int rc = path == name ? env_path_kind(path, &kind, e) : 0;
    if (!rc && kind == ENV_PATH_NONE)
        rc = err_set(e, ERR_NOT_FOUND,
                     "there is no file '%s'; `tacit run spec > %s` writes one to start from", path,
                     path);
    if (!rc && kind == ENV_PATH_FOLDER)
        rc = err_set(e, ERR_INVALID, "'%s' is a folder; a spec is a file", path);
    if (!rc)
        rc = read_all(path, text, e);
    if (!rc && text->len == 0)
        rc = err_set(e, ERR_FORMAT, "%s is empty; `tacit run spec` prints a spec to start from",
                     name);
    if (!rc)
        rc = spec_parse(text->data, text->len, name, spec, e);
    return rc;
}
