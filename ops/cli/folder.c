#include "ops/cli/folder.h"

#include <stdlib.h>
#include <string.h>
#include "core/env/clock.h"
#include "core/env/file.h"
#include "core/env/process.h"
#include "core/env/read.h"

#define WORK_PREFIX "tacit-ingest-"
#define WORK_RANDOM 6 /* bytes, written as hexadecimal digits */
#define WORK_TRIES 8

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

/* Takes the lock of a working folder without waiting. */
static int lock_folder(const char *path, int *lock, struct err *e)
{
    char *file = env_path_join(path, "lock");
    *lock = -1;
    int rc = file ? env_lock_take(file, 0, lock, e) : err_set(e, ERR_NO_MEMORY, "no memory");
    /* Who swept it away meanwhile has left a lock on a file that nobody finds any more. */
    if (!rc && !env_file_exists(file)) {
        env_lock_release(*lock);
        rc = err_set(e, ERR_BUSY, "'%s' was removed meanwhile", path);
    }
    free(file);
    return rc;
}

static bool is_work_name(const char *name)
{
    size_t prefix = strlen(WORK_PREFIX);
    return strncmp(name, WORK_PREFIX, prefix) == 0 && strlen(name) == prefix + 2 * WORK_RANDOM &&
           strspn(name + prefix, "0123456789abcdef") == 2 * WORK_RANDOM;
}

/* Removes what processes that were killed have left. What cannot be removed is left alone: it is in
 * nobody's way, and the next one tries again. */
static void sweep(const char *base)
{
    char **names;
    size_t count;
    struct err ignored = {0};
    if (env_dir_list(base, &names, &count, &ignored))
        return;
    for (size_t i = 0; i < count; i++) {
        int lock;
        char *path = is_work_name(names[i]) ? env_path_join(base, names[i]) : NULL;
        /* In a folder for everyone, others may put links that lead elsewhere. */
        if (path && env_dir_is_own(path) && lock_folder(path, &lock, &ignored) == 0) {
            (void)!folder_remove(path, &ignored);
            env_lock_release(lock);
        }
        free(path);
    }
    env_dir_list_free(names, count);
}

int folder_work_make(struct folder_work *w, struct arena *a, const char *base, struct err *e)
{
    const char *tmp = env_get("TMPDIR");
    if (!base)
        base = tmp && *tmp ? tmp : "/tmp";
    sweep(base);
    for (int i = 0;; i++) {
        unsigned char r[WORK_RANDOM];
        env_random(r, sizeof r);
        w->path = arena_printf(a, "%s/" WORK_PREFIX "%02x%02x%02x%02x%02x%02x", base, r[0], r[1],
                               r[2], r[3], r[4], r[5]);
        if (!w->path)
            return err_set(e, ERR_NO_MEMORY, "no memory for a path");
        int rc = env_dir_make(w->path, e);
        if (rc)
            return rc;
        rc = lock_folder(w->path, &w->lock, e);
        /* Another process may have taken the new folder for a leftover before it was locked. */
        if (!rc || (rc != ERR_BUSY && env_dir_exists(w->path)) || i == WORK_TRIES)
            return rc;
    }
}

int folder_work_remove(struct folder_work *w, struct err *e)
{
    int rc = folder_remove(w->path, e);
    env_lock_release(w->lock);
    return rc;
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
