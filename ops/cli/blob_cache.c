#include "ops/cli/blob_cache.h"

#include <stdlib.h>
#include <string.h>
#include "core/env/clock.h"
#include "core/env/file.h"
#include "core/env/process.h"
#include "ops/cli/folder.h"

/* Another `tacit sample` may be downloading the same file. */
#define LOCK_MS (10 * 60 * 1000)
#define CACHE_BYTES_MAX (2ull << 30)
/* An answer reads its models in seconds. */
#define CACHE_KEEP_MS (10 * 60 * 1000)

int blob_cache_open(struct blob_cache *c, struct cli *cli, struct err *e)
{
    c->cli = cli;
    progress_init(&c->progress);
    return folder_cache(&cli->arena, &c->folder, e);
}

/* --- what is kept ----------------------------------------------------------------------------- */

struct kept {
    char *path; /* owned */
    uint64_t bytes;
    int64_t used_ms;
};

static int by_use(const void *a, const void *b)
{
    const struct kept *x = a, *y = b;
    return x->used_ms < y->used_ms ? -1 : x->used_ms > y->used_ms;
}

/* "HEX", or "HEX.part" of a download that broke off. */
static bool is_blob_name(const char *name)
{
    struct digest d;
    size_t len = strlen(name);
    return len >= DIGEST_HEX && digest_from_hex(&d, name, DIGEST_HEX) &&
           (len == DIGEST_HEX || strcmp(name + DIGEST_HEX, ".part") == 0);
}

/* The blobs of a folder; one that vanishes meanwhile does not count. */
static size_t list_kept(const char *folder, char **names, size_t count, struct kept *kept,
                        uint64_t *bytes)
{
    size_t n = 0;
    struct err ignored = {0};
    *bytes = 0;
    for (size_t i = 0; i < count; i++) {
        struct kept *k = &kept[n];
        k->path = is_blob_name(names[i]) ? env_path_join(folder, names[i]) : NULL;
        if (!k->path)
            continue;
        if (env_file_size(k->path, &k->bytes, &ignored) ||
            env_file_modified_ms(k->path, &k->used_ms, &ignored)) {
            free(k->path);
            continue;
        }
        *bytes += k->bytes;
        n++;
    }
    return n;
}

int blob_cache_trim(const char *folder, uint64_t bytes_max, int64_t keep_ms, struct err *e)
{
    char **names;
    size_t count;
    uint64_t bytes;
    int64_t now = env_wall_ms();
    int rc = env_dir_list(folder, &names, &count, e);
    if (rc)
        return rc;
    struct kept *kept = calloc(count + 1, sizeof *kept);
    size_t n = kept ? list_kept(folder, names, count, kept, &bytes) : 0;
    if (!kept)
        rc = err_set(e, ERR_NO_MEMORY, "no memory for the list of '%s'", folder);
    else
        qsort(kept, n, sizeof *kept, by_use);
    for (size_t i = 0; i < n; i++) {
        int64_t age_ms = now - kept[i].used_ms; /* below 0 where the clock was set back */
        bool reading = age_ms >= 0 && age_ms < keep_ms;
        if (!rc && bytes > bytes_max && !reading) {
            rc = env_file_remove(kept[i].path, e);
            bytes -= kept[i].bytes;
        }
        free(kept[i].path);
    }
    free(kept);
    env_dir_list_free(names, count);
    return rc;
}

/* --- getting one ------------------------------------------------------------------------------ */

struct download {
    struct progress *progress;
    const char *phase;
};

static int on_bytes(void *arg, uint64_t done, uint64_t total)
{
    struct download *d = arg;
    if (total)
        progress_update(d->progress, d->phase, done, total, "bytes");
    return env_stop_requested();
}

/* Whether the file is there and still what its name says: a damaged one is as good as none. */
static bool is_whole(const char *path, const struct digest *d)
{
    struct env_map m;
    struct err ignored = {0};
    struct digest found;
    if (!env_file_exists(path) || env_file_map(path, &m, &ignored))
        return false;
    digest_of(m.data, m.size, &found);
    env_file_unmap(&m);
    return digest_equal(&found, d);
}

static int fetch(struct blob_cache *c, const struct digest *d, const char *what, const char *path,
                 struct err *e)
{
    int lock;
    uint64_t moved = 0;
    const char *lock_path = arena_printf(&c->cli->arena, "%s/lock", c->folder);
    struct download x = {&c->progress, arena_printf(&c->cli->arena, "downloading %s", what)};
    if (!lock_path || !x.phase)
        return err_set(e, ERR_NO_MEMORY, "no memory for a path");
    int rc = env_lock_take(lock_path, LOCK_MS, &lock, e);
    if (rc)
        return rc;
    if (!is_whole(path, d)) /* another process may have brought it meanwhile */
        rc = client_blob_get(c->cli->client, d, path, on_bytes, &x, &moved, e);
    if (!rc) {
        struct err ignored = {0}; /* an answer needs no room for the next one */
        (void)!blob_cache_trim(c->folder, CACHE_BYTES_MAX, CACHE_KEEP_MS, &ignored);
    }
    env_lock_release(lock);
    progress_finish(&c->progress);
    if (rc)
        err_prefix(e, "%s", what);
    return rc;
}

int blob_cache_get(struct blob_cache *c, const struct digest *d, const char *what,
                   const char **path, struct err *e)
{
    char hex[DIGEST_HEX + 1];
    *path = arena_printf(&c->cli->arena, "%s/%s", c->folder, digest_to_hex(d, hex));
    if (!*path)
        return err_set(e, ERR_NO_MEMORY, "no memory for a path");
    if (!is_whole(*path, d))
        return fetch(c, d, what, *path, e);
    struct err ignored = {0};
    (void)!env_file_touch(*path, &ignored); /* of a cache that can't be written to, all is used */
    return 0;
}
