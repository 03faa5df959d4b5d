#include "ops/cli/folder.h"

#include <stdlib.h>
#include "core/env/clock.h"
#include "core/env/file.h"
#include "core/env/process.h"
#include "core/env/read.h"

int folder_work_make(struct arena *a, const char *base, const char **path, struct err *e)
{
    unsigned char r[6];
    const char *tmp = env_get("TMPDIR");
    if (!base)
        base = tmp && *tmp ? tmp : "/tmp";
    env_random(r, sizeof r);
    *path = arena_printf(a, "%s/tacit-ingest-%02x%02x%02x%02x%02x%02x", base, r[0], r[1], r[2],
                         r[3], r[4], r[5]);
    if (!*path)
        return err_set(e, ERR_NO_MEMORY, "no memory for a path");
    return env_dir_make(*path, e);
}

int folder_remove(const char *path, struct err *e)
{
    char **names;
    size_t count;
    enum env_path_kind kind;
    int rc = env_dir_list(path, &names, &count, e);
    if (rc)
        return rc;
    for (size_t i = 0; i < count && !rc; i++) {
        char *inner = env_path_join(path, names[i]);
        rc = inner ? env_path_kind(inner, &kind, e) : err_set(e, ERR_NO_MEMORY, "no memory");
        if (!rc)
            rc = kind == ENV_PATH_FOLDER ? folder_remove(inner, e) : env_file_remove(inner, e);
        free(inner);
    }
    env_dir_list_free(names, count);
    return rc ? rc : env_dir_remove(path, e);
}

int folder_cache(struct arena *a, const char **path, struct err *e)
{
    const char *cache = env_get("XDG_CACHE_HOME"), *home = env_get("HOME");
    if (cache && *cache)
        *path = arena_printf(a, "%s/tacit", cache);
    else if (home && *home)
        *path = arena_printf(a, "%s/.cache/tacit", home);
    else
        return err_set(e, ERR_INVALID,
                       "there is no place to keep downloads: set HOME or XDG_CACHE_HOME");
    return *path ? env_dir_make(*path, e) : err_set(e, ERR_NO_MEMORY, "no memory for a path");
}
