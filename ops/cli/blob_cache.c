#include "ops/cli/blob_cache.h"

#include "core/env/file.h"
#include "core/env/process.h"
#include "ops/cli/folder.h"

/* Another `tacit sample` may be downloading the same file. */
#define LOCK_MS (10 * 60 * 1000)

int blob_cache_open(struct blob_cache *c, struct cli *cli, struct err *e)
{
    c->cli = cli;
    progress_init(&c->progress);
    return folder_cache(&cli->arena, &c->folder, e);
}

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
    return is_whole(*path, d) ? 0 : fetch(c, d, what, *path, e);
}
